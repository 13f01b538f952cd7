//! The verbs of batches on a database (design §5 to §7): each one named transaction.
//!
//! Lock order everywhere: batch, run, job, instances by id. A verb that the database rolled back because it collided with
//! another is simply run again, a few times.

mod attempt;
mod begun;
mod careful;
mod complete;
mod decide;
mod definitions;
mod effects;
mod execute;
mod facts;
mod fixed;
#[cfg(feature = "bench")]
mod floor;
mod held;
mod incident_history;
mod jobs_reading;
mod log;
mod log_reading;
mod one_job;
mod operations;
mod reading;
mod restart;
mod retries_of_items;
mod seed;
mod submit;
mod submit_chunks;
mod suspend;
mod wake;
mod work_rows;
mod workers;

use async_trait::async_trait;

pub(super) use begun::Begun;
pub(super) use fixed::FixedCache;

use self::one_job::{Change, Retries};
use super::SqlStore;
use crate::batch::{Batch, BatchFacts, HistoricBatch, NewBatch};
use crate::clock::Millis;
use crate::job::{Failure, WorkRef};
use crate::store::query::{BatchQuery, HistoricBatchQuery, JobLogQuery, JobQuery, JobSort, Order, Page};
use crate::store::views::{ClosedIncident, FailureGroup, FailureRow, IncidentView, JobLogRow, JobView, WorkerRow};
use crate::store::{
    BatchStore, Caller, Decide, Error, Executed, Items, Lease, Mode, Portion, SeedRoom, Seeded, SuspendScope, WakeLimits, Woken,
};

/// Tries of a verb that collides with others.
const TRIES: u32 = 4;

/// Runs the verb again where it collided. Not for `execute`: its caller takes smaller micro-batches then.
macro_rules! retried {
    ($verb:expr) => {{
        let mut tries = 1;
        loop {
            match $verb.await {
                Err(Error::Collision { .. }) if tries < TRIES => tries += 1,
                done => break done,
            }
        }
    }};
}

#[async_trait]
impl BatchStore for SqlStore {
    async fn submit(&self, caller: &Caller, batch: NewBatch, items: Items<'_>) -> Result<Batch, Error> {
        retried!(self.submit_batch(caller, &batch, &items))
    }

    async fn seed(&self, batch: &str, room: SeedRoom) -> Result<Option<Seeded>, Error> {
        retried!(self.seed_batch(batch, room))
    }

    async fn execute(&self, portions: &[Portion], mode: &Mode, decide: &dyn Decide) -> Result<Executed, Error> {
        self.execute_portions(portions, mode, decide).await
    }

    async fn lease(&self, work: &WorkRef, token: &str) -> Result<Lease, Error> {
        retried!(self.lease_work(work, token))
    }

    async fn fail_front(&self, work: &WorkRef, failure: &Failure) -> Result<Executed, Error> {
        retried!(self.fail_front_job(work, failure))
    }

    async fn look(&self, batches: &[String]) -> Result<Vec<BatchFacts>, Error> {
        self.look_at(batches).await
    }

    async fn batch_ids(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        self.ids_of_batches(after, limit).await
    }

    async fn complete(&self, batch: &str) -> Result<bool, Error> {
        retried!(self.complete_batch(batch))
    }

    async fn poll_monitor(&self, batch: &str, poll_time: Millis) -> Result<(), Error> {
        retried!(self.poll_monitor_job(batch, poll_time))
    }

    async fn unpublished(&self, works: &[WorkRef]) -> Result<(), Error> {
        self.unpublished_work(works).await
    }

    async fn wakes_lost(&self, batch: &str) -> Result<(), Error> {
        self.due_again(batch).await
    }

    async fn wake(&self, limits: WakeLimits) -> Result<Woken, Error> {
        retried!(self.wake_due(limits))
    }

    async fn set_batch_suspended(&self, caller: &Caller, batch: &str, suspended: bool) -> Result<Option<Vec<WorkRef>>, Error> {
        retried!(self.suspend_batch(caller, batch, suspended))
    }

    async fn delete_batch(&self, caller: &Caller, batch: &str, cascade: bool) -> Result<bool, Error> {
        retried!(self.remove_batch(caller, batch, cascade))
    }

    async fn delete_historic_batch(&self, caller: &Caller, batch: &str) -> Result<bool, Error> {
        retried!(self.remove_historic_batch(caller, batch))
    }

    async fn set_batch_job_retries(
        &self,
        caller: &Caller,
        job: &WorkRef,
        retries: i32,
        due: Option<Option<Millis>>,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        retried!(self.set_retries(caller, job, Retries { retries, due }))
    }

    async fn set_batch_job_suspended(&self, caller: &Caller, job: &WorkRef, suspended: bool) -> Result<Option<Vec<WorkRef>>, Error> {
        retried!(self.change_job(caller, job, Change::Suspended(suspended)))
    }

    async fn set_batch_job_due(&self, caller: &Caller, job: &WorkRef, due: Option<Millis>) -> Result<Option<Vec<WorkRef>>, Error> {
        retried!(self.change_job(caller, job, Change::Due(due)))
    }

    async fn set_batch_job_priority(&self, caller: &Caller, job: &WorkRef, priority: i64) -> Result<Option<Vec<WorkRef>>, Error> {
        retried!(self.change_job(caller, job, Change::Priority(priority)))
    }

    async fn delete_batch_job(&self, caller: &Caller, job: &WorkRef) -> Result<Option<Vec<WorkRef>>, Error> {
        retried!(self.delete_job(caller, job))
    }

    async fn set_definition_retries(
        &self,
        caller: &Caller,
        definition: &WorkRef,
        retries: i32,
        due: Option<Option<Millis>>,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        retried!(self.set_retries_of_definition(caller, definition, Retries { retries, due }))
    }

    async fn set_definition_suspended(
        &self,
        caller: &Caller,
        definition: &WorkRef,
        suspended: bool,
        scope: SuspendScope,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        retried!(self.suspend_batch_definition(caller, definition, suspended, scope))
    }

    async fn set_definition_priority(
        &self,
        caller: &Caller,
        definition: &WorkRef,
        priority: Option<i64>,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        retried!(self.set_priority_of_definition(caller, definition, priority))
    }

    async fn batches(&self, caller: &Caller, query: &BatchQuery, page: Page) -> Result<Vec<Batch>, Error> {
        self.find_batches(caller, query, page).await
    }

    async fn count_batches(&self, caller: &Caller, query: &BatchQuery) -> Result<u64, Error> {
        self.count_all_batches(caller, query).await
    }

    async fn historic_batches(&self, caller: &Caller, query: &HistoricBatchQuery, page: Page) -> Result<Vec<HistoricBatch>, Error> {
        self.find_historic(caller, query, page).await
    }

    async fn count_historic_batches(&self, caller: &Caller, query: &HistoricBatchQuery) -> Result<u64, Error> {
        self.count_historic(caller, query).await
    }

    async fn batch_jobs(&self, caller: &Caller, query: &JobQuery, sort: &[(JobSort, Order)], page: Page) -> Result<Vec<JobView>, Error> {
        self.find_jobs(caller, query, sort, page).await
    }

    async fn count_batch_jobs(&self, caller: &Caller, query: &JobQuery) -> Result<u64, Error> {
        self.count_jobs(caller, query).await
    }

    async fn batch_job(&self, caller: &Caller, job: &WorkRef) -> Result<Option<JobView>, Error> {
        self.find_job_view(caller, job).await
    }

    async fn batch_job_stacktrace(&self, caller: &Caller, job: &WorkRef) -> Result<Option<Option<String>>, Error> {
        self.stacktrace_of(caller, job).await
    }

    async fn batch_incidents(&self, caller: &Caller, after: Option<&str>, limit: u32) -> Result<Vec<IncidentView>, Error> {
        self.open_incidents(caller, after, limit).await
    }

    async fn closed_batch_incidents(&self, caller: &Caller, after: Option<&str>, limit: u32) -> Result<Vec<ClosedIncident>, Error> {
        self.closed_incidents(caller, after, limit).await
    }

    async fn annotate_batch_incident(&self, caller: &Caller, id: &str, annotation: Option<String>) -> Result<bool, Error> {
        self.annotate(caller, id, annotation).await
    }

    async fn job_log(&self, caller: &Caller, query: &JobLogQuery, page: Page) -> Result<Vec<JobLogRow>, Error> {
        self.find_log(caller, query, page).await
    }

    async fn count_job_log(&self, caller: &Caller, query: &JobLogQuery) -> Result<u64, Error> {
        self.count_log(caller, query).await
    }

    async fn failure_groups(&self, caller: &Caller, batch: &str, limit: u32) -> Result<Vec<FailureGroup>, Error> {
        self.groups_of_failures(caller, batch, limit).await
    }

    async fn failures(&self, caller: &Caller, batch: &str, reason: Option<&str>, page: Page) -> Result<Vec<FailureRow>, Error> {
        self.find_failures(caller, batch, reason, page).await
    }

    async fn heartbeat(&self, worker: &WorkerRow) -> Result<(), Error> {
        retried!(self.write_heartbeat(worker))
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, Error> {
        self.all_workers().await
    }
}
