//! Wake: rows that are due are moved on and given back (design §7.6).

use std::collections::BTreeMap;

use super::careful::set_state;
use super::rows::{Key, WorkState};
use super::tx::Tx;
use super::{Broken, ModelStore};
use crate::job::{self, WorkRef};
use crate::store::{Error, WakeLimits, Woken};

impl ModelStore {
    /// Instances have no jobs here, and there are no timers.
    pub(super) async fn wake_rows(&self, limits: WakeLimits) -> Result<Woken, Error> {
        let mut tx = self.begin("wake").await?;
        let mut woken = Woken::default();
        if self.is_broken(Broken::NoWake) {
            return Ok(woken);
        }
        let mut room: BTreeMap<String, u64> = BTreeMap::new();
        for batch in tx.batches()? {
            room.insert(batch.id.clone(), self.window(&tx, &batch)?);
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
        tx.commit().await?;
        Ok(woken)
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
            let keys = tx.runs(batch)?.into_iter().map(|(key, _)| key).chain(tx.jobs(batch)?.into_iter().map(|(key, _)| key));
            for key in keys {
                if let Some((number, state, _)) = state_of(tx, &key)?.filter(|(_, state, _)| self.is_due(state, tx.now)) {
                    due.push((state.wake_at, key, WorkRef::new(batch.clone(), number)));
                }
            }
        }
        due.sort();
        Ok(due.into_iter().map(|(_, key, work)| (key, work)).collect())
    }
}

/// Number, state and instances of a run or job row.
pub(super) fn state_of(tx: &Tx<'_>, key: &Key) -> Result<Option<(u32, WorkState, u64)>, Error> {
    Ok(match (tx.run(key)?, tx.job(key)?) {
        (Some(run), _) => Some((run.first, run.state, run.ids.len() as u64)),
        (None, Some(job)) => Some((job.number, job.state, job.ids.len() as u64)),
        (None, None) => None,
    })
}
