//! Any bytes as a BPMN file: read or refused. What was read takes a plan onto itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use shared::migration::{generate, validate_plan};
use shared::process::parse::parse;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match parse(text) {
        Err(report) => assert!(!report.message("a.bpmn").is_empty()),
        Ok(definitions) => {
            for definition in &definitions {
                if let Ok(plan) = generate(definition, definition, true, None) {
                    assert!(validate_plan(&plan, definition, definition).is_empty());
                }
            }
        }
    }
});
