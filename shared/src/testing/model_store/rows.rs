//! The rows of the model store: what the tables of design §5 hold, as values.

use std::fmt;
use std::sync::Arc;

use crate::batch::{BatchConfiguration, ControlJob, HistoricBatch};
use crate::clock::Millis;
use crate::job::Failure;
use crate::process::derived;
use crate::process::instance::Instance;
use crate::store::views::WorkerRow;

/// A primary key. Runs have a number of their own: their `first` changes in place (design §7.3).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    Batch(String),
    Chunk(String, u32),
    Run(String, u64),
    Job(String, u32),
    Failure(String, u32, String),
    Instance(String),
    Timer(String),
    Start(String),
    History(String),
    Log(u64),
    Worker(String),
}

#[derive(Clone, Debug)]
pub enum Row {
    Batch(Arc<BatchRow>),
    Chunk(Chunk),
    Run(Run),
    Job(Job),
    Failure(Failure),
    Instance(Arc<InstanceRow>),
    Timer(TimerRow),
    Start(Millis),
    History(HistoricBatch),
    Log(LogRow),
    Worker(WorkerRow),
}

#[derive(Clone, Debug, Default)]
pub struct JobDefinition {
    pub suspended: bool,
    pub priority: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct BatchRow {
    pub id: String,
    pub configuration: BatchConfiguration,
    pub total_instances: u64,
    pub total_jobs: u64,
    pub batch_jobs_per_seed: u32,
    pub k: u32,
    pub suspended: bool,
    pub tenant_id: Option<String>,
    pub user: Option<String>,
    pub start_time: Millis,
    pub retries: i32,
    pub seed_job: ControlJob,
    pub monitor_job: ControlJob,
    pub cancelled: u64,
    pub seed_definition: JobDefinition,
    pub monitor_definition: JobDefinition,
    pub batch_definition: JobDefinition,
}

#[derive(Clone, Debug)]
pub struct Chunk {
    pub first: u32,
    pub ids: Vec<String>,
    pub deployment: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    pub token: String,
    pub until: Millis,
}

/// What a run and a job row have in common.
#[derive(Clone, Debug)]
pub struct WorkState {
    pub suspended: bool,
    pub retries: i32,
    pub due: Option<Millis>,
    /// None: held.
    pub wake_at: Option<Millis>,
    pub wakes: i32,
    pub priority: i64,
    pub attempts: i32,
    pub lease: Option<LeaseRow>,
    pub created: Millis,
    pub deployment: Option<String>,
}

impl WorkState {
    /// What a claim re-checks under the lock, save the lease.
    #[must_use]
    pub fn may_run(&self, now: Millis) -> bool {
        !self.suspended && self.retries > 0 && self.wake_at.is_some() && self.due.is_none_or(|due| due <= now)
    }

    #[must_use]
    pub fn is_leased(&self, now: Millis) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.until > now)
    }

    #[must_use]
    pub fn holds(&self, token: &str) -> bool {
        self.lease.as_ref().is_some_and(|lease| lease.token == token)
    }
}

#[derive(Clone, Debug)]
pub struct Run {
    pub first: u32,
    pub last: u32,
    pub ids: Vec<String>,
    pub k: u32,
    pub state: WorkState,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub number: u32,
    pub ids: Vec<String>,
    pub state: WorkState,
    pub message: Option<String>,
    pub details: Option<String>,
    /// Message of the first failure, and when.
    pub incident: Option<(String, Millis)>,
}

#[derive(Clone, Debug)]
pub struct InstanceRow {
    pub instance: Instance,
    pub revision: i64,
    pub wake_at: Option<Millis>,
    pub wakes: i32,
    pub dead_attempts: i32,
    pub lease: Option<LeaseRow>,
}

/// A start event's timer. What it started carries its id as business key.
#[derive(Clone, Debug)]
pub struct TimerRow {
    pub definition: String,
    pub due: Millis,
    pub retries: i32,
    pub wake_at: Option<Millis>,
    pub wakes: i32,
}

impl InstanceRow {
    /// As every write of a document leaves it.
    #[must_use]
    pub fn written(instance: Instance, revision: i64) -> Self {
        Self { wake_at: derived::wake_at(&instance), instance, revision, wakes: 0, dead_attempts: 0, lease: None }
    }
}

/// Who did what with which instances: the record that the oracles recount from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    pub batch: String,
    pub event: LogEvent,
    pub first: u32,
    pub last: u32,
    pub ids: Vec<String>,
    pub time: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogEvent {
    /// With all ids of the batch.
    Submitted,
    /// A chunk was seeded.
    Created,
    Succeeded,
    Failed,
    /// Failed untried: the database refused to write something of it.
    Refused,
    /// Failed untried: workers died over it.
    GaveUp,
    /// Cancelled with its job.
    JobDeleted,
    /// Cancelled with its batch.
    Deleted,
    Completed,
}

/// A write, as a line of a trace.
pub struct Brief<'a>(pub &'a Key, pub Option<&'a Row>);

impl fmt::Display for Brief<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(row) = self.1 else { return write!(f, "deletes {:?}", self.0) };
        match row {
            Row::Batch(b) => write!(
                f,
                "batch {}: suspended {} seed {}/{} monitor {}/{} cancelled {}",
                b.id, b.suspended, b.seed_job.suspended, b.seed_job.retries, b.monitor_job.suspended, b.monitor_job.retries, b.cancelled
            ),
            Row::Run(run) => write!(f, "{:?}: {}..{} {:?} {}", self.0, run.first, run.last, run.ids, run.state),
            Row::Job(job) => write!(f, "{:?}: {:?} {} incident {:?}", self.0, job.ids, job.state, job.incident),
            Row::Instance(row) => write!(f, "instance {} r{} at {}", row.instance.id, row.revision, row.instance.definition_id),
            Row::Log(row) => write!(f, "log {} {:?} {}..{} {:?}", row.batch, row.event, row.first, row.last, row.ids),
            Row::Timer(timer) => write!(f, "{:?}: retries {}", self.0, timer.retries),
            Row::Chunk(_) | Row::Failure(_) | Row::Start(_) | Row::History(_) | Row::Worker(_) => write!(f, "{:?}", self.0),
        }
    }
}

impl fmt::Display for WorkState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (s, short) = (self, |at: Millis| at % 100_000_000);
        write!(f, "retries {} attempts {} wake {:?} due {:?}", s.retries, s.attempts, s.wake_at.map(short), s.due.map(short))?;
        write!(f, "{} lease {:?}", if s.suspended { " suspended" } else { "" }, s.lease.as_ref().map(|lease| short(lease.until)))
    }
}
