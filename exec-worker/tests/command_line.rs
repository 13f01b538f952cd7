//! What the binary says of itself, and refuses, before it does anything.

use shared::testing::command_line;

const BINARY: &str = env!("CARGO_BIN_EXE_exec-worker");

#[test]
fn help_is_the_reference_of_the_settings() {
    command_line::help_is_the_reference_of_the_settings("exec-worker", BINARY, include_str!("help.txt"));
}

#[test]
fn a_database_that_cannot_be_shared_is_refused() {
    command_line::a_database_that_cannot_be_shared_is_refused(BINARY);
}

#[test]
fn a_password_on_the_command_line_is_refused() {
    command_line::a_password_on_the_command_line_is_refused(BINARY);
}
