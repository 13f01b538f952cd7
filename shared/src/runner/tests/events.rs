//! Boundary events, event subprocesses, gateways of events, conditions, errors, escalations.

use super::bench::{Bench, check, flows};
use crate::process::instance::SubscriptionKind;
use crate::process::value::TypedValue;

const MESSAGE: &str = "<messageEventDefinition messageRef='M'/>";

fn boundary(host: &str, cancels: bool, event: &str) -> String {
    format!("<boundaryEvent id='bo' attachedToRef='{host}' cancelActivity='{cancels}'>{event}</boundaryEvent><userTask id='x'/>")
        + &flows("bo->x")
}

fn event_sub(interrupts: bool, event: &str) -> String {
    format!(
        "<subProcess id='es' triggeredByEvent='true'><startEvent id='esS' isInterrupting='{interrupts}'>{event}</startEvent><userTask id='y'/>"
    ) + &flows("esS->y")
        + "</subProcess>"
}

#[test]
fn a_boundary_event_interrupts_its_host_or_not() {
    let xml = |cancels| "<startEvent id='s'/><userTask id='a'/>".to_owned() + &flows("s->a") + &boundary("a", cancels, MESSAGE);
    check(&xml(true), &[("", "p(a)"), ("!bo", "p(x)"), ("x", "ended")]);
    check(&xml(false), &[("", "p(a)"), ("!bo", "p(a x)"), ("!bo", "p(a x x)"), ("a", "p(x x)"), ("x", "p(x)"), ("x", "ended")]);
}

#[test]
fn the_triggers_of_a_scope_go_with_it() {
    let xml = "<startEvent id='s'/><userTask id='a'/><userTask id='b'/>".to_owned() + &flows("s->a a->b") + &boundary("a", true, MESSAGE);
    let mut bench = Bench::started(&xml);
    assert_eq!(bench.instance.subscriptions.len(), 1);
    bench.complete("a");
    assert_eq!((bench.instance.subscriptions.len(), bench.instance.executions.len()), (0, 1));
}

#[test]
fn an_event_subprocess_interrupts_its_scope_or_not() {
    let xml = |interrupts| "<startEvent id='s'/><userTask id='a'/>".to_owned() + &flows("s->a") + &event_sub(interrupts, MESSAGE);
    let bench = check(&xml(true), &[("", "p(a)"), ("!esS", "p(es(y))"), ("y", "ended")]);
    assert_eq!(bench.times("a"), 1, "cancelled");
    check(
        &xml(false),
        &[("", "p(a)"), ("!esS", "p(a es(y))"), ("!esS", "p(a es(y) es(y))"), ("y", "p(a es(y))"), ("a", "p(es(y))"), ("y", "ended")],
    );
}

#[test]
fn an_event_based_gateway_goes_with_the_first_event() {
    let xml = "<startEvent id='s'/><eventBasedGateway id='g'/><intermediateCatchEvent id='c'><messageEventDefinition messageRef='M'/></intermediateCatchEvent>\
               <intermediateCatchEvent id='d'><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></intermediateCatchEvent><userTask id='a'/><userTask id='b'/>"
        .to_owned()
        + &flows("s->g g->c g->d c->a d->b");
    check(&xml, &[("", "p(g)"), ("!c", "p(a)")]);
    let bench = check(&xml, &[("", "p(g)"), ("@d", "p(b)")]);
    assert!(bench.instance.subscriptions.is_empty());
}

#[test]
fn a_condition_looks_at_every_change_of_a_variable() {
    let condition = "<conditionalEventDefinition><condition>${go == true}</condition></conditionalEventDefinition>";
    let xml = "<startEvent id='s'/><userTask id='a'/>".to_owned() + &flows("s->a") + &boundary("a", true, condition);
    let mut bench = Bench::started(&xml);
    bench.set("other", TypedValue::integer(1));
    assert_eq!(bench.tree(), "p(a)");
    bench.set("go", TypedValue::boolean(true));
    assert_eq!(bench.tree(), "p(x)");
}

#[test]
fn an_error_goes_to_the_nearest_that_catches_it() {
    let inside = "<startEvent id='uS'/><endEvent id='uE'><errorEventDefinition errorRef='E'/></endEvent>".to_owned() + &flows("uS->uE");
    let xml = |event: &str| {
        format!("<startEvent id='s'/><subProcess id='u'>{inside}</subProcess>") + &flows("s->u") + &boundary("u", true, event)
    };
    check(&xml("<errorEventDefinition errorRef='E'/>"), &[("", "p(x)")]);
    check(&xml("<errorEventDefinition/>"), &[("", "p(x)")]);
    check(&xml(MESSAGE), &[("", "ended")]);
}

#[test]
fn an_escalation_that_does_not_interrupt_lets_its_thrower_go_on() {
    let inside = "<startEvent id='uS'/><intermediateThrowEvent id='t'><escalationEventDefinition escalationRef='X'/></intermediateThrowEvent><userTask id='a'/>"
        .to_owned()
        + &flows("uS->t t->a");
    let xml = |cancels| {
        format!("<startEvent id='s'/><subProcess id='u'>{inside}</subProcess>")
            + &flows("s->u")
            + &boundary("u", cancels, "<escalationEventDefinition escalationRef='X'/>")
    };
    check(&xml(false), &[("", "p(u(a) x)"), ("x", "p(u(a))"), ("a", "ended")]);
    check(&xml(true), &[("", "p(x)")]);
}

#[test]
fn a_terminate_end_event_ends_all_of_its_scope() {
    let inside = "<startEvent id='uS'/><parallelGateway id='f'/><userTask id='a'/><userTask id='b'/><endEvent id='t'><terminateEventDefinition/></endEvent>".to_owned()
        + &flows("uS->f f->a f->b a->t");
    let xml = format!("<startEvent id='s'/><subProcess id='u'>{inside}</subProcess><userTask id='c'/>") + &flows("s->u u->c");
    check(&xml, &[("", "p(u(a b))"), ("a", "p(c)")]);
    let whole = inside.replace("uS", "s");
    check(&whole, &[("", "p(a b)"), ("a", "ended")]);
}

#[test]
fn a_thrown_signal_carries_what_its_mappings_say() {
    let xml = "<startEvent id='s'/><intermediateThrowEvent id='t'><signalEventDefinition signalRef='S'><extensionElements>\
               <camunda:in source='a' target='b'/><camunda:in sourceExpression='${a}' target='c'/><camunda:in businessKey='${a}'/>\
               </extensionElements></signalEventDefinition></intermediateThrowEvent><userTask id='u'/>"
        .to_owned()
        + &flows("s->t t->u");
    let mut bench = Bench::new(&xml);
    bench.start(&[("a", TypedValue::string("A")), ("other", TypedValue::string("B"))]).expect("it starts");
    let [crate::runner::Request::Signal { name, business_key, variables }] = bench.requests.as_slice() else {
        panic!("{:?}", bench.requests)
    };
    assert_eq!((name.as_str(), business_key.as_deref()), ("s", Some("A")));
    let value = TypedValue::string("A");
    assert_eq!(*variables, [("b".to_owned(), value.clone()), ("c".to_owned(), value)]);
}

#[test]
fn the_initiator_is_a_variable() {
    let xml = "<startEvent id='s' camunda:initiator='who'/><userTask id='u' camunda:assignee='${who}'/>".to_owned() + &flows("s->u");
    let mut bench = Bench::new(&xml);
    bench.instance.start_user = Some("mary".into());
    bench.start(&[]).expect("it starts");
    assert_eq!(bench.instance.tasks[0].assignee.as_deref(), Some("mary"));
    let nobody = Bench::started(&xml);
    assert_eq!((nobody.instance.variables[0].name.as_str(), &nobody.instance.variables[0].value), ("who", &TypedValue::null()));
}

#[test]
fn a_signal_is_asked_for_and_a_receive_task_waits() {
    let xml = "<startEvent id='s'/><intermediateThrowEvent id='t'><signalEventDefinition signalRef='S'/></intermediateThrowEvent><receiveTask id='r' messageRef='N'/>"
        .to_owned()
        + &flows("s->t t->r");
    let mut bench = check(&xml, &[("", "p(r)")]);
    assert!(matches!(bench.requests.as_slice(), [crate::runner::Request::Signal { name, .. }] if name == "s"), "{:?}", bench.requests);
    assert_eq!(bench.instance.subscriptions[0].kind, SubscriptionKind::Message);
    bench.deliver("r");
    assert!(bench.ended);
}
