//! Commands on one task (spec-batch-rest §4.5, FINDINGS 16).

use axum::extract::Path;
use shared::process::instance::Task;
use shared::runner::Command;
use shared::runner::command::TaskChange;
use shared::runner::standalone::StandaloneTask;
use shared::store::views::StoredInstance;

use super::task::find;
use super::variables::{Kind, returned, visible};
use crate::command::run;
use crate::dto::values;
use crate::error::{Answer, ApiError, done, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;

/// Of a task whose maker gives none.
const DEFAULT_PRIORITY: i64 = 50;

fn unknown(kind: &'static str, id: &str) -> ApiError {
    let error = ApiError::engine(kind, format!("Cannot find task with id {id}: task is null"));
    if kind == "NotFoundException" { error.with_status(axum::http::StatusCode::BAD_REQUEST) } else { error }
}

pub(super) async fn known(ask: &Ask, kind: &'static str, id: &str) -> Result<(StoredInstance, Task), ApiError> {
    find(ask, id).await?.ok_or_else(|| unknown(kind, id))
}

/// Runs a command on a task, of an instance or of none. None: it has gone meanwhile.
pub(super) async fn run_on(ask: &Ask, stored: &StoredInstance, task: &str, command: Command) -> Result<Option<()>, ApiError> {
    if stored.instance.id.is_empty() {
        return Ok(ask.store().command_standalone_task(&ask.caller, task, command).await?);
    }
    Ok(run(ask, &stored.instance.id, command).await?.map(drop))
}

fn delegation_state(input: &Input<'_>) -> Result<Option<String>, ApiError> {
    let Some(given) = input.text("delegationState")? else { return Ok(None) };
    let state = given.to_uppercase();
    if !matches!(state.as_str(), "PENDING" | "RESOLVED") {
        let message = format!("Valid values for property 'delegationState' are 'PENDING' or 'RESOLVED', but was '{given}'");
        return Err(ApiError::invalid(message));
    }
    Ok(Some(state))
}

/// A task of no instance, alone or below another one.
pub(super) async fn create(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let task = Task {
        id: input.text("id")?.unwrap_or_default(),
        name: input.text("name")?,
        description: input.text("description")?,
        assignee: input.text("assignee")?,
        owner: input.text("owner")?,
        delegation_state: delegation_state(&input)?,
        priority: input.long("priority")?.unwrap_or(DEFAULT_PRIORITY),
        due: input.date("due")?,
        follow_up: input.date("followUp")?,
        parent_task: input.text("parentTaskId")?,
        ..Task::default()
    };
    let new = StandaloneTask { task, tenant_id: input.text("tenantId")?, ..StandaloneTask::default() };
    let words = |error: ApiError| match error.kind.as_ref() {
        "NotValidException" => error.prefixed("Could not save task: ").with_kind("InvalidRequestException"),
        _ => error,
    };
    ask.store().create_standalone_task(&ask.caller, new).await.map_err(|e| words(e.into()))?;
    done()
}

/// Only of no instance: an instance's task ends with its activity. An unknown one is no error.
pub(super) async fn delete(ask: Ask, Path(id): Path<String>) -> Answer {
    let Some((stored, _)) = find(&ask, &id).await? else { return done() };
    if !stored.instance.id.is_empty() {
        let message = "The task cannot be deleted because is part of a running process";
        return Err(ApiError::engine("ProcessEngineException", message));
    }
    let command = Command::Delete { reason: None, skip_custom_listeners: false, skip_io_mappings: false };
    run_on(&ask, &stored, &id, command).await?;
    done()
}

pub(super) async fn complete(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let prefix = format!("Cannot complete task {id}: ");
    let input = body.input();
    let with_variables = input.yes("withVariablesInReturn")?;
    let variables = values::read_map(&input, "variables").map_err(|e| e.wrapped(&prefix))?.unwrap_or_default();
    let (stored, _) = known(&ask, "NullValueException", &id).await.map_err(|e| e.wrapped(&prefix))?;
    let answer = with_variables.then(|| returned(visible(&stored.instance, Kind::Task, &id), &variables));
    let command = Command::CompleteTask { task_id: id.clone(), variables };
    let outcome = run_on(&ask, &stored, &id, command).await.map_err(|e| e.wrapped(&prefix))?;
    outcome.ok_or_else(|| unknown("NullValueException", &id).wrapped(&prefix))?;
    match answer {
        Some(variables) => ok(variables),
        None => done(),
    }
}

pub(super) async fn change(ask: &Ask, stored: &StoredInstance, id: &str, change: TaskChange) -> Answer {
    let command = Command::UpdateTask { task_id: id.to_owned(), change };
    run_on(ask, stored, id, command).await?.ok_or_else(|| unknown("NullValueException", id))?;
    done()
}

pub(super) async fn claim(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let user = body.input().text("userId")?;
    let (stored, task) = known(&ask, "NullValueException", &id).await?;
    if task.assignee.is_some() && task.assignee != user {
        let message = format!("Task '{id}' is already claimed by someone else.");
        return Err(ApiError::engine("TaskAlreadyClaimedException", message));
    }
    change(&ask, &stored, &id, TaskChange { assignee: Some(user), ..TaskChange::default() }).await
}

pub(super) async fn unclaim(ask: Ask, Path(id): Path<String>) -> Answer {
    let (stored, _) = known(&ask, "NotFoundException", &id).await?;
    change(&ask, &stored, &id, TaskChange { assignee: Some(None), ..TaskChange::default() }).await
}

pub(super) async fn assign(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let user = body.input().text("userId")?;
    let (stored, _) = known(&ask, "NotFoundException", &id).await?;
    change(&ask, &stored, &id, TaskChange { assignee: Some(user), ..TaskChange::default() }).await
}

/// The one who had it becomes the owner, unless there is one.
pub(super) async fn delegate(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let user = body.input().text("userId")?;
    let (stored, task) = known(&ask, "NullValueException", &id).await?;
    let owner = task.owner.is_none().then(|| task.assignee.clone());
    let to = TaskChange { assignee: Some(user), owner, delegation_state: Some(Some("PENDING".to_owned())), ..TaskChange::default() };
    change(&ask, &stored, &id, to).await
}

/// Gives it back to its owner.
pub(super) async fn resolve(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let variables = values::read_map(&body.input(), "variables")?.unwrap_or_default();
    let (stored, task) = known(&ask, "NullValueException", &id).await?;
    if !variables.is_empty() {
        let scope = shared::runner::command::VariableScope::Task(id.clone());
        run_on(&ask, &stored, &id, Command::SetVariables { scope, variables, local: false }).await?;
    }
    let to = TaskChange { assignee: Some(task.owner), delegation_state: Some(Some("RESOLVED".to_owned())), ..TaskChange::default() };
    change(&ask, &stored, &id, to).await
}

/// A whole task: what the body leaves out is cleared, as in the reference; its priority stays.
pub(super) async fn update(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let none = || ApiError::not_found(format!("No matching task with id {id}"));
    let (stored, _) = find(&ask, &id).await?.ok_or_else(none)?;
    let to = TaskChange {
        assignee: Some(input.text("assignee")?),
        owner: Some(input.text("owner")?),
        delegation_state: Some(input.text("delegationState")?),
        name: Some(input.text("name")?),
        description: Some(input.text("description")?),
        priority: input.long("priority")?,
        due: Some(input.date("due")?),
        follow_up: Some(input.date("followUp")?),
        ..TaskChange::default()
    };
    change(&ask, &stored, &id, to).await
}
