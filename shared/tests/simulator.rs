//! The simulator: 1,000 schedules of the real handlers, and proof that its oracles can fail.

use shared::testing::model_store::{Broken, Semantics};
use shared::testing::simulator::{Options, Report, run};

/// Schedules of one run of `./test`, half for each store.
const SCHEDULES: u64 = 1_000;

/// The seed named by `SIM_SEED`, alone.
#[expect(clippy::disallowed_methods, reason = "the door for whoever runs one schedule again")]
fn chosen_seed() -> Option<u64> {
    std::env::var("SIM_SEED").ok()?.parse().ok()
}

fn schedules(semantics: Semantics, seeds: std::ops::Range<u64>) -> Report {
    let mut all = Report::default();
    for seed in chosen_seed().map_or(seeds, |seed| seed..seed + 1) {
        match run(&Options { seed, semantics: Some(semantics), ..Options::default() }) {
            Ok(report) => {
                all.steps += report.steps;
                all.crashes += report.crashes;
                all.published += report.published;
                all.commits += report.commits;
                for (situation, times) in report.met {
                    *all.met.entry(situation).or_default() += times;
                }
            }
            Err(failed) => panic!("{semantics:?}\n{failed}"),
        }
    }
    println!("{semantics:?}: {all:?}");
    all
}

#[test]
fn every_schedule_keeps_the_invariants_on_postgresql() {
    let all = schedules(Semantics::Postgres, 0..SCHEDULES / 2);
    // What no schedule comes to is not tested by any.
    for situation in ["claim: locked", "claim: leased", "execute: missed a revision", "execute: shortened", "lease: gave up", "complete"] {
        assert!(chosen_seed().is_some() || all.met.contains_key(situation), "no schedule came to '{situation}'");
    }
}

#[test]
fn every_schedule_keeps_the_invariants_on_sqlite() {
    schedules(Semantics::Sqlite, 0..SCHEDULES / 2);
}

/// What is acked first is never redelivered: nobody learns that a worker died, and the row that kills goes on killing.
#[test]
fn acking_before_the_work_hides_deaths() {
    let stuck = (0..100).find_map(|seed| run(&Options { seed, acks_first: true, ..Options::default() }).err()).unwrap();
    assert!(stuck.what.contains("never comes to rest"), "{stuck}");
}

/// A seed or monitor message that was lost is found by nobody else.
#[test]
fn without_the_sweep_batches_stand_still() {
    let stuck = (0..100).find_map(|seed| run(&Options { seed, no_sweep: true, ..Options::default() }).err()).unwrap();
    assert!(stuck.what.contains("is not seeded to its end") || stuck.what.contains("is not completed"), "{stuck}");
}

/// Seeds that a broken store may hide from, at most.
const HUNT: u64 = 2_000;

fn caught(broken: Broken) -> Option<(u64, String)> {
    (0..HUNT).find_map(|seed| {
        let options = Options { seed, semantics: Some(Semantics::Postgres), broken: Some(broken), ..Options::default() };
        run(&options).err().map(|failed| (seed, failed.what))
    })
}

#[test]
fn a_simulator_that_never_fails_is_worthless() {
    let mut missed = vec![];
    // So rare that it has a test of its own, with two handlers at once.
    for broken in Broken::ALL.into_iter().filter(|broken| *broken != Broken::ChangesJobsUnlocked) {
        match caught(broken) {
            Some((seed, what)) => println!("{broken:?}: seed {seed}: {}", what.chars().take(200).collect::<String>()),
            None => missed.push(broken),
        }
    }
    assert!(missed.is_empty(), "not noticed in {HUNT} schedules: {missed:?}");
}
