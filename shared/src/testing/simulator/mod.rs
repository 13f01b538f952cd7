//! The simulator: the roles' real handlers over a model store and a model queue, in a schedule drawn from a seed.
//!
//! Messages are lost, doubled, delayed and reordered, processes crash between any two steps, sessions are ended, the broker is
//! wiped, and callers do what they please. Then faults stop, and all must come to rest; then all that a person held is let
//! go, and every batch must end. A seed gives the same schedule for ever: a failure is run again with a trace.

mod behaviour;
mod callers;
mod executor;
pub(super) mod fixture;
mod limits;
mod oracles;
mod roles;
mod scenario;
mod scripted;
mod world;

use std::collections::BTreeMap;
use std::fmt;

pub use behaviour::Behaviour;
pub use limits::{Limits, Shrunk, shrink};
pub use scripted::{Handler, Script};

use super::model_queue::Deeds;
use super::model_store::{Broken, Semantics};

#[derive(Clone, Debug, Default)]
pub struct Options {
    pub seed: u64,
    /// None: drawn.
    pub semantics: Option<Semantics>,
    pub broken: Option<Broken>,
    /// Workers ack before they work.
    pub acks_first: bool,
    /// The monitor only wakes rows, and never looks at a batch unasked.
    pub no_sweep: bool,
    pub trace: bool,
    pub limits: Limits,
}

/// What a schedule came to; or many, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub schedules: u64,
    pub steps: u64,
    pub crashes: u64,
    pub commits: u64,
    pub queue: Deeds,
    pub failed_verbs: u64,
    pub stalled: u64,
    pub sessions_ended: u64,
    pub batches_completed: u64,
    pub batches_deleted: u64,
    pub migrated: u64,
    pub failures: u64,
    pub commands: u64,
    /// Situations met, and how often.
    pub met: BTreeMap<&'static str, u64>,
}

impl Report {
    pub fn add(&mut self, other: &Self) {
        let (q, o) = (&mut self.queue, &other.queue);
        for (sum, more) in [
            (&mut self.schedules, other.schedules),
            (&mut self.steps, other.steps),
            (&mut self.crashes, other.crashes),
            (&mut self.commits, other.commits),
            (&mut self.failed_verbs, other.failed_verbs),
            (&mut self.stalled, other.stalled),
            (&mut self.sessions_ended, other.sessions_ended),
            (&mut self.batches_completed, other.batches_completed),
            (&mut self.batches_deleted, other.batches_deleted),
            (&mut self.migrated, other.migrated),
            (&mut self.failures, other.failures),
            (&mut self.commands, other.commands),
            (&mut q.published, o.published),
            (&mut q.lost, o.lost),
            (&mut q.doubled, o.doubled),
            (&mut q.delayed, o.delayed),
            (&mut q.refused, o.refused),
            (&mut q.redelivered, o.redelivered),
            (&mut q.dead, o.dead),
            (&mut q.wiped, o.wiped),
        ] {
            *sum += more;
        }
        for (situation, times) in &other.met {
            *self.met.entry(situation).or_default() += times;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (r, q) = (self, &self.queue);
        write!(f, "{} schedules, {} steps, {} commits; ", r.schedules, r.steps, r.commits)?;
        write!(f, "{} crashes, {} verbs failed, {} stalled, {} sessions ended; ", r.crashes, r.failed_verbs, r.stalled, r.sessions_ended)?;
        write!(f, "{} messages: {} lost, {} doubled, {} delayed, ", q.published, q.lost, q.doubled, q.delayed)?;
        write!(f, "{} refused, {} redelivered, {} dead, {} wipes; ", q.refused, q.redelivered, q.dead, q.wiped)?;
        write!(f, "{} batches completed, {} deleted, {} instances migrated, ", r.batches_completed, r.batches_deleted, r.migrated)?;
        write!(f, "{} attempts failed, {} commands of users", r.failures, r.commands)
    }
}

/// An invariant that does not hold: the seed runs it again.
pub struct Failed {
    pub seed: u64,
    pub what: String,
    pub trace: Vec<String>,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for line in &self.trace {
            writeln!(f, "  {line}")?;
        }
        write!(f, "seed {}: {}\nrun it alone with SIM_SEED={}", self.seed, self.what, self.seed)
    }
}

impl fmt::Debug for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// Runs one schedule. A failure is run again with its trace.
///
/// # Errors
/// The first invariant that did not hold.
pub fn run(options: &Options) -> Result<Report, Box<Failed>> {
    let fail = |what: String, world: &world::World| {
        Box::new(Failed { seed: options.seed, what, trace: world.store.trace().iter().map(|line| fixture::shorten(line)).collect() })
    };
    let mut world = world::World::drawn(options);
    match world.live() {
        Ok(()) => Ok(world.report),
        Err(what) if options.trace => Err(fail(what, &world)),
        Err(what) => run(&Options { trace: true, ..options.clone() }).and(Err(fail(what, &world))),
    }
}
