//! The mark of a clean stop of the embedded product (design §7.3). No broker tells it after a death what was handed out; so
//! what may have been in hand when a file was not closed is suspect, and is executed with care.
//!
//! The mark is the integer that SQLite keeps for the application in the file's header.

use sqlx::{AssertSqlSafe, SqlitePool};

use super::error::mapped;
use crate::job::MAX_WAKE_MS;
use crate::store::Error;

/// The lease token of rows that were outstanding at a death. Their next attempt is the first that counts.
pub(crate) const OUTSTANDING: &str = "outstanding";
const RUNNING: i64 = 1;
const CLOSED: i64 = 0;

/// A process begins to work on the file. Leases of the one that died are over.
pub(crate) async fn opened(writer: &SqlitePool) -> Result<(), Error> {
    let fail = |e| mapped("mark_open", e);
    let mark: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(writer).await.map_err(fail)?;
    if mark == RUNNING {
        let mut tx = writer.begin().await.map_err(fail)?;
        for table in ["run", "job"] {
            let sql = format!(
                "UPDATE {table} SET lease_token = COALESCE(lease_token, '{OUTSTANDING}'), lease_until = 0
                 WHERE wake_at IS NOT NULL AND retries > 0 AND NOT suspended"
            );
            sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.map_err(fail)?;
        }
        // Of an instance that is due later than the longest pause of `wake` nothing was in hand.
        let sql = format!(
            "UPDATE process_instance SET lease_token = COALESCE(lease_token, '{OUTSTANDING}'), lease_until = 0
             WHERE wake_at <= CAST(unixepoch('subsec') * 1000 AS INTEGER) + {MAX_WAKE_MS} AND NOT suspended"
        );
        sqlx::query(AssertSqlSafe(sql)).execute(&mut *tx).await.map_err(fail)?;
        tx.commit().await.map_err(fail)?;
    }
    write(writer, RUNNING).await
}

/// All that was in hand is finished or given back.
pub(crate) async fn closing(writer: &SqlitePool) -> Result<(), Error> {
    if writer.is_closed() { Ok(()) } else { write(writer, CLOSED).await }
}

async fn write(writer: &SqlitePool, mark: i64) -> Result<(), Error> {
    let sql = AssertSqlSafe(format!("PRAGMA user_version = {mark}"));
    sqlx::query(sql).execute(writer).await.map_err(|e| mapped("mark_open", e))?;
    Ok(())
}
