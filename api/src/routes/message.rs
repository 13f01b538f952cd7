//! `POST /message`: a message reaches one execution or start event, or all of them (spec-batch-rest §4.5).

use axum::Router;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::{Value, json};
use shared::process::instance::SubscriptionKind;
use shared::process::value::TypedValue;
use shared::runner::Command;
use shared::runner::command::Variables;
use shared::store::NewInstance;
use shared::store::query::TenantFilter;
use shared::store::views::StoredInstance;

use super::event_subscription::waiting_starts;
use super::start::variables_after;
use super::variables::{Kind, visible};
use crate::command::run;
use crate::dto;
use crate::dto::values;
use crate::error::{Answer, ApiError, done, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::state::ApiState;

/// Owners that one message is held against at most.
const OWNERS: u32 = 10_000;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/message", post(correlate)).route("/signal", post(super::signal::throw))
}

struct Message {
    name: String,
    business_key: Option<String>,
    instance: Option<String>,
    keys: Variables,
    local_keys: Variables,
    variables: Variables,
    local_variables: Variables,
    tenants: TenantFilter,
    all: bool,
    result: bool,
    variables_in_result: bool,
}

fn read(input: &Input<'_>) -> Result<Message, ApiError> {
    let map = |name: &str| {
        Ok::<_, ApiError>(values::read_map(input, name).map_err(|e| e.wrapped("Cannot deliver message: "))?.unwrap_or_default())
    };
    let name = input.text("messageName")?.ok_or_else(|| ApiError::invalid("No message name supplied"))?;
    let (tenant, without) = (input.text("tenantId")?, input.yes("withoutTenantId")?);
    if tenant.is_some() && without {
        return Err(ApiError::invalid("Parameter 'tenantId' cannot be used together with parameter 'withoutTenantId'."));
    }
    let (result, variables_in_result) = (input.yes("resultEnabled")?, input.yes("variablesInResultEnabled")?);
    if variables_in_result && !result {
        let message = "Parameter 'variablesInResultEnabled' cannot be used without 'resultEnabled' set to true.";
        return Err(ApiError::invalid(message));
    }
    let mut local_variables = map("processVariablesLocal")?;
    local_variables.extend(map("processVariablesToTriggeredScope")?);
    Ok(Message {
        name,
        business_key: input.text("businessKey")?,
        instance: input.text("processInstanceId")?,
        keys: map("correlationKeys")?,
        local_keys: map("localCorrelationKeys")?,
        variables: map("processVariables")?,
        local_variables,
        tenants: TenantFilter { tenant_id_in: tenant.map(|t| vec![t]), without_tenant_id: without, include_without: false },
        all: input.yes("all")?,
        result,
        variables_in_result,
    })
}

/// What waits for a message.
enum Waiting {
    Execution { instance: String, execution: String, subscription: String, tenant: Option<String> },
    Start { definition: String, activity: String },
}

async fn correlate(ask: Ask, body: Json) -> Answer {
    let message = read(&body.input())?;
    let (executions, starts) = waiting(&ask, &message).await?;
    let reached = if message.all { executions.into_iter().chain(starts).collect() } else { vec![one_of(&message, executions, starts)?] };
    let mut results = vec![];
    for waiting in reached {
        let result = deliver(&ask, &message, waiting).await?;
        results.push(result);
    }
    if message.result { ok(results.into()) } else { done() }
}

fn mismatch(message: String) -> ApiError {
    let class = "org.camunda.bpm.engine.MismatchingMessageCorrelationException";
    ApiError::new(StatusCode::BAD_REQUEST, "RestException", format!("{class}: {message}"), Some(0))
}

/// Executions go before start events; more than one is a mismatch.
fn one_of(message: &Message, executions: Vec<Waiting>, starts: Vec<Waiting>) -> Result<Waiting, ApiError> {
    let count = executions.len();
    if count > 1 {
        let or_null = |t: Option<&String>| t.cloned().unwrap_or_else(|| "null".to_owned());
        let keys = |keys: &Variables| {
            let shown: Vec<String> = keys.iter().map(|(name, value)| format!("{name}={}", value.value)).collect();
            if shown.is_empty() { "null".to_owned() } else { format!("{{{}}}", shown.join(", ")) }
        };
        let tenant = message.tenants.tenant_id_in.as_ref().and_then(|t| t.first());
        let set = tenant.is_some() || message.tenants.without_tenant_id;
        return Err(mismatch(format!(
            "ENGINE-13031 Cannot correlate a message with name '{}' to a single execution. {count} executions match the correlation keys: \
             CorrelationSet [businessKey={}, processInstanceId={}, processDefinitionId=null, correlationKeys={}, localCorrelationKeys={}, \
             tenantId={}, isTenantIdSet={set}, isExecutionsOnly=false]",
            message.name,
            or_null(message.business_key.as_ref()),
            or_null(message.instance.as_ref()),
            keys(&message.keys),
            keys(&message.local_keys),
            or_null(tenant),
        )));
    }
    executions.into_iter().chain(starts).next().ok_or_else(|| {
        mismatch(format!("Cannot correlate message '{}': No process definition or execution matches the parameters", message.name))
    })
}

async fn waiting(ask: &Ask, message: &Message) -> Result<(Vec<Waiting>, Vec<Waiting>), ApiError> {
    let (mut executions, mut starts) = (vec![], vec![]);
    let owners = ask.store().waiting_for(&ask.caller, SubscriptionKind::Message, &message.name, OWNERS).await?;
    for (owner, subscription) in owners {
        if shared::id::split(&owner).is_some() {
            if message.instance.as_ref().is_some_and(|id| *id != owner) {
                continue;
            }
            if let Some(stored) = ask.store().instance(&ask.caller, &owner).await? {
                executions.extend(matching(&stored, message, &subscription));
            }
        } else if message.instance.is_none() {
            starts.extend(start_event(ask, message, &owner).await?);
        }
    }
    Ok((executions, starts))
}

/// The execution, if the message means it.
fn matching(stored: &StoredInstance, message: &Message, subscription: &str) -> Option<Waiting> {
    let instance = &stored.instance;
    let found = instance.subscriptions.iter().find(|s| s.id == subscription)?;
    let business_key = message.business_key.is_none() || message.business_key == instance.business_key;
    let has = |seen: &[(String, TypedValue)], keys: &Variables| {
        keys.iter().all(|(name, value)| seen.iter().any(|(n, v)| n == name && v.kind == value.kind && v.value == value.value))
    };
    let keys = has(&visible(instance, Kind::Instance, &instance.id), &message.keys);
    let local = message.local_keys.is_empty() || has(&visible(instance, Kind::ExecutionLocal, &found.execution_id), &message.local_keys);
    let meant = business_key && keys && local && !instance.suspended && message.tenants.matches(instance.tenant_id.as_deref());
    meant.then(|| Waiting::Execution {
        instance: instance.id.clone(),
        execution: found.execution_id.clone(),
        subscription: found.id.clone(),
        tenant: instance.tenant_id.clone(),
    })
}

async fn start_event(ask: &Ask, message: &Message, definition: &str) -> Result<Option<Waiting>, ApiError> {
    let Some(model) = ask.store().model(definition).await? else { return Ok(None) };
    if !message.tenants.matches(model.tenant_id.as_deref()) {
        return Ok(None);
    }
    let start = waiting_starts(&model).into_iter().find(|(_, kind, name)| *kind == SubscriptionKind::Message && *name == message.name);
    Ok(start.map(|(activity, ..)| Waiting::Start { definition: definition.to_owned(), activity }))
}

async fn deliver(ask: &Ask, message: &Message, waiting: Waiting) -> Result<Value, ApiError> {
    match waiting {
        Waiting::Execution { instance, execution, subscription, tenant } => {
            let command = Command::Deliver {
                subscription_id: subscription,
                variables: message.variables.clone(),
                local_variables: message.local_variables.clone(),
            };
            run(ask, &instance, command).await?;
            let shown = json!({"id": execution, "processInstanceId": instance, "ended": true, "tenantId": tenant});
            let mut result = json!({"resultType": "Execution", "execution": shown, "processInstance": null});
            if message.variables_in_result {
                result["variables"] = variables_after(ask, &instance, given(message)).await?;
            }
            Ok(result)
        }
        Waiting::Start { definition, activity } => start(ask, message, definition, activity).await,
    }
}

fn given(message: &Message) -> Value {
    values::show_map(message.variables.iter().map(|(name, value)| (name, value)))
}

async fn start(ask: &Ask, message: &Message, definition_id: String, activity: String) -> Result<Value, ApiError> {
    let start = Command::Start {
        variables: message.variables.clone(),
        instructions: vec![],
        start_event: Some(activity),
        skip_custom_listeners: false,
        skip_io_mappings: false,
    };
    let outcome = ask.store().start(&ask.caller, NewInstance { definition_id, business_key: message.business_key.clone(), start }).await?;
    ask.state.publish_instances(outcome.due);
    let shown = outcome.instance.as_ref().map_or_else(|| json!({"id": outcome.instance_id, "ended": true}), dto::instance::show);
    let mut result = json!({"resultType": "ProcessDefinition", "execution": null, "processInstance": shown});
    if message.variables_in_result {
        result["variables"] = variables_after(ask, &outcome.instance_id, given(message)).await?;
    }
    Ok(result)
}
