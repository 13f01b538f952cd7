//! Jobs and job definitions as JSON, and the queries for them (spec-batch-rest §2.3, §2.6).

use serde_json::{Value, json};
use shared::clock::Millis;
use shared::store::query::{JobDefinitionQuery, JobDefinitionSort, JobQuery, JobSort, TimeIs};
use shared::store::views::{JobDefinitionView, JobView};

use crate::dates;
use crate::error::ApiError;
use crate::input::{Input, not_a_date};

#[must_use]
pub fn job(j: &JobView) -> Value {
    json!({
        "id": j.id,
        "jobDefinitionId": j.job_definition_id,
        "processInstanceId": j.process_instance_id,
        "processDefinitionId": j.process_definition_id,
        "processDefinitionKey": j.process_definition_key,
        "executionId": j.execution_id,
        "exceptionMessage": j.exception_message,
        "failedActivityId": j.failed_activity_id,
        "retries": j.retries,
        "dueDate": dates::json(j.due),
        "suspended": j.suspended,
        "priority": j.priority,
        "tenantId": j.tenant_id,
        "createTime": dates::format(j.created),
        "batchId": j.batch_id,
    })
}

#[must_use]
pub fn definition(d: &JobDefinitionView) -> Value {
    json!({
        "id": d.id,
        "processDefinitionId": d.process_definition_id,
        "processDefinitionKey": d.process_definition_key,
        "jobType": d.job_type,
        "jobConfiguration": d.job_configuration,
        "activityId": d.activity_id,
        "suspended": d.suspended,
        "overridingJobPriority": d.overriding_priority,
        "tenantId": d.tenant_id,
        // Set on the seed job's definition of a batch only.
        "deploymentId": d.deployment_id.as_ref().filter(|_| d.process_definition_id.is_none()),
    })
}

/// Words to sort jobs by.
pub const SORTS: [(&str, JobSort); 9] = [
    ("jobId", JobSort::Id),
    ("executionId", JobSort::ExecutionId),
    ("processInstanceId", JobSort::ProcessInstanceId),
    ("processDefinitionId", JobSort::ProcessDefinitionId),
    ("processDefinitionKey", JobSort::ProcessDefinitionKey),
    ("jobRetries", JobSort::Retries),
    ("jobDueDate", JobSort::Due),
    ("jobPriority", JobSort::Priority),
    ("tenantId", JobSort::TenantId),
];

/// Reads a query for jobs; `batchId` is Drover's own.
///
/// # Errors
/// What the reference refuses, in its words.
pub fn query(input: &Input<'_>) -> Result<JobQuery, ApiError> {
    let (timers, messages) = (input.yes("timers")?, input.yes("messages")?);
    if timers && messages {
        return Err(ApiError::invalid("Parameter timers cannot be used together with parameter messages."));
    }
    let ids = match (input.text("jobId")?, input.filled_list("jobIds")?) {
        (Some(id), Some(ids)) => Some(ids.into_iter().filter(|i| *i == id).collect()),
        (Some(id), None) => Some(vec![id]),
        (None, ids) => ids,
    };
    let instances = match (input.text("processInstanceId")?, input.filled_list("processInstanceIds")?) {
        (Some(id), Some(ids)) => Some(ids.into_iter().filter(|i| *i == id).collect()),
        (Some(id), None) => Some(vec![id]),
        (None, ids) => ids,
    };
    Ok(JobQuery {
        ids,
        job_definition_id: input.text("jobDefinitionId")?,
        process_instance_ids: instances,
        execution_id: input.text("executionId")?,
        process_definition_id: input.text("processDefinitionId")?,
        process_definition_key: input.text("processDefinitionKey")?,
        activity_id: input.text("activityId")?,
        failed_activity_id: input.text("failedActivityId")?,
        batch_id: input.text("batchId")?,
        with_retries_left: input.yes("withRetriesLeft")?,
        no_retries_left: input.yes("noRetriesLeft")?,
        executable: input.yes("executable")?,
        timers,
        messages,
        with_exception: input.yes("withException")?,
        exception_message: input.text("exceptionMessage")?,
        active: input.yes("active")?,
        suspended: input.yes("suspended")?,
        acquired: input.yes("acquired")?,
        priority_at_least: input.long("priorityHigherThanOrEquals")?,
        priority_at_most: input.long("priorityLowerThanOrEquals")?,
        due: times(input, "dueDates", "due date")?,
        created: times(input, "createTimes", "create time")?,
        tenants: input.tenants("includeJobsWithoutTenantId")?,
    })
}

/// `gt_<date>,lt_<date>` in a URL, `[{operator, value}]` in a body.
fn times(input: &Input<'_>, name: &str, what: &str) -> Result<Vec<TimeIs>, ApiError> {
    if input.is_body() {
        let one = |entry| {
            let entry = Input::body(entry);
            let value = entry.text("value")?.unwrap_or_default();
            comparison(&entry.text("operator")?.unwrap_or_default(), &value, what)
        };
        return input.objects(name)?.unwrap_or_default().into_iter().map(one).collect();
    }
    let Some(text) = input.text(name)?.filter(|t| !t.is_empty()) else { return Ok(vec![]) };
    let shape = || input.cannot_set(name, &text, Some("condition query parameter has to have format OPERATOR_VALUE.".to_owned()));
    let one = |part: &str| {
        let (operator, value) = part.split_once('_').ok_or_else(shape)?;
        comparison(operator, value, what)
    };
    text.split(',').map(one).collect()
}

fn comparison(operator: &str, value: &str, what: &str) -> Result<TimeIs, ApiError> {
    let known = matches!(operator, "gt" | "lt");
    let operator_error = || ApiError::invalid(format!("Invalid {what} comparator specified: {operator}"));
    let time = dates::parse(value);
    match (operator, time) {
        ("gt", Some(time)) => Ok(TimeIs::After(time)),
        ("lt", Some(time)) => Ok(TimeIs::Before(time)),
        (_, None) if known => Err(ApiError::invalid(format!("Invalid {what} format: {}", not_a_date(value)))),
        _ => Err(operator_error()),
    }
}

/// Does a job match? The same conjunction as the store's for jobs of batches. `now` for `executable`.
#[must_use]
pub fn matches(j: &JobView, q: &JobQuery, now: Millis) -> bool {
    let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_none() || wanted == found;
    let one_of =
        |wanted: &Option<Vec<String>>, found: Option<&String>| wanted.as_ref().is_none_or(|w| found.is_some_and(|f| w.contains(f)));
    let kinds = (!q.timers || j.is_timer) && (!q.messages || !j.is_timer) && !q.acquired;
    let states = (!q.active || !j.suspended) && (!q.suspended || j.suspended);
    let retries = (!q.with_retries_left || j.retries > 0) && (!q.no_retries_left || j.retries == 0);
    let executable = !q.executable || (j.retries > 0 && j.due.is_none_or(|due| due <= now));
    one_of(&q.ids, Some(&j.id))
        && one_of(&q.process_instance_ids, j.process_instance_id.as_ref())
        && is(&q.job_definition_id, &j.job_definition_id)
        && is(&q.execution_id, &j.execution_id)
        && is(&q.process_definition_id, &j.process_definition_id)
        && is(&q.process_definition_key, &j.process_definition_key)
        && is(&q.activity_id, &j.activity_id)
        && is(&q.failed_activity_id, &j.failed_activity_id)
        && is(&q.batch_id, &j.batch_id)
        && is(&q.exception_message, &j.exception_message)
        && (!q.with_exception || j.exception_message.is_some())
        && (kinds && states && retries && executable)
        && q.priority_at_least.is_none_or(|least| j.priority >= least)
        && q.priority_at_most.is_none_or(|most| j.priority <= most)
        && q.due.iter().all(|t| t.holds(j.due))
        && q.created.iter().all(|t| t.holds(Some(j.created)))
        && q.tenants.matches(j.tenant_id.as_deref())
}

/// What to order jobs by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SortKey {
    Number(i64),
    Text(String),
}

#[must_use]
pub fn sort_key(j: &JobView, by: JobSort) -> Option<SortKey> {
    let text = |t: &Option<String>| t.clone().map(SortKey::Text);
    match by {
        JobSort::Id => Some(SortKey::Text(j.id.clone())),
        JobSort::ExecutionId => text(&j.execution_id),
        JobSort::ProcessInstanceId => text(&j.process_instance_id),
        JobSort::ProcessDefinitionId => text(&j.process_definition_id),
        JobSort::ProcessDefinitionKey => text(&j.process_definition_key),
        JobSort::Retries => Some(SortKey::Number(i64::from(j.retries))),
        JobSort::Due => j.due.map(SortKey::Number),
        JobSort::Priority => Some(SortKey::Number(j.priority)),
        JobSort::TenantId => text(&j.tenant_id),
    }
}

/// Words to sort job definitions by.
pub const DEFINITION_SORTS: [(&str, JobDefinitionSort); 7] = [
    ("jobDefinitionId", JobDefinitionSort::Id),
    ("activityId", JobDefinitionSort::ActivityId),
    ("processDefinitionId", JobDefinitionSort::ProcessDefinitionId),
    ("processDefinitionKey", JobDefinitionSort::ProcessDefinitionKey),
    ("jobType", JobDefinitionSort::JobType),
    ("jobConfiguration", JobDefinitionSort::JobConfiguration),
    ("tenantId", JobDefinitionSort::TenantId),
];

/// Reads a query for job definitions, without its sorting.
///
/// # Errors
/// As the getters of [`Input`].
pub fn definition_query(input: &Input<'_>) -> Result<JobDefinitionQuery, ApiError> {
    Ok(JobDefinitionQuery {
        id: input.text("jobDefinitionId")?,
        activity_id_in: input.filled_list("activityIdIn")?,
        process_definition_id: input.text("processDefinitionId")?,
        process_definition_key: input.text("processDefinitionKey")?,
        job_type: input.text("jobType")?,
        job_configuration: input.text("jobConfiguration")?,
        active: input.yes("active")?,
        suspended: input.yes("suspended")?,
        with_overriding_priority: input.yes("withOverridingJobPriority")?,
        tenants: input.tenants("includeJobDefinitionsWithoutTenantId")?,
        sort: None,
    })
}
