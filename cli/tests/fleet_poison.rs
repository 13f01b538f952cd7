//! Poison over real processes: an instance that kills its worker each time, messages that nobody can use.
//!
//! `./chaos` does it, since it can see from outside when a worker meets the instance, and kills it there and then.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests: a failure is a panic")]

mod support;

use std::process::Command;

use support::{binaries, repository};

/// Runs `./chaos` with the binaries of this build; gives its output, and whether it was content.
fn chaos(args: &[&str]) -> (String, bool) {
    let output = Command::new(repository().join("chaos"))
        .args(args)
        .args(["--no-build", "--profile", "dev"])
        .env("CARGO_TARGET_DIR", binaries().parent().unwrap())
        .env_remove("DATABASE_URL")
        .env_remove("AMQP_URL")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (text, output.status.success())
}

#[test]
fn an_instance_and_messages_that_kill_are_isolated_recorded_and_passed_by() {
    let (text, clean) = chaos(&["--short", "--instances", "1000", "--seed", "7", "--only", "poison-instance,poison-messages"]);
    assert!(text.contains("was isolated: \"the worker died 5 times\"; 150 neighbours migrated"), "{text}");
    assert!(text.contains("ended in drover.dead, were counted and emptied"), "{text}");
    assert!(clean && text.trim_end().ends_with("verdict: clean"), "{text}");
}

#[test]
fn the_ledger_says_no_to_every_doctored_world() {
    let (text, seen) = chaos(&["--self-test"]);
    assert!(seen, "{text}");
}
