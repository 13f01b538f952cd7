//! `POST /signal`: a signal reaches all that wait for it, or one execution.

use shared::process::instance::SubscriptionKind;
use shared::runner::Command;
use shared::runner::command::Variables;
use shared::store::NewInstance;
use shared::store::query::TenantFilter;

use super::event_subscription::waiting_starts;
use crate::command::run;
use crate::dto::values;
use crate::error::{Answer, ApiError, done};
use crate::extract::{Ask, Json};
use crate::scan;

/// Owners that one signal reaches at most.
const OWNERS: u32 = 10_000;

pub(super) async fn throw(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let name = input.text("name")?.ok_or_else(|| ApiError::invalid("No signal name given"))?;
    let (tenant, without) = (input.text("tenantId")?, input.yes("withoutTenantId")?);
    let variables = values::read_map(&input, "variables").map_err(|e| e.wrapped("Cannot deliver signal: "))?.unwrap_or_default();
    if let Some(execution) = input.text("executionId")? {
        if tenant.is_some() || without {
            let message = "ENGINE-13027 Cannot specify a tenant-id when deliver a signal to a single execution.";
            return Err(ApiError::bad_user("BadUserRequestException", message));
        }
        return to_execution(&ask, &name, &execution, variables).await;
    }
    let tenants = TenantFilter { tenant_id_in: tenant.map(|t| vec![t]), without_tenant_id: without, include_without: false };
    to_all(&ask, &name, &tenants, &variables).await
}

async fn to_execution(ask: &Ask, name: &str, execution: &str, variables: Variables) -> Answer {
    let none = || ApiError::engine("NullValueException", format!("Cannot find execution with id '{execution}': execution is null"));
    let stored = scan::owner(ask, execution).await?.filter(|s| s.instance.execution(execution).is_some()).ok_or_else(none)?;
    let mut subscriptions = stored.instance.subscriptions.iter();
    let is = |s: &&shared::process::instance::Subscription| {
        s.execution_id == execution && s.kind == SubscriptionKind::Signal && s.event_name.as_deref() == Some(name)
    };
    let found = subscriptions.find(is).ok_or_else(|| {
        let message = format!("Execution '{execution}' has not subscribed to a signal event with name '{name}'.");
        ApiError::engine("ProcessEngineException", message)
    })?;
    let command = Command::Deliver { subscription_id: found.id.clone(), variables, local_variables: vec![] };
    run(ask, &stored.instance.id, command).await?;
    done()
}

/// All executions that wait, and then all start events.
async fn to_all(ask: &Ask, name: &str, tenants: &TenantFilter, variables: &Variables) -> Answer {
    let owners = ask.store().waiting_for(&ask.caller, SubscriptionKind::Signal, name, OWNERS).await?;
    let (instances, definitions): (Vec<_>, Vec<_>) = owners.into_iter().partition(|(owner, _)| shared::id::split(owner).is_some());
    for (instance, subscription_id) in instances {
        let stored = ask.store().instance(&ask.caller, &instance).await?;
        if stored.is_some_and(|s| !s.instance.suspended && tenants.matches(s.instance.tenant_id.as_deref())) {
            let command = Command::Deliver { subscription_id, variables: variables.clone(), local_variables: vec![] };
            run(ask, &instance, command).await?;
        }
    }
    for (definition_id, _) in definitions {
        let Some(model) = ask.store().model(&definition_id).await? else { continue };
        let start = waiting_starts(&model).into_iter().find(|(_, kind, n)| *kind == SubscriptionKind::Signal && n == name);
        if let Some((activity, ..)) = start.filter(|_| tenants.matches(model.tenant_id.as_deref())) {
            let start = Command::Start {
                variables: variables.clone(),
                instructions: vec![],
                start_event: Some(activity),
                skip_custom_listeners: false,
                skip_io_mappings: false,
            };
            let outcome = ask.store().start(&ask.caller, NewInstance { definition_id, business_key: None, start }).await?;
            ask.state.publish_instances(outcome.due);
        }
    }
    done()
}
