//! Instances as rows: the document with its columns, and the rows derived from it (design §4).
//!
//! Everything that writes a document goes through here or [`super::instance_writes`], so that derived rows and closed history never
//! lag behind it: a write is the difference of f(before) and f(after), for a kept element nothing.

use super::derived_rows::{Derived, Differences};
use super::listening::listen_elsewhere;
use super::statement::Sql;
use super::{Column, Columns, Dialect, Row, Tx, Value, corrupt, params};
use super::{history_rows, job_log_rows};
use crate::process::derived;
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::process::stored::{self, RowIds};
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
    pub(crate) fn of(instance: &Instance, revision: i64) -> Self {
        Self { id: instance.id.clone(), revision, derived: Derived::of(instance) }
    }
}

/// `SELECT` with the columns that [`Stored`] reads, from a table named `p`, and then this text.
macro_rules! select_instances {
    ($rest:literal) => {
        concat!("SELECT p.id, p.definition_id, p.definition_key, p.suspended, p.revision, p.state", $rest)
    };
}
pub(crate) use select_instances;

pub(crate) const SELECT_INSTANCES: &str = select_instances!(" FROM process_instance p");

/// The instances that there are of these, in one statement; locked in the order of ids, given in any.
pub(crate) async fn load_instances(tx: &mut Tx, ids: impl Into<Value>, lock: Lock) -> Result<Vec<StoredInstance>, Error> {
    let rows = select(tx.dialect(), ids, lock).all(tx).await?;
    // Reading is the beginning of what is computed with them; deciding and writing follow at once.
    listen_elsewhere(rows.len());
    rows.iter().map(read).collect()
}

/// Their rows, for [`read`].
pub(crate) fn select(dialect: Dialect, ids: impl Into<Value>, lock: Lock) -> Sql {
    let mut sql = Sql::new(dialect, SELECT_INSTANCES);
    sql.with(" WHERE p.id {in ", ids).push("}").when(lock == Lock::Update, " ORDER BY p.id {for update}");
    sql
}

/// The columns of [`SELECT_INSTANCES`], where they lie in the row.
pub(crate) struct Stored<'r> {
    pub(crate) id: &'r str,
    pub(crate) definition_id: &'r str,
    pub(crate) definition_key: &'r str,
    suspended: bool,
    pub(crate) revision: i64,
    /// The text of the document.
    pub(crate) state: &'r str,
}

impl<'r> Stored<'r> {
    /// By their places: a name is looked up at every reading, and a batch reads them by the million.
    pub(crate) fn of(row: &'r Row) -> Result<Self, Error> {
        Ok(Self {
            id: row.str(0)?,
            definition_id: row.str(1)?,
            definition_key: row.str(2)?,
            suspended: row.bool(3)?,
            revision: row.int(4)?,
            state: row.str(5)?,
        })
    }

    pub(crate) fn instance(&self) -> Result<Instance, Error> {
        let ids = RowIds { id: self.id, definition_id: self.definition_id };
        let mut instance = stored::read(self.state, ids).map_err(|e| corrupt("process instance", self.id, &e))?;
        instance.suspended = self.suspended;
        Ok(instance)
    }
}

pub(crate) fn read(row: &Row) -> Result<StoredInstance, Error> {
    let stored = Stored::of(row)?;
    let definition_key = stored.definition_key.to_owned();
    Ok(StoredInstance { instance: stored.instance()?, revision: stored.revision, definition_key })
}

pub(super) fn document(instance: &Instance) -> Result<String, Error> {
    stored::write(instance).map_err(|e| corrupt("process instance", &instance.id, &e))
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
    let mut differences = Differences::default();
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
    let text = |of: for<'n> fn(&'n New<'_>) -> &'n str| Column::texts(new.iter().map(|n| of(n)));
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
