//! Tasks of no instance: made, read, changed, and ended with the task above them.
//!
//! Lock order: the instance of the parent, then these, the upper one first. Whoever ends a task looks for those below only
//! after its own row is written: one that was made meanwhile is seen, one that comes later finds no parent.

use super::instance_rows::{Lock, load_instances};
use super::statement::Sql;
use super::{Column, Columns, Row, SqlStore, Tx, Verb, corrupt, history_rows, may_write, params};
use crate::clock::Millis;
use crate::id::{self, InstanceIds};
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::runner::standalone::{self, Fate, StandaloneTask};
use crate::runner::{Command, Refusal};
use crate::store::{Caller, Error};

/// Tasks below tasks are followed down at most this far.
const MAX_DEPTH: usize = 1_000;

/// A task that has ended, and why: what lies below it ends for the same reason.
pub(crate) struct Ended {
    pub(crate) id: String,
    pub(crate) reason: Option<String>,
    pub(crate) at: Millis,
}

/// What a new task takes over from the one above it.
struct Parent {
    instance: Option<String>,
    tenant_id: Option<String>,
    suspended: bool,
}

fn read(row: &Row) -> Result<StandaloneTask, Error> {
    row.json("state")
}

fn document(task: &StandaloneTask) -> Result<String, Error> {
    serde_json::to_string(task).map_err(|e| corrupt("task", &task.task.id, &e))
}

impl SqlStore {
    pub(crate) async fn make_standalone_task(&self, caller: &Caller, mut new: StandaloneTask) -> Result<(), Error> {
        may_write(caller)?;
        let mut tx = self.write(Verb::named("create_task").durable()).await?;
        new.task.created = tx.now().await?;
        if let Some(above) = new.task.parent_task.clone() {
            let parent = parent(&mut tx, caller, &above).await?;
            inherit(&mut new, &above, parent)?;
        }
        if !caller.sees(new.tenant_id.as_deref()) {
            let text = format!("Cannot create the task '{}' because it belongs to no authenticated tenant.", new.task.id);
            return Err(Error::Forbidden(text));
        }
        if new.task.id.is_empty() {
            new.task.id = id::new_id();
        }
        if task_of_instance(&mut tx, &new.task.id).await?.is_some() || !insert(&mut tx, &new).await? {
            let text = format!("The task '{}' exists already; leave out the id or choose another one", new.task.id);
            return Err(Refusal::new("BadUserRequestException", text).into());
        }
        tx.commit().await
    }

    pub(crate) async fn read_standalone_task(&self, caller: &Caller, id: &str) -> Result<Option<StandaloneTask>, Error> {
        let mut tx = self.read(Verb::named("standalone_task")).await?;
        let row = tx.optional("SELECT state FROM standalone_task WHERE id = $1", params![id]).await?;
        let task = row.as_ref().map(read).transpose()?;
        Ok(task.filter(|task| caller.sees(task.tenant_id.as_deref())))
    }

    pub(crate) async fn list_standalone_tasks(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StandaloneTask>, Error> {
        let mut tx = self.read(Verb::named("standalone_tasks")).await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT state FROM standalone_task WHERE 1 = 1");
        sql.with_some(" AND id > ", after).seen_by("tenant_id", caller).with(" ORDER BY id LIMIT ", i64::from(limit));
        sql.all(&mut tx).await?.iter().map(read).collect()
    }

    pub(crate) async fn command_on_standalone_task(&self, caller: &Caller, id: &str, command: Command) -> Result<Option<()>, Error> {
        may_write(caller)?;
        let mut tx = self.write(Verb::named("command_standalone_task").durable()).await?;
        let row = tx.optional("SELECT state FROM standalone_task WHERE id = $1 {for update}", params![id]).await?;
        let Some(mut task) = row.as_ref().map(read).transpose()?.filter(|t| caller.sees(t.tenant_id.as_deref())) else {
            return Ok(None);
        };
        let now = tx.now().await?;
        let mut ids = InstanceIds::new(&id::new_base(), 0);
        match standalone::run(&mut task, command, now, &mut ids)? {
            Fate::Stays => {
                let values = params![id, document(&task)?];
                tx.execute("UPDATE standalone_task SET state = $2 WHERE id = $1", values).await?;
            }
            Fate::Ends(reason) => {
                let ended = [Ended { id: id.to_owned(), reason: Some(reason.clone()), at: now }];
                remove(&mut tx, vec![(task, Some(reason), now)]).await?;
                end_below(&mut tx, &ended).await?;
            }
        }
        tx.commit().await.map(Some)
    }
}

/// A task of a running instance: the instance's document, locked.
async fn task_of_instance(tx: &mut Tx, task: &str) -> Result<Option<Instance>, Error> {
    let found = load_instances(tx, vec![id::base_of(task)], Lock::Update).await?.pop();
    Ok(found.map(|stored| stored.instance).filter(|i| i.tasks.iter().any(|t| t.id == task)))
}

async fn parent(tx: &mut Tx, caller: &Caller, task: &str) -> Result<Parent, Error> {
    let found = match task_of_instance(tx, task).await? {
        Some(i) => Some(Parent { instance: Some(i.id), tenant_id: i.tenant_id, suspended: i.suspended }),
        None => {
            let row = tx.optional("SELECT state FROM standalone_task WHERE id = $1 {for update}", params![task]).await?;
            let above = row.as_ref().map(read).transpose()?;
            above.map(|above| Parent { instance: above.instance, tenant_id: above.tenant_id, suspended: false })
        }
    };
    let missing = || Refusal::new("NotValidException", format!("Parent task with id '{task}' does not exist: parentTask is null"));
    Ok(found.filter(|parent| caller.sees(parent.tenant_id.as_deref())).ok_or_else(missing)?)
}

fn inherit(new: &mut StandaloneTask, above: &str, parent: Parent) -> Result<(), Refusal> {
    if parent.suspended {
        let text = format!("ENGINE-03043 parent task with id '{above}' is suspended.");
        return Err(Refusal::new("SuspendedEntityInteractionException", text));
    }
    if new.tenant_id.is_some() && new.tenant_id != parent.tenant_id {
        let of = |tenant: &Option<String>| tenant.clone().unwrap_or_else(|| "null".to_owned());
        return Err(Refusal::engine(format!(
            "ENGINE-03073 Cannot set different tenantId on subtask than on parent Task. Parent taskId: '{above}', tenantId: '{}', tenant id to set '{}'",
            of(&parent.tenant_id),
            of(&new.tenant_id)
        )));
    }
    (new.tenant_id, new.instance) = (parent.tenant_id, parent.instance);
    Ok(())
}

/// False: the id is taken.
async fn insert(tx: &mut Tx, new: &StandaloneTask) -> Result<bool, Error> {
    let one = |value: &Option<String>| Column::optional_texts([value.clone()]);
    let columns = Columns(vec![
        ("id", Column::texts([new.task.id.as_str()])),
        ("parent", one(&new.task.parent_task)),
        ("instance", one(&new.instance)),
        ("tenant_id", one(&new.tenant_id)),
        ("state", Column::texts([document(new)?.as_str()])),
    ]);
    Ok(tx.insert("standalone_task", columns, "ON CONFLICT (id) DO NOTHING").await? > 0)
}

/// Ends all tasks below these, which are gone already, level by level.
pub(crate) async fn end_below(tx: &mut Tx, ended: &[Ended]) -> Result<(), Error> {
    let mut above: Vec<(String, Option<String>, Millis)> = ended.iter().map(|e| (e.id.clone(), e.reason.clone(), e.at)).collect();
    for _ in 0..MAX_DEPTH {
        if above.is_empty() {
            break;
        }
        let parents: Vec<String> = above.iter().map(|(id, ..)| id.clone()).collect();
        let sql = "SELECT state FROM standalone_task WHERE parent {in $1} ORDER BY id {for update}";
        let mut gone = vec![];
        for row in tx.all(sql, params![&parents]).await? {
            let task = read(&row)?;
            let why = above.iter().find(|(id, ..)| Some(id) == task.task.parent_task.as_ref());
            let (reason, at) = why.map_or((None, 0), |(_, reason, at)| (reason.clone(), *at));
            gone.push((task, reason, at));
        }
        above = gone.iter().map(|(task, reason, at)| (task.task.id.clone(), reason.clone(), *at)).collect();
        remove(tx, gone).await?;
    }
    Ok(())
}

/// Removes these and keeps their history.
async fn remove(tx: &mut Tx, gone: Vec<(StandaloneTask, Option<String>, Millis)>) -> Result<(), Error> {
    if gone.is_empty() {
        return Ok(());
    }
    let ids: Vec<String> = gone.iter().map(|(task, ..)| task.task.id.clone()).collect();
    tx.execute("DELETE FROM standalone_task WHERE id {in $1}", params![&ids]).await?;
    let mut rows = vec![];
    for (task, delete_reason, ended) in gone {
        let nobody = Instance { tenant_id: task.tenant_id, ..Instance::default() };
        rows.extend(history_rows::rows_of(&nobody, "", &[Closed::Task { record: task.task, ended, delete_reason }])?);
    }
    history_rows::insert(tx, &rows).await
}
