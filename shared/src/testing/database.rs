//! Databases of a test's own: a SQLite file, or a schema of the PostgreSQL that the test command started.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor};
use tempfile::TempDir;

use super::store_suite::Bench;
use crate::clock::Millis;
use crate::process::instance::Instance;
use crate::store::Store;
use crate::store::sql::{SqlStore, StoreOptions, open_sql};

/// The PostgreSQL that the test command started.
///
/// # Panics
/// When there is none, with the command that starts one.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "only the test command knows where its database is")]
pub fn postgres_url() -> String {
    let url = std::env::var("DROVER_TEST_POSTGRES");
    url.expect("DROVER_TEST_POSTGRES is not set: run this test by ./test, which starts a PostgreSQL for it")
}

/// A place for a database of a test's own, with nothing in it yet.
pub struct EmptyDatabase {
    pub url: String,
    /// In PostgreSQL: the server's own URL, and the schema.
    schema: Option<(String, String)>,
    folder: Option<TempDir>,
}

impl EmptyDatabase {
    /// # Panics
    /// When there is no temporary folder.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite:{}", folder.path().join("drover.db").display());
        Self { url, schema: None, folder: Some(folder) }
    }

    /// # Panics
    /// When there is no PostgreSQL for tests.
    pub async fn postgres() -> Self {
        let base = postgres_url();
        let schema = format!("t{}", crate::id::new_id().replace('-', ""));
        administer(&base, format!("CREATE SCHEMA {schema}")).await;
        let separator = if base.contains('?') { '&' } else { '?' };
        let url = format!("{base}{separator}options=-c%20search_path%3D{schema}");
        Self { url, schema: Some((base, schema)), folder: None }
    }

    /// A store on it, its schema brought up to date.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn open(self) -> TestDatabase {
        let store = open_sql(&self.url, StoreOptions::default()).await.expect("the database can be opened");
        TestDatabase { store: Arc::new(store), url: self.url, schema: self.schema, _folder: self.folder }
    }

    /// A connection for what no verb does.
    ///
    /// # Panics
    /// When it cannot be reached.
    pub async fn raw(&self) -> Raw {
        Raw::connect(&self.url).await
    }
}

impl EmptyDatabase {
    /// # Panics
    /// When the schema cannot be dropped.
    pub async fn remove(&self) {
        if let Some((server, schema)) = &self.schema {
            administer(server, format!("DROP SCHEMA {schema} CASCADE")).await;
        }
    }
}

/// A connection to a test's database: what earlier programs, and no verb of this one, do to it.
pub enum Raw {
    Postgres(sqlx::PgConnection),
    Sqlite(sqlx::SqliteConnection),
}

impl Raw {
    /// # Panics
    /// When the database cannot be reached.
    pub async fn connect(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            return Self::Sqlite(sqlx::SqliteConnection::connect(url).await.expect("the SQLite file can be opened"));
        }
        Self::Postgres(sqlx::PgConnection::connect(url).await.expect("PostgreSQL can be reached"))
    }

    /// # Panics
    /// When it is refused.
    pub async fn execute(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(connection) => drop(connection.execute(sqlx::raw_sql(sql)).await.expect("it does as it is told")),
            Self::Sqlite(connection) => drop(connection.execute(sqlx::raw_sql(sql)).await.expect("it does as it is told")),
        }
    }

    /// The first column of each row, as text.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn texts(&mut self, sql: &str) -> Vec<String> {
        let query = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Postgres(connection) => sqlx::query_scalar(query).fetch_all(connection).await.expect("it answers"),
            Self::Sqlite(connection) => sqlx::query_scalar(query).fetch_all(connection).await.expect("it answers"),
        }
    }
}

/// A store on a database of its own; [`TestDatabase::remove`] leaves nothing behind.
pub struct TestDatabase {
    pub store: Arc<SqlStore>,
    /// To open it a second time.
    pub url: String,
    /// In PostgreSQL: the server's own URL, and the schema.
    schema: Option<(String, String)>,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    /// # Panics
    /// When it cannot be opened.
    pub async fn sqlite() -> Self {
        EmptyDatabase::sqlite().open().await
    }

    /// # Panics
    /// When there is no PostgreSQL for tests.
    pub async fn postgres() -> Self {
        EmptyDatabase::postgres().await.open().await
    }

    /// Another process on the same database.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn another(&self) -> SqlStore {
        open_sql(&self.url, StoreOptions::default()).await.expect("the database can be opened a second time")
    }

    /// # Panics
    /// When the schema cannot be dropped.
    pub async fn remove(&self) {
        self.store.close().await;
        if let Some((server, schema)) = &self.schema {
            administer(server, format!("DROP SCHEMA {schema} CASCADE")).await;
        }
    }
}

async fn administer(url: &str, sql: String) {
    let mut connection =
        PgConnectOptions::from_str(url).expect("a PostgreSQL URL").connect().await.expect("the PostgreSQL for tests can be reached");
    connection.execute(AssertSqlSafe(sql)).await.expect("it does as it is told");
    connection.close().await.expect("the connection ends");
}

#[async_trait]
impl Bench for TestDatabase {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    async fn plant(&self, instances: Vec<Instance>) {
        self.store.plant(&instances).await.expect("documents can be stored");
    }

    async fn age(&self, ms: Millis) {
        self.store.age(ms).await.expect("time can pass");
    }
}
