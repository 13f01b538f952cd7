//! A running process instance: one value, read and written whole (design §4, spec/execution-tree.md).
//!
//! Executions are explicit. What hangs on an execution names it by id. Ids are opaque strings here; only the
//! id source and the store know how they are numbered. Times are milliseconds since the epoch, UTC.

use serde::{Deserialize, Serialize};

use super::unknown::Unknown;
use super::value::TypedValue;

/// Version of the stored form ([`super::stored`]); a document of a higher one is refused.
pub const DOCUMENT_VERSION: u32 = 2;

/// The document. Fields that this version does not know are kept in `other` and written back; so are those of all that hangs
/// in it, as long as it is kept. A [`Place`] and a variable's value are replaced as a whole: they never get fields.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Instance {
    pub v: u32,
    pub id: String,
    pub definition_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub business_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The instance whose call activity started this one, and that call's root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub super_instance: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_instance: Option<String>,
    pub started_at: i64,
    /// The user who started it, and where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_activity: Option<String>,
    /// How many ids the id source has given out; only the id source reads or writes it.
    pub ids: u32,
    /// A column of its own in the store (design §4), filled in by it on reading.
    #[serde(skip)]
    pub suspended: bool,
    /// The first one is the root.
    pub executions: Vec<Execution>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<Task>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub external_tasks: Vec<ExternalTask>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<InstanceJob>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subscriptions: Vec<Subscription>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Incident>,
    /// Activity instances that have not ended, transition instances excepted: the open history.
    pub open: Vec<OpenActivityInstance>,
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

/// An activity that a token is at, or whose scope an execution is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    pub activity_id: String,
    /// None for a transition instance (a token parked at an async job), whose id is its execution's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activity_instance_id: Option<String>,
}

/// Rules 1 to 4 and 8, 9 of spec/execution-tree.md.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Execution {
    pub id: String,
    /// None only for the root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Of the scope execution of an activity: which one. The root's scope is the process: none here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<Place>,
    /// Where its token sits: the leaf. A scope leaf has the same place in `scope` and `at`.
    /// None on executions that only hold children.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Place>,
    #[serde(skip_serializing_if = "is_false")]
    pub is_scope: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub is_concurrent: bool,
    /// False on executions with children and for tokens that wait in a join or have finished in a parallel body.
    #[serde(skip_serializing_if = "is_false")]
    pub is_active: bool,
    /// Memory of a finished scope, kept for compensation (rule 9).
    #[serde(skip_serializing_if = "is_false")]
    pub is_event_scope: bool,
    /// Of a call activity: the instance that it called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_instance: Option<String>,
    /// Of a branch whose leaf a migration has made a scope of its own: that leaf's activity instance, which the reference's
    /// row of the branch goes on naming. Only `activityInstanceId` of variables shows it (FINDINGS 42).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shown_instance: Option<String>,
    /// An asyncAfter token that left by a flow already chosen: that flow's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<String>,
    #[serde(flatten)]
    pub other: Unknown,
}

fn is_false(b: &bool) -> bool {
    !*b
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Task {
    pub id: String,
    pub execution_id: String,
    pub activity_instance_id: String,
    pub task_definition_key: String,
    pub definition_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delegation_state: Option<String>,
    pub priority: i64,
    pub created: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub follow_up: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_task: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidate_users: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidate_groups: Vec<String>,
    #[serde(flatten)]
    pub other: Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ExternalTask {
    pub id: String,
    pub execution_id: String,
    pub activity_instance_id: String,
    pub activity_id: String,
    pub definition_id: String,
    pub topic: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worker_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock_expires: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<i32>,
    pub priority: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_details: Option<String>,
    pub created: i64,
    #[serde(flatten)]
    pub other: Unknown,
}

/// What an instance's own job does when it runs (spec-migration §9.1, §7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobHandler {
    #[default]
    AsyncContinuation,
    /// Boundary timers.
    TimerTransition,
    TimerIntermediateTransition,
    TimerStartEventSubprocess,
    TimerTaskListener,
}

impl JobHandler {
    /// The `jobType` of its job definition.
    #[must_use]
    pub fn job_type(self) -> &'static str {
        match self {
            Self::AsyncContinuation => "async-continuation",
            Self::TimerTransition => "timer-transition",
            Self::TimerIntermediateTransition => "timer-intermediate-transition",
            Self::TimerStartEventSubprocess => "timer-start-event-subprocess",
            Self::TimerTaskListener => "timer-task-listener",
        }
    }
}

/// A job of an instance: an async continuation or a timer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct InstanceJob {
    pub id: String,
    pub execution_id: String,
    pub handler: JobHandler,
    /// `process-start`, `transition-create-scope`, `activity-start-create-scope`, `activity-end`,
    /// `transition-notify-listener-take$flow`; for timers the event activity's id; for timeout listeners `task$taskListener~id`.
    pub configuration: String,
    /// Where the job belongs: the async activity, or the timer's event activity.
    pub activity_id: String,
    pub definition_id: String,
    pub deployment_id: String,
    /// Of its definition's, or (a kept job of another kind, FINDINGS 23) still the source's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_definition_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repeat: Option<String>,
    pub retries: i32,
    pub priority: i64,
    #[serde(skip_serializing_if = "is_false")]
    pub suspended: bool,
    pub exclusive: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exception_stacktrace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_activity_id: Option<String>,
    pub created: i64,
    #[serde(flatten)]
    pub other: Unknown,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SubscriptionKind {
    #[default]
    Message,
    Signal,
    Conditional,
    Compensate,
}

impl SubscriptionKind {
    /// The reference's `eventType`.
    #[must_use]
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Signal => "signal",
            Self::Conditional => "conditional",
            Self::Compensate => "compensate",
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Subscription {
    pub id: String,
    pub execution_id: String,
    pub kind: SubscriptionKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_name: Option<String>,
    pub activity_id: String,
    pub created: i64,
    /// Of a compensate subscription: the event scope execution it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    #[serde(flatten)]
    pub other: Unknown,
}

/// A variable on an execution, or local to a task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    pub id: String,
    pub name: String,
    pub execution_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// Its runtime definition: stays the source's after a migration (quirk, FINDINGS 31).
    pub definition_id: String,
    /// The definition of its open historic record, which a migration may re-point.
    pub history_definition_id: String,
    pub created: i64,
    /// Set while its execution was no scope: it goes along with the token when the tree expands again (rule 6).
    #[serde(default, skip_serializing_if = "is_false")]
    pub concurrent_local: bool,
    #[serde(flatten)]
    pub value: TypedValue,
    #[serde(flatten)]
    pub other: Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Incident {
    pub id: String,
    pub execution_id: String,
    /// `failedJob`, `failedExternalTask` or a caller's own.
    pub incident_type: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_activity_id: Option<String>,
    pub definition_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_definition_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause_incident: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_cause_incident: Option<String>,
    pub created: i64,
    #[serde(flatten)]
    pub other: Unknown,
}

/// An activity instance that has not ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OpenActivityInstance {
    /// `{activity id first seen}:{uuid}`, the instance's id for the root.
    pub id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    pub activity_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activity_name: Option<String>,
    pub activity_type: String,
    pub definition_id: String,
    pub execution_id: String,
    pub started_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub called_instance: Option<String>,
    #[serde(flatten)]
    pub other: Unknown,
}

impl Instance {
    /// The root execution. Every stored instance has one.
    #[must_use]
    pub fn root(&self) -> &Execution {
        &self.executions[0]
    }

    #[must_use]
    pub fn execution(&self, id: &str) -> Option<&Execution> {
        self.executions.iter().find(|e| e.id == id)
    }

    pub fn execution_mut(&mut self, id: &str) -> Option<&mut Execution> {
        self.executions.iter_mut().find(|e| e.id == id)
    }

    pub fn children_of<'a>(&'a self, id: &'a str) -> impl Iterator<Item = &'a Execution> {
        self.executions.iter().filter(move |e| e.parent.as_deref() == Some(id))
    }
}
