//! What commands ask of other instances and of definitions, carried out in the same transaction.

use std::sync::Arc;

use super::statement::Sql;
use super::working_set::WorkingSet;
use super::{Tx, params, start_events};
use crate::process::definition::ProcessDefinition;
use crate::process::instance::SubscriptionKind;
use crate::runner::command::Variables;
use crate::runner::{Command, Refusal, Request};
use crate::store::Error;

/// Receivers of one signal that are read.
const MAX_RECEIVERS: i64 = 10_000;

/// Which definition a call activity means.
struct Called {
    key: String,
    binding: Option<String>,
    version: Option<String>,
    version_tag: Option<String>,
    tenant: Option<String>,
}

impl WorkingSet<'_> {
    /// Carries out all that was asked for, and what that asks for, until nothing is left.
    pub(crate) async fn carry_out(&mut self, tx: &mut Tx) -> Result<(), Error> {
        while let Some((from, request)) = self.requests.pop_front() {
            self.carry_out_one(tx, &from, request).await?;
        }
        Ok(())
    }

    async fn carry_out_one(&mut self, tx: &mut Tx, from: &str, request: Request) -> Result<(), Error> {
        let (to, command) = match request {
            Request::StartCalled { instance_id, called, binding, version, version_tag, tenant_id, business_key, variables } => {
                let called = Called { key: called, binding, version, version_tag, tenant: tenant_id };
                return self.start_called(tx, from, instance_id, called, business_key, variables).await;
            }
            Request::Signal { name, business_key, variables } => {
                return self.signal(tx, from, &name, business_key, &variables).await;
            }
            Request::CalledEnded { super_instance, called_instance, variables } => {
                (super_instance, Command::CalledEnded { called_instance, variables })
            }
            Request::CalledDeleted { super_instance, called_instance } => (super_instance, Command::CalledDeleted { called_instance }),
            Request::DeleteCalled { instance_id, reason } => {
                (instance_id, Command::Delete { reason, skip_custom_listeners: false, skip_io_mappings: false })
            }
            Request::IncidentUp { super_instance, called_instance, incident_id, root_incident_id, incident_type } => {
                (super_instance, Command::IncidentUp { called_instance, incident_id, root_incident_id, incident_type })
            }
            Request::IncidentGone { super_instance, incident_id } => (super_instance, Command::IncidentGone { incident_id }),
            Request::Uncaught { super_instance, called_instance, escalation, code } => {
                (super_instance, Command::CalledUncaught { called_instance, escalation, code })
            }
        };
        // One that is gone, or has ended in this very transaction, is past being asked.
        if self.reach(tx, &to).await? {
            self.run(tx, &to, command).await?;
        }
        Ok(())
    }

    async fn start_called(
        &mut self,
        tx: &mut Tx,
        from: &str,
        id: String,
        called: Called,
        business_key: Option<String>,
        variables: Variables,
    ) -> Result<(), Error> {
        let Some(caller) = self.members.get(from) else { return Ok(()) };
        let tenant = called.tenant.clone().or_else(|| caller.instance.tenant_id.clone());
        let root = caller.instance.root_instance.clone().unwrap_or_else(|| from.to_owned());
        let definition_id = find_called(tx, &called, tenant.as_deref(), &caller.definition.deployment_id).await?;
        let definition = startable(tx, self, &definition_id).await?;
        let mut instance = self.blank(&definition, id.clone());
        instance.business_key = business_key;
        instance.super_instance = Some(from.to_owned());
        instance.root_instance = Some(root);
        self.add_new(definition, instance);
        self.run(tx, &id, start_at(None, variables)).await?;
        Ok(())
    }

    /// To all that wait for it: instances in the order of their ids, then start events. A thrower with a tenant reaches its
    /// tenant and what has none.
    async fn signal(
        &mut self,
        tx: &mut Tx,
        from: &str,
        name: &str,
        business_key: Option<String>,
        variables: &Variables,
    ) -> Result<(), Error> {
        let tenant = self.members.get(from).and_then(|m| m.instance.tenant_id.clone());
        let mut receivers = stored_receivers(tx, name, tenant.as_deref()).await?;
        // What this transaction has changed is not in the table yet.
        receivers.retain(|(owner, _)| self.members.get(owner).is_none_or(|m| !m.touched));
        for member in self.members.values().filter(|m| m.touched && !m.ended && !m.instance.suspended) {
            let seen = tenant.is_none() || member.instance.tenant_id.is_none() || member.instance.tenant_id == tenant;
            let waits = member.instance.subscriptions.iter();
            let waits = waits.filter(|s| seen && s.kind == SubscriptionKind::Signal && s.event_name.as_deref() == Some(name));
            receivers.extend(waits.map(|s| (member.instance.id.clone(), s.id.clone())));
        }
        receivers.sort();
        let mut starts = vec![];
        for (owner, subscription) in receivers {
            if !self.reach(tx, &owner).await? {
                starts.push((owner, subscription));
                continue;
            }
            // An earlier delivery may have ended the wait.
            if self.members.get(&owner).is_some_and(|m| m.instance.subscriptions.iter().any(|s| s.id == subscription)) {
                let command =
                    Command::Deliver { subscription_id: subscription, variables: variables.clone(), local_variables: Variables::new() };
                self.run(tx, &owner, command).await?;
            }
        }
        for (owner, subscription) in starts {
            self.start_by_event(tx, &owner, &subscription, business_key.clone(), variables.clone()).await?;
        }
        Ok(())
    }

    /// `owner` is a definition, if it is still there.
    async fn start_by_event(
        &mut self,
        tx: &mut Tx,
        owner: &str,
        subscription: &str,
        business_key: Option<String>,
        variables: Variables,
    ) -> Result<(), Error> {
        let Some(model) = self.around.models.get(tx, owner).await? else { return Ok(()) };
        let Some(activity) = start_events::activity_of(&model, subscription) else { return Ok(()) };
        let definition = startable(tx, self, owner).await?;
        let mut instance = self.blank(&definition, crate::id::new_base());
        instance.business_key = business_key;
        let id = instance.id.clone();
        self.add_new(definition, instance);
        self.run(tx, &id, start_at(Some(activity), variables)).await?;
        Ok(())
    }
}

pub(crate) fn start_at(start_event: Option<String>, variables: Variables) -> Command {
    Command::Start { variables, instructions: vec![], start_event, skip_custom_listeners: false, skip_io_mappings: false }
}

/// (owner, subscription) of all that wait for this signal, suspended instances left out.
async fn stored_receivers(tx: &mut Tx, name: &str, tenant: Option<&str>) -> Result<Vec<(String, String)>, Error> {
    let sql = "SELECT w.owner, w.element FROM waiting w LEFT JOIN process_instance p ON p.id = w.owner
               WHERE w.kind = 'signal' AND w.name = $1 AND COALESCE(p.suspended, FALSE) = FALSE
                 AND ($2 IS NULL OR w.tenant_id IS NULL OR w.tenant_id = $2)
               ORDER BY w.owner, w.element LIMIT $3";
    let rows = tx.all(sql, params![name, tenant, MAX_RECEIVERS]).await?;
    rows.iter().map(|row| Ok((row.text("owner")?, row.text("element")?))).collect()
}

/// The model of a definition that is there and not suspended; the definition stays until the transaction is over.
pub(crate) async fn startable(tx: &mut Tx, set: &WorkingSet<'_>, definition: &str) -> Result<Arc<ProcessDefinition>, Error> {
    let row = tx.optional("SELECT suspended FROM process_definition WHERE id = $1 {key share}", params![definition]).await?;
    let model = set.around.models.get(tx, definition).await?;
    let (Some(row), Some(model)) = (row, model) else {
        let text = format!("no deployed process definition found with id '{definition}': processDefinition is null");
        return Err(Refusal::new("NotFoundException", text).into());
    };
    if row.bool("suspended")? {
        let text = format!("ENGINE-03043 Process Definition with id '{definition}' is suspended.");
        return Err(Refusal::new("SuspendedEntityInteractionException", text).into());
    }
    Ok(model)
}

async fn find_called(tx: &mut Tx, called: &Called, tenant: Option<&str>, deployment: &str) -> Result<String, Error> {
    let mut sql = Sql::new(tx.dialect(), "SELECT id FROM process_definition WHERE key = ");
    sql.bind(&called.key).with(" AND COALESCE(tenant_id, '') = COALESCE(", tenant).push(", '')");
    let key = &called.key;
    let missing = match called.binding.as_deref() {
        Some("deployment") => {
            sql.with(" AND deployment_id = ", deployment);
            format!("no processes deployed with key = '{key}' in deployment = '{deployment}'")
        }
        Some("version") => {
            let version = called.version.clone().unwrap_or_default();
            sql.with(" AND version = ", version.parse::<i64>().unwrap_or(-1));
            format!("no processes deployed with key = '{key}' and version = '{version}'")
        }
        Some("versionTag") => {
            let tag = called.version_tag.clone().unwrap_or_default();
            sql.with(" AND version_tag = ", &tag);
            format!("no processes deployed with key = '{key}' and versionTag = '{tag}'")
        }
        _ => match tenant {
            Some(tenant) => format!("no processes deployed with key '{key}' and tenant-id '{tenant}'"),
            None => format!("no processes deployed with key '{key}' and no tenant-id"),
        },
    };
    sql.push(" ORDER BY version DESC LIMIT 1");
    let found = sql.ids(tx).await?.pop();
    found.ok_or_else(|| Refusal::new("NotFoundException", format!("{missing}: processDefinition is null")).into())
}
