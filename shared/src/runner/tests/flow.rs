//! Tasks, gateways and the end.

use super::bench::{Bench, check, flows};
use crate::process::history::{Closed, InstanceEnd};
use crate::process::value::TypedValue;

#[test]
fn two_tasks_one_after_the_other() {
    let xml = "<startEvent id='s'/><userTask id='a' name='Do'/><userTask id='b'/><endEvent id='e'/>".to_owned() + &flows("s->a a->b b->e");
    let bench = check(&xml, &[("", "p(a)"), ("a", "p(b)"), ("b", "ended")]);
    assert!(bench.instance.executions.is_empty());
    let last = bench.closed.last().expect("history");
    assert!(matches!(last, Closed::Instance { state: InstanceEnd::Completed, end_activity: Some(e), .. } if e == "e"), "{last:?}");
    for activity in ["s", "a", "b", "e"] {
        assert_eq!(bench.times(activity), 1, "{activity}");
    }
}

#[test]
fn a_parallel_gateway_waits_for_all_its_tokens() {
    let xml = "<startEvent id='s'/><parallelGateway id='f'/><userTask id='a'/><userTask id='b'/><parallelGateway id='j'/><userTask id='c'/>"
        .to_owned() + &flows("s->f f->a f->b a->j b->j j->c");
    let bench = check(&xml, &[("", "p(a b)"), ("b", "p(a j)"), ("a", "p(c)"), ("c", "ended")]);
    assert_eq!(bench.times("j"), 2, "two tokens were there");
    assert_eq!(bench.times("c"), 1);
}

#[test]
fn a_lone_branch_is_folded_into_its_scope() {
    let xml = "<startEvent id='s'/><parallelGateway id='f'/><userTask id='a'/><userTask id='b'/>".to_owned() + &flows("s->f f->a f->b");
    let mut bench = Bench::started(&xml);
    assert_eq!(bench.instance.executions.len(), 3);
    bench.complete("a");
    assert_eq!(bench.instance.executions.len(), 1);
    assert_eq!(bench.instance.tasks[0].execution_id, "pi");
    bench.complete("b");
    assert!(bench.ended);
}

#[test]
fn an_exclusive_gateway_takes_the_first_flow_that_holds() {
    let xml = "<startEvent id='s'/><exclusiveGateway id='g' default='g_c'/><userTask id='a'/><userTask id='b'/><userTask id='c'/>\
               <sequenceFlow id='g_a' sourceRef='g' targetRef='a'><conditionExpression>${way == 1}</conditionExpression></sequenceFlow>\
               <sequenceFlow id='g_b' sourceRef='g' targetRef='b'><conditionExpression>${way &lt; 3}</conditionExpression></sequenceFlow>"
        .to_owned()
        + &flows("s->g g->c");
    let check = |way: i64, expect: &str| {
        let mut bench = Bench::new(&xml);
        bench.start(&[("way", TypedValue::integer(way))]).expect("it starts");
        assert_eq!(bench.tree(), expect, "{way}");
    };
    check(1, "p(a)");
    check(2, "p(b)");
    check(7, "p(c)");
}

#[test]
fn a_condition_that_cannot_be_evaluated_refuses_the_command() {
    let xml = "<startEvent id='s'/><exclusiveGateway id='g' default='g_c'/><userTask id='a'/><userTask id='c'/>\
               <sequenceFlow id='g_a' sourceRef='g' targetRef='a'><conditionExpression>${way == 1}</conditionExpression></sequenceFlow>"
        .to_owned()
        + &flows("s->g g->c");
    let refusal = Bench::new(&xml).start(&[]).expect_err("way is not there");
    assert_eq!(refusal.message, "Unknown property used in expression: ${way == 1}. Cause: Cannot resolve identifier 'way'");
    assert_eq!(refusal.failed_activity.as_deref(), Some("g"));
}

#[test]
fn an_inclusive_gateway_joins_once_no_other_token_can_reach_it() {
    let flow = |to: &str, holds: bool| {
        format!(
            "<sequenceFlow id='g_{to}' sourceRef='g' targetRef='{to}'><conditionExpression>${{{holds}}}</conditionExpression></sequenceFlow>"
        )
    };
    let xml = "<startEvent id='s'/><inclusiveGateway id='g'/><userTask id='a'/><userTask id='b'/><userTask id='c'/><inclusiveGateway id='j'/><userTask id='d'/>"
        .to_owned()
        + &flow("a", true)
        + &flow("b", true)
        + &flow("c", false)
        + &flows("s->g a->j b->j c->j j->d");
    check(&xml, &[("", "p(a b)"), ("a", "p(b j)"), ("b", "p(d)"), ("d", "ended")]);
}

#[test]
fn what_needs_foreign_code_is_refused_by_name() {
    let xml = "<startEvent id='s'/><serviceTask id='x' camunda:class='org.example.Pay'/>".to_owned() + &flows("s->x");
    let refusal = Bench::new(&xml).start(&[]).expect_err("no Java here");
    assert!(refusal.message.contains("'x'") && refusal.message.contains("org.example.Pay"), "{refusal}");
    assert_eq!(refusal.failed_activity.as_deref(), Some("x"));
}

#[test]
fn a_loop_without_a_wait_state_comes_to_an_end() {
    let xml = "<startEvent id='s'/><manualTask id='a'/><manualTask id='b'/>".to_owned() + &flows("s->a a->b b->a");
    let refusal = Bench::new(&xml).start(&[]).expect_err("it goes round");
    assert!(refusal.message.contains("goes round"), "{refusal}");
}

#[test]
fn commands_on_things_that_are_not_there_say_so() {
    use crate::runner::Command;
    let xml = "<startEvent id='s'/><userTask id='a'/>".to_owned() + &flows("s->a");
    let check = |command: Command, kind: &str, message: &str| {
        let refusal = Bench::started(&xml).run(command).expect_err(message);
        assert_eq!((refusal.kind, refusal.message.as_str()), (kind, message));
    };
    let complete = Command::CompleteTask { task_id: "nope".into(), variables: vec![] };
    check(complete, "NullValueException", "Cannot find task with id nope: task is null");
    check(Command::ExecuteJob { job_id: "nope".into() }, "NullValueException", "No job found with id 'nope': job is null");
    check(Command::ResolveIncident { id: "nope".into() }, "NotFoundException", "Cannot find an incident with id 'nope': incident is null");
}

#[test]
fn a_deleted_instance_ends_its_tasks_with_a_reason() {
    use crate::runner::Command;
    let xml = "<startEvent id='s'/><userTask id='a'/>".to_owned() + &flows("s->a");
    let check = |reason: Option<&str>, of_task: &str| {
        let mut bench = Bench::started(&xml);
        let reason = reason.map(str::to_owned);
        bench
            .run(Command::Delete { reason: reason.clone(), skip_custom_listeners: false, skip_io_mappings: false })
            .expect("it is deleted");
        let task = bench.closed.iter().find_map(|c| match c {
            Closed::Task { delete_reason, .. } => Some(delete_reason.clone()),
            _ => None,
        });
        assert_eq!(task, Some(Some(of_task.to_owned())));
        let last = bench.closed.last();
        assert!(
            matches!(last, Some(Closed::Instance { delete_reason, state: InstanceEnd::ExternallyTerminated, .. }) if *delete_reason == reason)
        );
    };
    check(None, "deleted");
    check(Some("enough"), "enough");
}
