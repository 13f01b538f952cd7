//! Files that are made to hurt: each is refused or read, in time and memory that a test can afford.

use shared::migration::{MigrationInstruction, MigrationPlan, generate, validate_plan};
use shared::process::parse::{MAX_ACTIVITIES, MAX_ATTRIBUTES, MAX_NAMESPACES, MAX_XML_BYTES, MAX_XML_DEPTH, parse};

fn process(inside: &str) -> String {
    format!(
        "<definitions xmlns=\"http://www.omg.org/spec/BPMN/20100524/MODEL\"><process id=\"p\" isExecutable=\"true\">{inside}</process></definitions>"
    )
}

fn many(n: usize, one: impl Fn(usize) -> String) -> String {
    (0..n).map(one).collect()
}

#[track_caller]
fn refused(xml: &str, why: &str) {
    let report = parse(xml).expect_err("refused");
    let text = report.message("process.bpmn");
    assert!(text.contains(why), "{}", &text[..text.len().min(500)]);
}

#[test]
fn a_document_type_is_refused() {
    let bomb = "<!DOCTYPE d [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;\">]><d>&b;</d>";
    refused(bomb, "not well-formed or not allowed");
    refused("this is no XML", "not well-formed");
    refused("<definitions><process id=\"p\"/></definitions>", "Cannot find the declaration of element 'definitions'");
}

#[test]
fn size_depth_attributes_and_namespaces_are_bounded() {
    refused(&" ".repeat(MAX_XML_BYTES + 1), "larger than");
    refused(&process(&many(100_000, |n| format!("<subProcess id=\"s{n}\">"))), &format!("nested more than {MAX_XML_DEPTH} deep"));
    let attributes = many(200_000, |n| format!(" a{n}=\"\""));
    refused(&process(&format!("<task id=\"t\" quoted=\">\"{attributes}/>")), &format!("more than {MAX_ATTRIBUTES} attributes"));
    let nested = |n: usize| {
        let open = many(n, |i| format!("<subProcess id=\"s{i}\" xmlns:n{i}=\"urn:n{i}\">"));
        process(&format!("{open}{}", "</subProcess>".repeat(n)))
    };
    refused(&nested(MAX_NAMESPACES), "namespace declarations");
    assert!(parse(&nested(MAX_NAMESPACES - 1)).is_ok());
}

#[test]
fn the_deepest_model_is_read() {
    let depth = MAX_XML_DEPTH - 2;
    let open = many(depth, |n| format!("<subProcess id=\"s{n}\">"));
    let definition = parse(&process(&format!("{open}{}", "</subProcess>".repeat(depth)))).expect("a model").remove(0);
    assert_eq!(definition.activities.len(), depth);
    assert_eq!(generate(&definition, &definition, false, None).expect("a plan").instructions.len(), depth);
}

#[test]
fn many_elements_cost_no_more_than_their_number() {
    refused(&process(&many(MAX_ACTIVITIES + 1, |n| format!("<task id=\"t{n}\"/>"))), "more than");
    // Each of these once cost the square of its number.
    let associations = many(50_000, |n| format!("<association id=\"a{n}\" sourceRef=\"x{n}\" targetRef=\"y{n}\"/>"));
    refused(&process(&associations), "Invalid reference sourceRef 'x0'");
    let flows = many(50_000, |n| format!("<sequenceFlow id=\"f{n}\" sourceRef=\"g\" targetRef=\"nowhere\"/>"));
    refused(&process(&format!("<eventBasedGateway id=\"g\"/>{flows}")), "Invalid destination 'nowhere' of sequence flow 'f0'");
    let handlers = many(9_000, |n| format!("<task id=\"h{n}\" isForCompensation=\"true\"/>"));
    assert_eq!(parse(&process(&handlers)).expect("a model")[0].activities.len(), 9_000);
    let gateways = many(9_000, |n| format!("<exclusiveGateway id=\"g{n}\"/>"));
    refused(&process(&gateways), "has no outgoing sequence flows");
}

#[test]
fn many_scopes_and_many_instructions_cost_no_more_than_their_number() {
    let scopes = many(4_000, |n| format!("<subProcess id=\"s{n}\"><userTask id=\"t{n}\"/></subProcess>"));
    let definition = parse(&process(&scopes)).expect("a model").remove(0);
    assert_eq!(generate(&definition, &definition, true, None).expect("a plan").instructions.len(), 8_000);
    // The message of each names all the others.
    let instructions = vec![MigrationInstruction::new("t0", "t0", false); 20_000];
    let plan = MigrationPlan { instructions, ..MigrationPlan::default() };
    let report = validate_plan(&plan, &definition, &definition);
    assert_eq!(report.instructions.len(), 20_000);
    assert!(report.message(&plan).len() < 100_000_000);
}
