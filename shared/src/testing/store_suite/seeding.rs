//! Seeding and the window.

use super::{Bench, checked, execute, herd, new_batch, numbers, submit, whole};
use crate::id;
use crate::job::WorkRef;
use crate::store::query::{JobLogQuery, JobQuery, Page};
use crate::store::views::WorkerRow;
use crate::store::{Caller, SeedRoom, SuspendScope};

fn worker(finished: u64) -> WorkerRow {
    WorkerRow {
        id: "exec-worker@host:1".into(),
        role: "exec-worker".into(),
        host: "host".into(),
        version: "0".into(),
        since: 0,
        heartbeat: 0,
        current: None,
        finished_recently: finished,
        last_error: None,
    }
}

pub async fn an_idle_fleet_gets_one_chunk(bench: &dyn Bench) {
    let ids = herd(bench, 250).await;
    let batch = submit(bench, new_batch(100, 1), &ids).await.id;
    let store = bench.store();
    let seeded = store.seed(&batch, SeedRoom::Window).await.unwrap().unwrap();
    assert_eq!((seeded.runs, seeded.room_left), (vec![2], false));
    assert_eq!(checked(bench, &batch).await.jobs_created, 100);
    let facts = store.look(std::slice::from_ref(&batch)).await.unwrap().remove(0);
    assert_eq!((facts.outstanding, facts.window, facts.chunks_left, facts.work_left), (100, 100, true, true));
    assert!(!facts.may_seed());
    assert_eq!(store.seed(&batch, SeedRoom::Window).await.unwrap().unwrap().runs, [0_u32; 0], "the window is full");
    assert_eq!(execute(bench, &[whole(&batch, 2)]).await.succeeded_instances, 100);
    assert!(store.look(std::slice::from_ref(&batch)).await.unwrap()[0].may_seed());
    assert_eq!(store.seed(&batch, SeedRoom::Window).await.unwrap().unwrap().runs, [102]);
    checked(bench, &batch).await;
}

pub async fn a_busy_fleet_gets_as_much_as_it_finishes(bench: &dyn Bench) {
    let ids = herd(bench, 450).await;
    let batch = submit(bench, new_batch(100, 1), &ids).await.id;
    bench.store().heartbeat(&worker(120)).await.unwrap();
    let seeded = bench.store().seed(&batch, SeedRoom::Window).await.unwrap().unwrap();
    assert_eq!((seeded.runs, seeded.room_left), (vec![2, 102, 202], false), "240, and at most a chunk more");
    bench.age(60_000).await;
    assert_eq!(bench.store().look(&[batch]).await.unwrap()[0].window, 100, "a worker not heard of finishes nothing");
    assert_eq!(bench.store().workers().await.unwrap().len(), 1);
}

/// The bound on a small batch's wait (design §7.2): before it lie at most twice what the fleet finished in the last three seconds,
/// and one chunk, however long the batch beside it is; and from then on the two share.
pub async fn a_small_batch_waits_for_a_window_and_not_for_a_giant(bench: &dyn Bench) {
    let giant = submit(bench, new_batch(100, 1), &herd(bench, 3_000).await).await.id;
    let store = bench.store();
    store.heartbeat(&worker(300)).await.unwrap();
    while store.seed(&giant, SeedRoom::Window).await.unwrap().unwrap().room_left {}
    let before = store.look(std::slice::from_ref(&giant)).await.unwrap().remove(0);
    assert!((600..=700).contains(&before.outstanding) && before.chunks_left, "{before:?}");
    let small = submit(bench, new_batch(100, 1), &herd(bench, 10).await).await.id;
    assert_eq!(store.seed(&small, SeedRoom::Window).await.unwrap().unwrap().runs, [2], "at once, all of it");
    assert_eq!(store.seed(&giant, SeedRoom::Window).await.unwrap().unwrap().runs, [0_u32; 0], "nothing more comes before it");
    let shared = store.look(&[giant, small]).await.unwrap();
    let mut windows: Vec<_> = shared.iter().map(|facts| (facts.window, facts.outstanding)).collect();
    windows.sort_unstable();
    assert_eq!(windows, [(300, 10), (300, before.outstanding)]);
}

pub async fn runs_are_cut_from_whole_jobs(bench: &dyn Bench) {
    let ids = herd(bench, 45).await;
    let batch = submit(bench, new_batch(2, 10), &ids).await.id;
    assert_eq!(super::seed_all(bench, &batch).await, [2, 4, 6]);
    assert_eq!(numbers(bench, &batch).await, [2, 3, 4, 5, 6]);
    let of_seed = |number| JobLogQuery { job_definition_id: Some(id::numbered(&batch, number)), ..JobLogQuery::default() };
    let caller = Caller::anonymous();
    let store = bench.store();
    assert_eq!(store.count_job_log(&caller, &of_seed(id::SEED_JOB_DEFINITION)).await.unwrap(), 6, "three times created and done");
    assert_eq!(store.count_job_log(&caller, &of_seed(id::MONITOR_JOB_DEFINITION)).await.unwrap(), 1);
    assert_eq!(store.count_job_log(&caller, &of_seed(id::BATCH_JOB_DEFINITION)).await.unwrap(), 5);
}

pub async fn the_seed_job_is_there_while_there_are_chunks_and_then_the_monitor_job(bench: &dyn Bench) {
    let ids = herd(bench, 5).await;
    let batch = submit(bench, new_batch(3, 1), &ids).await.id;
    let kinds = async || -> Vec<u32> {
        let jobs = super::jobs(bench, &batch).await;
        jobs.iter().filter_map(|job| id::split(&job.id)).map(|(_, n)| n).filter(|n| *n < 2).collect()
    };
    assert_eq!(kinds().await, [id::SEED_JOB]);
    bench.store().seed(&batch, SeedRoom::OneChunk).await.unwrap();
    assert_eq!(kinds().await, [id::SEED_JOB]);
    bench.store().seed(&batch, SeedRoom::OneChunk).await.unwrap();
    assert_eq!(kinds().await, [id::MONITOR_JOB]);
    assert_eq!(bench.store().seed("nope", SeedRoom::Window).await.unwrap(), None);
}

pub async fn runs_take_priority_and_suspension_from_their_job_definition(bench: &dyn Bench) {
    let ids = herd(bench, 5).await;
    let batch = submit(bench, new_batch(3, 1), &ids).await.id;
    let (store, caller) = (bench.store(), Caller::anonymous());
    let definition = WorkRef::new(batch.clone(), id::BATCH_JOB_DEFINITION);
    store.set_definition_priority(&caller, &definition, Some(7)).await.unwrap().unwrap();
    store.set_definition_suspended(&caller, &definition, true, SuspendScope::DefinitionOnly).await.unwrap().unwrap();
    let seeded = store.seed(&batch, SeedRoom::Window).await.unwrap().unwrap();
    assert_eq!(seeded.runs, [2, 5], "suspended jobs are not outstanding, so seeding goes on");
    let query = JobQuery { suspended: true, priority_at_least: Some(7), ..super::of_batch(&batch) };
    assert_eq!(store.count_batch_jobs(&caller, &query).await.unwrap(), 5);
    assert_eq!(execute(bench, &[whole(&batch, 2)]).await.not_now.len(), 1);
    let activated = store.set_definition_suspended(&caller, &definition, false, SuspendScope::DefinitionAndJobs).await.unwrap().unwrap();
    assert_eq!(activated, [super::work(&batch, 2), super::work(&batch, 5)]);
    assert_eq!(execute(bench, &[whole(&batch, 2), whole(&batch, 5)]).await.succeeded_instances, 5);
}

pub async fn a_suspended_or_exhausted_seed_job_does_nothing_by_itself(bench: &dyn Bench) {
    let ids = herd(bench, 5).await;
    let batch = submit(bench, new_batch(3, 1), &ids).await.id;
    let (store, caller) = (bench.store(), Caller::anonymous());
    let seed_job = super::work(&batch, id::SEED_JOB);
    store.set_batch_job_suspended(&caller, &seed_job, true).await.unwrap().unwrap();
    assert!(!store.look(std::slice::from_ref(&batch)).await.unwrap()[0].may_seed());
    assert!(store.seed(&batch, SeedRoom::Window).await.unwrap().unwrap().runs.is_empty());
    store.set_batch_job_suspended(&caller, &seed_job, false).await.unwrap().unwrap();
    store.set_batch_job_retries(&caller, &seed_job, 0, None).await.unwrap().unwrap();
    assert!(store.seed(&batch, SeedRoom::Window).await.unwrap().unwrap().runs.is_empty());
    let incidents = store.batch_incidents(&caller, None, 10).await.unwrap();
    assert_eq!(incidents.iter().map(|i| i.configuration.clone()).collect::<Vec<_>>(), [Some(id::numbered(&batch, id::SEED_JOB))]);
    assert_eq!(store.seed(&batch, SeedRoom::OneChunk).await.unwrap().unwrap().runs, [2], "a person may");
    store.set_batch_job_retries(&caller, &seed_job, 3, None).await.unwrap().unwrap();
    assert!(store.batch_incidents(&caller, None, 10).await.unwrap().is_empty());
    assert_eq!(store.seed(&batch, SeedRoom::Window).await.unwrap().unwrap().runs, [5]);
    let jobs = store.batch_jobs(&caller, &super::of_batch(&batch), &[], Page { first: 0, max: Some(1) }).await.unwrap();
    assert_eq!(jobs[0].id, id::numbered(&batch, id::MONITOR_JOB));
}
