//! The ids of a new batch: staged, each once, and cut into chunks; for most types the items of each deployment for themselves.

use std::collections::BTreeSet;

use crate::batch::{NewBatch, chunk_instances, total_jobs};
use crate::id;
use crate::store::query::InstanceQuery;
use crate::store::sql::instance_query::instance_where;
use crate::store::sql::statement::Sql;
use crate::store::sql::{Column, Columns, Dialect, Tx, params};
use crate::store::{Caller, Error};

/// Where the ids of the new batch are, each once.
pub(super) enum Staged {
    Memory(BTreeSet<String>),
    /// In the temporary table `submit_item`.
    Table(u64),
}

impl Staged {
    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Memory(ids) => ids.len() as u64,
            Self::Table(n) => *n,
        }
    }
}

pub(super) async fn create_table(tx: &mut Tx) -> Result<(), Error> {
    match tx.dialect() {
        Dialect::Postgres => {
            let sql = "CREATE TEMP TABLE submit_item (id TEXT COLLATE \"C\" PRIMARY KEY, deployment TEXT COLLATE \"C\") ON COMMIT DROP";
            tx.execute(sql, vec![]).await?;
        }
        Dialect::Sqlite => {
            let sql = "CREATE TEMP TABLE IF NOT EXISTS submit_item (id TEXT PRIMARY KEY, deployment TEXT) WITHOUT ROWID";
            tx.execute(sql, vec![]).await?;
            tx.execute("DELETE FROM submit_item", vec![]).await?;
        }
    }
    Ok(())
}

pub(super) async fn stage_page(tx: &mut Tx, ids: Vec<String>) -> Result<(), Error> {
    tx.insert("submit_item", Columns(vec![("id", Column::texts(ids))]), "ON CONFLICT (id) DO NOTHING").await?;
    Ok(())
}

/// Whose deployment each staged item is: of its instance, which runs or is over; what is not there has none. The last eight
/// digits of an id are its number within its instance. What the caller may not see is not there.
pub(super) async fn find_deployments(tx: &mut Tx, caller: &Caller) -> Result<(), Error> {
    let mut sql = Sql::new(
        tx.dialect(),
        "UPDATE submit_item SET deployment = COALESCE(
           (SELECT d.deployment_id FROM process_instance p JOIN process_definition d ON d.id = p.definition_id
            WHERE p.id = substr(submit_item.id, 1, 28) || '00000000'",
    );
    sql.seen_by("d.tenant_id", caller).push(
        "), (SELECT d.deployment_id FROM historic h JOIN process_definition d ON d.id = h.definition_id
            WHERE h.kind = 'instance' AND h.instance_id = submit_item.id",
    );
    sql.seen_by("d.tenant_id", caller).push(" LIMIT 1))");
    sql.execute(tx).await?;
    Ok(())
}

/// Σ over deployments of ⌈items / K⌉.
pub(super) async fn jobs_of(tx: &mut Tx, staged: &Staged, k: u32) -> Result<u64, Error> {
    match staged {
        Staged::Memory(ids) => Ok(total_jobs(ids.len() as u64, k)),
        Staged::Table(_) => {
            let sql = "SELECT CAST(COALESCE(sum((n + $1 - 1) / $1), 0) AS BIGINT) AS jobs
                       FROM (SELECT count(*) AS n FROM submit_item GROUP BY deployment) AS groups";
            tx.one(sql, params![u64::from(k.max(1))]).await?.uint("jobs")
        }
    }
}

pub(super) async fn insert_chunks(tx: &mut Tx, batch: &str, new: &NewBatch, staged: Staged) -> Result<(), Error> {
    let size = chunk_instances(new.batch_jobs_per_seed, new.invocations_per_batch_job);
    match staged {
        Staged::Memory(ids) => {
            let jobs = size / u64::from(new.invocations_per_batch_job.max(1));
            let ids: Vec<String> = ids.into_iter().collect();
            let chunks: Vec<&[String]> = ids.chunks(usize::try_from(size).unwrap_or(usize::MAX)).collect();
            let columns = Columns(vec![
                ("batch", Column::same(batch, chunks.len())),
                ("step", Column::ints(0..chunks.len())),
                ("first", Column::ints((0..chunks.len() as u64).map(|g| u64::from(id::FIRST_EXECUTION_JOB) + g * jobs))),
                ("items", Column::ints(chunks.iter().map(|c| c.len()))),
                ("ids", Column::texts(chunks.iter().map(|c| super::work_rows::json(c)))),
                ("deployment_id", Column::same(new.deployment_id.as_deref(), chunks.len())),
            ]);
            tx.insert("chunk", columns, "").await?;
        }
        Staged::Table(_) => insert_from_table(tx, batch, new, size).await?,
    }
    Ok(())
}

/// The instances that the query finds, in the order of ids, all of one deployment; the query must be one that the database answers.
pub(super) async fn insert_from_query(
    tx: &mut Tx,
    caller: &Caller,
    batch: &str,
    new: &NewBatch,
    query: &InstanceQuery,
) -> Result<(), Error> {
    let size = chunk_instances(new.batch_jobs_per_seed, new.invocations_per_batch_job);
    let jobs = size / u64::from(new.invocations_per_batch_job.max(1));
    let mut sql = Sql::new(tx.dialect(), "INSERT INTO chunk (batch, step, first, items, ids, deployment_id) SELECT ");
    sql.bind(batch).with(", part, 2 + part * ", jobs).push(match tx.dialect() {
        Dialect::Postgres => ", count(*), json_agg(id ORDER BY id)::text, ",
        Dialect::Sqlite => ", count(*), json_group_array(id ORDER BY id), ",
    });
    sql.bind(new.deployment_id.as_deref());
    sql.with(" FROM (SELECT p.id, (row_number() OVER (ORDER BY p.id) - 1) / ", size).push(" AS part FROM process_instance p WHERE 1 = 1");
    instance_where(&mut sql, caller, query);
    sql.push(") AS numbered GROUP BY part");
    sql.execute(tx).await?;
    Ok(())
}

/// Chunks are numbered by deployment and then by id; the first job of each follows the last one of the chunk before.
async fn insert_from_table(tx: &mut Tx, batch: &str, new: &NewBatch, size: u64) -> Result<(), Error> {
    let list = match tx.dialect() {
        Dialect::Postgres => "json_agg(id ORDER BY id)::text",
        Dialect::Sqlite => "json_group_array(id ORDER BY id)",
    };
    let sql = format!(
        "INSERT INTO chunk (batch, step, first, items, ids, deployment_id)
         SELECT $1, step,
                2 + CAST(COALESCE(sum((items + $3 - 1) / $3) OVER (ORDER BY step ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), 0) AS BIGINT),
                items, ids, COALESCE(deployment, $4)
         FROM (SELECT row_number() OVER (ORDER BY COALESCE(deployment, ''), part) - 1 AS step, items, ids, deployment
               FROM (SELECT deployment, part, count(*) AS items, {list} AS ids
                     FROM (SELECT id, deployment, (row_number() OVER (PARTITION BY deployment ORDER BY id) - 1) / $2 AS part
                           FROM submit_item) AS numbered
                     GROUP BY deployment, part) AS parts) AS steps"
    );
    let k = u64::from(new.invocations_per_batch_job.max(1));
    tx.execute(&sql, params![batch, size, k, new.deployment_id.as_deref()]).await?;
    if tx.dialect() == Dialect::Sqlite {
        tx.execute("DELETE FROM submit_item", vec![]).await?;
    }
    Ok(())
}
