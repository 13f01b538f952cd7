//! `/event-subscription`: of instances, and of the start events of definitions.

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use shared::process::definition::{EventDefinition, ProcessDefinition, ScopeRef};
use shared::process::instance::{Subscription, SubscriptionKind};
use shared::store::query::{DefinitionQuery, InstanceQuery, Page};
use shared::store::views::StoredInstance;

use crate::criteria::Criteria;
use crate::dates;
use crate::error::{Answer, ApiError, count, ok};
use crate::extract::Ask;
use crate::input::Input;
use crate::paging;
use crate::scan;
use crate::state::ApiState;

/// Owners of one name that are looked at.
const OWNERS: u32 = 1_000;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/event-subscription", get(list)).route("/event-subscription/count", get(count_subscriptions))
}

pub(super) fn show(stored: &StoredInstance, s: &Subscription) -> Value {
    json!({
        "id": s.id,
        "eventType": s.kind.event_type(),
        "eventName": s.event_name,
        "executionId": s.execution_id,
        "processInstanceId": stored.instance.id,
        "activityId": s.activity_id,
        "createdDate": dates::format(s.created),
        "tenantId": stored.instance.tenant_id,
    })
}

/// Tests on rows as they are shown.
fn criteria(input: &Input<'_>) -> Result<Criteria<(), Value>, ApiError> {
    let mut c = Criteria::default();
    c.text(input, "eventSubscriptionId", |(), v: &Value| v["id"].as_str())?;
    c.text(input, "eventName", |(), v| v["eventName"].as_str())?;
    c.text(input, "eventType", |(), v| v["eventType"].as_str())?;
    c.text(input, "executionId", |(), v| v["executionId"].as_str())?;
    c.text(input, "processInstanceId", |(), v| v["processInstanceId"].as_str())?;
    c.text(input, "activityId", |(), v| v["activityId"].as_str())?;
    c.tenants(input.tenants("includeEventSubscriptionsWithoutTenantId")?, |(), v| v["tenantId"].as_str());
    Ok(c)
}

async fn find(ask: &Ask) -> Result<Vec<Value>, ApiError> {
    let input = ask.input();
    let tests = criteria(&input)?;
    let owner = match (input.text("processInstanceId")?, input.text("executionId")?, input.text("eventSubscriptionId")?) {
        (Some(id), ..) => Some(id),
        (None, Some(id), _) | (None, None, Some(id)) => Some(shared::id::base_of(&id)),
        (None, None, None) => None,
    };
    let of_one = owner.is_some();
    let narrowed = InstanceQuery { ids: owner.map(|id| vec![id]), ..InstanceQuery::default() };
    let mut found = scan::collect(ask, &narrowed, |stored, found| {
        let rows = stored.instance.subscriptions.iter().map(|s| show(stored, s));
        found.extend(rows.filter(|row| tests.all_hold(&(), row)));
    })
    .await?;
    if !of_one {
        found.extend(start_events(ask).await?.into_iter().filter(|row| tests.all_hold(&(), row)));
    }
    Ok(found)
}

/// Start events that wait: those of each latest definition.
async fn start_events(ask: &Ask) -> Result<Vec<Value>, ApiError> {
    let query = DefinitionQuery { latest: true, ..DefinitionQuery::default() };
    let mut rows = vec![];
    for definition in ask.store().definitions(&ask.caller, &query, &[], Page::default()).await? {
        let Some(model) = ask.store().model(&definition.id).await? else { continue };
        for (activity, kind, name) in waiting_starts(&model) {
            let owners = ask.store().waiting_for(&ask.caller, kind, &name, OWNERS).await?;
            for (_, id) in owners.into_iter().filter(|(owner, _)| *owner == definition.id) {
                rows.push(json!({
                    "id": id, "eventType": kind.event_type(), "eventName": name, "executionId": null, "processInstanceId": null,
                    "activityId": activity, "createdDate": null, "tenantId": definition.tenant_id,
                }));
            }
        }
    }
    Ok(rows)
}

/// Message and signal start events of the process itself: (activity, kind, name).
pub(super) fn waiting_starts(model: &ProcessDefinition) -> Vec<(String, SubscriptionKind, String)> {
    let starts = model.activities.iter().filter(|a| a.flow_scope == ScopeRef::Process);
    starts
        .filter_map(|a| match &a.event {
            Some(EventDefinition::Message { name: Some(name) }) if a.type_name == "messageStartEvent" => {
                Some((a.id.clone(), SubscriptionKind::Message, name.0.clone()))
            }
            Some(EventDefinition::Signal { name, .. }) if a.type_name == "signalStartEvent" => {
                Some((a.id.clone(), SubscriptionKind::Signal, name.0.clone()))
            }
            _ => None,
        })
        .collect()
}

async fn list(ask: Ask) -> Answer {
    let sort = paging::sorting(&ask.input(), &[("created", "createdDate"), ("tenantId", "tenantId")])?;
    let page = ask.page()?;
    let mut found = find(&ask).await?;
    paging::sort_by(&mut found, &sort, |row, key| row[key].as_str().map(str::to_owned));
    ok(paging::slice(found, page).into())
}

async fn count_subscriptions(ask: Ask) -> Answer {
    count(find(&ask).await?.len() as u64)
}
