//! What a worker says of an external task it has taken.

use axum::extract::Path;
use axum::http::StatusCode;
use shared::process::instance::ExternalTask;
use shared::runner::Command;

use super::external_task::{known, on};
use crate::dto::external_task::is_locked;
use crate::dto::values;
use crate::error::{Answer, ApiError};
use crate::extract::{Ask, Json};
use crate::input::Input;

fn worker(input: &Input<'_>) -> Result<String, ApiError> {
    input.text("workerId")?.ok_or_else(|| ApiError::engine("NullValueException", "workerId is null"))
}

fn refused(message: String) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "RestException", message, Some(0))
}

/// Only the worker that has it may speak of it. `what` and `does` make the reference's sentence.
fn must_hold(task: &ExternalTask, worker: &str, what: &str, does: &str) -> Result<(), ApiError> {
    if task.worker_id.as_deref() == Some(worker) {
        return Ok(());
    }
    let holder = task.worker_id.as_deref().unwrap_or("null");
    Err(refused(format!("{what} {} cannot be {does} by worker '{worker}'. It is locked by worker '{holder}'.", task.id)))
}

pub(super) async fn complete(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let worker = worker(&input)?;
    let command = Command::CompleteExternalTask {
        id: id.clone(),
        variables: values::read_map(&input, "variables")?.unwrap_or_default(),
        local_variables: values::read_map(&input, "localVariables")?.unwrap_or_default(),
    };
    must_hold(&known(&ask, &id).await?.1, &worker, "External Task", "completed")?;
    on(&ask, &id, command).await
}

pub(super) async fn failure(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let worker = worker(&input)?;
    let timeout = input.long("retryTimeout")?.unwrap_or(0);
    let retries = input.int("retries")?.unwrap_or(0);
    let (_, task) = known(&ask, &id).await?;
    must_hold(&task, &worker, "Failure of External Task", "reported")?;
    if retries < 0 || timeout < 0 {
        let name = if retries < 0 { "retries" } else { "retryTimeout" };
        return Err(refused(format!("{name} is not greater than or equal to 0")));
    }
    let message = input.text("errorMessage")?.map(|m| shared::job::cut(&m).to_owned());
    let command = Command::FailExternalTask {
        id: id.clone(),
        message,
        // A failure that says nothing more leaves what was said before.
        details: input.text("errorDetails")?.or(task.error_details),
        retries,
        retry_at: ask.state.clock.now() + timeout,
        variables: values::read_map(&input, "variables")?.unwrap_or_default(),
        local_variables: values::read_map(&input, "localVariables")?.unwrap_or_default(),
    };
    on(&ask, &id, command).await
}

pub(super) async fn bpmn_error(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let worker = worker(&input)?;
    let code = input.text("errorCode")?.ok_or_else(|| ApiError::engine("NullValueException", "errorCode is null"))?;
    let (_, task) = known(&ask, &id).await?;
    must_hold(&task, &worker, "Bpmn error of External Task", "reported")?;
    let command = Command::ExternalTaskError {
        id: id.clone(),
        code,
        message: input.text("errorMessage")?,
        variables: values::read_map(&input, "variables")?.unwrap_or_default(),
    };
    on(&ask, &id, command).await
}

fn duration(input: &Input<'_>, name: &str) -> Result<i64, ApiError> {
    let duration = input.long(name)?.filter(|d| *d > 0);
    duration.ok_or_else(|| refused("lockTime is not greater than 0".to_owned()))
}

pub(super) async fn extend_lock(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let worker = worker(&input)?;
    let (_, task) = known(&ask, &id).await?;
    let until = ask.state.clock.now() + duration(&input, "newDuration")?;
    if task.worker_id.as_deref() != Some(worker.as_str()) {
        let holder = task.worker_id.as_deref().unwrap_or("null");
        // The doubled quote is the reference's.
        let message =
            format!("The lock of the External Task {id} cannot be extended by worker '{worker}''. It is locked by worker '{holder}'.");
        return Err(refused(message));
    }
    on(&ask, &id, Command::ExtendExternalTaskLock { id: id.clone(), until }).await
}

pub(super) async fn lock(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let worker_id = worker(&input)?;
    let (_, task) = known(&ask, &id).await?;
    let now = ask.state.clock.now();
    let until = now + duration(&input, "lockDuration")?;
    if task.worker_id.as_deref() != Some(worker_id.as_str()) && is_locked(&task, now) {
        must_hold(&task, &worker_id, "External Task", "locked")?;
    }
    on(&ask, &id, Command::LockExternalTask { id: id.clone(), worker_id, until }).await
}
