//! `/incident` (spec-batch-rest §2.7): of jobs of batches, and what the documents of instances hold.

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::routing::{get, put};
use serde_json::Value;
use shared::runner::Command;
use shared::store::query::InstanceQuery;
use shared::store::views::IncidentView;

use crate::command::run;
use crate::document;
use crate::dto::incident::{self as dto, Query, SORTS};
use crate::error::{Answer, ApiError, count, done, ok};
use crate::extract::{Ask, Json};
use crate::paging;
use crate::scan;
use crate::state::ApiState;

/// Incidents of batch jobs read at once.
const PAGE: u32 = 500;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/incident", get(list))
        .route("/incident/count", get(count_incidents))
        .route("/incident/{id}", get(one).delete(resolve))
        .route("/incident/{id}/annotation", put(annotate).delete(clear_annotation))
}

async fn find(ask: &Ask, query: &Query) -> Result<Vec<IncidentView>, ApiError> {
    let most = ask.state.limits.answer_rows;
    let mut found = vec![];
    if may_be_of_batch(query) {
        let mut after: Option<String> = None;
        loop {
            let page = ask.store().batch_incidents(&ask.caller, after.as_deref(), PAGE).await?;
            after = page.last().filter(|_| page.len() == PAGE as usize).map(|i| i.id.clone());
            found.extend(page.into_iter().filter(|i| dto::matches(i, query)));
            scan::bounded(found.len(), most)?;
            if after.is_none() {
                break;
            }
        }
    }
    if may_be_of_instance(query) {
        let narrowed = InstanceQuery {
            ids: query.instance_id.clone().map(|id| vec![id]),
            definition_id: query.definition_id.clone(),
            with_incident: true,
            ..InstanceQuery::default()
        };
        let of_instances = scan::collect(ask, &narrowed, |stored, found| {
            let incidents = stored.instance.incidents.iter().map(|i| document::incident(stored, i));
            found.extend(incidents.filter(|i| dto::matches(i, query)));
        });
        found.extend(of_instances.await?);
        scan::bounded(found.len(), most)?;
    }
    found.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(found)
}

fn may_be_of_batch(q: &Query) -> bool {
    let of_instance = [&q.definition_id, &q.instance_id, &q.execution_id, &q.activity_id, &q.failed_activity_id];
    q.definition_key_in.is_none() && of_instance.iter().all(|f| f.is_none())
}

fn may_be_of_instance(q: &Query) -> bool {
    let of_batch = |id: &String| shared::id::split(id).is_some_and(|(_, n)| super::job::is_batch_definition(n));
    !q.job_definition_in.as_ref().is_some_and(|ids| ids.iter().all(of_batch))
}

async fn list(ask: Ask) -> Answer {
    let (query, sort, page) = (dto::query(&ask.input())?, paging::sorting(&ask.input(), &SORTS)?, ask.page()?);
    let mut found = find(&ask, &query).await?;
    paging::sort_by(&mut found, &sort, dto::sort_key);
    ok(paging::slice(found, page).iter().map(dto::show).collect::<Value>())
}

async fn count_incidents(ask: Ask) -> Answer {
    count(find(&ask, &dto::query(&ask.input())?).await?.len() as u64)
}

/// Whose an incident is.
enum Found {
    Batch(IncidentView),
    Instance(IncidentView),
}

async fn locate(ask: &Ask, id: &str) -> Result<Option<Found>, ApiError> {
    if let Some(stored) = scan::owner(ask, id).await?
        && let Some(incident) = stored.instance.incidents.iter().find(|i| i.id == id)
    {
        return Ok(Some(Found::Instance(document::incident(&stored, incident))));
    }
    let query = Query { id: Some(id.to_owned()), instance_id: None, ..Query::default() };
    let mut after: Option<String> = before(id);
    loop {
        let page = ask.store().batch_incidents(&ask.caller, after.as_deref(), PAGE).await?;
        after = page.last().filter(|last| page.len() == PAGE as usize && last.id.as_str() < id).map(|i| i.id.clone());
        if let Some(found) = page.into_iter().find(|i| dto::matches(i, &query)) {
            return Ok(Some(Found::Batch(found)));
        }
        if after.is_none() {
            return Ok(None);
        }
    }
}

/// An id just before this one, so that the page after it begins with it.
fn before(id: &str) -> Option<String> {
    let (base, number) = shared::id::split(id)?;
    number.checked_sub(1).map(|n| shared::id::numbered(&base, n))
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    match locate(&ask, &id).await? {
        Some(Found::Batch(incident) | Found::Instance(incident)) => ok(dto::show(&incident)),
        None => Err(ApiError::not_found(format!("No matching incident with id {id}"))),
    }
}

/// Incidents of failed jobs and external tasks end with their retries, not so.
async fn resolve(ask: Ask, Path(id): Path<String>) -> Answer {
    let none = || {
        let message = format!("Cannot find an incident with id '{id}': incident is null");
        ApiError::new(StatusCode::NOT_FOUND, "InvalidRequestException", message, Some(0))
    };
    match locate(&ask, &id).await? {
        None => Err(none()),
        Some(Found::Batch(i) | Found::Instance(i)) if matches!(i.incident_type.as_str(), "failedJob" | "failedExternalTask") => {
            let message = format!("Cannot resolve an incident of type {}", i.incident_type);
            Err(ApiError::bad_user("BadUserRequestException", message))
        }
        Some(Found::Batch(_)) => Err(none()),
        Some(Found::Instance(i)) => {
            run(&ask, &i.process_instance_id.unwrap_or_default(), Command::ResolveIncident { id }).await?;
            done()
        }
    }
}

async fn annotate(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let annotation = body.input().text("annotation")?;
    set_annotation(&ask, &id, annotation).await
}

async fn clear_annotation(ask: Ask, Path(id): Path<String>) -> Answer {
    set_annotation(&ask, &id, None).await
}

async fn set_annotation(ask: &Ask, id: &str, annotation: Option<String>) -> Answer {
    match locate(ask, id).await? {
        Some(Found::Instance(i)) => {
            let command = Command::AnnotateIncident { id: id.to_owned(), annotation };
            run(ask, &i.process_instance_id.unwrap_or_default(), command).await?;
            done()
        }
        Some(Found::Batch(_)) if ask.store().annotate_batch_incident(&ask.caller, id, annotation).await? => done(),
        _ => Err(ApiError::bad_user("BadUserRequestException", "incident is null")),
    }
}
