//! What the binary says of itself, and refuses, before it does anything.

#![expect(clippy::unwrap_used, reason = "tests: a failure is a panic")]

use std::process::{Command, Output};

fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_seed-worker"));
    command.args(arguments).env_clear().envs(environment.iter().copied()).output().unwrap()
}

#[test]
fn help_is_the_reference_of_the_settings() {
    let output = run(&["--help"], &[]);
    let (shown, expected) = (String::from_utf8(output.stdout).unwrap(), include_str!("help.txt"));
    assert!(shown == expected, "run: env -i target/debug/seed-worker --help > seed-worker/tests/help.txt\n{shown}");
}

#[test]
fn a_database_that_cannot_be_shared_is_refused() {
    let output = run(&[], &[("DATABASE_URL", "sqlite:drover.db"), ("AMQP_URL", "amqp://localhost")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("SQLite") && said.contains("drover serve"), "{said}");
}

#[test]
fn a_password_on_the_command_line_is_refused() {
    let output = run(&["--amqp-url", "amqp://drover:s3cret@localhost"], &[("DATABASE_URL", "postgres://localhost/drover")]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("AMQP_URL") && !said.contains("s3cret"), "{said}");
}
