//! Every handler may run twice, and be dropped after any of its steps; and what the simulator found once, by name.

use shared::testing::model_store::{Broken, Semantics};
use shared::testing::simulator::{Behaviour, Handler, Script};

const BOTH: [Semantics; 2] = [Semantics::Postgres, Semantics::Sqlite];
/// More steps than any handler has.
const ALL: usize = 10_000;

fn script(semantics: Semantics, handler: Handler) -> Result<Script, String> {
    let mut script = Script::new(semantics, &[(4, Behaviour::Fails { times: 1 })], &[], None);
    script.prepare(handler)?;
    Ok(script)
}

#[test]
fn every_handler_runs_twice() {
    for semantics in BOTH {
        for handler in Handler::ALL {
            let mut script = script(semantics, handler).unwrap();
            for _ in 0..2 {
                assert!(script.run(handler, ALL).unwrap(), "{handler:?} on {semantics:?} does not end");
            }
            script.finish().unwrap_or_else(|what| panic!("{handler:?} twice on {semantics:?}: {what}"));
        }
    }
}

#[test]
fn every_handler_may_crash_after_each_step() {
    for semantics in BOTH {
        for handler in Handler::ALL {
            for steps in 1.. {
                let mut script = script(semantics, handler).unwrap();
                let done = script.run(handler, steps).unwrap();
                script.finish().unwrap_or_else(|what| panic!("{handler:?} dropped after {steps} steps on {semantics:?}: {what}"));
                if done {
                    break;
                }
            }
        }
    }
}

/// Orders in which two handlers are tried at once.
const ORDERS: u64 = 12;

fn race(one: Handler, other: Handler, seed: u64, broken: Option<Broken>) -> Result<(), String> {
    let mut script = Script::new(Semantics::Postgres, &[(4, Behaviour::Fails { times: 1 })], &[], broken);
    script.prepare(Handler::Execute)?;
    script.race(one, other, seed)?;
    script.finish()
}

#[test]
fn every_two_handlers_may_come_between_each_other() {
    for (at, one) in Handler::ALL.into_iter().enumerate() {
        for other in &Handler::ALL[at..] {
            for seed in 0..ORDERS {
                race(one, *other, seed, None).unwrap_or_else(|what| panic!("{one:?} and {other:?}, order {seed}: {what}"));
            }
        }
    }
}

/// The lock of the batch keeps a suspension from missing the piece of a run that a person split meanwhile.
#[test]
fn changing_a_job_without_the_lock_of_its_batch_is_noticed() {
    let noticed = |broken| (0..500).find_map(|seed| race(Handler::Suspend, Handler::SetJobRetries, seed, broken).err());
    assert!(noticed(Some(Broken::ChangesJobsUnlocked)).is_some_and(|what| what.contains("is suspended, and yet")));
    assert_eq!(noticed(None), None);
}

/// A run that becomes shorter stays the row that it was: who waits for it would not see another.
#[test]
fn shortening_a_run_by_insert_is_noticed() {
    let raced = |broken, seed| {
        let mut script = Script::new(Semantics::Postgres, &[], &[], broken);
        script.prepare(Handler::ExecuteCareful)?;
        script.die_over_it()?;
        script.race(Handler::Suspend, Handler::ExecuteCareful, seed)?;
        script.finish()
    };
    let noticed = |broken| (0..500).find_map(|seed| raced(broken, seed).err());
    assert!(noticed(Some(Broken::ShortensByInsert)).is_some_and(|what| what.contains("is suspended, and yet")));
    assert_eq!(noticed(None), None);
}

/// Once the front job of a run was charged, whichever job it was that the database refused.
#[test]
fn a_refused_statement_is_its_culprits_in_careful_mode_too() {
    for semantics in BOTH {
        let mut script = Script::new(semantics, &[], &[3], None);
        script.prepare(Handler::ExecuteCareful).unwrap();
        for _ in 0..3 {
            script.run(Handler::ExecuteCareful, ALL).unwrap();
        }
        let (failed, succeeded) = script.outcome();
        assert_eq!((failed, succeeded), (vec![2, 3], vec![0, 1, 4, 5]), "job 3 holds instances 2 and 3");
        script.finish().unwrap();
    }
}

/// Once a collision left the lease behind: the row waited for it to pass, and was charged with a death.
#[test]
fn a_collision_under_a_lease_is_no_death() {
    for semantics in BOTH {
        let mut script = Script::new(semantics, &[], &[], None);
        script.prepare(Handler::ExecuteCareful).unwrap();
        script.collide(3);
        script.run(Handler::ExecuteCareful, ALL).unwrap();
        assert_eq!(script.outcome(), (vec![], vec![0, 1, 2, 3, 4, 5]));
        script.finish().unwrap();
    }
}
