//! Which process instances a batch is for: ids, a query, a query over the history, all of them together
//! (spec-batch-rest §1.2, §4.7).

use axum::extract::Request;
use shared::batch::BatchConfiguration;
use shared::store::Items;
use shared::store::query::InstanceQuery;

use super::migration::{new_batch, submit};
use crate::dto::instance_query::{self, Texts};
use crate::error::{Answer, ApiError};
use crate::extract::{Ask, expect_json};
use crate::input::{Input, Object};
use crate::spool::{self, IdWriter, Ids, disk};

/// Ids looked up at once.
const PAGE: usize = 500;
const QUERY: &str = "processInstanceQuery";
const HISTORIC_QUERY: &str = "historicProcessInstanceQuery";

pub(super) struct Selection {
    ids: Option<Ids>,
    query: Option<InstanceQuery>,
    historic: Option<Vec<String>>,
}

/// The body without its ids, and what it selects. Listed ids may be those of anything: a batch touches only what its caller
/// may see, and for it the rest is not there.
pub(super) async fn read(ask: &Ask, request: Request) -> Result<(Object, Selection), ApiError> {
    expect_json(request.headers())?;
    let limits = ask.state.limits.clone();
    let spooled = spool::read(request.into_body(), limits.async_body_bytes, limits.body_bytes).await?;
    let input = Input::body(&spooled.rest);
    let query = input.object(QUERY)?;
    let query = query.map(|q| instance_query::read(&Input::body(q), Texts::StayTexts)).transpose()?;
    let historic = match input.object(HISTORIC_QUERY)? {
        Some(query) => Some(super::history::instance_ids(ask, query).await?),
        None => None,
    };
    let selection = Selection { ids: spooled.ids, query, historic };
    Ok((spooled.rest, selection))
}

impl Selection {
    pub(super) fn of_ids(ids: Ids) -> Self {
        Self { ids: Some(ids), query: None, historic: None }
    }

    /// Was anything given to select by, even if it finds nothing?
    pub(super) fn is_given(&self) -> bool {
        self.ids.is_some() || self.query.is_some() || self.historic.is_some()
    }

    pub(super) async fn is_empty(&self, ask: &Ask) -> Result<bool, ApiError> {
        if self.ids.as_ref().is_some_and(|ids| ids.count > 0) || self.historic.as_ref().is_some_and(|ids| !ids.is_empty()) {
            return Ok(false);
        }
        match &self.query {
            Some(query) => Ok(ask.store().count_instances(&ask.caller, query).await? == 0),
            None => Ok(true),
        }
    }

    /// Leaves out of the listed ids those that no running instance has, or none that this caller may see.
    pub(super) async fn keep_running(&mut self, ask: &Ask) -> Result<(), ApiError> {
        let Some(ids) = &self.ids else { return Ok(()) };
        let mut kept = IdWriter::new().map_err(|e| disk(&e))?;
        for page in ids.pages() {
            for part in page.map_err(|e| disk(&e))?.chunks(PAGE) {
                let query = InstanceQuery { ids: Some(part.to_vec()), ..InstanceQuery::default() };
                for view in ask.store().instances(&ask.caller, &query, &[], shared::store::query::Page::default()).await? {
                    kept.push(&view.id).map_err(|e| disk(&e))?;
                }
            }
        }
        self.ids = Some(kept.finish().map_err(|e| disk(&e))?);
        Ok(())
    }

    /// Writes the batch: `owner` is the tenant and the deployment of its definition, for types that have one.
    pub(super) async fn submit(&self, ask: &Ask, configuration: BatchConfiguration, owner: (Option<String>, Option<String>)) -> Answer {
        let new = new_batch(ask, configuration, owner.0, owner.1);
        let listed = || -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> {
            let historic: Vec<_> = self.historic.iter().flat_map(|ids| ids.chunks(PAGE)).map(|page| Ok(page.to_vec())).collect();
            match &self.ids {
                Some(ids) => Box::new(ids.pages().chain(historic)),
                None => Box::new(historic.into_iter()),
            }
        };
        submit(ask, new, Items { listed: &listed, query: self.query.as_ref() }).await
    }
}

/// This instance alone.
pub(super) fn one(id: String) -> Selection {
    Selection { ids: None, query: None, historic: Some(vec![id]) }
}

/// A batch for these items.
pub(super) async fn submit_listed(ask: &Ask, configuration: BatchConfiguration, items: &[String]) -> Answer {
    let mut ids = IdWriter::new().map_err(|e| disk(&e))?;
    for id in items {
        ids.push(id).map_err(|e| disk(&e))?;
    }
    Selection::of_ids(ids.finish().map_err(|e| disk(&e))?).submit(ask, configuration, (None, None)).await
}
