//! What a definition waits for to start instances: message and signal subscriptions in `waiting`, timers in `timer`.
//! Only the latest version of a key and tenant has them.

use super::derived_rows::waiting_columns;
use super::models::base_of;
use super::{Tx, params, timers};
use crate::clock::Millis;
use crate::id;
use crate::process::definition::{Activity, ActivityKind, EventDefinition, ProcessDefinition, ScopeRef};
use crate::process::derived::{Waiting, WaitingKind};
use crate::runner::Refusal;
use crate::store::Error;

/// Numbers of start events' subscriptions and timers begin here, under the definition's base.
const FIRST_SUBSCRIPTION: u32 = 0x1000_0000;

/// Start events of the process itself.
fn start_events(model: &ProcessDefinition) -> impl Iterator<Item = &Activity> {
    let children = model.children.iter().map(|ix| model.activity(*ix));
    children.filter(|a| a.flow_scope == ScopeRef::Process && a.kind == ActivityKind::NoneStartEvent)
}

fn subscriptions(model: &ProcessDefinition) -> Vec<Waiting> {
    let waits = |activity: &Activity| match &activity.event {
        Some(EventDefinition::Message { name }) => Some((WaitingKind::Message, name.clone()?.0)),
        Some(EventDefinition::Signal { name, .. }) => Some((WaitingKind::Signal, name.0.clone())),
        _ => None,
    };
    let all = start_events(model).filter_map(|activity| Some((activity, waits(activity)?)));
    let number = |(n, (activity, (kind, name))): (u32, (&Activity, (WaitingKind, String)))| Waiting {
        element_id: id::numbered(base_of(&model.id), FIRST_SUBSCRIPTION + n),
        kind,
        name,
        activity_id: activity.id.clone(),
        priority: 0,
        available_at: None,
    };
    (0..).zip(all).map(number).collect()
}

/// Makes `model` the one that start events of its key and tenant start.
///
/// # Errors
/// Another process of the tenant starts with the same message.
pub(crate) async fn replace(tx: &mut Tx, model: &ProcessDefinition, now: Millis) -> Result<(), Error> {
    let others = "(SELECT id FROM process_definition WHERE key = $1 AND COALESCE(tenant_id, '') = COALESCE($2, ''))";
    let of_key = || params![&model.key, model.tenant_id.as_ref()];
    tx.execute(&format!("DELETE FROM waiting WHERE owner IN {others}"), of_key()).await?;
    tx.execute(&format!("DELETE FROM timer WHERE kind = 'timer-start-event' AND process_definition_id IN {others}"), of_key()).await?;
    let waiting = subscriptions(model);
    for message in waiting.iter().filter(|w| w.kind == WaitingKind::Message) {
        let taken = "SELECT w.owner FROM waiting w JOIN process_definition d ON d.id = w.owner
                     WHERE w.kind = 'message' AND w.name = $1 AND COALESCE(w.tenant_id, '') = COALESCE($2, '') LIMIT 1";
        if tx.optional(taken, params![&message.name, model.tenant_id.as_ref()]).await?.is_some() {
            return Err(Refusal::engine(format!(
                "ENGINE-09005 Cannot deploy process definition '{}': there already is a message event subscription for the message with name '{}'.",
                model.key, message.name
            ))
            .into());
        }
    }
    let rows: Vec<_> = waiting.into_iter().map(|w| (model.id.clone(), model.tenant_id.clone(), w)).collect();
    tx.insert("waiting", waiting_columns(&rows), "").await?;
    timers::insert(tx, model, start_events(model), now).await
}

/// The subscriptions' rows of a definition, for a signal that starts instances: the activity that one stands for.
pub(crate) fn activity_of(model: &ProcessDefinition, subscription: &str) -> Option<String> {
    subscriptions(model).into_iter().find(|w| w.element_id == subscription).map(|w| w.activity_id)
}
