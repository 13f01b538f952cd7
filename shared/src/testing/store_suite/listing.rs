//! Listing jobs and the job log: ranges spread out, pages, filters, orders.

use super::{Bench, Herder, execute_with, seeded, whole, work};
use crate::id;
use crate::process::history::JobEvent;
use crate::store::Caller;
use crate::store::query::{JobLogQuery, JobLogSort, JobQuery, JobSort, Order, Page, TimeIs};

async fn page(bench: &dyn Bench, query: &JobQuery, sort: &[(JobSort, Order)], first: u64, max: u64) -> Vec<u32> {
    let found =
        bench.store().batch_jobs(&Caller::anonymous(), query, sort, Page { first, max: Some(max) }).await.expect("jobs can be listed");
    found.iter().filter_map(|job| id::split(&job.id)).map(|(_, number)| number).collect()
}

pub async fn pages_go_through_runs(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 250, 1).await;
    let query = super::of_batch(&batch);
    let store = bench.store();
    store.set_batch_job_priority(&Caller::anonymous(), &work(&batch, 50), 9).await.unwrap();
    let all = page(bench, &query, &[], 0, 1_000).await;
    assert_eq!(all, (1..=251).collect::<Vec<_>>(), "the monitor job, and the jobs");
    let mut paged = vec![];
    for first in (0..251).step_by(17) {
        paged.extend(page(bench, &query, &[], first, 17).await);
    }
    assert_eq!(paged, all);
    let down = page(bench, &query, &[(JobSort::Id, Order::Descending)], 0, 1_000).await;
    assert_eq!(down, (1..=251).rev().collect::<Vec<_>>());
    assert_eq!(page(bench, &query, &[(JobSort::Priority, Order::Descending)], 0, 3).await, [50, 1, 2]);
    assert_eq!(page(bench, &query, &[(JobSort::Priority, Order::Ascending)], 249, 3).await, [251, 50]);
    assert_eq!(page(bench, &query, &[], 251, 3).await, [0_u32; 0]);
    assert_eq!(page(bench, &query, &[], 0, 0).await, [0_u32; 0]);
}

pub async fn filters_find_jobs_in_runs_and_in_rows(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 10, 1).await;
    execute_with(bench, &[whole(&batch, 2)], &Herder::failing(&ids[3..5], "r")).await;
    let (other, _) = seeded(bench, 4, 1).await;
    let store = bench.store();
    let caller = Caller::anonymous();
    let count = async |query: JobQuery| store.count_batch_jobs(&caller, &query).await.unwrap();
    let of = |batch: &str| JobQuery { job_definition_id: Some(id::numbered(batch, id::BATCH_JOB_DEFINITION)), ..JobQuery::default() };
    assert_eq!(count(of(&batch)).await, 2);
    assert_eq!(count(of(&other)).await, 4);
    assert_eq!(count(JobQuery { with_exception: true, ..of(&batch) }).await, 2);
    assert_eq!(count(JobQuery { with_exception: true, ..of(&other) }).await, 0);
    let message = super::job(bench, &batch, 5).await.exception_message;
    assert_eq!(count(JobQuery { exception_message: message, ..JobQuery::default() }).await, 1);
    let wanted = vec![id::numbered(&other, 3), id::numbered(&other, 5), id::numbered(&other, 99), id::numbered(&batch, 6), "nope".into()];
    let listed = JobQuery { ids: Some(wanted), ..JobQuery::default() };
    assert_eq!(count(listed.clone()).await, 3);
    assert_eq!(page(bench, &listed, &[], 1, 1).await.len(), 1);
    assert_eq!(count(JobQuery { with_retries_left: true, active: true, messages: true, executable: true, ..of(&other) }).await, 4);
    assert_eq!(count(JobQuery { no_retries_left: true, ..of(&other) }).await, 0);
    assert_eq!(count(JobQuery { timers: true, ..of(&other) }).await, 0);
    assert_eq!(count(JobQuery { process_instance_ids: Some(ids), ..JobQuery::default() }).await, 0);
    assert_eq!(count(JobQuery { created: vec![TimeIs::After(0)], ..of(&other) }).await, 4);
    assert_eq!(count(JobQuery { due: vec![TimeIs::After(0)], ..of(&other) }).await, 0, "none has a due date");
    assert_eq!(count(JobQuery { job_definition_id: Some("nope".into()), ..JobQuery::default() }).await, 0);
    let monitor = JobQuery { job_definition_id: Some(id::numbered(&batch, id::MONITOR_JOB_DEFINITION)), ..JobQuery::default() };
    assert_eq!(page(bench, &monitor, &[], 0, 9).await, [id::MONITOR_JOB]);
}

pub async fn the_log_is_spread_out_into_one_entry_a_job(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 10, 1).await;
    execute_with(bench, &[whole(&batch, 2)], &Herder::failing(&ids[3..4], "r")).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    let of = |kinds: Vec<JobEvent>| JobLogQuery {
        job_definition_id: Some(id::numbered(&batch, id::BATCH_JOB_DEFINITION)),
        kinds,
        sort: Some((JobLogSort::Occurrence, Order::Ascending)),
        ..JobLogQuery::default()
    };
    assert_eq!(store.count_job_log(&caller, &of(vec![])).await.unwrap(), 20);
    let succeeded = store.job_log(&caller, &of(vec![JobEvent::Succeeded]), Page::default()).await.unwrap();
    let expected: Vec<_> = (0..10).filter(|n| *n != 3).map(|n| (id::numbered(&batch, n + 2), vec![ids[n as usize].clone()])).collect();
    assert_eq!(succeeded.iter().map(|e| (e.job_id.clone(), e.instance_ids.clone())).collect::<Vec<_>>(), expected);
    let one = &succeeded[4];
    let again = store.job_log(&caller, &JobLogQuery { id: Some(one.id.clone()), ..JobLogQuery::default() }, Page::default()).await.unwrap();
    assert_eq!(again, std::slice::from_ref(one));
    let of_failed = JobLogQuery { job_id: Some(id::numbered(&batch, 5)), ..of(vec![]) };
    let entries = store.job_log(&caller, &of_failed, Page::default()).await.unwrap();
    assert_eq!(entries.iter().map(|e| e.event).collect::<Vec<_>>(), [JobEvent::Created, JobEvent::Failed]);
    assert_eq!(store.count_job_log(&caller, &of_failed).await.unwrap(), 2);
    let mut paged = vec![];
    for first in (0..20).step_by(7) {
        let part = store.job_log(&caller, &of(vec![]), Page { first, max: Some(7) }).await.unwrap();
        paged.extend(part.into_iter().map(|e| e.id));
    }
    let all: Vec<_> = store.job_log(&caller, &of(vec![]), Page::default()).await.unwrap().into_iter().map(|e| e.id).collect();
    assert_eq!(paged, all);
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), 20);
}
