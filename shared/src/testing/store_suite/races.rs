//! Two verbs at once: the second begins while the first is in flight. On PostgreSQL they run side by side, on SQLite in turn;
//! the end states are equal.

use std::future::Future;
use std::sync::Arc;

use super::{Bench, Gate, Herder, checked, execute, execute_with, herd, jobs, migrated, new_batch, numbers, seeded, submit, whole, work};
use crate::store::{Caller, Executed, Mode, SeedRoom, Store};

/// Executes the run at 2 of `batch`, held open in its decision while `other` begins; the answers of both.
async fn while_in_flight<T: Send + 'static>(
    bench: &dyn Bench,
    batch: &str,
    other: impl Future<Output = T> + Send + 'static,
) -> (Executed, T) {
    let gate = Arc::new(Gate::default());
    let (store, herder, portion) = (bench.store(), Herder::at_gate(&gate), whole(batch, 2));
    let first = spawn(async move { store.execute(&[portion], &Mode::Normal, &herder).await.expect("it executes") });
    gate.reached().await;
    let second = spawn(other);
    // Begun, and as far as it comes.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    gate.open();
    (first.await.expect("no panic"), second.await.expect("no panic"))
}

#[expect(clippy::disallowed_methods, reason = "a test joins what it spawns")]
fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> tokio::task::JoinHandle<T> {
    tokio::spawn(future)
}

fn caller() -> Caller {
    Caller::anonymous()
}

pub async fn execute_and_suspend(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 150, 1).await;
    let (store, id) = (bench.store(), batch.clone());
    let suspend = async move { store.set_batch_suspended(&caller(), &id, true).await.unwrap().unwrap() };
    let (executed, _) = while_in_flight(bench, &batch, suspend).await;
    assert_eq!(executed.succeeded_instances, 100, "what was in flight is finished");
    assert_eq!(execute(bench, &[whole(&batch, 102)]).await.not_now, [work(&batch, 102)], "and nothing starts afterwards");
    assert_eq!(migrated(bench, &ids).await, 100);
    checked(bench, &batch).await;
}

pub async fn execute_and_delete(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 150, 1).await;
    let (store, id) = (bench.store(), batch.clone());
    let delete = async move { store.delete_batch(&caller(), &id, false).await.unwrap() };
    let (executed, deleted) = while_in_flight(bench, &batch, delete).await;
    assert!(deleted);
    assert_eq!(executed.succeeded_instances, 100);
    assert_eq!(migrated(bench, &ids).await, 100);
    assert_eq!(jobs(bench, &batch).await, []);
    let historic = bench.store().historic_batches(&caller(), &Default::default(), Default::default()).await.unwrap().remove(0);
    assert_eq!((historic.migrated_instances, historic.cancelled_instances), (Some(100), Some(50)));
}

pub async fn two_executions_of_one_run(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 50, 1).await;
    let (store, portion) = (bench.store(), whole(&batch, 2));
    let again = async move { store.execute(&[portion], &Mode::Normal, &Herder::default()).await.unwrap() };
    let (first, second) = while_in_flight(bench, &batch, again).await;
    assert_eq!((first.succeeded_instances, second.succeeded_instances), (50, 0));
    assert_eq!(second.not_now.len() + second.gone.len(), 1, "locked, or already gone");
    assert_eq!(migrated(bench, &ids).await, 50);
    checked(bench, &batch).await;
}

pub async fn execute_and_set_retries_of_a_job_in_the_run(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 50, 1).await;
    let (store, third) = (bench.store(), work(&batch, 4));
    let set = async move { store.set_batch_job_retries(&caller(), &third, 7, None).await.unwrap() };
    let (executed, set) = while_in_flight(bench, &batch, set).await;
    assert_eq!((executed.succeeded_instances, set), (50, None), "by then the job is done");
    assert_eq!(migrated(bench, &ids).await, 50);
    checked(bench, &batch).await;
}

pub async fn execute_and_execute_by_hand(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 50, 1).await;
    let (store, portion) = (bench.store(), whole(&batch, 20));
    let by_hand = async move { store.execute(&[portion], &Mode::ByHand, &Herder::default()).await.unwrap() };
    let (executed, by_hand) = while_in_flight(bench, &batch, by_hand).await;
    assert_eq!((executed.succeeded_instances, by_hand.gone), (50, vec![work(&batch, 20)]));
    assert_eq!(migrated(bench, &ids).await, 50);
    checked(bench, &batch).await;
}

pub async fn execute_and_complete(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 50, 1).await;
    let (store, id) = (bench.store(), batch.clone());
    let (executed, early) = while_in_flight(bench, &batch, async move { store.complete(&id).await.unwrap() }).await;
    assert_eq!(executed.succeeded_instances, 50);
    let late = bench.store().complete(&batch).await.unwrap();
    assert!(early != late, "exactly one of them completed it");
}

pub async fn execute_and_seed(bench: &dyn Bench) {
    let ids = herd(bench, 250).await;
    let batch = submit(bench, new_batch(100, 1), &ids).await.id;
    bench.store().seed(&batch, SeedRoom::Window).await.unwrap();
    let (store, id) = (bench.store(), batch.clone());
    let seed = async move { store.seed(&id, SeedRoom::OneChunk).await.unwrap().unwrap() };
    let (executed, seeded) = while_in_flight(bench, &batch, seed).await;
    assert_eq!((executed.succeeded_instances, seeded.runs), (100, vec![102]));
    assert_eq!(checked(bench, &batch).await.statistics.done_instances, 100);
}

pub async fn execute_and_wake(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 50, 1).await;
    bench.age(60_000).await;
    let store = bench.store();
    let wake = async move { store.wake(crate::store::WakeLimits { work: 10, instances: 10 }).await.unwrap() };
    let (executed, woken) = while_in_flight(bench, &batch, wake).await;
    assert_eq!((executed.succeeded_instances, woken.work), (50, vec![]), "locked rows are not woken, nor those that are gone");
    assert_eq!(migrated(bench, &ids).await, 50);
}

pub async fn execute_and_set_retries_of_its_definition(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 3, 1).await;
    for _ in 0..3 {
        execute_with(bench, &[whole(&batch, 2), whole(&batch, 4)], &Herder::failing(&ids[2..], "r")).await;
    }
    let (other, _) = seeded(bench, 20, 1).await;
    let (store, definition) = (bench.store(), work(&batch, crate::id::BATCH_JOB_DEFINITION));
    let set = async move { store.set_definition_retries(&caller(), &definition, 2, None).await.unwrap().unwrap() };
    let (executed, works) = while_in_flight(bench, &other, set).await;
    assert_eq!((executed.succeeded_instances, works), (20, vec![work(&batch, 4)]));
    checked(bench, &batch).await;
}

pub async fn seeders_deleters_and_completers_at_once(bench: &dyn Bench) {
    let ids = herd(bench, 40).await;
    let batch = submit(bench, new_batch(5, 1), &ids).await.id;
    let mut tasks = vec![];
    for n in 0..12 {
        let (store, batch) = (bench.store(), batch.clone());
        tasks.push(spawn(async move {
            match n % 4 {
                0 | 1 => store.seed(&batch, SeedRoom::OneChunk).await.map(|_| ()),
                2 => store.complete(&batch).await.map(|done| assert!(!done, "there is always work left")),
                _ if n == 11 => store.delete_batch(&caller(), &batch, true).await.map(|deleted| assert!(deleted)),
                _ => store.set_batch_suspended(&caller(), &batch, n == 3).await.map(|_| ()),
            }
        }));
    }
    for task in tasks {
        task.await.expect("no panic").expect("no verb collides for good");
    }
    assert!(!bench.store().look(std::slice::from_ref(&batch)).await.unwrap()[0].exists);
    assert_eq!(jobs(bench, &batch).await, []);
}

pub async fn many_executors_and_a_meddler(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 300, 2).await;
    let mut tasks = vec![];
    for n in 0_u32..3 {
        let (store, batch) = (bench.store(), batch.clone());
        tasks.push(spawn(async move { drive(&*store, &batch, n).await }));
    }
    let (store, id) = (bench.store(), batch.clone());
    tasks.push(spawn(async move {
        for number in (2..152).step_by(10) {
            store.set_batch_job_priority(&caller(), &work(&id, number), 5).await.unwrap();
            store.execute(&[whole(&id, number + 3)], &Mode::ByHand, &Herder::default()).await.unwrap();
        }
    }));
    for task in tasks {
        task.await.expect("no panic");
    }
    drive(&*bench.store(), &batch, 9).await;
    assert_eq!(numbers(bench, &batch).await, [0_u32; 0]);
    assert_eq!(checked(bench, &batch).await.statistics.done_instances, 300);
    assert_eq!(migrated(bench, &ids).await, 300);
}

/// Executes what the list of jobs shows, three rows at a time, until nothing is left or it was looked at often enough.
async fn drive(store: &dyn Store, batch: &str, _: u32) {
    for _ in 0..60 {
        let jobs = store.batch_jobs(&caller(), &super::of_batch(batch), &[], Default::default()).await.unwrap();
        let numbers: Vec<u32> = jobs.iter().filter_map(|j| crate::id::split(&j.id)).map(|(_, n)| n).filter(|n| *n >= 2).collect();
        if numbers.is_empty() {
            return;
        }
        let portions: Vec<_> = numbers.iter().take(3).map(|n| crate::store::Portion { work: work(batch, *n), jobs: Some(5) }).collect();
        match store.execute(&portions, &Mode::Normal, &Herder::default()).await {
            Ok(_) => {}
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
}

/// PostgreSQL: an instance is written by somebody else between reading and writing. It is read and decided again.
pub async fn an_instance_changed_meanwhile_is_decided_again(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 3, 1).await;
    let (store, changed) = (bench.store(), ids[1].clone());
    let change = async move { store.set_instance_suspended(&caller(), &changed, true).await.unwrap() };
    let gate = Arc::new(Gate::default());
    let (store, herder, portion) = (bench.store(), Herder::at_gate(&gate), whole(&batch, 2));
    let execution = spawn(async move { store.execute(&[portion], &Mode::Normal, &herder).await.unwrap() });
    gate.reached().await;
    assert!(change.await);
    gate.open();
    assert_eq!(execution.await.unwrap().succeeded_instances, 3);
    let stored = bench.store().instance(&caller(), &ids[1]).await.unwrap().unwrap();
    assert_eq!((stored.revision, stored.instance.suspended, stored.instance.definition_id.as_str()), (3, true, super::TARGET));
}
