//! Due jobs of instances: one to a transaction, with care on evidence of a death.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use async_trait::async_trait;

use super::ModelStore;
use super::rows::{InstanceRow, Key, LeaseRow, Row};
use crate::clock::Millis;
use crate::id::InstanceIds;
use crate::job::{LEASE_MS, MAX_ATTEMPTS, worker_died};
use crate::process::derived::{next_due, wake_at};
use crate::process::instance::Instance;
use crate::runner::{self, Command, Cx, NoJobDefinitions, Ran, Refusal};
use crate::store::{Error, InstanceJobs, RunDue};

/// How often a command is begun anew when its revision was missed.
const TRIES: u32 = 3;

#[async_trait]
impl InstanceJobs for ModelStore {
    async fn run_due_job(&self, instance: &str) -> Result<RunDue, Error> {
        self.run_due(instance, None).await
    }

    async fn run_due_job_with_care(&self, instance: &str, token: &str) -> Result<RunDue, Error> {
        self.run_due(instance, Some(token)).await
    }

    async fn run_timer(&self, timer: &str) -> Result<RunDue, Error> {
        self.run_start_timer(timer).await
    }
}

impl ModelStore {
    async fn run_due(&self, id: &str, token: Option<&str>) -> Result<RunDue, Error> {
        let mut tx = self.begin("run_due_job").await?;
        let (key, now) = (Key::Instance(id.into()), tx.now);
        let Some(row) = tx.instance(id)? else { return Ok(RunDue::Gone) };
        tx.step().await;
        let Some((job, retries)) = next_due(&row.instance, now).map(|job| (job.id.clone(), job.retries)) else {
            tx.lock(&key).await?;
            if tx.instance(id)?.is_some_and(|stored| stored.revision == row.revision) {
                let rested = InstanceRow { wake_at: wake_at(&row.instance), wakes: 0, dead_attempts: 0, lease: None, ..(*row).clone() };
                tx.put(key, Row::Instance(Arc::new(rested))).await?;
            }
            tx.commit().await?;
            return Ok(RunDue::Idle);
        };
        let mut deaths = 0;
        if let Some(token) = token {
            if !tx.lock(&key).await? {
                return Ok(RunDue::Idle);
            }
            let Some(leased) = tx.instance(id)?.and_then(|row| leased(&row, token, now)) else { return Ok(RunDue::Idle) };
            deaths = leased.dead_attempts;
            tx.put(key, Row::Instance(Arc::new(leased))).await?;
            tx.commit().await?;
        } else if row.dead_attempts > 0 {
            return Ok(RunDue::Careful);
        } else {
            drop(tx);
        }
        if deaths >= MAX_ATTEMPTS {
            self.met("instance: gave up");
            return self.charge(id, &job, retries, &Refusal::engine(worker_died().message)).await;
        }
        let seen = AtomicI32::new(retries);
        let run = |instance: &Instance| {
            let due = next_due(instance, now).filter(|next| next.id == job)?;
            seen.store(due.retries, Ordering::Relaxed);
            Some(Command::ExecuteJob { job_id: job.clone() })
        };
        match self.run_on(id, run).await {
            Ok(None) => Ok(RunDue::Idle),
            Ok(Some(more)) => {
                self.met("instance: job ran");
                Ok(RunDue::Ran { more })
            }
            Err(Error::Refused(refusal)) => self.charge(id, &job, seen.into_inner(), &refusal).await,
            Err(error) => Err(error),
        }
    }

    async fn charge(&self, id: &str, job: &str, retries: i32, refusal: &Refusal) -> Result<RunDue, Error> {
        let command = Command::job_failed(job, refusal);
        let is_its = |instance: &Instance| instance.jobs.iter().any(|j| j.id == job && j.retries == retries);
        let more = self.run_on(id, |instance| is_its(instance).then(|| command.clone())).await?;
        Ok(RunDue::Failed { message: refusal.message.clone(), more: more.unwrap_or(false) })
    }

    /// Reads, runs, writes `WHERE revision = …`. Gives whether more is due; None: nothing to run.
    async fn run_on(&self, id: &str, choose: impl Fn(&Instance) -> Option<Command> + Send + Sync) -> Result<Option<bool>, Error> {
        for _ in 0..TRIES {
            let mut tx = self.begin("run_due_job").await?;
            let Some(row) = tx.instance(id)? else { return Ok(None) };
            let Some(command) = choose(&row.instance) else { return Ok(None) };
            let ran = self.ran(&row.instance, command, tx.now)?;
            tx.step().await;
            let key = Key::Instance(id.into());
            tx.lock(&key).await?;
            if tx.instance(id)?.map(|stored| stored.revision) != Some(row.revision) && !self.is_broken(super::Broken::JobsIgnoreRevision) {
                continue;
            }
            let more = next_due(&ran.instance, tx.now).is_some();
            match ran.ended {
                true => tx.delete(key).await?,
                false => tx.put(key, Row::Instance(Arc::new(InstanceRow::written(ran.instance, row.revision + 1)))).await?,
            }
            tx.commit().await?;
            return Ok(Some(more && !ran.ended));
        }
        Err(Error::OptimisticLock { verb: "run_due_job" })
    }

    fn ran(&self, instance: &Instance, command: Command, now: Millis) -> Result<Ran, Error> {
        let nowhere = || Refusal::engine(format!("instance {} stands on no definition", instance.id));
        let definition = self.definition(&instance.definition_id).ok_or_else(nowhere)?;
        let mut ids = InstanceIds::new(&instance.id, instance.ids);
        let mut cx = Cx { definition, now, ids: &mut ids, job_definitions: &NoJobDefinitions, default_retries: 3 };
        let mut ran = runner::run(instance.clone(), command, &mut cx)?;
        ran.instance.ids = ids.given();
        Ok(ran)
    }
}

/// With the lease, if no other has it.
fn leased(row: &InstanceRow, token: &str, now: Millis) -> Option<InstanceRow> {
    let own = row.lease.as_ref().is_some_and(|lease| lease.token == token);
    let free = own || row.lease.as_ref().is_none_or(|lease| lease.until <= now);
    let lease = Some(LeaseRow { token: token.to_owned(), until: now + LEASE_MS });
    free.then(|| InstanceRow { dead_attempts: row.dead_attempts + i32::from(!own), lease, ..row.clone() })
}
