//! The simulator: 10,000 schedules of the real handlers, and proof that its oracles can fail.
//!
//! `SIM_SEED=n` runs the one schedule that a failure names; `SIM_SCHEDULES=n` runs so many.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use shared::testing::figures::show;
use shared::testing::model_store::{Broken, Semantics};
use shared::testing::simulator::{Limits, Options, Report, run, shrink};

/// Schedules of one run of `./test`, half for each store.
const SCHEDULES: u64 = 10_000;

#[expect(clippy::disallowed_methods, reason = "the door for whoever runs one schedule again, or many more")]
fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Runs schedules on all cores; a failure is shrunk.
fn schedules(semantics: Semantics, count: u64) -> Report {
    let seeds = number_in("SIM_SEED").map_or(0..count, |seed| seed..seed + 1);
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let lane = || {
        let mut all = Report::default();
        while !stop.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                break;
            }
            let options = Options { seed, semantics: Some(semantics), ..Options::default() };
            match run(&options) {
                Ok(report) => all.add(&report),
                Err(failed) => {
                    stop.store(true, Ordering::Relaxed);
                    let first = failed.to_string();
                    panic!("{semantics:?}, {first}\n\n{}", shrink(&options, failed));
                }
            }
        }
        all
    };
    let mut all = Report::default();
    std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..cores).map(|_| scope.spawn(lane)).collect();
        lanes.into_iter().for_each(|lane| all.add(&lane.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))));
    });
    all
}

/// One after the other, so that both have all cores and their figures stand together.
#[test]
fn every_schedule_keeps_the_invariants() {
    let count = number_in("SIM_SCHEDULES").unwrap_or(SCHEDULES) / 2;
    for semantics in [Semantics::Postgres, Semantics::Sqlite] {
        #[expect(clippy::disallowed_methods, reason = "how long it took, for whoever reads the output")]
        let begun = Instant::now();
        let all = schedules(semantics, count);
        show(&format!("simulator, {semantics:?}: {all} ({} s)", begun.elapsed().as_secs()));
        if number_in("SIM_SEED").is_none() && semantics == Semantics::Postgres {
            // What no schedule comes to is not tested by any.
            for situation in [
                "claim: locked",
                "claim: leased",
                "execute: missed a revision",
                "execute: shortened",
                "lease: gave up",
                "complete",
                "instance: job ran",
                "timer: started",
                "timer: failed",
            ] {
                assert!(all.met.contains_key(situation), "no schedule came to '{situation}'");
            }
            let q = &all.queue;
            assert!(
                [q.lost, q.doubled, q.delayed, q.refused, q.dead, q.wiped, all.stalled, all.sessions_ended].iter().all(|n| *n > 0),
                "{all}"
            );
        }
    }
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
    // Two are so rare that they have tests of their own, with two handlers at once.
    let rare = [Broken::ChangesJobsUnlocked, Broken::ShortensByInsert];
    for broken in Broken::ALL.into_iter().filter(|broken| !rare.contains(broken)) {
        match caught(broken) {
            Some((seed, what)) => println!("{broken:?}: seed {seed}: {}", what.chars().take(200).collect::<String>()),
            None => missed.push(broken),
        }
    }
    assert!(missed.is_empty(), "not noticed in {HUNT} schedules: {missed:?}");
    show(&format!("simulator: {} deliberate faults were all noticed", Broken::ALL.len() + 2));
}

/// A schedule that fails is made smaller, and fails still.
#[test]
fn a_failure_is_shrunk() {
    let broken = Options { semantics: Some(Semantics::Postgres), broken: Some(Broken::EffectBeforeClaim), ..Options::default() };
    let (options, failed) = (0..HUNT)
        .find_map(|seed| {
            let options = Options { seed, ..broken.clone() };
            run(&options).err().map(|failed| (options, failed))
        })
        .unwrap();
    let shrunk = shrink(&options, failed);
    let (small, all) = (&shrunk.options.limits, Limits::default());
    assert!(run(&shrunk.options).is_err());
    assert!(small.instances <= 4 && small.batches == 1 && small.storm_steps < all.storm_steps / 4, "{shrunk}");
    assert!(!small.wipes && !small.stalls && !small.misbehaviour && !small.double, "{shrunk}");
    assert!(shrunk.to_string().contains("run(&Options { seed: "));
}
