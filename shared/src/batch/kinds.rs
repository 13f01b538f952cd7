//! What a batch does to its items, and with what (spec-batch-rest §4.7). Pure data; nothing is done here.

use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::Millis;
use crate::migration::{MigrationPlan, Skip};
use crate::runner::StartInstruction;
use crate::runner::command::{Modification, Variables};

/// What a batch does to each of its items.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchType {
    ProcessInstanceMigration,
    SetJobRetries,
    Modification,
    Restart,
    Deletion,
    Suspension,
    HistoricDeletion,
    HistoricDecisionDeletion,
    SetExternalTaskRetries,
    SetRemovalTime,
    BatchSetRemovalTime,
    SetVariables,
    CorrelateMessage,
}

impl BatchType {
    pub const ALL: [Self; 13] = [
        Self::ProcessInstanceMigration,
        Self::SetJobRetries,
        Self::Modification,
        Self::Restart,
        Self::Deletion,
        Self::Suspension,
        Self::HistoricDeletion,
        Self::HistoricDecisionDeletion,
        Self::SetExternalTaskRetries,
        Self::SetRemovalTime,
        Self::BatchSetRemovalTime,
        Self::SetVariables,
        Self::CorrelateMessage,
    ];

    /// The word that callers see and that the database keeps.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ProcessInstanceMigration => "instance-migration",
            Self::SetJobRetries => "set-job-retries",
            Self::Modification => "instance-modification",
            Self::Restart => "instance-restart",
            Self::Deletion => "instance-deletion",
            Self::Suspension => "instance-update-suspension-state",
            Self::HistoricDeletion => "historic-instance-deletion",
            Self::HistoricDecisionDeletion => "historic-decision-instance-deletion",
            Self::SetExternalTaskRetries => "set-external-task-retries",
            Self::SetRemovalTime => "process-set-removal-time",
            Self::BatchSetRemovalTime => "batch-set-removal-time",
            Self::SetVariables => "set-variables",
            Self::CorrelateMessage => "correlate-message",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|t| t.name() == name)
    }

    /// Are its items spread over deployments, each seeded in steps of its own (spec-batch-rest §1.2)?
    #[must_use]
    pub fn groups_by_deployment(self) -> bool {
        match self {
            Self::Deletion
            | Self::Suspension
            | Self::HistoricDeletion
            | Self::SetExternalTaskRetries
            | Self::SetRemovalTime
            | Self::SetVariables
            | Self::CorrelateMessage => true,
            // Of one definition; or of none.
            Self::ProcessInstanceMigration
            | Self::Modification
            | Self::Restart
            | Self::SetJobRetries
            | Self::HistoricDecisionDeletion
            | Self::BatchSetRemovalTime => false,
        }
    }
}

/// What a batch runs with, stored as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum BatchConfiguration {
    Migration {
        plan: MigrationPlan,
        skip: Skip,
    },
    SetJobRetries {
        retries: i32,
        /// None: it stays; null: there is none any more.
        #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
        due: Option<Option<Millis>>,
    },
    Modification {
        definition_id: String,
        instructions: Vec<Modification>,
        skip: Skip,
    },
    Restart {
        definition_id: String,
        instructions: Vec<StartInstruction>,
        /// With the variables that it began with, rather than those that it ended with.
        initial_variables: bool,
        without_business_key: bool,
        skip: Skip,
    },
    Deletion {
        reason: Option<String>,
        skip: Skip,
        /// What it called goes on by itself.
        skip_subprocesses: bool,
    },
    Suspension {
        suspended: bool,
    },
    HistoricDeletion,
    HistoricDecisionDeletion,
    SetExternalTaskRetries {
        retries: i32,
    },
    SetRemovalTime {
        removal: RemovalTime,
    },
    BatchSetRemovalTime {
        removal: RemovalTime,
    },
    SetVariables {
        variables: Variables,
    },
    CorrelateMessage {
        name: String,
        variables: Variables,
    },
}

impl BatchConfiguration {
    #[must_use]
    pub fn batch_type(&self) -> BatchType {
        match self {
            Self::Migration { .. } => BatchType::ProcessInstanceMigration,
            Self::SetJobRetries { .. } => BatchType::SetJobRetries,
            Self::Modification { .. } => BatchType::Modification,
            Self::Restart { .. } => BatchType::Restart,
            Self::Deletion { .. } => BatchType::Deletion,
            Self::Suspension { .. } => BatchType::Suspension,
            Self::HistoricDeletion => BatchType::HistoricDeletion,
            Self::HistoricDecisionDeletion => BatchType::HistoricDecisionDeletion,
            Self::SetExternalTaskRetries { .. } => BatchType::SetExternalTaskRetries,
            Self::SetRemovalTime { .. } => BatchType::SetRemovalTime,
            Self::BatchSetRemovalTime { .. } => BatchType::BatchSetRemovalTime,
            Self::SetVariables { .. } => BatchType::SetVariables,
            Self::CorrelateMessage { .. } => BatchType::CorrelateMessage,
        }
    }
}

/// A null that is there is not the same as nothing.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Millis>>, D::Error> {
    Option::<Millis>::deserialize(deserializer).map(Some)
}

/// When what is over is to be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RemovalTime {
    /// At this time.
    At(Millis),
    /// Never.
    Cleared,
    /// When its definition says: its end and the time to live.
    Calculated,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::value::TypedValue;
    use crate::runner::command::StartKind;

    #[test]
    fn every_type_is_found_by_its_name() {
        for t in BatchType::ALL {
            assert_eq!(BatchType::parse(t.name()), Some(t));
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let start = StartInstruction {
            kind: StartKind::BeforeActivity,
            target: "a".into(),
            ancestor_activity_instance: None,
            variables: vec![(
                "v".into(),
                TypedValue { kind: "String".into(), value: "x".into(), info: serde_json::Value::Null, transient: false },
                true,
            )],
        };
        let skip = Skip::default();
        let all = [
            BatchConfiguration::Modification {
                definition_id: "d".into(),
                instructions: vec![Modification::Start(start.clone()), Modification::CancelAll { activity_id: "a".into() }],
                skip,
            },
            BatchConfiguration::Restart {
                definition_id: "d".into(),
                instructions: vec![start],
                initial_variables: true,
                without_business_key: false,
                skip,
            },
            BatchConfiguration::SetJobRetries { retries: 2, due: None },
            BatchConfiguration::SetJobRetries { retries: 2, due: Some(None) },
            BatchConfiguration::SetJobRetries { retries: 2, due: Some(Some(7)) },
            BatchConfiguration::Deletion { reason: None, skip, skip_subprocesses: true },
            BatchConfiguration::HistoricDeletion,
            BatchConfiguration::SetRemovalTime { removal: RemovalTime::At(7) },
            BatchConfiguration::BatchSetRemovalTime { removal: RemovalTime::Cleared },
        ];
        for configuration in all {
            let stored = serde_json::to_string(&configuration).unwrap();
            assert_eq!(serde_json::from_str::<BatchConfiguration>(&stored).unwrap(), configuration, "{stored}");
        }
    }
}
