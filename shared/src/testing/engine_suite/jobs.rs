//! Jobs of instances that are due, and their definitions.

use super::*;
use crate::job::LEASE_MS;
use crate::process::history::JobEvent;
use crate::store::query::{JobDefinitionQuery, JobLogQuery};
use crate::store::{BatchStore, RunDue, WakeLimits};

pub async fn a_due_job_runs(store: &SqlStore) {
    let definition = deploy(store, "order", ASYNC_TASK).await;
    let started = start(store, &definition.id, vec![]).await;
    assert_eq!(started.due, std::slice::from_ref(&started.instance_id), "to be published at once");
    let id = started.instance_id;
    store.set_instance_suspended(&anyone(), &id, true).await.expect("a suspension");
    assert_eq!(store.run_due_job(&id).await.expect("a run"), RunDue::Idle);
    store.set_instance_suspended(&anyone(), &id, false).await.expect("an activation");
    assert_eq!(store.run_due_job(&id).await.expect("a run"), RunDue::Ran { more: false });
    assert_eq!(document(store, &id).await.instance.tasks.len(), 1);
    assert_eq!(store.run_due_job(&id).await.expect("a run"), RunDue::Idle);
    assert_eq!(store.run_due_job("nope").await.expect("a run"), RunDue::Gone);
}

pub async fn a_failing_job_ends_in_an_incident(store: &SqlStore) {
    let definition = deploy(store, "failing", FAILING).await;
    let id = start(store, &definition.id, vec![]).await.instance_id;
    for attempt in 1..=3 {
        let run = store.run_due_job(&id).await.expect("a run");
        let RunDue::Failed { message, more } = run else { panic!("{run:?}") };
        assert!(message.contains("missing"), "{message}");
        assert_eq!(more, attempt < 3, "attempt {attempt}");
    }
    assert_eq!(store.run_due_job(&id).await.expect("a run"), RunDue::Idle);
    let stored = document(store, &id).await.instance;
    assert_eq!((stored.jobs[0].retries, stored.incidents.len()), (0, 1));
    let by_type = InstanceQuery { incident_type: Some("failedJob".into()), ..of_definition(&definition.id) };
    assert_eq!(found(store, &by_type).await, [id]);
}

/// Two messages for one instance, taken at the same time: what fails in both is charged as often as the job has retries.
pub async fn attempts_at_the_same_time_are_not_charged_beyond_the_retries(store: &SqlStore) {
    let definition = deploy(store, "failing", FAILING).await;
    for _ in 0..5 {
        let id = start(store, &definition.id, vec![]).await.instance_id;
        while document(store, &id).await.instance.jobs[0].retries > 0 {
            let both = tokio::join!(store.run_due_job(&id), store.run_due_job(&id));
            for run in [both.0, both.1] {
                assert!(matches!(run, Ok(_) | Err(Error::OptimisticLock { .. })), "{run:?}");
            }
        }
        let stored = document(store, &id).await.instance;
        assert_eq!((stored.jobs[0].retries, stored.incidents.len()), (0, 1));
        let log = JobLogQuery { process_instance_id: Some(id), kinds: vec![JobEvent::Failed], ..JobLogQuery::default() };
        assert!(store.count_job_log(&anyone(), &log).await.expect("a count") <= 3, "a failure is logged beyond the retries");
    }
}

pub async fn a_suspended_job_definition_suspends_new_jobs(store: &SqlStore) {
    let definition = deploy(store, "order", ASYNC_TASK).await;
    let before = start(store, &definition.id, vec![]).await.instance_id;
    let query = JobDefinitionQuery { process_definition_id: Some(definition.id.clone()), ..JobDefinitionQuery::default() };
    let job_definition = store.job_definitions(&anyone(), &query, Page::default()).await.expect("a query").remove(0).id;
    let changed = store.set_process_job_definition_suspended(&anyone(), &job_definition, true, false).await.expect("a suspension");
    assert_eq!(changed, Some(vec![]));
    let suspended = JobDefinitionQuery { suspended: true, ..query.clone() };
    assert_eq!(store.count_job_definitions(&anyone(), &suspended).await.expect("a count"), 1);
    store.set_process_job_definition_priority(&anyone(), &job_definition, Some(7), false).await.expect("a priority").expect("a definition");
    let after = start(store, &definition.id, vec![]).await;
    assert!(after.due.is_empty());
    let jobs = |id: String| async move { document(store, &id).await.instance.jobs };
    let job = jobs(after.instance_id.clone()).await.remove(0);
    assert_eq!((job.suspended, job.priority), (true, 7));
    assert!(!jobs(before.clone()).await[0].suspended, "those that were there stay");
    let all = store.set_process_job_definition_suspended(&anyone(), &job_definition, false, true).await.expect("an activation");
    assert!(all.expect("a definition").contains(&after.instance_id));
    assert!(!jobs(after.instance_id).await[0].suspended);
    store.set_process_job_definition_priority(&anyone(), &job_definition, Some(9), true).await.expect("a priority");
    assert_eq!(jobs(before).await[0].priority, 9);
    assert!(store.set_process_job_definition_suspended(&anyone(), "nope", true, true).await.expect("no definition").is_none());
}

const BY_TIMER: &str = r#"<startEvent id="start"><timerEventDefinition><timeDate>2020-01-01T00:00:00</timeDate></timerEventDefinition></startEvent>
    <sequenceFlow id="f1" sourceRef="start" targetRef="first"/><userTask id="first"/>"#;
const FAR_AHEAD: &str = r#"<startEvent id="start"><timerEventDefinition><timeDuration>P1D</timeDuration></timerEventDefinition></startEvent>
    <sequenceFlow id="f1" sourceRef="start" targetRef="first"/><userTask id="first"/>"#;

pub async fn a_timer_starts_instances(store: &SqlStore) {
    let far = deploy(store, "ticks", FAR_AHEAD).await;
    let limits = WakeLimits { work: 10, instances: 10 };
    assert!(store.wake(limits).await.expect("a wake").timers.is_empty(), "it is due tomorrow");
    let definition = deploy(store, "ticks", BY_TIMER).await;
    let timers = store.wake(limits).await.expect("a wake").timers;
    assert_eq!(timers.len(), 1, "that of the version before has gone");
    store.set_definition_suspended_state(&anyone(), &definition.id, true, false).await.expect("a suspension");
    assert_eq!(store.run_timer(&timers[0]).await.expect("a run"), RunDue::Idle, "no starts while it is suspended");
    store.set_definition_suspended_state(&anyone(), &definition.id, false, false).await.expect("an activation");
    assert!(matches!(store.run_timer(&timers[0]).await.expect("a run"), RunDue::Ran { more: false }));
    assert_eq!(found(store, &of_definition(&definition.id)).await.len(), 1);
    assert!(found(store, &of_definition(&far.id)).await.is_empty());
    assert_eq!(store.run_timer(&timers[0]).await.expect("a run"), RunDue::Idle, "it has run");
    let broken = deployment("broken", &[("process.bpmn", bpmn("broken", &FAR_AHEAD.replace("P1D", "soon")))]);
    assert!(refusal(store.deploy(&anyone(), broken).await).message.contains("soon"));
}

/// Each worker that tries a job of the instance dies over it; another token is another worker.
pub async fn a_job_that_kills_its_workers_is_given_up(store: &SqlStore) {
    let definition = deploy(store, "order", ASYNC_TASK).await;
    let id = start(store, &definition.id, vec![]).await.instance_id;
    let dies = async |token: &str| store.die_over(&id, token).await.expect("a lease");
    for (n, token) in ["a", "b", "c", "d"].into_iter().enumerate() {
        assert_eq!(dies(token).await, Some(n as i32 + 1));
        assert_eq!(store.run_due_job_with_care(&id, "another").await.expect("a look"), RunDue::Idle, "{token} has the lease");
        assert_eq!(dies(token).await, Some(n as i32 + 1), "the same attempt");
        store.age(LEASE_MS + 1).await.expect("time passes");
    }
    assert_eq!(store.run_due_job(&id).await.expect("a look"), RunDue::Careful, "whatever the message says");
    let given_up = store.run_due_job_with_care(&id, "e").await.expect("a run");
    assert_eq!(given_up, RunDue::Failed { message: "the worker died 5 times".into(), more: true });
    let job = document(store, &id).await.instance.jobs.remove(0);
    assert_eq!((job.retries, job.exception_message.as_deref()), (2, Some("the worker died 5 times")));
    assert_eq!(store.run_due_job(&id).await.expect("a run"), RunDue::Ran { more: false }, "counted anew after a clean failure");
}

pub async fn a_job_run_with_care_ends_the_care(store: &SqlStore) {
    let definition = deploy(store, "order", ASYNC_TASK).await;
    let id = start(store, &definition.id, vec![]).await.instance_id;
    assert_eq!(store.run_due_job_with_care(&id, "a").await.expect("a run"), RunDue::Ran { more: false });
    assert_eq!(store.die_over(&id, "b").await.expect("a lease"), Some(1), "no lease is left");
    assert_eq!(store.run_due_job_with_care(&id, "b").await.expect("a look"), RunDue::Idle);
    assert_eq!(store.run_due_job_with_care("nope", "a").await.expect("a look"), RunDue::Gone);
}
