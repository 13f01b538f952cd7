//! `POST /job/retries`: sets retries of many jobs by a batch (spec-batch-rest §2.5).

use shared::batch::BatchConfiguration;
use shared::store::Items;
use shared::store::query::{JobQuery, Page};

use super::job::find;
use super::migration::{new_batch, submit};
use crate::dto::job as dto;
use crate::error::{Answer, ApiError};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::spool::{IdWriter, Ids, disk};

pub(super) async fn by_batch(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let retries = input.int("retries")?.ok_or_else(|| ApiError::invalid("retries is null"))?;
    let ids = input.filled_list("jobIds")?;
    let query = input.object("jobQuery")?.map(|q| dto::query(&Input::body(q))).transpose()?;
    if ids.is_none() && query.is_none() {
        let message = "ENGINE-13050 You must specify at least one of jobIds or jobQuery.";
        return Err(ApiError::engine("ProcessEngineException", message));
    }
    if retries < 0 {
        return Err(ApiError::engine("ProcessEngineException", "Retries count is not greater than or equal to 0"));
    }
    let due = if input.has_key("dueDate") { Some(input.date("dueDate")?) } else { None };
    let ids = collect(&ask, ids.unwrap_or_default(), query.as_ref()).await?;
    submit_retries(&ask, &ids, retries, due).await
}

/// Writes the batch, unless there is nothing to do.
pub(super) async fn submit_retries(ask: &Ask, ids: &Ids, retries: i32, due: Option<Option<i64>>) -> Answer {
    if ids.count == 0 {
        return Err(ApiError::invalid("jobIds is empty"));
    }
    let new = new_batch(ask, BatchConfiguration::SetJobRetries { retries, due }, None, None);
    let listed = || ids.pages();
    submit(ask, new, Items { listed: &listed, query: None }).await
}

async fn collect(ask: &Ask, listed: Vec<String>, query: Option<&JobQuery>) -> Result<Ids, ApiError> {
    let mut ids = IdWriter::new().map_err(|e| disk(&e))?;
    let found = match query {
        Some(query) => find(ask, query, &[], Page::default()).await?,
        None => vec![],
    };
    for id in listed.iter().chain(found.iter().map(|j| &j.id)) {
        ids.push(id).map_err(|e| disk(&e))?;
    }
    ids.finish().map_err(|e| disk(&e))
}
