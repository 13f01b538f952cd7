//! Executing, failing, retrying, completing.

use super::{
    Bench, Herder, TARGET, checked, execute, execute_with, instance, job, migrated, new_batch, numbers, seed_all, seeded, submit, whole,
    work,
};
use crate::id;
use crate::job::{Failure, WorkRef};
use crate::process::history::JobEvent;
use crate::process::instance::Instance;
use crate::store::query::{BatchQuery, HistoricBatchQuery, JobLogQuery, Page};
use crate::store::{Caller, Decide, Item, ItemContext, ItemOutcome, Mode, Portion};

fn log_of(job: &WorkRef, kind: JobEvent) -> JobLogQuery {
    JobLogQuery { job_id: Some(id::numbered(&job.batch, job.number)), kinds: vec![kind], ..JobLogQuery::default() }
}

pub async fn a_batch_without_failures_ends_by_itself(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 150, 1).await;
    let store = bench.store();
    assert!(!store.complete(&batch).await.unwrap(), "there is work left");
    let executed = execute(bench, &[whole(&batch, 2), whole(&batch, 102)]).await;
    assert_eq!((executed.succeeded_instances, executed.failed_instances, executed.next.len()), (150, 0, 0));
    let before = checked(bench, &batch).await;
    assert_eq!((before.statistics.completed_jobs, before.statistics.done_instances), (150, 150));
    assert!(before.execution_start_time.is_some());
    assert_eq!(migrated(bench, &ids).await, 150);
    assert_eq!(execute(bench, &[whole(&batch, 2)]).await.gone, [work(&batch, 2)], "a doubled message finds nothing");
    assert!(store.look(std::slice::from_ref(&batch)).await.unwrap()[0].may_complete());
    assert!(store.complete(&batch).await.unwrap());
    assert!(!store.complete(&batch).await.unwrap(), "once");
    assert!(!store.look(std::slice::from_ref(&batch)).await.unwrap()[0].exists);
    let query = HistoricBatchQuery { id: Some(batch.clone()), ..HistoricBatchQuery::default() };
    let historic = store.historic_batches(&Caller::anonymous(), &query, Page::default()).await.unwrap().remove(0);
    assert_eq!((historic.migrated_instances, historic.failed_instances, historic.cancelled_instances), (Some(150), Some(0), Some(0)));
    assert_eq!(historic.execution_start_time, before.execution_start_time);
    assert!(historic.end_time.is_some());
}

/// Also changes the document of every other one; all else says only which definition it is of, which the row does.
struct Rewrites(Vec<String>);

impl Rewrites {
    fn note(&self, id: &str) -> Option<String> {
        (self.0.iter().position(|known| known == id)? % 2 == 0).then(|| format!("note of {id}"))
    }
}

impl Decide for Rewrites {
    fn decide(&self, cx: &ItemContext<'_>, item: Item) -> ItemOutcome {
        let note = self.note(&item.id);
        match Herder::default().decide(cx, item) {
            ItemOutcome::Changed { mut instance, closed, requests, ended } => {
                instance.start_user = note;
                ItemOutcome::Changed { instance, closed, requests, ended }
            }
            other => other,
        }
    }
}

pub async fn documents_that_change_and_that_stay_are_written_together(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 40, 1).await;
    let decide = Rewrites(ids.clone());
    let executed = bench.store().execute(&[whole(&batch, 2)], &Mode::Normal, &decide).await.unwrap();
    assert_eq!(executed.succeeded_instances, 40);
    assert_eq!(migrated(bench, &ids).await, 40);
    for id in &ids {
        let stored = bench.store().instance(&Caller::anonymous(), id).await.unwrap().unwrap();
        let expected = Instance { definition_id: TARGET.into(), start_user: decide.note(id), ..instance(id) };
        assert_eq!(stored.instance, expected);
    }
}

pub async fn an_instance_that_fails_holds_back_nobody(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 25, 10).await;
    let bad = vec![ids[13].clone(), ids[15].clone(), ids[24].clone()];
    let executed = execute_with(bench, &[whole(&batch, 2)], &Herder::failing(&bad, "no instruction")).await;
    assert_eq!((executed.succeeded_instances, executed.failed_instances), (22, 3));
    assert_eq!(executed.next, [work(&batch, 3), work(&batch, 4)]);
    assert_eq!(executed.failed.iter().map(|(w, _)| w.number).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(migrated(bench, &ids).await, 22);
    let failed = job(bench, &batch, 3).await;
    assert_eq!((failed.retries, failed.exception_message.unwrap().contains(&ids[13])), (2, true));
    let statistics = checked(bench, &batch).await.statistics;
    assert_eq!((statistics.remaining_jobs, statistics.failed_jobs, statistics.done_instances), (2, 0, 22));
    let store = bench.store();
    let groups = store.failure_groups(&Caller::anonymous(), &batch, 10).await.unwrap();
    assert_eq!(groups.iter().map(|g| (g.reason.as_str(), g.instances)).collect::<Vec<_>>(), [("no instruction", 3)]);
    let failures = store.failures(&Caller::anonymous(), &batch, Some("no instruction"), Page { first: 1, max: Some(1) }).await.unwrap();
    assert_eq!(failures.iter().map(|f| (f.job, f.instance_id.clone())).collect::<Vec<_>>(), [(3, ids[15].clone())]);
    let trace = store.batch_job_stacktrace(&Caller::anonymous(), &work(&batch, 3)).await.unwrap().unwrap();
    assert!(trace.unwrap().starts_with("details of"));
    // The second attempt is of the failed ones alone, and one of them succeeds.
    let executed = execute_with(bench, &[whole(&batch, 3)], &Herder::failing(&bad[1..], "still not")).await;
    assert_eq!((executed.succeeded_instances, executed.failed_instances), (1, 1));
    let groups = store.failure_groups(&Caller::anonymous(), &batch, 10).await.unwrap();
    assert_eq!(groups.iter().map(|g| (g.reason.as_str(), g.instances)).collect::<Vec<_>>(), [("no instruction", 1), ("still not", 1)]);
    assert_eq!(checked(bench, &batch).await.statistics.done_instances, 23);
}

pub async fn three_attempts_and_then_an_incident(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 3, 1).await;
    let (store, caller, third) = (bench.store(), Caller::anonymous(), work(&batch, 4));
    let herder = Herder::failing(&ids[2..], "r");
    assert_eq!(execute_with(bench, &[whole(&batch, 2)], &herder).await.next, std::slice::from_ref(&third));
    assert_eq!(execute_with(bench, &[whole(&batch, 4)], &herder).await.next, std::slice::from_ref(&third));
    assert!(store.batch_incidents(&caller, None, 10).await.unwrap().is_empty());
    assert_eq!(execute_with(bench, &[whole(&batch, 4)], &herder).await.next, []);
    let incident = store.batch_incidents(&caller, None, 10).await.unwrap().remove(0);
    assert_eq!(incident.configuration, Some(id::numbered(&batch, 4)));
    assert_eq!(incident.incident_type, "failedJob");
    assert!(store.annotate_batch_incident(&caller, &incident.id, Some("seen".into())).await.unwrap());
    let executed = execute_with(bench, &[whole(&batch, 4)], &herder).await;
    assert_eq!(executed.not_now, std::slice::from_ref(&third), "no retries, no attempt");
    assert_eq!(checked(bench, &batch).await.statistics.failed_jobs, 1);
    assert!(!store.complete(&batch).await.unwrap(), "a failed job keeps the batch open");
    let retries = store.job_log(&caller, &log_of(&third, JobEvent::Failed), Page::default()).await.unwrap();
    assert_eq!(retries.iter().map(|entry| entry.job_retries).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!(retries[0].instance_ids, ids[2..]);
    // Given retries, it runs at once and its incident is over.
    let works = store.set_batch_job_retries(&caller, &third, 1, None).await.unwrap().unwrap();
    assert_eq!(works, std::slice::from_ref(&third));
    assert!(store.batch_incidents(&caller, None, 10).await.unwrap().is_empty());
    assert_eq!(execute(bench, &[whole(&batch, 4)]).await.succeeded_instances, 1);
    assert!(store.failure_groups(&caller, &batch, 10).await.unwrap().is_empty());
    assert!(store.complete(&batch).await.unwrap());
}

pub async fn an_incident_keeps_the_first_message(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 1, 1).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    for _ in 0..3 {
        execute_with(bench, &[whole(&batch, 2)], &Herder::failing(&ids, "first")).await;
    }
    let definition = work(&batch, id::BATCH_JOB_DEFINITION);
    assert_eq!(store.set_definition_retries(&caller, &definition, 1, None).await.unwrap().unwrap(), [work(&batch, 2)]);
    assert_eq!(store.batch_incidents(&caller, None, 10).await.unwrap().len(), 1, "by definition, incidents stay");
    assert_eq!(checked(bench, &batch).await.statistics.failed_jobs, 0);
    execute_with(bench, &[whole(&batch, 2)], &Herder::failing(&ids, "second")).await;
    let incidents = store.batch_incidents(&caller, None, 10).await.unwrap();
    assert_eq!(incidents.len(), 1);
    assert!(incidents[0].message.as_ref().unwrap().contains("first"));
    assert!(job(bench, &batch, 2).await.exception_message.unwrap().contains("second"));
}

pub async fn only_a_part_of_a_run_may_be_claimed(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 10, 1).await;
    let executed = execute(bench, &[Portion { work: work(&batch, 2), jobs: Some(4) }]).await;
    assert_eq!((executed.succeeded_instances, executed.next), (4, vec![work(&batch, 6)]));
    assert_eq!(migrated(bench, &ids).await, 4);
    assert_eq!(numbers(bench, &batch).await, [6, 7, 8, 9, 10, 11]);
    assert_eq!(execute(bench, &[whole(&batch, 2)]).await.gone, [work(&batch, 2)]);
    checked(bench, &batch).await;
}

pub async fn one_micro_batch_of_many_batches(bench: &dyn Bench) {
    let (first, ids) = seeded(bench, 3, 1).await;
    let second = submit(bench, new_batch(100, 1), &ids).await.id;
    seed_all(bench, &second).await;
    let executed = execute(bench, &[whole(&second, 2), whole(&first, 2), whole(&first, 2)]).await;
    assert_eq!((executed.succeeded_instances, executed.failed_instances), (3, 3), "who is migrated by one is refused by the other");
    assert_eq!(migrated(bench, &ids).await, 3);
    checked(bench, &first).await;
    checked(bench, &second).await;
}

pub async fn a_missing_instance_fails_its_job(bench: &dyn Bench) {
    let batch = submit(bench, new_batch(100, 1), &["nope".to_owned()]).await.id;
    seed_all(bench, &batch).await;
    let executed = execute(bench, &[whole(&batch, 2)]).await;
    assert_eq!((executed.succeeded_instances, executed.failed_instances), (0, 1));
    assert_eq!(checked(bench, &batch).await.execution_start_time, None, "only a success begins it");
}

pub async fn a_person_executes_one_job_wherever_it_is(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 5, 1).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    store.set_batch_suspended(&caller, &batch, true).await.unwrap().unwrap();
    let by_hand = async |number, herder: &Herder| store.execute(&[whole(&batch, number)], &Mode::ByHand, herder).await.unwrap();
    let executed = by_hand(4, &Herder::default()).await;
    assert_eq!((executed.succeeded_instances, executed.next), (1, vec![work(&batch, 2), work(&batch, 5)]));
    assert_eq!(numbers(bench, &batch).await, [2, 3, 5, 6]);
    let failing = Herder::failing(&ids[..1], "r");
    for retries in [2, 1, 0, 0] {
        assert_eq!(by_hand(2, &failing).await.failed.len(), 1);
        assert_eq!(job(bench, &batch, 2).await.retries, retries);
    }
    assert_eq!(store.batch_incidents(&caller, None, 10).await.unwrap().len(), 1);
    assert_eq!(by_hand(2, &Herder::default()).await.succeeded_instances, 1);
    assert!(store.batch_incidents(&caller, None, 10).await.unwrap().is_empty());
    assert_eq!(by_hand(2, &Herder::default()).await.gone, [work(&batch, 2)]);
    checked(bench, &batch).await;
}

pub async fn a_refused_statement_is_charged_to_the_front_job(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 3, 1).await;
    let failure = Failure { reason: "database".into(), message: "no".into(), details: "no".into() };
    let executed = bench.store().fail_front(&work(&batch, 2), &failure).await.unwrap();
    assert_eq!(executed.next, [work(&batch, 3), work(&batch, 2)]);
    assert_eq!(job(bench, &batch, 2).await.retries, 2);
    assert_eq!(bench.store().fail_front(&work(&batch, 9), &failure).await.unwrap().gone, [work(&batch, 9)]);
    checked(bench, &batch).await;
}

pub async fn retries_of_other_batches_jobs_are_set_by_a_batch(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 3, 1).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    for _ in 0..3 {
        let all = [whole(&batch, 2), whole(&batch, 3), whole(&batch, 4)];
        execute_with(bench, &all, &Herder::failing(&ids, "r")).await;
    }
    assert_eq!(checked(bench, &batch).await.statistics.failed_jobs, 3);
    let jobs: Vec<String> = vec![id::numbered(&batch, 2), id::numbered(&batch, 4), id::numbered(&batch, 99), "nope".into()];
    let configuration = crate::batch::BatchConfiguration::SetJobRetries { retries: 2, due: None };
    let setter = submit(bench, crate::batch::NewBatch { configuration, deployment_id: None, ..new_batch(100, 4) }, &jobs).await.id;
    seed_all(bench, &setter).await;
    let executed = execute(bench, &[whole(&setter, 2)]).await;
    assert_eq!((executed.succeeded_instances, executed.failed_instances), (2, 2));
    assert_eq!(executed.next, [work(&batch, 2), work(&batch, 4), work(&setter, 2)]);
    assert_eq!(store.batch_incidents(&caller, None, 10).await.unwrap().len(), 1);
    assert_eq!(execute(bench, &[whole(&batch, 2), whole(&batch, 4)]).await.succeeded_instances, 2);
    let found = store.batches(&caller, &BatchQuery { failures: Some(true), ..BatchQuery::default() }, Page::default()).await.unwrap();
    assert_eq!(found.iter().map(|b| b.id.as_str()).collect::<Vec<_>>(), [batch.as_str()]);
    checked(bench, &setter).await;
    checked(bench, &batch).await;
}
