//! Instances as callers see them.

use super::instance_query::{PAGE, instance_where, scan, select_documents, those_that_match};
use super::instance_rows::{Lock, load_instances};
use super::statement::Sql;
use super::working_set::view;
use super::{Row, SUSPEND_TIMEOUT, SqlStore, Tx, Verb, may_write};
use crate::store::query::{InstanceQuery, InstanceSort, Order, Page};
use crate::store::views::{InstanceView, StoredInstance};
use crate::store::{Caller, Error};

const SELECT_VIEWS: &str = "SELECT p.id, p.definition_id, p.definition_key, p.business_key, p.suspended, p.tenant_id,
                                   p.super_instance, p.root_instance
                            FROM process_instance p WHERE 1 = 1";

fn read(row: &Row) -> Result<InstanceView, Error> {
    Ok(InstanceView {
        id: row.text("id")?,
        definition_id: row.text("definition_id")?,
        definition_key: row.text("definition_key")?,
        business_key: row.optional_text("business_key")?,
        suspended: row.bool("suspended")?,
        tenant_id: row.optional_text("tenant_id")?,
        super_instance: row.optional_text("super_instance")?,
        root_instance: row.text("root_instance")?,
    })
}

fn column(sort: InstanceSort) -> &'static str {
    match sort {
        InstanceSort::Id => "p.id",
        InstanceSort::DefinitionKey => "p.definition_key",
        InstanceSort::DefinitionId => "p.definition_id",
        InstanceSort::TenantId => "p.tenant_id",
        InstanceSort::BusinessKey => "p.business_key",
    }
}

impl SqlStore {
    pub(crate) async fn read_instance(&self, caller: &Caller, id: &str) -> Result<Option<StoredInstance>, Error> {
        let mut tx = self.read(Verb::named("instance")).await?;
        let found = load_instances(&mut tx, vec![id.to_owned()], Lock::None).await?.pop();
        Ok(found.filter(|stored| caller.sees(stored.instance.tenant_id.as_deref())))
    }

    pub(crate) async fn list_instances(
        &self,
        caller: &Caller,
        query: &InstanceQuery,
        sort: &[(InstanceSort, Order)],
        page: Page,
    ) -> Result<Vec<InstanceView>, Error> {
        let sort: Vec<_> = sort.iter().map(|(sort, order)| (column(*sort), *order)).collect();
        let mut tx = self.read(Verb::named("instances")).await?;
        let mut sql = Sql::new(tx.dialect(), SELECT_VIEWS);
        if instance_where(&mut sql, caller, query) {
            sql.order_by(&sort, "p.id").page(page);
            return sql.all(&mut tx).await?.iter().map(read).collect();
        }
        sift(&mut tx, caller, query, &sort, page).await
    }

    pub(crate) async fn number_of_instances(&self, caller: &Caller, query: &InstanceQuery) -> Result<u64, Error> {
        let mut tx = self.read(Verb::named("count_instances")).await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT count(*) AS n FROM process_instance p WHERE 1 = 1");
        if instance_where(&mut sql, caller, query) {
            return sql.count(&mut tx).await;
        }
        let (mut count, mut after) = (0, None);
        loop {
            let scanned = scan(&mut tx, caller, query, after.as_deref()).await?;
            count += scanned.found.len() as u64;
            after = scanned.last;
            if after.is_none() {
                return Ok(count);
            }
        }
    }

    pub(crate) async fn page_of_documents(
        &self,
        caller: &Caller,
        query: &InstanceQuery,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredInstance>, Error> {
        let limit = limit.min(PAGE) as usize;
        let mut tx = self.read(Verb::named("documents")).await?;
        let mut documents: Vec<StoredInstance> = vec![];
        let mut after = after.map(str::to_owned);
        loop {
            let scanned = scan(&mut tx, caller, query, after.as_deref()).await?;
            documents.extend(scanned.found);
            after = scanned.last;
            if after.is_none() || documents.len() >= limit {
                documents.truncate(limit);
                return Ok(documents);
            }
        }
    }

    /// The column alone; a command that ran meanwhile on the instance as it was begins again.
    pub(crate) async fn suspend_instance(&self, caller: &Caller, instance: &str, suspended: bool) -> Result<bool, Error> {
        may_write(caller)?;
        let mut tx = self.write(Verb::named("set_instance_suspended").lasting(SUSPEND_TIMEOUT).durable()).await?;
        let mut sql = Sql::new(tx.dialect(), "UPDATE process_instance SET revision = revision + 1, suspended = ");
        sql.bind(suspended).with(" WHERE id = ", instance).seen_by("tenant_id", caller);
        let changed = sql.execute(&mut tx).await?;
        tx.commit().await?;
        Ok(changed > 0)
    }
}

/// A slice of the ordered instances whose documents match, read page by page.
async fn sift(
    tx: &mut Tx,
    caller: &Caller,
    query: &InstanceQuery,
    sort: &[(&'static str, Order)],
    page: Page,
) -> Result<Vec<InstanceView>, Error> {
    let max = page.max.map_or(usize::MAX, |max| usize::try_from(max).unwrap_or(usize::MAX));
    let mut skip = usize::try_from(page.first).unwrap_or(usize::MAX);
    let mut views = vec![];
    let mut first = 0;
    loop {
        let mut sql = select_documents(tx);
        let exact = instance_where(&mut sql, caller, query);
        sql.order_by(sort, "p.id").page(Page { first, max: Some(PAGE.into()) });
        let rows = sql.all(tx).await?;
        for stored in those_that_match(&rows, query, exact)? {
            if views.len() >= max {
                return Ok(views);
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            views.push(view(&stored.instance, &stored.definition_key));
        }
        if rows.len() < PAGE as usize {
            return Ok(views);
        }
        first += u64::from(PAGE);
    }
}
