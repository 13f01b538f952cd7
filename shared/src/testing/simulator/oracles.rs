//! The invariants of design §10, looked at after every commit and at the end.

use std::collections::{BTreeMap, BTreeSet};

use super::behaviour::effects;
use super::callers::Ledger;
use super::fixture::SOURCE;
use crate::clock::Millis;
use crate::job::WorkRef;
use crate::process::instance::Instance;
use crate::process::tree::check;
use crate::testing::model_store::rows::{BatchRow, Job, Key, LogEvent, LogRow, Row, Run, TimerRow};
use crate::testing::model_store::{Db, ModelStore};

/// The field of a document that counts the commands of callers.
pub const COMMANDS: &str = "simulatedCommands";

#[must_use]
pub fn commands(instance: &Instance) -> u64 {
    instance.other.get(COMMANDS).and_then(serde_json::Value::as_u64).unwrap_or(0)
}

/// What the journal says of one batch.
#[derive(Default)]
struct Story {
    submitted: Vec<String>,
    succeeded: Vec<String>,
    cancelled: Vec<String>,
    jobs_cancelled: u64,
    completed: u32,
    deleted: bool,
}

/// Reads the journal as it grows.
#[derive(Default)]
pub struct Oracles {
    read: usize,
    commits: u64,
    stories: BTreeMap<String, Story>,
    /// Instances that fail, kill, panic, or that the database refuses.
    misbehaving: BTreeSet<String>,
    timers: Vec<String>,
}

type Verdict = Result<(), String>;

impl Oracles {
    #[must_use]
    pub fn new(misbehaving: BTreeSet<String>, timers: Vec<String>) -> Self {
        Self { misbehaving, timers, ..Self::default() }
    }

    /// After a step: all that must hold at any moment. Nothing to do when nothing was committed.
    ///
    /// # Errors
    /// Which invariant does not hold, and where.
    pub fn look(&mut self, store: &ModelStore, ledger: &Ledger) -> Verdict {
        store.read(|db| {
            if db.commits == self.commits {
                return Ok(());
            }
            self.commits = db.commits;
            if db.deadlocks > 0 {
                return Err("two transactions locked each other out: the lock order was not kept".into());
            }
            for row in &db.journal[self.read..] {
                self.note(db, row, ledger)?;
            }
            self.read = db.journal.len();
            for (id, story) in &self.stories {
                partition(db, id, story)?;
                effects_are_once(db, id, story)?;
            }
            timers_start_once(db, &self.timers)?;
            commands_are_kept(db, ledger)
        })
    }

    fn note(&mut self, db: &Db, row: &LogRow, ledger: &Ledger) -> Verdict {
        self.is_deserved(db, row)?;
        let story = self.stories.entry(row.batch.clone()).or_default();
        if story.completed > 0 || story.deleted {
            return Err(format!("batch {} is over, and yet: {row:?}", row.batch));
        }
        let starts = !matches!(row.event, LogEvent::Submitted | LogEvent::JobDeleted | LogEvent::Deleted);
        if starts && ledger.is_frozen(&row.batch) {
            return Err(format!("batch {} is suspended, and yet: {row:?}", row.batch));
        }
        match row.event {
            LogEvent::Submitted => story.submitted.extend(row.ids.iter().cloned()),
            LogEvent::Created | LogEvent::Failed | LogEvent::Refused | LogEvent::GaveUp => {}
            LogEvent::Succeeded => story.succeeded.extend(row.ids.iter().cloned()),
            LogEvent::JobDeleted => {
                story.jobs_cancelled += row.ids.len() as u64;
                story.cancelled.extend(row.ids.iter().cloned());
            }
            LogEvent::Deleted => {
                story.cancelled.extend(row.ids.iter().cloned());
                story.deleted = true;
            }
            LogEvent::Completed => story.completed += 1,
        }
        Ok(())
    }

    /// Nothing is wrong with it: it is there, where the plan begins, and nobody said that it should misbehave.
    fn is_innocent(&self, db: &Db, id: &str) -> bool {
        let there = matches!(db.rows.get(&Key::Instance(id.into())), Some(Row::Instance(row)) if row.instance.definition_id == SOURCE);
        there && !self.misbehaving.contains(id)
    }

    /// A failure has its reason in what failed.
    fn is_deserved(&self, db: &Db, row: &LogRow) -> Verdict {
        let innocent = |id: &String| self.is_innocent(db, id);
        let deserved = match row.event {
            LogEvent::Failed => !row.ids.iter().any(innocent),
            LogEvent::Refused => !row.ids.iter().all(innocent),
            LogEvent::GaveUp => return died_over(db, row),
            _ => true,
        };
        if deserved { Ok(()) } else { Err(format!("failed, though nothing was wrong with it: {row:?}")) }
    }

    /// Once all is quiet: what is left of a batch is left because a person must do something.
    ///
    /// # Errors
    /// Which batch is stuck, and on what.
    pub fn at_the_end(&self, store: &ModelStore, now: Millis) -> Verdict {
        store.read(|db| {
            if db.open_transactions() > 0 || !db.locks.is_empty() {
                return Err(format!("all is quiet, and yet these are locked: {:?}", db.locks));
            }
            for batch in batches(db) {
                is_excused(db, batch, now)?;
            }
            timers_have_run(db, store, now)?;
            tokens_are_kept(db, store)
        })
    }

    /// Nothing holds anything up any more: every batch is over.
    ///
    /// # Errors
    /// Which is not.
    pub fn all_over(&self, store: &ModelStore) -> Verdict {
        store.read(|db| match batches(db).next() {
            Some(batch) => Err(format!("batch {} never ends: {:?}", batch.id, left_of(db, &batch.id))),
            None => Ok(()),
        })
    }
}

fn batches(db: &Db) -> impl Iterator<Item = &BatchRow> {
    db.rows.values().filter_map(|row| if let Row::Batch(batch) = row { Some(&**batch) } else { None })
}

fn left_of<'a>(db: &'a Db, batch: &str) -> Vec<&'a Row> {
    let of = |key: &Key| match key {
        Key::Batch(id) | Key::Chunk(id, _) | Key::Run(id, _) | Key::Job(id, _) => id == batch,
        _ => false,
    };
    db.rows.iter().filter(|(key, _)| of(key)).map(|(_, row)| row).collect()
}

/// A job that is given up has seen deaths of its own: twice at least since it was the first of its run (design §7.3).
fn died_over(db: &Db, row: &LogRow) -> Verdict {
    let deaths = db.deaths.get(&WorkRef::new(row.batch.clone(), row.first)).copied().unwrap_or_default();
    if deaths < 2 { Err(format!("a job is given up, though only {deaths} processes died over it: {row:?}")) } else { Ok(()) }
}

/// Every accepted id is in a chunk, a run or a job, or succeeded, or was cancelled: exactly one of these. And the counts say so.
fn partition(db: &Db, id: &str, story: &Story) -> Verdict {
    let batch = match db.rows.get(&Key::Batch(id.into())) {
        Some(Row::Batch(batch)) => Some(batch),
        _ => None,
    };
    if batch.is_none() != (story.completed > 0 || story.deleted) {
        return Err(format!("batch {id} is {}, against its log", if batch.is_some() { "there" } else { "gone" }));
    }
    if batch.is_none() && !left_of(db, id).is_empty() {
        return Err(format!("batch {id} is over, and left {:?}", left_of(db, id)));
    }
    let mut all: Vec<&String> = story.succeeded.iter().chain(&story.cancelled).collect();
    let mut jobs = 0;
    for row in left_of(db, id) {
        match row {
            Row::Chunk(chunk) => all.extend(&chunk.ids),
            Row::Run(Run { ids, first, last, .. }) => {
                jobs += last - first + 1;
                all.extend(ids);
            }
            Row::Job(Job { ids, .. }) => {
                jobs += 1;
                all.extend(ids);
            }
            _ => {}
        }
    }
    all.sort();
    let mut submitted: Vec<&String> = story.submitted.iter().collect();
    submitted.sort();
    if all != submitted {
        return Err(format!("batch {id}: its instances are {submitted:?}, accounted for are {all:?} with {jobs} jobs left"));
    }
    match batch {
        Some(batch) if batch.cancelled != story.jobs_cancelled => {
            Err(format!("batch {id} says that {} instances were cancelled, it were {}", batch.cancelled, story.jobs_cancelled))
        }
        _ => Ok(()),
    }
}

/// The effect on an instance happens exactly once, and not at all unless the log says so.
fn effects_are_once(db: &Db, id: &str, story: &Story) -> Verdict {
    for instance in &story.submitted {
        let Some(Row::Instance(row)) = db.rows.get(&Key::Instance(instance.clone())) else { continue };
        let expected = u64::from(story.succeeded.contains(instance));
        let found = effects(&row.instance, id);
        if found != expected {
            return Err(format!("batch {id} changed instance {instance} {found} times; by its log it were {expected}"));
        }
    }
    Ok(())
}

/// The rows of timers, by their ids.
fn timers(db: &Db) -> impl Iterator<Item = (&String, &TimerRow)> {
    db.rows.iter().filter_map(|(key, row)| if let (Key::Timer(id), Row::Timer(timer)) = (key, row) { Some((id, timer)) } else { None })
}

/// Each timer is there, or has started one instance: exactly one of these.
fn timers_start_once(db: &Db, all: &[String]) -> Verdict {
    if all.is_empty() {
        return Ok(());
    }
    let mut ends: BTreeMap<&str, u32> = all.iter().map(|id| (id.as_str(), 0)).collect();
    let started = db.rows.values().filter_map(|row| if let Row::Instance(row) = row { row.instance.business_key.as_ref() } else { None });
    for id in timers(db).map(|(id, _)| id).chain(started) {
        *ends.entry(id).or_default() += 1;
    }
    match ends.iter().find(|(_, ends)| **ends != 1) {
        Some((timer, ends)) => Err(format!("timer {timer} and what it started are there {ends} times")),
        None => Ok(()),
    }
}

/// What is due has run, or has failed for good with a reason.
fn timers_have_run(db: &Db, store: &ModelStore, now: Millis) -> Verdict {
    for (id, timer) in timers(db) {
        let has_failed = timer.retries == 0 && store.definition(&timer.definition).is_none();
        if timer.due <= now && !has_failed {
            return Err(format!("timer {id} is due, and nobody runs it: {timer:?}"));
        }
    }
    Ok(())
}

/// What a caller was told is done stays done, whoever writes the document next.
fn commands_are_kept(db: &Db, ledger: &Ledger) -> Verdict {
    for (id, told) in &ledger.told().commands {
        let Some(Row::Instance(row)) = db.rows.get(&Key::Instance(id.clone())) else { continue };
        if commands(&row.instance) < *told {
            return Err(format!("instance {id} has lost a command: {told} were done, {} are left", commands(&row.instance)));
        }
    }
    Ok(())
}

/// No token is lost or doubled: each instance waits at one task, or for a job that nobody may run; and its tree is one.
fn tokens_are_kept(db: &Db, store: &ModelStore) -> Verdict {
    for row in db.rows.values() {
        let Row::Instance(row) = row else { continue };
        let instance = &row.instance;
        let Some(definition) = store.definition(&instance.definition_id) else {
            return Err(format!("instance {} stands on no definition", instance.id));
        };
        let broken = check(instance, definition);
        let waits = instance.tasks.len() + instance.jobs.len();
        if waits != 1 || !broken.is_empty() {
            return Err(format!("instance {} waits {waits} times, and these rules are broken: {broken:?}", instance.id));
        }
        if instance.jobs.iter().any(|job| job.retries > 0) {
            return Err(format!("instance {} has a job that nobody runs: {:?}", instance.id, instance.jobs));
        }
    }
    Ok(())
}

/// May the batch still be there, when nothing happens any more?
fn is_excused(db: &Db, batch: &BatchRow, now: Millis) -> Verdict {
    let left = left_of(db, &batch.id);
    let chunks = left.iter().any(|row| matches!(row, Row::Chunk(_)));
    if chunks && !batch.seed_job.suspended && batch.seed_job.retries > 0 {
        return Err(format!("batch {} is not seeded to its end: {left:?}", batch.id));
    }
    let states: Vec<_> = left
        .iter()
        .filter_map(|row| match row {
            Row::Run(run) => Some(&run.state),
            Row::Job(job) => Some(&job.state),
            _ => None,
        })
        .collect();
    if states.iter().any(|state| state.may_run(now) || (!state.suspended && state.retries > 0 && state.wake_at.is_none())) {
        return Err(format!("batch {} has work that nobody does: {left:?}", batch.id));
    }
    if !chunks && states.is_empty() && !batch.monitor_job.suspended {
        return Err(format!("batch {} has nothing left and is not completed", batch.id));
    }
    Ok(())
}
