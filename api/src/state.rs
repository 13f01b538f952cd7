//! What the routes share: the store, the publisher, bounds.

use std::sync::Arc;

use shared::batch::{BatchType, DEFAULT_BATCH_JOBS_PER_SEED, DEFAULT_INVOCATIONS_PER_BATCH_JOB};
use shared::clock::{Clock, SystemClock};
use shared::job::WorkRef;
use shared::queue::{Address, Queue};
use shared::store::Store;
use shared::work::{Publisher, Steps, progress};

use crate::error::ApiError;

/// Bounds and settings of the API, each with its default.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A JSON body, and all of an `executeAsync` body but its ids, in bytes.
    pub body_bytes: usize,
    /// An `executeAsync` body, in bytes: it is spooled to a temporary file.
    pub async_body_bytes: u64,
    /// A deployment's upload, in bytes.
    pub upload_bytes: usize,
    /// Rows of an answer that is put together in memory (jobs of batches and instances, tasks, incidents, …).
    pub answer_rows: usize,
    /// Instances of one synchronous command (`/migration/execute`, …).
    pub sync_instances: usize,
    /// `batchJobsPerSeed` of new batches.
    pub batch_jobs_per_seed: u32,
    /// `invocationsPerBatchJob` of new batches, by type.
    pub invocations_per_batch_job: [(BatchType, u32); BatchType::ALL.len()],
    /// `defaultNumberOfRetries`.
    pub retries: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 2 << 20,
            async_body_bytes: 512 << 20,
            upload_bytes: 32 << 20,
            answer_rows: 200_000,
            sync_instances: 10_000,
            batch_jobs_per_seed: DEFAULT_BATCH_JOBS_PER_SEED,
            invocations_per_batch_job: BatchType::ALL.map(|of| (of, DEFAULT_INVOCATIONS_PER_BATCH_JOB)),
            retries: 3,
        }
    }
}

impl Limits {
    /// `invocationsPerBatchJob` of a new batch of this type.
    #[must_use]
    pub fn invocations_for(&self, batch_type: BatchType) -> u32 {
        let found = self.invocations_per_batch_job.iter().find(|(of, _)| *of == batch_type);
        found.map_or(DEFAULT_INVOCATIONS_PER_BATCH_JOB, |(_, invocations)| *invocations)
    }
}

#[derive(Clone)]
pub struct ApiState {
    pub store: Arc<dyn Store>,
    /// What the API does by hand, such as executing one job.
    pub steps: Steps,
    pub publisher: Publisher,
    pub limits: Arc<Limits>,
    pub clock: Arc<dyn Clock>,
}

impl ApiState {
    /// `publisher` is that of `queue`; its task runs beside the server.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, queue: Arc<dyn Queue>, publisher: Publisher, limits: Limits) -> Self {
        let steps = Steps::new(store.clone(), queue);
        Self { store, steps, publisher, limits: Arc::new(limits), clock: Arc::new(SystemClock) }
    }

    /// Publishes work that may run now, in the background.
    pub fn publish_work(&self, work: Vec<WorkRef>) {
        self.publisher.wake(work.into_iter().map(Address::from));
    }

    /// Publishes instances with a job that may run now, in the background.
    pub fn publish_instances(&self, due: Vec<String>) {
        self.publisher.wake(due.into_iter().map(|instance| Address::Instance { instance }));
    }

    /// The look after a commit (design §7.4), published in the background.
    ///
    /// # Errors
    /// The store's.
    pub async fn look(&self, batch: &str) -> Result<(), ApiError> {
        let facts = self.store.look(&[batch.to_owned()]).await?;
        self.publisher.wake(facts.iter().filter_map(progress));
        Ok(())
    }
}
