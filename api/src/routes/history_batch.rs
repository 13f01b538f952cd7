//! `/history/batch` (spec-batch-rest §2.2).

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::{Value, json};
use shared::batch::BatchType;
use shared::store::query::{HistoricBatchQuery, HistoricBatchSort, Page};

use crate::dto;
use crate::error::{Answer, ApiError, count, done, ok};
use crate::extract::Ask;
use crate::input::Input;
use crate::paging;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/history/batch", get(list))
        .route("/history/batch/count", get(count_batches))
        .route("/history/batch/cleanable-batch-report", get(report))
        .route("/history/batch/cleanable-batch-report/count", get(count_report))
        .route("/history/batch/{id}", get(one).delete(delete))
}

const SORTS: [(&str, HistoricBatchSort); 4] = [
    ("batchId", HistoricBatchSort::Id),
    ("startTime", HistoricBatchSort::StartTime),
    ("endTime", HistoricBatchSort::EndTime),
    ("tenantId", HistoricBatchSort::TenantId),
];

pub(super) fn query(input: &Input<'_>) -> Result<HistoricBatchQuery, ApiError> {
    Ok(HistoricBatchQuery {
        id: input.text("batchId")?,
        batch_type: input.text("type")?,
        completed: input.flag("completed")?,
        tenants: input.tenants("")?,
        sort: None,
    })
}

async fn list(ask: Ask) -> Answer {
    let (mut query, page) = (query(&ask.input())?, ask.page()?);
    query.sort = paging::sorting(&ask.input(), &SORTS)?.first().copied();
    let batches = ask.store().historic_batches(&ask.caller, &query, page).await?;
    ok(batches.iter().map(dto::batch::historic).collect())
}

async fn count_batches(ask: Ask) -> Answer {
    count(ask.store().count_historic_batches(&ask.caller, &query(&ask.input())?).await?)
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    let query = HistoricBatchQuery { id: Some(id.clone()), ..HistoricBatchQuery::default() };
    let found = ask.store().historic_batches(&ask.caller, &query, Page { first: 0, max: Some(1) }).await?;
    match found.first() {
        Some(batch) => ok(dto::batch::historic(batch)),
        None => Err(ApiError::not_found(format!("Historic batch with id '{id}' does not exist"))),
    }
}

async fn delete(ask: Ask, Path(id): Path<String>) -> Answer {
    if ask.store().delete_historic_batch(&ask.caller, &id).await? {
        return done();
    }
    Err(ApiError::invalid(format!("Unable to delete historic batch with id '{id}'")).with_code(Some(0)))
}

/// One row for each type that history knows. Nothing is ever cleaned up by age, so no time to live is shown.
async fn report_rows(ask: &Ask) -> Result<Vec<Value>, ApiError> {
    paging::sorting(&ask.input(), &[("finished", ())])?;
    let mut rows = vec![];
    for batch_type in BatchType::ALL.map(BatchType::name) {
        let all = HistoricBatchQuery { batch_type: Some(batch_type.to_owned()), ..HistoricBatchQuery::default() };
        if ask.store().count_historic_batches(&ask.caller, &all).await? > 0 {
            let finished = HistoricBatchQuery { completed: Some(true), ..all };
            let finished = ask.store().count_historic_batches(&ask.caller, &finished).await?;
            rows.push(
                json!({"batchType": batch_type, "historyTimeToLive": null, "finishedBatchesCount": finished, "cleanableBatchesCount": 0}),
            );
        }
    }
    Ok(rows)
}

async fn report(ask: Ask) -> Answer {
    let page = ask.page()?;
    ok(paging::slice(report_rows(&ask).await?, page).into())
}

async fn count_report(ask: Ask) -> Answer {
    count(report_rows(&ask).await?.len() as u64)
}
