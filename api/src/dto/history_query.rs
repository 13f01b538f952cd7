//! Queries for history: each parameter is a test of one key of a row as it is shown.

use serde_json::Value;

use crate::criteria::Criteria;
use crate::dates;
use crate::error::ApiError;
use crate::input::Input;

/// How a parameter tests a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Is,
    Like,
    OneOf,
    NoneOf,
    Before,
    After,
    /// The parameter is true, and the key is there.
    Set,
    /// The parameter is true, and the key is null.
    Unset,
    /// The parameter is true, and so is the key.
    True,
    /// The parameter is true, and the key has this text.
    State(&'static str),
}

/// (parameter, key, how)
pub type Filters = &'static [(&'static str, &'static str, How)];

/// Reads the tests.
///
/// # Errors
/// As the getters of [`Input`].
pub fn criteria(input: &Input<'_>, filters: Filters) -> Result<Criteria<(), Value>, ApiError> {
    let mut c: Criteria<(), Value> = Criteria::default();
    let text = |row: &Value, key: &str| row[key].as_str().map(str::to_owned);
    for &(name, key, how) in filters {
        match how {
            How::Is => {
                if let Some(wanted) = input.text(name)? {
                    c.test(move |(), row| text(row, key).as_deref() == Some(&wanted));
                }
            }
            How::Like => {
                if let Some(pattern) = input.text(name)? {
                    c.test(move |(), row| text(row, key).is_some_and(|t| shared::store::predicate::like(&t, &pattern)));
                }
            }
            How::OneOf | How::NoneOf => {
                if let Some(list) = input.filled_list(name)? {
                    c.test(move |(), row| text(row, key).is_some_and(|t| list.contains(&t)) == (how == How::OneOf));
                }
            }
            How::Before | How::After => {
                if let Some(given) = input.date(name)? {
                    let holds = move |at: i64| if how == How::Before { at <= given } else { at >= given };
                    c.test(move |(), row| text(row, key).and_then(|t| dates::parse(&t)).is_some_and(holds));
                }
            }
            How::Set | How::Unset | How::True | How::State(_) => {
                if input.yes(name)? {
                    c.test(move |(), row| match how {
                        How::Set => !row[key].is_null(),
                        How::Unset => row[key].is_null(),
                        How::State(state) => row[key] == state,
                        _ => row[key] == true,
                    });
                }
            }
        }
    }
    c.tenants(input.tenants("includeWithoutTenantId")?, |(), row| row["tenantId"].as_str());
    Ok(c)
}

/// What a row is ordered by.
#[must_use]
pub fn sort_key(row: &Value, key: &'static str) -> Option<super::job::SortKey> {
    use super::job::SortKey::{Number, Text};
    match &row[key] {
        Value::String(text) => Some(Text(text.clone())),
        Value::Number(number) => number.as_i64().map(Number),
        Value::Bool(b) => Some(Number(i64::from(*b))),
        _ => None,
    }
}

pub const INSTANCES: Filters = &[
    ("processInstanceId", "id", How::Is),
    ("processInstanceIds", "id", How::OneOf),
    ("processInstanceIdNotIn", "id", How::NoneOf),
    ("processDefinitionId", "processDefinitionId", How::Is),
    ("processDefinitionKey", "processDefinitionKey", How::Is),
    ("processDefinitionKeyIn", "processDefinitionKey", How::OneOf),
    ("processDefinitionKeyNotIn", "processDefinitionKey", How::NoneOf),
    ("processDefinitionName", "processDefinitionName", How::Is),
    ("processDefinitionNameLike", "processDefinitionName", How::Like),
    ("processInstanceBusinessKey", "businessKey", How::Is),
    ("processInstanceBusinessKeyIn", "businessKey", How::OneOf),
    ("processInstanceBusinessKeyLike", "businessKey", How::Like),
    ("superProcessInstanceId", "superProcessInstanceId", How::Is),
    ("rootProcessInstances", "superProcessInstanceId", How::Unset),
    ("startedBy", "startUserId", How::Is),
    ("startedBefore", "startTime", How::Before),
    ("startedAfter", "startTime", How::After),
    ("finishedBefore", "endTime", How::Before),
    ("finishedAfter", "endTime", How::After),
    ("finished", "endTime", How::Set),
    ("unfinished", "endTime", How::Unset),
    ("active", "state", How::State("ACTIVE")),
    ("suspended", "state", How::State("SUSPENDED")),
    ("completed", "state", How::State("COMPLETED")),
    ("externallyTerminated", "state", How::State("EXTERNALLY_TERMINATED")),
    ("internallyTerminated", "state", How::State("INTERNALLY_TERMINATED")),
    ("caseInstanceId", "caseInstanceId", How::Is),
    ("superCaseInstanceId", "superCaseInstanceId", How::Is),
];

pub const INSTANCE_SORTS: &[(&str, &str)] = &[
    ("instanceId", "id"),
    ("definitionId", "processDefinitionId"),
    ("definitionKey", "processDefinitionKey"),
    ("definitionName", "processDefinitionName"),
    ("definitionVersion", "processDefinitionVersion"),
    ("businessKey", "businessKey"),
    ("startTime", "startTime"),
    ("endTime", "endTime"),
    ("duration", "durationInMillis"),
    ("tenantId", "tenantId"),
];

pub const ACTIVITIES: Filters = &[
    ("activityInstanceId", "id", How::Is),
    ("processInstanceId", "processInstanceId", How::Is),
    ("processInstanceIdIn", "processInstanceId", How::OneOf),
    ("processDefinitionId", "processDefinitionId", How::Is),
    ("executionId", "executionId", How::Is),
    ("activityId", "activityId", How::Is),
    ("activityIdIn", "activityId", How::OneOf),
    ("activityName", "activityName", How::Is),
    ("activityNameLike", "activityName", How::Like),
    ("activityType", "activityType", How::Is),
    ("taskAssignee", "assignee", How::Is),
    ("finished", "endTime", How::Set),
    ("unfinished", "endTime", How::Unset),
    ("canceled", "canceled", How::True),
    ("completeScope", "completeScope", How::True),
    ("startedBefore", "startTime", How::Before),
    ("startedAfter", "startTime", How::After),
    ("finishedBefore", "endTime", How::Before),
    ("finishedAfter", "endTime", How::After),
];

pub const ACTIVITY_SORTS: &[(&str, &str)] = &[
    ("activityInstanceId", "id"),
    ("instanceId", "processInstanceId"),
    ("executionId", "executionId"),
    ("activityId", "activityId"),
    ("activityName", "activityName"),
    ("activityType", "activityType"),
    ("startTime", "startTime"),
    ("endTime", "endTime"),
    ("duration", "durationInMillis"),
    ("definitionId", "processDefinitionId"),
    ("occurrence", "startTime"),
    ("tenantId", "tenantId"),
];

pub const TASKS: Filters = &[
    ("taskId", "id", How::Is),
    ("taskParentTaskId", "parentTaskId", How::Is),
    ("processInstanceId", "processInstanceId", How::Is),
    ("executionId", "executionId", How::Is),
    ("processDefinitionId", "processDefinitionId", How::Is),
    ("processDefinitionKey", "processDefinitionKey", How::Is),
    ("activityInstanceIdIn", "activityInstanceId", How::OneOf),
    ("taskName", "name", How::Is),
    ("taskNameLike", "name", How::Like),
    ("taskDefinitionKey", "taskDefinitionKey", How::Is),
    ("taskDefinitionKeyIn", "taskDefinitionKey", How::OneOf),
    ("taskDeleteReason", "deleteReason", How::Is),
    ("taskAssignee", "assignee", How::Is),
    ("taskAssigneeLike", "assignee", How::Like),
    ("taskOwner", "owner", How::Is),
    ("assigned", "assignee", How::Set),
    ("unassigned", "assignee", How::Unset),
    ("finished", "endTime", How::Set),
    ("unfinished", "endTime", How::Unset),
    ("startedBefore", "startTime", How::Before),
    ("startedAfter", "startTime", How::After),
    ("finishedBefore", "endTime", How::Before),
    ("finishedAfter", "endTime", How::After),
];

pub const TASK_SORTS: &[(&str, &str)] = &[
    ("taskId", "id"),
    ("activityInstanceId", "activityInstanceId"),
    ("processDefinitionId", "processDefinitionId"),
    ("processInstanceId", "processInstanceId"),
    ("executionId", "executionId"),
    ("duration", "duration"),
    ("endTime", "endTime"),
    ("startTime", "startTime"),
    ("taskName", "name"),
    ("taskDescription", "description"),
    ("assignee", "assignee"),
    ("owner", "owner"),
    ("dueDate", "due"),
    ("followUpDate", "followUp"),
    ("deleteReason", "deleteReason"),
    ("taskDefinitionKey", "taskDefinitionKey"),
    ("priority", "priority"),
    ("tenantId", "tenantId"),
];

pub const VARIABLES: Filters = &[
    ("variableName", "name", How::Is),
    ("variableNameLike", "name", How::Like),
    ("processInstanceId", "processInstanceId", How::Is),
    ("processInstanceIdIn", "processInstanceId", How::OneOf),
    ("processDefinitionId", "processDefinitionId", How::Is),
    ("processDefinitionKey", "processDefinitionKey", How::Is),
    ("executionIdIn", "executionId", How::OneOf),
    ("activityInstanceIdIn", "activityInstanceId", How::OneOf),
    ("taskIdIn", "taskId", How::OneOf),
];

pub const VARIABLE_SORTS: &[(&str, &str)] = &[("instanceId", "processInstanceId"), ("variableName", "name"), ("tenantId", "tenantId")];

pub const DETAILS: Filters = &[
    ("processInstanceId", "processInstanceId", How::Is),
    ("processInstanceIdIn", "processInstanceId", How::OneOf),
    ("executionId", "executionId", How::Is),
    ("activityInstanceId", "activityInstanceId", How::Is),
    ("taskId", "taskId", How::Is),
    ("variableInstanceId", "variableInstanceId", How::Is),
    ("variableNameLike", "variableName", How::Like),
    ("initial", "initial", How::True),
    ("occurredBefore", "time", How::Before),
    ("occurredAfter", "time", How::After),
];

pub const DETAIL_SORTS: &[(&str, &str)] = &[
    ("processInstanceId", "processInstanceId"),
    ("variableName", "variableName"),
    ("variableRevision", "revision"),
    ("variableType", "variableType"),
    ("time", "time"),
    ("occurrence", "time"),
    ("tenantId", "tenantId"),
];

pub const INCIDENTS: Filters = &[
    ("incidentId", "id", How::Is),
    ("incidentType", "incidentType", How::Is),
    ("incidentMessage", "incidentMessage", How::Is),
    ("incidentMessageLike", "incidentMessage", How::Like),
    ("processDefinitionId", "processDefinitionId", How::Is),
    ("processDefinitionKey", "processDefinitionKey", How::Is),
    ("processDefinitionKeyIn", "processDefinitionKey", How::OneOf),
    ("processInstanceId", "processInstanceId", How::Is),
    ("executionId", "executionId", How::Is),
    ("activityId", "activityId", How::Is),
    ("failedActivityId", "failedActivityId", How::Is),
    ("causeIncidentId", "causeIncidentId", How::Is),
    ("rootCauseIncidentId", "rootCauseIncidentId", How::Is),
    ("configuration", "configuration", How::Is),
    ("jobDefinitionIdIn", "jobDefinitionId", How::OneOf),
    ("createTimeBefore", "createTime", How::Before),
    ("createTimeAfter", "createTime", How::After),
    ("endTimeBefore", "endTime", How::Before),
    ("endTimeAfter", "endTime", How::After),
    ("open", "open", How::True),
    ("resolved", "resolved", How::True),
    ("deleted", "deleted", How::True),
];

pub const INCIDENT_SORTS: &[(&str, &str)] = &[
    ("incidentId", "id"),
    ("incidentMessage", "incidentMessage"),
    ("createTime", "createTime"),
    ("endTime", "endTime"),
    ("incidentType", "incidentType"),
    ("executionId", "executionId"),
    ("activityId", "activityId"),
    ("processInstanceId", "processInstanceId"),
    ("processDefinitionId", "processDefinitionId"),
    ("processDefinitionKey", "processDefinitionKey"),
    ("causeIncidentId", "causeIncidentId"),
    ("rootCauseIncidentId", "rootCauseIncidentId"),
    ("configuration", "configuration"),
    ("tenantId", "tenantId"),
    ("incidentState", "open"),
];
