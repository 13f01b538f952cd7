//! What a test that passes has to say for itself.

use std::io::Write;

/// Shows a line even when the test passes, of which `println!` shows nothing.
///
/// # Panics
/// When there is no standard error.
pub fn show(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).expect("standard error can be written");
}
