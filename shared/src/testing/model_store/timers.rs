//! Timers of start events: each starts one instance, and is gone with it in one transaction.

use std::sync::Arc;

use super::rows::{InstanceRow, Key, Row, TimerRow};
use super::tx::Tx;
use super::{Broken, ModelStore};
use crate::clock::Millis;
use crate::job;
use crate::store::{Error, RunDue};
use crate::testing::simulator::fixture;

const RETRIES: i32 = 3;

impl ModelStore {
    /// One that is due then. A definition that is not there refuses to be started.
    pub fn put_timer(&self, id: String, definition: &str, due: Millis) {
        let row = TimerRow { definition: definition.into(), due, retries: RETRIES, wake_at: Some(due), wakes: 0 };
        self.db().rows.insert(Key::Timer(id), Row::Timer(row));
    }

    pub(super) async fn run_start_timer(&self, id: &str) -> Result<RunDue, Error> {
        let mut tx = self.begin("run_timer").await?;
        let key = Key::Timer(id.into());
        if !self.is_broken(Broken::StartsUnlocked) && !tx.lock(&key).await? {
            return Ok(RunDue::Idle);
        }
        let Some(timer) = tx.timer(&key)?.filter(|timer| timer.retries > 0 && timer.due <= tx.now) else { return Ok(RunDue::Idle) };
        tx.step().await;
        let Some(definition) = self.definition(&timer.definition) else {
            drop(tx);
            return self.charge_timer(&key).await;
        };
        let started = fixture::base(3, tx.next_number() as usize);
        let mut instance = fixture::instance(definition, &started, tx.now);
        instance.business_key = Some(id.into());
        tx.put(Key::Instance(started), Row::Instance(Arc::new(InstanceRow::written(instance, 1)))).await?;
        tx.step().await;
        tx.delete(key).await?;
        tx.commit().await?;
        self.met("timer: started");
        Ok(RunDue::Ran { more: false })
    }

    async fn charge_timer(&self, key: &Key) -> Result<RunDue, Error> {
        let mut tx = self.begin("timer_failed").await?;
        tx.lock(key).await?;
        let message = "there is no such definition".to_owned();
        let Some(timer) = tx.timer(key)?.filter(|timer| timer.retries > 0) else { return Ok(RunDue::Failed { message, more: false }) };
        let retries = timer.retries - 1;
        let wake_at = (retries > 0).then_some(tx.now);
        tx.put(key.clone(), Row::Timer(TimerRow { retries, wake_at, wakes: 0, ..timer })).await?;
        tx.commit().await?;
        self.met("timer: failed");
        Ok(RunDue::Failed { message, more: retries > 0 })
    }
}

/// Those that are due, the oldest first: moved on, and given back.
pub(super) async fn wake_timers(tx: &mut Tx<'_>, limit: u32) -> Result<Vec<String>, Error> {
    let now = tx.now;
    let is_due = |timer: &TimerRow| timer.retries > 0 && timer.due <= now && timer.wake_at.is_some_and(|at| at <= now);
    let mut due: Vec<_> = tx.timers()?.into_iter().filter(|(_, timer)| is_due(timer)).map(|(key, timer)| (timer.wake_at, key)).collect();
    due.sort();
    let mut woken = vec![];
    for (_, key) in due.into_iter().take(limit as usize) {
        if !tx.try_lock(&key)? {
            continue;
        }
        let (Some(timer), Key::Timer(id)) = (tx.timer(&key)?.filter(is_due), &key) else { continue };
        woken.push(id.clone());
        let (wake_at, wakes) = (Some(now + job::next_wake_ms(timer.wakes)), timer.wakes + 1);
        tx.put(key.clone(), Row::Timer(TimerRow { wake_at, wakes, ..timer })).await?;
    }
    Ok(woken)
}
