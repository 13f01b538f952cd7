//! `/history/job-log` (spec-batch-rest §2.7), of batches and of instances.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::{Value, json};
use shared::process::history::JobEvent;
use shared::store::query::{JobLogQuery, JobLogSort, Order, Page};
use shared::store::views::JobLogRow;

use crate::dates;
use crate::dto::trace;
use crate::error::{Answer, ApiError, count, ok, text};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/history/job-log", get(list).post(post_list))
        .route("/history/job-log/count", get(count_rows).post(post_count))
        .route("/history/job-log/{id}", get(one))
        .route("/history/job-log/{id}/stacktrace", get(stacktrace))
}

fn show(r: &JobLogRow) -> Value {
    json!({
        "id": r.id,
        "timestamp": dates::format(r.time),
        "removalTime": null,
        "jobId": r.job_id,
        "jobDueDate": dates::json(r.job_due),
        "jobRetries": r.job_retries,
        "jobPriority": r.job_priority,
        "jobExceptionMessage": r.exception_message,
        "jobDefinitionId": r.job_definition_id,
        "jobDefinitionType": r.job_definition_type,
        "jobDefinitionConfiguration": r.job_definition_configuration,
        "activityId": r.activity_id,
        "failedActivityId": r.failed_activity_id,
        "executionId": r.execution_id,
        "processInstanceId": r.process_instance_id,
        "processDefinitionId": r.process_definition_id,
        "processDefinitionKey": r.process_definition_key,
        "deploymentId": r.deployment_id,
        "tenantId": r.tenant_id,
        "hostname": r.hostname,
        "rootProcessInstanceId": r.root_process_instance_id,
        "batchId": r.batch_id,
        "creationLog": r.event == JobEvent::Created,
        "failureLog": r.event == JobEvent::Failed,
        "successLog": r.event == JobEvent::Succeeded,
        "deletionLog": r.event == JobEvent::Deleted,
    })
}

const SORTS: [(&str, JobLogSort); 12] = [
    ("timestamp", JobLogSort::Timestamp),
    ("occurrence", JobLogSort::Occurrence),
    ("jobRetries", JobLogSort::Retries),
    ("jobPriority", JobLogSort::Priority),
    ("jobId", JobLogSort::JobId),
    ("jobDefinitionId", JobLogSort::JobDefinitionId),
    ("jobDueDate", JobLogSort::Due),
    ("id", JobLogSort::Id),
    ("processInstanceId", JobLogSort::ProcessInstanceId),
    ("processDefinitionId", JobLogSort::ProcessDefinitionId),
    ("deploymentId", JobLogSort::DeploymentId),
    ("tenantId", JobLogSort::TenantId),
];

fn query(input: &Input<'_>) -> Result<JobLogQuery, ApiError> {
    let kinds = [
        ("creationLog", JobEvent::Created),
        ("failureLog", JobEvent::Failed),
        ("successLog", JobEvent::Succeeded),
        ("deletionLog", JobEvent::Deleted),
    ];
    let mut wanted = vec![];
    for (name, kind) in kinds {
        if input.yes(name)? {
            wanted.push(kind);
        }
    }
    Ok(JobLogQuery {
        id: input.text("logId")?,
        job_id: input.text("jobId")?,
        exception_message: input.text("jobExceptionMessage")?,
        job_definition_id: input.text("jobDefinitionId")?,
        job_definition_type: input.text("jobDefinitionType")?,
        job_definition_configuration: input.text("jobDefinitionConfiguration")?,
        process_instance_id: input.text("processInstanceId")?,
        process_definition_id: input.text("processDefinitionId")?,
        process_definition_key: input.text("processDefinitionKey")?,
        deployment_id: input.text("deploymentId")?,
        execution_id: input.filled_list("executionIdIn")?.and_then(|ids| ids.into_iter().next()),
        activity_ids: input.filled_list("activityIdIn")?,
        failed_activity_ids: input.filled_list("failedActivityIdIn")?,
        hostname: input.text("hostname")?,
        priority_at_least: input.long("jobPriorityHigherThanOrEquals")?,
        priority_at_most: input.long("jobPriorityLowerThanOrEquals")?,
        tenants: input.tenants("includeJobLogsWithoutTenantId")?,
        kinds: wanted,
        sort: None,
    })
}

async fn answer_list(ask: &Ask, input: &Input<'_>) -> Answer {
    let mut query = query(input)?;
    query.sort = paging::sorting(input, &SORTS)?.first().copied();
    let rows = ask.store().job_log(&ask.caller, &query, ask.page()?).await?;
    ok(rows.iter().map(show).collect::<Value>())
}

async fn list(ask: Ask) -> Answer {
    answer_list(&ask, &ask.input()).await
}

async fn post_list(ask: Ask, body: Json) -> Answer {
    answer_list(&ask, &body.input()).await
}

async fn count_rows(ask: Ask) -> Answer {
    count(ask.store().count_job_log(&ask.caller, &query(&ask.input())?).await?)
}

async fn post_count(ask: Ask, body: Json) -> Answer {
    count(ask.store().count_job_log(&ask.caller, &query(&body.input())?).await?)
}

const FIRST: Page = Page { first: 0, max: Some(1) };

async fn find(ask: &Ask, id: &str) -> Result<Option<JobLogRow>, ApiError> {
    let query = JobLogQuery { id: Some(id.to_owned()), ..JobLogQuery::default() };
    Ok(ask.store().job_log(&ask.caller, &query, FIRST).await?.into_iter().next())
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    match find(&ask, &id).await? {
        Some(row) => ok(show(&row)),
        None => Err(ApiError::not_found(format!("Historic job log with id {id} does not exist"))),
    }
}

async fn stacktrace(ask: Ask, Path(id): Path<String>) -> Answer {
    match find(&ask, &id).await? {
        Some(row) => text(trace::show(row.stacktrace)),
        None => Err(ApiError::not_found(format!("No historic job log found with id {id}: historicJobLog is null"))),
    }
}

/// The log row of the failure that an incident of a job tells of.
pub(super) async fn last_failure(ask: &Ask, incident: &Value) -> Result<Option<String>, ApiError> {
    let Some(job) = incident["configuration"].as_str().filter(|_| incident["incidentType"] == "failedJob") else { return Ok(None) };
    let query = JobLogQuery {
        job_id: Some(job.to_owned()),
        kinds: vec![JobEvent::Failed],
        sort: Some((JobLogSort::Timestamp, Order::Descending)),
        ..JobLogQuery::default()
    };
    Ok(ask.store().job_log(&ask.caller, &query, FIRST).await?.into_iter().next().map(|row| row.id))
}
