//! The floor that the exec path is measured against (docs/performance.md): the same instances changed by the same statements,
//! with the same history and log rows and the same pure code, and nothing around them: no queue, no runs, no roles.
//! For the benchmark only.

use std::sync::Arc;

use crate::batch::{BatchConfiguration, RUN_INSTANCES};
use crate::job::WorkRef;
use crate::process::history::JobEvent;
use crate::store::sql::{Backend, SqlStore, Tx, Verb, params};
use crate::store::{Decide, Error, Tenants};

use super::attempt::Attempt;
use super::fixed::Fixed;
use super::log::{self, LogRow};
use super::work_rows::WorkRow;

const FLOOR: Verb = Verb::named("floor").by_key();
const BARE: Verb = Verb::named("bare_submit").lasting(super::super::LONG_TIMEOUT).durable();

impl SqlStore {
    /// One transaction of the floor over these instances. `batch` is any id: only log rows carry it, one for each hundred
    /// instances as a run's.
    ///
    /// # Errors
    /// The database's; or an instance was not migrated.
    pub async fn floor_step(
        &self,
        batch: &str,
        configuration: &BatchConfiguration,
        ids: &[String],
        decide: &dyn Decide,
    ) -> Result<(), Error> {
        let mut tx = self.write(FLOOR).await?;
        let done = self.floor_in(&mut tx, batch, configuration, ids, decide).await;
        tx.end(done).await
    }

    async fn floor_in(
        &self,
        tx: &mut Tx,
        batch: &str,
        configuration: &BatchConfiguration,
        ids: &[String],
        decide: &dyn Decide,
    ) -> Result<(), Error> {
        let now = tx.now().await?;
        let fixed = Arc::new(Fixed {
            configuration: configuration.clone(),
            tenant_id: None,
            tenants: Tenants::All,
            default_retries: 3,
            batch_jobs_per_seed: 100,
            invocations_per_batch_job: 1,
        });
        let rows = ids.chunks(RUN_INSTANCES as usize).zip(1_u32..).map(|(ids, run)| row(batch, run * RUN_INSTANCES, ids, now));
        let mut attempts: Vec<Attempt> = rows.map(|row| Attempt::new(row, Arc::clone(&fixed), None)).collect();
        self.decide_and_write(tx, now, &mut attempts, decide).await?;
        if let Some(failure) = attempts.iter().flat_map(|a| &a.outcomes).flatten().next() {
            return Err(crate::runner::Refusal::engine(format!("the floor migrates what migrates: {}", failure.message)).into());
        }
        let rows: Vec<(LogRow, &Fixed)> = attempts.iter().map(|a| (logged(a), &*fixed)).collect();
        log::write(tx, now, &self.options().hostname, &rows).await
    }

    /// Puts the database where each measurement begins: dead rows cleared, statistics fresh, nothing left to write back.
    ///
    /// # Errors
    /// The database's.
    pub async fn settle(&self) -> Result<(), Error> {
        let fail = |e| super::super::error::mapped("settle", e);
        match &self.backend {
            Backend::Postgres(pool) => {
                let mut connection = pool.acquire().await.map_err(fail)?.detach();
                for sql in ["SET statement_timeout = 0", "VACUUM (ANALYZE)", "CHECKPOINT"] {
                    sqlx::query(sql).execute(&mut connection).await.map_err(fail)?;
                }
            }
            Backend::Sqlite { writer, .. } => {
                sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(writer).await.map_err(fail)?;
            }
        }
        Ok(())
    }

    /// Transactions that the database has committed, everybody's. PostgreSQL only.
    ///
    /// # Errors
    /// The database's.
    pub async fn transactions(&self) -> Result<u64, Error> {
        let mut tx = self.read(Verb::named("transactions")).await?;
        let sql = "SELECT xact_commit AS n FROM pg_stat_database WHERE datname = current_database()";
        let n = tx.one(sql, params![]).await?.uint("n")?;
        tx.commit().await?;
        Ok(n)
    }

    /// The bare `INSERT … SELECT` of what a submission by query writes: the ids of a definition's instances in pieces of
    /// `size`, rolled back at the end. The commit is not in it.
    ///
    /// # Errors
    /// The database's.
    pub async fn bare_chunks(&self, definition: &str, size: u64) -> Result<(), Error> {
        let mut tx = self.write(BARE).await?;
        let list = match tx.dialect() {
            super::super::Dialect::Postgres => "json_agg(id ORDER BY id)::text",
            super::super::Dialect::Sqlite => "json_group_array(id)",
        };
        let sql = format!(
            "INSERT INTO chunk (batch, step, first, items, ids)
             SELECT 'bare', part, 2 + part * $2, count(*), {list}
             FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / $2 AS part FROM process_instance WHERE definition_id = $1) AS numbered
             GROUP BY part"
        );
        let done = tx.execute(&sql, params![definition, size]).await;
        tx.rollback().await;
        done.map(drop)
    }
}

fn row(batch: &str, first: u32, ids: &[String], now: i64) -> WorkRow {
    WorkRow {
        work: WorkRef::new(batch, first),
        last: first + ids.len() as u32 - 1,
        ids: ids.to_vec(),
        k: 1,
        is_job_row: false,
        deployment_id: None,
        created: now,
        retries: 3,
        due: None,
        priority: 0,
        suspended: false,
        wake_at: Some(now),
        attempts: 0,
        lease_token: None,
        lease_until: None,
        message: None,
        details: None,
        incident: None,
        now,
    }
}

fn logged(attempt: &Attempt) -> LogRow {
    let row = LogRow::of(JobEvent::Succeeded, &attempt.row, attempt.row.work.number, attempt.row.last);
    LogRow { ids: attempt.row.ids.clone(), ..row }
}
