//! What a deployment is told about wrong BPMN: the message, the place, the element.

use shared::process::parse::{ParseReport, parse};

const HEAD: &str = "<definitions xmlns=\"http://www.omg.org/spec/BPMN/20100524/MODEL\" xmlns:camunda=\"http://camunda.org/schema/1.0/bpmn\">\n<process id=\"p\" isExecutable=\"true\">\n<startEvent id=\"start\"/>\n";

fn report(inside: &str) -> ParseReport {
    parse(&format!("{HEAD}{inside}\n</process></definitions>")).expect_err(inside)
}

/// One error, at the fourth line, behind the start tag of the element.
#[track_caller]
fn check(inside: &str, message: &str, element: &str) {
    let report = report(inside);
    let found: Vec<_> = report.errors.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(found, [message], "{inside}");
    assert_eq!((report.errors[0].line, report.errors[0].main_element_id.as_deref()), (4, Some(element)), "{inside}");
}

#[test]
fn dangling_references_are_named() {
    check("<sequenceFlow id=\"f\" sourceRef=\"nope\" targetRef=\"start\"/>", "Invalid source 'nope' of sequence flow 'f'", "f");
    check("<sequenceFlow id=\"f\" sourceRef=\"start\" targetRef=\"nope\"/>", "Invalid destination 'nope' of sequence flow 'f'", "f");
    check(
        "<intermediateCatchEvent id=\"c\"><messageEventDefinition id=\"d\" messageRef=\"nope\"/></intermediateCatchEvent>",
        "Invalid 'messageRef': no message with id 'nope' found.",
        "c",
    );
    check(
        "<intermediateThrowEvent id=\"c\"><signalEventDefinition signalRef=\"nope\"/></intermediateThrowEvent>",
        "Could not find signal with id 'nope'",
        "c",
    );
    check(
        "<userTask id=\"t\"/><boundaryEvent id=\"b\" attachedToRef=\"t\"><escalationEventDefinition escalationRef=\"nope\"/></boundaryEvent>",
        "could not find escalation with id 'nope'",
        "b",
    );
    check(
        "<boundaryEvent id=\"b\" attachedToRef=\"nope\"><timerEventDefinition><timeDate>x</timeDate></timerEventDefinition></boundaryEvent>",
        "Invalid reference in boundary event. Make sure that the referenced activity is defined in the same scope as the boundary event",
        "b",
    );
}

#[test]
fn a_flow_cannot_leave_its_scope() {
    check(
        "<subProcess id=\"s\"><task id=\"inner\"/></subProcess><sequenceFlow id=\"f\" sourceRef=\"start\" targetRef=\"inner\"/>",
        "Invalid destination 'inner' of sequence flow 'f'",
        "f",
    );
}

#[test]
fn what_an_event_or_a_task_lacks_is_said() {
    check(
        "<intermediateCatchEvent id=\"c\"><timerEventDefinition/></intermediateCatchEvent>",
        "Timer needs configuration (either timeDate, timeCycle or timeDuration is needed).",
        "c",
    );
    check("<intermediateCatchEvent id=\"c\"/>", "Unsupported intermediate catch event type", "c");
    check(
        "<subProcess id=\"s\"><startEvent id=\"x\"><timerEventDefinition><timeDate>x</timeDate></timerEventDefinition></startEvent></subProcess>",
        "timerEventDefinition is not allowed on start event within a subprocess",
        "x",
    );
    check(
        "<subProcess id=\"s\"><startEvent id=\"x\"/><startEvent id=\"y\"/></subProcess>",
        "multiple start events not supported for subprocess",
        "y",
    );
    check("<exclusiveGateway id=\"g\"/>", "Exclusive Gateway 'g' has no outgoing sequence flows.", "g");
    check(
        "<serviceTask id=\"t\" camunda:type=\"external\"/>",
        "External tasks must specify a 'topic' attribute in the camunda namespace",
        "t",
    );
    check(
        "<userTask id=\"t\"><multiInstanceLoopCharacteristics/></userTask>",
        "Either loopCardinality or loopDataInputRef/activiti:collection must been set",
        "t",
    );
    check("<callActivity id=\"c\"/>", "Missing attribute 'calledElement' or 'caseRef'", "c");
    let service = report("<serviceTask id=\"t\"/>");
    assert!(service.errors[0].message.starts_with("One of the attributes 'class', 'delegateExpression', 'type', or 'expression'"));
}

#[test]
fn ids_are_names_and_unique() {
    check("<task id=\"start\"/>", "cvc-id.2: There are multiple occurrences of ID value 'start'.", "start");
    check("<task id=\"1#a\"/>", "cvc-datatype-valid.1.2.1: '1#a' is not a valid value for 'NCName'.", "1#a");
    check("<task/>", "The element 'task' has no id. Give it an attribute 'id'.", "p");
}

#[test]
fn the_message_lists_every_error_with_its_place() {
    let text = report("<serviceTask id=\"t\"/>\n<exclusiveGateway id=\"g\"/>").message("a.bpmn");
    assert!(text.starts_with("ENGINE-09005 Could not parse BPMN process. Errors: \n* One of the attributes"), "{text}");
    assert!(text.contains(" | resource a.bpmn | line 4 | column 22\n* Exclusive Gateway 'g' has no"), "{text}");
}

#[test]
fn a_file_without_an_executable_process_deploys_nothing() {
    let xml = format!("{HEAD}</process></definitions>").replace("isExecutable=\"true\"", "isExecutable=\"false\"");
    assert_eq!(parse(&xml).expect("no error").len(), 0);
}
