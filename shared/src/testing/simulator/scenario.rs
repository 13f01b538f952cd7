//! What a schedule begins with: instances and how they behave, batches, and how bad the queue is.

use std::collections::{BTreeMap, BTreeSet};

use super::behaviour::Behaviour;
use super::callers::Planned;
use super::fixture;
use super::limits::Limits;
use crate::clock::Millis;
use crate::testing::model_queue::Mischief;
use crate::testing::model_store::Semantics;
use crate::testing::schedule::Rng;

/// What a schedule begins with.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub semantics: Semantics,
    pub instances: Vec<String>,
    pub behaviours: BTreeMap<String, Behaviour>,
    /// Instances whose document the database refuses to write.
    pub refused: BTreeSet<String>,
    pub batches: Vec<Planned>,
    pub jobs_per_run: u32,
    pub wake_limit: u32,
    pub mischief: Mischief,
    /// How often a message may come back.
    pub delivery_limit: u32,
    /// When each timer is due, from the beginning, and whether its definition is there.
    pub timers: Vec<(Millis, bool)>,
}

impl Scenario {
    pub fn drawn(rng: &mut Rng, limits: &Limits) -> Self {
        let instances: Vec<String> = (0..rng.between(3, 36).min(limits.instances)).map(|n| fixture::base(1, n)).collect();
        Self {
            semantics: *rng.pick(&[Semantics::Postgres, Semantics::Postgres, Semantics::Sqlite]),
            behaviours: behaviours(rng, &instances).into_iter().filter(|_| limits.misbehaviour).collect(),
            refused: instances.iter().filter(|_| rng.chance(15) && limits.misbehaviour).cloned().collect(),
            batches: planned(rng, &instances, limits.batches),
            jobs_per_run: rng.between(1, 4) as u32,
            wake_limit: rng.between(1, 20) as u32,
            mischief: mischief(rng, limits),
            delivery_limit: *rng.pick(&[1, 3, 20]),
            timers: (0..rng.below(limits.timers + 1)).map(|_| (rng.below(60_000) as Millis, !rng.chance(250))).collect(),
            instances,
        }
    }
}

fn behaviours(rng: &mut Rng, instances: &[String]) -> BTreeMap<String, Behaviour> {
    let bad = *rng.pick(&[0, 50, 300]);
    let mut behaviours = BTreeMap::new();
    for id in instances {
        if rng.chance(bad) {
            let times = *rng.pick(&[1, 2, 4, u32::MAX]);
            let behaviour = match rng.below(4) {
                0 => Behaviour::Kills { times },
                1 => Behaviour::Panics { times },
                _ => Behaviour::Fails { times },
            };
            behaviours.insert(id.clone(), behaviour);
        }
    }
    behaviours
}

/// One to three batches: mostly of instances of their own, some of others' too, or of none that are there.
fn planned(rng: &mut Rng, instances: &[String], most: usize) -> Vec<Planned> {
    let count = rng.between(1, 3).min(most);
    let mut batches: Vec<Planned> = (0..count)
        .map(|n| Planned {
            id: fixture::base(0xb, n),
            ids: vec![],
            batch_jobs_per_seed: rng.between(1, 5) as u32,
            k: rng.between(1, 3) as u32,
            retries: rng.between(1, 3) as i32,
            plan: fixture::plan(),
        })
        .collect();
    for id in instances {
        let own = rng.below(count);
        batches[own].ids.push(id.clone());
        if rng.chance(50) {
            let other = rng.below(count);
            batches[other].ids.push(id.clone());
        }
    }
    for batch in &mut batches {
        if batch.ids.is_empty() || rng.chance(50) {
            batch.ids.push(fixture::base(2, rng.below(99)));
        }
        batch.ids.sort();
        batch.ids.dedup();
    }
    batches
}

fn mischief(rng: &mut Rng, limits: &Limits) -> Mischief {
    let most = *rng.pick(&[0, 60, 400]);
    let mut share = |wanted: bool| if wanted { rng.below(most + 1) as u32 } else { 0 };
    Mischief {
        lose: share(limits.lose),
        double: share(limits.double),
        delay: share(limits.delay),
        refuse: share(limits.refuse),
        reorder: limits.reorder && rng.chance(700),
    }
}
