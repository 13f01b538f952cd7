//! `/process-definition`: by id, by key, by key and tenant (spec-batch-rest §4.5).

use std::collections::HashMap;

use axum::Router;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{MethodRouter, delete, get, post, put};
use serde_json::{Value, json};
use shared::store::query::{DefinitionQuery, Page, TenantFilter};
use shared::store::views::DefinitionView;

use super::job_definition::not_later;
use crate::dto::definition::{self as dto, SORTS};
use crate::error::{Answer, ApiError, count, done, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    let router = Router::new()
        .route("/process-definition", get(list))
        .route("/process-definition/count", get(count_definitions))
        .route("/process-definition/statistics", get(super::statistics::of_definitions))
        .route("/process-definition/suspended", put(suspend_many));
    let router = each(router, "", || get(one).merge(delete(remove)));
    let router = each(router, "/xml", || get(xml));
    let router = each(router, "/start", || post(super::start::start));
    let router = each(router, "/suspended", || put(suspend));
    each(router, "/statistics", || get(super::statistics::of_activities))
}

/// The same resource by id, by key, and by key and tenant.
fn each(router: Router<ApiState>, end: &str, handler: impl Fn() -> MethodRouter<ApiState>) -> Router<ApiState> {
    ["{id}", "key/{key}", "key/{key}/tenant-id/{tenant}"]
        .iter()
        .fold(router, |router, which| router.route(&format!("/process-definition/{which}{end}"), handler()))
}

/// Which definition a path means.
pub(super) type Which = Path<HashMap<String, String>>;

/// The definition that a path names; None: an unknown id. An unknown key is an error of its own.
pub(super) async fn named(ask: &Ask, which: &HashMap<String, String>) -> Result<Result<DefinitionView, String>, ApiError> {
    let first = Page { first: 0, max: Some(1) };
    if let Some(id) = which.get("id") {
        let query = DefinitionQuery { ids: Some(vec![id.clone()]), ..DefinitionQuery::default() };
        let found = ask.store().definitions(&ask.caller, &query, &[], first).await?.into_iter().next();
        return Ok(found.ok_or_else(|| id.clone()));
    }
    let (key, tenant) = (which.get("key").cloned().unwrap_or_default(), which.get("tenant"));
    let tenants =
        TenantFilter { tenant_id_in: tenant.map(|t| vec![t.clone()]), without_tenant_id: tenant.is_none(), include_without: false };
    let query = DefinitionQuery { key: Some(key.clone()), latest: true, tenants, ..DefinitionQuery::default() };
    let found = ask.store().definitions(&ask.caller, &query, &[], first).await?.into_iter().next();
    let of = tenant.map_or_else(|| "no tenant-id".to_owned(), |t| format!("tenant-id: {t}"));
    let message = format!("No matching process definition with key: {key} and {of}");
    found.map(Ok).ok_or_else(|| ApiError::not_found(message).with_kind("RestException"))
}

async fn find(ask: &Ask, which: &HashMap<String, String>) -> Result<DefinitionView, ApiError> {
    let none = |id| ApiError::not_found(format!("No matching definition with id {id}")).with_code(Some(0));
    named(ask, which).await?.map_err(none)
}

async fn list(ask: Ask) -> Answer {
    let (query, sort) = (dto::query(&ask.input())?, paging::sorting(&ask.input(), &SORTS)?);
    let found = ask.store().definitions(&ask.caller, &query, &sort, ask.page()?).await?;
    ok(found.iter().map(dto::show).collect::<Value>())
}

async fn count_definitions(ask: Ask) -> Answer {
    count(ask.store().count_definitions(&ask.caller, &dto::query(&ask.input())?).await?)
}

async fn one(ask: Ask, Path(which): Which) -> Answer {
    ok(dto::show(&find(&ask, &which).await?))
}

async fn xml(ask: Ask, Path(which): Which) -> Answer {
    let id = find(&ask, &which).await?.id;
    match ask.store().definition_xml(&ask.caller, &id).await? {
        Some(text) => ok(json!({"id": id, "bpmn20Xml": text})),
        None => Err(ApiError::not_found(format!("No matching definition with id {id}")).with_code(Some(0))),
    }
}

/// 200 with nothing in it, as the reference (FINDINGS 9).
async fn remove(ask: Ask, Path(which): Which) -> Answer {
    let none = |id: &str| {
        let message = format!("No process definition found with id '{id}': processDefinition is null");
        ApiError::not_found(message).with_code(Some(0))
    };
    let id = named(&ask, &which).await?.map_err(|id| none(&id))?.id;
    let cascade = ask.params.get("cascade").is_some_and(|c| c.eq_ignore_ascii_case("true"));
    if !ask.store().delete_definition(&ask.caller, &id, cascade).await? {
        return Err(none(&id));
    }
    Ok(StatusCode::OK.into_response())
}

async fn suspend(ask: Ask, Path(which): Which, body: Json) -> Answer {
    let mut query =
        DefinitionQuery { ids: which.get("id").map(|id| vec![id.clone()]), key: which.get("key").cloned(), ..DefinitionQuery::default() };
    if query.key.is_some() {
        query.tenants.tenant_id_in = which.get("tenant").map(|t| vec![t.clone()]);
        query.tenants.without_tenant_id = !which.contains_key("tenant");
    }
    suspend_all(&ask, &query, &body.input()).await
}

async fn suspend_many(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let (id, key) = (input.text("processDefinitionId")?, input.text("processDefinitionKey")?);
    let refused = |which: &str| {
        let end = "of processDefinitionId or processDefinitionKey should be set to update the suspension state.";
        ApiError::invalid(if which == "Either" { end.replacen("of ", "Either ", 1) } else { format!("{which} {end}") })
    };
    match (&id, &key) {
        (None, None) => return Err(refused("Either")),
        (Some(_), Some(_)) => return Err(refused("Only one")),
        _ => {}
    }
    let mut query = DefinitionQuery { ids: id.map(|id| vec![id]), key, ..DefinitionQuery::default() };
    query.tenants.tenant_id_in = input.text("processDefinitionTenantId")?.map(|t| vec![t]);
    query.tenants.without_tenant_id = input.yes("processDefinitionWithoutTenantId")?;
    suspend_all(&ask, &query, &input).await
}

/// What is not there is no error.
async fn suspend_all(ask: &Ask, query: &DefinitionQuery, input: &Input<'_>) -> Answer {
    not_later(ask, input)?;
    let (suspended, instances) = (input.yes("suspended")?, input.yes("includeProcessInstances")?);
    for definition in ask.store().definitions(&ask.caller, query, &[], Page::default()).await? {
        ask.store().set_definition_suspended_state(&ask.caller, &definition.id, suspended, instances).await?;
    }
    done()
}
