//! The verbs of batches: what design §5 and §7 say, each one transaction.

use std::sync::Arc;

use async_trait::async_trait;

use super::query::{BatchQuery, HistoricBatchQuery, JobLogQuery, JobQuery, JobSort, Order, Page};
use super::views::{ClosedIncident, FailureGroup, FailureRow, IncidentView, JobLogRow, JobView, WorkerRow};
use super::{Caller, Error};
use crate::batch::{Batch, BatchConfiguration, BatchFacts, HistoricBatch, NewBatch};
use crate::clock::Millis;
use crate::job::{Failure, WorkRef};
use crate::process::definition::ProcessDefinition;
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::runner::{JobDefinitions, Request};

/// The ids of a new batch: the union of what is listed and what the query finds now, each id once.
pub struct Items<'a> {
    /// Pages of at most 5,000 ids, from memory or a spool file; called once an attempt.
    pub listed: &'a (dyn Fn() -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> + Send + Sync),
    /// Evaluated in the database: no id travels through the caller.
    pub query: Option<&'a super::query::InstanceQuery>,
}

/// How much a seed step may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedRoom {
    /// Chunks while the outstanding instances are below the batch's share of the window; at most 50,000 ids.
    Window,
    /// One chunk whatever the window says: a person executes the seed job.
    OneChunk,
}

/// What a seed step did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seeded {
    /// First job numbers of the runs written, in order: a wake is to be published for each.
    pub runs: Vec<u32>,
    /// Chunks are left and there is room: the seeder wakes itself again.
    pub room_left: bool,
}

/// What to claim: the whole run or job row at `work`, or only the first `jobs` jobs of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portion {
    pub work: WorkRef,
    pub jobs: Option<u32>,
}

/// How rows are claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Many rows, by their locks alone; rows under a lease that has not passed count as locked, and rows with
    /// attempts > 0 are given back as `careful`.
    Normal,
    /// One row, under a lease taken before with this token.
    Careful { token: String },
    /// A person executes the job row or the one job `work.number`, wherever it is: due date, suspension, retries and
    /// `wake_at` do not matter; all its ids are one unit for the answer, though those that succeed are kept (design §7.3).
    ByHand,
}

/// The answer to asking for a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lease {
    /// Taken; `one_by_one`: only the front job may be tried.
    Taken { one_by_one: bool },
    /// The front job was failed untried: its worker died five times. What is left of the run begins here.
    GaveUp { executed: Executed },
    /// The row is there, but locked or under another's lease, or not to be run now. `wake_at` covers it.
    NotNow,
    /// No such row.
    Gone,
}

/// What a claim-decide-commit did. All lists are of work asked for, unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    pub succeeded_instances: u64,
    pub failed_instances: u64,
    /// Attempts that failed, by their first failure's message: for logs, metrics and callers that execute by hand.
    pub failed: Vec<(WorkRef, Failure)>,
    /// To be published now: next attempts of jobs with retries left, and the new first of a run that was shortened.
    pub next: Vec<WorkRef>,
    /// There, but locked, leased, suspended, held or not due.
    pub not_now: Vec<WorkRef>,
    /// There, but with attempts > 0: to be handled in careful mode.
    pub careful: Vec<WorkRef>,
    pub gone: Vec<WorkRef>,
}

/// What a migration item is decided with: same for all items of one batch in a transaction.
pub struct ItemContext<'a> {
    pub batch: &'a str,
    pub configuration: &'a BatchConfiguration,
    /// None when the definition is gone.
    pub source: Option<&'a Arc<ProcessDefinition>>,
    pub target: Option<&'a Arc<ProcessDefinition>>,
    pub job_definitions: &'a dyn JobDefinitions,
    pub default_retries: i32,
    /// The database's time.
    pub now: Millis,
}

/// One instance to be decided.
pub struct Item {
    pub id: String,
    /// None when there is no such instance (any more), or the batch's tenant may not see it.
    pub instance: Option<Instance>,
    /// Of the instance, for types that run commands; a migration finds its own in the context.
    pub definition: Option<Arc<ProcessDefinition>>,
}

/// What becomes of it.
#[derive(Debug)]
pub enum ItemOutcome {
    Changed {
        instance: Box<Instance>,
        closed: Vec<Closed>,
        requests: Vec<Request>,
        ended: bool,
    },
    /// Done, and nothing is to be written.
    Nothing,
    Failed(Failure),
}

/// The pure decision inside [`BatchStore::execute`]; called again when the transaction is.
pub trait Decide: Send + Sync {
    fn decide(&self, cx: &ItemContext<'_>, item: Item) -> ItemOutcome;
}

/// Bounds of one round of [`BatchStore::wake`].
#[derive(Clone, Copy, Debug)]
pub struct WakeLimits {
    /// Rows of runs and jobs, of all batches together.
    pub work: u32,
    /// Instances whose own jobs are due, and timers.
    pub instances: u32,
}

/// What a round of wake found due; its `wake_at` has been moved on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Woken {
    pub work: Vec<WorkRef>,
    pub instances: Vec<String>,
    pub timers: Vec<String>,
}

/// What a suspension by job definition reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SuspendScope {
    DefinitionOnly,
    DefinitionAndJobs,
}

#[async_trait]
pub trait BatchStore: Send + Sync {
    /// Writes batch, job definitions, chunks and log in one transaction. The ids are those of `items` at this moment,
    /// each once, in the order of ids. No ids at all: `Refused(BadUserRequestException)` and nothing is written.
    /// Drover draws again (at most three times) when the id is taken. Statement timeout 300 s.
    async fn submit(&self, caller: &Caller, batch: NewBatch, items: Items<'_>) -> Result<Batch, Error>;

    /// One seed step under the batch's lock (design §7.2): takes the lowest chunks, writes their runs with `wake_at`
    /// 15 s ahead, priority and suspension copied from the execution job definition. None: no such batch.
    /// Nothing happens while [`BatchFacts::has_seedable_chunks`] is false (with `OneChunk` suspension and retries do not matter).
    async fn seed(&self, batch: &str, room: SeedRoom) -> Result<Option<Seeded>, Error>;

    /// Claim, decide, write, commit (design §7.3): the transaction is the claim. A claim re-checks under the lock: not
    /// suspended, retries > 0, `wake_at` not null, due passed, no lease of another. Instances are loaded in one statement and
    /// written `WHERE revision = …` in one; missed ones are read again `FOR UPDATE` and decided again in the same transaction.
    /// Runs are deleted or shortened in place; failed ids become job rows (`job::settle`), with their failure rows and log.
    /// A success removes the failure rows of its ids and, when its job is gone, resolves the incident.
    async fn execute(&self, portions: &[Portion], mode: &Mode, decide: &dyn Decide) -> Result<Executed, Error>;

    /// Careful mode's first transaction (design §7.3): adds one to attempts and takes the lease (15 s). Whoever asks again with
    /// the token that the row has still, makes the same attempt: it is not counted twice.
    async fn lease(&self, work: &WorkRef, token: &str) -> Result<Lease, Error>;

    /// Charges one attempt of the front job of `work` with this failure, without trying it: a statement that the database
    /// refuses, whatever it holds.
    async fn fail_front(&self, work: &WorkRef, failure: &Failure) -> Result<Executed, Error>;

    /// Facts for the predicates, of one snapshot each, in a statement of its own; batches that are gone have `exists: false`.
    async fn look(&self, batches: &[String]) -> Result<Vec<BatchFacts>, Error>;

    /// Ids of all batches, in order, after `after`; at most `limit`.
    async fn batch_ids(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error>;

    /// `DELETE FROM batch WHERE id = … AND may_complete`, history in the same transaction, without the batch lock. True: completed now.
    async fn complete(&self, batch: &str) -> Result<bool, Error>;

    /// Moves the visible due date of the monitor job by `poll_time`, where it has passed.
    async fn poll_monitor(&self, batch: &str, poll_time: Millis) -> Result<(), Error>;

    /// Design §7.6: rows that are due, not suspended and have retries left, oldest `wake_at` first, `FOR UPDATE SKIP LOCKED`;
    /// moves `wake_at` on (`job::next_wake_ms`). Never more than the window of each batch.
    async fn wake(&self, limits: WakeLimits) -> Result<Woken, Error>;

    /// Runs and job rows whose wake was not published: due again in [`crate::job::UNPUBLISHED_MS`], and the wake does not count
    /// against them. Held ones stay held, and one that is locked is left to who works on it.
    async fn unpublished(&self, works: &[WorkRef]) -> Result<(), Error>;

    /// Runs and job rows of a batch whose wake was published and lost as a whole (a wiped broker): due now, and that wake does
    /// not count. Held, leased and locked ones stay as they are.
    async fn wakes_lost(&self, batch: &str) -> Result<(), Error>;

    /// Suspends or activates batch, control jobs, job definitions and jobs. None: no such batch (or not this caller's).
    /// Activating sets `wake_at` to now where it is not null and gives back at most the window of work to publish.
    async fn set_batch_suspended(&self, caller: &Caller, batch: &str, suspended: bool) -> Result<Option<Vec<WorkRef>>, Error>;

    /// Deletes all of a batch; history keeps its end unless `cascade`. False: no such batch.
    async fn delete_batch(&self, caller: &Caller, batch: &str, cascade: bool) -> Result<bool, Error>;

    /// Deletes a batch's history, its job log and historic incidents. False: no such historic batch.
    async fn delete_historic_batch(&self, caller: &Caller, batch: &str) -> Result<bool, Error>;

    // --- one job, or the jobs of one definition, of a batch ---------------------------------------------------------
    // Each takes the batch's lock first, then takes the job out of its run. The work to publish is given back:
    // the job itself where it may run, and the firsts of all pieces of the run. None: no such job.

    /// Sets retries (≥ 0) and, if given, the due date. More than 0 makes it runnable at once and resolves its incident;
    /// 0 makes an incident, as if it had failed. Seed and monitor jobs too.
    async fn set_batch_job_retries(
        &self,
        caller: &Caller,
        job: &WorkRef,
        retries: i32,
        due: Option<Option<Millis>>,
    ) -> Result<Option<Vec<WorkRef>>, Error>;
    async fn set_batch_job_suspended(&self, caller: &Caller, job: &WorkRef, suspended: bool) -> Result<Option<Vec<WorkRef>>, Error>;
    async fn set_batch_job_due(&self, caller: &Caller, job: &WorkRef, due: Option<Millis>) -> Result<Option<Vec<WorkRef>>, Error>;
    async fn set_batch_job_priority(&self, caller: &Caller, job: &WorkRef, priority: i64) -> Result<Option<Vec<WorkRef>>, Error>;
    /// Its ids are cancelled: counted, logged, never migrated. Its incident ends as deleted.
    async fn delete_batch_job(&self, caller: &Caller, job: &WorkRef) -> Result<Option<Vec<WorkRef>>, Error>;
    /// `definition` is one of the batch's three. Only jobs with no retries left take the new ones; incidents stay.
    async fn set_definition_retries(
        &self,
        caller: &Caller,
        definition: &WorkRef,
        retries: i32,
        due: Option<Option<Millis>>,
    ) -> Result<Option<Vec<WorkRef>>, Error>;
    async fn set_definition_suspended(
        &self,
        caller: &Caller,
        definition: &WorkRef,
        suspended: bool,
        scope: SuspendScope,
    ) -> Result<Option<Vec<WorkRef>>, Error>;
    /// Existing jobs take the new priority, whatever `includeJobs` says; None resets the definition alone (FINDINGS 7).
    async fn set_definition_priority(
        &self,
        caller: &Caller,
        definition: &WorkRef,
        priority: Option<i64>,
    ) -> Result<Option<Vec<WorkRef>>, Error>;

    // --- reading -----------------------------------------------------------------------------------------------------

    async fn batches(&self, caller: &Caller, query: &BatchQuery, page: Page) -> Result<Vec<Batch>, Error>;
    async fn count_batches(&self, caller: &Caller, query: &BatchQuery) -> Result<u64, Error>;
    async fn historic_batches(&self, caller: &Caller, query: &HistoricBatchQuery, page: Page) -> Result<Vec<HistoricBatch>, Error>;
    async fn count_historic_batches(&self, caller: &Caller, query: &HistoricBatchQuery) -> Result<u64, Error>;

    /// Jobs of batches that match: seed and monitor jobs, jobs in runs spread out, job rows. In the order of ids when
    /// `sort` is empty. Filters that only jobs of instances can meet give nothing.
    async fn batch_jobs(&self, caller: &Caller, query: &JobQuery, sort: &[(JobSort, Order)], page: Page) -> Result<Vec<JobView>, Error>;
    async fn count_batch_jobs(&self, caller: &Caller, query: &JobQuery) -> Result<u64, Error>;
    async fn batch_job(&self, caller: &Caller, job: &WorkRef) -> Result<Option<JobView>, Error>;
    /// The full text of its last failure; inner None: it has not failed.
    async fn batch_job_stacktrace(&self, caller: &Caller, job: &WorkRef) -> Result<Option<Option<String>>, Error>;
    /// Open incidents of batch jobs, at most `limit`, after this id: the API filters them with those of instances.
    async fn batch_incidents(&self, caller: &Caller, after: Option<&str>, limit: u32) -> Result<Vec<IncidentView>, Error>;
    /// Incidents of batch jobs that are over, as far as their batch's history is kept; at most `limit`, after this id.
    async fn closed_batch_incidents(&self, _caller: &Caller, _after: Option<&str>, _limit: u32) -> Result<Vec<ClosedIncident>, Error> {
        Ok(vec![])
    }
    async fn annotate_batch_incident(&self, caller: &Caller, id: &str, annotation: Option<String>) -> Result<bool, Error>;

    async fn job_log(&self, caller: &Caller, query: &JobLogQuery, page: Page) -> Result<Vec<JobLogRow>, Error>;
    async fn count_job_log(&self, caller: &Caller, query: &JobLogQuery) -> Result<u64, Error>;

    /// Failing instances of a batch by reason, the largest group first; at most `limit` groups.
    async fn failure_groups(&self, caller: &Caller, batch: &str, limit: u32) -> Result<Vec<FailureGroup>, Error>;
    async fn failures(&self, caller: &Caller, batch: &str, reason: Option<&str>, page: Page) -> Result<Vec<FailureRow>, Error>;

    // --- workers -----------------------------------------------------------------------------------------------------

    /// Writes this worker's row: its rates feed the window. Removes rows not heard of for an hour.
    async fn heartbeat(&self, worker: &WorkerRow) -> Result<(), Error>;
    async fn workers(&self) -> Result<Vec<WorkerRow>, Error>;
}
