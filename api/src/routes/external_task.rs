//! `/external-task`: lists, and the settings of one.

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, post, put};
use serde_json::Value;
use shared::process::instance::{ExternalTask, Instance};
use shared::runner::Command;
use shared::store::query::InstanceQuery;
use shared::store::views::StoredInstance;

use super::{external_task_fetch as fetch, external_task_worker as worker};
use crate::command::run;
use crate::dto::external_task::{self as dto, SORTS};
use crate::error::{Answer, ApiError, count, done, ok, text};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::scan;
use crate::state::ApiState;

/// Instances asked at once for their external tasks.
const INSTANCES_AT_ONCE: usize = 500;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/external-task", get(list).post(post_list))
        .route("/external-task/count", get(count_tasks).post(post_count))
        .route("/external-task/fetchAndLock", post(fetch::fetch_and_lock))
        .route("/external-task/retries", put(retries_of_many))
        .route("/external-task/retries-async", post(super::external_task_batch::set_retries))
        .route("/external-task/{id}", get(one))
        .route("/external-task/{id}/errorDetails", get(error_details))
        .route("/external-task/{id}/complete", post(worker::complete))
        .route("/external-task/{id}/failure", post(worker::failure))
        .route("/external-task/{id}/bpmnError", post(worker::bpmn_error))
        .route("/external-task/{id}/extendLock", post(worker::extend_lock))
        .route("/external-task/{id}/lock", post(worker::lock))
        .route("/external-task/{id}/unlock", post(unlock))
        .route("/external-task/{id}/retries", put(set_retries))
        .route("/external-task/{id}/priority", put(set_priority))
}

/// What of a document a row of an answer needs.
fn shallow(stored: &StoredInstance) -> StoredInstance {
    let i = &stored.instance;
    let instance = Instance {
        id: i.id.clone(),
        definition_id: i.definition_id.clone(),
        business_key: i.business_key.clone(),
        tenant_id: i.tenant_id.clone(),
        suspended: i.suspended,
        ..Instance::default()
    };
    StoredInstance { instance, revision: stored.revision, definition_key: stored.definition_key.clone() }
}

async fn answer_list(ask: &Ask, input: &Input<'_>) -> Answer {
    let ((narrowed, tests), sort, page) = (dto::query(input, ask.state.clock.now())?, paging::sorting(input, &SORTS)?, ask.page()?);
    let mut found = scan::collect(ask, &narrowed, |stored, found| {
        let tasks = stored.instance.external_tasks.iter().filter(|e| tests.all_hold(stored, e));
        found.extend(tasks.map(|e| (shallow(stored), e.clone())));
    })
    .await?;
    paging::sort_by(&mut found, &sort, dto::sort_key);
    let mut shown = vec![];
    for (stored, task) in paging::slice(found, page) {
        shown.push(show(ask, &stored, &task).await?);
    }
    ok(shown.into())
}

pub(super) async fn show(ask: &Ask, stored: &StoredInstance, task: &ExternalTask) -> Result<Value, ApiError> {
    let model = ask.store().model(&task.definition_id).await?;
    Ok(dto::show(stored, task, model.as_ref().and_then(|m| m.version_tag.as_deref())))
}

async fn answer_count(ask: &Ask, input: &Input<'_>) -> Answer {
    let (narrowed, tests) = dto::query(input, ask.state.clock.now())?;
    let n =
        scan::count(ask, &narrowed, |stored| stored.instance.external_tasks.iter().filter(|e| tests.all_hold(stored, e)).count()).await?;
    count(n)
}

async fn list(ask: Ask) -> Answer {
    answer_list(&ask, &ask.input()).await
}

async fn post_list(ask: Ask, body: Json) -> Answer {
    answer_list(&ask, &body.input()).await
}

async fn count_tasks(ask: Ask) -> Answer {
    answer_count(&ask, &ask.input()).await
}

async fn post_count(ask: Ask, body: Json) -> Answer {
    answer_count(&ask, &body.input()).await
}

pub(super) async fn find(ask: &Ask, id: &str) -> Result<Option<(StoredInstance, ExternalTask)>, ApiError> {
    let Some(stored) = scan::owner(ask, id).await? else { return Ok(None) };
    let task = stored.instance.external_tasks.iter().find(|e| e.id == id).cloned();
    Ok(task.map(|task| (stored, task)))
}

pub(super) fn unknown(id: &str, code: Option<i64>) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "RestException", format!("External task with id {id} does not exist"), code)
}

/// One that must be there for a command.
pub(super) async fn known(ask: &Ask, id: &str) -> Result<(StoredInstance, ExternalTask), ApiError> {
    find(ask, id).await?.ok_or_else(|| unknown(id, Some(0)))
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    match find(&ask, &id).await? {
        Some((stored, task)) => ok(show(&ask, &stored, &task).await?),
        None => Err(unknown(&id, None)),
    }
}

async fn error_details(ask: Ask, Path(id): Path<String>) -> Answer {
    match find(&ask, &id).await? {
        Some((_, task)) => text(task.error_details),
        None => {
            let message = format!("No external task found with id {id}: externalTask is null");
            Err(ApiError::engine("NullValueException", message))
        }
    }
}

/// Runs a command on one external task.
pub(super) async fn on(ask: &Ask, id: &str, command: Command) -> Answer {
    let (stored, _) = known(ask, id).await?;
    run(ask, &stored.instance.id, command).await?.ok_or_else(|| unknown(id, Some(0)))?;
    done()
}

async fn unlock(ask: Ask, Path(id): Path<String>) -> Answer {
    on(&ask, &id, Command::UnlockExternalTask { id: id.clone() }).await
}

fn read_retries(input: &Input<'_>) -> Result<i32, ApiError> {
    let retries = input.int("retries")?.ok_or_else(|| ApiError::invalid("The number of retries cannot be null."))?;
    if retries < 0 {
        let message = "The number of retries cannot be negative: retries is not greater than or equal to 0";
        return Err(ApiError::bad_user("BadUserRequestException", message));
    }
    Ok(retries)
}

async fn set_retries(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let retries = read_retries(&body.input())?;
    on(&ask, &id, Command::SetExternalTaskRetries { id: id.clone(), retries }).await
}

async fn set_priority(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let priority = body.input().long("priority")?.ok_or_else(|| ApiError::invalid("The priority cannot be null."))?;
    on(&ask, &id, Command::SetExternalTaskPriority { id: id.clone(), priority }).await
}

async fn retries_of_many(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let retries = read_retries(&input)?;
    let ids = selected(&ask, &input).await?;
    for id in ids {
        on(&ask, &id, Command::SetExternalTaskRetries { id: id.clone(), retries }).await?;
    }
    done()
}

/// The union of the ids and of what the query and the selected instances have, if there is anything.
pub(super) async fn selected(ask: &Ask, input: &Input<'_>) -> Result<Vec<String>, ApiError> {
    let mut ids = input.filled_list("externalTaskIds")?.unwrap_or_default();
    if let Some(query) = input.object("externalTaskQuery")? {
        let (narrowed, tests) = dto::query(&Input::body(query), ask.state.clock.now())?;
        let found = scan::collect(ask, &narrowed, |stored, found| {
            found.extend(stored.instance.external_tasks.iter().filter(|e| tests.all_hold(stored, e)).map(|e| e.id.clone()));
        });
        ids.extend(found.await?);
    }
    for page in super::instance_many::selected(ask, input, "processInstanceIds").await?.chunks(INSTANCES_AT_ONCE) {
        let query = InstanceQuery { ids: Some(page.to_vec()), ..InstanceQuery::default() };
        let tasks = |stored: &StoredInstance, found: &mut Vec<String>| {
            found.extend(stored.instance.external_tasks.iter().map(|e| e.id.clone()));
        };
        ids.extend(scan::collect(ask, &query, tasks).await?);
    }
    if ids.is_empty() {
        return Err(ApiError::invalid("externalTaskIds is empty"));
    }
    Ok(ids)
}
