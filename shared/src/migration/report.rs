//! What a validation found: reports with every failure, and the reference's message for them.

use super::MigrationInstruction;
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
}

impl InstanceReport {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.failures.is_empty() && self.activity_instances.is_empty() && self.transition_instances.is_empty()
    }
}
