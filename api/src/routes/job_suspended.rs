//! Suspending and activating jobs, one or many (spec-batch-rest §2.5). What is not there is no error.

use axum::extract::Path;
use shared::runner::Command;
use shared::store::query::{InstanceQuery, JobDefinitionQuery, JobQuery, Page};

use super::job::{Found, find, locate};
use super::job_command::published;
use crate::command::run;
use crate::error::{Answer, ApiError, done};
use crate::extract::{Ask, Json};
use crate::scan;

const SEVERAL: &str = "Only one of jobId, jobDefinitionId, processInstanceId, processDefinitionId or processDefinitionKey should be set to update the suspension state.";
const SELECTORS: [&str; 4] = ["jobDefinitionId", "processInstanceId", "processDefinitionId", "processDefinitionKey"];

pub(super) async fn one(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    for name in SELECTORS {
        if input.text(name)?.is_some() {
            return Err(ApiError::invalid(SEVERAL));
        }
    }
    suspend(&ask, &id, input.yes("suspended")?).await?;
    done()
}

async fn suspend(ask: &Ask, id: &str, suspended: bool) -> Result<(), ApiError> {
    match locate(ask, id).await? {
        None => {}
        Some(Found::Batch(work, _)) => {
            let woken = ask.store().set_batch_job_suspended(&ask.caller, &work, suspended).await?;
            published(ask, &work.batch, woken).await?;
        }
        Some(Found::Instance(instance, _)) => {
            run(ask, &instance, Command::SuspendJob { job_id: id.to_owned(), suspended }).await?;
        }
    }
    Ok(())
}

pub(super) async fn many(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    if input.text("jobId")?.is_some() {
        let message = "Either jobDefinitionId, processInstanceId, processDefinitionId or processDefinitionKey can be set to update the suspension state.";
        return Err(ApiError::invalid(message));
    }
    let mut given = vec![];
    for name in SELECTORS {
        given.extend(input.text(name)?.map(|value| (name, value)));
    }
    let suspended = input.yes("suspended")?;
    match given.as_slice() {
        [] => {
            let message = "Either jobId, jobDefinitionId, processInstanceId, processDefinitionId or processDefinitionKey should be set to update the suspension state.";
            Err(ApiError::invalid(message))
        }
        [(name, value)] => {
            match *name {
                "jobDefinitionId" => of_definition(&ask, value, suspended).await?,
                "processInstanceId" => {
                    of_instances(&ask, InstanceQuery { ids: Some(vec![value.clone()]), ..InstanceQuery::default() }, vec![], suspended)
                        .await?
                }
                "processDefinitionId" => {
                    of_instances(&ask, InstanceQuery { definition_id: Some(value.clone()), ..InstanceQuery::default() }, vec![], suspended)
                        .await?;
                }
                _ => {
                    let mut query = InstanceQuery { definition_key: Some(value.clone()), ..InstanceQuery::default() };
                    query.tenants.tenant_id_in = input.text("processDefinitionTenantId")?.map(|t| vec![t]);
                    query.tenants.without_tenant_id = input.yes("processDefinitionWithoutTenantId")?;
                    of_instances(&ask, query, vec![], suspended).await?;
                }
            }
            done()
        }
        _ => Err(ApiError::invalid(SEVERAL)),
    }
}

/// The jobs of one definition, of a process or of a batch; the definition itself stays as it is.
async fn of_definition(ask: &Ask, id: &str, suspended: bool) -> Result<(), ApiError> {
    let query = JobDefinitionQuery { id: Some(id.to_owned()), ..JobDefinitionQuery::default() };
    let definitions = ask.store().job_definitions(&ask.caller, &query, Page { first: 0, max: Some(1) }).await?;
    let Some(definition) = definitions.into_iter().next() else { return Ok(()) };
    if let (Some(process), Some(activity)) = (&definition.process_definition_id, &definition.activity_id) {
        let instances = InstanceQuery { definition_id: Some(process.clone()), ..InstanceQuery::default() };
        return of_instances(ask, instances, vec![(activity.clone(), definition.job_type.clone())], suspended).await;
    }
    let jobs = JobQuery { job_definition_id: Some(id.to_owned()), active: suspended, suspended: !suspended, ..JobQuery::default() };
    for job in find(ask, &jobs, &[], Page::default()).await? {
        suspend(ask, &job.id, suspended).await?;
    }
    Ok(())
}

/// The jobs of all instances that match: those of these (activity, type) pairs, or all.
async fn of_instances(ask: &Ask, query: InstanceQuery, of: Vec<(String, String)>, suspended: bool) -> Result<(), ApiError> {
    let with_jobs = |stored: &shared::store::views::StoredInstance, ids: &mut Vec<String>| {
        if !stored.instance.jobs.is_empty() {
            ids.push(stored.instance.id.clone());
        }
    };
    for id in scan::collect(ask, &query, with_jobs).await? {
        run(ask, &id, Command::SuspendJobs { of: of.clone(), suspended }).await?;
    }
    Ok(())
}
