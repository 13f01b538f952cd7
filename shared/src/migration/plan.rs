//! The migration plan: which activity of the source becomes which of the target (spec-migration §2.1).

use serde::{Deserialize, Serialize};

use crate::process::value::TypedValue;

/// A plan, as stored with a batch.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationPlan {
    pub source_definition_id: String,
    pub target_definition_id: String,
    pub instructions: Vec<MigrationInstruction>,
    /// None is not the same as empty: an empty map is counted in the operation log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<Vec<(String, TypedValue)>>,
}

/// One source activity becomes one target activity. A null id (a caller's `[null]`) is None.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MigrationInstruction {
    pub source_activity_id: Option<String>,
    pub target_activity_id: Option<String>,
    #[serde(default)]
    pub update_event_trigger: bool,
}

impl MigrationInstruction {
    #[must_use]
    pub fn new(source: impl Into<String>, target: impl Into<String>, update_event_trigger: bool) -> Self {
        Self { source_activity_id: Some(source.into()), target_activity_id: Some(target.into()), update_event_trigger }
    }
}
