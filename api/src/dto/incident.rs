//! Incidents as JSON, and the query for them (spec-batch-rest §2.7).

use serde_json::{Value, json};
use shared::clock::Millis;
use shared::store::query::TenantFilter;
use shared::store::views::IncidentView;

use crate::dates;
use crate::error::ApiError;
use crate::input::Input;
use shared::store::predicate::like;

#[must_use]
pub fn show(i: &IncidentView) -> Value {
    json!({
        "id": i.id,
        "processDefinitionId": i.process_definition_id,
        "processInstanceId": i.process_instance_id,
        "executionId": i.execution_id,
        "incidentTimestamp": dates::format(i.time),
        "incidentType": i.incident_type,
        "activityId": i.activity_id,
        "failedActivityId": i.failed_activity_id,
        "causeIncidentId": i.cause_incident_id,
        "rootCauseIncidentId": i.root_cause_incident_id,
        "configuration": i.configuration,
        "incidentMessage": i.message,
        "tenantId": i.tenant_id,
        "jobDefinitionId": i.job_definition_id,
        "annotation": i.annotation,
    })
}

/// What to order incidents by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Id,
    Message,
    Time,
    Type,
    Execution,
    Activity,
    Instance,
    Definition,
    Cause,
    RootCause,
    Configuration,
    Tenant,
}

pub const SORTS: [(&str, Sort); 12] = [
    ("incidentId", Sort::Id),
    ("incidentMessage", Sort::Message),
    ("incidentTimestamp", Sort::Time),
    ("incidentType", Sort::Type),
    ("executionId", Sort::Execution),
    ("activityId", Sort::Activity),
    ("processInstanceId", Sort::Instance),
    ("processDefinitionId", Sort::Definition),
    ("causeIncidentId", Sort::Cause),
    ("rootCauseIncidentId", Sort::RootCause),
    ("configuration", Sort::Configuration),
    ("tenantId", Sort::Tenant),
];

#[must_use]
pub fn sort_key(i: &IncidentView, by: Sort) -> Option<String> {
    match by {
        Sort::Id => Some(i.id.clone()),
        Sort::Message => i.message.clone(),
        Sort::Time => Some(dates::format(i.time)),
        Sort::Type => Some(i.incident_type.clone()),
        Sort::Execution => i.execution_id.clone(),
        Sort::Activity => i.activity_id.clone(),
        Sort::Instance => i.process_instance_id.clone(),
        Sort::Definition => i.process_definition_id.clone(),
        Sort::Cause => i.cause_incident_id.clone(),
        Sort::RootCause => i.root_cause_incident_id.clone(),
        Sort::Configuration => i.configuration.clone(),
        Sort::Tenant => i.tenant_id.clone(),
    }
}

/// A conjunction.
#[derive(Debug, Default)]
pub struct Query {
    pub id: Option<String>,
    pub incident_type: Option<String>,
    pub message: Option<String>,
    pub message_like: Option<String>,
    pub definition_id: Option<String>,
    pub definition_key_in: Option<Vec<String>>,
    pub instance_id: Option<String>,
    pub execution_id: Option<String>,
    pub before: Option<Millis>,
    pub after: Option<Millis>,
    pub activity_id: Option<String>,
    pub failed_activity_id: Option<String>,
    pub cause: Option<String>,
    pub root_cause: Option<String>,
    pub configuration: Option<String>,
    pub job_definition_in: Option<Vec<String>>,
    pub tenants: TenantFilter,
}

/// Reads a query.
///
/// # Errors
/// As the getters of [`Input`].
pub fn query(input: &Input<'_>) -> Result<Query, ApiError> {
    Ok(Query {
        id: input.text("incidentId")?,
        incident_type: input.text("incidentType")?,
        message: input.text("incidentMessage")?,
        message_like: input.text("incidentMessageLike")?,
        definition_id: input.text("processDefinitionId")?,
        definition_key_in: input.filled_list("processDefinitionKeyIn")?,
        instance_id: input.text("processInstanceId")?,
        execution_id: input.text("executionId")?,
        before: input.date("incidentTimestampBefore")?,
        after: input.date("incidentTimestampAfter")?,
        activity_id: input.text("activityId")?,
        failed_activity_id: input.text("failedActivityId")?,
        cause: input.text("causeIncidentId")?,
        root_cause: input.text("rootCauseIncidentId")?,
        configuration: input.text("configuration")?,
        job_definition_in: input.filled_list("jobDefinitionIdIn")?,
        tenants: input.tenants("")?,
    })
}

#[must_use]
pub fn matches(i: &IncidentView, q: &Query) -> bool {
    let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
    let one_of = |wanted: &Option<Vec<String>>, found: &Option<String>| {
        wanted.as_ref().is_none_or(|w| found.as_ref().is_some_and(|f| w.contains(f)))
    };
    q.id.as_ref().is_none_or(|id| *id == i.id)
        && q.incident_type.as_ref().is_none_or(|t| *t == i.incident_type)
        && is(&q.message, &i.message)
        && q.message_like.as_ref().is_none_or(|p| i.message.as_ref().is_some_and(|m| like(m, p)))
        && is(&q.definition_id, &i.process_definition_id)
        && one_of(&q.definition_key_in, &i.process_definition_key)
        && is(&q.instance_id, &i.process_instance_id)
        && is(&q.execution_id, &i.execution_id)
        && q.before.is_none_or(|t| i.time < t)
        && q.after.is_none_or(|t| i.time > t)
        && is(&q.activity_id, &i.activity_id)
        && is(&q.failed_activity_id, &i.failed_activity_id)
        && is(&q.cause, &i.cause_incident_id)
        && is(&q.root_cause, &i.root_cause_incident_id)
        && is(&q.configuration, &i.configuration)
        && one_of(&q.job_definition_in, &i.job_definition_id)
        && q.tenants.matches(i.tenant_id.as_deref())
}
