//! The measure of the machine: the least that a migration of documents in PostgreSQL can be, with nothing of Drover in it.
//!
//! A transaction deletes its rows of work, reads 500 small documents (some 500 bytes), changes them in Rust and writes them by one
//! `UPDATE … FROM unnest`; over one or two connections, the better. Drover's floor does that with its own documents, indexes,
//! history and log. What a core can do changes by the hour on a shared machine: targets in instances a second hold where this
//! reaches [`FAST`].

use anyhow::Result;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::floor::{self, PER_TRANSACTION};
use crate::usage;

/// Instances a second of the prototype on a machine that targets are meant for.
pub const FAST: f64 = 50_000.0;

/// Instances to one row of work, as in a run.
const PER_JOB: usize = 100;

const TABLES: [&str; 3] = [
    "DROP TABLE IF EXISTS prototype_instance, prototype_job",
    r#"CREATE TABLE prototype_instance (id TEXT COLLATE "C" PRIMARY KEY, definition_id TEXT COLLATE "C" NOT NULL,
       revision BIGINT NOT NULL, state TEXT NOT NULL)"#,
    "CREATE TABLE prototype_job (id BIGINT PRIMARY KEY)",
];

#[derive(Serialize, Deserialize)]
struct Document {
    id: String,
    definition_id: String,
    business_key: String,
    executions: Vec<Execution>,
    task: Task,
    variable: Variable,
}

#[derive(Serialize, Deserialize)]
struct Execution {
    id: String,
    parent: Option<String>,
    activity: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Task {
    id: String,
    execution: String,
    definition_id: String,
    name: String,
}

#[derive(Serialize, Deserialize)]
struct Variable {
    id: String,
    name: String,
    value: i64,
}

pub struct Prototype {
    pool: PgPool,
    ids: Vec<String>,
    /// How often all of it was migrated.
    version: u32,
}

/// Of one run.
pub struct Ran {
    pub per_second: f64,
    /// Microseconds of CPU an instance: the database's and our own.
    pub cpu_us: f64,
}

impl Prototype {
    /// Its tables in this database, with as many instances.
    pub async fn load(url: &str, size: u32) -> Result<Self> {
        let pool = PgPoolOptions::new().max_connections(2).connect(url).await?;
        for sql in TABLES {
            sqlx::raw_sql(sql).execute(&pool).await?;
        }
        let documents: Vec<Document> = (0..size).map(|_| document(&shared::id::new_base())).collect();
        for part in documents.chunks(PER_TRANSACTION) {
            let ids: Vec<&str> = part.iter().map(|d| d.id.as_str()).collect();
            let states: Vec<String> = part.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
            let sql = "INSERT INTO prototype_instance SELECT id, 'v:0', 1, state FROM unnest($1::text[], $2::text[]) AS u(id, state)";
            sqlx::query(sql).bind(ids).bind(states).execute(&pool).await?;
        }
        let mut ids: Vec<String> = documents.into_iter().map(|d| d.id).collect();
        ids.sort_unstable();
        Ok(Self { pool, ids, version: 0 })
    }

    /// All of it, over one connection and over two: the better. `database` is the server's pid.
    pub async fn best(&mut self, database: u32) -> Result<Ran> {
        let (one, two) = (self.once(1, database).await?, self.once(2, database).await?);
        Ok(if one.per_second > two.per_second { one } else { two })
    }

    async fn once(&mut self, at_once: usize, database: u32) -> Result<Ran> {
        for sql in ["VACUUM (ANALYZE) prototype_instance", "VACUUM (ANALYZE) prototype_job", "CHECKPOINT"] {
            sqlx::raw_sql(sql).execute(&self.pool).await?;
        }
        let jobs = i64::try_from(self.ids.len().div_ceil(PER_JOB))?;
        sqlx::query("INSERT INTO prototype_job SELECT generate_series(0, $1 - 1)").bind(jobs).execute(&self.pool).await?;
        self.version += 1;
        let target = format!("v:{}", self.version);
        let cpu = || usage::cpu(database) + usage::cpu(std::process::id());
        let before = cpu();
        let one = |part, ids| transaction(self.pool.clone(), part, ids, target.clone());
        let per_second = floor::rate(&self.ids, at_once, one).await?;
        Ok(Ran { per_second, cpu_us: (cpu() - before) * 1e6 / self.ids.len() as f64 })
    }

    pub async fn drop(self) -> Result<()> {
        sqlx::raw_sql(TABLES[0]).execute(&self.pool).await?;
        self.pool.close().await;
        Ok(())
    }
}

async fn transaction(pool: PgPool, part: usize, ids: Vec<String>, target: String) -> Result<()> {
    let mut tx = pool.begin().await?;
    let first = i64::try_from(part * (PER_TRANSACTION / PER_JOB))?;
    let jobs: Vec<i64> = (first..).take(PER_TRANSACTION / PER_JOB).collect();
    sqlx::query("DELETE FROM prototype_job WHERE id = ANY($1)").bind(jobs).execute(&mut *tx).await?;
    let select = "SELECT id, revision, state FROM prototype_instance WHERE id = ANY($1)";
    let rows: Vec<(String, i64, String)> = sqlx::query_as(select).bind(&ids).fetch_all(&mut *tx).await?;
    let (mut found, mut revisions, mut states) = (vec![], vec![], vec![]);
    for (id, revision, state) in rows {
        found.push(id);
        revisions.push(revision);
        states.push(migrated(&state, &target)?);
    }
    let update = "UPDATE prototype_instance p SET definition_id = $4, revision = p.revision + 1, state = u.state
         FROM unnest($1::text[], $2::bigint[], $3::text[]) AS u(id, revision, state) WHERE p.id = u.id AND p.revision = u.revision";
    let done = sqlx::query(update).bind(found).bind(revisions).bind(states).bind(&target).execute(&mut *tx).await?;
    anyhow::ensure!(done.rows_affected() == ids.len() as u64, "{} of {} were migrated", done.rows_affected(), ids.len());
    Ok(tx.commit().await?)
}

fn migrated(state: &str, target: &str) -> Result<String> {
    let mut document: Document = serde_json::from_str(state)?;
    target.clone_into(&mut document.definition_id);
    target.clone_into(&mut document.task.definition_id);
    Ok(serde_json::to_string(&document)?)
}

fn document(base: &str) -> Document {
    let id = |n: u32| format!("{}{n:04}", &base[..base.len() - 4]);
    let execution = |n: u32, parent, activity: Option<&str>| Execution { id: id(n), parent, activity: activity.map(str::to_owned) };
    Document {
        id: base.to_owned(),
        definition_id: "v:0".into(),
        business_key: "order-4711".into(),
        executions: vec![execution(0, None, None), execution(1, Some(id(0)), Some("approve"))],
        task: Task { id: id(2), execution: id(1), definition_id: "v:0".into(), name: "Approve the order".into() },
        variable: Variable { id: id(3), name: "total".into(), value: 702 },
    }
}
