//! What can be asked of the store. `None` and empty lists do not filter, unless said otherwise.

use crate::clock::Millis;
use crate::process::value::TypedValue;

/// A slice of the ordered answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub first: u64,
    /// None: to the end.
    pub max: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

/// Which tenants' rows: `tenantIdIn` wins over `withoutTenantId`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantFilter {
    pub tenant_id_in: Option<Vec<String>>,
    pub without_tenant_id: bool,
    /// `include…WithoutTenantId`: beside those of `tenant_id_in`.
    pub include_without: bool,
}

impl TenantFilter {
    #[must_use]
    pub fn matches(&self, tenant: Option<&str>) -> bool {
        match (&self.tenant_id_in, tenant) {
            (Some(ids), Some(tenant)) => ids.iter().any(|id| id == tenant),
            (Some(_), None) => self.include_without,
            (None, tenant) => !self.without_tenant_id || tenant.is_none(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct BatchQuery {
    pub id: Option<String>,
    pub batch_type: Option<String>,
    pub suspended: Option<bool>,
    pub tenants: TenantFilter,
    pub created_by: Option<String>,
    /// ≤
    pub started_before: Option<Millis>,
    /// ≥
    pub started_after: Option<Millis>,
    /// Some(true): with failed jobs; Some(false): without.
    pub failures: Option<bool>,
    pub sort: Option<(BatchSort, Order)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSort {
    Id,
    TenantId,
    StartTime,
}

#[derive(Clone, Debug, Default)]
pub struct HistoricBatchQuery {
    pub id: Option<String>,
    pub batch_type: Option<String>,
    pub completed: Option<bool>,
    pub tenants: TenantFilter,
    pub sort: Option<(HistoricBatchSort, Order)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoricBatchSort {
    Id,
    StartTime,
    EndTime,
    TenantId,
}

/// A comparison of a time: `gt` and `lt`, as the reference (both exclusive).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeIs {
    After(Millis),
    Before(Millis),
}

impl TimeIs {
    #[must_use]
    pub fn holds(self, time: Option<Millis>) -> bool {
        match (self, time) {
            (Self::After(t), Some(time)) => time > t,
            (Self::Before(t), Some(time)) => time < t,
            (_, None) => false,
        }
    }
}

/// A conjunction (FINDINGS 14).
#[derive(Clone, Debug, Default)]
pub struct JobQuery {
    pub ids: Option<Vec<String>>,
    pub job_definition_id: Option<String>,
    pub process_instance_ids: Option<Vec<String>>,
    pub execution_id: Option<String>,
    pub process_definition_id: Option<String>,
    pub process_definition_key: Option<String>,
    pub activity_id: Option<String>,
    pub failed_activity_id: Option<String>,
    /// Drover's own filter.
    pub batch_id: Option<String>,
    pub with_retries_left: bool,
    pub no_retries_left: bool,
    pub executable: bool,
    pub timers: bool,
    pub messages: bool,
    pub with_exception: bool,
    pub exception_message: Option<String>,
    pub active: bool,
    pub suspended: bool,
    pub acquired: bool,
    pub priority_at_least: Option<i64>,
    pub priority_at_most: Option<i64>,
    pub due: Vec<TimeIs>,
    pub created: Vec<TimeIs>,
    pub tenants: TenantFilter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobSort {
    Id,
    ExecutionId,
    ProcessInstanceId,
    ProcessDefinitionId,
    ProcessDefinitionKey,
    Retries,
    Due,
    Priority,
    TenantId,
}

#[derive(Clone, Debug, Default)]
pub struct JobDefinitionQuery {
    pub id: Option<String>,
    pub activity_id_in: Option<Vec<String>>,
    pub process_definition_id: Option<String>,
    pub process_definition_key: Option<String>,
    pub job_type: Option<String>,
    /// A batch's id gives its three.
    pub job_configuration: Option<String>,
    pub active: bool,
    pub suspended: bool,
    pub with_overriding_priority: bool,
    pub tenants: TenantFilter,
    pub sort: Option<(JobDefinitionSort, Order)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobDefinitionSort {
    Id,
    ActivityId,
    ProcessDefinitionId,
    ProcessDefinitionKey,
    JobType,
    JobConfiguration,
    TenantId,
}

/// `/history/job-log`.
#[derive(Clone, Debug, Default)]
pub struct JobLogQuery {
    pub id: Option<String>,
    pub job_id: Option<String>,
    pub exception_message: Option<String>,
    pub job_definition_id: Option<String>,
    pub job_definition_type: Option<String>,
    /// For batches: the batch's id.
    pub job_definition_configuration: Option<String>,
    pub process_instance_id: Option<String>,
    pub process_definition_id: Option<String>,
    pub process_definition_key: Option<String>,
    pub deployment_id: Option<String>,
    pub execution_id: Option<String>,
    pub activity_ids: Option<Vec<String>>,
    pub failed_activity_ids: Option<Vec<String>>,
    pub hostname: Option<String>,
    pub priority_at_least: Option<i64>,
    pub priority_at_most: Option<i64>,
    pub tenants: TenantFilter,
    /// Kinds wanted; empty: all.
    pub kinds: Vec<crate::process::history::JobEvent>,
    pub sort: Option<(JobLogSort, Order)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobLogSort {
    Timestamp,
    Occurrence,
    Retries,
    Priority,
    JobId,
    JobDefinitionId,
    Due,
    Id,
    ProcessInstanceId,
    ProcessDefinitionId,
    DeploymentId,
    TenantId,
}

/// `/process-instance` and every `processInstanceQuery` (spec-batch-rest §4.1): a conjunction.
#[derive(Clone, Debug, Default)]
pub struct InstanceQuery {
    pub ids: Option<Vec<String>>,
    pub root_instance: Option<String>,
    pub super_instance: Option<String>,
    pub sub_instance: Option<String>,
    /// CMMN: Drover has no cases, so a given one matches nothing.
    pub case: Option<String>,
    pub business_key: Option<String>,
    /// SQL LIKE with `%`, `_` and backslash.
    pub business_key_like: Option<String>,
    pub definition_id: Option<String>,
    pub definition_key: Option<String>,
    pub definition_key_in: Option<Vec<String>>,
    pub definition_key_not_in: Option<Vec<String>>,
    pub deployment_id: Option<String>,
    pub suspended: Option<bool>,
    pub with_incident: bool,
    pub incident_id: Option<String>,
    pub incident_type: Option<String>,
    pub incident_message: Option<String>,
    pub incident_message_like: Option<String>,
    pub tenants: TenantFilter,
    pub definition_without_tenant: bool,
    pub activity_id_in: Option<Vec<String>>,
    pub root_only: bool,
    pub leaf_only: bool,
    pub variables: Vec<VariableFilter>,
    pub names_ignore_case: bool,
    pub values_ignore_case: bool,
    /// Each is a disjunction of its own criteria; all are joined with the rest by AND.
    pub or_queries: Vec<InstanceQuery>,
    /// The `sorting` of a body: looked at by the API only.
    pub sort: Vec<(InstanceSort, Order)>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct VariableFilter {
    pub name: String,
    pub operator: Operator,
    pub value: TypedValue,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operator {
    Equal,
    NotEqual,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Like,
    NotLike,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceSort {
    Id,
    DefinitionKey,
    DefinitionId,
    TenantId,
    BusinessKey,
}

#[derive(Clone, Debug, Default)]
pub struct DefinitionQuery {
    pub ids: Option<Vec<String>>,
    pub key: Option<String>,
    pub keys: Option<Vec<String>>,
    pub key_like: Option<String>,
    pub name: Option<String>,
    pub name_like: Option<String>,
    pub category: Option<String>,
    pub category_like: Option<String>,
    pub version: Option<i32>,
    /// Of each key and tenant.
    pub latest: bool,
    pub version_tag: Option<String>,
    pub version_tag_like: Option<String>,
    pub without_version_tag: bool,
    pub deployment_id: Option<String>,
    pub deployed_after: Option<Millis>,
    pub deployed_at: Option<Millis>,
    pub resource_name: Option<String>,
    pub resource_name_like: Option<String>,
    pub suspended: Option<bool>,
    pub startable_in_tasklist: Option<bool>,
    pub message_event_subscription_name: Option<String>,
    pub tenants: TenantFilter,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefinitionSort {
    Category,
    Key,
    Id,
    Name,
    Version,
    DeploymentId,
    DeployTime,
    TenantId,
    VersionTag,
}

#[derive(Clone, Debug, Default)]
pub struct DeploymentQuery {
    pub id: Option<String>,
    pub name: Option<String>,
    pub name_like: Option<String>,
    pub source: Option<String>,
    pub without_source: bool,
    pub before: Option<Millis>,
    pub after: Option<Millis>,
    pub tenants: TenantFilter,
    pub sort: Option<(DeploymentSort, Order)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeploymentSort {
    Id,
    Name,
    DeploymentTime,
    TenantId,
}

/// Which closed records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HistoryKind {
    Instance,
    Activity,
    Task,
    Variable,
    Detail,
    Incident,
    ExternalTask,
}

impl HistoryKind {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Activity => "activity",
            Self::Task => "task",
            Self::Variable => "variable",
            Self::Detail => "detail",
            Self::Incident => "incident",
            Self::ExternalTask => "external_task",
        }
    }
}

/// Closed history, narrowed by columns; finer filters are the caller's.
#[derive(Clone, Debug)]
pub struct HistoryQuery {
    pub kind: HistoryKind,
    pub instance_id: Option<String>,
    pub definition_id: Option<String>,
    pub definition_key: Option<String>,
    /// Id of the record itself.
    pub id: Option<String>,
    pub tenants: TenantFilter,
}
