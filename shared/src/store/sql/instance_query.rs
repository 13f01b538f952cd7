//! Queries on instances: what columns and derived rows can answer is SQL; the rest narrows, and the documents decide.
//!
//! A transaction that works on the instances of a query (a batch's submit) reads their ids with [`matching_ids`].

use super::statement::Sql;
use super::{Dialect, Row, Tx, instance_rows};
use crate::process::stored;
use crate::process::value::TypedValue;
use crate::store::predicate::{Criteria, Criterion, Subject};
use crate::store::query::{InstanceQuery, Operator, VariableFilter};
use crate::store::views::StoredInstance;
use crate::store::{Caller, Error};

/// Documents read at once.
pub(crate) const PAGE: u32 = 500;

/// Adds ` AND …` for all that `query` and the caller's tenants ask of `process_instance p`. True: that is all of it; false: the
/// documents found must be asked too ([`Criteria::hold`]).
pub(crate) fn instance_where(sql: &mut Sql, caller: &Caller, query: &InstanceQuery) -> bool {
    let criteria = Criteria::of(query);
    let mut exact = true;
    for criterion in &criteria.all {
        sql.push(" AND ");
        exact &= condition(sql, criterion);
    }
    for list in &criteria.any {
        for (i, criterion) in list.iter().enumerate() {
            sql.push(if i == 0 { " AND (" } else { " OR " });
            exact &= condition(sql, criterion);
        }
        sql.push(")");
    }
    sql.seen_by("p.tenant_id", caller);
    exact
}

/// Writes a condition that holds wherever the criterion does. True: and only there.
fn condition(sql: &mut Sql, criterion: &Criterion<'_>) -> bool {
    match *criterion {
        Criterion::Never => sql.push("1 = 0"),
        Criterion::Ids(ids) => sql.one_of("p.id", ids),
        // Two, for the index: it holds only those that are not their own root.
        Criterion::Root(id) => {
            sql.with("(p.id = ", id).with(" AND p.root_instance = p.id OR p.root_instance = ", id).push(" AND p.root_instance <> p.id)")
        }
        Criterion::Super(id) => sql.with("p.super_instance = ", id),
        Criterion::Sub(id) => sql.with("p.id = (SELECT s.super_instance FROM process_instance s WHERE s.id = ", id).push(")"),
        Criterion::BusinessKey(key) => {
            sql.with("p.id IN (SELECT k.instance FROM instance_business_key k WHERE k.business_key = ", key).push(")")
        }
        Criterion::BusinessKeyLike(pattern) => {
            sql.push("p.id IN (SELECT k.instance FROM instance_business_key k WHERE ").like("k.business_key", pattern).push(")")
        }
        Criterion::DefinitionId(id) => sql.with("p.definition_id = ", id),
        Criterion::DefinitionKey(key) => {
            sql.with("p.definition_id IN (SELECT d.id FROM process_definition d WHERE d.key = ", key).push(")")
        }
        Criterion::DefinitionKeyIn(keys) => {
            sql.push("p.definition_id IN (SELECT d.id FROM process_definition d WHERE ").one_of("d.key", keys).push(")")
        }
        Criterion::DefinitionKeyNotIn(keys) => sql.push("NOT ").one_of("p.definition_key", keys),
        Criterion::Deployment(id) => {
            sql.with("p.definition_id IN (SELECT d.id FROM process_definition d WHERE d.deployment_id = ", id).push(")")
        }
        Criterion::Suspended(suspended) => sql.with("p.suspended = ", suspended),
        Criterion::WithIncident => sql.push("p.has_incident"),
        Criterion::Tenants(filter) => sql.push("(1 = 1").of_tenants("p.tenant_id", filter).push(")"),
        Criterion::DefinitionWithoutTenant => {
            sql.push("p.definition_id IN (SELECT d.id FROM process_definition d WHERE d.tenant_id IS NULL)")
        }
        Criterion::RootOnly => sql.push("p.super_instance IS NULL"),
        Criterion::LeafOnly => sql.push("NOT EXISTS (SELECT 1 FROM process_instance s WHERE s.super_instance = p.id)"),
        Criterion::Incident(_) => {
            sql.push("p.has_incident");
            return false;
        }
        Criterion::ActivityIn(ids) => {
            names_an_activity(sql, ids);
            return false;
        }
        Criterion::Variable { filter, names_ignore_case, values_ignore_case } => {
            return variable(sql, filter, names_ignore_case, values_ignore_case);
        }
    };
    true
}

/// The document's text may name one of these activities: cheaper than reading it.
fn names_an_activity(sql: &mut Sql, ids: &[String]) {
    for (i, id) in ids.iter().enumerate() {
        let mut text = r#""activityId":"#.to_owned();
        if stored::is_as_it_is(id) {
            text.push_str(&serde_json::Value::from(id.as_str()).to_string());
        }
        sql.push(if i == 0 { "(" } else { " OR " });
        sql.push(match sql.dialect() {
            Dialect::Postgres => "strpos(p.state, ",
            Dialect::Sqlite => "instr(p.state, ",
        });
        sql.bind(text).push(") > 0");
    }
    sql.push(")");
}

fn variable(sql: &mut Sql, filter: &VariableFilter, names_ignore_case: bool, values_ignore_case: bool) -> bool {
    sql.push("EXISTS (SELECT 1 FROM variable_index v WHERE v.instance = p.id");
    // How letters are folded is the documents' affair: the databases do it each in its own way.
    if names_ignore_case {
        sql.push(")");
        return false;
    }
    sql.with(" AND v.name = ", &filter.name);
    let exact = !values_ignore_case && compare(sql, filter);
    sql.push(")");
    exact
}

fn compare(sql: &mut Sql, filter: &VariableFilter) -> bool {
    let wanted = &filter.value;
    let (negated, operator) = match filter.operator {
        Operator::NotEqual => (true, Operator::Equal),
        Operator::NotLike => (true, Operator::Like),
        operator => (false, operator),
    };
    let Some(kind) = Comparable::of(wanted, operator) else { return false };
    sql.push(if negated { " AND NOT COALESCE(" } else { " AND COALESCE(" });
    match kind {
        Comparable::Null => sql.push("v.type = 'Null' OR v.text IS NULL AND v.number IS NULL"),
        Comparable::Number(number) => {
            sql.push("v.type IN ('Integer', 'Short', 'Long', 'Double') AND v.number").push(symbol(operator)).bind(number)
        }
        Comparable::Boolean(number) => sql.push("v.type = 'Boolean' AND v.number").push(symbol(operator)).bind(number),
        Comparable::Text(text) => sql.push("v.type = 'String' AND v.text").push(symbol(operator)).bind(text),
        Comparable::Like(pattern) => sql.push("v.type = 'String' AND ").like("v.text", &pattern),
    };
    sql.push(", FALSE)");
    true
}

/// What a value is compared as, where the index can do it: dates may stand in other zones, and are left to the documents.
enum Comparable {
    Null,
    Number(f64),
    Boolean(f64),
    Text(String),
    Like(String),
}

impl Comparable {
    fn of(wanted: &TypedValue, operator: Operator) -> Option<Self> {
        if operator == Operator::Like {
            return Some(Self::Like(wanted.value.as_str().map_or_else(|| wanted.value.to_string(), str::to_owned)));
        }
        if wanted.kind == "Null" || wanted.value.is_null() {
            return (operator == Operator::Equal).then_some(Self::Null);
        }
        match wanted.kind.as_str() {
            "String" => wanted.value.as_str().map(|text| Self::Text(text.to_owned())),
            "Boolean" => wanted.value.as_bool().map(|holds| Self::Boolean(f64::from(u8::from(holds)))),
            "Integer" | "Short" | "Long" | "Double" | "Number" => wanted.value.as_f64().map(Self::Number),
            _ => None,
        }
    }
}

fn symbol(operator: Operator) -> &'static str {
    match operator {
        Operator::Equal | Operator::NotEqual | Operator::Like | Operator::NotLike => " = ",
        Operator::Greater => " > ",
        Operator::GreaterOrEqual => " >= ",
        Operator::Less => " < ",
        Operator::LessOrEqual => " <= ",
    }
}

const SELECT_DOCUMENTS: &str = instance_rows::select_instances!(
    ", d.deployment_id, d.tenant_id AS definition_tenant
     FROM process_instance p JOIN process_definition d ON d.id = p.definition_id WHERE 1 = 1"
);

/// A page of documents: those that match, and where the next page begins.
pub(crate) struct Scanned {
    pub(crate) found: Vec<StoredInstance>,
    /// The last id that was looked at; None: there are no more.
    pub(crate) last: Option<String>,
}

/// Reads the next page in the order of ids.
pub(crate) async fn scan(tx: &mut Tx, caller: &Caller, query: &InstanceQuery, after: Option<&str>) -> Result<Scanned, Error> {
    let mut sql = Sql::new(tx.dialect(), SELECT_DOCUMENTS);
    let exact = instance_where(&mut sql, caller, query);
    sql.with_some(" AND p.id > ", after).push(" ORDER BY p.id").with(" LIMIT ", PAGE);
    let rows = sql.all(tx).await?;
    let full = rows.len() >= PAGE as usize;
    let last = rows.last().filter(|_| full).map(|row| row.text("id")).transpose()?;
    Ok(Scanned { found: those_that_match(&rows, query, exact)?, last })
}

/// Of rows of [`SELECT_DOCUMENTS`].
pub(crate) fn those_that_match(rows: &[Row], query: &InstanceQuery, exact: bool) -> Result<Vec<StoredInstance>, Error> {
    let criteria = Criteria::of(query);
    let mut found = vec![];
    for row in rows {
        let stored = instance_rows::read(row)?;
        let (deployment, tenant) = (row.text("deployment_id")?, row.optional_text("definition_tenant")?);
        let subject = Subject {
            instance: &stored.instance,
            definition_key: &stored.definition_key,
            deployment_id: &deployment,
            definition_tenant: tenant.as_deref(),
        };
        if exact || criteria.hold(&subject) {
            found.push(stored);
        }
    }
    Ok(found)
}

pub(crate) fn select_documents(tx: &Tx) -> Sql {
    Sql::new(tx.dialect(), SELECT_DOCUMENTS)
}

/// Ids of instances that match, in order, after `after`; at most `limit`, fewer only at the end.
pub(crate) async fn matching_ids(
    tx: &mut Tx,
    caller: &Caller,
    query: &InstanceQuery,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<String>, Error> {
    let mut sql = Sql::new(tx.dialect(), "SELECT p.id FROM process_instance p WHERE 1 = 1");
    if instance_where(&mut sql, caller, query) {
        sql.with_some(" AND p.id > ", after).push(" ORDER BY p.id").with(" LIMIT ", limit);
        return sql.ids(tx).await;
    }
    let mut ids = vec![];
    let mut after = after.map(str::to_owned);
    loop {
        let scanned = scan(tx, caller, query, after.as_deref()).await?;
        for stored in scanned.found {
            ids.push(stored.instance.id);
            if ids.len() >= limit as usize {
                return Ok(ids);
            }
        }
        after = scanned.last;
        if after.is_none() {
            return Ok(ids);
        }
    }
}
