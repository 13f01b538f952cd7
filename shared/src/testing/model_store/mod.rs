//! A model of the batch store: all verbs of [`BatchStore`], in memory, with the locks of PostgreSQL or the serial order of SQLite.
//!
//! For the simulator: each verb is several statements with a yield between any two, holding its row locks meanwhile, so that
//! other handlers come in between; a future dropped at a yield is a transaction rolled back. It must do what the contract
//! says and nothing more: where it is kinder than a database, a bug of a handler hides behind it.

mod batches;
mod careful;
mod claim;
mod counts;
mod due_jobs;
mod execute;
mod instances;
mod jobs;
pub mod rows;
mod suspend;
mod timers;
mod tx;
mod verbs;
mod wake;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use tx::Db;

use crate::clock::{Clock, ManualClock, Millis};
use crate::job::WorkRef;
use crate::process::definition::ProcessDefinition;
use crate::store::Error;
use crate::testing::schedule::Rng;

/// Whose concurrency is modelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Semantics {
    /// Read committed, row locks: others come between any two statements.
    Postgres,
    /// One writer: a verb is one step.
    Sqlite,
}

/// Deliberate faults of the model, to prove that the oracles see them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// `wake` finds nothing, ever.
    NoWake,
    /// A claim does not look at suspension.
    IgnoresSuspension,
    /// The instances are committed before the rows that order the work.
    EffectBeforeClaim,
    /// The write of an instance does not look at its revision.
    IgnoresRevision,
    /// A batch with failed jobs may complete.
    CompletesWithJobsLeft,
    /// A failed attempt costs nothing.
    RetriesAreFree,
    /// `wake` publishes suspended rows too.
    WakesTheSuspended,
    /// `look` says that no batch exists.
    Blind,
    /// Deleting a batch does not wait for runs that are being executed.
    DeleteSkipsLocked,
    /// Suspending a batch does not wait for runs that are being executed.
    SuspendSkipsLocked,
    /// A job deleted by a person is not counted.
    LosesCancelled,
    /// Ids that failed leave their job as if they had succeeded.
    LosesFailures,
    /// A run is shortened by DELETE and INSERT: who waits for the old row does not see the new one.
    ShortensByInsert,
    /// Seeding does not lock the batch.
    SeedsUnlocked,
    /// Taking a job out of its run does not lock the batch.
    ChangesJobsUnlocked,
    /// Suspending and deleting look at job rows before runs.
    JobsBeforeRuns,
    /// Runs and job rows are looked at in one statement.
    OneSnapshot,
    /// Completing does not look at the batch again once it has its lock.
    CompletesUnchecked,
    /// Waiting for a row is followed by what was seen of it before.
    TrustsOldRow,
    /// A run that becomes shorter keeps the lease and the attempts of its old front.
    KeepsTheLease,
    /// A lease adds nothing to the attempts: a worker that dies is never noticed.
    NeverCountsAttempts,
    /// A job of an instance is run on what was read of it, whatever was written since.
    JobsIgnoreRevision,
    /// A timer is not locked before it starts its instance.
    StartsUnlocked,
}

impl Broken {
    pub const ALL: [Self; 23] = [
        Self::NoWake,
        Self::IgnoresSuspension,
        Self::EffectBeforeClaim,
        Self::IgnoresRevision,
        Self::CompletesWithJobsLeft,
        Self::RetriesAreFree,
        Self::WakesTheSuspended,
        Self::Blind,
        Self::DeleteSkipsLocked,
        Self::SuspendSkipsLocked,
        Self::LosesCancelled,
        Self::LosesFailures,
        Self::ShortensByInsert,
        Self::SeedsUnlocked,
        Self::ChangesJobsUnlocked,
        Self::JobsBeforeRuns,
        Self::OneSnapshot,
        Self::CompletesUnchecked,
        Self::TrustsOldRow,
        Self::KeepsTheLease,
        Self::NeverCountsAttempts,
        Self::JobsIgnoreRevision,
        Self::StartsUnlocked,
    ];
}

/// How long a statement may hang.
const LONGEST_STALL_MS: usize = 30_000;
/// `idle_in_transaction_session_timeout` and the statement timeout: a transaction that hangs longer is ended.
pub(super) const SESSION_TIMEOUT_MS: Millis = 5_000;

/// How often, in a thousand, the database is away at the beginning or the end of a verb.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    pub unavailable: u32,
    pub collision: u32,
    /// A statement takes its time: up to [`LONGEST_STALL_MS`], its locks held meanwhile.
    pub stall: u32,
    /// The next executions collide: so many.
    pub next_collide: u32,
}

pub struct ModelStore {
    db: Mutex<Db>,
    clock: Arc<ManualClock>,
    semantics: Semantics,
    rng: Mutex<Rng>,
    faults: Mutex<Faults>,
    pub broken: Option<Broken>,
    definitions: BTreeMap<String, Arc<ProcessDefinition>>,
    /// Instances whose document the database refuses to write.
    refused: Mutex<BTreeSet<String>>,
    /// Jobs of one run; None: as the seeder of the real stores chooses.
    jobs_per_run: Option<u32>,
    /// Set by a decision that kills its worker: the verb then never comes back.
    killed: Arc<AtomicBool>,
    trace: Mutex<Trace>,
    who: Mutex<String>,
}

/// What happened last, for whoever reads a failure: lines kept at most (0: none).
#[derive(Default)]
struct Trace {
    keep: usize,
    lines: VecDeque<String>,
}

/// What a model store is made with.
pub struct Setup {
    pub clock: Arc<ManualClock>,
    pub semantics: Semantics,
    pub rng: Rng,
    pub broken: Option<Broken>,
    pub definitions: Vec<Arc<ProcessDefinition>>,
    pub refused: BTreeSet<String>,
    pub jobs_per_run: Option<u32>,
    pub killed: Arc<AtomicBool>,
    /// Lines of trace to keep.
    pub trace: Option<usize>,
}

impl ModelStore {
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        Self {
            db: Mutex::new(Db::default()),
            clock: setup.clock,
            semantics: setup.semantics,
            rng: Mutex::new(setup.rng),
            faults: Mutex::new(Faults::default()),
            broken: setup.broken,
            definitions: setup.definitions.into_iter().map(|d| (d.id.clone(), d)).collect(),
            refused: Mutex::new(setup.refused),
            jobs_per_run: setup.jobs_per_run,
            killed: setup.killed,
            trace: Mutex::new(Trace { keep: setup.trace.unwrap_or(0), ..Trace::default() }),
            who: Mutex::default(),
        }
    }

    pub fn set_faults(&self, faults: Faults) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Reads what is committed, outside all transactions: for oracles.
    pub fn read<T>(&self, read: impl FnOnce(&Db) -> T) -> T {
        read(&self.db())
    }

    /// The database ends one open transaction, as it does with a session that was idle too long.
    pub fn kill_a_session(&self, nth: usize) {
        self.db().kill(nth);
    }

    /// From now on the database writes every document.
    pub fn cure(&self) {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Does the next statement hang, and until when?
    fn stall(&self) -> Option<Millis> {
        let share = self.faults.lock().unwrap_or_else(PoisonError::into_inner).stall;
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        (share > 0 && rng.chance(share)).then(|| self.now() + rng.below(LONGEST_STALL_MS) as Millis)
    }

    /// Once faults have stopped, nothing hangs any longer.
    fn hangs(&self, until: Millis) -> bool {
        self.now() < until && self.faults.lock().unwrap_or_else(PoisonError::into_inner).stall > 0
    }

    /// Who does what comes next.
    pub fn tell(&self, who: &str) {
        who.clone_into(&mut self.who.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn who(&self) -> String {
        self.who.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn note(&self, what: impl std::fmt::Display) {
        let mut trace = self.trace.lock().unwrap_or_else(PoisonError::into_inner);
        if trace.keep == 0 {
            return;
        }
        if trace.lines.len() >= trace.keep {
            trace.lines.pop_front();
        }
        let who = self.who();
        let line = format!("{:>9} {who:<12} {what}", self.now() % 100_000_000);
        trace.lines.push_back(line);
    }

    /// Whoever is at it holds these jobs under a lease; None: no longer.
    fn in_hand(&self, jobs: Option<(&WorkRef, u32)>) {
        let who = self.who();
        let mut db = self.db();
        match jobs {
            Some((work, last)) => db.in_hand.insert(who, (work.clone(), last)),
            None => db.in_hand.remove(&who),
        };
    }

    /// A process has died: what it held under a lease has seen a death.
    pub fn died(&self, who: &str) {
        let mut db = self.db();
        let Some((work, last)) = db.in_hand.remove(who) else { return };
        for number in work.number..=last {
            *db.deaths.entry(WorkRef::new(work.batch.clone(), number)).or_default() += 1;
        }
    }

    /// A situation was met: for the proof that schedules meet it.
    fn met(&self, situation: &'static str) {
        *self.db().met.entry(situation).or_default() += 1;
    }

    /// The lines of the trace.
    #[must_use]
    pub fn trace(&self) -> Vec<String> {
        self.trace.lock().unwrap_or_else(PoisonError::into_inner).lines.iter().cloned().collect()
    }

    fn is_broken(&self, how: Broken) -> bool {
        self.broken == Some(how)
    }

    fn now(&self) -> Millis {
        self.clock.now()
    }

    #[must_use]
    pub fn definition(&self, id: &str) -> Option<&Arc<ProcessDefinition>> {
        self.definitions.get(id)
    }

    /// A worker killed by what it decided never goes on: whoever polls drops it.
    async fn survive(&self) {
        if self.killed.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
    }

    /// The commit stands, but its caller hears nothing of it.
    fn answer_lost(&self, verb: &'static str) -> Result<(), Error> {
        let share = self.faults.lock().unwrap_or_else(PoisonError::into_inner).unavailable;
        let lost = self.rng.lock().unwrap_or_else(PoisonError::into_inner).chance(share);
        if lost {
            self.note(format_args!("{verb}: the answer is lost"));
            self.db().failed_verbs += 1;
        }
        if lost { Err(tx::lost(verb)) } else { Ok(()) }
    }

    /// Before a transaction, or at its end with nothing committed.
    fn fault(&self, verb: &'static str) -> Result<(), Error> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if faults.next_collide > 0 && verb == "execute" {
            faults.next_collide -= 1;
            return Err(Error::Collision { verb, source: None });
        }
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        if rng.chance(faults.unavailable) {
            self.note(format_args!("{verb}: the database is away"));
            self.db().failed_verbs += 1;
            return Err(tx::lost(verb));
        }
        if rng.chance(faults.collision) {
            self.note(format_args!("{verb}: a collision"));
            self.db().failed_verbs += 1;
            return Err(Error::Collision { verb, source: None });
        }
        Ok(())
    }
}
