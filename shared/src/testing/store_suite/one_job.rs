//! Verbs on one job, on a definition's jobs, on whole batches.

use super::{Bench, Herder, checked, execute, execute_with, herd, job, jobs, migrated, new_batch, numbers, seeded, submit, whole, work};
use crate::id;
use crate::process::history::JobEvent;
use crate::store::query::{HistoricBatchQuery, JobLogQuery, Page};
use crate::store::{Caller, Error};

pub async fn a_job_that_is_changed_leaves_its_run(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 21, 2).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    assert_eq!(numbers(bench, &batch).await, (2..=12).collect::<Vec<_>>());
    let middle = store.set_batch_job_priority(&caller, &work(&batch, 5), 9).await.unwrap().unwrap();
    assert_eq!(middle, [work(&batch, 2), work(&batch, 6), work(&batch, 5)]);
    let front = store.set_batch_job_suspended(&caller, &work(&batch, 2), true).await.unwrap().unwrap();
    assert_eq!(front, [work(&batch, 3)], "suspended, it is not to be published");
    let last = store.set_batch_job_due(&caller, &work(&batch, 12), Some(i64::MAX / 2)).await.unwrap().unwrap();
    assert_eq!(last, [work(&batch, 6)]);
    assert_eq!(numbers(bench, &batch).await, (2..=12).collect::<Vec<_>>());
    checked(bench, &batch).await;
    assert_eq!((job(bench, &batch, 5).await.priority, job(bench, &batch, 4).await.priority), (9, 0));
    assert!(job(bench, &batch, 2).await.suspended && !job(bench, &batch, 3).await.suspended);
    let executed = execute(bench, &[whole(&batch, 2), whole(&batch, 3), whole(&batch, 5), whole(&batch, 6), whole(&batch, 12)]).await;
    assert_eq!(executed.not_now, [work(&batch, 2), work(&batch, 12)]);
    assert_eq!(executed.succeeded_instances, 2 * 9);
    assert_eq!(migrated(bench, &ids).await, 18);
    assert_eq!(store.set_batch_job_suspended(&caller, &work(&batch, 2), false).await.unwrap().unwrap(), [work(&batch, 2)]);
    assert_eq!(store.set_batch_job_due(&caller, &work(&batch, 12), None).await.unwrap().unwrap(), [work(&batch, 12)]);
    assert_eq!(execute(bench, &[whole(&batch, 2), whole(&batch, 12)]).await.succeeded_instances, 3);
    assert!(store.complete(&batch).await.unwrap());
}

pub async fn a_job_not_yet_made_is_not_there(bench: &dyn Bench) {
    let ids = herd(bench, 5).await;
    let batch = submit(bench, new_batch(100, 1), &ids).await.id;
    let (store, caller) = (bench.store(), Caller::anonymous());
    assert_eq!(store.set_batch_job_retries(&caller, &work(&batch, 3), 1, None).await.unwrap(), None);
    assert_eq!(store.batch_job(&caller, &work(&batch, 3)).await.unwrap(), None);
    assert_eq!(store.batch_job_stacktrace(&caller, &work(&batch, 3)).await.unwrap(), None);
    assert_eq!(store.batch_job_stacktrace(&caller, &work(&batch, id::SEED_JOB)).await.unwrap(), Some(None));
    assert_eq!(store.delete_batch_job(&caller, &work("nope", 3)).await.unwrap(), None);
    let negative = store.set_batch_job_retries(&caller, &work(&batch, 3), -1, None).await;
    assert!(matches!(negative, Err(Error::Refused(refusal)) if refusal.message.contains("ENGINE-13054")));
}

pub async fn retries_of_none_make_an_incident(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 3, 1).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    let works = store.set_batch_job_retries(&caller, &work(&batch, 3), 0, Some(None)).await.unwrap().unwrap();
    assert_eq!(works, [work(&batch, 2), work(&batch, 4)]);
    assert_eq!(store.batch_incidents(&caller, None, 10).await.unwrap().len(), 1);
    assert_eq!(checked(bench, &batch).await.statistics.failed_jobs, 1);
    let works = store.set_batch_job_retries(&caller, &work(&batch, 3), 2, Some(Some(77))).await.unwrap().unwrap();
    assert_eq!(works, [work(&batch, 3)]);
    assert_eq!(job(bench, &batch, 3).await.due, Some(77));
    assert!(store.batch_incidents(&caller, None, 10).await.unwrap().is_empty());
    checked(bench, &batch).await;
}

pub async fn a_deleted_job_counts_as_completed_and_its_instances_as_cancelled(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 6, 2).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    execute_with(bench, &[whole(&batch, 2)], &Herder::failing(&ids[2..4], "r")).await;
    let statistics = checked(bench, &batch).await.statistics;
    assert_eq!((statistics.remaining_jobs, statistics.done_instances), (1, 4));
    assert_eq!(store.delete_batch_job(&caller, &work(&batch, 3)).await.unwrap(), Some(vec![]));
    let statistics = checked(bench, &batch).await.statistics;
    assert_eq!((statistics.completed_jobs, statistics.done_instances, statistics.cancelled_instances), (3, 4, 2));
    assert!(store.failures(&caller, &batch, None, Page::default()).await.unwrap().is_empty());
    let query = JobLogQuery { job_id: Some(id::numbered(&batch, 3)), kinds: vec![JobEvent::Deleted], ..JobLogQuery::default() };
    assert_eq!(store.job_log(&caller, &query, Page::default()).await.unwrap()[0].instance_ids, ids[2..4]);
    assert!(store.delete_batch_job(&caller, &work(&batch, id::SEED_JOB)).await.is_err(), "control jobs end with their batch");
    assert!(store.complete(&batch).await.unwrap());
    let query = HistoricBatchQuery { id: Some(batch), ..HistoricBatchQuery::default() };
    let historic = store.historic_batches(&caller, &query, Page::default()).await.unwrap().remove(0);
    assert_eq!((historic.migrated_instances, historic.cancelled_instances), (Some(4), Some(2)));
}

pub async fn suspended_work_is_not_claimed_and_activated_work_is_published(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 250, 1).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    assert_eq!(store.set_batch_suspended(&caller, &batch, true).await.unwrap(), Some(vec![]));
    assert!(checked(bench, &batch).await.suspended);
    assert!(jobs(bench, &batch).await.iter().all(|job| job.suspended));
    assert_eq!(execute(bench, &[whole(&batch, 2)]).await.not_now, [work(&batch, 2)]);
    let facts = store.look(std::slice::from_ref(&batch)).await.unwrap().remove(0);
    assert_eq!((facts.outstanding, facts.may_seed(), facts.may_complete()), (0, false, false));
    let works = store.set_batch_suspended(&caller, &batch, false).await.unwrap().unwrap();
    assert_eq!(works, [work(&batch, 2)], "at most the window, which is one chunk");
    assert_eq!(execute(bench, &works.iter().map(|w| whole(&w.batch, w.number)).collect::<Vec<_>>()).await.succeeded_instances, 100);
    assert_eq!(store.set_batch_suspended(&caller, "nope", true).await.unwrap(), None);
    checked(bench, &batch).await;
}

pub async fn a_deleted_batch_leaves_its_history(bench: &dyn Bench) {
    let ids = herd(bench, 12).await;
    let batch = submit(bench, new_batch(5, 1), &ids).await.id;
    let (store, caller) = (bench.store(), Caller::anonymous());
    for _ in 0..2 {
        store.seed(&batch, crate::store::SeedRoom::OneChunk).await.unwrap();
    }
    for _ in 0..3 {
        execute_with(bench, &[whole(&batch, 2)], &Herder::failing(&ids[..1], "r")).await;
    }
    assert_eq!(store.batch_incidents(&caller, None, 10).await.unwrap().len(), 1);
    assert!(store.delete_batch(&caller, &batch, false).await.unwrap());
    assert!(!store.delete_batch(&caller, &batch, false).await.unwrap());
    assert!(!store.look(std::slice::from_ref(&batch)).await.unwrap()[0].exists);
    assert!(store.batch_incidents(&caller, None, 10).await.unwrap().is_empty());
    assert_eq!(jobs(bench, &batch).await, []);
    assert_eq!(execute(bench, &[whole(&batch, 7)]).await.gone, [work(&batch, 7)]);
    let query = HistoricBatchQuery { completed: Some(true), ..HistoricBatchQuery::default() };
    let historic = store.historic_batches(&caller, &query, Page::default()).await.unwrap().remove(0);
    assert_eq!((historic.migrated_instances, historic.failed_instances, historic.cancelled_instances), (Some(4), Some(1), Some(7)));
    let deleted = JobLogQuery {
        job_definition_id: Some(id::numbered(&batch, id::BATCH_JOB_DEFINITION)),
        kinds: vec![JobEvent::Deleted],
        ..JobLogQuery::default()
    };
    assert_eq!(store.count_job_log(&caller, &deleted).await.unwrap(), 6);
    assert!(store.delete_historic_batch(&caller, &batch).await.unwrap());
    assert!(!store.delete_historic_batch(&caller, &batch).await.unwrap());
    assert_eq!(store.count_job_log(&caller, &JobLogQuery::default()).await.unwrap(), 0);
}

pub async fn a_cascading_delete_leaves_nothing(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 12, 1).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    assert!(store.delete_batch(&caller, &batch, true).await.unwrap());
    assert_eq!(store.count_historic_batches(&caller, &HistoricBatchQuery::default()).await.unwrap(), 0);
    assert_eq!(store.count_job_log(&caller, &JobLogQuery::default()).await.unwrap(), 0);
}

pub async fn history_may_go_before_its_batch(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 2, 1).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    assert!(store.delete_historic_batch(&caller, &batch).await.unwrap());
    assert_eq!(execute(bench, &[whole(&batch, 2)]).await.succeeded_instances, 2);
    assert!(store.complete(&batch).await.unwrap());
    assert_eq!(store.count_historic_batches(&caller, &HistoricBatchQuery::default()).await.unwrap(), 0);
}

pub async fn the_monitor_job_shows_when_it_looks_next(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 2, 1).await;
    let store = bench.store();
    assert_eq!(checked(bench, &batch).await.monitor_job.due, None);
    store.poll_monitor(&batch, 30_000).await.unwrap();
    let due = checked(bench, &batch).await.monitor_job.due.unwrap();
    store.poll_monitor(&batch, 30_000).await.unwrap();
    assert_eq!(checked(bench, &batch).await.monitor_job.due, Some(due), "not before it has passed");
    bench.age(31_000).await;
    store.poll_monitor(&batch, 30_000).await.unwrap();
    assert!(checked(bench, &batch).await.monitor_job.due.unwrap() >= due);
}
