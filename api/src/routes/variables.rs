//! Variables of instances, executions and tasks (spec-batch-rest §4.4, §4.6): one set of handlers, four scopes.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::Value;
use shared::process::instance::Instance;
use shared::process::value::TypedValue;
use shared::runner::Command;
use shared::runner::command::VariableScope;
use shared::store::views::StoredInstance;

use crate::command::run;
use crate::dto::values;
use crate::error::{Answer, ApiError, done, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::scan;
use crate::state::ApiState;

/// Whose variables.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Instance,
    /// Of one execution alone.
    ExecutionLocal,
    /// What a task sees.
    Task,
    TaskLocal,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Instance => "process instance",
            Self::ExecutionLocal => "execution",
            Self::Task | Self::TaskLocal => "task",
        }
    }

    fn is_task(self) -> bool {
        matches!(self, Self::Task | Self::TaskLocal)
    }

    fn is_local(self) -> bool {
        matches!(self, Self::ExecutionLocal | Self::TaskLocal)
    }

    fn scope(self, id: &str) -> VariableScope {
        if self.is_task() { VariableScope::Task(id.to_owned()) } else { VariableScope::Execution(id.to_owned()) }
    }

    fn unknown(self, id: &str) -> ApiError {
        let what = if self.is_task() { "task" } else { "execution" };
        ApiError::engine("NullValueException", format!("{what} {id} doesn't exist: {what} is null"))
    }
}

pub(super) fn routes(path: &str, kind: Kind) -> Router<ApiState> {
    Router::new()
        .route(
            path,
            get(move |ask: Ask, Path(id): Path<String>| all(ask, kind, id))
                .post(move |ask: Ask, Path(id): Path<String>, body: Json| modify(ask, kind, id, body)),
        )
        .route(
            &format!("{path}/{{name}}"),
            get(move |ask: Ask, Path((id, name)): Path<(String, String)>| one(ask, kind, id, name))
                .put(move |ask: Ask, Path((id, name)): Path<(String, String)>, body: Json| put(ask, kind, id, name, body))
                .delete(move |ask: Ask, Path((id, name)): Path<(String, String)>| remove(ask, kind, id, name)),
        )
}

/// The document, if the thing is in it.
async fn document(ask: &Ask, kind: Kind, id: &str) -> Result<StoredInstance, ApiError> {
    let stored = if kind.is_task() {
        super::task::find(ask, id).await?.map(|(stored, _)| stored)
    } else {
        scan::owner(ask, id).await?.filter(|stored| stored.instance.execution(id).is_some())
    };
    stored.ok_or_else(|| kind.unknown(id))
}

/// The variables that the scope sees, the nearest of each name.
pub(super) fn visible(instance: &Instance, kind: Kind, id: &str) -> Vec<(String, TypedValue)> {
    let mut found: Vec<(String, TypedValue)> = vec![];
    let mut add = |holds: &dyn Fn(&shared::process::instance::Variable) -> bool| {
        for v in instance.variables.iter().filter(|v| holds(v)) {
            if !found.iter().any(|(name, _)| *name == v.name) {
                found.push((v.name.clone(), v.value.clone()));
            }
        }
    };
    let mut at = if kind.is_task() {
        add(&|v| v.task_id.as_deref() == Some(id));
        instance.tasks.iter().find(|t| t.id == id).map(|t| t.execution_id.clone())
    } else {
        Some(id.to_owned())
    };
    if kind == Kind::TaskLocal {
        return found;
    }
    while let Some(execution) = at.take() {
        add(&|v| v.execution_id == execution && v.task_id.is_none());
        if kind != Kind::ExecutionLocal {
            at = instance.execution(&execution).and_then(|e| e.parent.clone());
        }
    }
    found
}

async fn all(ask: Ask, kind: Kind, id: String) -> Answer {
    let stored = document(&ask, kind, &id).await?;
    let found = visible(&stored.instance, kind, &id);
    ok(values::show_map(found.iter().map(|(name, value)| (name, value))))
}

async fn one(ask: Ask, kind: Kind, id: String, name: String) -> Answer {
    let word = kind.word();
    let prefix = format!("Cannot get {word} variable {name}: ");
    let stored = document(&ask, kind, &id).await.map_err(|e| e.wrapped(&prefix))?;
    let found = visible(&stored.instance, kind, &id).into_iter().find(|(n, _)| *n == name);
    match found {
        Some((_, value)) => ok(values::show(&value)),
        None => Err(ApiError::not_found(format!("{word} variable with name {name} does not exist"))),
    }
}

async fn put(ask: Ask, kind: Kind, id: String, name: String, body: Json) -> Answer {
    let prefix = format!("Cannot put {} variable {name}: ", kind.word());
    let value = values::read(&body.0).map_err(|e| e.wrapped(&prefix))?;
    set(&ask, kind, &id, vec![(name, value)]).await.map_err(|e| e.wrapped(&prefix))?;
    done()
}

async fn command_on(ask: &Ask, kind: Kind, stored: &StoredInstance, id: &str, command: Command) -> Result<(), ApiError> {
    let done = if kind.is_task() {
        super::task_command::run_on(ask, stored, id, command).await?
    } else {
        run(ask, &stored.instance.id, command).await?.map(drop)
    };
    done.ok_or_else(|| kind.unknown(id))
}

async fn set(ask: &Ask, kind: Kind, id: &str, variables: Vec<(String, TypedValue)>) -> Result<(), ApiError> {
    let stored = document(ask, kind, id).await?;
    let command = Command::SetVariables { scope: kind.scope(id), variables, local: kind.is_local() };
    command_on(ask, kind, &stored, id, command).await
}

async fn unset(ask: &Ask, kind: Kind, id: &str, names: Vec<String>) -> Result<(), ApiError> {
    let stored = document(ask, kind, id).await?;
    let command = Command::RemoveVariables { scope: kind.scope(id), names, local: kind.is_local() };
    command_on(ask, kind, &stored, id, command).await
}

/// What is not there is no error.
async fn remove(ask: Ask, kind: Kind, id: String, name: String) -> Answer {
    let prefix = format!("Cannot delete {} variable {name}: ", kind.word());
    unset(&ask, kind, &id, vec![name]).await.map_err(|e| e.wrapped(&prefix))?;
    done()
}

async fn modify(ask: Ask, kind: Kind, id: String, body: Json) -> Answer {
    let prefix = format!("Cannot modify variables for {} {id}: ", kind.word());
    let change = |input: Input<'_>| -> Result<_, ApiError> {
        Ok((values::read_map(&input, "modifications")?.unwrap_or_default(), input.list("deletions")?.unwrap_or_default()))
    };
    let (set_to, deleted) = change(body.input()).map_err(|e| e.wrapped(&prefix))?;
    let nothing = set_to.is_empty() && deleted.is_empty();
    if nothing {
        document(&ask, kind, &id).await.map_err(|e| e.wrapped(&prefix))?;
    }
    if !set_to.is_empty() {
        set(&ask, kind, &id, set_to).await.map_err(|e| e.wrapped(&prefix))?;
    }
    if !deleted.is_empty() {
        unset(&ask, kind, &id, deleted).await.map_err(|e| e.wrapped(&prefix))?;
    }
    done()
}

/// The variables of a task before it goes, with those that it is completed with: what the caller gets back.
pub(super) fn returned(seen: Vec<(String, TypedValue)>, given: &[(String, TypedValue)]) -> Value {
    let kept = seen.iter().filter(|(name, _)| !given.iter().any(|(n, _)| n == name));
    values::show_map(kept.chain(given).map(|(name, value)| (name, value)))
}
