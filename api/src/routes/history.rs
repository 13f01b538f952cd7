//! `/history/…` of instances: what is open is read from the documents, what is closed from rows.

use std::collections::HashMap;

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::{Value, json};
use shared::batch::RemovalTime;
use shared::process::definition::ProcessDefinition;
use shared::process::history::IncidentEnd;
use shared::process::tree::variable_scope;
use shared::store::query::{HistoricBatchQuery, HistoryKind, HistoryQuery, InstanceQuery, Page};
use shared::store::views::StoredInstance;

use crate::criteria::Criteria;
use crate::dates;
use crate::dto::history::{self as dto, Owner};
use crate::dto::history_query::{self as query, Filters};
use crate::error::{Answer, ApiError, count, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::scan;
use crate::state::ApiState;

/// Closed rows read at once.
const PAGE: u64 = 500;
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A list of one kind.
#[derive(Clone, Copy)]
struct List {
    kind: HistoryKind,
    filters: Filters,
    sorts: &'static [(&'static str, &'static str)],
}

const INSTANCES: List = List { kind: HistoryKind::Instance, filters: query::INSTANCES, sorts: query::INSTANCE_SORTS };
const ACTIVITIES: List = List { kind: HistoryKind::Activity, filters: query::ACTIVITIES, sorts: query::ACTIVITY_SORTS };
const TASKS: List = List { kind: HistoryKind::Task, filters: query::TASKS, sorts: query::TASK_SORTS };
const VARIABLES: List = List { kind: HistoryKind::Variable, filters: query::VARIABLES, sorts: query::VARIABLE_SORTS };
const DETAILS: List = List { kind: HistoryKind::Detail, filters: query::DETAILS, sorts: query::DETAIL_SORTS };
const INCIDENTS: List = List { kind: HistoryKind::Incident, filters: query::INCIDENTS, sorts: query::INCIDENT_SORTS };

pub(super) fn routes() -> Router<ApiState> {
    let mut router = Router::new()
        .route("/history/process-instance/{id}", get(one_instance))
        .route("/history/process-definition/{id}/statistics", get(super::history_statistics::of_activities))
        .route("/history/user-operation", get(|| async { ok(json!([])) }))
        .route("/history/user-operation/count", get(|| async { count(0) }));
    for (path, list) in [
        ("process-instance", INSTANCES),
        ("activity-instance", ACTIVITIES),
        ("task", TASKS),
        ("variable-instance", VARIABLES),
        ("detail", DETAILS),
        ("incident", INCIDENTS),
    ] {
        router = router
            .route(
                &format!("/history/{path}"),
                get(move |ask: Ask| async move { show(&ask, list, &ask.input()).await })
                    .post(move |ask: Ask, body: Json| async move { show(&ask, list, &body.input()).await }),
            )
            .route(
                &format!("/history/{path}/count"),
                get(move |ask: Ask| async move { number(&ask, list, &ask.input()).await })
                    .post(move |ask: Ask, body: Json| async move { number(&ask, list, &body.input()).await }),
            );
    }
    router
}

async fn show(ask: &Ask, list: List, input: &Input<'_>) -> Answer {
    let (sort, page) = (paging::sorting(input, list.sorts)?, ask.page()?);
    let mut rows = find(ask, list, input).await?;
    paging::sort_by(&mut rows, &sort, query::sort_key);
    let mut rows = paging::slice(rows, page);
    if list.kind == HistoryKind::Incident {
        for row in &mut rows {
            row["historyConfiguration"] = json!(super::job_log::last_failure(ask, row).await?);
        }
    }
    ok(rows.into())
}

async fn number(ask: &Ask, list: List, input: &Input<'_>) -> Answer {
    count(find(ask, list, input).await?.len() as u64)
}

/// All rows of the kind that match, closed ones first.
async fn find(ask: &Ask, list: List, input: &Input<'_>) -> Result<Vec<Value>, ApiError> {
    let mut tests = query::criteria(input, list.filters)?;
    if list.kind == HistoryKind::Variable && !input.yes("includeDeleted")? {
        tests.test(|(), row| row["state"] != "DELETED");
    }
    let narrowed = narrowed(list, input)?;
    let mut rows = closed(ask, list, &narrowed, &tests).await?;
    rows.extend(open(ask, list, &narrowed, &tests).await?);
    if list.kind == HistoryKind::Task && narrowed.instance_id.is_none() {
        let open = super::task::standalone(ask, |stored, task| {
            let row = dto::task(&Owner::open(stored), task, None, None);
            tests.all_hold(&(), &row).then_some(row)
        });
        rows.extend(open.await?);
    }
    if list.kind == HistoryKind::Incident && narrowed.instance_id.is_none() {
        rows.extend(of_batches(ask, &tests).await?);
    }
    scan::bounded(rows.len(), ask.state.limits.answer_rows)?;
    Ok(rows)
}

/// What columns can narrow: the instance for all kinds, more for instances themselves.
fn narrowed(list: List, input: &Input<'_>) -> Result<HistoryQuery, ApiError> {
    let of_instances = list.kind == HistoryKind::Instance;
    let instance_id = match input.text("processInstanceId")? {
        Some(id) => Some(id),
        None => input
            .filled_list(if of_instances { "processInstanceIds" } else { "processInstanceIdIn" })?
            .filter(|ids| ids.len() == 1)
            .map(|ids| ids[0].clone()),
    };
    Ok(HistoryQuery {
        kind: list.kind,
        instance_id,
        definition_id: if of_instances { input.text("processDefinitionId")? } else { None },
        definition_key: if of_instances { input.text("processDefinitionKey")? } else { None },
        id: None,
        tenants: shared::store::query::TenantFilter::default(),
    })
}

async fn closed(ask: &Ask, list: List, narrowed: &HistoryQuery, tests: &Criteria<(), Value>) -> Result<Vec<Value>, ApiError> {
    let mut rows = vec![];
    let mut first = 0;
    loop {
        let page = ask.store().history(&ask.caller, narrowed, Page { first, max: Some(PAGE) }).await?;
        let read = page.len() as u64;
        first += read;
        for closed in page {
            let mut row = dto::closed(&Owner::closed(&closed), &closed.closed);
            if list.kind == HistoryKind::Instance {
                named(ask, &mut row).await?;
                match closed.removal {
                    Some(RemovalTime::At(at)) => row["removalTime"] = dates::json(Some(at)),
                    Some(RemovalTime::Cleared) => row["removalTime"] = Value::Null,
                    Some(RemovalTime::Calculated) | None => {}
                }
            }
            if tests.all_hold(&(), &row) {
                rows.push(row);
            }
        }
        scan::bounded(rows.len(), ask.state.limits.answer_rows)?;
        if read < PAGE {
            return Ok(rows);
        }
    }
}

async fn open(ask: &Ask, list: List, narrowed: &HistoryQuery, tests: &Criteria<(), Value>) -> Result<Vec<Value>, ApiError> {
    let documents = InstanceQuery {
        ids: narrowed.instance_id.clone().map(|id| vec![id]),
        definition_id: narrowed.definition_id.clone(),
        definition_key: narrowed.definition_key.clone(),
        ..InstanceQuery::default()
    };
    let (mut rows, mut after) = (vec![], None);
    while let Some(page) = scan::page(ask, &documents, &mut after).await? {
        for stored in page {
            let Some(model) = ask.store().model(&stored.instance.definition_id).await? else { continue };
            rows.extend(open_rows(&stored, &model, list.kind).into_iter().filter(|row| tests.all_hold(&(), row)));
        }
        scan::bounded(rows.len(), ask.state.limits.answer_rows)?;
    }
    Ok(rows)
}

fn open_rows(stored: &StoredInstance, model: &ProcessDefinition, kind: HistoryKind) -> Vec<Value> {
    let (owner, i) = (Owner::open(stored), &stored.instance);
    match kind {
        HistoryKind::Instance => {
            let mut row = dto::instance(&owner, if i.suspended { "SUSPENDED" } else { "ACTIVE" }, None, None);
            row["processDefinitionName"] = json!(model.name);
            vec![row]
        }
        HistoryKind::Activity => {
            let assignee =
                |task: &Option<String>| i.tasks.iter().find(|t| Some(&t.id) == task.as_ref()).and_then(|t| t.assignee.as_deref());
            let below = i.open.iter().filter(|a| a.id != i.id);
            below.map(|a| dto::activity(&owner, a, assignee(&a.task_id), None, false, false)).collect()
        }
        HistoryKind::Task => i.tasks.iter().map(|t| dto::task(&owner, t, None, None)).collect(),
        HistoryKind::Variable => {
            i.variables.iter().map(|v| dto::variable(&owner, v, variable_scope(i, model, v).as_deref(), false)).collect()
        }
        HistoryKind::Incident => i.incidents.iter().map(|n| dto::incident(&owner, n, None)).collect(),
        HistoryKind::Detail | HistoryKind::ExternalTask => vec![],
    }
}

/// Incidents of batch jobs, open ones and closed ones, of batches whose history is kept.
async fn of_batches(ask: &Ask, tests: &Criteria<(), Value>) -> Result<Vec<Value>, ApiError> {
    let (mut rows, mut after): (Vec<Value>, Option<String>) = (vec![], None);
    let mut kept = Kept::default();
    loop {
        let page = ask.store().batch_incidents(&ask.caller, after.as_deref(), PAGE as u32).await?;
        after = page.last().filter(|_| page.len() as u64 == PAGE).map(|i| i.id.clone());
        for incident in &page {
            let row = dto::batch_incident(incident, None);
            if tests.all_hold(&(), &row) && kept.is_kept(ask, incident.configuration.as_deref()).await? {
                rows.push(row);
            }
        }
        scan::bounded(rows.len(), ask.state.limits.answer_rows)?;
        if after.is_none() {
            break;
        }
    }
    loop {
        let page = ask.store().closed_batch_incidents(&ask.caller, after.as_deref(), PAGE as u32).await?;
        after = page.last().filter(|_| page.len() as u64 == PAGE).map(|i| i.incident.id.clone());
        let shown = page.iter().map(|i| {
            let end = if i.deleted { IncidentEnd::Deleted } else { IncidentEnd::Resolved };
            dto::batch_incident(&i.incident, Some((i.ended, end)))
        });
        rows.extend(shown.filter(|row| tests.all_hold(&(), row)));
        scan::bounded(rows.len(), ask.state.limits.answer_rows)?;
        if after.is_none() {
            return Ok(rows);
        }
    }
}

/// Which batches still have a history, asked once each.
#[derive(Default)]
struct Kept(HashMap<String, bool>);

impl Kept {
    async fn is_kept(&mut self, ask: &Ask, job: Option<&str>) -> Result<bool, ApiError> {
        let batch = shared::id::base_of(job.unwrap_or_default());
        if let Some(kept) = self.0.get(&batch) {
            return Ok(*kept);
        }
        let query = HistoricBatchQuery { id: Some(batch.clone()), ..HistoricBatchQuery::default() };
        let kept = ask.store().count_historic_batches(&ask.caller, &query).await? > 0;
        self.0.insert(batch, kept);
        Ok(kept)
    }
}

/// Name and removal time of an ended instance: its definition's, if that is still there.
async fn named(ask: &Ask, row: &mut Value) -> Result<(), ApiError> {
    let id = row["processDefinitionId"].as_str().unwrap_or_default();
    if let Some(model) = ask.store().model(id).await? {
        row["processDefinitionName"] = json!(model.name);
        let ended = row["endTime"].as_str().and_then(dates::parse);
        let kept = model.history_time_to_live.map(|days| i64::from(days) * DAY_MS);
        row["removalTime"] = dates::json(ended.zip(kept).map(|(ended, kept)| ended + kept));
    }
    Ok(())
}

/// Ids of the instances, running or over, that a query of a body finds.
pub(super) async fn instance_ids(ask: &Ask, query: &crate::input::Object) -> Result<Vec<String>, ApiError> {
    let found = find(ask, INSTANCES, &Input::body(query)).await?;
    Ok(found.iter().filter_map(|row| row["id"].as_str().map(str::to_owned)).collect())
}

async fn one_instance(ask: Ask, Path(id): Path<String>) -> Answer {
    let mut object = crate::input::Object::new();
    object.insert("processInstanceId".to_owned(), json!(id));
    let found = find(&ask, INSTANCES, &Input::body(&object)).await?.into_iter().next();
    found.map_or_else(|| Err(ApiError::not_found(format!("Historic process instance with id {id} does not exist"))), ok)
}
