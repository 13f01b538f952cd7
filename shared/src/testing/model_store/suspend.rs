//! Suspending and activating: a batch with all it holds, or what hangs on one of its job definitions.

use super::careful::set_state;
use super::jobs::write_batch;
use super::rows::{BatchRow, Key, Row, WorkState};
use super::tx::Tx;
use super::wake::state_of;
use super::{Broken, ModelStore};
use crate::id::{BATCH_JOB_DEFINITION, SEED_JOB_DEFINITION};
use crate::job::WorkRef;
use crate::store::{Error, SuspendScope};

/// Keys of one snapshot.
type Statement = fn(&Tx<'_>, &str) -> Result<Vec<Key>, Error>;

impl ModelStore {
    pub(super) async fn suspend_batch(&self, id: &str, suspended: bool) -> Result<Option<Vec<WorkRef>>, Error> {
        let mut tx = self.begin("set_batch_suspended").await?;
        let Some(mut row) = lock_batch(&mut tx, id).await? else { return Ok(None) };
        row.suspended = suspended;
        (row.seed_job.suspended, row.monitor_job.suspended) = (suspended, suspended);
        (row.seed_definition.suspended, row.monitor_definition.suspended, row.batch_definition.suspended) =
            (suspended, suspended, suspended);
        write_batch(&mut tx, row.clone()).await?;
        let next = self.suspend_work(&mut tx, &row, suspended).await?;
        tx.commit().await?;
        Ok(Some(next))
    }

    pub(super) async fn suspend_definition(
        &self,
        of: &WorkRef,
        suspended: bool,
        scope: SuspendScope,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        let mut tx = self.begin("set_definition_suspended").await?;
        let Some(mut row) = lock_batch(&mut tx, &of.batch).await? else { return Ok(None) };
        let jobs = scope == SuspendScope::DefinitionAndJobs;
        let mut next = vec![];
        if of.number == BATCH_JOB_DEFINITION {
            row.batch_definition.suspended = suspended;
            write_batch(&mut tx, row.clone()).await?;
            if jobs {
                next = self.suspend_work(&mut tx, &row, suspended).await?;
            }
        } else {
            let seed = of.number == SEED_JOB_DEFINITION;
            let definition = if seed { &mut row.seed_definition } else { &mut row.monitor_definition };
            definition.suspended = suspended;
            if jobs {
                let job = if seed { &mut row.seed_job } else { &mut row.monitor_job };
                job.suspended = suspended;
            }
            write_batch(&mut tx, row).await?;
        }
        tx.commit().await?;
        Ok(Some(next))
    }

    pub(super) async fn prioritise(&self, of: &WorkRef, priority: Option<i64>) -> Result<Option<Vec<WorkRef>>, Error> {
        let mut tx = self.begin("set_definition_priority").await?;
        let Some(mut row) = lock_batch(&mut tx, &of.batch).await? else { return Ok(None) };
        if of.number == BATCH_JOB_DEFINITION {
            row.batch_definition.priority = priority;
            write_batch(&mut tx, row).await?;
            if let Some(priority) = priority {
                self.change_all(&mut tx, &of.batch, |state| state.priority = priority).await?;
            }
        }
        tx.commit().await?;
        Ok(Some(vec![]))
    }

    /// Runs, then job rows: waits for what is being executed. Activating wakes what is not held; at most the window is given back.
    async fn suspend_work(&self, tx: &mut Tx<'_>, row: &BatchRow, suspended: bool) -> Result<Vec<WorkRef>, Error> {
        let (now, window) = (tx.now, self.window(tx, row)?);
        let changed = self
            .change_all(tx, &row.id, |state| {
                (state.suspended, state.wakes) = (suspended, 0);
                if !suspended {
                    state.wake_at = state.wake_at.map(|_| now);
                }
            })
            .await?;
        let mut instances = 0;
        let fits = |ids: u64, instances: &mut u64| std::mem::replace(instances, *instances + ids) < window;
        Ok(changed.into_iter().filter(|(_, state, ids)| state.may_run(now) && fits(*ids, &mut instances)).map(|(work, ..)| work).collect())
    }

    /// All runs, then all job rows of a batch: each as it is once its lock is given.
    async fn change_all(
        &self,
        tx: &mut Tx<'_>,
        batch: &str,
        mut change: impl FnMut(&mut WorkState) + Send,
    ) -> Result<Vec<(WorkRef, WorkState, u64)>, Error> {
        let mut changed = vec![];
        for keys in self.orders() {
            tx.step().await;
            for key in keys(tx, batch)? {
                if self.is_broken(Broken::SuspendSkipsLocked) && !tx.try_lock(&key)? {
                    continue;
                }
                let before = tx.run(&key)?;
                tx.lock(&key).await?;
                if let Some(run) = before.filter(|_| self.is_broken(Broken::TrustsOldRow)) {
                    tx.put(key.clone(), Row::Run(run)).await?;
                }
                let Some((number, mut state, ids)) = state_of(tx, &key)? else { continue };
                change(&mut state);
                set_state(tx, key, state.clone()).await?;
                changed.push((WorkRef::new(batch, number), state, ids));
            }
        }
        Ok(changed)
    }

    /// The statements that look for all work of a batch, in their order: runs, then job rows, so that what moved meanwhile is seen.
    pub(super) fn orders(&self) -> Vec<Statement> {
        let runs: Statement = |tx, batch| Ok(tx.runs(batch)?.into_iter().map(|(key, _)| key).collect());
        let jobs: Statement = |tx, batch| Ok(tx.jobs(batch)?.into_iter().map(|(key, _)| key).collect());
        let both: Statement = |tx, batch| {
            let jobs = tx.jobs(batch)?.into_iter().map(|(key, _)| key);
            Ok(tx.runs(batch)?.into_iter().map(|(key, _)| key).chain(jobs).collect())
        };
        match self.broken {
            Some(Broken::JobsBeforeRuns) => vec![jobs, runs],
            Some(Broken::OneSnapshot) => vec![both],
            _ => vec![runs, jobs],
        }
    }
}

async fn lock_batch(tx: &mut Tx<'_>, id: &str) -> Result<Option<BatchRow>, Error> {
    tx.lock(&Key::Batch(id.into())).await?;
    Ok(tx.batch(id)?.map(|row| (*row).clone()))
}
