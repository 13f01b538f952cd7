//! `/execution`: the executions of instances, their message subscriptions, incidents that a caller makes.

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post};
use serde_json::{Value, json};
use shared::process::instance::{Execution, Incident, Subscription, SubscriptionKind};
use shared::runner::Command;
use shared::store::query::InstanceQuery;
use shared::store::views::StoredInstance;

use super::variables;
use crate::command::run;
use crate::criteria::Criteria;
use crate::document;
use crate::dto;
use crate::dto::values;
use crate::error::{Answer, ApiError, count, done, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::scan;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/execution", get(list).post(post_list))
        .route("/execution/count", get(count_executions).post(post_count))
        .route("/execution/{id}", get(one))
        .route("/execution/{id}/signal", post(signal))
        .route("/execution/{id}/create-incident", post(create_incident))
        .route("/execution/{id}/messageSubscriptions/{name}", get(subscription))
        .route("/execution/{id}/messageSubscriptions/{name}/trigger", post(trigger))
        .merge(variables::routes("/execution/{id}/localVariables", variables::Kind::ExecutionLocal))
}

fn show(stored: &StoredInstance, execution: &Execution) -> Value {
    json!({"id": execution.id, "processInstanceId": stored.instance.id, "ended": false, "tenantId": stored.instance.tenant_id})
}

type Of = Criteria<StoredInstance, Execution>;

fn waits(stored: &StoredInstance, execution: &Execution, kind: SubscriptionKind, name: &str) -> bool {
    let mut subscriptions = stored.instance.subscriptions.iter();
    subscriptions.any(|s| s.execution_id == execution.id && s.kind == kind && s.event_name.as_deref() == Some(name))
}

fn query(input: &Input<'_>) -> Result<(InstanceQuery, Of), ApiError> {
    let narrowed = InstanceQuery {
        ids: input.text("processInstanceId")?.map(|id| vec![id]),
        definition_id: input.text("processDefinitionId")?,
        definition_key: input.text("processDefinitionKey")?,
        business_key: input.text("businessKey")?,
        ..InstanceQuery::default()
    };
    let mut c = Of::default();
    c.text(input, "activityId", |_, e| e.at.as_ref().map(|at| at.activity_id.as_str()))?;
    c.yes(input, "active", |s, _| !s.instance.suspended)?;
    c.yes(input, "suspended", |s, _| s.instance.suspended)?;
    c.tenants(input.tenants("")?, |s, _| s.instance.tenant_id.as_deref());
    if let Some(name) = input.text("messageEventSubscriptionName")? {
        c.test(move |s, e| waits(s, e, SubscriptionKind::Message, &name));
    }
    if let Some(name) = input.text("signalEventSubscriptionName")? {
        c.test(move |s, e| waits(s, e, SubscriptionKind::Signal, &name));
    }
    Ok((narrowed, c))
}

const SORTS: [(&str, &str); 4] =
    [("instanceId", "processInstanceId"), ("definitionKey", "id"), ("definitionId", "id"), ("tenantId", "tenantId")];

async fn answer_list(ask: &Ask, input: &Input<'_>) -> Answer {
    let ((narrowed, tests), sort, page) = (query(input)?, paging::sorting(input, &SORTS)?, ask.page()?);
    let mut found = scan::collect(ask, &narrowed, |stored, found| {
        let executions = stored.instance.executions.iter().filter(|e| tests.all_hold(stored, e));
        found.extend(executions.map(|e| show(stored, e)));
    })
    .await?;
    paging::sort_by(&mut found, &sort, |row, key| row[key].as_str().map(str::to_owned));
    ok(paging::slice(found, page).into())
}

async fn answer_count(ask: &Ask, input: &Input<'_>) -> Answer {
    let (narrowed, tests) = query(input)?;
    let n = scan::count(ask, &narrowed, |stored| stored.instance.executions.iter().filter(|e| tests.all_hold(stored, e)).count()).await?;
    count(n)
}

async fn list(ask: Ask) -> Answer {
    answer_list(&ask, &ask.input()).await
}

async fn post_list(ask: Ask, body: Json) -> Answer {
    answer_list(&ask, &body.input()).await
}

async fn count_executions(ask: Ask) -> Answer {
    answer_count(&ask, &ask.input()).await
}

async fn post_count(ask: Ask, body: Json) -> Answer {
    answer_count(&ask, &body.input()).await
}

/// The document, if the execution is in it.
async fn find(ask: &Ask, id: &str) -> Result<Option<StoredInstance>, ApiError> {
    Ok(scan::owner(ask, id).await?.filter(|stored| stored.instance.execution(id).is_some()))
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    let stored = find(&ask, &id).await?;
    let found = stored.as_ref().and_then(|s| s.instance.execution(&id).map(|e| show(s, e)));
    found.map_or_else(|| Err(ApiError::not_found(format!("Execution with id {id} does not exist"))), ok)
}

fn unknown(id: &str) -> ApiError {
    ApiError::engine("NullValueException", format!("execution {id} doesn't exist: execution is null"))
}

async fn signal(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let prefix = format!("Cannot signal execution {id}: ");
    let variables = values::read_map(&body.input(), "variables").map_err(|e| e.wrapped(&prefix))?.unwrap_or_default();
    let stored = find(&ask, &id).await?.ok_or_else(|| unknown(&id).wrapped(&prefix))?;
    let command = Command::SignalExecution { execution_id: id, variables };
    run(&ask, &stored.instance.id, command).await.map_err(|e| e.wrapped(&prefix))?;
    done()
}

async fn create_incident(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let incident_type = input.text("incidentType")?;
    let incident_type = incident_type.ok_or_else(|| ApiError::bad_user("BadUserRequestException", "incidentType is null"))?;
    let none =
        || ApiError::bad_user("BadUserRequestException", format!("Cannot find an execution with executionId '{id}': execution is null"));
    let stored = find(&ask, &id).await?.ok_or_else(none)?;
    let command = Command::CreateIncident {
        execution_id: id.clone(),
        incident_type,
        configuration: input.text("configuration")?,
        message: input.text("message")?,
    };
    run(&ask, &stored.instance.id, command).await?.ok_or_else(none)?;
    let known = |i: &&Incident| !stored.instance.incidents.iter().any(|old| old.id == i.id);
    let after = find(&ask, &id).await?.ok_or_else(none)?;
    let new = after.instance.incidents.iter().filter(|i| i.execution_id == id).find(known);
    new.map_or_else(done, |incident| ok(dto::incident::show(&document::incident(&after, incident))))
}

fn message_of<'s>(stored: &'s StoredInstance, execution: &str, name: &str) -> Option<&'s Subscription> {
    let is =
        |s: &&Subscription| s.execution_id == execution && s.kind == SubscriptionKind::Message && s.event_name.as_deref() == Some(name);
    stored.instance.subscriptions.iter().find(is)
}

async fn subscription(ask: Ask, Path((id, name)): Path<(String, String)>) -> Answer {
    let stored = find(&ask, &id).await?;
    let found = stored.as_ref().and_then(|s| message_of(s, &id, &name).map(|found| super::event_subscription::show(s, found)));
    let none = || ApiError::not_found(format!("Message event subscription for execution {id} named {name} does not exist"));
    found.map_or_else(|| Err(none()), ok)
}

async fn trigger(ask: Ask, Path((id, name)): Path<(String, String)>, body: Json) -> Answer {
    let prefix = format!("Cannot trigger message {name} for execution {id}: ");
    let variables = values::read_map(&body.input(), "variables").map_err(|e| e.wrapped(&prefix))?.unwrap_or_default();
    let stored = find(&ask, &id).await?;
    let found = stored.as_ref().and_then(|s| message_of(s, &id, &name).map(|m| (s.instance.id.clone(), m.id.clone())));
    let (instance, subscription_id) = found.ok_or_else(|| {
        let why = "does not have a subscription to a message event with name";
        ApiError::engine("NullValueException", format!("Execution with id '{id}' {why} '{name}': eventSubscriptions is empty"))
            .wrapped(&prefix)
    })?;
    let command = Command::Deliver { subscription_id, variables, local_variables: vec![] };
    run(&ask, &instance, command).await.map_err(|e| e.wrapped(&prefix))?;
    done()
}
