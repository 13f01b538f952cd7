//! Statements put together from parts: what queries with many optional filters need.
//!
//! Text comes from this module's callers only, as literals; every value is bound, never written into the text.
//! Verbs whose statement is always the same write it out instead.

use super::{Dialect, Row, Tx, Value};
use crate::store::predicate::glob;
use crate::store::query::{Order, Page, TenantFilter};
use crate::store::{Caller, Error, Tenants};

/// A statement under construction.
#[derive(Clone, Debug)]
pub(crate) struct Sql {
    dialect: Dialect,
    text: String,
    values: Vec<Value>,
}

impl Sql {
    pub(crate) fn new(dialect: Dialect, text: &'static str) -> Self {
        Self { dialect, text: text.to_owned(), values: vec![] }
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.dialect
    }

    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.push_str(text);
        self
    }

    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        self.text.push('$');
        self.text.push_str(&self.values.len().to_string());
        self
    }

    /// `text` and then the bound value.
    pub(crate) fn with(&mut self, text: &'static str, value: impl Into<Value>) -> &mut Self {
        self.push(text).bind(value)
    }

    /// `text` and the bound value, if there is one.
    pub(crate) fn with_some<T: Into<Value>>(&mut self, text: &'static str, value: Option<T>) -> &mut Self {
        match value {
            Some(value) => self.with(text, value),
            None => self,
        }
    }

    /// `text`, if it is so.
    pub(crate) fn when(&mut self, so: bool, text: &'static str) -> &mut Self {
        if so { self.push(text) } else { self }
    }

    /// `column` is one of these; an empty list is never met.
    pub(crate) fn one_of(&mut self, column: &'static str, values: &[String]) -> &mut Self {
        self.push(column).push(" {in ").bind(values).push("}")
    }

    /// `AND column` is one of these, if any are given.
    pub(crate) fn and_one_of(&mut self, column: &'static str, values: Option<&Vec<String>>) -> &mut Self {
        match values {
            Some(values) => self.push(" AND ").one_of(column, values),
            None => self,
        }
    }

    /// SQL's LIKE with a backslash to escape, telling upper from lower case.
    pub(crate) fn like(&mut self, column: &'static str, pattern: &str) -> &mut Self {
        let escaped_end = pattern.chars().rev().take_while(|c| *c == '\\').count() % 2 == 1;
        match self.dialect {
            // A lone backslash at the end is an error in PostgreSQL: it stands for itself here.
            Dialect::Postgres if escaped_end => self.push(column).with(" LIKE ", format!("{pattern}\\")),
            Dialect::Postgres => self.push(column).with(" LIKE ", pattern),
            Dialect::Sqlite => self.push(column).with(" GLOB ", glob(pattern)),
        }
    }

    pub(crate) fn and_like(&mut self, column: &'static str, pattern: Option<&String>) -> &mut Self {
        match pattern {
            Some(pattern) => self.push(" AND ").like(column, pattern),
            None => self,
        }
    }

    /// What the caller may see: rows of no tenant and of its own.
    pub(crate) fn seen_by(&mut self, column: &'static str, caller: &Caller) -> &mut Self {
        if let Tenants::Of(tenants) = &caller.tenants {
            self.push(" AND (").push(column).push(" IS NULL OR ").one_of(column, tenants).push(")");
        }
        self
    }

    /// What the caller asked for, among that.
    pub(crate) fn of_tenants(&mut self, column: &'static str, filter: &TenantFilter) -> &mut Self {
        match &filter.tenant_id_in {
            Some(tenants) => {
                self.push(" AND (").one_of(column, tenants);
                if filter.include_without {
                    self.push(" OR ").push(column).push(" IS NULL");
                }
                self.push(")")
            }
            None if filter.without_tenant_id => self.push(" AND ").push(column).push(" IS NULL"),
            None => self,
        }
    }

    /// ` ORDER BY` these columns and at last `tie`; nulls last when ascending, on both databases.
    pub(crate) fn order_by(&mut self, columns: &[(&'static str, Order)], tie: &'static str) -> &mut Self {
        self.push(" ORDER BY ");
        for (column, order) in columns {
            self.push(column).push(match order {
                Order::Ascending => " ASC NULLS LAST, ",
                Order::Descending => " DESC NULLS FIRST, ",
            });
        }
        self.push(tie)
    }

    pub(crate) fn page(&mut self, page: Page) -> &mut Self {
        let max = page.max.map_or(i64::MAX, |max| i64::try_from(max).unwrap_or(i64::MAX));
        self.with(" LIMIT ", max).with(" OFFSET ", page.first)
    }

    pub(crate) async fn all(self, tx: &mut Tx) -> Result<Vec<Row>, Error> {
        tx.all(&self.text, self.values).await
    }

    /// As [`Tx::each`].
    pub(crate) async fn each(self, tx: &mut Tx, take: impl FnMut(&Row) -> Result<(), Error> + Send) -> Result<(), Error> {
        tx.each(&self.text, self.values, take).await
    }

    pub(crate) async fn execute(self, tx: &mut Tx) -> Result<u64, Error> {
        tx.execute(&self.text, self.values).await
    }

    /// The number that the statement gives as `n`.
    pub(crate) async fn count(self, tx: &mut Tx) -> Result<u64, Error> {
        tx.one(&self.text, self.values).await?.uint("n")
    }

    /// The column `id` of every row.
    pub(crate) async fn ids(self, tx: &mut Tx) -> Result<Vec<String>, Error> {
        self.all(tx).await?.iter().map(|row| row.text("id")).collect()
    }
}
