//! Batches over history: deleting it, and when it is to be removed (spec-batch-rest §2.2, §4.7).

use axum::Router;
use axum::routing::post;
use serde_json::json;
use shared::batch::{BatchConfiguration, RemovalTime};
use shared::store::query::{HistoricBatchQuery, Page};

use super::history::instance_ids;
use super::history_batch;
use super::selection::submit_listed;
use crate::error::{Answer, ApiError};
use crate::extract::{Ask, Json};
use crate::input::{Input, Object};
use crate::scan;
use crate::state::ApiState;

/// Ids and batches looked up at once.
const PAGE: usize = 500;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/history/process-instance/delete", post(delete_instances))
        .route("/history/process-instance/set-removal-time", post(removal_of_instances))
        .route("/history/batch/set-removal-time", post(removal_of_batches))
        .route("/history/decision-instance/delete", post(delete_decisions))
        .route("/history/decision-instance/set-removal-time", post(removal_of_decisions))
}

async fn delete_instances(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let mut ids = input.filled_list("historicProcessInstanceIds")?.unwrap_or_default();
    if let Some(query) = input.object("historicProcessInstanceQuery")? {
        ids.extend(instance_ids(&ask, query).await?);
    }
    if ids.is_empty() {
        return Err(ApiError::invalid("historicProcessInstanceIds is empty"));
    }
    submit_listed(&ask, BatchConfiguration::HistoricDeletion, &ids).await
}

/// Those of the ids that an instance has or had which this caller may see.
async fn known(ask: &Ask, ids: &[String]) -> Result<Vec<String>, ApiError> {
    let mut known = vec![];
    for id in ids {
        let mut query = Object::new();
        query.insert("processInstanceId".to_owned(), json!(id));
        known.extend(instance_ids(ask, &query).await?);
    }
    Ok(known)
}

/// There are no decisions here: whatever the ids, the batch finds nothing to delete.
async fn delete_decisions(ask: Ask, body: Json) -> Answer {
    let ids = body.input().filled_list("historicDecisionInstanceIds")?.unwrap_or_default();
    if ids.is_empty() {
        return Err(ApiError::invalid("historicDecisionInstanceIds is empty"));
    }
    submit_listed(&ask, BatchConfiguration::HistoricDecisionDeletion, &ids).await
}

/// The one mode of a request, after it is clear that something is selected.
fn removal(input: &Input<'_>, ids: &str, query: &str) -> Result<RemovalTime, ApiError> {
    let refused = |message: &str| ApiError::bad_user("BadUserRequestException", message);
    let mut modes: Vec<RemovalTime> = input.date("absoluteRemovalTime")?.map(RemovalTime::At).into_iter().collect();
    modes.extend(input.yes("clearedRemovalTime")?.then_some(RemovalTime::Cleared));
    modes.extend(input.yes("calculatedRemovalTime")?.then_some(RemovalTime::Calculated));
    if modes.len() > 1 {
        return Err(refused("The removal time modes are mutually exclusive: mode is not null"));
    }
    if input.raw(ids).is_none() && input.raw(query).is_none() {
        return Err(refused("Neither query nor ids provided."));
    }
    modes.pop().ok_or_else(|| refused("removalTime is null"))
}

fn nothing(what: &str) -> ApiError {
    ApiError::bad_user("BadUserRequestException", format!("{what} is empty"))
}

/// Unknown ids are dropped.
async fn removal_of_instances(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let (ids, query) = ("historicProcessInstanceIds", "historicProcessInstanceQuery");
    let removal = removal(&input, ids, query)?;
    let mut found = known(&ask, &input.filled_list(ids)?.unwrap_or_default()).await?;
    if let Some(query) = input.object(query)? {
        found.extend(instance_ids(&ask, query).await?);
    }
    if found.is_empty() {
        return Err(nothing("historicProcessInstances"));
    }
    submit_listed(&ask, BatchConfiguration::SetRemovalTime { removal }, &found).await
}

/// Unknown ids are dropped.
async fn removal_of_batches(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let (ids, query) = ("historicBatchIds", "historicBatchQuery");
    let removal = removal(&input, ids, query)?;
    let mut found = vec![];
    for id in input.filled_list(ids)?.unwrap_or_default() {
        found.extend(batches(&ask, HistoricBatchQuery { id: Some(id), ..HistoricBatchQuery::default() }).await?);
    }
    if let Some(query) = input.object(query)? {
        found.extend(batches(&ask, history_batch::query(&Input::body(query))?).await?);
    }
    if found.is_empty() {
        return Err(nothing("historicBatches"));
    }
    submit_listed(&ask, BatchConfiguration::BatchSetRemovalTime { removal }, &found).await
}

async fn batches(ask: &Ask, query: HistoricBatchQuery) -> Result<Vec<String>, ApiError> {
    let mut ids: Vec<String> = vec![];
    loop {
        let page = Page { first: ids.len() as u64, max: Some(PAGE as u64) };
        let found = ask.store().historic_batches(&ask.caller, &query, page).await?;
        let last = found.len() < PAGE;
        ids.extend(found.into_iter().map(|b| b.id));
        scan::bounded(ids.len(), ask.state.limits.answer_rows)?;
        if last {
            return Ok(ids);
        }
    }
}

/// There are no decisions here to set a time of.
async fn removal_of_decisions(body: Json) -> Answer {
    removal(&body.input(), "historicDecisionInstanceIds", "historicDecisionInstanceQuery")?;
    Err(nothing("historicDecisionInstances"))
}
