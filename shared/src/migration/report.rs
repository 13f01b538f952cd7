//! What a validation found: reports with every failure, and the reference's message for them.

use super::{MigrationInstruction, MigrationPlan};
use crate::process::value::TypedValue;

/// Of a plan (spec-migration §3). Empty when the plan is valid.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PlanReport {
    pub instructions: Vec<InstructionReport>,
    pub variables: Vec<VariableReport>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct InstructionReport {
    pub instruction: MigrationInstruction,
    pub failures: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VariableReport {
    pub name: String,
    pub value: TypedValue,
    pub failures: Vec<String>,
}

/// Of an instance (spec-migration §4.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InstanceReport {
    pub instance_id: String,
    pub failures: Vec<String>,
    pub activity_instances: Vec<ElementReport>,
    pub transition_instances: Vec<ElementReport>,
}

/// Of an activity instance or a transition instance.
#[derive(Clone, Debug, PartialEq)]
pub struct ElementReport {
    pub instruction: Option<MigrationInstruction>,
    /// The activity instance's id, or the transition instance's.
    pub id: String,
    pub source_scope_id: String,
    pub failures: Vec<String>,
    /// A stable key for grouping: `code:activity:rule` of the first failure (design §5, `failure`).
    pub reason_key: String,
}

impl PlanReport {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.instructions.is_empty() && self.variables.is_empty()
    }

    /// The message of a `MigrationPlanValidationException`, to the letter (spec-migration §3.3).
    #[must_use]
    pub fn message(&self, plan: &MigrationPlan) -> String {
        let (source, target) = (&plan.source_definition_id, &plan.target_definition_id);
        let mut text = format!("ENGINE-23001 Migration plan for process definition '{source}' to '{target}' is not valid:\n");
        let mut add = |what: String, failures: &[String]| {
            text.push_str(&format!("\t Migration {what} is not valid:\n"));
            for failure in failures {
                text.push_str(&format!("\t\t{failure}\n"));
            }
        };
        for report in &self.instructions {
            let instruction = &report.instruction;
            let id = |id: &Option<String>| id.clone().unwrap_or_else(|| "null".to_owned());
            let (source, target) = (id(&instruction.source_activity_id), id(&instruction.target_activity_id));
            let update = instruction.update_event_trigger;
            add(
                format!(
                    "instruction MigrationInstructionImpl{{sourceActivityId='{source}', targetActivityId='{target}', \
                     updateEventTrigger='{update}'}}"
                ),
                &report.failures,
            );
        }
        for report in &self.variables {
            add(format!("variable {}", report.name), &report.failures);
        }
        text
    }
}

impl InstanceReport {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty() && self.activity_instances.is_empty() && self.transition_instances.is_empty()
    }
}
