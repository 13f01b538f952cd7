//! Commands on one job (spec-batch-rest §2.5).

use axum::extract::Path;
use axum::http::StatusCode;
use shared::id::MONITOR_JOB;
use shared::job::WorkRef;
use shared::runner::Command;
use shared::store;
use shared::store::query::HistoricBatchQuery;
use shared::work::ByHand;

use super::job::{Found, locate};
use crate::command::run;
use crate::error::{Answer, ApiError, done};
use crate::extract::{Ask, Json};
use crate::input::Input;

/// What a verb on a job of a batch gave back: work to be published.
pub(super) async fn published(ask: &Ask, batch: &str, work: Option<Vec<WorkRef>>) -> Result<bool, ApiError> {
    let there = work.is_some();
    ask.state.publish_work(work.unwrap_or_default());
    ask.state.look(batch).await?;
    Ok(there)
}

fn failed(message: String) -> ApiError {
    ApiError::invalid(message).with_status(StatusCode::INTERNAL_SERVER_ERROR)
}

/// `retries`, and the due date if there is such a key, even a null.
pub(super) fn retries_of(input: &Input<'_>) -> Result<(i32, Option<Option<i64>>), ApiError> {
    let retries = input.int("retries")?.ok_or_else(|| ApiError::invalid("retries is null"))?;
    if retries < 0 {
        let message = format!("ENGINE-13054 The number of job retries must be a non-negative Integer, but '{retries}' has been provided.");
        return Err(failed(message));
    }
    let due = if input.has_key("dueDate") { Some(input.date("dueDate")?) } else { None };
    Ok((retries, due))
}

pub(super) async fn set_retries(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let (retries, due) = retries_of(&body.input())?;
    let there = match locate(&ask, &id).await? {
        None => false,
        Some(Found::Batch(work, _)) => {
            let woken = ask.store().set_batch_job_retries(&ask.caller, &work, retries, due).await?;
            published(&ask, &work.batch, woken).await?
        }
        Some(Found::Instance(instance, _)) => {
            run(&ask, &instance, Command::SetJobRetries { job_id: id.clone(), retries, due }).await?.is_some()
        }
    };
    // The stray quote is the reference's.
    if there { done() } else { Err(failed(format!("ENGINE-13053 No job found with id '{id}'.'"))) }
}

pub(super) async fn set_due(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let (due, cascade) = (input.date("duedate")?, input.yes("cascade")?);
    let there = match locate(&ask, &id).await? {
        None => false,
        Some(Found::Batch(work, _)) => {
            let woken = ask.store().set_batch_job_due(&ask.caller, &work, due).await?;
            published(&ask, &work.batch, woken).await?
        }
        Some(Found::Instance(instance, _)) => {
            run(&ask, &instance, Command::SetJobDue { job_id: id.clone(), due, cascade }).await?.is_some()
        }
    };
    if there { done() } else { Err(failed(format!("No job found with id '{id}'."))) }
}

fn no_job(id: &str) -> ApiError {
    ApiError::not_found(format!("No job found with id '{id}': job is null"))
}

/// Jobs of batches are no timers: theirs stays as it is.
pub(super) async fn recalculate(ask: Ask, Path(id): Path<String>) -> Answer {
    let creation_based = ask.input().flag("creationDateBased")?.unwrap_or(true);
    match locate(&ask, &id).await? {
        None => Err(no_job(&id).with_code(Some(0))),
        Some(Found::Batch(..)) => done(),
        Some(Found::Instance(instance, _)) => {
            run(&ask, &instance, Command::RecalculateDue { job_id: id.clone(), creation_based }).await?;
            done()
        }
    }
}

pub(super) async fn set_priority(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let Some(priority) = body.input().long("priority")? else {
        return Err(ApiError::invalid(format!("Priority for job '{id}' cannot be null.")).with_kind("RestException"));
    };
    let there = match locate(&ask, &id).await? {
        None => false,
        Some(Found::Batch(work, _)) => {
            let woken = ask.store().set_batch_job_priority(&ask.caller, &work, priority).await?;
            published(&ask, &work.batch, woken).await?
        }
        Some(Found::Instance(instance, _)) => {
            run(&ask, &instance, Command::SetJobPriority { job_id: id.clone(), priority }).await?.is_some()
        }
    };
    if there { done() } else { Err(no_job(&id).with_code(Some(0))) }
}

pub(super) async fn delete(ask: Ask, Path(id): Path<String>) -> Answer {
    let there = match locate(&ask, &id).await? {
        None => false,
        Some(Found::Batch(work, _)) => {
            let woken = ask.store().delete_batch_job(&ask.caller, &work).await?;
            published(&ask, &work.batch, woken).await?
        }
        Some(Found::Instance(instance, _)) => run(&ask, &instance, Command::DeleteJob { job_id: id.clone() }).await?.is_some(),
    };
    if there { done() } else { Err(no_job(&id)) }
}

/// Runs the job in this request. Whatever the engine refuses is a 404 (spec-batch-rest §2.5), and charged to the job.
pub(super) async fn execute(ask: Ask, Path(id): Path<String>) -> Answer {
    let none = || ApiError::not_found(format!("ENGINE-14026 No job found with id '{id}'"));
    match locate(&ask, &id).await? {
        None if was_monitor_job(&ask, &id).await? => done(),
        None => Err(none()),
        Some(Found::Batch(work, _)) => match ask.state.steps.execute_by_hand(&work).await? {
            ByHand::Done => done(),
            ByHand::Failed(failure) => Err(ApiError::not_found(failure.message)),
            ByHand::NoSuchJob => Err(none()),
        },
        Some(Found::Instance(instance, _)) => execute_own(&ask, &instance, &id).await,
    }
}

/// Executing the monitor job of a batch just completed is no error (design §7.5).
async fn was_monitor_job(ask: &Ask, id: &str) -> Result<bool, ApiError> {
    match shared::id::split(id) {
        Some((batch, MONITOR_JOB)) => {
            let query = HistoricBatchQuery { id: Some(batch), ..HistoricBatchQuery::default() };
            Ok(ask.store().count_historic_batches(&ask.caller, &query).await? > 0)
        }
        _ => Ok(false),
    }
}

async fn execute_own(ask: &Ask, instance: &str, id: &str) -> Answer {
    let outcome = ask.store().command(&ask.caller, instance, Command::ExecuteJob { job_id: id.to_owned() }).await;
    match outcome {
        Ok(None) => Err(ApiError::not_found(format!("ENGINE-14026 No job found with id '{id}'"))),
        Ok(Some(outcome)) => {
            ask.state.publish_instances(outcome.due);
            done()
        }
        Err(store::Error::Refused(refusal)) => {
            let failure = Command::JobFailed {
                job_id: id.to_owned(),
                message: refusal.message.clone(),
                details: refusal.to_string(),
                failed_activity: refusal.failed_activity.clone(),
            };
            run(ask, instance, failure).await?;
            Err(ApiError::not_found(refusal.message))
        }
        Err(error) => Err(error.into()),
    }
}
