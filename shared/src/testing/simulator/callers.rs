//! Callers: what people do to batches, jobs and instances while the roles work.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::roles::{Shared, after_verb};
use crate::batch::{BatchConfiguration, NewBatch};
use crate::clock::{Clock, Millis};
use crate::id::{BATCH_JOB_DEFINITION, MONITOR_JOB, SEED_JOB, SEED_JOB_DEFINITION};
use crate::job::WorkRef;
use crate::migration::{MigrationPlan, Skip};
use crate::process::instance::Instance;
use crate::queue::{Address, BatchEvent};
use crate::store::{BatchStore, Caller, Error, Items, SuspendScope};
use crate::testing::model_store::ModelStore;
use crate::testing::schedule::{Rng, yield_now};

/// A batch that a caller will submit.
#[derive(Clone, Debug)]
pub struct Planned {
    pub id: String,
    pub ids: Vec<String>,
    pub batch_jobs_per_seed: u32,
    pub k: u32,
    pub retries: i32,
    pub plan: MigrationPlan,
}

/// What callers were told, for the oracles.
#[derive(Default)]
pub struct Told {
    /// Batches of which nothing may start: their suspension was answered, and nobody has begun to undo it.
    frozen: BTreeSet<String>,
    thawing: BTreeMap<String, u64>,
    /// By batch: how often somebody began something that may let it run again.
    thaws: BTreeMap<String, u64>,
    /// Commands on instances that were answered as done.
    pub commands: BTreeMap<String, u64>,
}

#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Told>>);

impl Ledger {
    pub fn told(&self) -> MutexGuard<'_, Told> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn is_frozen(&self, batch: &str) -> bool {
        self.told().frozen.contains(batch)
    }

    /// Somebody does what may start something of it, until the guard is dropped: meanwhile, and for what began before, it is
    /// never taken for frozen.
    fn thaw(&self, batch: &str) -> Thaw {
        let mut told = self.told();
        *told.thaws.entry(batch.into()).or_default() += 1;
        *told.thawing.entry(batch.into()).or_default() += 1;
        told.frozen.remove(batch);
        Thaw { ledger: self.clone(), batch: batch.into() }
    }

    /// How often something was begun that may start work of it. None: something of the kind is under way, and nobody can
    /// tell on which side of a suspension it will commit.
    fn thaws(&self, batch: &str) -> Option<u64> {
        let told = self.told();
        let under_way = told.thawing.get(batch).copied().unwrap_or_default() > 0;
        (!under_way).then(|| told.thaws.get(batch).copied().unwrap_or_default())
    }

    fn freeze(&self, batch: &str, thaws_before: Option<u64>) {
        if thaws_before.is_some() && self.thaws(batch) == thaws_before {
            self.told().frozen.insert(batch.into());
        }
    }
}

/// Under way: something that may start work of a batch, suspended or not.
struct Thaw {
    ledger: Ledger,
    batch: String,
}

impl Drop for Thaw {
    fn drop(&mut self) {
        if let Some(count) = self.ledger.told().thawing.get_mut(&self.batch) {
            *count -= 1;
        }
    }
}

/// One caller: submits its batch, if it has one, then does as it is drawn.
pub struct Person {
    pub shared: Shared,
    pub store: Arc<ModelStore>,
    pub ledger: Ledger,
    pub rng: Rng,
    pub batches: Vec<Planned>,
    pub instances: Vec<String>,
    pub submits: Option<Planned>,
    pub deeds: usize,
    /// Activates what was suspended, too. If nobody does, what was suspended stands still to the end of the storm.
    pub thaws: bool,
}

impl Person {
    pub async fn live(mut self) {
        let pause = *self.rng.pick(&[1, 8, 40]);
        if let Some(planned) = self.submits.take() {
            self.submit(&planned).await;
        }
        for _ in 0..self.deeds {
            for _ in 0..self.rng.below(pause) {
                yield_now().await;
            }
            // What a caller is told when the database is away is its own business.
            let _ = self.deed().await;
        }
    }

    /// One who works on tasks only.
    pub async fn work(mut self) {
        for _ in 0..self.deeds {
            for _ in 0..self.rng.below(20) {
                yield_now().await;
            }
            let delete = self.rng.chance(10);
            let _ = self.command(delete).await;
        }
    }

    async fn submit(&self, planned: &Planned) {
        let configuration = BatchConfiguration::Migration { plan: planned.plan.clone(), skip: Skip::default() };
        let ids = planned.ids.clone();
        let listed =
            move || -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> { Box::new(std::iter::once(Ok(ids.clone()))) };
        let new = NewBatch {
            id: planned.id.clone(),
            configuration,
            batch_jobs_per_seed: planned.batch_jobs_per_seed,
            invocations_per_batch_job: planned.k,
            tenant_id: None,
            deployment_id: None,
            retries: planned.retries,
        };
        if self.store.submit(&Caller::anonymous(), new, Items { listed: &listed, query: None }).await.is_ok() {
            self.shared.hand_over(|publisher| publisher.announce(BatchEvent::Created, &planned.id));
        }
    }

    async fn deed(&mut self) -> Result<(), Error> {
        let planned = self.rng.pick(&self.batches).clone();
        let jobs = planned.ids.len().div_ceil(planned.k as usize);
        let job = WorkRef::new(planned.id.clone(), 2 + self.rng.below(jobs + 1) as u32);
        let due = self.rng.chance(300).then(|| self.shared.clock.now() + self.rng.below(90_000) as i64);
        let control = self.rng.chance(200).then(|| WorkRef::new(planned.id.clone(), self.rng.below(2) as u32));
        let any = control.unwrap_or_else(|| job.clone());
        match self.rng.below(100) {
            0..10 => self.suspend(&planned.id).await,
            10..24 if self.thaws => self.activate(&planned.id).await,
            24..25 => {
                let cascade = self.rng.chance(300);
                self.delete(&planned.id, cascade).await
            }
            25..36 => {
                let retries = self.rng.below(3) as i32;
                self.set_retries(&any, retries, due.map(Some)).await
            }
            36..44 => {
                let suspended = !self.thaws || self.rng.chance(600);
                self.suspend_job(&any, suspended).await
            }
            44..50 => {
                let works = self.store.set_batch_job_due(&Caller::anonymous(), &job, due).await?;
                self.publish(&job.batch, works).await
            }
            50..54 => self.delete_job(&job).await,
            54..60 => self.retry_all(&planned.id, due.map(Some)).await,
            60..66 => self.suspend_definition(&planned.id).await,
            66..69 => {
                let works = self.store.set_batch_job_priority(&Caller::anonymous(), &job, 7).await?;
                self.publish(&job.batch, works).await
            }
            69..72 => {
                let definition = WorkRef::new(planned.id, BATCH_JOB_DEFINITION);
                let works = self.store.set_definition_priority(&Caller::anonymous(), &definition, Some(9)).await?;
                self.publish(&definition.batch, works).await
            }
            72..82 => {
                let number = *self.rng.pick(&[SEED_JOB, MONITOR_JOB, job.number, job.number, job.number, job.number]);
                self.by_hand(&WorkRef::new(planned.id, number)).await
            }
            82..96 => self.command(false).await,
            _ => self.command(true).await,
        }
    }

    pub async fn set_retries(&self, job: &WorkRef, retries: i32, due: Option<Option<Millis>>) -> Result<(), Error> {
        let works = self.store.set_batch_job_retries(&Caller::anonymous(), job, retries, due).await?;
        self.publish(&job.batch, works).await
    }

    pub async fn retry_all(&self, batch: &str, due: Option<Option<Millis>>) -> Result<(), Error> {
        let definition = WorkRef::new(batch, BATCH_JOB_DEFINITION);
        let works = self.store.set_definition_retries(&Caller::anonymous(), &definition, 2, due).await?;
        self.publish(batch, works).await
    }

    pub async fn delete_job(&self, job: &WorkRef) -> Result<(), Error> {
        let works = self.store.delete_batch_job(&Caller::anonymous(), job).await?;
        self.publish(&job.batch, works).await
    }

    async fn publish(&self, batch: &str, works: Option<Vec<WorkRef>>) -> Result<(), Error> {
        after_verb(&self.shared, batch, works.unwrap_or_default()).await;
        Ok(())
    }

    pub async fn suspend(&self, batch: &str) -> Result<(), Error> {
        let thaws = self.ledger.thaws(batch);
        let works = self.store.set_batch_suspended(&Caller::anonymous(), batch, true).await?;
        if works.is_some() {
            self.ledger.freeze(batch, thaws);
        }
        self.publish(batch, works).await?;
        self.shared.hand_over(|publisher| publisher.announce(BatchEvent::Suspended, batch));
        Ok(())
    }

    pub async fn activate(&self, batch: &str) -> Result<(), Error> {
        let _thaw = self.ledger.thaw(batch);
        let works = self.store.set_batch_suspended(&Caller::anonymous(), batch, false).await?;
        self.publish(batch, works).await?;
        self.shared.hand_over(|publisher| publisher.announce(BatchEvent::Activated, batch));
        Ok(())
    }

    pub async fn delete(&self, batch: &str, cascade: bool) -> Result<(), Error> {
        if self.store.delete_batch(&Caller::anonymous(), batch, cascade).await? {
            self.shared.hand_over(|publisher| publisher.announce(BatchEvent::Deleted, batch));
        }
        Ok(())
    }

    pub async fn suspend_job(&self, job: &WorkRef, suspended: bool) -> Result<(), Error> {
        let _thaw = (!suspended).then(|| self.ledger.thaw(&job.batch));
        let works = self.store.set_batch_job_suspended(&Caller::anonymous(), job, suspended).await?;
        self.publish(&job.batch, works).await
    }

    async fn suspend_definition(&mut self, batch: &str) -> Result<(), Error> {
        let suspended = !self.thaws || self.rng.chance(500);
        let number = SEED_JOB_DEFINITION + self.rng.below(3) as u32;
        let scope = if self.rng.chance(500) { SuspendScope::DefinitionOnly } else { SuspendScope::DefinitionAndJobs };
        let _thaw = (!suspended).then(|| self.ledger.thaw(batch));
        let works = self.store.set_definition_suspended(&Caller::anonymous(), &WorkRef::new(batch, number), suspended, scope).await?;
        self.publish(batch, works).await
    }

    /// Suspension does not matter to it.
    pub async fn by_hand(&self, job: &WorkRef) -> Result<(), Error> {
        let _thaw = self.ledger.thaw(&job.batch);
        self.shared.steps.execute_by_hand(job).await.map(|_| ())
    }

    /// A task is completed, or the instance is deleted.
    async fn command(&mut self, delete: bool) -> Result<(), Error> {
        let id = self.rng.pick(&self.instances).clone();
        let (store, now) = (&self.store, self.shared.clock.now());
        // Tasks are completed now and then; mostly something is written that leaves the tokens where they are.
        let completes = self.rng.chance(100);
        let run = |mut instance: Instance| {
            let count = super::oracles::commands(&instance) + 1;
            instance.other.insert(super::oracles::COMMANDS.into(), count.into());
            match store.definition(&instance.definition_id) {
                _ if delete => None,
                Some(definition) if completes => super::fixture::complete(definition, instance, now),
                _ => Some(instance),
            }
        };
        if self.store.command(&id, run).await? && !delete {
            *self.ledger.told().commands.entry(id.clone()).or_default() += 1;
            self.shared.hand_over(|publisher| publisher.wake([Address::Instance { instance: id }]));
        }
        Ok(())
    }
}
