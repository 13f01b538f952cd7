//! `/task` (spec-batch-rest §4.5): read from the documents of instances.

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use serde_json::Value;
use shared::process::definition::{ProcessDefinition, Work};
use shared::process::instance::Task;
use shared::store::views::StoredInstance;

use super::{task_command as command, task_links as links, variables};
use crate::dto::task::{self as dto, SORTS};
use crate::error::{Answer, ApiError, count, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::scan;
use crate::state::ApiState;

/// Tasks of no instance read at once.
const PAGE: u32 = 500;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/task", get(list).post(post_list))
        .route("/task/count", get(count_tasks).post(post_count))
        .route("/task/create", post(command::create))
        .route("/task/{id}", get(one).put(command::update).delete(command::delete))
        .route("/task/{id}/complete", post(command::complete))
        .route("/task/{id}/submit-form", post(command::complete))
        .route("/task/{id}/claim", post(command::claim))
        .route("/task/{id}/unclaim", post(command::unclaim))
        .route("/task/{id}/assignee", post(command::assign))
        .route("/task/{id}/delegate", post(command::delegate))
        .route("/task/{id}/resolve", post(command::resolve))
        .route("/task/{id}/form", get(links::form))
        .route("/task/{id}/identity-links", get(links::list).post(links::add))
        .route("/task/{id}/identity-links/delete", post(links::remove))
        .merge(variables::routes("/task/{id}/variables", variables::Kind::Task))
        .merge(variables::routes("/task/{id}/localVariables", variables::Kind::TaskLocal))
}

/// What of a document a row of an answer needs.
fn shallow(stored: &StoredInstance) -> StoredInstance {
    let i = &stored.instance;
    let instance = shared::process::instance::Instance {
        id: i.id.clone(),
        definition_id: i.definition_id.clone(),
        business_key: i.business_key.clone(),
        tenant_id: i.tenant_id.clone(),
        suspended: i.suspended,
        ..Default::default()
    };
    StoredInstance { instance, revision: stored.revision, definition_key: stored.definition_key.clone() }
}

/// What `pick` finds among the tasks of no instance, read page by page.
pub(super) async fn standalone<T>(ask: &Ask, pick: impl Fn(&StoredInstance, &Task) -> Option<T>) -> Result<Vec<T>, ApiError> {
    let (mut found, mut after) = (vec![], None::<String>);
    loop {
        let page = ask.store().standalone_tasks(&ask.caller, after.as_deref(), PAGE).await?;
        after = page.last().filter(|_| page.len() == PAGE as usize).map(|t| t.task.id.clone());
        for (stored, task) in page.into_iter().map(dto::standalone) {
            found.extend(pick(&stored, &task));
        }
        scan::bounded(found.len(), ask.state.limits.answer_rows)?;
        if after.is_none() {
            return Ok(found);
        }
    }
}

async fn answer_list(ask: &Ask, input: &Input<'_>) -> Answer {
    let ((narrowed, tests), sort, page) = (dto::query(input)?, paging::sorting(input, &SORTS)?, ask.page()?);
    let mut found = scan::collect(ask, &narrowed, |stored, found| {
        let tasks = stored.instance.tasks.iter().filter(|t| tests.all_hold(stored, t));
        found.extend(tasks.map(|t| (shallow(stored), t.clone())));
    })
    .await?;
    if dto::may_be_standalone(input)? {
        found.extend(standalone(ask, |stored, t| tests.all_hold(stored, t).then(|| (stored.clone(), t.clone()))).await?);
        scan::bounded(found.len(), ask.state.limits.answer_rows)?;
    }
    paging::sort_by(&mut found, &sort, dto::sort_key);
    let mut shown = vec![];
    for (stored, task) in paging::slice(found, page) {
        shown.push(show(ask, &stored, &task).await?);
    }
    ok(shown.into())
}

async fn answer_count(ask: &Ask, input: &Input<'_>) -> Answer {
    let (narrowed, tests) = dto::query(input)?;
    let mut n = scan::count(ask, &narrowed, |stored| stored.instance.tasks.iter().filter(|t| tests.all_hold(stored, t)).count()).await?;
    if dto::may_be_standalone(input)? {
        n += standalone(ask, |stored, t| tests.all_hold(stored, t).then_some(())).await?.len() as u64;
    }
    count(n)
}

/// The form is the model's, not the document's.
async fn show(ask: &Ask, stored: &StoredInstance, task: &Task) -> Result<Value, ApiError> {
    Ok(dto::show(stored, task, &form_of(ask, task).await?))
}

pub(super) async fn form_of(ask: &Ask, task: &Task) -> Result<dto::Form, ApiError> {
    if task.definition_id.is_empty() {
        return Ok(dto::Form::default());
    }
    let model = ask.store().model(&task.definition_id).await?;
    Ok(model.map(|m| form(&m, &task.task_definition_key)).unwrap_or_default())
}

fn form(model: &ProcessDefinition, activity: &str) -> dto::Form {
    match model.get(activity).map(|a| &a.work) {
        Some(Work::UserTask(task)) => dto::Form { key: task.form_key.as_ref().map(|key| key.0.clone()), reference: task.form_ref.clone() },
        _ => dto::Form::default(),
    }
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

/// The task with this id, and what it lives in: an instance, or a document without an id.
pub(super) async fn find(ask: &Ask, id: &str) -> Result<Option<(StoredInstance, Task)>, ApiError> {
    if let Some(stored) = scan::owner(ask, id).await?
        && let Some(task) = stored.instance.tasks.iter().find(|t| t.id == id).cloned()
    {
        return Ok(Some((stored, task)));
    }
    Ok(ask.store().standalone_task(&ask.caller, id).await?.map(dto::standalone))
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    match find(&ask, &id).await? {
        Some((stored, task)) => ok(show(&ask, &stored, &task).await?),
        None => Err(ApiError::not_found(format!("No matching task with id {id}"))),
    }
}
