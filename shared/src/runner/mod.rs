//! The runner: one command on one instance gives the instance afterwards, and what it asks for.
//!
//! Pure: time and ids come in through [`Cx`]. A command that cannot be carried out is a [`Refusal`] (data), and
//! the instance is as it was. Effects on other instances are [`Request`]s that the store's verb carries out in
//! the same transaction.

mod call;
mod cancel;
pub mod command;
mod compensation;
mod dispatch;
pub(crate) mod due;
mod enter;
mod events;
mod execute;
mod expressions;
mod external;
mod gateways;
mod incidents;
mod jobs;
mod leave;
mod listeners;
pub(crate) mod migrating;
mod modify;
mod multi_instance;
mod run;
pub mod standalone;
mod start;
mod tasks;
mod throw;
mod timers;
mod variables;

#[cfg(test)]
mod tests;

use crate::process::Ids;
use crate::process::definition::ProcessDefinition;
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::process::value::TypedValue;

pub use command::{Command, StartInstruction};

/// What a command runs with.
pub struct Cx<'a> {
    pub definition: &'a ProcessDefinition,
    /// Milliseconds since the epoch.
    pub now: i64,
    pub ids: &'a mut dyn Ids,
    /// Looks up overriding priority and suspension of a job definition by its id.
    pub job_definitions: &'a dyn JobDefinitions,
    /// `defaultNumberOfRetries`.
    pub default_retries: i32,
}

/// What job definitions say about jobs to be made.
pub trait JobDefinitions: Sync {
    fn setting(&self, job_definition_id: &str) -> JobDefinitionSetting;
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobDefinitionSetting {
    pub suspended: bool,
    pub overriding_priority: Option<i64>,
}

/// No job definition says anything: priorities are the model's, nothing is suspended.
pub struct NoJobDefinitions;

impl JobDefinitions for NoJobDefinitions {
    fn setting(&self, _: &str) -> JobDefinitionSetting {
        JobDefinitionSetting::default()
    }
}

/// Carries out one command.
///
/// # Errors
/// A [`Refusal`] says why it was not carried out; the instance is then to be taken as it was.
pub fn run(instance: Instance, command: Command, cx: &mut Cx<'_>) -> Result<Ran, Refusal> {
    let mut run = run::Run::new(instance, cx);
    run.command(command)?;
    Ok(run.finished())
}

/// The instance after a command.
#[derive(Debug)]
pub struct Ran {
    /// None of its executions is left when it has ended.
    pub instance: Instance,
    pub ended: bool,
    pub closed: Vec<Closed>,
    pub requests: Vec<Request>,
    /// What the caller gets back, if the command returns something: a variable, a list of names.
    pub answer: Answer,
}

#[derive(Debug, Default, Clone, PartialEq)]
pub enum Answer {
    #[default]
    Nothing,
    Variables(Vec<(String, TypedValue)>),
    /// The execution that a message or signal reached.
    Execution(String),
}

/// What a command asks of other instances, or of definitions.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// A call activity: start an instance, with this id, of the definition that these name.
    StartCalled {
        instance_id: String,
        called: String,
        binding: Option<String>,
        version: Option<String>,
        version_tag: Option<String>,
        tenant_id: Option<String>,
        business_key: Option<String>,
        variables: Vec<(String, TypedValue)>,
    },
    /// A called instance has ended: go on in the super instance.
    CalledEnded {
        super_instance: String,
        called_instance: String,
        variables: Vec<(String, TypedValue)>,
    },
    /// This called instance was deleted by itself: the call activity is cancelled.
    CalledDeleted {
        super_instance: String,
        called_instance: String,
    },
    /// Delete a called instance.
    DeleteCalled {
        instance_id: String,
        reason: Option<String>,
    },
    /// A signal was thrown: deliver to all that wait for it, instances and start events.
    Signal {
        name: String,
        /// Of instances that it starts.
        business_key: Option<String>,
        variables: Vec<(String, TypedValue)>,
    },
    /// An incident goes up to the super instance; or its end does.
    IncidentUp {
        super_instance: String,
        called_instance: String,
        incident_id: String,
        root_incident_id: String,
        incident_type: String,
    },
    IncidentGone {
        super_instance: String,
        incident_id: String,
    },
    /// An error or escalation that nothing caught here, of a called instance.
    Uncaught {
        super_instance: String,
        called_instance: String,
        escalation: bool,
        code: String,
    },
}

/// Why a command was not carried out: what the reference answers, as data.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{kind}: {message}")]
pub struct Refusal {
    /// The reference's simple exception name, such as `ProcessEngineException` or `NullValueException`.
    pub kind: &'static str,
    pub message: String,
    /// The activity that failed, where a job keeps it.
    pub failed_activity: Option<String>,
}

impl Refusal {
    #[must_use]
    pub fn new(kind: &'static str, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), failed_activity: None }
    }

    #[must_use]
    pub fn engine(message: impl Into<String>) -> Self {
        Self::new("ProcessEngineException", message)
    }

    /// ENGINE-13036: a modification of an instance that is not there, or may not be seen.
    #[must_use]
    pub fn nothing_to_modify(id: &str) -> Self {
        Self::engine(format!("ENGINE-13036 Process instance '{id}' cannot be modified. The process instance does not exist"))
    }

    /// ENGINE-13037: a modification of an instance of another definition than the one named.
    #[must_use]
    pub fn modified_as_another(id: &str, found: &str, wanted: &str) -> Self {
        Self::engine(format!(
            "ENGINE-13037 The process instance '{id}' cannot be modified. Its process definition '{found}' does not match given process definition '{wanted}'"
        ))
    }
}
