//! A verb's transaction: statements in order, then [`Tx::commit`]. Dropped uncommitted, it is rolled back.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use futures::TryStreamExt as _;
use futures::stream::BoxStream;
use sqlx::{AssertSqlSafe, Database, Postgres, Sqlite, Transaction};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::error::mapped;
use super::value::RowOf;
use super::{Backend, Columns, Row, SLOW, STATEMENT_TIMEOUT, SqlStore, Value, Verb, bind, dialect, params};
use crate::clock::Millis;
use crate::fail_point::{self, Asked, Boundary, reach};
use crate::store::Error;

const BEGIN_DURABLE: &str = "PRAGMA synchronous=FULL; BEGIN IMMEDIATE";
/// See [`Verb::by_key`].
const BY_KEY: &str = "; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; \
                      SET LOCAL plan_cache_mode = force_generic_plan";
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
const BEGIN_NORMAL: &str = "PRAGMA synchronous=NORMAL; BEGIN IMMEDIATE";
/// Longest a verb waits for its turn while others have all of PostgreSQL's connections: a crowd may keep one waiting for longer
/// than a database that is away.
const TURN_TIMEOUT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

pub(crate) enum Tx {
    Postgres(Open<Postgres>),
    Sqlite(Open<Sqlite>),
}

/// An open transaction; stands for its connection where a statement is written for one database alone.
pub(crate) struct Open<DB: Database> {
    verb: Verb,
    begun: Instant,
    /// Has a statement locked something? For the fail point after it.
    locked: bool,
    tx: Transaction<'static, DB>,
    /// At SQLite's writer, or one of PostgreSQL's connections: given on only after the commit or the rollback was asked for.
    turn: Option<OwnedSemaphorePermit>,
}

impl<DB: Database> Deref for Open<DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &DB::Connection {
        &self.tx
    }
}

impl<DB: Database> DerefMut for Open<DB> {
    fn deref_mut(&mut self) -> &mut DB::Connection {
        &mut self.tx
    }
}

/// How PostgreSQL begins a transaction of this verb: `how`, and what the verb sets otherwise than the session has it.
fn begin(how: &str, verb: Verb) -> String {
    let mut sql = how.to_owned();
    if verb.timeout != STATEMENT_TIMEOUT {
        let ms = verb.timeout.as_millis();
        sql += &format!("; SET LOCAL statement_timeout = {ms}; SET LOCAL lock_timeout = {ms}");
    }
    if verb.by_key {
        sql += BY_KEY;
    }
    sql
}

impl<DB: Database> Open<DB> {
    fn new(verb: Verb, begun: Instant, tx: Transaction<'static, DB>, turn: Option<OwnedSemaphorePermit>) -> Self {
        Self { verb, begun, locked: false, tx, turn }
    }

    async fn rollback(self) {
        // A connection that is gone has nothing to roll back.
        if let Err(error) = self.tx.rollback().await {
            tracing::debug!(verb = self.verb.name, error = %error, "rolling back failed");
        }
        drop(self.turn);
    }

    async fn commit(self) -> Result<(), Error> {
        let verb = self.verb.name;
        if let Err(asked) = reach(verb, Boundary::BeforeCommit) {
            self.rollback().await;
            return Err(asked_for(verb, asked));
        }
        let done = self.tx.commit().await;
        drop(self.turn);
        let took = self.begun.elapsed();
        metrics::histogram!("drover_store_verb_seconds", "verb" => verb).record(took.as_secs_f64());
        if took > SLOW {
            tracing::warn!(verb, took_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX), "slow store verb");
        }
        done.map_err(|e| mapped(verb, e))?;
        reach(verb, Boundary::AfterCommit).map_err(|asked| asked_for(verb, asked))
    }

    /// The fail point after the first statement that locks.
    fn answered(&mut self, sql: &str) -> Result<(), Error> {
        if !fail_point::COMPILED || self.locked || !locks(sql) {
            return Ok(());
        }
        self.locked = true;
        reach(self.verb.name, Boundary::AfterLock).map_err(|asked| asked_for(self.verb.name, asked))
    }
}

async fn take_each<R>(
    verb: &'static str,
    mut rows: BoxStream<'_, Result<R, sqlx::Error>>,
    row_of: fn(R) -> RowOf,
    mut take: impl FnMut(&Row) -> Result<(), Error>,
) -> Result<(), Error> {
    while let Some(row) = rows.try_next().await.map_err(|e| mapped(verb, e))? {
        take(&Row { verb, row: row_of(row) })?;
    }
    Ok(())
}

fn locks(sql: &str) -> bool {
    let sql = sql.trim_start();
    ["{for", "{skip locked}"].iter().any(|token| sql.contains(token))
        || ["INSERT", "UPDATE", "DELETE"].iter().any(|word| sql.starts_with(word))
}

/// What a fail point asks for, as the database would say it.
fn asked_for(verb: &'static str, asked: Asked) -> Error {
    let source = "a fail point asks for it".into();
    match asked {
        Asked::Away => Error::Unavailable { verb, source },
        Asked::Refused => Error::Statement { verb, source },
    }
}

impl SqlStore {
    /// Begins a transaction that writes. Waits for its turn, in SQLite at most as long as a statement may take.
    pub(crate) async fn write(&self, verb: Verb) -> Result<Tx, Error> {
        let begun = Instant::now();
        let fail = |e| mapped(verb.name, e);
        Ok(match &self.backend {
            Backend::Postgres(pool) => {
                let turn = self.turn(verb, TURN_TIMEOUT).await?;
                let tx = pool.begin_with(AssertSqlSafe(begin("BEGIN", verb))).await.map_err(fail)?;
                Tx::Postgres(Open::new(verb, begun, tx, Some(turn)))
            }
            Backend::Sqlite { writer, .. } => {
                let turn = self.turn(verb, verb.timeout).await?;
                let begin = if verb.durable { BEGIN_DURABLE } else { BEGIN_NORMAL };
                Tx::Sqlite(Open::new(verb, begun, writer.begin_with(begin).await.map_err(fail)?, Some(turn)))
            }
        })
    }

    /// Begins a transaction that only reads, all of one snapshot.
    pub(crate) async fn read(&self, verb: Verb) -> Result<Tx, Error> {
        let begun = Instant::now();
        let fail = |e| mapped(verb.name, e);
        Ok(match &self.backend {
            Backend::Postgres(pool) => {
                let turn = self.turn(verb, TURN_TIMEOUT).await?;
                let tx = pool.begin_with(AssertSqlSafe(begin(READ, verb))).await.map_err(fail)?;
                Tx::Postgres(Open::new(verb, begun, tx, Some(turn)))
            }
            Backend::Sqlite { readers, .. } => Tx::Sqlite(Open::new(verb, begun, readers.begin().await.map_err(fail)?, None)),
        })
    }

    async fn turn(&self, verb: Verb, at_most: Duration) -> Result<OwnedSemaphorePermit, Error> {
        let turn = tokio::time::timeout(at_most, self.turns.clone().acquire_owned()).await;
        turn.map_err(|_| Error::TimedOut { verb: verb.name })?.map_err(|_| mapped(verb.name, sqlx::Error::PoolClosed))
    }
}

impl Tx {
    pub(crate) fn dialect(&self) -> Dialect {
        match self {
            Self::Postgres(_) => Dialect::Postgres,
            Self::Sqlite(_) => Dialect::Sqlite,
        }
    }

    /// Name of the verb that this is the transaction of.
    pub(crate) fn verb(&self) -> &'static str {
        match self {
            Self::Postgres(open) => open.verb.name,
            Self::Sqlite(open) => open.verb.name,
        }
    }

    /// The fail point at which something with an id is met.
    pub(crate) fn meet(&self, boundary: Boundary, id: &str) -> Result<(), Error> {
        fail_point::meet(self.verb(), boundary, id).map_err(|asked| asked_for(self.verb(), asked))
    }

    /// All rows of the answer. The statement must bound them.
    pub(crate) async fn all(&mut self, sql: &str, values: Vec<Value>) -> Result<Vec<Row>, Error> {
        let verb = self.verb();
        let rendered = dialect::render(self.dialect(), sql);
        match self {
            Self::Postgres(tx) => {
                let rows = bind::postgres(rendered, values).fetch_all(&mut **tx).await.map_err(|e| mapped(verb, e))?;
                tx.answered(sql)?;
                Ok(rows.into_iter().map(|row| Row { verb, row: RowOf::Postgres(row) }).collect())
            }
            Self::Sqlite(tx) => {
                let rows = bind::sqlite(rendered, values).fetch_all(&mut **tx).await.map_err(|e| mapped(verb, e))?;
                tx.answered(sql)?;
                Ok(rows.into_iter().map(|row| Row { verb, row: RowOf::Sqlite(row) }).collect())
            }
        }
    }

    /// Each row of the answer as it comes, so that no more of them than one need be in memory, and the database goes on meanwhile.
    /// The statement must bound them.
    ///
    /// # Errors
    /// The database's, or the first that `take` gives; the rows after it are left.
    pub(crate) async fn each(
        &mut self,
        sql: &str,
        values: Vec<Value>,
        take: impl FnMut(&Row) -> Result<(), Error> + Send,
    ) -> Result<(), Error> {
        let verb = self.verb();
        let rendered = dialect::render(self.dialect(), sql);
        match self {
            Self::Postgres(tx) => {
                take_each(verb, bind::postgres(rendered, values).fetch(&mut **tx), RowOf::Postgres, take).await?;
                tx.answered(sql)
            }
            Self::Sqlite(tx) => {
                take_each(verb, bind::sqlite(rendered, values).fetch(&mut **tx), RowOf::Sqlite, take).await?;
                tx.answered(sql)
            }
        }
    }

    /// The first row, if there is one.
    pub(crate) async fn optional(&mut self, sql: &str, values: Vec<Value>) -> Result<Option<Row>, Error> {
        Ok(self.all(sql, values).await?.into_iter().next())
    }

    /// The only row of a statement that always gives one.
    pub(crate) async fn one(&mut self, sql: &str, values: Vec<Value>) -> Result<Row, Error> {
        let verb = self.verb();
        self.optional(sql, values).await?.ok_or_else(|| mapped(verb, sqlx::Error::RowNotFound))
    }

    /// How many rows the statement changed.
    pub(crate) async fn execute(&mut self, sql: &str, values: Vec<Value>) -> Result<u64, Error> {
        let verb = self.verb();
        let rendered = dialect::render(self.dialect(), sql);
        let done = match self {
            Self::Postgres(tx) => bind::postgres(rendered, values).execute(&mut **tx).await.map(|done| done.rows_affected()),
            Self::Sqlite(tx) => bind::sqlite(rendered, values).execute(&mut **tx).await.map(|done| done.rows_affected()),
        };
        let rows = done.map_err(|e| mapped(verb, e))?;
        match self {
            Self::Postgres(tx) => tx.answered(sql)?,
            Self::Sqlite(tx) => tx.answered(sql)?,
        }
        Ok(rows)
    }

    /// Inserts many rows in one statement; `conflict` is the text after it, such as `ON CONFLICT DO NOTHING`;
    /// conditions on the row, named `listed`, may stand before.
    pub(crate) async fn insert(&mut self, table: &str, columns: Columns, conflict: &str) -> Result<u64, Error> {
        if columns.rows() == 0 {
            return Ok(0);
        }
        let names: Vec<&str> = columns.0.iter().map(|(name, _)| *name).collect();
        let names = names.join(", ");
        let (source, values) = columns.source(self.dialect(), 1);
        // WHERE true: without it SQLite takes the ON of ON CONFLICT for that of a join.
        self.execute(&format!("INSERT INTO {table} ({names}) SELECT {names} FROM {source} AS listed WHERE true {conflict}"), values).await
    }

    /// The database's clock.
    pub(crate) async fn now(&mut self) -> Result<Millis, Error> {
        self.one("SELECT {now} AS now", params![]).await?.int("now")
    }

    /// Commits what went well, and rolls back what did not. A transaction that is only dropped keeps its rows locked for a
    /// moment, and who skips locked rows, or tries again, would not find them.
    pub(crate) async fn end<T>(self, done: Result<T, Error>) -> Result<T, Error> {
        match done {
            Ok(value) => {
                self.commit().await?;
                Ok(value)
            }
            Err(error) => {
                self.rollback().await;
                Err(error)
            }
        }
    }

    pub(crate) async fn rollback(self) {
        match self {
            Self::Postgres(open) => open.rollback().await,
            Self::Sqlite(open) => open.rollback().await,
        }
    }

    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Postgres(open) => open.commit().await,
            Self::Sqlite(open) => open.commit().await,
        }
    }
}
