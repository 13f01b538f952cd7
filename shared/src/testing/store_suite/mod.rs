//! The conformance suite of batches' verbs: the same for every store. Each case is a function over a [`Bench`].
//!
//! A verb in flight is one whose pure decision is held open by a [`Gate`]: on PostgreSQL another verb then runs beside it,
//! on SQLite it queues behind it; the end states must be the same.

#![expect(clippy::unwrap_used, reason = "a case of the suite fails by panicking")]

pub mod careful;
pub mod effects;
pub mod executing;
pub mod listing;
pub mod one_job;
pub mod races;
pub mod seeding;
pub mod submitting;
pub mod waking;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Condvar, Mutex};

use async_trait::async_trait;

use crate::batch::{Batch, BatchConfiguration, NewBatch};
use crate::clock::Millis;
use crate::id;
use crate::job::{Failure, WorkRef};
use crate::migration::{MigrationPlan, Skip};
use crate::process::instance::{DOCUMENT_VERSION, Execution, Instance, Place};
use crate::store::query::{BatchQuery, JobQuery, Page};
use crate::store::{Caller, Decide, Executed, Item, ItemContext, ItemOutcome, Items, Mode, Portion, SeedRoom, Store};

/// A store under test, and what only tests do to it.
#[async_trait]
pub trait Bench: Send + Sync {
    fn store(&self) -> Arc<dyn Store>;
    /// Stores documents as they are.
    async fn plant(&self, instances: Vec<Instance>);
    /// Lets so many milliseconds pass, without sleeping.
    async fn age(&self, ms: Millis);
}

pub const SOURCE: &str = "p:1:00000000-0000-7000-8000-000000000001";
pub const TARGET: &str = "p:2:00000000-0000-7000-8000-000000000002";

/// A test that waits longer for another part of itself has failed.
const LONGEST_WAIT: std::time::Duration = std::time::Duration::from_secs(20);

/// An instance of [`SOURCE`] at a task.
#[must_use]
pub fn instance(id: &str) -> Instance {
    let at = Place { activity_id: "task".into(), activity_instance_id: Some(id::numbered(id, 1)) };
    Instance {
        v: DOCUMENT_VERSION,
        id: id.to_owned(),
        definition_id: SOURCE.to_owned(),
        ids: 1,
        started_at: 1,
        executions: vec![Execution { id: id.to_owned(), at: Some(at), is_scope: true, is_active: true, ..Execution::default() }],
        ..Instance::default()
    }
}

/// Plants so many instances; their ids in order.
pub async fn herd(bench: &dyn Bench, n: usize) -> Vec<String> {
    let mut ids: Vec<String> = (0..n).map(|_| id::new_base()).collect();
    ids.sort();
    bench.plant(ids.iter().map(|id| instance(id)).collect()).await;
    ids
}

#[must_use]
pub fn new_batch(jobs_per_seed: u32, k: u32) -> NewBatch {
    let plan = MigrationPlan { source_definition_id: SOURCE.into(), target_definition_id: TARGET.into(), ..MigrationPlan::default() };
    NewBatch {
        id: id::new_base(),
        configuration: BatchConfiguration::Migration { plan, skip: Skip::default() },
        batch_jobs_per_seed: jobs_per_seed,
        invocations_per_batch_job: k,
        tenant_id: None,
        deployment_id: Some("deployment".into()),
        retries: 3,
    }
}

/// Submits a batch of these ids; its id.
pub async fn submit(bench: &dyn Bench, batch: NewBatch, ids: &[String]) -> Batch {
    let listed = || -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> {
        let pages: Vec<Vec<String>> = ids.chunks(5_000).map(<[String]>::to_vec).collect();
        Box::new(pages.into_iter().map(Ok))
    };
    let items = Items { listed: &listed, query: None };
    bench.store().submit(&Caller::anonymous(), batch, items).await.expect("a batch is submitted")
}

/// A batch of `n` instances with all its chunks seeded; its id and the ids.
pub async fn seeded(bench: &dyn Bench, n: usize, k: u32) -> (String, Vec<String>) {
    let ids = herd(bench, n).await;
    let batch = submit(bench, new_batch(100, k), &ids).await.id;
    seed_all(bench, &batch).await;
    (batch, ids)
}

/// Seeds chunk by chunk until none is left.
pub async fn seed_all(bench: &dyn Bench, batch: &str) -> Vec<u32> {
    let mut runs = vec![];
    for _ in 0..1_000 {
        let seeded = bench.store().seed(batch, SeedRoom::OneChunk).await.expect("it seeds").expect("the batch is there");
        if seeded.runs.is_empty() {
            return runs;
        }
        runs.extend(seeded.runs);
    }
    panic!("batch {batch} is never seeded")
}

#[must_use]
pub fn work(batch: &str, number: u32) -> WorkRef {
    WorkRef::new(batch, number)
}

#[must_use]
pub fn whole(batch: &str, number: u32) -> Portion {
    Portion { work: work(batch, number), jobs: None }
}

/// Migrates by naming the target definition in the document; fails what it is told to; waits where it is told to.
#[derive(Default)]
pub struct Herder {
    failing: Mutex<BTreeMap<String, String>>,
    gate: Option<Arc<Gate>>,
}

impl Herder {
    /// Fails these ids, for this reason.
    #[must_use]
    pub fn failing(ids: &[String], reason: &str) -> Self {
        Self { failing: Mutex::new(ids.iter().map(|id| (id.clone(), reason.to_owned())).collect()), gate: None }
    }

    #[must_use]
    pub fn at_gate(gate: &Arc<Gate>) -> Self {
        Self { failing: Mutex::default(), gate: Some(gate.clone()) }
    }
}

impl Decide for Herder {
    fn decide(&self, _: &ItemContext<'_>, item: Item) -> ItemOutcome {
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        let reason = self.failing.lock().expect("no panic before").get(&item.id).cloned();
        let fail = |reason: String| {
            let message = format!("{} cannot be migrated: {reason}", item.id);
            ItemOutcome::Failed(Failure { details: format!("details of {message}"), reason, message })
        };
        match (reason, item.instance) {
            (Some(reason), _) => fail(reason),
            (None, None) => fail("gone".into()),
            (None, Some(instance)) if instance.definition_id != SOURCE => fail("ENGINE-23002".into()),
            (None, Some(mut instance)) => {
                instance.definition_id = TARGET.into();
                ItemOutcome::Changed { instance: Box::new(instance), closed: vec![], requests: vec![], ended: false }
            }
        }
    }
}

/// Holds a decision open: the one who decides waits in [`Gate::pass`] until the test opens it.
#[derive(Default)]
pub struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Default)]
struct GateState {
    reached: bool,
    open: bool,
}

impl Gate {
    fn pass(&self) {
        // Another thread goes on with this one's tasks meanwhile, input and output among them.
        tokio::task::block_in_place(|| {
            let mut state = self.state.lock().expect("no panic before");
            state.reached = true;
            self.changed.notify_all();
            while !state.open {
                let (next, waited) = self.changed.wait_timeout(state, LONGEST_WAIT).expect("no panic before");
                assert!(!waited.timed_out(), "the test never opened its gate");
                state = next;
            }
        });
    }

    /// Until somebody waits at it.
    pub async fn reached(self: &Arc<Self>) {
        let gate = self.clone();
        let waiting = tokio::task::spawn_blocking(move || {
            let mut state = gate.state.lock().expect("no panic before");
            while !state.reached {
                let (next, waited) = gate.changed.wait_timeout(state, LONGEST_WAIT).expect("no panic before");
                assert!(!waited.timed_out(), "nobody comes to the gate");
                state = next;
            }
        });
        waiting.await.expect("the gate is reached");
    }

    pub fn open(&self) {
        self.state.lock().expect("no panic before").open = true;
        self.changed.notify_all();
    }
}

/// Executes these in normal mode, all succeeding.
pub async fn execute(bench: &dyn Bench, portions: &[Portion]) -> Executed {
    execute_with(bench, portions, &Herder::default()).await
}

pub async fn execute_with(bench: &dyn Bench, portions: &[Portion], herder: &Herder) -> Executed {
    bench.store().execute(portions, &Mode::Normal, herder).await.expect("it executes")
}

/// The batch as it is read, after its counts were compared with a recount.
pub async fn checked(bench: &dyn Bench, batch: &str) -> Batch {
    let (store, caller) = (bench.store(), Caller::anonymous());
    let query = BatchQuery { id: Some(batch.to_owned()), ..BatchQuery::default() };
    let found = store.batches(&caller, &query, Page::default()).await.expect("batches can be read").pop().expect("the batch is there");
    let jobs = jobs(bench, batch).await;
    let live: Vec<_> = jobs.iter().filter(|job| id::split(&job.id).is_some_and(|(_, n)| n >= 2)).collect();
    let statistics = found.statistics;
    let unseeded = found.total_jobs - found.jobs_created;
    assert_eq!(statistics.remaining_jobs, live.len() as u64 + unseeded, "remaining jobs are those listed and those to be made");
    assert_eq!(statistics.completed_jobs, found.total_jobs - statistics.remaining_jobs);
    assert_eq!(statistics.failed_jobs, live.iter().filter(|job| job.retries == 0).count() as u64);
    let count = store.count_batch_jobs(&caller, &of_batch(batch)).await.expect("jobs can be counted");
    assert_eq!(count, jobs.len() as u64, "the count is that of the list");
    let numbers: BTreeSet<&str> = jobs.iter().map(|job| job.id.as_str()).collect();
    assert_eq!(numbers.len(), jobs.len(), "no job is listed twice");
    found
}

#[must_use]
pub fn of_batch(batch: &str) -> JobQuery {
    JobQuery { batch_id: Some(batch.to_owned()), ..JobQuery::default() }
}

pub async fn jobs(bench: &dyn Bench, batch: &str) -> Vec<crate::store::views::JobView> {
    bench.store().batch_jobs(&Caller::anonymous(), &of_batch(batch), &[], Page::default()).await.expect("jobs can be listed")
}

/// Numbers of the execution jobs that are there.
pub async fn numbers(bench: &dyn Bench, batch: &str) -> Vec<u32> {
    let jobs = jobs(bench, batch).await;
    jobs.iter().filter_map(|job| id::split(&job.id)).map(|(_, number)| number).filter(|n| *n >= 2).collect()
}

/// Which of these instances stand on the target, each written exactly once more than it was planted.
pub async fn migrated(bench: &dyn Bench, ids: &[String]) -> usize {
    let mut n = 0;
    for id in ids {
        let stored = bench.store().instance(&Caller::anonymous(), id).await.expect("instances can be read").expect("it is there");
        let moved = stored.instance.definition_id == TARGET;
        assert_eq!(stored.revision, if moved { 2 } else { 1 }, "{id} is written exactly once, if at all");
        n += usize::from(moved);
    }
    n
}

/// The state in which the store keeps one execution job.
pub async fn job(bench: &dyn Bench, batch: &str, number: u32) -> crate::store::views::JobView {
    bench.store().batch_job(&Caller::anonymous(), &work(batch, number)).await.expect("jobs can be read").expect("the job is there")
}
