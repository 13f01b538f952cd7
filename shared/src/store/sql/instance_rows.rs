//! Instances as rows: the document with its columns, and the rows derived from it (design §4).
//!
//! Everything that writes a document goes through [`write_instances`], so that derived rows and closed history never
//! lag behind it: a write is the difference of f(before) and f(after), for a kept element nothing.

use std::collections::HashSet;

use super::derived_rows::{self, Derived};
use super::standalone_tasks::{Ended, end_below};
use super::statement::Sql;
use super::{Column, Columns, Dialect, Row, Tx, corrupt, params};
use super::{history_rows, job_log_rows};
use crate::process::derived;
use crate::process::history::Closed;
use crate::process::instance::{DOCUMENT_VERSION, Instance};
use crate::store::Error;
use crate::store::views::StoredInstance;

/// How documents are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    /// As they are: the write checks the revision.
    None,
    /// `FOR UPDATE`, in the order of ids.
    Update,
}

/// What a write must know of the instance before: taken before the document is handed to the core.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) id: String,
    pub(crate) revision: i64,
    pub(crate) derived: Derived,
}

impl Head {
    pub(crate) fn of(stored: &StoredInstance) -> Self {
        Self { id: stored.instance.id.clone(), revision: stored.revision, derived: Derived::of(&stored.instance) }
    }
}

/// One instance to be written.
pub(crate) struct Change<'a> {
    pub(crate) head: &'a Head,
    /// As it is afterwards.
    pub(crate) instance: &'a Instance,
    /// It has ended: its row goes.
    pub(crate) ended: bool,
    /// Key of the definition that it has afterwards.
    pub(crate) definition_key: &'a str,
    pub(crate) closed: &'a [Closed],
}

/// The columns that [`read`] reads, from a table named `p`.
pub(crate) const SELECT_INSTANCES: &str = "SELECT p.id, p.definition_key, p.suspended, p.revision, p.state FROM process_instance p";

/// The instances that there are of these, in the order of ids, in one statement.
pub(crate) async fn load_instances(tx: &mut Tx, ids: &[String], lock: Lock) -> Result<Vec<StoredInstance>, Error> {
    let mut sql = Sql::new(tx.dialect(), SELECT_INSTANCES);
    sql.push(" WHERE ").one_of("p.id", ids).push(" ORDER BY p.id").when(lock == Lock::Update, " {for update}");
    sql.all(tx).await?.iter().map(read).collect()
}

pub(crate) fn read(row: &Row) -> Result<StoredInstance, Error> {
    let id = row.text("id")?;
    let unreadable = |reason: &dyn std::fmt::Display| corrupt("process instance", &id, reason);
    let mut instance: Instance = serde_json::from_str(&row.text("state")?).map_err(|e| unreadable(&e))?;
    if instance.v > DOCUMENT_VERSION {
        return Err(unreadable(&format!("its version {} is newer than this program's {DOCUMENT_VERSION}", instance.v)));
    }
    if instance.executions.is_empty() {
        return Err(unreadable(&"it has no execution"));
    }
    instance.suspended = row.bool("suspended")?;
    Ok(StoredInstance { instance, revision: row.int("revision")?, definition_key: row.text("definition_key")? })
}

fn document(instance: &Instance) -> Result<String, Error> {
    serde_json::to_string(instance).map_err(|e| corrupt("process instance", &instance.id, &e))
}

/// Writes all that still have the revision they were read with, their derived rows and what they closed.
/// Gives the ids that were missed: changed or deleted meanwhile; nothing of those is written.
pub(crate) async fn write_instances(tx: &mut Tx, changes: &[Change<'_>]) -> Result<HashSet<String>, Error> {
    let (ended, kept): (Vec<_>, Vec<_>) = changes.iter().partition(|change| change.ended);
    let mut missed: HashSet<String> = changes.iter().map(|change| change.head.id.clone()).collect();
    if !kept.is_empty() {
        let rows: Vec<UpdatedRow> = kept.iter().map(|change| UpdatedRow::of(change)).collect::<Result<_, _>>()?;
        update(tx, rows).await?.iter().for_each(|id| {
            missed.remove(id);
        });
    }
    if !ended.is_empty() {
        remove(tx, &ended).await?.iter().for_each(|id| {
            missed.remove(id);
        });
    }
    let hit = || changes.iter().filter(|change| !missed.contains(&change.head.id));
    let nothing = Derived::default();
    let mut differences = derived_rows::Differences::default();
    let mut history = vec![];
    let mut jobs = vec![];
    let mut tasks = vec![];
    for change in hit() {
        let after = if change.ended { &nothing } else { &Derived::of(change.instance) };
        differences.add(&change.head.id, change.instance.tenant_id.as_deref(), &change.head.derived, after);
        history.extend(history_rows::rows_of(change.instance, change.definition_key, change.closed)?);
        jobs.extend(job_log_rows::rows_of(change.instance, change.definition_key, change.closed));
        tasks.extend(change.closed.iter().filter_map(ended_task));
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
struct UpdatedRow<'a> {
    id: &'a str,
    revision: i64,
    definition_id: &'a str,
    definition_key: &'a str,
    wake_at: Option<i64>,
    has_incident: bool,
    state: String,
}

impl<'a> UpdatedRow<'a> {
    fn of(change: &Change<'a>) -> Result<Self, Error> {
        Ok(Self {
            id: &change.head.id,
            revision: change.head.revision,
            definition_id: &change.instance.definition_id,
            definition_key: change.definition_key,
            wake_at: derived::wake_at(change.instance),
            has_incident: derived::has_incident(change.instance),
            state: document(change.instance)?,
        })
    }
}

const UPDATE_ONE: &str = "UPDATE process_instance
    SET definition_id = $3, definition_key = $4, wake_at = $5, wakes = 0, dead_attempts = 0, lease_token = NULL, lease_until = NULL,
        has_incident = $6, state = $7, revision = revision + 1
    WHERE id = $1 AND revision = $2";

/// In one statement on PostgreSQL, row by row on SQLite, where that is the faster one. Gives the ids written.
async fn update(tx: &mut Tx, rows: Vec<UpdatedRow<'_>>) -> Result<Vec<String>, Error> {
    if tx.dialect() == Dialect::Postgres {
        return update_at_once(tx, &rows).await;
    }
    let mut written = vec![];
    for row in rows {
        let values = params![row.id, row.revision, row.definition_id, row.definition_key, row.wake_at, row.has_incident, row.state];
        if tx.execute(UPDATE_ONE, values).await? > 0 {
            written.push(row.id.to_owned());
        }
    }
    Ok(written)
}

async fn update_at_once(tx: &mut Tx, rows: &[UpdatedRow<'_>]) -> Result<Vec<String>, Error> {
    let columns = Columns(vec![
        ("id", Column::texts(rows.iter().map(|r| r.id))),
        ("revision", Column::ints(rows.iter().map(|r| r.revision))),
        ("definition_id", Column::texts(rows.iter().map(|r| r.definition_id))),
        ("definition_key", Column::texts(rows.iter().map(|r| r.definition_key))),
        ("wake_at", Column::optional_ints(rows.iter().map(|r| r.wake_at))),
        ("has_incident", Column::bools(rows.iter().map(|r| r.has_incident))),
        ("state", Column::texts(rows.iter().map(|r| r.state.as_str()))),
    ]);
    let (source, values) = columns.source(tx.dialect(), 1);
    let sql = format!(
        "UPDATE process_instance AS p
         SET definition_id = u.definition_id, definition_key = u.definition_key, wake_at = u.wake_at, wakes = 0, dead_attempts = 0,
             lease_token = NULL, lease_until = NULL, has_incident = u.has_incident, state = u.state, revision = p.revision + 1
         FROM {source} AS u
         WHERE p.id = u.id AND p.revision = u.revision
         RETURNING p.id"
    );
    tx.all(&sql, values).await?.iter().map(|row| row.text("id")).collect()
}

async fn remove(tx: &mut Tx, ended: &[&Change<'_>]) -> Result<Vec<String>, Error> {
    let mut removed = vec![];
    for change in ended {
        let values = params![&change.head.id, change.head.revision];
        if tx.execute("DELETE FROM process_instance WHERE id = $1 AND revision = $2", values).await? > 0 {
            removed.push(change.head.id.clone());
        }
    }
    Ok(removed)
}

/// A new instance, after its start.
pub(crate) struct New<'a> {
    pub(crate) instance: &'a Instance,
    /// It has ended within its start: only history is written.
    pub(crate) ended: bool,
    pub(crate) definition_key: &'a str,
    pub(crate) closed: &'a [Closed],
}

/// Inserts them with their derived rows and what they closed. False: one of the ids is taken, and the transaction is to be
/// rolled back and tried again with new ones.
pub(crate) async fn insert_instances(tx: &mut Tx, new: &[New<'_>]) -> Result<bool, Error> {
    let living: Vec<&New<'_>> = new.iter().filter(|n| !n.ended).collect();
    if !living.is_empty() && insert(tx, &living).await? < living.len() {
        return Ok(false);
    }
    let nothing = Derived::default();
    let mut differences = derived_rows::Differences::default();
    let mut history = vec![];
    let mut jobs = vec![];
    for n in new {
        if !n.ended {
            differences.add(&n.instance.id, n.instance.tenant_id.as_deref(), &nothing, &Derived::of(n.instance));
        }
        history.extend(history_rows::rows_of(n.instance, n.definition_key, n.closed)?);
        jobs.extend(job_log_rows::rows_of(n.instance, n.definition_key, n.closed));
    }
    differences.write(tx).await?;
    history_rows::insert(tx, &history).await?;
    job_log_rows::insert(tx, &jobs).await?;
    Ok(true)
}

/// Gives how many were inserted.
async fn insert(tx: &mut Tx, new: &[&New<'_>]) -> Result<usize, Error> {
    let text = |of: for<'n> fn(&'n New<'_>) -> &'n str| Column::Texts(new.iter().map(|n| Some(of(n).to_owned())).collect());
    let optional = |of: fn(&Instance) -> &Option<String>| Column::optional_texts(new.iter().map(|n| of(n.instance).clone()));
    let roots = new.iter().map(|n| n.instance.root_instance.clone().unwrap_or_else(|| n.instance.id.clone()));
    let states: Vec<String> = new.iter().map(|n| document(n.instance)).collect::<Result<_, _>>()?;
    let columns = Columns(vec![
        ("id", text(|n| &n.instance.id)),
        ("business_key", optional(|i| &i.business_key)),
        ("tenant_id", optional(|i| &i.tenant_id)),
        ("super_instance", optional(|i| &i.super_instance)),
        ("root_instance", Column::texts(roots)),
        ("started", Column::ints(new.iter().map(|n| n.instance.started_at))),
        ("definition_id", text(|n| &n.instance.definition_id)),
        ("definition_key", text(|n| n.definition_key)),
        ("suspended", Column::bools(new.iter().map(|n| n.instance.suspended))),
        ("revision", Column::same(1_i64, new.len())),
        ("wake_at", Column::optional_ints(new.iter().map(|n| derived::wake_at(n.instance)))),
        ("has_incident", Column::bools(new.iter().map(|n| derived::has_incident(n.instance)))),
        ("state", Column::texts(states)),
    ]);
    let inserted = tx.insert("process_instance", columns, "ON CONFLICT (id) DO NOTHING").await?;
    Ok(usize::try_from(inserted).unwrap_or(usize::MAX))
}

/// Removes these instances with all their derived rows, whatever their revision: what deletes many at once.
pub(crate) async fn erase(tx: &mut Tx, ids: &[String]) -> Result<(), Error> {
    tx.execute("DELETE FROM waiting WHERE owner {in $1}", params![ids]).await?;
    tx.execute("DELETE FROM variable_index WHERE instance {in $1}", params![ids]).await?;
    tx.execute("DELETE FROM standalone_task WHERE instance {in $1}", params![ids]).await?;
    tx.execute("DELETE FROM process_instance WHERE id {in $1}", params![ids]).await?;
    Ok(())
}
