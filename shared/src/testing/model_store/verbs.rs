//! The contract, verb by verb. What handlers and oracles never read answers nothing: callers' lists have suites of their own.

use async_trait::async_trait;

use super::ModelStore;
use super::jobs::{is_monitor, set_control_retries, set_due, set_retries};
use super::rows::{Key, Row};
use crate::batch::{Batch, BatchFacts, HistoricBatch, NewBatch};
use crate::clock::Millis;
use crate::job::{Failure, WorkRef};
use crate::store::query::{BatchQuery, HistoricBatchQuery, JobLogQuery, JobQuery, JobSort, Order, Page};
use crate::store::views::{FailureGroup, FailureRow, IncidentView, JobLogRow, JobView, WorkerRow};
use crate::store::{
    BatchStore, Caller, Decide, Error, Executed, Items, Lease, Mode, Portion, SeedRoom, Seeded, SuspendScope, WakeLimits, Woken,
};

type Works = Result<Option<Vec<WorkRef>>, Error>;

#[async_trait]
impl BatchStore for ModelStore {
    async fn submit(&self, caller: &Caller, batch: NewBatch, items: Items<'_>) -> Result<Batch, Error> {
        self.submit_batch(caller, batch, items).await
    }

    async fn seed(&self, batch: &str, room: SeedRoom) -> Result<Option<Seeded>, Error> {
        self.seed_batch(batch, room).await
    }

    async fn execute(&self, portions: &[Portion], mode: &Mode, decide: &dyn Decide) -> Result<Executed, Error> {
        self.execute_rows(portions, mode, decide).await
    }

    async fn lease(&self, work: &WorkRef, token: &str) -> Result<Lease, Error> {
        self.take_lease(work, token).await
    }

    async fn fail_front(&self, work: &WorkRef, failure: &Failure) -> Result<Executed, Error> {
        self.fail_the_front(work, failure).await
    }

    async fn look(&self, batches: &[String]) -> Result<Vec<BatchFacts>, Error> {
        let tx = self.begin("look").await?;
        batches.iter().map(|id| self.facts(&tx, id)).collect()
    }

    async fn batch_ids(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        let tx = self.begin("batch_ids").await?;
        let ids = tx.batches()?.into_iter().map(|batch| batch.id.clone()).filter(|id| after.is_none_or(|after| id.as_str() > after));
        Ok(ids.take(limit as usize).collect())
    }

    async fn complete(&self, batch: &str) -> Result<bool, Error> {
        self.complete_batch(batch).await
    }

    async fn poll_monitor(&self, batch: &str, poll_time: Millis) -> Result<(), Error> {
        let now = self.now();
        let polled = |job: &mut crate::batch::ControlJob| {
            if job.due.is_none_or(|due| due <= now) {
                job.due = Some(now + poll_time);
            }
        };
        self.change_job("poll_monitor", &WorkRef::new(batch, crate::id::MONITOR_JOB), polled, |_, _| {}).await.map(|_| ())
    }

    async fn unpublished(&self, works: &[WorkRef]) -> Result<(), Error> {
        self.unpublished_rows(works).await
    }

    async fn wakes_lost(&self, batch: &str) -> Result<(), Error> {
        self.due_again(batch).await
    }

    async fn wake(&self, limits: WakeLimits) -> Result<Woken, Error> {
        self.wake_rows(limits).await
    }

    async fn set_batch_suspended(&self, _: &Caller, batch: &str, suspended: bool) -> Works {
        self.suspend_batch(batch, suspended).await
    }

    async fn delete_batch(&self, _: &Caller, batch: &str, cascade: bool) -> Result<bool, Error> {
        self.delete(batch, cascade).await
    }

    async fn delete_historic_batch(&self, _: &Caller, batch: &str) -> Result<bool, Error> {
        let mut tx = self.begin("delete_historic_batch").await?;
        let there = tx.lock(&Key::History(batch.into())).await?;
        tx.delete(Key::History(batch.into())).await?;
        tx.commit().await?;
        Ok(there)
    }

    async fn set_batch_job_retries(&self, _: &Caller, job: &WorkRef, retries: i32, due: Option<Option<Millis>>) -> Works {
        let control = |job: &mut crate::batch::ControlJob| set_control_retries(job, retries, due);
        self.change_job("set_batch_job_retries", job, control, |job, now| set_retries(job, retries, due, now)).await
    }

    async fn set_batch_job_suspended(&self, _: &Caller, job: &WorkRef, suspended: bool) -> Works {
        let change = |job: &mut super::rows::Job, now| {
            (job.state.suspended, job.state.wakes) = (suspended, 0);
            if !suspended {
                job.state.wake_at = job.state.wake_at.map(|_| now);
            }
        };
        self.change_job("set_batch_job_suspended", job, |job| job.suspended = suspended, change).await
    }

    async fn set_batch_job_due(&self, _: &Caller, job: &WorkRef, due: Option<Millis>) -> Works {
        let monitor = is_monitor(job.number);
        let control = |job: &mut crate::batch::ControlJob| {
            if monitor {
                job.due = due
            }
        };
        self.change_job("set_batch_job_due", job, control, |job, now| set_due(job, due, now)).await
    }

    async fn set_batch_job_priority(&self, _: &Caller, job: &WorkRef, priority: i64) -> Works {
        self.change_job("set_batch_job_priority", job, |_| {}, |job, _| (job.state.priority, job.state.wakes) = (priority, 0)).await
    }

    async fn delete_batch_job(&self, _: &Caller, job: &WorkRef) -> Works {
        self.delete_job(job).await
    }

    async fn set_definition_retries(&self, _: &Caller, definition: &WorkRef, retries: i32, due: Option<Option<Millis>>) -> Works {
        self.retry_all(definition, retries, due).await
    }

    async fn set_definition_suspended(&self, _: &Caller, definition: &WorkRef, suspended: bool, scope: SuspendScope) -> Works {
        self.suspend_definition(definition, suspended, scope).await
    }

    async fn set_definition_priority(&self, _: &Caller, definition: &WorkRef, priority: Option<i64>) -> Works {
        self.prioritise(definition, priority).await
    }

    // --- reading: batches with their counts, for the oracles; lists, log and incidents are never read by a handler -----

    async fn batches(&self, _: &Caller, query: &BatchQuery, _: Page) -> Result<Vec<Batch>, Error> {
        let tx = self.begin("batches").await?;
        let rows = tx.batches()?;
        rows.iter().filter(|row| query.id.as_ref().is_none_or(|id| *id == row.id)).map(|row| Self::view(&tx, row)).collect()
    }

    async fn count_batches(&self, caller: &Caller, query: &BatchQuery) -> Result<u64, Error> {
        Ok(self.batches(caller, query, Page::default()).await?.len() as u64)
    }

    async fn historic_batches(&self, _: &Caller, query: &HistoricBatchQuery, _: Page) -> Result<Vec<HistoricBatch>, Error> {
        let tx = self.begin("historic_batches").await?;
        let rows = tx.scan(&Key::History(String::new()), &Key::History("~".into()))?;
        let rows = rows.into_iter().filter_map(|(_, row)| if let Row::History(row) = row { Some(row) } else { None });
        Ok(rows.filter(|row| query.id.as_ref().is_none_or(|id| *id == row.id)).collect())
    }

    async fn count_historic_batches(&self, caller: &Caller, query: &HistoricBatchQuery) -> Result<u64, Error> {
        Ok(self.historic_batches(caller, query, Page::default()).await?.len() as u64)
    }

    async fn batch_jobs(&self, _: &Caller, _: &JobQuery, _: &[(JobSort, Order)], _: Page) -> Result<Vec<JobView>, Error> {
        Ok(vec![])
    }

    async fn count_batch_jobs(&self, _: &Caller, _: &JobQuery) -> Result<u64, Error> {
        Ok(0)
    }

    async fn batch_job(&self, _: &Caller, _: &WorkRef) -> Result<Option<JobView>, Error> {
        Ok(None)
    }

    async fn batch_job_stacktrace(&self, _: &Caller, _: &WorkRef) -> Result<Option<Option<String>>, Error> {
        Ok(None)
    }

    async fn batch_incidents(&self, _: &Caller, _: Option<&str>, _: u32) -> Result<Vec<IncidentView>, Error> {
        Ok(vec![])
    }

    async fn annotate_batch_incident(&self, _: &Caller, _: &str, _: Option<String>) -> Result<bool, Error> {
        Ok(false)
    }

    async fn job_log(&self, _: &Caller, _: &JobLogQuery, _: Page) -> Result<Vec<JobLogRow>, Error> {
        Ok(vec![])
    }

    async fn count_job_log(&self, _: &Caller, _: &JobLogQuery) -> Result<u64, Error> {
        Ok(0)
    }

    async fn failure_groups(&self, _: &Caller, _: &str, _: u32) -> Result<Vec<FailureGroup>, Error> {
        Ok(vec![])
    }

    async fn failures(&self, _: &Caller, _: &str, _: Option<&str>, _: Page) -> Result<Vec<FailureRow>, Error> {
        Ok(vec![])
    }

    async fn heartbeat(&self, worker: &WorkerRow) -> Result<(), Error> {
        let mut tx = self.begin("heartbeat").await?;
        let row = WorkerRow { heartbeat: tx.now, ..worker.clone() };
        tx.put(Key::Worker(worker.id.clone()), Row::Worker(row)).await?;
        tx.commit().await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, Error> {
        let tx = self.begin("workers").await?;
        let rows = tx.scan(&Key::Worker(String::new()), &Key::Worker("~".into()))?;
        Ok(rows.into_iter().filter_map(|(_, row)| if let Row::Worker(row) = row { Some(row) } else { None }).collect())
    }
}
