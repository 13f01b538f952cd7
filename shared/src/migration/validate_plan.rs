//! Validating a plan: variables, structure, then eleven rules for each instruction (spec-migration §3).

pub(crate) mod rules;

use super::plan::MigrationPlan;
use super::report::{InstructionReport, PlanReport, VariableReport};
use crate::process::definition::{ActivityIx, ProcessDefinition};
use crate::process::value::TypedValue;
use rules::{Instructions, Resolved, Rules};

/// The format that the engine forbids by default.
const JAVA_SERIALIZED: &str = "application/x-java-serialized-object";

/// Everything that is wrong with a plan between these definitions: instructions that do not resolve first, then the others, both in
/// the order of the plan (FINDINGS 13). The ids of the definitions in the plan are not looked at.
#[must_use]
pub fn validate_plan(plan: &MigrationPlan, source: &ProcessDefinition, target: &ProcessDefinition) -> PlanReport {
    let variables = plan.variables.iter().flatten().filter_map(|(name, value)| variable_report(name, value)).collect();
    let mut reports = Vec::new();
    let mut found = Instructions::new(source.activities.len(), target.activities.len());
    let mut origins = Vec::new();
    for instruction in &plan.instructions {
        let mut failures = Vec::new();
        let ends = (
            resolve(instruction.source_activity_id.as_deref(), "Source", source, &mut failures),
            resolve(instruction.target_activity_id.as_deref(), "Target", target, &mut failures),
        );
        if instruction.source_activity_id.is_none() || instruction.target_activity_id.is_none() {
            // Ids are looked up only once both are given.
            failures.retain(|f| f.ends_with("is null"));
        }
        if let (true, (Some(source), Some(target))) = (failures.is_empty(), ends) {
            found.add(Resolved { source, target, update_event_trigger: instruction.update_event_trigger });
            origins.push(instruction);
        } else {
            reports.push(InstructionReport { instruction: instruction.clone(), failures });
        }
    }
    for (resolved, instruction) in found.iter().zip(origins) {
        let failures = Rules::All.failures(resolved, &found, source, target);
        if !failures.is_empty() {
            reports.push(InstructionReport { instruction: instruction.clone(), failures });
        }
    }
    PlanReport { instructions: reports, variables }
}

fn resolve(id: Option<&str>, side: &str, definition: &ProcessDefinition, failures: &mut Vec<String>) -> Option<ActivityIx> {
    let Some(id) = id else {
        failures.push(format!("{side} activity id is null"));
        return None;
    };
    let found = definition.find(id);
    if found.is_none() {
        failures.push(format!("{side} activity '{id}' does not exist"));
    }
    found
}

fn variable_report(name: &str, value: &TypedValue) -> Option<VariableReport> {
    let format = value.info.get("serializationDataFormat").and_then(|f| f.as_str());
    (format == Some(JAVA_SERIALIZED)).then(|| VariableReport {
        name: name.to_owned(),
        value: value.clone(),
        failures: vec![format!("Cannot set variable with name {name}. Java serialization format is prohibited")],
    })
}
