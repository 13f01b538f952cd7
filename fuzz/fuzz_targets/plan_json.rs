//! Any bytes as a stored plan: read or refused; what was read is validated, and written and read again it is the same.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use shared::migration::{MigrationPlan, validate_plan};
use shared::process::definition::ProcessDefinition;
use shared::process::parse::parse;

static DEFINITIONS: LazyLock<Vec<ProcessDefinition>> = LazyLock::new(|| {
    let models =
        [include_str!("../../tests/golden/models/plan/mi-boundary.bpmn"), include_str!("../../tests/golden/models/plan/comp-esp.bpmn")];
    models.iter().flat_map(|xml| parse(xml).expect("a recorded model")).collect()
});

fuzz_target!(|data: &[u8]| {
    let Ok(plan) = serde_json::from_slice::<MigrationPlan>(data) else { return };
    for source in DEFINITIONS.iter() {
        for target in DEFINITIONS.iter() {
            let report = validate_plan(&plan, source, target);
            assert!(report.message(&plan).starts_with("ENGINE-23001"));
        }
    }
    let written = serde_json::to_vec(&plan).expect("a plan is JSON");
    assert_eq!(serde_json::from_slice::<MigrationPlan>(&written).expect("what was written"), plan);
});
