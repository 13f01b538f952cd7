//! Async continuations, timers, retries, incidents, external tasks.

use super::bench::{Bench, NOW, check, flows};
use crate::process::history::{Closed, IncidentEnd, JobEvent};
use crate::process::value::TypedValue;
use crate::runner::Command;

#[test]
fn an_async_activity_parks_its_token() {
    let xml = "<startEvent id='s'/><userTask id='a' camunda:asyncBefore='true' camunda:asyncAfter='true'/><userTask id='b'/>".to_owned()
        + &flows("s->a a->b");
    let bench = check(&xml, &[("", "p([a])"), ("@a", "p(a)"), ("a", "p([a])"), ("@a", "p(b)")]);
    let jobs = bench.closed.iter().filter_map(|c| match c {
        Closed::Job { record, event: JobEvent::Created, .. } => Some(record.configuration.as_str()),
        _ => None,
    });
    assert_eq!(jobs.collect::<Vec<_>>(), ["transition-create-scope", "transition-notify-listener-take$a_b"]);
}

#[test]
fn a_failed_job_loses_a_retry_and_at_none_is_an_incident() {
    let xml = "<startEvent id='s'/><serviceTask id='x' camunda:asyncBefore='true' camunda:class='c'/>".to_owned() + &flows("s->x");
    let mut bench = Bench::started(&xml);
    for retries in [2, 1, 0] {
        let refusal = bench.job("x").expect_err("no Java here");
        let job_id = bench.instance.jobs[0].id.clone();
        bench.run(Command::job_failed(&job_id, &refusal)).expect("noted");
        assert_eq!(bench.instance.jobs[0].retries, retries);
        assert_eq!(bench.instance.incidents.len(), usize::from(retries == 0));
    }
    let job_id = bench.instance.jobs[0].id.clone();
    bench.run(Command::SetJobRetries { job_id, retries: 2, due: None }).expect("set");
    assert!(bench.instance.incidents.is_empty());
    assert!(bench.closed.iter().any(|c| matches!(c, Closed::Incident { state: IncidentEnd::Resolved, .. })));
}

#[test]
fn retries_by_job_definition_leave_the_incident_until_the_job_runs() {
    let xml = "<startEvent id='s'/><userTask id='x' camunda:asyncBefore='true'/>".to_owned() + &flows("s->x");
    let mut bench = Bench::started(&xml);
    let job_id = bench.instance.jobs[0].id.clone();
    let fail = |bench: &mut Bench| {
        let (message, details) = ("no".to_owned(), "no".to_owned());
        bench.run(Command::JobFailed { job_id: job_id.clone(), message, details, failed_activity: None }).expect("noted");
    };
    let set = |of: &str| Command::SetJobDefinitionRetries { job_definition_id: of.to_owned(), retries: 1, due: Some(Some(7)) };
    (0..3).for_each(|_| fail(&mut bench));
    let incidents = bench.instance.incidents.clone();
    assert_eq!(incidents.len(), 1);
    bench.run(set("another")).expect("nothing to do");
    assert_eq!(bench.instance.jobs[0].retries, 0);
    bench.run(set("jd-x-async-before")).expect("set");
    assert_eq!((bench.instance.jobs[0].retries, bench.instance.jobs[0].due), (1, Some(7)));
    assert_eq!(bench.instance.incidents, incidents);
    fail(&mut bench);
    assert_eq!(bench.instance.incidents, incidents, "no second one");
    bench.run(set("jd-x-async-before")).expect("set");
    bench.job("x").expect("it runs");
    assert!(bench.instance.incidents.is_empty());
    assert!(bench.closed.iter().any(|c| matches!(c, Closed::Incident { state: IncidentEnd::Resolved, .. })));
}

#[test]
fn a_cron_cycle_fires_again_at_its_next_time() {
    let xml = "<startEvent id='s'/><userTask id='a'/><boundaryEvent id='b' attachedToRef='a' cancelActivity='false'><timerEventDefinition>\
               <timeCycle>0 0 8 ? * MON-FRI</timeCycle></timerEventDefinition></boundaryEvent><userTask id='x'/>"
        .to_owned()
        + &flows("s->a b->x");
    let mut bench = Bench::started(&xml);
    // Now is Tuesday, 14 November 2023, 22:13:20 UTC.
    let wednesday = 1_700_035_200_000;
    assert_eq!(bench.instance.jobs[0].due, Some(wednesday));
    assert_eq!(bench.instance.jobs[0].repeat.as_deref(), Some("0 0 8 ? * MON-FRI"));
    bench.job("b").expect("it fires");
    assert_eq!(bench.instance.jobs.iter().map(|j| j.due).collect::<Vec<_>>(), [Some(wednesday)], "the next one, seen from now");
}

#[test]
fn a_retry_cycle_spreads_the_attempts() {
    let xml = "<startEvent id='s'/><serviceTask id='x' camunda:asyncBefore='true' camunda:class='c'><extensionElements>\
               <camunda:failedJobRetryTimeCycle>R5/PT10M</camunda:failedJobRetryTimeCycle></extensionElements></serviceTask>"
        .to_owned()
        + &flows("s->x");
    let mut bench = Bench::started(&xml);
    let job_id = bench.instance.jobs[0].id.clone();
    bench.run(Command::JobFailed { job_id, message: "no".into(), details: "no".into(), failed_activity: None }).expect("noted");
    assert_eq!((bench.instance.jobs[0].retries, bench.instance.jobs[0].due), (4, Some(NOW + 600_000)));
}

#[test]
fn a_timer_is_due_when_its_model_says() {
    let timer = |text: &str| {
        format!(
            "<startEvent id='s'/><intermediateCatchEvent id='c'><timerEventDefinition>{text}</timerEventDefinition></intermediateCatchEvent>"
        ) + &flows("s->c")
    };
    let check = |text: &str, due: i64| {
        let mut bench = Bench::new(&timer(text));
        bench.start(&[("v", TypedValue::string("PT5M"))]).expect("it starts");
        assert_eq!(bench.instance.jobs[0].due, Some(due), "{text}");
        bench.job("c").expect("it fires");
        assert!(bench.ended);
    };
    check("<timeDuration>PT10M</timeDuration>", NOW + 600_000);
    check("<timeDuration>${v}</timeDuration>", NOW + 300_000);
    check("<timeDate>2090-01-01T12:00:00</timeDate>", 3_786_955_200_000);
}

#[test]
fn a_cycle_that_does_not_interrupt_fires_again() {
    let xml = "<startEvent id='s'/><userTask id='a'/><boundaryEvent id='bo' attachedToRef='a' cancelActivity='false'><timerEventDefinition>\
               <timeCycle>R3/PT1H</timeCycle></timerEventDefinition></boundaryEvent><userTask id='x'/>"
        .to_owned() + &flows("s->a bo->x");
    let bench = check(&xml, &[("", "p(a)"), ("@bo", "p(a x)"), ("@bo", "p(a x x)")]);
    assert_eq!(bench.instance.jobs.len(), 1);
}

#[test]
fn a_timeout_listener_runs_beside_its_task() {
    let xml = "<startEvent id='s'/><userTask id='a'><extensionElements><camunda:taskListener id='l' event='timeout' expression=\"${task.setVariable('late', true)}\">\
               <timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></camunda:taskListener></extensionElements></userTask>"
        .to_owned()
        + &flows("s->a");
    let mut bench = check(&xml, &[("", "p(a)"), ("@a", "p(a)")]);
    assert_eq!(bench.variable("late"), Some(&TypedValue::boolean(true)));
    bench.complete("a");
    assert!(bench.ended);
}

#[test]
fn an_external_task_is_locked_failed_and_completed() {
    let xml = "<startEvent id='s'/><serviceTask id='x' camunda:type='external' camunda:topic='t'/>".to_owned() + &flows("s->x");
    let mut bench = Bench::started(&xml);
    let id = bench.instance.external_tasks[0].id.clone();
    bench.run(Command::LockExternalTask { id: id.clone(), worker_id: "w".into(), until: NOW + 1 }).expect("locked");
    let failure = |retries| Command::FailExternalTask {
        id: id.clone(),
        message: Some("no".into()),
        details: (retries > 0).then(|| "long story".to_owned()),
        retries,
        retry_at: NOW,
        variables: vec![],
        local_variables: vec![],
    };
    bench.run(failure(1)).expect("failed");
    assert!(bench.instance.incidents.is_empty());
    bench.run(failure(0)).expect("failed");
    assert_eq!(bench.instance.incidents[0].message.as_deref(), Some("no"));
    assert_eq!(bench.instance.external_tasks[0].error_details.as_deref(), Some("long story"), "the details last given stay");
    bench.run(Command::CompleteExternalTask { id, variables: vec![], local_variables: vec![] }).expect("completed");
    assert!(bench.ended);
    assert!(bench.closed.iter().any(|c| matches!(c, Closed::Incident { state: IncidentEnd::Resolved, .. })));
}
