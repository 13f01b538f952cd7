//! Closed history as callers read it, in the order in which it was written.

use super::statement::Sql;
use super::{SqlStore, Verb, history_rows};
use crate::store::query::{HistoryQuery, Page};
use crate::store::views::HistoryRow;
use crate::store::{Caller, Error};

fn matching(sql: &mut Sql, caller: &Caller, query: &HistoryQuery) {
    sql.with(" WHERE kind = ", query.kind.name())
        .with_some(" AND instance_id = ", query.instance_id.as_ref())
        .with_some(" AND definition_id = ", query.definition_id.as_ref())
        .with_some(" AND definition_key = ", query.definition_key.as_ref())
        .with_some(" AND id = ", query.id.as_ref())
        .of_tenants("tenant_id", &query.tenants)
        .seen_by("tenant_id", caller);
}

impl SqlStore {
    pub(crate) async fn read_history(&self, caller: &Caller, query: &HistoryQuery, page: Page) -> Result<Vec<HistoryRow>, Error> {
        let mut tx = self.read(Verb::named("history")).await?;
        let mut sql = Sql::new(tx.dialect(), history_rows::SELECT_COLUMNS);
        matching(&mut sql, caller, query);
        sql.push(" ORDER BY number").page(page);
        sql.all(&mut tx).await?.iter().map(history_rows::read).collect()
    }

    pub(crate) async fn number_of_history(&self, caller: &Caller, query: &HistoryQuery) -> Result<u64, Error> {
        let mut tx = self.read(Verb::named("count_history")).await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT count(*) AS n FROM historic");
        matching(&mut sql, caller, query);
        sql.count(&mut tx).await
    }
}
