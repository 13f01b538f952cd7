//! The simulator: the roles' real handlers over a model store and a model queue, in a schedule drawn from a seed.
//!
//! Messages are lost, doubled, delayed and reordered, processes crash between any two steps, sessions are ended, the broker is
//! wiped, and callers do what they please. Then faults stop, and all must come to rest; then all that a person held is let
//! go, and every batch must end. A seed gives the same schedule for ever: a failure is run again with a trace.

mod behaviour;
mod callers;
mod executor;
mod fixture;
mod oracles;
mod roles;
mod scenario;
mod scripted;
mod world;

use std::collections::BTreeMap;
use std::fmt;

pub use behaviour::Behaviour;
pub use scripted::{Handler, Script};

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
}

/// What a schedule came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub steps: u64,
    pub crashes: u64,
    pub published: u64,
    pub commits: u64,
    /// Situations met, and how often.
    pub met: BTreeMap<&'static str, u64>,
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
