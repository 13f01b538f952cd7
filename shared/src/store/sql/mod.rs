//! The store on a database: PostgreSQL or SQLite, one text for a verb wherever both can run it.
//!
//! A verb begins a [`Tx`], runs statements, commits. Where the two databases differ, the SQL text carries a token that
//! [`dialect`] spells for each (`{now}`, `{for update}`, `{in $1}`, …); lists of rows travel as [`Columns`]. Integers are
//! BIGINT and ids are compared by bytes in both, so that answers are the same, order included.
//! SQL never leaves this module, and nothing outside learns which database it is.

mod batch;
mod bind;
mod column;
mod commands;
mod connect;
mod definitions;
mod deletion;
mod deploy;
mod deployments;
mod derived_rows;
mod dialect;
mod due_jobs;
mod engine;
mod error;
mod history;
mod history_rows;
pub(crate) mod instance_query;
pub(crate) mod instance_rows;
mod instance_writes;
mod instances;
mod job_definitions;
mod job_log_rows;
mod lifecycle;
mod listening;
mod models;
#[cfg(feature = "testing")]
mod recompute;
mod requests;
mod schema;
mod standalone_tasks;
mod start_events;
mod statement;
mod sync_migration;
#[cfg(feature = "testing")]
mod testing;
mod timers;
mod tx;
mod unclean;
mod value;
mod waiting;
mod working_set;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use column::{Array, Column};
pub use connect::{StoreOptions, open_sql};
pub(crate) use dialect::{Columns, works};
pub(crate) use error::{corrupt, may_write};
pub use lifecycle::open;
#[cfg(feature = "testing")]
pub use schema::migrate_schema_to;
pub use schema::{Schema, SchemaStatus, migrate_schema, schema_status};
use sqlx::{PgPool, SqlitePool};
use tokio::sync::Semaphore;
pub(crate) use tx::{Dialect, Tx};
pub(crate) use value::{Row, Scalar, Value, clean, params};

/// Longest a statement of a worker's or a caller's ordinary verb may take.
pub const STATEMENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Of submit, delete, bulk retries and what else changes all jobs of a batch; they hold no lock of an instance.
pub const LONG_TIMEOUT: Duration = Duration::from_secs(300);
/// Of suspending and activating instances and definitions, which wait for the micro-batches in flight.
pub const SUSPEND_TIMEOUT: Duration = Duration::from_secs(20);
/// Of reading what counts the jobs of a batch, which may have failed by the million.
pub const COUNT_TIMEOUT: Duration = Duration::from_secs(20);
/// A verb that took longer is logged.
const SLOW: Duration = Duration::from_secs(1);

/// A verb's name (for metrics, logs and errors), and what its transaction is to be like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Verb {
    pub name: &'static str,
    pub timeout: Duration,
    /// SQLite: the commit answers a POST, so it is synced to disk before the answer.
    pub durable: bool,
    /// PostgreSQL: all of its statements find their rows by key, and must be planned so whatever the statistics say: those of
    /// queues are always stale, and a scan would cost more the more is waiting. Planned once for each connection, then: left to
    /// itself, PostgreSQL plans a statement with a list anew each time, for it takes an unknown list to have ten items.
    pub by_key: bool,
}

impl Verb {
    pub const fn named(name: &'static str) -> Self {
        Self { name, timeout: STATEMENT_TIMEOUT, durable: false, by_key: false }
    }

    pub const fn lasting(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    pub const fn by_key(self) -> Self {
        Self { by_key: true, ..self }
    }

    pub const fn durable(self) -> Self {
        Self { durable: true, ..self }
    }
}

enum Backend {
    Postgres(PgPool),
    /// One writer; readers with snapshots of their own.
    Sqlite {
        writer: SqlitePool,
        readers: SqlitePool,
    },
}

/// Drover's store on a database; cheap to share behind an `Arc`.
pub struct SqlStore {
    backend: Backend,
    /// For which verbs queue up in order of arrival: one for each of PostgreSQL's connections, one for SQLite's writer.
    turns: Arc<Semaphore>,
    options: StoreOptions,
    models: models::Models,
    fixed: batch::FixedCache,
    begun: batch::Begun,
}

impl SqlStore {
    fn new(backend: Backend, options: StoreOptions) -> Self {
        let turns = match &backend {
            Backend::Postgres(_) => options.max_connections as usize,
            Backend::Sqlite { .. } => 1,
        };
        let turns = Arc::new(Semaphore::new(turns));
        let (models, fixed, begun) = (models::Models::default(), batch::FixedCache::default(), batch::Begun::default());
        Self { backend, turns, options, models, fixed, begun }
    }

    pub(crate) fn options(&self) -> &StoreOptions {
        &self.options
    }

    /// Compiled models of this database's definitions.
    pub(crate) fn models(&self) -> &models::Models {
        &self.models
    }

    pub(crate) fn dialect(&self) -> Dialect {
        match self.backend {
            Backend::Postgres(_) => Dialect::Postgres,
            Backend::Sqlite { .. } => Dialect::Sqlite,
        }
    }
}
