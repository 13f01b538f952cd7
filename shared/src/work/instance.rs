//! The jobs that an instance has itself: due ones are run, each in a transaction of its own (design §4).

use super::Steps;
use crate::fail_point::{Boundary, passes};
use crate::queue::{Address, Message};
use crate::store::{Error, InstanceJobs, RunDue};

/// Due jobs of one instance that are run before others have their turn.
const JOBS_IN_A_ROW: u32 = 20;

impl Steps {
    /// Runs due jobs of an instance, from the first that asks for it `with_care`; gives how many ran. The rest of many is
    /// another message's. `token` is the attempt's own (`id::new_id`), and the same when it is made again.
    ///
    /// # Errors
    /// When the database is away, or others kept colliding. What was committed before stays so.
    pub async fn run_instance(&self, jobs: &dyn InstanceJobs, instance: &str, with_care: bool, token: &str) -> Result<u64, Error> {
        let (mut ran, mut with_care) = (0, with_care);
        for _ in 0..JOBS_IN_A_ROW {
            let run = if with_care { jobs.run_due_job_with_care(instance, token).await? } else { jobs.run_due_job(instance).await? };
            let more = match run {
                RunDue::Careful => {
                    with_care = true;
                    true
                }
                RunDue::Idle | RunDue::Gone => false,
                RunDue::Ran { more } => {
                    ran += 1;
                    more
                }
                RunDue::Failed { message, more } => {
                    tracing::info!(instance, reason = message, "a job of the instance failed");
                    more
                }
            };
            if !more {
                return Ok(ran);
            }
        }
        if passes("run_due_job", Boundary::BeforePublish) {
            self.publish(&[Message::to(Address::Instance { instance: instance.to_owned() })]).await;
        }
        let _ = passes("run_due_job", Boundary::AfterPublish);
        Ok(ran)
    }
}
