//! The commands that the runner carries out.

use serde::{Deserialize, Serialize};

use super::Refusal;
use crate::process::value::TypedValue;

/// Named values, in the order given.
pub type Variables = Vec<(String, TypedValue)>;

impl Command {
    /// The bookkeeping for a job whose attempt was refused so.
    #[must_use]
    pub fn job_failed(job_id: &str, refusal: &Refusal) -> Self {
        Self::JobFailed {
            job_id: job_id.to_owned(),
            message: refusal.message.clone(),
            details: refusal.to_string(),
            failed_activity: refusal.failed_activity.clone(),
        }
    }
}

/// One command on one instance.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// The first command on a new, empty instance. With no instructions it begins at the initial activity, or at `start_event`.
    Start {
        variables: Variables,
        instructions: Vec<StartInstruction>,
        start_event: Option<String>,
        skip_custom_listeners: bool,
        skip_io_mappings: bool,
    },
    /// `POST /process-instance/{id}/modification`.
    Modify {
        instructions: Vec<Modification>,
        skip_custom_listeners: bool,
        skip_io_mappings: bool,
    },
    CompleteTask {
        task_id: String,
        variables: Variables,
    },
    /// Set fields of a task; what is None stays.
    UpdateTask {
        task_id: String,
        change: TaskChange,
    },
    /// A worker takes an external task.
    LockExternalTask {
        id: String,
        worker_id: String,
        until: i64,
    },
    CompleteExternalTask {
        id: String,
        variables: Variables,
        local_variables: Variables,
    },
    FailExternalTask {
        id: String,
        message: Option<String>,
        details: Option<String>,
        retries: i32,
        retry_at: i64,
        variables: Variables,
        local_variables: Variables,
    },
    ExternalTaskError {
        id: String,
        code: String,
        message: Option<String>,
        variables: Variables,
    },
    SetExternalTaskRetries {
        id: String,
        retries: i32,
    },
    SetExternalTaskPriority {
        id: String,
        priority: i64,
    },
    UnlockExternalTask {
        id: String,
    },
    ExtendExternalTaskLock {
        id: String,
        until: i64,
    },
    /// Deliver to the subscription with this id.
    Deliver {
        subscription_id: String,
        variables: Variables,
        local_variables: Variables,
    },
    /// Signal an execution (`POST /execution/{id}/signal`): a receive task without message.
    SignalExecution {
        execution_id: String,
        variables: Variables,
    },
    SetVariables {
        scope: VariableScope,
        variables: Variables,
        local: bool,
    },
    RemoveVariables {
        scope: VariableScope,
        names: Vec<String>,
        local: bool,
    },
    /// Run a job of the instance now, whatever its due date. A failure is a `Refusal`: the caller then sends `JobFailed`.
    ExecuteJob {
        job_id: String,
    },
    /// The bookkeeping after a failed attempt: retries, message, incident at zero.
    JobFailed {
        job_id: String,
        message: String,
        details: String,
        failed_activity: Option<String>,
    },
    SetJobRetries {
        job_id: String,
        retries: i32,
        due: Option<Option<i64>>,
    },
    /// Of all jobs of this definition that have none left. Their incidents stay until the jobs run or go
    /// (spec-batch-rest §1.6).
    SetJobDefinitionRetries {
        job_definition_id: String,
        retries: i32,
        due: Option<Option<i64>>,
    },
    SetJobDue {
        job_id: String,
        due: Option<i64>,
        cascade: bool,
    },
    RecalculateDue {
        job_id: String,
        creation_based: bool,
    },
    SetJobPriority {
        job_id: String,
        priority: i64,
    },
    SuspendJob {
        job_id: String,
        suspended: bool,
    },
    /// All jobs of these (activity id, job type) pairs; of the whole instance when empty.
    SuspendJobs {
        of: Vec<(String, String)>,
        suspended: bool,
    },
    DeleteJob {
        job_id: String,
    },
    CreateIncident {
        execution_id: String,
        incident_type: String,
        configuration: Option<String>,
        message: Option<String>,
    },
    ResolveIncident {
        id: String,
    },
    AnnotateIncident {
        id: String,
        annotation: Option<String>,
    },
    /// End it all.
    Delete {
        reason: Option<String>,
        skip_custom_listeners: bool,
        skip_io_mappings: bool,
    },
    /// From other instances: see [`super::Request`].
    CalledEnded {
        called_instance: String,
        variables: Variables,
    },
    CalledDeleted {
        called_instance: String,
    },
    CalledUncaught {
        called_instance: String,
        escalation: bool,
        code: String,
    },
    IncidentUp {
        called_instance: String,
        incident_id: String,
        root_incident_id: String,
        incident_type: String,
    },
    IncidentGone {
        incident_id: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub enum VariableScope {
    Execution(String),
    Task(String),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StartInstruction {
    pub kind: StartKind,
    /// An activity id, or a flow id for [`StartKind::Transition`].
    pub target: String,
    pub ancestor_activity_instance: Option<String>,
    /// (variables, local?)
    pub variables: Vec<(String, TypedValue, bool)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum StartKind {
    BeforeActivity,
    AfterActivity,
    Transition,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Modification {
    Start(StartInstruction),
    CancelActivityInstance(String),
    CancelTransitionInstance(String),
    CancelAll { activity_id: String },
}

/// What to change on a task: the outer option says whether, the inner one to what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskChange {
    pub assignee: Option<Option<String>>,
    pub owner: Option<Option<String>>,
    pub delegation_state: Option<Option<String>>,
    pub name: Option<Option<String>>,
    pub description: Option<Option<String>>,
    pub priority: Option<i64>,
    pub due: Option<Option<i64>>,
    pub follow_up: Option<Option<i64>>,
    /// All of them, as they are to be.
    pub candidate_users: Option<Vec<String>>,
    pub candidate_groups: Option<Vec<String>>,
}
