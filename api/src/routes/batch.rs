//! `/batch` (spec-batch-rest §2.1).

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, put};
use serde_json::Value;
use shared::batch::Batch;
use shared::queue::BatchEvent;
use shared::store::query::{BatchQuery, BatchSort, Page};

use crate::dto;
use crate::error::{Answer, ApiError, count, done, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/batch", get(list))
        .route("/batch/count", get(count_batches))
        .route("/batch/statistics", get(statistics))
        .route("/batch/statistics/count", get(count_statistics))
        .route("/batch/{id}", get(one).delete(delete))
        .route("/batch/{id}/suspended", put(suspend))
}

/// Words to sort by, of a list and of statistics.
const SORTS: [(&str, BatchSort); 3] = [("batchId", BatchSort::Id), ("tenantId", BatchSort::TenantId), ("startTime", BatchSort::StartTime)];

fn query(input: &Input<'_>) -> Result<BatchQuery, ApiError> {
    Ok(BatchQuery {
        id: input.text("batchId")?,
        batch_type: input.text("type")?,
        suspended: input.flag("suspended")?,
        tenants: input.tenants("")?,
        ..BatchQuery::default()
    })
}

fn statistics_query(input: &Input<'_>) -> Result<BatchQuery, ApiError> {
    let failures = match (input.yes("withFailures")?, input.yes("withoutFailures")?) {
        (_, true) => Some(false),
        (true, false) => Some(true),
        (false, false) => None,
    };
    Ok(BatchQuery {
        id: input.text("batchId")?,
        batch_type: input.text("type")?,
        suspended: input.flag("suspended")?,
        tenants: input.tenants("")?,
        created_by: input.text("createdBy")?,
        started_before: input.date("startedBefore")?,
        started_after: input.date("startedAfter")?,
        failures,
        sort: None,
    })
}

async fn list(ask: Ask) -> Answer {
    let (mut query, page) = (query(&ask.input())?, ask.page()?);
    query.sort = paging::sorting(&ask.input(), &SORTS[..2])?.first().copied();
    let batches = ask.store().batches(&ask.caller, &query, page).await?;
    ok(batches.iter().map(dto::batch::batch).collect())
}

/// Counts do not read the words to sort by, which the JS client sends along (ecosystem rule 7).
async fn count_batches(ask: Ask) -> Answer {
    count(ask.store().count_batches(&ask.caller, &query(&ask.input())?).await?)
}

async fn statistics(ask: Ask) -> Answer {
    let (mut query, page) = (statistics_query(&ask.input())?, ask.page()?);
    query.sort = paging::sorting(&ask.input(), &SORTS)?.first().copied();
    let batches = ask.store().batches(&ask.caller, &query, page).await?;
    ok(batches.iter().map(dto::batch::statistics).collect::<Value>())
}

async fn count_statistics(ask: Ask) -> Answer {
    count(ask.store().count_batches(&ask.caller, &statistics_query(&ask.input())?).await?)
}

/// The batch with this id, if there is one for this caller.
pub(super) async fn find(ask: &Ask, id: &str) -> Result<Option<Batch>, ApiError> {
    let query = BatchQuery { id: Some(id.to_owned()), ..BatchQuery::default() };
    Ok(ask.store().batches(&ask.caller, &query, Page { first: 0, max: Some(1) }).await?.into_iter().next())
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    match find(&ask, &id).await? {
        Some(batch) => ok(dto::batch::batch(&batch)),
        None => Err(ApiError::not_found(format!("Batch with id '{id}' does not exist"))),
    }
}

async fn suspend(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let suspended = body.input().yes("suspended")?;
    match ask.store().set_batch_suspended(&ask.caller, &id, suspended).await? {
        None => {
            let verb = if suspended { "suspend" } else { "activate" };
            Err(ApiError::invalid(format!("Unable to {verb} batch with id '{id}'")).with_code(Some(0)))
        }
        Some(work) => {
            ask.state.publish_work(work);
            ask.state.look(&id).await?;
            ask.state.publisher.announce(if suspended { BatchEvent::Suspended } else { BatchEvent::Activated }, &id);
            done()
        }
    }
}

/// `cascade` counts only as the word true, in any case: anything else is no (FINDINGS 17).
async fn delete(ask: Ask, Path(id): Path<String>) -> Answer {
    let cascade = ask.params.get("cascade").is_some_and(|c| c.eq_ignore_ascii_case("true"));
    if !ask.store().delete_batch(&ask.caller, &id, cascade).await? {
        return Err(ApiError::invalid(format!("Unable to delete batch with id '{id}'")).with_code(Some(0)));
    }
    ask.state.publisher.announce(BatchEvent::Deleted, &id);
    done()
}
