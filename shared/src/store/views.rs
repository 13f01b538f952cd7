//! What the store gives back: rows as values. They know nothing of JSON.

use crate::clock::Millis;
use crate::process::history::{Closed, JobEvent};
use crate::process::instance::Instance;

/// A job of a batch or of an instance, as `/job` shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobView {
    pub id: String,
    pub job_definition_id: Option<String>,
    pub process_instance_id: Option<String>,
    pub process_definition_id: Option<String>,
    pub process_definition_key: Option<String>,
    pub execution_id: Option<String>,
    pub exception_message: Option<String>,
    pub failed_activity_id: Option<String>,
    pub activity_id: Option<String>,
    pub retries: i32,
    pub due: Option<Millis>,
    pub suspended: bool,
    pub priority: i64,
    pub tenant_id: Option<String>,
    pub created: Millis,
    pub batch_id: Option<String>,
    pub is_timer: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobDefinitionView {
    pub id: String,
    pub process_definition_id: Option<String>,
    pub process_definition_key: Option<String>,
    pub job_type: String,
    pub job_configuration: String,
    pub activity_id: Option<String>,
    pub suspended: bool,
    pub overriding_priority: Option<i64>,
    pub tenant_id: Option<String>,
    pub deployment_id: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct IncidentView {
    pub id: String,
    pub process_definition_id: Option<String>,
    pub process_definition_key: Option<String>,
    pub process_instance_id: Option<String>,
    pub execution_id: Option<String>,
    pub time: Millis,
    pub incident_type: String,
    pub activity_id: Option<String>,
    pub failed_activity_id: Option<String>,
    pub cause_incident_id: Option<String>,
    pub root_cause_incident_id: Option<String>,
    pub configuration: Option<String>,
    pub message: Option<String>,
    pub tenant_id: Option<String>,
    pub job_definition_id: Option<String>,
    pub annotation: Option<String>,
}

/// An incident that is over.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedIncident {
    pub incident: IncidentView,
    pub ended: Millis,
    /// It went with its job; else it was resolved.
    pub deleted: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct JobLogRow {
    pub id: String,
    pub time: Millis,
    pub job_id: String,
    pub job_due: Option<Millis>,
    pub job_retries: i32,
    pub job_priority: i64,
    pub exception_message: Option<String>,
    pub stacktrace: Option<String>,
    pub job_definition_id: Option<String>,
    pub job_definition_type: String,
    pub job_definition_configuration: Option<String>,
    pub activity_id: Option<String>,
    pub failed_activity_id: Option<String>,
    pub execution_id: Option<String>,
    pub process_instance_id: Option<String>,
    pub process_definition_id: Option<String>,
    pub process_definition_key: Option<String>,
    pub deployment_id: Option<String>,
    pub root_process_instance_id: Option<String>,
    pub tenant_id: Option<String>,
    pub hostname: Option<String>,
    pub batch_id: Option<String>,
    pub event: JobEvent,
    /// What the row was about, as ids: Drover's own.
    pub instance_ids: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureGroup {
    pub reason: String,
    /// One of their messages.
    pub message: String,
    pub instances: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRow {
    pub job: u32,
    pub instance_id: String,
    pub reason: String,
    pub message: String,
    pub time: Millis,
}

#[derive(Clone, Debug, PartialEq)]
pub struct WorkerRow {
    /// `role@host:pid`.
    pub id: String,
    pub role: String,
    pub host: String,
    pub version: String,
    pub since: Millis,
    /// Set by the database when written.
    pub heartbeat: Millis,
    pub current: Option<String>,
    /// Instances finished in the last [`crate::batch::WINDOW_MS`].
    pub finished_recently: u64,
    pub last_error: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DefinitionView {
    pub id: String,
    pub key: String,
    pub name: Option<String>,
    pub category: Option<String>,
    pub version: i32,
    pub version_tag: Option<String>,
    pub resource: String,
    pub deployment_id: String,
    pub suspended: bool,
    pub tenant_id: Option<String>,
    pub history_time_to_live: Option<i32>,
    pub startable_in_tasklist: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct DeploymentView {
    pub id: String,
    pub name: Option<String>,
    pub source: Option<String>,
    pub time: Millis,
    pub tenant_id: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Deployed {
    pub deployment: DeploymentView,
    /// Empty when all of it was a duplicate.
    pub definitions: Vec<DefinitionView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResourceView {
    pub id: String,
    pub name: String,
    pub deployment_id: String,
}

#[derive(Clone, Debug, PartialEq)]
pub struct InstanceView {
    pub id: String,
    pub definition_id: String,
    pub definition_key: String,
    pub business_key: Option<String>,
    pub suspended: bool,
    pub tenant_id: Option<String>,
    pub super_instance: Option<String>,
    pub root_instance: String,
}

/// A document with the columns beside it. `instance.suspended` is filled in.
#[derive(Clone, Debug)]
pub struct StoredInstance {
    pub instance: Instance,
    pub revision: i64,
    pub definition_key: String,
}

#[derive(Clone, Debug)]
pub struct HistoryRow {
    pub instance_id: String,
    pub definition_id: String,
    pub definition_key: String,
    pub business_key: Option<String>,
    pub tenant_id: Option<String>,
    pub root_instance: String,
    pub super_instance: Option<String>,
    pub started: Millis,
    pub start_user: Option<String>,
    pub start_activity: Option<String>,
    /// When it is to be removed, if a person said so: of instances.
    pub removal: Option<crate::batch::RemovalTime>,
    pub closed: Closed,
}
