//! Counts and facts, each of one snapshot: the formulas of design §5.

use super::rows::{BatchRow, Job, Key, Row, Run, WorkState};
use super::tx::Tx;
use super::{Broken, ModelStore};
use crate::batch::{self, Batch, BatchFacts, BatchStatistics, OUTSTANDING_HORIZON_MS};
use crate::clock::Millis;
use crate::store::Error;

/// A heartbeat older than this counts for nothing in the window.
const HEARTBEAT_MS: Millis = 10_000;

/// Will it run within a minute?
pub(super) fn is_outstanding(state: &WorkState, now: Millis) -> bool {
    !state.suspended && state.retries > 0 && state.wake_at.is_some() && state.due.is_none_or(|due| due <= now + OUTSTANDING_HORIZON_MS)
}

fn outstanding(runs: &[(Key, Run)], jobs: &[(Key, Job)], now: Millis) -> u64 {
    let states = runs.iter().map(|(_, run)| (&run.state, run.ids.len())).chain(jobs.iter().map(|(_, job)| (&job.state, job.ids.len())));
    states.filter(|(state, _)| is_outstanding(state, now)).map(|(_, ids)| ids as u64).sum()
}

impl ModelStore {
    /// This batch's share of the window.
    pub(super) fn window(&self, tx: &Tx<'_>, batch: &BatchRow) -> Result<u64, Error> {
        let workers = tx.scan(&Key::Worker(String::new()), &Key::Worker("~".into()))?;
        let finished = workers
            .iter()
            .map(|(_, row)| match row {
                Row::Worker(worker) if worker.heartbeat + HEARTBEAT_MS > tx.now => worker.finished_recently,
                _ => 0,
            })
            .sum();
        let active = tx.batches()?.iter().filter(|b| !b.suspended).count() as u64;
        let chunk = batch::chunk_instances(batch.batch_jobs_per_seed, batch.k);
        let run = u64::from(self.jobs_of_a_run(batch.k)) * u64::from(batch.k);
        Ok(batch::window_share(finished, active, chunk, run))
    }

    pub(super) fn jobs_of_a_run(&self, k: u32) -> u32 {
        self.jobs_per_run.unwrap_or_else(|| batch::jobs_per_run(k))
    }

    pub(super) fn facts(&self, tx: &Tx<'_>, id: &str) -> Result<BatchFacts, Error> {
        let Some(batch) = tx.batch(id)?.filter(|_| !self.is_broken(Broken::Blind)) else {
            return Ok(BatchFacts { id: id.into(), ..BatchFacts::default() });
        };
        let (runs, jobs) = (tx.runs(id)?, tx.jobs(id)?);
        let held = |job: &Job| job.state.retries == 0 && self.is_broken(Broken::CompletesWithJobsLeft);
        Ok(BatchFacts {
            id: id.into(),
            exists: true,
            chunks_left: !tx.chunks(id)?.is_empty(),
            work_left: !runs.is_empty() || jobs.iter().any(|(_, job)| !held(job)),
            seed_suspended: batch.seed_job.suspended,
            seed_retries: batch.seed_job.retries,
            monitor_suspended: batch.monitor_job.suspended,
            outstanding: outstanding(&runs, &jobs, tx.now),
            window: self.window(tx, &batch)?,
        })
    }

    pub(super) fn statistics(tx: &Tx<'_>, batch: &BatchRow) -> Result<(u64, BatchStatistics), Error> {
        let (chunks, runs, jobs) = (tx.chunks(&batch.id)?, tx.runs(&batch.id)?, tx.jobs(&batch.id)?);
        let created = chunks.iter().map(|(_, chunk)| u64::from(chunk.first) - 2).min().unwrap_or(batch.total_jobs);
        let in_runs: u64 = runs.iter().map(|(_, run)| u64::from(run.last - run.first) + 1).sum();
        let remaining = batch.total_jobs - created + in_runs + jobs.len() as u64;
        let waiting: usize = chunks.iter().map(|(_, c)| c.ids.len()).sum::<usize>()
            + runs.iter().map(|(_, r)| r.ids.len()).sum::<usize>()
            + jobs.iter().map(|(_, j)| j.ids.len()).sum::<usize>();
        let dead_runs = runs.iter().filter(|(_, run)| run.state.retries == 0);
        let dead_jobs = jobs.iter().filter(|(_, job)| job.state.retries == 0);
        let statistics = BatchStatistics {
            remaining_jobs: remaining,
            completed_jobs: batch.total_jobs - remaining,
            failed_jobs: dead_runs.clone().map(|(_, run)| u64::from(run.last - run.first) + 1).sum::<u64>()
                + dead_jobs.clone().count() as u64,
            done_instances: batch.total_instances - waiting as u64 - batch.cancelled,
            failed_instances: (dead_runs.map(|(_, run)| run.ids.len()).sum::<usize>()
                + dead_jobs.map(|(_, job)| job.ids.len()).sum::<usize>()) as u64,
            cancelled_instances: batch.cancelled,
        };
        Ok((created, statistics))
    }

    pub(super) fn view(tx: &Tx<'_>, row: &BatchRow) -> Result<Batch, Error> {
        let (created, statistics) = Self::statistics(tx, row)?;
        let execution_start_time =
            tx.get(&Key::Start(row.id.clone()))?.and_then(|row| if let Row::Start(at) = row { Some(at) } else { None });
        Ok(Batch {
            id: row.id.clone(),
            configuration: row.configuration.clone(),
            total_instances: row.total_instances,
            total_jobs: row.total_jobs,
            jobs_created: created,
            batch_jobs_per_seed: row.batch_jobs_per_seed,
            invocations_per_batch_job: row.k,
            suspended: row.suspended,
            tenant_id: row.tenant_id.clone(),
            create_user_id: row.user.clone(),
            start_time: row.start_time,
            execution_start_time,
            seed_job: row.seed_job.clone(),
            monitor_job: row.monitor_job.clone(),
            statistics,
        })
    }
}
