//! Transactions over the model's rows: row locks that wait, `SKIP LOCKED`, read committed, rollback on drop.
//!
//! Reading takes what is committed, and the transaction's own writes. A scan is one statement: nothing happens
//! within it. Between two statements is a [`Tx::step`], at which others go on or the transaction is dropped.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::rows::{BatchRow, Brief, Chunk, InstanceRow, Job, Key, LogRow, Row, Run, TimerRow};
use super::{ModelStore, SESSION_TIMEOUT_MS, Semantics};
use crate::clock::Millis;
use crate::job::WorkRef;
use crate::store::Error;
use crate::testing::schedule::yield_now;

/// All that is committed, and who holds and awaits which row.
#[derive(Default)]
pub struct Db {
    pub rows: BTreeMap<Key, Row>,
    pub locks: BTreeMap<Key, u64>,
    /// Waiting transaction to holder.
    waits: BTreeMap<u64, u64>,
    /// Transactions and their verbs.
    open: BTreeMap<u64, &'static str>,
    next_transaction: u64,
    next_number: u64,
    /// Log rows in the order of their commits: what happened, for oracles.
    pub journal: Vec<LogRow>,
    pub commits: u64,
    /// Situations met, and how often.
    pub met: BTreeMap<&'static str, u64>,
    /// Jobs under the lease of a process: the first, and the last number.
    pub in_hand: BTreeMap<String, (WorkRef, u32)>,
    /// Processes that died with a job in hand, under a lease.
    pub deaths: BTreeMap<WorkRef, u32>,
    /// Deadlocks met: with the lock order kept there are none.
    pub deadlocks: u64,
    /// Verbs that were told of a fault, statements that hung, and sessions that the database ended.
    pub failed_verbs: u64,
    pub stalled: u64,
    pub sessions_ended: u64,
    /// Transactions that hang, and since when.
    hanging: BTreeMap<u64, Millis>,
}

impl Db {
    fn is_deadlock(&self, waiter: u64) -> bool {
        let mut at = waiter;
        while let Some(&holder) = self.waits.get(&at) {
            if holder == waiter {
                return true;
            }
            at = holder;
        }
        false
    }

    fn end(&mut self, id: u64) {
        self.open.remove(&id);
        self.waits.remove(&id);
        self.hanging.remove(&id);
        self.locks.retain(|_, holder| *holder != id);
    }

    /// Ends a transaction from outside, as the database does with a session that is idle too long.
    pub fn kill(&mut self, nth: usize) {
        if let Some(id) = self.open.keys().nth(nth).copied() {
            self.sessions_ended += 1;
            self.end(id);
        }
    }

    /// Ends what hangs for too long.
    fn end_hanging(&mut self, now: Millis) {
        while let Some(id) = self.hanging.iter().find(|(_, since)| **since + SESSION_TIMEOUT_MS < now).map(|(id, _)| *id) {
            self.sessions_ended += 1;
            self.end(id);
        }
    }

    /// Numbers of the jobs of a batch that have no retries left.
    #[must_use]
    pub fn failed_jobs(&self, batch: &str) -> Vec<u32> {
        let failed = |row: &Row| if let Row::Job(job) = row { (job.state.retries == 0).then_some(job.number) } else { None };
        self.rows.range(Key::Job(batch.into(), 0)..=Key::Job(batch.into(), u32::MAX)).filter_map(|(_, row)| failed(row)).collect()
    }

    /// The verb that holds a row.
    pub(super) fn holder_of(&self, key: &Key) -> Option<&'static str> {
        self.locks.get(key).and_then(|id| self.open.get(id)).copied()
    }

    #[must_use]
    pub fn open_transactions(&self) -> usize {
        self.open.len()
    }
}

pub struct Tx<'a> {
    store: &'a ModelStore,
    id: u64,
    verb: &'static str,
    /// The database's time at the beginning, as `now()` of PostgreSQL.
    pub now: Millis,
    writes: BTreeMap<Key, Option<Row>>,
}

impl ModelStore {
    pub(super) fn db(&self) -> MutexGuard<'_, Db> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn begin(&self, verb: &'static str) -> Result<Tx<'_>, Error> {
        yield_now().await;
        self.fault(verb)?;
        // Waits for a connection, or for the one writer.
        if let Some(until) = self.stall() {
            self.db().stalled += 1;
            while self.hangs(until) {
                yield_now().await;
            }
        }
        let mut db = self.db();
        db.next_transaction += 1;
        let id = db.next_transaction;
        db.open.insert(id, verb);
        drop(db);
        if !matches!(verb, "look" | "batch_ids" | "heartbeat" | "wake") {
            self.note(format_args!("#{id} {verb}"));
        }
        Ok(Tx { store: self, id, verb, now: self.now(), writes: BTreeMap::new() })
    }
}

impl Drop for Tx<'_> {
    fn drop(&mut self) {
        self.store.db().end(self.id);
    }
}

impl<'a> Tx<'a> {
    /// Between two statements.
    pub async fn step(&self) {
        if self.store.semantics == Semantics::Postgres {
            yield_now().await;
            if let Some(until) = self.store.stall() {
                self.hang(until).await;
            }
        }
    }

    /// Holds its locks until then, or until the database ends its session.
    async fn hang(&self, until: Millis) {
        self.store.note(format_args!("#{} hangs", self.id));
        {
            let mut db = self.store.db();
            db.stalled += 1;
            db.hanging.insert(self.id, self.store.now());
        }
        while self.store.hangs(until) {
            yield_now().await;
        }
        let mut db = self.store.db();
        db.end_hanging(self.store.now());
        db.hanging.remove(&self.id);
    }

    fn alive(&self) -> Result<MutexGuard<'a, Db>, Error> {
        let mut db = self.store.db();
        db.end_hanging(self.store.now());
        if db.open.contains_key(&self.id) { Ok(db) } else { Err(lost(self.verb)) }
    }

    /// `FOR UPDATE`: waits for the row. True: it is there afterwards, as it is by then.
    ///
    /// # Errors
    /// `Collision` on a deadlock, `Unavailable` when the session was ended.
    pub async fn lock(&mut self, key: &Key) -> Result<bool, Error> {
        loop {
            {
                let mut db = self.alive()?;
                match db.locks.get(key).copied() {
                    Some(holder) if holder != self.id => {
                        if db.waits.insert(self.id, holder).is_none() {
                            *db.met.entry(self.verb).or_default() += 1;
                        }
                        if db.is_deadlock(self.id) {
                            db.deadlocks += 1;
                            return Err(Error::Collision { verb: self.verb, source: None });
                        }
                    }
                    _ => {
                        db.waits.remove(&self.id);
                        db.locks.insert(key.clone(), self.id);
                        break;
                    }
                }
            }
            yield_now().await;
        }
        Ok(self.get(key)?.is_some())
    }

    /// `FOR UPDATE SKIP LOCKED`: false when another holds the row, or there is none.
    ///
    /// # Errors
    /// `Unavailable` when the session was ended.
    pub fn try_lock(&mut self, key: &Key) -> Result<bool, Error> {
        if self.get(key)?.is_none() {
            return Ok(false);
        }
        let mut db = self.alive()?;
        match db.locks.get(key) {
            Some(holder) if *holder != self.id => Ok(false),
            _ => {
                db.locks.insert(key.clone(), self.id);
                Ok(true)
            }
        }
    }

    pub fn get(&self, key: &Key) -> Result<Option<Row>, Error> {
        let db = self.alive()?;
        Ok(match self.writes.get(key) {
            Some(written) => written.clone(),
            None => db.rows.get(key).cloned(),
        })
    }

    /// Writes a row, locked before or new.
    pub async fn put(&mut self, key: Key, row: Row) -> Result<(), Error> {
        self.lock(&key).await?;
        self.writes.insert(key, Some(row));
        Ok(())
    }

    pub async fn delete(&mut self, key: Key) -> Result<(), Error> {
        self.lock(&key).await?;
        self.writes.insert(key, None);
        Ok(())
    }

    /// Keys from `low` to `high`, of one snapshot.
    pub fn scan(&self, low: &Key, high: &Key) -> Result<Vec<(Key, Row)>, Error> {
        let db = self.alive()?;
        let mut seen: BTreeMap<&Key, &Row> = db.rows.range(low..=high).collect();
        for (key, row) in self.writes.range(low..=high) {
            match row {
                Some(row) => seen.insert(key, row),
                None => seen.remove(key),
            };
        }
        Ok(seen.into_iter().map(|(key, row)| (key.clone(), row.clone())).collect())
    }

    pub async fn log(&mut self, row: LogRow) -> Result<(), Error> {
        let number = self.next_number();
        self.put(Key::Log(number), Row::Log(row)).await
    }

    /// The next value of the one sequence.
    pub fn next_number(&self) -> u64 {
        let mut db = self.store.db();
        db.next_number += 1;
        db.next_number
    }

    /// All at once, or not at all. The answer may be lost either way.
    pub async fn commit(mut self) -> Result<(), Error> {
        self.step().await;
        self.store.fault(self.verb)?;
        let verb = self.verb;
        {
            let mut db = self.alive()?;
            db.commits += u64::from(!self.writes.is_empty());
            for (key, row) in std::mem::take(&mut self.writes) {
                if !matches!(key, Key::Worker(_) | Key::Failure(..)) {
                    self.store.note(format_args!("#{} {}", self.id, Brief(&key, row.as_ref())));
                }
                if let Some(Row::Log(log)) = &row {
                    db.journal.push(log.clone());
                }
                match row {
                    Some(row) => db.rows.insert(key, row),
                    None => db.rows.remove(&key),
                };
            }
            db.end(self.id);
        }
        let store = self.store;
        drop(self);
        yield_now().await;
        store.answer_lost(verb)
    }

    // --- typed readers -----------------------------------------------------------------------------------------------

    pub fn batch(&self, id: &str) -> Result<Option<Arc<BatchRow>>, Error> {
        Ok(self.get(&Key::Batch(id.into()))?.and_then(|row| if let Row::Batch(batch) = row { Some(batch) } else { None }))
    }

    pub fn run(&self, key: &Key) -> Result<Option<Run>, Error> {
        Ok(self.get(key)?.and_then(|row| if let Row::Run(run) = row { Some(run) } else { None }))
    }

    pub fn job(&self, key: &Key) -> Result<Option<Job>, Error> {
        Ok(self.get(key)?.and_then(|row| if let Row::Job(job) = row { Some(job) } else { None }))
    }

    pub fn instance(&self, id: &str) -> Result<Option<Arc<InstanceRow>>, Error> {
        Ok(self.get(&Key::Instance(id.into()))?.and_then(|row| if let Row::Instance(row) = row { Some(row) } else { None }))
    }

    pub fn timer(&self, key: &Key) -> Result<Option<TimerRow>, Error> {
        Ok(self.get(key)?.and_then(|row| if let Row::Timer(row) = row { Some(row) } else { None }))
    }

    pub fn timers(&self) -> Result<Vec<(Key, TimerRow)>, Error> {
        let rows = self.scan(&Key::Timer(String::new()), &Key::Timer("~".into()))?;
        Ok(rows.into_iter().filter_map(|(key, row)| if let Row::Timer(timer) = row { Some((key, timer)) } else { None }).collect())
    }

    pub fn batches(&self) -> Result<Vec<Arc<BatchRow>>, Error> {
        let rows = self.scan(&Key::Batch(String::new()), &Key::Batch("~".into()))?;
        Ok(rows.into_iter().filter_map(|(_, row)| if let Row::Batch(batch) = row { Some(batch) } else { None }).collect())
    }

    pub fn chunks(&self, batch: &str) -> Result<Vec<(Key, Chunk)>, Error> {
        let rows = self.scan(&Key::Chunk(batch.into(), 0), &Key::Chunk(batch.into(), u32::MAX))?;
        Ok(rows.into_iter().filter_map(|(key, row)| if let Row::Chunk(chunk) = row { Some((key, chunk)) } else { None }).collect())
    }

    pub fn runs(&self, batch: &str) -> Result<Vec<(Key, Run)>, Error> {
        let rows = self.scan(&Key::Run(batch.into(), 0), &Key::Run(batch.into(), u64::MAX))?;
        Ok(rows.into_iter().filter_map(|(key, row)| if let Row::Run(run) = row { Some((key, run)) } else { None }).collect())
    }

    pub fn jobs(&self, batch: &str) -> Result<Vec<(Key, Job)>, Error> {
        let rows = self.scan(&Key::Job(batch.into(), 0), &Key::Job(batch.into(), u32::MAX))?;
        Ok(rows.into_iter().filter_map(|(key, row)| if let Row::Job(job) = row { Some((key, job)) } else { None }).collect())
    }
}

pub(super) fn lost(verb: &'static str) -> Error {
    Error::Unavailable { verb, source: "the connection was lost".into() }
}
