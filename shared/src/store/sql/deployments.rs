//! Deployments as callers see them, and their deletion.

use super::statement::Sql;
use super::{LONG_TIMEOUT, Row, SqlStore, Tx, Verb, deletion, may_write, params};
use crate::store::query::{DeploymentQuery, DeploymentSort, Page};
use crate::store::views::{DeploymentView, ResourceView};
use crate::store::{Caller, Error};

pub(crate) fn read(row: &Row) -> Result<DeploymentView, Error> {
    Ok(DeploymentView {
        id: row.text("id")?,
        name: row.optional_text("name")?,
        source: row.optional_text("source")?,
        time: row.int("time")?,
        tenant_id: row.optional_text("tenant_id")?,
    })
}

fn matching(sql: &mut Sql, caller: &Caller, query: &DeploymentQuery) {
    sql.with_some(" AND id = ", query.id.as_ref())
        .with_some(" AND name = ", query.name.as_ref())
        .and_like("name", query.name_like.as_ref())
        .with_some(" AND source = ", query.source.as_ref())
        .when(query.without_source, " AND source IS NULL")
        .with_some(" AND time < ", query.before)
        .with_some(" AND time > ", query.after)
        .of_tenants("tenant_id", &query.tenants)
        .seen_by("tenant_id", caller);
}

fn column(sort: DeploymentSort) -> &'static str {
    match sort {
        DeploymentSort::Id => "id",
        DeploymentSort::Name => "name",
        DeploymentSort::DeploymentTime => "time",
        DeploymentSort::TenantId => "tenant_id",
    }
}

impl SqlStore {
    pub(crate) async fn list_deployments(
        &self,
        caller: &Caller,
        query: &DeploymentQuery,
        page: Page,
    ) -> Result<Vec<DeploymentView>, Error> {
        let mut tx = self.read(Verb::named("deployments")).await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT id, name, source, time, tenant_id FROM deployment WHERE 1 = 1");
        matching(&mut sql, caller, query);
        let sort: Vec<_> = query.sort.iter().map(|(sort, order)| (column(*sort), *order)).collect();
        sql.order_by(&sort, "id").page(page);
        sql.all(&mut tx).await?.iter().map(read).collect()
    }

    pub(crate) async fn number_of_deployments(&self, caller: &Caller, query: &DeploymentQuery) -> Result<u64, Error> {
        let mut tx = self.read(Verb::named("count_deployments")).await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT count(*) AS n FROM deployment WHERE 1 = 1");
        matching(&mut sql, caller, query);
        sql.count(&mut tx).await
    }

    pub(crate) async fn list_resources(&self, caller: &Caller, deployment: &str) -> Result<Vec<ResourceView>, Error> {
        let mut tx = self.read(Verb::named("resources")).await?;
        let text = "SELECT r.id, r.name, r.deployment_id FROM resource r JOIN deployment d ON d.id = r.deployment_id WHERE d.id = ";
        let mut sql = Sql::new(tx.dialect(), text);
        sql.bind(deployment).seen_by("d.tenant_id", caller).push(" ORDER BY r.name");
        let view = |row: &Row| Ok(ResourceView { id: row.text("id")?, name: row.text("name")?, deployment_id: row.text("deployment_id")? });
        sql.all(&mut tx).await?.iter().map(view).collect()
    }

    pub(crate) async fn read_resource(
        &self,
        caller: &Caller,
        deployment: &str,
        resource: &str,
    ) -> Result<Option<(String, Vec<u8>)>, Error> {
        let mut tx = self.read(Verb::named("resource")).await?;
        let text = "SELECT r.name, r.bytes FROM resource r JOIN deployment d ON d.id = r.deployment_id WHERE d.id = ";
        let mut sql = Sql::new(tx.dialect(), text);
        sql.bind(deployment).with(" AND r.id = ", resource).seen_by("d.tenant_id", caller);
        let rows = sql.all(&mut tx).await?;
        rows.first().map(|row| Ok((row.text("name")?, row.bytes("bytes")?))).transpose()
    }

    /// Its definitions one by one, then what is left of it.
    pub(crate) async fn remove_deployment(&self, caller: &Caller, deployment: &str, cascade: bool) -> Result<bool, Error> {
        may_write(caller)?;
        let verb = Verb::named("delete_deployment");
        let mut tx = self.read(verb).await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT id FROM deployment WHERE id = ");
        sql.bind(deployment).seen_by("tenant_id", caller);
        if sql.ids(&mut tx).await?.is_empty() {
            return Ok(false);
        }
        let definitions = definitions_of(&mut tx, deployment).await?;
        drop(tx);
        if cascade {
            for definition in &definitions {
                deletion::delete_instances(self, definition).await?;
            }
        }
        let mut tx = self.write(verb.lasting(LONG_TIMEOUT)).await?;
        for definition in definitions_of(&mut tx, deployment).await? {
            deletion::delete_row(&mut tx, self.models(), &definition, cascade).await?;
        }
        tx.execute("DELETE FROM resource WHERE deployment_id = $1", params![deployment]).await?;
        tx.execute("DELETE FROM deployment WHERE id = $1", params![deployment]).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn definitions_of(tx: &mut Tx, deployment: &str) -> Result<Vec<String>, Error> {
    let rows = tx.all("SELECT id FROM process_definition WHERE deployment_id = $1 ORDER BY id", params![deployment]).await?;
    rows.iter().map(|row| row.text("id")).collect()
}
