//! Changed instances written back: all that still have the revision they were read with, in one statement.

use std::collections::HashSet;

use super::derived_rows::{Derived, Differences};
use super::history_rows::{self, HistoricRow};
use super::instance_rows::{Head, document};
use super::job_log_rows::{self, JobLogRow};
use super::standalone_tasks::{Ended, end_below};
use super::{Column, Columns, Dialect, Tx, params};
use crate::process::derived;
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::store::Error;

/// One instance to be written.
#[derive(Clone, Copy)]
pub(crate) struct Change<'a> {
    pub(crate) head: &'a Head,
    /// The text of its document, where that is at hand: one that stays is not sent.
    pub(crate) before: Option<&'a str>,
    /// As it is afterwards.
    pub(crate) instance: &'a Instance,
    /// It has ended: its row goes.
    pub(crate) ended: bool,
    /// Key of the definition that it has afterwards.
    pub(crate) definition_key: &'a str,
    pub(crate) closed: &'a [Closed],
}

/// A change as it is written. It borrows nothing, so that an instance is let go once it is decided: the next one is read into
/// memory that the processor has at hand, and none is freed on another thread than it was made on, which costs several times as
/// much.
pub(crate) struct Write {
    pub(crate) id: String,
    /// Of the instance as it was read.
    revision: i64,
    /// None: it has ended.
    row: Option<UpdatedRow>,
    differences: Differences,
    history: Vec<HistoricRow>,
    jobs: Vec<JobLogRow>,
    tasks: Vec<Ended>,
}

impl Write {
    pub(crate) fn of(change: &Change<'_>) -> Result<Self, Error> {
        let Change { head, instance, ended, definition_key, closed, .. } = *change;
        let row = if ended { None } else { Some(UpdatedRow::of(change)?) };
        let mut differences = Differences::default();
        // Derived rows are of the document alone.
        if row.as_ref().is_none_or(|row| row.state.is_some()) {
            let after = if ended { Derived::default() } else { Derived::of(instance) };
            differences.add(&head.id, instance.tenant_id.as_deref(), &head.derived, &after);
        }
        Ok(Self {
            id: head.id.clone(),
            revision: head.revision,
            row,
            differences,
            history: history_rows::rows_of(instance, definition_key, closed)?,
            jobs: job_log_rows::rows_of(instance, definition_key, closed),
            tasks: closed.iter().filter_map(ended_task).collect(),
        })
    }
}

/// As [`write_all`], of instances that are kept.
pub(crate) async fn write_instances(tx: &mut Tx, changes: &[Change<'_>]) -> Result<HashSet<String>, Error> {
    let writes = changes.iter().map(Write::of).collect::<Result<_, _>>()?;
    write_all(tx, writes).await
}

/// Writes all that still have the revision they were read with, their derived rows and what they closed.
/// Gives the ids that were missed: changed or deleted meanwhile; nothing of those is written.
pub(crate) async fn write_all(tx: &mut Tx, mut writes: Vec<Write>) -> Result<HashSet<String>, Error> {
    let (mut rows, mut ended) = (vec![], vec![]);
    for write in &mut writes {
        let row = write.row.take();
        let write = &*write;
        match row {
            Some(row) => rows.push((write, row)),
            None => ended.push(write),
        }
    }
    let mut missed = update(tx, rows).await?;
    missed.extend(remove(tx, &ended).await?);
    let mut differences = Differences::default();
    let (mut history, mut jobs, mut tasks) = (vec![], vec![], vec![]);
    for write in writes.into_iter().filter(|write| missed.is_empty() || !missed.contains(&write.id)) {
        differences.append(write.differences);
        history.extend(write.history);
        jobs.extend(write.jobs);
        tasks.extend(write.tasks);
    }
    differences.write(tx).await?;
    history_rows::insert(tx, &history).await?;
    job_log_rows::insert(tx, &jobs).await?;
    end_below(tx, &tasks).await?;
    Ok(missed)
}

fn ended_task(closed: &Closed) -> Option<Ended> {
    match closed {
        Closed::Task { record, ended, delete_reason } => Some(Ended { id: record.id.clone(), reason: delete_reason.clone(), at: *ended }),
        _ => None,
    }
}

/// The columns that a write sets.
struct UpdatedRow {
    definition_id: String,
    definition_key: String,
    wake_at: Option<i64>,
    has_incident: bool,
    /// None: the text that is there. Ids are relative to the row, so that a migration from each activity to itself changes none.
    state: Option<String>,
}

impl UpdatedRow {
    fn of(change: &Change<'_>) -> Result<Self, Error> {
        let text = document(change.instance)?;
        Ok(Self {
            definition_id: change.instance.definition_id.clone(),
            definition_key: change.definition_key.to_owned(),
            wake_at: derived::wake_at(change.instance),
            has_incident: derived::has_incident(change.instance),
            state: if change.before == Some(text.as_str()) { None } else { Some(text) },
        })
    }
}

const UPDATE_ONE: &str = "UPDATE process_instance
    SET definition_id = $3, definition_key = $4, wake_at = $5, wakes = 0, dead_attempts = 0, lease_token = NULL, lease_until = NULL,
        has_incident = $6, state = COALESCE($7, state), revision = revision + 1
    WHERE id = $1 AND revision = $2";

/// In one statement on PostgreSQL, row by row on SQLite, where that is the faster one. Gives the ids that were missed.
async fn update(tx: &mut Tx, rows: Vec<(&Write, UpdatedRow)>) -> Result<HashSet<String>, Error> {
    if tx.dialect() == Dialect::Postgres {
        return if rows.is_empty() { Ok(HashSet::new()) } else { update_at_once(tx, rows).await };
    }
    let mut missed = HashSet::new();
    for (write, row) in rows {
        let values = params![&write.id, write.revision, row.definition_id, row.definition_key, row.wake_at, row.has_incident, row.state];
        if tx.execute(UPDATE_ONE, values).await? == 0 {
            missed.insert(write.id.clone());
        }
    }
    Ok(missed)
}

/// Those of `$1` that this transaction has written.
const WRITTEN: &str = "SELECT id FROM process_instance WHERE id {in $1} AND xmin::text = (txid_current() % (1::bigint << 32))::text";

/// Most rows of a transaction have the same definition, and no job or incident: that is sent once.
async fn update_at_once(tx: &mut Tx, rows: Vec<(&Write, UpdatedRow)>) -> Result<HashSet<String>, Error> {
    let ids: Vec<&str> = rows.iter().map(|(write, _)| write.id.as_str()).collect();
    let columns = Columns(vec![
        ("id", Column::texts(ids.iter().copied())),
        ("revision", Column::ints(rows.iter().map(|(write, _)| write.revision))),
        ("definition_id", Column::texts_collapsed(rows.iter().map(|(_, r)| r.definition_id.as_str()))),
        ("definition_key", Column::texts_collapsed(rows.iter().map(|(_, r)| r.definition_key.as_str()))),
        ("wake_at", Column::optional_ints(rows.iter().map(|(_, r)| r.wake_at)).collapsed()),
        ("has_incident", Column::bools(rows.iter().map(|(_, r)| r.has_incident)).collapsed()),
        ("state", Column::optional_texts(rows.into_iter().map(|(_, r)| r.state)).collapsed()),
    ]);
    let (source, values) = columns.source(tx.dialect(), 1);
    let sql = format!(
        "UPDATE process_instance AS p
         SET definition_id = u.definition_id, definition_key = u.definition_key, wake_at = u.wake_at, wakes = 0, dead_attempts = 0,
             lease_token = NULL, lease_until = NULL, has_incident = u.has_incident,
             state = COALESCE(u.state, p.state), revision = p.revision + 1
         FROM {source} AS u
         WHERE p.id = u.id AND p.revision = u.revision"
    );
    let written = tx.execute(&sql, values).await?;
    if written == ids.len() as u64 { Ok(HashSet::new()) } else { missed_of(tx, &ids, written).await }
}

/// Which of these the statement before has missed, having written so many.
async fn missed_of(tx: &mut Tx, ids: &[&str], written: u64) -> Result<HashSet<String>, Error> {
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    let rows = tx.all(WRITTEN, params![&ids]).await?;
    // One that this transaction has written before, and now missed, cannot be told from one that it has written now.
    if rows.len() as u64 != written {
        return Err(Error::Collision { verb: tx.verb(), source: None });
    }
    let mut missed = HashSet::from_iter(ids);
    for row in rows {
        missed.remove(row.str("id")?);
    }
    Ok(missed)
}

/// Gives the ids that were missed.
async fn remove(tx: &mut Tx, ended: &[&Write]) -> Result<Vec<String>, Error> {
    let mut missed = vec![];
    for write in ended {
        let values = params![&write.id, write.revision];
        if tx.execute("DELETE FROM process_instance WHERE id = $1 AND revision = $2", values).await? == 0 {
            missed.push(write.id.clone());
        }
    }
    Ok(missed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id;
    use crate::process::instance::Execution;

    #[test]
    fn a_text_is_sent_only_where_it_changes() {
        let id = id::new_base();
        let instance = Instance {
            id: id.clone(),
            definition_id: format!("order:1:{}", id::new_base()),
            executions: vec![Execution { id: id.clone(), ..Execution::default() }],
            ..Instance::default()
        };
        let migrated = Instance { definition_id: format!("order:2:{}", id::new_base()), ..instance.clone() };
        let renamed = Instance { business_key: Some("another".into()), ..migrated.clone() };
        let (head, text) = (Head { id, revision: 1, derived: Derived::default() }, document(&instance).unwrap());
        let sent = |instance: &Instance, before: Option<&str>| {
            let change = Change { head: &head, before, instance, ended: false, definition_key: "order", closed: &[] };
            UpdatedRow::of(&change).unwrap().state
        };
        assert_eq!(sent(&migrated, Some(text.as_str())), None);
        assert_eq!(sent(&migrated, None), Some(text.clone()));
        assert_eq!(sent(&renamed, Some(text.as_str())), Some(document(&renamed).unwrap()));
    }
}
