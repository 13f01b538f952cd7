//! Wake: rows that are due are moved on and given back (design §7.6).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::careful::set_state;
use super::rows::{InstanceRow, Key, Row, WorkState};
use super::timers::wake_timers;
use super::tx::Tx;
use super::{Broken, ModelStore};
use crate::job::{self, WorkRef};
use crate::store::{Error, WakeLimits, Woken};

impl ModelStore {
    pub(super) async fn wake_rows(&self, limits: WakeLimits) -> Result<Woken, Error> {
        let mut tx = self.begin("wake").await?;
        let mut woken = Woken::default();
        if self.is_broken(Broken::NoWake) {
            return Ok(woken);
        }
        let mut room: BTreeMap<String, u64> = BTreeMap::new();
        for batch in tx.batches()? {
            let window = self.window(&tx, &batch)?;
            room.insert(batch.id.clone(), window.saturating_sub(published(&tx, &batch.id)?));
        }
        for (key, work) in self.due(&tx, &room)? {
            tx.step().await;
            let left = room.get(&work.batch).copied().unwrap_or_default();
            if woken.work.len() as u32 >= limits.work || left == 0 || !tx.try_lock(&key)? {
                continue;
            }
            // Locked: as it is now, which may be another run than the one seen.
            let Some((number, mut state, ids)) = state_of(&tx, &key)?.filter(|(_, state, _)| self.is_due(state, tx.now)) else { continue };
            state.wakes += 1;
            state.wake_at = Some(tx.now + job::next_wake_ms(state.wakes));
            set_state(&mut tx, key, state).await?;
            room.insert(work.batch.clone(), left.saturating_sub(ids));
            woken.work.push(WorkRef::new(work.batch, number));
        }
        tx.step().await;
        woken.instances = wake_instances(&mut tx, limits.instances).await?;
        woken.timers = wake_timers(&mut tx, limits.instances).await?;
        tx.commit().await?;
        Ok(woken)
    }

    pub(super) async fn unpublished_rows(&self, works: &[WorkRef]) -> Result<(), Error> {
        let mut tx = self.begin("unpublished").await?;
        let soon = tx.now + job::UNPUBLISHED_MS;
        for work in works {
            for key in work_of(&tx, &work.batch)? {
                let wanted = |found: Option<(u32, WorkState, u64)>| {
                    found.filter(|(number, state, _)| *number == work.number && state.wake_at.is_some_and(|at| at > soon))
                };
                if wanted(state_of(&tx, &key)?).is_none() || !tx.try_lock(&key)? {
                    continue;
                }
                let Some((_, mut state, _)) = wanted(state_of(&tx, &key)?) else { continue };
                (state.wake_at, state.wakes) = (Some(soon), (state.wakes - 1).max(0));
                set_state(&mut tx, key, state).await?;
            }
        }
        tx.commit().await
    }

    pub(super) async fn due_again(&self, batch: &str) -> Result<(), Error> {
        let mut tx = self.begin("wakes_lost").await?;
        let now = tx.now;
        let is_lost = |state: &WorkState| state.may_run(now) && !state.is_leased(now) && state.wake_at.is_some_and(|at| at > now);
        for key in work_of(&tx, batch)? {
            if !state_of(&tx, &key)?.is_some_and(|(_, state, _)| is_lost(&state)) || !tx.try_lock(&key)? {
                continue;
            }
            // Locked: as it is now.
            let Some((_, mut state, _)) = state_of(&tx, &key)?.filter(|(_, state, _)| is_lost(state)) else { continue };
            (state.wake_at, state.wakes) = (Some(now), (state.wakes - 1).max(0));
            set_state(&mut tx, key, state).await?;
        }
        tx.commit().await
    }

    fn is_due(&self, state: &WorkState, now: i64) -> bool {
        let mut state = state.clone();
        state.suspended &= !self.is_broken(Broken::WakesTheSuspended);
        state.may_run(now) && !state.is_leased(now) && state.wake_at.is_some_and(|at| at <= now)
    }

    /// Oldest first.
    fn due(&self, tx: &Tx<'_>, batches: &BTreeMap<String, u64>) -> Result<Vec<(Key, WorkRef)>, Error> {
        let mut due = vec![];
        for batch in batches.keys() {
            for key in work_of(tx, batch)? {
                if let Some((number, state, _)) = state_of(tx, &key)?.filter(|(_, state, _)| self.is_due(state, tx.now)) {
                    due.push((state.wake_at, key, WorkRef::new(batch.clone(), number)));
                }
            }
        }
        due.sort();
        Ok(due.into_iter().map(|(_, key, work)| (key, work)).collect())
    }
}

/// The keys of all runs and job rows of a batch.
fn work_of(tx: &Tx<'_>, batch: &str) -> Result<Vec<Key>, Error> {
    let (runs, jobs) = (tx.runs(batch)?, tx.jobs(batch)?);
    Ok(runs.into_iter().map(|(key, _)| key).chain(jobs.into_iter().map(|(key, _)| key)).collect())
}

/// Instances in rows that were published and are not due for another look yet.
fn published(tx: &Tx<'_>, batch: &str) -> Result<u64, Error> {
    let is_out =
        |state: &WorkState| !state.suspended && state.wake_at.is_some_and(|at| at > tx.now) && state.due.is_none_or(|due| due <= tx.now);
    let runs = tx.runs(batch)?.into_iter().map(|(_, run)| (run.state, run.ids.len()));
    let jobs = tx.jobs(batch)?.into_iter().map(|(_, job)| (job.state, job.ids.len()));
    Ok(runs.chain(jobs).filter(|(state, _)| is_out(state)).map(|(_, ids)| ids as u64).sum())
}

/// Instances whose own jobs are due: the oldest first.
async fn wake_instances(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<String>, Error> {
    let is_due = |row: &InstanceRow, now| !row.instance.suspended && row.wake_at.is_some_and(|at| at <= now);
    let rows = tx.scan(&Key::Instance(String::new()), &Key::Instance("~".into()))?;
    let rows = rows.into_iter().filter_map(|(key, row)| if let Row::Instance(row) = row { Some((key, row)) } else { None });
    let mut due: Vec<_> = rows.filter(|(_, row)| is_due(row, tx.now)).map(|(key, row)| (row.wake_at, key)).collect();
    due.sort();
    let mut woken = vec![];
    for (_, key) in due {
        if woken.len() as u32 >= limit || !tx.try_lock(&key)? {
            continue;
        }
        let Some(Row::Instance(row)) = tx.get(&key)? else { continue };
        if is_due(&row, tx.now) {
            woken.push(row.instance.id.clone());
            let moved = InstanceRow { wake_at: Some(tx.now + job::next_wake_ms(row.wakes)), wakes: row.wakes + 1, ..(*row).clone() };
            tx.put(key, Row::Instance(Arc::new(moved))).await?;
        }
    }
    Ok(woken)
}

/// Number, state and instances of a run or job row.
pub(super) fn state_of(tx: &Tx<'_>, key: &Key) -> Result<Option<(u32, WorkState, u64)>, Error> {
    Ok(match (tx.run(key)?, tx.job(key)?) {
        (Some(run), _) => Some((run.first, run.state, run.ids.len() as u64)),
        (None, Some(job)) => Some((job.number, job.state, job.ids.len() as u64)),
        (None, None) => None,
    })
}
