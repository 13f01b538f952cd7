//! Deploying: resources, definitions with the next version of their key and tenant, job definitions, start events.

use super::models::identify;
use super::{Column, Columns, Dialect, SqlStore, Tx, Verb, may_write, params, start_events};

use crate::id;
use crate::process::definition::ProcessDefinition;
use crate::store::views::{DefinitionView, Deployed, DeploymentView};
use crate::store::{Caller, Error, NewDeployment, NewResource};

/// An id of `key:version:uuid` that would be longer than this is the uuid alone, as in the reference.
const MAX_ID_CHARS: usize = 64;
/// Whoever deploys holds this advisory lock, so that versions follow each other.
const DEPLOY_LOCK: i64 = 0x6472_6f76_6572_6465;

impl SqlStore {
    pub(crate) async fn deploy_resources(&self, caller: &Caller, mut new: NewDeployment) -> Result<Deployed, Error> {
        may_write(caller)?;
        if !caller.sees(new.tenant_id.as_deref()) {
            let tenant = new.tenant_id.unwrap_or_default();
            return Err(Error::Forbidden(format!(
                "deploying for tenant '{tenant}' is not allowed to this user; deploy for one of your own tenants"
            )));
        }
        let mut tx = self.write(Verb::named("deploy").durable()).await?;
        if tx.dialect() == Dialect::Postgres {
            tx.all("SELECT pg_advisory_xact_lock($1)::text AS locked", params![DEPLOY_LOCK]).await?;
        }
        if let Some(existing) = leave_out_duplicates(&mut tx, &mut new).await? {
            return Ok(Deployed { deployment: existing, definitions: vec![] });
        }
        let deployment = DeploymentView {
            id: id::new_id(),
            name: new.name.clone(),
            source: new.source.clone(),
            time: tx.now().await?,
            tenant_id: new.tenant_id.clone(),
        };
        insert_deployment(&mut tx, &deployment, &new.resources).await?;
        let mut definitions = vec![];
        for resource in new.resources {
            let category = category_of(&resource);
            for model in resource.definitions {
                definitions.push(define(&mut tx, &deployment, &resource.name, category.as_deref(), model).await?);
            }
        }
        tx.commit().await?;
        Ok(Deployed { deployment, definitions })
    }
}

/// Takes out what is deployed already, if the deployment asks for that; gives the one that is there when nothing is left.
async fn leave_out_duplicates(tx: &mut Tx, new: &mut NewDeployment) -> Result<Option<DeploymentView>, Error> {
    if !new.duplicate_filtering && !new.changed_only {
        return Ok(None);
    }
    let mut changed = vec![];
    for resource in &new.resources {
        let sql = "SELECT r.bytes FROM resource r JOIN deployment d ON d.id = r.deployment_id
                   WHERE COALESCE(d.name, '') = COALESCE($1, '') AND COALESCE(d.tenant_id, '') = COALESCE($2, '') AND r.name = $3
                     AND ($4 IS NULL OR d.source = $4)
                   ORDER BY d.time DESC, d.id DESC LIMIT 1";
        let values = params![new.name.as_ref(), new.tenant_id.as_ref(), &resource.name, new.source.as_ref()];
        let before = tx.optional(sql, values).await?.map(|row| row.bytes("bytes")).transpose()?;
        changed.push(before.as_deref() != Some(resource.bytes.as_slice()));
    }
    if changed.iter().any(|changed| *changed) {
        if new.changed_only {
            let mut changed = changed.into_iter();
            new.resources.retain(|_| changed.next().unwrap_or(true));
        }
        return Ok(None);
    }
    let sql = "SELECT id, name, source, time, tenant_id FROM deployment
               WHERE COALESCE(name, '') = COALESCE($1, '') AND COALESCE(tenant_id, '') = COALESCE($2, '')
               ORDER BY time DESC, id DESC LIMIT 1";
    let row = tx.optional(sql, params![new.name.as_ref(), new.tenant_id.as_ref()]).await?;
    row.as_ref().map(super::deployments::read).transpose()
}

async fn insert_deployment(tx: &mut Tx, deployment: &DeploymentView, resources: &[NewResource]) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO deployment (id, name, source, tenant_id, time) VALUES ($1, $2, $3, $4, $5)",
        params![&deployment.id, deployment.name.as_ref(), deployment.source.as_ref(), deployment.tenant_id.as_ref(), deployment.time],
    )
    .await?;
    for resource in resources {
        tx.execute(
            "INSERT INTO resource (id, deployment_id, name, bytes) VALUES ($1, $2, $3, $4)
             ON CONFLICT (deployment_id, name) DO UPDATE SET bytes = excluded.bytes",
            params![id::new_id(), &deployment.id, &resource.name, resource.bytes.clone()],
        )
        .await?;
    }
    Ok(())
}

/// Writes one definition as the next version of its key and tenant.
async fn define(
    tx: &mut Tx,
    deployment: &DeploymentView,
    resource: &str,
    category: Option<&str>,
    mut model: ProcessDefinition,
) -> Result<DefinitionView, Error> {
    let sql = "SELECT COALESCE(max(version), 0) + 1 AS version FROM process_definition
               WHERE key = $1 AND COALESCE(tenant_id, '') = COALESCE($2, '')";
    model.version = tx.one(sql, params![&model.key, deployment.tenant_id.as_ref()]).await?.int32("version")?;
    let id = definition_id(&model.key, model.version);
    identify(&mut model, &id, deployment.tenant_id.clone(), &deployment.id);
    tx.execute(
        "INSERT INTO process_definition (id, key, version, name, category, version_tag, tenant_id, deployment_id, resource,
                                         history_time_to_live, startable, suspended)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, FALSE)",
        params![
            &model.id,
            &model.key,
            model.version,
            model.name.as_ref(),
            category,
            model.version_tag.as_ref(),
            model.tenant_id.as_ref(),
            &model.deployment_id,
            resource,
            model.history_time_to_live,
            model.startable_in_tasklist
        ],
    )
    .await?;
    insert_job_definitions(tx, &model).await?;
    start_events::replace(tx, &model, deployment.time).await?;
    Ok(DefinitionView {
        id: model.id,
        key: model.key,
        name: model.name,
        category: category.map(str::to_owned),
        version: model.version,
        version_tag: model.version_tag,
        resource: resource.to_owned(),
        deployment_id: model.deployment_id,
        suspended: false,
        tenant_id: model.tenant_id,
        history_time_to_live: model.history_time_to_live,
        startable_in_tasklist: model.startable_in_tasklist,
    })
}

fn definition_id(key: &str, version: i32) -> String {
    let uuid = id::new_base();
    let id = format!("{key}:{version}:{uuid}");
    if id.chars().count() > MAX_ID_CHARS { uuid } else { id }
}

async fn insert_job_definitions(tx: &mut Tx, model: &ProcessDefinition) -> Result<(), Error> {
    let declared = &model.job_definitions;
    let same = |text: &str| Column::same(text, declared.len());
    let columns = Columns(vec![
        ("id", Column::texts(declared.iter().map(|d| d.id.as_str()))),
        ("process_definition_id", same(&model.id)),
        ("process_definition_key", same(&model.key)),
        ("activity_id", Column::texts(declared.iter().map(|d| d.activity_id.as_str()))),
        ("job_type", Column::texts(declared.iter().map(|d| d.job_type))),
        ("job_configuration", Column::texts(declared.iter().map(|d| d.configuration.as_str()))),
        ("tenant_id", Column::optional_texts(declared.iter().map(|_| model.tenant_id.clone()))),
        ("deployment_id", same(&model.deployment_id)),
    ]);
    tx.insert("job_definition", columns, "").await?;
    Ok(())
}

/// The `targetNamespace` of a BPMN file.
fn category_of(resource: &NewResource) -> Option<String> {
    if resource.definitions.is_empty() {
        return None;
    }
    let text = String::from_utf8_lossy(&resource.bytes);
    let doc = roxmltree::Document::parse(&text).ok()?;
    doc.root_element().attribute("targetNamespace").map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::models::base_of;
    use super::*;

    #[test]
    fn a_long_key_leaves_the_uuid_alone() {
        let short = definition_id("order", 3);
        assert!(short.starts_with("order:3:") && base_of(&short).ends_with("00000000"));
        let long = definition_id(&"k".repeat(30), 1);
        assert_eq!(base_of(&long), long);
        assert_eq!(definition_id(&"k".repeat(25), 1).len(), MAX_ID_CHARS);
    }
}
