//! What every role's binary says of itself, and refuses, before it does anything: one set of checks for all of them.

use std::process::{Command, Output};

fn run(binary: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(binary);
    command.args(arguments).env_clear().envs(environment.iter().copied()).output().expect("the binary starts")
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("it speaks UTF-8")
}

/// `--help` is as committed in the role's `tests/help.txt`.
///
/// # Panics
/// When it is not; says how to write the file anew.
pub fn help_is_the_reference_of_the_settings(role: &str, binary: &str, expected: &str) {
    let shown = text(run(binary, &["--help"], &[]).stdout);
    assert!(shown == expected, "run: env -i target/debug/{role} --help > {role}/tests/help.txt\n{shown}");
}

/// # Panics
/// When SQLite is not refused with a reason.
pub fn a_database_that_cannot_be_shared_is_refused(binary: &str) {
    let output = run(binary, &[], &[("DATABASE_URL", "sqlite:drover.db"), ("AMQP_URL", "amqp://localhost")]);
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("SQLite") && said.contains("drover serve"), "{said}");
}

/// # Panics
/// When a password is taken from the command line, or shown.
pub fn a_password_on_the_command_line_is_refused(binary: &str) {
    let output = run(binary, &["--amqp-url", "amqp://drover:s3cret@localhost"], &[("DATABASE_URL", "postgres://localhost/drover")]);
    let said = text(output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("AMQP_URL") && !said.contains("s3cret"), "{said}");
}
