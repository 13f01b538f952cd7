//! Closed history as rows: one table for all kinds, written once (design §5).

use serde::{Deserialize, Serialize};

use super::{Column, Columns, Row, Tx, corrupt, params};
use crate::batch::RemovalTime;
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::store::Error;
use crate::store::views::HistoryRow;

/// What stands in `historic.body`: the record with the head of its instance.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    business_key: Option<String>,
    root_instance: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    super_instance: Option<String>,
    started: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    start_activity: Option<String>,
    /// Set by a person; none: by the definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    removal: Option<RemovalTime>,
    closed: Closed,
}

/// A row to be written.
pub(crate) struct HistoricRow {
    kind: &'static str,
    id: String,
    instance_id: String,
    definition_id: String,
    definition_key: String,
    tenant_id: Option<String>,
    time: i64,
    body: String,
}

/// The rows of what a command closed on `instance`, which is the instance afterwards.
pub(crate) fn rows_of(instance: &Instance, definition_key: &str, closed: &[Closed]) -> Result<Vec<HistoricRow>, Error> {
    let row = |closed: &Closed| {
        let Some((kind, id, definition_id, time)) = columns(instance, closed) else { return Ok(None) };
        let body = Body {
            business_key: instance.business_key.clone(),
            root_instance: instance.root_instance.clone().unwrap_or_else(|| instance.id.clone()),
            super_instance: instance.super_instance.clone(),
            started: instance.started_at,
            start_user: instance.start_user.clone(),
            start_activity: instance.start_activity.clone(),
            removal: None,
            closed: closed.clone(),
        };
        Ok(Some(HistoricRow {
            kind,
            id: id.to_owned(),
            instance_id: instance.id.clone(),
            definition_key: key_in(definition_id).unwrap_or(definition_key).to_owned(),
            definition_id: definition_id.to_owned(),
            tenant_id: instance.tenant_id.clone(),
            time,
            body: serde_json::to_string(&body).map_err(|e| corrupt("history record", id, &e))?,
        }))
    };
    closed.iter().filter_map(|closed| row(closed).transpose()).collect()
}

/// Kind, id, definition and time of a record.
fn columns<'a>(instance: &'a Instance, closed: &'a Closed) -> Option<(&'static str, &'a str, &'a str, i64)> {
    Some(match closed {
        Closed::Instance { ended, .. } => ("instance", instance.id.as_str(), instance.definition_id.as_str(), *ended),
        Closed::Activity { record, ended, .. } => ("activity", &record.id, &record.definition_id, *ended),
        Closed::Task { record, ended, .. } => ("task", &record.id, &record.definition_id, *ended),
        Closed::Variable { record, ended, .. } => ("variable", &record.id, &record.history_definition_id, *ended),
        Closed::Detail { record, time, .. } => ("detail", &record.id, &record.history_definition_id, *time),
        Closed::Incident { record, ended, .. } => ("incident", &record.id, &record.definition_id, *ended),
        Closed::ExternalTask { record, time, .. } => ("external_task", &record.id, &record.definition_id, *time),
        // In the job log instead.
        Closed::Job { .. } => return None,
    })
}

/// The key in a definition id `key:version:uuid`; None for a bare one.
pub(crate) fn key_in(definition_id: &str) -> Option<&str> {
    let mut parts = definition_id.rsplitn(3, ':');
    let (_uuid, _version) = (parts.next()?, parts.next()?);
    parts.next()
}

pub(crate) async fn insert(tx: &mut Tx, rows: &[HistoricRow]) -> Result<(), Error> {
    let text = |of: fn(&HistoricRow) -> &str| Column::texts(rows.iter().map(of));
    let columns = Columns(vec![
        ("kind", text(|r| r.kind)),
        ("id", text(|r| &r.id)),
        ("instance_id", text(|r| &r.instance_id)),
        ("definition_id", text(|r| &r.definition_id)),
        ("definition_key", text(|r| &r.definition_key)),
        ("tenant_id", Column::optional_texts(rows.iter().map(|r| r.tenant_id.clone()))),
        ("time", Column::ints(rows.iter().map(|r| r.time))),
        ("body", text(|r| &r.body)),
    ]);
    tx.insert("historic", columns, "").await?;
    Ok(())
}

/// When these instances, all of them over, are to be removed.
pub(crate) async fn set_removal(tx: &mut Tx, instances: &[String], removal: RemovalTime) -> Result<(), Error> {
    let sql = "SELECT number, body FROM historic WHERE kind = 'instance' AND instance_id {in $1} ORDER BY number {for update}";
    for row in tx.all(sql, params![instances]).await? {
        let mut body: Body = row.json("body")?;
        body.removal = (removal != RemovalTime::Calculated).then_some(removal);
        let number = row.int("number")?;
        let body = serde_json::to_string(&body).map_err(|e| corrupt("history record", &number.to_string(), &e))?;
        tx.execute("UPDATE historic SET body = $2 WHERE number = $1", params![number, body]).await?;
    }
    Ok(())
}

/// Reads what [`SELECT_COLUMNS`] selects.
pub(crate) fn read(row: &Row) -> Result<HistoryRow, Error> {
    let body: Body = row.json("body")?;
    Ok(HistoryRow {
        instance_id: row.text("instance_id")?,
        definition_id: row.text("definition_id")?,
        definition_key: row.text("definition_key")?,
        tenant_id: row.optional_text("tenant_id")?,
        business_key: body.business_key,
        root_instance: body.root_instance,
        super_instance: body.super_instance,
        started: body.started,
        start_user: body.start_user,
        start_activity: body.start_activity,
        removal: body.removal,
        closed: body.closed,
    })
}

pub(crate) const SELECT_COLUMNS: &str = "SELECT instance_id, definition_id, definition_key, tenant_id, body FROM historic";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_definition_stands_in_its_id() {
        assert_eq!(key_in("order:12:0190-a"), Some("order"));
        assert_eq!(key_in("ns:order:12:0190-a"), Some("ns:order"));
        assert_eq!(key_in("0190-a"), None);
    }
}
