//! Jobs of instances that are due: one to a transaction, with the reference's retries and incidents.

use std::sync::atomic::{AtomicI32, Ordering};

use super::instance_rows::{Lock, load_instances};
use super::unclean::OUTSTANDING;
use super::{SqlStore, Tx, Verb, params};
use crate::clock::Millis;
use crate::job::{LEASE_MS, MAX_ATTEMPTS, worker_died};
use crate::process::derived;
use crate::process::instance::Instance;
use crate::runner::{Command, Refusal};
use crate::store::{Caller, Error, RunDue};

/// A worker died over a job of it, or may have.
async fn is_suspect(tx: &mut Tx, id: &str) -> Result<bool, Error> {
    let sql = "SELECT id FROM process_instance WHERE id = $1 AND (dead_attempts > 0 OR lease_token = $2)";
    Ok(tx.optional(sql, params![id, OUTSTANDING]).await?.is_some())
}

/// Gives how often workers died over it, this attempt included. None: another has the lease.
async fn lease(tx: &mut Tx, id: &str, token: &str, now: Millis) -> Result<Option<i32>, Error> {
    let sql = "UPDATE process_instance
               SET dead_attempts = dead_attempts + CASE WHEN lease_token = $2 THEN 0 ELSE 1 END, lease_token = $2, lease_until = $3
               WHERE id = $1 AND (lease_until IS NULL OR lease_until <= $4 OR lease_token = $2)
               RETURNING dead_attempts";
    let row = tx.optional(sql, params![id, token, now + LEASE_MS, now]).await?;
    row.map(|row| row.int32("dead_attempts")).transpose()
}

impl SqlStore {
    pub(crate) async fn run_one_due_job(&self, id: &str, token: Option<&str>) -> Result<RunDue, Error> {
        let verb = Verb::named("run_due_job");
        let mut tx = self.write(verb).await?;
        let Some(stored) = load_instances(&mut tx, vec![id.to_owned()], Lock::None).await?.pop() else { return Ok(RunDue::Gone) };
        let now = tx.now().await?;
        let Some((job, retries)) = derived::next_due(&stored.instance, now).map(|job| (job.id.clone(), job.retries)) else {
            // Woken for nothing: it is looked at again when a job may run, if one may.
            let sql = "UPDATE process_instance SET wake_at = $3, wakes = 0, dead_attempts = 0, lease_token = NULL, lease_until = NULL
                       WHERE id = $1 AND revision = $2 AND NOT suspended";
            tx.execute(sql, params![id, stored.revision, derived::wake_at(&stored.instance)]).await?;
            tx.commit().await?;
            return Ok(RunDue::Idle);
        };
        let deaths = match token {
            Some(token) => lease(&mut tx, id, token, now).await?,
            None if is_suspect(&mut tx, id).await? => return Ok(RunDue::Careful),
            None => Some(0),
        };
        if token.is_some() {
            tx.commit().await?
        } else {
            drop(tx)
        }
        // Another has the lease; `wake_at` covers it.
        let Some(deaths) = deaths else { return Ok(RunDue::Idle) };
        if deaths >= MAX_ATTEMPTS {
            return self.charge(id, &job, retries, &Refusal::engine(worker_died().message)).await;
        }
        let seen = AtomicI32::new(retries);
        let run = |instance: &Instance| {
            let due = derived::next_due(instance, now).filter(|next| next.id == job)?;
            seen.store(due.retries, Ordering::Relaxed);
            Some(Command::ExecuteJob { job_id: job.clone() })
        };
        match self.run_with(verb, &Caller::system(), id, run).await {
            Ok(None) => Ok(RunDue::Idle),
            Ok(Some(outcome)) => Ok(RunDue::Ran { more: outcome.due.iter().any(|due| due == id) }),
            Err(Error::Refused(refusal)) => self.charge(id, &job, seen.into_inner(), &refusal).await,
            Err(error) => Err(error),
        }
    }

    /// A failure counts in a transaction of its own: that of the attempt was given up. An attempt that began with so many
    /// retries counts once: of two at the same time, and of one whose charge was made and not heard of.
    async fn charge(&self, id: &str, job: &str, retries: i32, refusal: &Refusal) -> Result<RunDue, Error> {
        let command = Command::job_failed(job, refusal);
        let charged = |instance: &Instance| instance.jobs.iter().any(|j| j.id == job && j.retries == retries).then(|| command.clone());
        let outcome = self.run_with(Verb::named("job_failed"), &Caller::system(), id, charged).await?;
        let more = outcome.is_some_and(|outcome| outcome.due.iter().any(|due| due == id));
        Ok(RunDue::Failed { message: refusal.message.clone(), more })
    }
}

#[cfg(any(test, feature = "testing"))]
impl SqlStore {
    /// A worker takes the instance's lease, and is not heard of again.
    ///
    /// # Errors
    /// The database is away.
    pub async fn die_over(&self, id: &str, token: &str) -> Result<Option<i32>, Error> {
        let mut tx = self.write(Verb::named("die_over")).await?;
        let now = tx.now().await?;
        let deaths = lease(&mut tx, id, token, now).await?;
        tx.commit().await?;
        Ok(deaths)
    }
}
