//! Closed history: what a command ended, as rows that are written once and never changed.
//!
//! Open history is in the documents (a running row is its own history); these records are the rest.

use serde::{Deserialize, Serialize};

use super::instance::{Incident, OpenActivityInstance, Task, Variable};

/// One closed record. `ended` is in milliseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum Closed {
    Instance {
        ended: i64,
        end_activity: Option<String>,
        delete_reason: Option<String>,
        state: InstanceEnd,
    },
    Activity {
        record: OpenActivityInstance,
        ended: i64,
        canceled: bool,
        complete_scope: bool,
    },
    Task {
        record: Task,
        ended: i64,
        delete_reason: Option<String>,
    },
    /// The variable as it last was; `scope` is the activity instance it belonged to.
    Variable {
        record: Variable,
        scope: Option<String>,
        ended: i64,
        deleted: bool,
    },
    /// One `/history/detail` row: a value was set.
    Detail {
        record: Variable,
        activity_instance_id: Option<String>,
        task_id: Option<String>,
        revision: u32,
        initial: bool,
        time: i64,
    },
    Incident {
        record: Incident,
        ended: i64,
        state: IncidentEnd,
    },
    /// An external task was created, failed, succeeded or deleted.
    ExternalTask {
        record: super::instance::ExternalTask,
        event: String,
        time: i64,
    },
    /// A job of the instance was created, failed, succeeded or deleted.
    Job {
        record: super::instance::InstanceJob,
        event: JobEvent,
        time: i64,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum InstanceEnd {
    Completed,
    ExternallyTerminated,
    InternallyTerminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum IncidentEnd {
    Resolved,
    Deleted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobEvent {
    Created,
    Failed,
    Succeeded,
    Deleted,
}
