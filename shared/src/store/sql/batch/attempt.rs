//! What attempts leave behind, written in bulk: rows gone, shortened or become jobs, failures, incidents, log (design §7.3).

use std::sync::Arc;

use crate::clock::Millis;
use crate::id;
use crate::job::{Claimed, FailedJob, Failure, ONE_BY_ONE_ATTEMPTS, WorkRef, cut, settle};
use crate::process::history::JobEvent;
use crate::store::sql::{Column, Columns, SqlStore, Tx, params};
use crate::store::{Error, Executed};

use super::fixed::Fixed;
use super::log::{self, Ended, LogRow};
use super::work_rows::{Incident, WorkRow, by_batch, insert_jobs, json, update_jobs};

/// One claimed row and how its items fared.
pub(super) struct Attempt {
    pub row: WorkRow,
    pub fixed: Arc<Fixed>,
    pub claimed: Claimed,
    /// One for each claimed id; None: it succeeded.
    pub outcomes: Vec<Option<Failure>>,
    /// Its worker died over it too often: failed untried. The job stays in careful mode.
    pub untried: bool,
}

impl Attempt {
    pub(super) fn new(row: WorkRow, fixed: Arc<Fixed>, jobs: Option<u32>) -> Self {
        let claimed = row.claimed(jobs);
        Self { outcomes: vec![None; claimed.ids.len()], row, fixed, claimed, untried: false }
    }

    /// The front job, failed without having been tried.
    pub(super) fn failed_front(row: WorkRow, fixed: Arc<Fixed>, failure: &Failure, untried: bool) -> Self {
        let mut attempt = Self::new(row, fixed, Some(1));
        attempt.outcomes.fill(Some(failure.clone()));
        Self { untried, ..attempt }
    }

    fn succeeded(&self) -> Vec<String> {
        self.claimed.ids.iter().zip(&self.outcomes).filter(|(_, o)| o.is_none()).map(|(id, _)| id.clone()).collect()
    }

    /// The job after its failure, as a row.
    fn job_after(&self, failed: &FailedJob, now: Millis) -> WorkRow {
        let first = failed.failures.first();
        let message = first.map(|f| cut(&f.message).to_owned());
        let incident = match &self.row.incident {
            // It keeps the message of the failure that made it (FINDINGS 15).
            None if failed.incident => Some(Incident { id: id::new_id(), message: message.clone(), time: now, annotation: None }),
            open => open.clone(),
        };
        WorkRow {
            work: WorkRef::new(self.row.work.batch.clone(), failed.number),
            last: failed.number,
            ids: failed.ids.clone(),
            is_job_row: true,
            retries: failed.retries,
            wake_at: (failed.retries > 0).then_some(now),
            attempts: if self.untried { ONE_BY_ONE_ATTEMPTS } else { 0 },
            message,
            details: first.map(|f| f.details.clone()),
            incident,
            ..self.row.clone()
        }
    }

    fn log(&self, failed: &[FailedJob], log: &mut Vec<LogRow>) {
        let ids = self.succeeded();
        if !ids.is_empty() {
            let success = LogRow::of(JobEvent::Succeeded, &self.row, self.claimed.work.number, self.claimed.last);
            log.push(LogRow { except: failed.iter().map(|f| f.number).collect(), ids, ..success });
        }
        for job in failed {
            let first = job.failures.first();
            log.push(LogRow {
                message: first.map(|f| cut(&f.message).to_owned()),
                details: first.map(|f| f.details.clone()),
                ids: job.ids.clone(),
                ..LogRow::of(JobEvent::Failed, &self.row, job.number, job.number)
            });
        }
    }
}

/// What is to be written, gathered over all attempts.
#[derive(Default)]
struct Rest {
    runs_gone: Vec<WorkRef>,
    jobs_gone: Vec<WorkRef>,
    jobs_tried: Vec<WorkRef>,
    new_jobs: Vec<WorkRow>,
    old_jobs: Vec<WorkRow>,
    failures: Vec<(WorkRef, String, Failure)>,
    resolved: Vec<(WorkRef, Incident, Option<String>)>,
}

impl SqlStore {
    /// Writes what these attempts leave, and says what is to be published.
    pub(super) async fn conclude(&self, tx: &mut Tx, now: Millis, attempts: &[Attempt]) -> Result<Executed, Error> {
        let mut executed = Executed::default();
        let mut rest = Rest::default();
        let mut log = vec![];
        for attempt in attempts {
            let failed = settle(&attempt.claimed, &attempt.outcomes);
            rest.add(tx, now, attempt, &failed, &mut executed).await?;
            let mut rows = vec![];
            attempt.log(&failed, &mut rows);
            log.extend(rows.into_iter().map(|row| (row, &*attempt.fixed)));
        }
        rest.write(tx, now).await?;
        log::write(tx, now, &self.options().hostname, &log).await?;
        Ok(executed)
    }
}

impl Rest {
    async fn add(
        &mut self,
        tx: &mut Tx,
        now: Millis,
        attempt: &Attempt,
        failed: &[FailedJob],
        executed: &mut Executed,
    ) -> Result<(), Error> {
        let Attempt { row, claimed, outcomes, fixed, .. } = attempt;
        let failing = outcomes.iter().flatten().count() as u64;
        executed.failed_instances += failing;
        executed.succeeded_instances += outcomes.len() as u64 - failing;
        if !row.is_job_row && claimed.last == row.last {
            self.runs_gone.push(row.work.clone());
        } else if !row.is_job_row {
            executed.next.push(shorten(tx, now, row, claimed).await?);
        } else {
            self.jobs_tried.push(row.work.clone());
            if failed.is_empty() {
                self.jobs_gone.push(row.work.clone());
                self.resolved.extend(row.incident.iter().map(|i| (row.work.clone(), i.clone(), fixed.tenant_id.clone())));
            }
        }
        for job in failed {
            let after = attempt.job_after(job, now);
            if let Some(first) = job.failures.first() {
                executed.failed.push((after.work.clone(), first.clone()));
            }
            if !after.rests() {
                executed.next.push(after.work.clone());
            }
            let failures = job.ids.iter().cloned().zip(job.failures.iter().cloned());
            self.failures.extend(failures.map(|(id, failure)| (after.work.clone(), id, failure)));
            if row.is_job_row { self.old_jobs.push(after) } else { self.new_jobs.push(after) }
        }
        Ok(())
    }

    async fn write(self, tx: &mut Tx, now: Millis) -> Result<(), Error> {
        by_batch(tx, "DELETE FROM run WHERE batch = $1 AND first {in $2}", &self.runs_gone, &[]).await?;
        by_batch(tx, "DELETE FROM job WHERE batch = $1 AND number {in $2}", &self.jobs_gone, &[]).await?;
        update_jobs(tx, &self.old_jobs).await?;
        insert_jobs(tx, &self.new_jobs).await?;
        if !self.jobs_tried.is_empty() {
            // Rows of failures tell of the last attempt.
            by_batch(tx, "DELETE FROM failure WHERE batch = $1 AND number {in $2}", &self.jobs_tried, &[]).await?;
        }
        let columns = Columns(vec![
            ("batch", Column::texts(self.failures.iter().map(|(w, ..)| &w.batch))),
            ("number", Column::ints(self.failures.iter().map(|(w, ..)| w.number))),
            ("instance", Column::texts(self.failures.iter().map(|(_, id, _)| id))),
            ("reason", Column::texts(self.failures.iter().map(|(.., f)| &f.reason))),
            ("message", Column::texts(self.failures.iter().map(|(.., f)| &f.message))),
            ("time", Column::same(now, self.failures.len())),
        ]);
        tx.insert("failure", columns, "").await?;
        log::close_incidents(tx, now, Ended::Resolved, &self.resolved).await
    }
}

/// The claimed jobs leave the front of their run, in place: what waits for the row sees what it has become. In careful mode
/// the rest goes on one by one, without a lease.
async fn shorten(tx: &mut Tx, now: Millis, row: &WorkRow, claimed: &Claimed) -> Result<WorkRef, Error> {
    let ids = &row.ids[claimed.ids.len()..];
    let attempts = if row.attempts > 0 { ONE_BY_ONE_ATTEMPTS } else { 0 };
    tx.execute(
        "UPDATE run SET first = $3, items = $4, ids = $5, wake_at = $6, wakes = 0, attempts = $7, lease_token = NULL, lease_until = NULL
         WHERE batch = $1 AND first = $2",
        params![&row.work.batch, row.work.number, claimed.last + 1, ids.len(), json(ids), now, attempts],
    )
    .await?;
    Ok(WorkRef::new(row.work.batch.clone(), claimed.last + 1))
}
