//! Batches: states, counts, windows, and the predicates that decide what would make progress (design §5 to §7).
//!
//! Pure. Counts of jobs follow spec-batch-rest §1.10; counts of instances are Drover's own.

mod kinds;

pub use kinds::{BatchConfiguration, BatchType, RemovalTime};

use crate::clock::Millis;

/// `batchJobsPerSeed`: execution jobs that one chunk holds.
pub const DEFAULT_BATCH_JOBS_PER_SEED: u32 = 100;
/// `invocationsPerBatchJob`: instances of one execution job.
pub const DEFAULT_INVOCATIONS_PER_BATCH_JOB: u32 = 1;
/// Refused at start-up above this.
pub const MAX_INVOCATIONS_PER_BATCH_JOB: u32 = 10_000;
/// Instances that one seed transaction may take, and the most that one chunk holds.
pub const MAX_IDS_PER_SEED: u64 = 50_000;
/// The most instances that may be outstanding over all batches.
pub const MAX_WINDOW: u64 = 100_000;
/// Over which time the fleet's finished instances are counted for the window. A batch submitted now waits behind twice of it:
/// four seconds of work, when the fleet is as fast as it was.
pub const WINDOW_MS: Millis = 2_000;
/// How far ahead of now `wake_at` of a new run lies: how long a lost wake goes unseen.
pub const FIRST_WAKE_MS: Millis = 15_000;
/// Jobs due later than this from now are not outstanding.
pub const OUTSTANDING_HORIZON_MS: Millis = 60_000;
/// Target size of a run in instances: as many jobs as fill it, at least one.
pub const RUN_INSTANCES: u32 = 100;

/// A batch to be created. Its ids come beside it.
#[derive(Clone, Debug, PartialEq)]
pub struct NewBatch {
    /// A new base (`id::new_base`); the store draws again if it is taken.
    pub id: String,
    pub configuration: BatchConfiguration,
    pub batch_jobs_per_seed: u32,
    pub invocations_per_batch_job: u32,
    pub tenant_id: Option<String>,
    /// Deployment of the source definition: set on jobs and on the seed job definition.
    pub deployment_id: Option<String>,
    pub retries: i32,
}

/// The seed or the monitor job of a batch, kept in the batch row.
#[derive(Clone, Debug, PartialEq)]
pub struct ControlJob {
    pub suspended: bool,
    pub retries: i32,
    pub due: Option<Millis>,
    pub error: Option<String>,
}

/// A batch as read, counts included: all of one snapshot.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub id: String,
    pub configuration: BatchConfiguration,
    pub total_instances: u64,
    pub total_jobs: u64,
    pub jobs_created: u64,
    pub batch_jobs_per_seed: u32,
    pub invocations_per_batch_job: u32,
    pub suspended: bool,
    pub tenant_id: Option<String>,
    pub create_user_id: Option<String>,
    pub start_time: Millis,
    pub execution_start_time: Option<Millis>,
    pub seed_job: ControlJob,
    pub monitor_job: ControlJob,
    pub statistics: BatchStatistics,
}

/// Counted from rows in one statement (design §5). Jobs first, then instances.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchStatistics {
    /// Not yet finished, failed ones included.
    pub remaining_jobs: u64,
    /// total − remaining; deleted ones included, as in the reference.
    pub completed_jobs: u64,
    /// Out of retries; part of the remaining ones.
    pub failed_jobs: u64,
    pub done_instances: u64,
    pub failed_instances: u64,
    pub cancelled_instances: u64,
}

/// A batch in history. `end_time` is set when it completed or was deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct HistoricBatch {
    pub id: String,
    pub batch_type: String,
    pub total_instances: u64,
    pub total_jobs: u64,
    pub batch_jobs_per_seed: u32,
    pub invocations_per_batch_job: u32,
    pub tenant_id: Option<String>,
    pub create_user_id: Option<String>,
    pub start_time: Millis,
    pub execution_start_time: Option<Millis>,
    pub end_time: Option<Millis>,
    pub removal_time: Option<Millis>,
    pub migrated_instances: Option<u64>,
    pub failed_instances: Option<u64>,
    pub cancelled_instances: Option<u64>,
}

/// What the look reads of one batch: what the two predicates need, of one snapshot.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchFacts {
    pub id: String,
    /// False when there is no such batch (any more).
    pub exists: bool,
    pub chunks_left: bool,
    /// Runs, or jobs with a number of 2 and above.
    pub work_left: bool,
    pub seed_suspended: bool,
    pub seed_retries: i32,
    pub monitor_suspended: bool,
    /// Instances in runs and jobs that may run soon: not failed, held, suspended or due later than a minute.
    pub outstanding: u64,
    /// This batch's share of the window, in instances.
    pub window: u64,
}

impl BatchFacts {
    /// Would seeding make progress now? The look, the wake and the handler ask the same (design §7.4).
    #[must_use]
    pub fn may_seed(&self) -> bool {
        self.has_seedable_chunks() && self.outstanding.saturating_mul(4) <= self.window.saturating_mul(3)
    }

    /// Chunks are left and the seed job may run: what the seeder itself asks before it fills the window whole.
    #[must_use]
    pub fn has_seedable_chunks(&self) -> bool {
        self.exists && self.chunks_left && !self.seed_suspended && self.seed_retries > 0
    }

    /// Is nothing of it left, and may its monitor job run?
    #[must_use]
    pub fn may_complete(&self) -> bool {
        self.exists && !self.chunks_left && !self.work_left && !self.monitor_suspended
    }
}

/// One batch's share of the window in instances: twice what the fleet finished in the last [`WINDOW_MS`], at least a
/// chunk and at most [`MAX_WINDOW`], shared by the active batches, at least a run each (design §7.2).
#[must_use]
pub fn window_share(finished: u64, active_batches: u64, chunk_instances: u64, run_instances: u64) -> u64 {
    let whole = finished.saturating_mul(2).max(chunk_instances).min(MAX_WINDOW.max(chunk_instances));
    (whole / active_batches.max(1)).max(run_instances).max(1)
}

/// Jobs that one run holds: as many as fill [`RUN_INSTANCES`], at least one.
#[must_use]
pub fn jobs_per_run(invocations_per_batch_job: u32) -> u32 {
    (RUN_INSTANCES / invocations_per_batch_job.max(1)).max(1)
}

/// Instances of one chunk: `batchJobsPerSeed` whole jobs, at most [`MAX_IDS_PER_SEED`] ids.
#[must_use]
pub fn chunk_instances(batch_jobs_per_seed: u32, invocations_per_batch_job: u32) -> u64 {
    let k = u64::from(invocations_per_batch_job.max(1));
    let jobs = u64::from(batch_jobs_per_seed.max(1)).min((MAX_IDS_PER_SEED / k).max(1));
    jobs * k
}

/// ⌈instances / K⌉.
#[must_use]
pub fn total_jobs(instances: u64, invocations_per_batch_job: u32) -> u64 {
    instances.div_ceil(u64::from(invocations_per_batch_job.max(1)))
}

/// Cuts the ids of a chunk, whose first job is `first`, into runs: (first, last, ids) of each.
#[must_use]
pub fn cut_into_runs(first: u32, ids: &[String], k: u32) -> Vec<(u32, u32, Vec<String>)> {
    let jobs = jobs_per_run(k);
    let size = (jobs * k.max(1)) as usize;
    let mut next = first;
    ids.chunks(size)
        .map(|part| {
            let count = (part.len() as u32).div_ceil(k.max(1));
            let run = (next, next + count - 1, part.to_vec());
            next += count;
            run
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(n: usize) -> Vec<String> {
        (0..n).map(|i| i.to_string()).collect()
    }

    #[test]
    fn a_chunk_is_cut_into_runs_of_whole_jobs() {
        let runs = cut_into_runs(2, &ids(250), 1);
        assert_eq!(runs.iter().map(|r| (r.0, r.1, r.2.len())).collect::<Vec<_>>(), [(2, 101, 100), (102, 201, 100), (202, 251, 50)]);
        let runs = cut_into_runs(12, &ids(25), 10);
        assert_eq!(runs.iter().map(|r| (r.0, r.1, r.2.len())).collect::<Vec<_>>(), [(12, 14, 25)]);
        let runs = cut_into_runs(2, &ids(1001), 1000);
        assert_eq!(runs.iter().map(|r| (r.0, r.1, r.2.len())).collect::<Vec<_>>(), [(2, 2, 1000), (3, 3, 1)]);
    }

    #[test]
    fn the_window_follows_the_fleet_within_its_bounds() {
        assert_eq!(window_share(0, 1, 100, 100), 100);
        assert_eq!(window_share(10_000, 1, 100, 100), 20_000);
        assert_eq!(window_share(10_000, 4, 100, 100), 5_000);
        assert_eq!(window_share(10_000_000, 1, 100, 100), MAX_WINDOW);
        assert_eq!(window_share(0, 50, 100, 10), 10);
    }

    #[test]
    fn a_chunk_never_holds_more_than_one_transaction_may_take() {
        assert_eq!(chunk_instances(100, 1), 100);
        assert_eq!(chunk_instances(100, 10_000), 50_000);
        assert_eq!(chunk_instances(2, 10), 20);
    }
}
