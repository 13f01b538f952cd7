//! Opening the store: pools, session settings, migrations.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::error::mapped;
use super::schema::{self, Schema};
use super::unclean;
use super::{Backend, LONG_TIMEOUT, STATEMENT_TIMEOUT, SqlStore};
use crate::store::Error;

/// Waiting for a lock ends before the statement does, so that the error says which it was.
const LOCK_TIMEOUT: Duration = Duration::from_secs(4);
/// A frozen client inside a transaction cannot hold a user's instance longer.
const IDLE_IN_TRANSACTION: Duration = Duration::from_secs(5);
/// Longest a verb whose turn it is waits for a connection: for the database to be reached.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long SQLite waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const SQLITE_READERS: u32 = 3;
const STATEMENTS_CACHED: usize = 300;
const CONNECT: &str = "connect";

/// What a store is opened with.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// PostgreSQL only.
    pub max_connections: u32,
    /// Written to the job log.
    pub hostname: String,
    /// `defaultNumberOfRetries`, for the jobs of instances.
    pub default_retries: i32,
    /// PostgreSQL only: a SQLite file is always migrated by whoever opens it.
    pub schema: Schema,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { max_connections: 10, hostname: "localhost".to_owned(), default_retries: 3, schema: Schema::default() }
    }
}

/// Opens a database by the scheme of its URL, `sqlite:…` or `postgres://…`; brings its schema up to date or requires that it is.
///
/// # Errors
/// The URL is none of these, or the database cannot be reached, or a migration fails, or the schema is not known.
pub async fn open_sql(url: &str, options: StoreOptions) -> Result<SqlStore, Error> {
    if schema::is_postgres(url) {
        open_postgres(url, options).await
    } else if url.starts_with("sqlite:") {
        open_sqlite(url, options).await
    } else {
        let scheme = url.split(':').next().unwrap_or_default();
        let reason = format!("a database URL begins with sqlite: or postgres:, not with '{scheme}:'");
        Err(mapped(CONNECT, sqlx::Error::Configuration(reason.into())))
    }
}

/// Session settings of every connection, as PostgreSQL's start-up options.
fn session(statement: Duration, lock: Duration) -> Vec<(&'static str, String)> {
    vec![
        ("statement_timeout", statement.as_millis().to_string()),
        ("lock_timeout", lock.as_millis().to_string()),
        ("idle_in_transaction_session_timeout", IDLE_IN_TRANSACTION.as_millis().to_string()),
        // Statements here are short: compiling one costs more than it saves.
        ("jit", "off".to_owned()),
        // The driver cannot set them on its side; the server then notices that a worker's machine is gone.
        ("tcp_keepalives_idle", "5".to_owned()),
        ("tcp_keepalives_interval", "2".to_owned()),
        ("tcp_keepalives_count", "3".to_owned()),
    ]
}

fn postgres_base(url: &str) -> Result<PgConnectOptions, Error> {
    let base = PgConnectOptions::from_str(url).map_err(|e| mapped(CONNECT, e))?;
    Ok(base.application_name("drover").statement_cache_capacity(STATEMENTS_CACHED).disable_statement_logging())
}

/// Of a connection that migrates: its statements may take long, and wait long for a lock.
pub(super) fn postgres_options(url: &str) -> Result<PgConnectOptions, Error> {
    Ok(postgres_base(url)?.options(session(LONG_TIMEOUT, LONG_TIMEOUT)))
}

async fn open_postgres(url: &str, options: StoreOptions) -> Result<SqlStore, Error> {
    let fail = |e| mapped(CONNECT, e);
    let base = postgres_base(url)?;
    let mut first = postgres_options(url)?.connect().await.map_err(fail)?;
    match options.schema {
        Schema::Migrate => drop(schema::migrate_postgres(&mut first, None).await?),
        Schema::Require => drop(schema::postgres_status(&mut first).await?.require()?),
    }
    first.close().await.map_err(fail)?;
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .connect_with(base.options(session(STATEMENT_TIMEOUT, LOCK_TIMEOUT)))
        .await
        .map_err(fail)?;
    Ok(SqlStore::new(Backend::Postgres(pool), options))
}

pub(super) fn sqlite_options(url: &str) -> Result<SqliteConnectOptions, Error> {
    let base = SqliteConnectOptions::from_str(url).map_err(|e| mapped(CONNECT, e))?;
    Ok(base
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(BUSY_TIMEOUT)
        .foreign_keys(false)
        .statement_cache_capacity(STATEMENTS_CACHED)
        .disable_statement_logging())
}

async fn open_sqlite(url: &str, options: StoreOptions) -> Result<SqlStore, Error> {
    let fail = |e| mapped(CONNECT, e);
    let base = sqlite_options(url)?;
    let pool = SqlitePoolOptions::new().acquire_timeout(ACQUIRE_TIMEOUT).test_before_acquire(false).idle_timeout(None).max_lifetime(None);
    let writer = pool.clone().max_connections(1).connect_with(base.clone()).await.map_err(fail)?;
    schema::migrate_sqlite(&mut *writer.acquire().await.map_err(fail)?, None).await?;
    unclean::opened(&writer).await?;
    let readers = pool.max_connections(SQLITE_READERS).connect_with(base.pragma("query_only", "ON")).await.map_err(fail)?;
    Ok(SqlStore::new(Backend::Sqlite { writer, readers }, options))
}
