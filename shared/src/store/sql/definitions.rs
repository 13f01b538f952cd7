//! Process definitions as callers see them.

use std::sync::Arc;

use super::statement::Sql;
use super::{LONG_TIMEOUT, Row, SUSPEND_TIMEOUT, SqlStore, Tx, Verb, deletion, may_write, params};
use crate::process::definition::ProcessDefinition;
use crate::store::query::{DefinitionQuery, DefinitionSort, Order, Page};
use crate::store::views::DefinitionView;
use crate::store::{Caller, Error};

/// Instances suspended or activated in one transaction.
const PAGE: i64 = 500;

const SELECT: &str = "SELECT d.id, d.key, d.name, d.category, d.version, d.version_tag, d.resource, d.deployment_id, d.suspended,
                             d.tenant_id, d.history_time_to_live, d.startable
                      FROM process_definition d JOIN deployment p ON p.id = d.deployment_id WHERE 1 = 1";

fn read(row: &Row) -> Result<DefinitionView, Error> {
    Ok(DefinitionView {
        id: row.text("id")?,
        key: row.text("key")?,
        name: row.optional_text("name")?,
        category: row.optional_text("category")?,
        version: row.int32("version")?,
        version_tag: row.optional_text("version_tag")?,
        resource: row.text("resource")?,
        deployment_id: row.text("deployment_id")?,
        suspended: row.bool("suspended")?,
        tenant_id: row.optional_text("tenant_id")?,
        history_time_to_live: row.optional_int("history_time_to_live")?.and_then(|days| i32::try_from(days).ok()),
        startable_in_tasklist: row.bool("startable")?,
    })
}

fn matching(sql: &mut Sql, caller: &Caller, query: &DefinitionQuery) {
    sql.and_one_of("d.id", query.ids.as_ref())
        .with_some(" AND d.key = ", query.key.as_ref())
        .and_one_of("d.key", query.keys.as_ref())
        .and_like("d.key", query.key_like.as_ref())
        .with_some(" AND d.name = ", query.name.as_ref())
        .and_like("d.name", query.name_like.as_ref())
        .with_some(" AND d.category = ", query.category.as_ref())
        .and_like("d.category", query.category_like.as_ref())
        .with_some(" AND d.version = ", query.version)
        .with_some(" AND d.version_tag = ", query.version_tag.as_ref())
        .and_like("d.version_tag", query.version_tag_like.as_ref())
        .when(query.without_version_tag, " AND d.version_tag IS NULL")
        .with_some(" AND d.deployment_id = ", query.deployment_id.as_ref())
        .with_some(" AND p.time > ", query.deployed_after)
        .with_some(" AND p.time = ", query.deployed_at)
        .with_some(" AND d.resource = ", query.resource_name.as_ref())
        .and_like("d.resource", query.resource_name_like.as_ref())
        .with_some(" AND d.suspended = ", query.suspended)
        .with_some(" AND d.startable = ", query.startable_in_tasklist);
    if let Some(name) = &query.message_event_subscription_name {
        sql.push(" AND EXISTS (SELECT 1 FROM waiting w WHERE w.owner = d.id AND w.kind = 'message' AND w.name = ").bind(name).push(")");
    }
    if query.latest {
        sql.push(
            " AND d.version = (SELECT max(o.version) FROM process_definition o
                               WHERE o.key = d.key AND COALESCE(o.tenant_id, '') = COALESCE(d.tenant_id, ''))",
        );
    }
    sql.of_tenants("d.tenant_id", &query.tenants).seen_by("d.tenant_id", caller);
}

fn column(sort: DefinitionSort) -> &'static str {
    match sort {
        DefinitionSort::Category => "d.category",
        DefinitionSort::Key => "d.key",
        DefinitionSort::Id => "d.id",
        DefinitionSort::Name => "d.name",
        DefinitionSort::Version => "d.version",
        DefinitionSort::DeploymentId => "d.deployment_id",
        DefinitionSort::DeployTime => "p.time",
        DefinitionSort::TenantId => "d.tenant_id",
        DefinitionSort::VersionTag => "d.version_tag",
    }
}

impl SqlStore {
    pub(crate) async fn compiled_model(&self, definition: &str) -> Result<Option<Arc<ProcessDefinition>>, Error> {
        let mut tx = self.read(Verb::named("model")).await?;
        // The cache may know one that was deleted.
        if tx.optional("SELECT id FROM process_definition WHERE id = $1", params![definition]).await?.is_none() {
            return Ok(None);
        }
        self.models().get(&mut tx, definition).await
    }

    pub(crate) async fn list_definitions(
        &self,
        caller: &Caller,
        query: &DefinitionQuery,
        sort: &[(DefinitionSort, Order)],
        page: Page,
    ) -> Result<Vec<DefinitionView>, Error> {
        let mut tx = self.read(Verb::named("definitions")).await?;
        let mut sql = Sql::new(tx.dialect(), SELECT);
        matching(&mut sql, caller, query);
        let sort: Vec<_> = sort.iter().map(|(sort, order)| (column(*sort), *order)).collect();
        sql.order_by(&sort, "d.id").page(page);
        sql.all(&mut tx).await?.iter().map(read).collect()
    }

    pub(crate) async fn number_of_definitions(&self, caller: &Caller, query: &DefinitionQuery) -> Result<u64, Error> {
        let mut tx = self.read(Verb::named("count_definitions")).await?;
        let text = "SELECT count(*) AS n FROM process_definition d JOIN deployment p ON p.id = d.deployment_id WHERE 1 = 1";
        let mut sql = Sql::new(tx.dialect(), text);
        matching(&mut sql, caller, query);
        sql.count(&mut tx).await
    }

    pub(crate) async fn read_definition_xml(&self, caller: &Caller, definition: &str) -> Result<Option<String>, Error> {
        let mut tx = self.read(Verb::named("definition_xml")).await?;
        let text = "SELECT r.bytes FROM process_definition d
                    JOIN resource r ON r.deployment_id = d.deployment_id AND r.name = d.resource WHERE d.id = ";
        let mut sql = Sql::new(tx.dialect(), text);
        sql.bind(definition).seen_by("d.tenant_id", caller);
        let rows = sql.all(&mut tx).await?;
        rows.first().map(|row| Ok(String::from_utf8_lossy(&row.bytes("bytes")?).into_owned())).transpose()
    }

    pub(crate) async fn remove_definition(&self, caller: &Caller, definition: &str, cascade: bool) -> Result<bool, Error> {
        may_write(caller)?;
        let verb = Verb::named("delete_definition");
        let mut tx = self.read(verb).await?;
        if !is_there(&mut tx, caller, definition).await? {
            return Ok(false);
        }
        drop(tx);
        if cascade {
            deletion::delete_instances(self, definition).await?;
        }
        let mut tx = self.write(verb.lasting(LONG_TIMEOUT)).await?;
        deletion::delete_row(&mut tx, self.models(), definition, cascade).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// The flag of the definition and of its job definitions, then its instances in pages.
    pub(crate) async fn suspend_definition(
        &self,
        caller: &Caller,
        definition: &str,
        suspended: bool,
        include_instances: bool,
    ) -> Result<bool, Error> {
        may_write(caller)?;
        let verb = Verb::named("set_definition_suspended_state").lasting(SUSPEND_TIMEOUT).durable();
        let mut tx = self.write(verb).await?;
        if !is_there(&mut tx, caller, definition).await? {
            return Ok(false);
        }
        tx.execute("UPDATE process_definition SET suspended = $2 WHERE id = $1", params![definition, suspended]).await?;
        tx.execute("UPDATE job_definition SET suspended = $2 WHERE process_definition_id = $1", params![definition, suspended]).await?;
        tx.commit().await?;
        if include_instances {
            self.suspend_instances_of(verb, definition, suspended).await?;
        }
        Ok(true)
    }

    async fn suspend_instances_of(&self, verb: Verb, definition: &str, suspended: bool) -> Result<(), Error> {
        loop {
            let mut tx = self.write(verb).await?;
            let sql = "UPDATE process_instance SET suspended = $2, revision = revision + 1
                       WHERE id IN (SELECT id FROM process_instance WHERE definition_id = $1 AND suspended <> $2
                                    ORDER BY id LIMIT $3 {for update})";
            let changed = tx.execute(sql, params![definition, suspended, PAGE]).await?;
            tx.commit().await?;
            if changed == 0 {
                return Ok(());
            }
        }
    }
}

async fn is_there(tx: &mut Tx, caller: &Caller, definition: &str) -> Result<bool, Error> {
    let mut sql = Sql::new(tx.dialect(), "SELECT id FROM process_definition WHERE id = ");
    sql.bind(definition).seen_by("tenant_id", caller);
    Ok(!sql.ids(tx).await?.is_empty())
}
