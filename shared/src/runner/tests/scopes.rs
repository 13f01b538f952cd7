//! Subprocesses, multi-instance bodies, mappings, variables, listeners, modification.

use super::bench::{Bench, check, flows};
use crate::process::value::TypedValue;
use crate::runner::command::{Command, Modification, VariableScope};

fn sub(id: &str, inside: &str, pairs: &str) -> String {
    format!("<subProcess id='{id}'><startEvent id='{id}S'/>{inside}{}</subProcess>", flows(pairs))
}

#[test]
fn a_subprocess_has_an_execution_of_its_own() {
    let xml = "<startEvent id='s'/>".to_owned()
        + &sub("u", "<userTask id='a'/><endEvent id='x'/>", "uS->a a->x")
        + "<userTask id='b'/>"
        + &flows("s->u u->b");
    let bench = check(&xml, &[("", "p(u(a))"), ("a", "p(b)"), ("b", "ended")]);
    assert_eq!(bench.times("u"), 1);
}

#[test]
fn a_parallel_body_keeps_its_finished_tokens_until_it_ends() {
    let xml = "<startEvent id='s'/><userTask id='t'><multiInstanceLoopCharacteristics><loopCardinality>2</loopCardinality></multiInstanceLoopCharacteristics></userTask><userTask id='b'/>"
        .to_owned()
        + &flows("s->t t->b");
    let mut bench = Bench::started(&xml);
    assert_eq!(bench.tree(), "p(t#multiInstanceBody(t t))");
    bench.complete("t");
    assert_eq!(bench.tree(), "p(t#multiInstanceBody([t] t))");
    assert_eq!(bench.variable("nrOfCompletedInstances"), Some(&TypedValue::integer(1)));
    bench.complete("t");
    assert_eq!(bench.tree(), "p(b)");
    assert!(bench.instance.variables.is_empty(), "{:?}", bench.instance.variables);
}

#[test]
fn a_sequential_body_counts_on_its_own_execution() {
    let xml = "<startEvent id='s'/><userTask id='t'><multiInstanceLoopCharacteristics isSequential='true'><loopCardinality>2</loopCardinality></multiInstanceLoopCharacteristics></userTask><userTask id='b'/>"
        .to_owned()
        + &flows("s->t t->b");
    let mut bench = Bench::started(&xml);
    for round in 0..2 {
        assert_eq!(bench.tree(), "p(t#multiInstanceBody(t))");
        assert_eq!(bench.variable("loopCounter"), Some(&TypedValue::integer(round)));
        bench.complete("t");
    }
    assert_eq!(bench.tree(), "p(b)");
}

#[test]
fn mappings_read_around_and_write_around() {
    let xml = "<startEvent id='s'/><userTask id='a'><extensionElements><camunda:inputOutput>\
               <camunda:inputParameter name='in'>${v}</camunda:inputParameter><camunda:outputParameter name='out'>${in}</camunda:outputParameter>\
               </camunda:inputOutput></extensionElements></userTask><userTask id='b'/>"
        .to_owned()
        + &flows("s->a a->b");
    let mut bench = Bench::new(&xml);
    bench.start(&[("v", TypedValue::integer(7))]).expect("it starts");
    let on = |bench: &Bench, name: &str| bench.instance.variables.iter().find(|v| v.name == name).map(|v| v.execution_id.clone());
    assert_eq!(on(&bench, "in"), Some(bench.instance.tasks[0].execution_id.clone()));
    bench.complete("a");
    assert_eq!((on(&bench, "in"), on(&bench, "out")), (None, Some("pi".into())));
    assert_eq!(bench.variable("out"), Some(&TypedValue::integer(7)));
}

#[test]
fn concurrent_local_variables_go_along_with_their_token() {
    let xml = "<startEvent id='s'/><parallelGateway id='f'/><userTask id='a'/><userTask id='b'/>".to_owned() + &flows("s->f f->a f->b");
    let mut bench = Bench::started(&xml);
    let on = bench.instance.tasks.iter().find(|t| t.task_definition_key == "b").expect("b").execution_id.clone();
    let variables = vec![("l".to_owned(), TypedValue::integer(1))];
    bench.run(Command::SetVariables { scope: VariableScope::Execution(on), variables, local: true }).expect("it is set");
    bench.complete("a");
    assert_eq!(bench.instance.variables[0].execution_id, "pi", "folded with its token");
    bench.before("a").expect("a starts again");
    let b = bench.instance.tasks.iter().find(|t| t.task_definition_key == "b").expect("b").execution_id.clone();
    assert_eq!(bench.instance.variables[0].execution_id, b, "unfolded with its token");
}

#[test]
fn listeners_are_expressions() {
    let xml = "<startEvent id='s'/><userTask id='a' name='Do'><extensionElements>\
               <camunda:executionListener event='start' expression=\"${execution.setVariable('at', execution.currentActivityId)}\"/>\
               <camunda:executionListener event='end' expression=\"${execution.setVariable('ended', execution.eventName)}\"/>\
               <camunda:taskListener event='create' expression=\"${task.setPriority(99)}\"/>\
               <camunda:taskListener event='complete' expression=\"${task.setVariable('done', task.name)}\"/>\
               </extensionElements></userTask><userTask id='b'/>"
        .to_owned()
        + &flows("s->a a->b");
    let mut bench = Bench::started(&xml);
    assert_eq!(bench.instance.tasks[0].priority, 99);
    bench.complete("a");
    for (name, value) in [("at", "a"), ("ended", "end"), ("done", "Do")] {
        assert_eq!(bench.variable(name), Some(&TypedValue::string(value)), "{name}");
    }
}

#[test]
fn modification_starts_and_cancels() {
    let xml = "<startEvent id='s'/>".to_owned()
        + &sub("u", "<userTask id='a'/><userTask id='c'/>", "uS->a a->c")
        + "<userTask id='b'/>"
        + &flows("s->b b->u");
    let mut bench = Bench::started(&xml);
    bench.before("c").expect("c starts");
    assert_eq!(bench.tree(), "p(b u(c))");
    bench.modify(vec![Modification::CancelAll { activity_id: "b".into() }]).expect("b goes");
    assert_eq!(bench.tree(), "p(u(c))");
    bench.before("a").expect("a starts in the same subprocess");
    assert_eq!(bench.tree(), "p(u(a c))");
    let id = bench.instance.open.iter().find(|o| o.activity_id == "u").expect("u").id.clone();
    bench.modify(vec![Modification::CancelActivityInstance(id)]).expect("the last one goes");
    assert!(bench.ended, "nothing is left");
}

#[test]
fn an_instance_of_which_all_is_cancelled_may_begin_anew_in_the_same_modification() {
    let xml = "<startEvent id='s'/><userTask id='a'/><userTask id='b'/>".to_owned() + &flows("s->a a->b");
    let mut bench = Bench::started(&xml);
    let before = crate::runner::StartInstruction {
        kind: crate::runner::command::StartKind::BeforeActivity,
        target: "b".into(),
        ancestor_activity_instance: None,
        variables: vec![],
    };
    bench.modify(vec![Modification::CancelAll { activity_id: "a".into() }, Modification::Start(before)]).expect("it is modified");
    assert_eq!(bench.tree(), "p(b)");
    assert_eq!(bench.instance.executions.len(), 1);
}

#[test]
fn a_call_asks_for_its_instance_and_goes_on_with_its_result() {
    use crate::runner::Request;
    let xml = "<startEvent id='s'/><callActivity id='k' calledElement='q'><extensionElements>\
               <camunda:in source='v' target='w'/><camunda:out source='r' target='got'/></extensionElements></callActivity><userTask id='b'/>"
        .to_owned()
        + &flows("s->k k->b");
    let mut bench = Bench::new(&xml);
    bench.start(&[("v", TypedValue::integer(3))]).expect("it starts");
    let [Request::StartCalled { instance_id, called, variables, .. }] = bench.requests.as_slice() else { panic!("{:?}", bench.requests) };
    assert_eq!((called.as_str(), variables.as_slice()), ("q", [("w".to_owned(), TypedValue::integer(3))].as_slice()));
    let ended = Command::CalledEnded { called_instance: instance_id.clone(), variables: vec![("r".into(), TypedValue::integer(4))] };
    bench.run(ended.clone()).expect("it goes on");
    assert_eq!(bench.tree(), "p(b)");
    assert_eq!(bench.variable("got"), Some(&TypedValue::integer(4)));
    bench.run(ended).expect("told twice, it happens once");
    assert_eq!(bench.tree(), "p(b)");
}

#[test]
fn a_call_whose_instance_is_deleted_is_cancelled() {
    use crate::runner::Request;
    let xml = "<startEvent id='s'/><parallelGateway id='f'/><callActivity id='k' calledElement='q'/><userTask id='b'/>".to_owned()
        + &flows("s->f f->k f->b");
    let mut bench = Bench::started(&xml);
    let [Request::StartCalled { instance_id, .. }] = bench.requests.as_slice() else { panic!("{:?}", bench.requests) };
    bench.run(Command::CalledDeleted { called_instance: instance_id.clone() }).expect("it is told");
    assert_eq!(bench.tree(), "p(b)");
    assert_eq!(bench.requests.len(), 1, "nobody is asked to delete what is gone");
}
