//! `/job-definition` (spec-batch-rest §2.6): of processes and of batches.

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, put};
use serde_json::Value;
use shared::job::WorkRef;
use shared::runner::Command;
use shared::store::SuspendScope;
use shared::store::query::{InstanceQuery, JobDefinitionQuery, Page};

use super::job::is_batch_definition;
use super::job_command::{published, retries_of};
use crate::command::run;
use crate::dto::job::{self as dto, DEFINITION_SORTS};
use crate::error::{Answer, ApiError, count, done, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::scan;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/job-definition", get(list).post(post_list))
        .route("/job-definition/count", get(count_definitions).post(post_count))
        .route("/job-definition/suspended", put(suspend_many))
        .route("/job-definition/{id}", get(one))
        .route("/job-definition/{id}/suspended", put(suspend))
        .route("/job-definition/{id}/retries", put(set_retries))
        .route("/job-definition/{id}/jobPriority", put(set_priority))
}

async fn list(ask: Ask) -> Answer {
    answer_list(&ask, &ask.input()).await
}

async fn post_list(ask: Ask, body: Json) -> Answer {
    answer_list(&ask, &body.input()).await
}

async fn answer_list(ask: &Ask, input: &Input<'_>) -> Answer {
    let mut query = dto::definition_query(input)?;
    query.sort = paging::sorting(input, &DEFINITION_SORTS)?.first().copied();
    let found = ask.store().job_definitions(&ask.caller, &query, ask.page()?).await?;
    ok(found.iter().map(dto::definition).collect::<Value>())
}

async fn count_definitions(ask: Ask) -> Answer {
    count(ask.store().count_job_definitions(&ask.caller, &dto::definition_query(&ask.input())?).await?)
}

async fn post_count(ask: Ask, body: Json) -> Answer {
    count(ask.store().count_job_definitions(&ask.caller, &dto::definition_query(&body.input())?).await?)
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    let query = JobDefinitionQuery { id: Some(id.clone()), ..JobDefinitionQuery::default() };
    let found = ask.store().job_definitions(&ask.caller, &query, Page { first: 0, max: Some(1) }).await?;
    match found.first() {
        Some(definition) => ok(dto::definition(definition)),
        None => Err(ApiError::not_found(format!("Job Definition with id {id} does not exist"))),
    }
}

/// One of the three job definitions of a batch.
fn of_batch(id: &str) -> Option<WorkRef> {
    shared::id::split(id).filter(|(_, number)| is_batch_definition(*number)).map(|(batch, number)| WorkRef::new(batch, number))
}

/// A date in the future would have to wait: Drover does it at once or not at all.
pub(super) fn not_later(ask: &Ask, input: &Input<'_>) -> Result<(), ApiError> {
    match input.date("executionDate")? {
        Some(at) if at > ask.state.clock.now() => {
            Err(ApiError::invalid("executionDate lies in the future, which is not supported: send the request when it is due"))
        }
        _ => Ok(()),
    }
}

async fn suspend(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    not_later(&ask, &input)?;
    suspend_one(&ask, &id, input.yes("suspended")?, input.yes("includeJobs")?).await?;
    done()
}

async fn suspend_one(ask: &Ask, id: &str, suspended: bool, jobs: bool) -> Result<(), ApiError> {
    if let Some(work) = of_batch(id) {
        let scope = if jobs { SuspendScope::DefinitionAndJobs } else { SuspendScope::DefinitionOnly };
        if let Some(woken) = ask.store().set_definition_suspended(&ask.caller, &work, suspended, scope).await? {
            published(ask, &work.batch, Some(woken)).await?;
            return Ok(());
        }
    }
    let due = ask.store().set_process_job_definition_suspended(&ask.caller, id, suspended, jobs).await?;
    ask.state.publish_instances(due.unwrap_or_default());
    Ok(())
}

async fn suspend_many(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    if input.text("jobDefinitionId")?.is_some() {
        let message = "Either processDefinitionId or processDefinitionKey can be set to update the suspension state.";
        return Err(ApiError::invalid(message));
    }
    let (definition, key) = (input.text("processDefinitionId")?, input.text("processDefinitionKey")?);
    let mut query = JobDefinitionQuery::default();
    match (definition, key) {
        (None, None) => {
            let message =
                "Either jobDefinitionId, processDefinitionId or processDefinitionKey should be set to update the suspension state.";
            return Err(ApiError::invalid(message));
        }
        (Some(_), Some(_)) => {
            let message =
                "Only one of jobDefinitionId, processDefinitionId or processDefinitionKey should be set to update the suspension state.";
            return Err(ApiError::invalid(message));
        }
        (definition, key) => (query.process_definition_id, query.process_definition_key) = (definition, key),
    }
    query.tenants.tenant_id_in = input.text("processDefinitionTenantId")?.map(|t| vec![t]);
    query.tenants.without_tenant_id = input.yes("processDefinitionWithoutTenantId")?;
    not_later(&ask, &input)?;
    let (suspended, jobs) = (input.yes("suspended")?, input.yes("includeJobs")?);
    for definition in ask.store().job_definitions(&ask.caller, &query, Page::default()).await? {
        suspend_one(&ask, &definition.id, suspended, jobs).await?;
    }
    done()
}

/// Only jobs with no retries left take the new ones; an unknown definition is no error.
async fn set_retries(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let (retries, due) = retries_of(&body.input())?;
    if let Some(work) = of_batch(&id)
        && let Some(woken) = ask.store().set_definition_retries(&ask.caller, &work, retries, due).await?
    {
        published(&ask, &work.batch, Some(woken)).await?;
        return done();
    }
    let broken = InstanceQuery { with_incident: true, ..InstanceQuery::default() };
    let failed = scan::collect(&ask, &broken, |stored, found| {
        if stored.instance.jobs.iter().any(|j| j.retries == 0 && j.job_definition_id.as_deref() == Some(&id)) {
            found.push(stored.instance.id.clone());
        }
    });
    for instance in failed.await? {
        run(&ask, &instance, Command::SetJobDefinitionRetries { job_definition_id: id.clone(), retries, due }).await?;
    }
    done()
}

async fn set_priority(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let (priority, jobs) = (input.long("priority")?, input.yes("includeJobs")?);
    if priority.is_none() && jobs {
        return Err(ApiError::invalid(format!("Cannot reset priority for job definition {id} with includeJobs=true")));
    }
    if let Some(work) = of_batch(&id)
        && let Some(woken) = ask.store().set_definition_priority(&ask.caller, &work, priority).await?
    {
        published(&ask, &work.batch, Some(woken)).await?;
        return done();
    }
    // Existing jobs always take the new priority (FINDINGS 7).
    match ask.store().set_process_job_definition_priority(&ask.caller, &id, priority, jobs || priority.is_some()).await? {
        Some(()) => done(),
        None => Err(ApiError::not_found(format!("Job definition with id '{id}' does not exist: jobDefinition is null"))),
    }
}
