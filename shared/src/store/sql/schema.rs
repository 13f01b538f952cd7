//! The schema's version: what the database has, what this program knows, and the way from one to the other.
//!
//! Migrations are only ever added and only ever add, so a process that runs goes on over a schema that has been migrated
//! under it. At its start a process refuses a schema that it does not know: an older one, since its statements would fail one
//! by one; a newer one, since what a later version means by its rows is not known here. `drover schema migrate` is what
//! migrates; only a SQLite file, which belongs to one process, is migrated by whoever opens it.

use std::collections::BTreeMap;

use sqlx::migrate::{AppliedMigration, Migrate, Migrator};
use sqlx::{ConnectOptions, Connection, PgConnection, SqliteConnection};

use super::connect::{postgres_options, sqlite_options};
use super::error::mapped;
use crate::store::Error;

pub(super) static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
pub(super) static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

const CHECK: &str = "schema_check";
const MIGRATE: &str = "schema_migrate";
/// Attempts at a migration that collides with the transactions of workers.
const MOST_ATTEMPTS: u32 = 10;

/// What opening a store does about the schema.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Schema {
    /// Brings it up to date: SQLite, and databases of tests.
    #[default]
    Migrate,
    /// Refuses one that is not exactly the one that this program knows.
    Require,
}

/// The database's schema, held against the one that this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SchemaStatus {
    /// The last migration that was applied; 0: there is no schema.
    pub found: i64,
    /// The last one that this program knows.
    pub known: i64,
    /// A migration that is another one in this program.
    pub other: Option<i64>,
}

impl SchemaStatus {
    /// Does this program know it, and nothing is missing?
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.found == self.known && self.other.is_none()
    }

    /// May this program bring it up to date?
    #[must_use]
    pub fn can_be_migrated(&self) -> bool {
        self.found <= self.known && self.other.is_none()
    }

    fn of(migrator: &Migrator, applied: &[AppliedMigration]) -> Self {
        let known: BTreeMap<i64, &[u8]> = migrator.iter().map(|m| (m.version, &*m.checksum)).collect();
        let last = known.keys().next_back().copied().unwrap_or(0);
        let other = applied.iter().find(|a| a.version <= last && known.get(&a.version).is_none_or(|checksum| **checksum != *a.checksum));
        Self { found: applied.iter().map(|a| a.version).max().unwrap_or(0), known: last, other: other.map(|a| a.version) }
    }

    /// # Errors
    /// [`Error::Schema`], with what to do.
    pub(super) fn require(self) -> Result<Self, Error> {
        if self.is_current() { Ok(self) } else { Err(Error::Schema(self.to_string())) }
    }
}

impl std::fmt::Display for SchemaStatus {
    /// A sentence, with what to do about it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (found, known, program) = (self.found, self.known, env!("CARGO_PKG_VERSION"));
        if let Some(other) = self.other {
            return write!(
                f,
                "migration {other} of the database's schema is not the one that this program ({program}) knows: another build made this \
                 database; use that build, or another database"
            );
        }
        match found {
            0 => write!(
                f,
                "the database has no schema of Drover yet, and this program ({program}) needs version {known}: run `drover schema migrate`"
            ),
            _ if found < known => write!(
                f,
                "the database's schema is at version {found}, and this program ({program}) needs version {known}: run `drover schema migrate`"
            ),
            _ if found > known => write!(
                f,
                "the database's schema is at version {found}, and this program ({program}) knows it up to version {known}: a newer Drover has \
                 migrated it; run that version here (a schema is never migrated back)"
            ),
            _ => write!(f, "the database's schema is at version {found}, the one that this program ({program}) knows"),
        }
    }
}

/// Reads the schema's version; changes nothing.
///
/// # Errors
/// The database cannot be reached, or the URL is none of ours.
pub async fn schema_status(url: &str) -> Result<SchemaStatus, Error> {
    if is_postgres(url) {
        let mut connection = postgres_options(url)?.connect().await.map_err(|e| mapped(CHECK, e))?;
        let status = postgres_status(&mut connection).await;
        drop(connection.close().await);
        return status;
    }
    let options = sqlite_options(url)?;
    if !options.get_filename().exists() {
        return Ok(SchemaStatus::of(&SQLITE, &[]));
    }
    let mut connection = options.create_if_missing(false).connect().await.map_err(|e| mapped(CHECK, e))?;
    let status = sqlite_status(&mut connection).await;
    drop(connection.close().await);
    status
}

/// Applies the migrations that are missing, each in a transaction of its own; gives the versions before and after.
/// Workers may be at work: they wait for it, or it for them.
///
/// # Errors
/// [`Error::Schema`] for a schema that is newer or another's; the database's.
pub async fn migrate_schema(url: &str) -> Result<(SchemaStatus, SchemaStatus), Error> {
    migrate_to(url, None).await
}

/// The same, but only up to a version: so a test has the database of an earlier program.
///
/// # Errors
/// As [`migrate_schema`].
#[cfg(feature = "testing")]
pub async fn migrate_schema_to(url: &str, version: i64) -> Result<(), Error> {
    migrate_to(url, Some(version)).await.map(drop)
}

async fn migrate_to(url: &str, version: Option<i64>) -> Result<(SchemaStatus, SchemaStatus), Error> {
    if is_postgres(url) {
        let mut connection = postgres_options(url)?.connect().await.map_err(|e| mapped(MIGRATE, e))?;
        let before = migrate_postgres(&mut connection, version).await?;
        let after = postgres_status(&mut connection).await?;
        drop(connection.close().await);
        return Ok((before, after));
    }
    let mut connection = sqlite_options(url)?.connect().await.map_err(|e| mapped(MIGRATE, e))?;
    let before = migrate_sqlite(&mut connection, version).await?;
    let after = sqlite_status(&mut connection).await?;
    drop(connection.close().await);
    Ok((before, after))
}

/// Takes an advisory lock of its own. A migration that was the victim of a deadlock is tried again: each is a transaction.
pub(super) async fn migrate_postgres(connection: &mut PgConnection, version: Option<i64>) -> Result<SchemaStatus, Error> {
    let before = postgres_status(connection).await?;
    migratable(before)?;
    let mut attempt = 1;
    loop {
        let run = match version {
            Some(version) => POSTGRES.run_to(version, &mut *connection).await,
            None => POSTGRES.run(&mut *connection).await,
        };
        match run.map_err(|e| mapped(MIGRATE, e.into())) {
            Ok(()) => return Ok(before),
            Err(Error::Collision { .. } | Error::TimedOut { .. }) if attempt < MOST_ATTEMPTS => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}

/// SQLite has no lock to migrate under: of two processes that begin at once one fails, and then finds it done.
pub(super) async fn migrate_sqlite(connection: &mut SqliteConnection, version: Option<i64>) -> Result<SchemaStatus, Error> {
    let before = sqlite_status(connection).await?;
    migratable(before)?;
    let mut attempt = 1;
    loop {
        let run = match version {
            Some(version) => SQLITE.run_to(version, &mut *connection).await,
            None => SQLITE.run(&mut *connection).await,
        };
        match run {
            Ok(()) => return Ok(before),
            Err(_) if attempt < MOST_ATTEMPTS => attempt += 1,
            Err(error) => return Err(mapped(MIGRATE, error.into())),
        }
    }
}

fn migratable(status: SchemaStatus) -> Result<(), Error> {
    if status.can_be_migrated() { Ok(()) } else { Err(Error::Schema(status.to_string())) }
}

pub(super) async fn postgres_status(connection: &mut PgConnection) -> Result<SchemaStatus, Error> {
    let exists = sqlx::query_scalar::<_, bool>("SELECT to_regclass($1) IS NOT NULL").bind(&*POSTGRES.table_name);
    let exists = exists.fetch_one(&mut *connection).await.map_err(|e| mapped(CHECK, e))?;
    let applied = if exists { connection.list_applied_migrations(&POSTGRES.table_name).await } else { Ok(vec![]) };
    Ok(SchemaStatus::of(&POSTGRES, &applied.map_err(|e| mapped(CHECK, e.into()))?))
}

pub(super) async fn sqlite_status(connection: &mut SqliteConnection) -> Result<SchemaStatus, Error> {
    let exists = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = $1");
    let exists = exists.bind(&*SQLITE.table_name).fetch_one(&mut *connection).await.map_err(|e| mapped(CHECK, e))?;
    let applied = if exists > 0 { connection.list_applied_migrations(&SQLITE.table_name).await } else { Ok(vec![]) };
    Ok(SchemaStatus::of(&SQLITE, &applied.map_err(|e| mapped(CHECK, e.into()))?))
}

pub(super) fn is_postgres(url: &str) -> bool {
    url.starts_with("postgres:") || url.starts_with("postgresql:")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(found: i64, known: i64) -> SchemaStatus {
        SchemaStatus { found, known, other: None }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_to_do() {
        assert!(status(5, 5).require().is_ok());
        for (status, says, can) in [
            (status(0, 5), "no schema of Drover yet", true),
            (status(3, 5), "at version 3, and this program (0.1.0) needs version 5: run `drover schema migrate`", true),
            (status(9, 5), "at version 9, and this program (0.1.0) knows it up to version 5", false),
            (SchemaStatus { other: Some(2), ..status(5, 5) }, "migration 2 of the database's schema is not the one", false),
        ] {
            let error = status.require().unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert_eq!(status.can_be_migrated(), can, "{error}");
        }
    }

    #[test]
    fn both_databases_have_the_same_versions_without_gaps() {
        let versions = |migrator: &Migrator| migrator.iter().map(|m| m.version).collect::<Vec<_>>();
        assert_eq!(versions(&POSTGRES), versions(&SQLITE));
        assert_eq!(versions(&POSTGRES), (1..=POSTGRES.iter().count() as i64).collect::<Vec<_>>());
    }

    #[test]
    fn a_migration_that_is_another_one_here_is_told() {
        let applied = |version: i64, checksum: &'static [u8]| AppliedMigration { version, checksum: checksum.into() };
        assert_eq!(SchemaStatus::of(&POSTGRES, &[applied(1, b"other")]).other, Some(1));
        assert_eq!(SchemaStatus::of(&POSTGRES, &[applied(1000, b"newer")]).other, None);
    }
}
