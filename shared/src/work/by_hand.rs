//! A person executes one job of a batch (`POST /job/{id}/execute`, spec-batch-rest §2.5): synchronously, whatever its
//! due date, suspension and retries say.

use super::Steps;
use crate::fail_point::{Boundary, passes};
use crate::id::{FIRST_EXECUTION_JOB, MONITOR_JOB, SEED_JOB};
use crate::job::{Failure, WorkRef};
use crate::queue::{BatchEvent, Message};
use crate::store::{Error, Mode, Portion, SeedRoom};

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByHand {
    Done,
    /// It was tried and failed: the same bookkeeping as by a worker.
    Failed(Failure),
    NoSuchJob,
}

impl Steps {
    /// Executes the job now. Executing the monitor job of a batch just completed is `Done`, if history still knows the batch.
    ///
    /// # Errors
    /// When the database could not be reached.
    pub async fn execute_by_hand(&self, job: &WorkRef) -> Result<ByHand, Error> {
        match job.number {
            SEED_JOB => self.seed_by_hand(&job.batch).await,
            MONITOR_JOB => {
                let completed = self.store.complete(&job.batch).await?;
                if completed {
                    self.announce(BatchEvent::Completed, &job.batch).await;
                }
                Ok(ByHand::Done)
            }
            FIRST_EXECUTION_JOB.. => self.execute_one(job).await,
        }
    }

    async fn seed_by_hand(&self, batch: &str) -> Result<ByHand, Error> {
        let Some(seeded) = self.store.seed(batch, SeedRoom::OneChunk).await? else { return Ok(ByHand::NoSuchJob) };
        self.wake_runs(batch, &seeded).await;
        self.look([batch.to_owned()]).await?;
        Ok(ByHand::Done)
    }

    async fn execute_one(&self, job: &WorkRef) -> Result<ByHand, Error> {
        let portion = Portion { work: job.clone(), jobs: Some(1) };
        let executed = self.store.execute(&[portion], &Mode::ByHand, &*self.decide).await?;
        let next: Vec<Message> = executed.next.iter().cloned().map(Message::to).collect();
        if passes("execute_by_hand", Boundary::BeforePublish) {
            self.publish(&next).await;
        }
        self.look([job.batch.clone()]).await?;
        let _ = passes("execute_by_hand", Boundary::AfterPublish);
        if !executed.gone.is_empty() {
            return Ok(ByHand::NoSuchJob);
        }
        Ok(executed.failed.into_iter().next().map_or(ByHand::Done, |(_, failure)| ByHand::Failed(failure)))
    }
}
