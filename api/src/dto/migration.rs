//! Migration plans and what was found wrong with them, as JSON (spec-batch-rest §3, spec-migration §3.3, §5).

use serde_json::{Map, Value, json};
use shared::migration::report::ElementReport;
use shared::migration::{InstanceReport, MigrationInstruction, MigrationPlan, PlanReport};

use super::values;
use crate::error::ApiError;
use crate::input::{Input, Object, misfit};

/// What a body says of a plan. Ids are still to be looked up.
#[derive(Debug, PartialEq)]
pub struct GivenPlan {
    pub source: Option<String>,
    pub target: Option<String>,
    pub instructions: Vec<MigrationInstruction>,
    pub variables: Option<shared::runner::command::Variables>,
}

/// Reads a plan: variables first, then instructions, as the reference does (spec-batch-rest §3.5).
///
/// # Errors
/// A variable of a wrong type; an instruction without one of its arrays (the reference crashes there).
pub fn read(plan: &Object) -> Result<GivenPlan, ApiError> {
    let input = Input::body(plan);
    let variables = values::read_map(&input, "variables")?;
    let given = input.objects("instructions")?.unwrap_or_default();
    let instructions = given.iter().enumerate().map(|(i, one)| instruction(i, one)).collect::<Result<_, _>>()?;
    Ok(GivenPlan {
        source: input.text("sourceProcessDefinitionId")?,
        target: input.text("targetProcessDefinitionId")?,
        instructions,
        variables,
    })
}

/// Of each array the first element counts, the rest is ignored.
fn instruction(index: usize, object: &Object) -> Result<MigrationInstruction, ApiError> {
    let input = Input::body(object);
    let first = |name: &str| {
        let ids = input.ids(name)?.unwrap_or_default();
        let place = || format!("instructions[{index}].{name}");
        ids.into_iter().next().ok_or_else(|| misfit(&place(), object.get(name).unwrap_or(&Value::Null), "an array of one activity id"))
    };
    Ok(MigrationInstruction {
        source_activity_id: first("sourceActivityIds")?,
        target_activity_id: first("targetActivityIds")?,
        update_event_trigger: input.yes("updateEventTrigger")?,
    })
}

#[must_use]
pub fn show_instruction(i: &MigrationInstruction) -> Value {
    json!({
        "sourceActivityIds": [i.source_activity_id],
        "targetActivityIds": [i.target_activity_id],
        "updateEventTrigger": i.update_event_trigger,
    })
}

/// The report of a plan, empty lists when it is valid.
#[must_use]
pub fn show_report(report: &PlanReport) -> Value {
    let instructions = report.instructions.iter();
    let instructions: Vec<Value> =
        instructions.map(|r| json!({"instruction": show_instruction(&r.instruction), "failures": r.failures})).collect();
    let mut variables = Map::new();
    for r in &report.variables {
        let mut shown = values::show(&r.value);
        shown["failures"] = json!(r.failures);
        variables.insert(r.name.clone(), shown);
    }
    json!({"instructionReports": instructions, "variableReports": variables})
}

/// The 400 for an invalid plan.
#[must_use]
pub fn invalid_plan(plan: &MigrationPlan, report: &PlanReport) -> ApiError {
    ApiError::bad_user("MigrationPlanValidationException", report.message(plan)).with("validationReport", show_report(report))
}

/// The 400 for an instance that cannot be migrated (spec-batch-rest §3.8).
#[must_use]
pub fn invalid_instance(report: &InstanceReport) -> ApiError {
    let body = json!({
        "processInstanceId": report.instance_id,
        "failures": report.failures,
        "activityInstanceValidationReports": report.activity_instances.iter().map(|r| element(r, "activityInstanceId")).collect::<Vec<_>>(),
        "transitionInstanceValidationReports":
            report.transition_instances.iter().map(|r| element(r, "transitionInstanceId")).collect::<Vec<_>>(),
    });
    ApiError::bad_user("MigratingProcessInstanceValidationException", instance_message(report)).with("validationReport", body)
}

fn element(report: &ElementReport, id: &str) -> Value {
    json!({
        "migrationInstruction": report.instruction.as_ref().map(show_instruction),
        id: report.id,
        "sourceScopeId": report.source_scope_id,
        "failures": report.failures,
    })
}

/// `ENGINE-23004 …` with all failures (spec-migration §4.3).
fn instance_message(report: &InstanceReport) -> String {
    let mut text = format!("ENGINE-23004 Cannot migrate process instance '{}':\n", report.instance_id);
    text.extend(report.failures.iter().map(|f| format!("\t{f}\n")));
    for (word, elements) in [("activity", &report.activity_instances), ("transition", &report.transition_instances)] {
        for r in elements {
            text += &format!("\tCannot migrate {word} instance '{}':\n", r.id);
            text.extend(r.failures.iter().map(|f| format!("\t\t{f}\n")));
        }
    }
    text
}
