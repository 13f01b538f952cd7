//! What a schedule may do at most: all of it, or less, to find the smallest one that still fails.

use std::fmt;

use super::{Failed, Options, run};

/// Bounds and switches of one schedule. The default is everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    pub instances: usize,
    pub batches: usize,
    pub exec_workers: usize,
    pub monitors: usize,
    /// Timers that start instances.
    pub timers: usize,
    /// Deeds of each caller.
    pub deeds: usize,
    pub storm_steps: usize,
    pub misbehaviour: bool,
    pub lose: bool,
    pub double: bool,
    pub delay: bool,
    pub refuse: bool,
    pub reorder: bool,
    pub crashes: bool,
    pub wipes: bool,
    pub ended_sessions: bool,
    pub away: bool,
    pub collisions: bool,
    pub stalls: bool,
    /// Some are slower than others.
    pub paces: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            instances: 36,
            batches: 3,
            exec_workers: 3,
            monitors: 2,
            timers: 3,
            deeds: 60,
            storm_steps: 6_000,
            misbehaviour: true,
            lose: true,
            double: true,
            delay: true,
            refuse: true,
            reorder: true,
            crashes: true,
            wipes: true,
            ended_sessions: true,
            away: true,
            collisions: true,
            stalls: true,
            paces: true,
        }
    }
}

type Cut = fn(&mut Limits);

/// From the coarsest to the finest.
const CUTS: [(&str, Cut); 21] = [
    ("no misbehaviour", |l| l.misbehaviour = false),
    ("nothing lost", |l| l.lose = false),
    ("nothing doubled", |l| l.double = false),
    ("nothing delayed", |l| l.delay = false),
    ("nothing refused", |l| l.refuse = false),
    ("in order", |l| l.reorder = false),
    ("no crash", |l| l.crashes = false),
    ("no wipe", |l| l.wipes = false),
    ("no ended session", |l| l.ended_sessions = false),
    ("database there", |l| l.away = false),
    ("no collision", |l| l.collisions = false),
    ("no stall", |l| l.stalls = false),
    ("one pace", |l| l.paces = false),
    ("half the batches", |l| l.batches = (l.batches / 2).max(1)),
    ("half the exec-workers", |l| l.exec_workers = (l.exec_workers / 2).max(1)),
    ("no timer", |l| l.timers = 0),
    ("one monitor", |l| l.monitors = 1),
    ("half the instances", |l| l.instances = (l.instances / 2).max(1)),
    ("half the deeds", |l| l.deeds /= 2),
    ("half the storm", |l| l.storm_steps /= 2),
    ("one instance less", |l| l.instances = l.instances.saturating_sub(1).max(1)),
];

/// With less, other choices follow from the same seed: so many seeds are tried for each cut.
const SEEDS: u64 = 60;
/// Schedules that shrinking may run.
const BUDGET: u64 = 4_000;

/// A schedule that fails, and nothing can be taken from it within the budget.
pub struct Shrunk {
    pub options: Options,
    pub failed: Box<Failed>,
}

/// Takes away what the failure does not need. It counts as the same failure when its text begins alike.
#[must_use]
pub fn shrink(options: &Options, failed: Box<Failed>) -> Shrunk {
    let kind = kind(&failed.what);
    let mut best = Shrunk { options: options.clone(), failed };
    let mut budget = BUDGET;
    loop {
        let mut better = false;
        for (_, cut) in CUTS {
            let mut limits = best.options.limits.clone();
            cut(&mut limits);
            if limits == best.options.limits {
                continue;
            }
            let seeds = std::iter::once(best.options.seed).chain(0..SEEDS).take(usize::try_from(budget).unwrap_or(usize::MAX));
            for seed in seeds {
                budget -= 1;
                let smaller = Options { seed, limits: limits.clone(), trace: false, ..best.options.clone() };
                if let Err(failed) = run(&smaller)
                    && self::kind(&failed.what) == kind
                {
                    best = Shrunk { options: smaller, failed };
                    better = true;
                    break;
                }
            }
            if budget == 0 {
                return best;
            }
        }
        if !better {
            return best;
        }
    }
}

/// What failed, without ids and numbers.
fn kind(what: &str) -> String {
    let words = what.split_whitespace().filter(|word| word.chars().all(char::is_alphabetic));
    words.take(6).collect::<Vec<_>>().join(" ")
}

impl fmt::Display for Shrunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "shrunk, and to be kept as a test once it is mended:")?;
        writeln!(f, "#[test]\nfn shrunk_{}() {{", self.options.seed)?;
        let limits = format!("{:?}", self.options.limits);
        writeln!(f, "    let limits = {limits};")?;
        let (seed, semantics) = (self.options.seed, self.options.semantics);
        let semantics = semantics.map_or("None".into(), |of| format!("Some(Semantics::{of:?})"));
        writeln!(f, "    run(&Options {{ seed: {seed}, semantics: {semantics}, limits, ..Options::default() }}).unwrap();\n}}")?;
        write!(f, "{}", self.failed)
    }
}
