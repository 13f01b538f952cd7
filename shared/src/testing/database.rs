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
        let folder = tempfile::tempdir().expect("a temporary folder");
        let url = format!("sqlite:{}", folder.path().join("drover.db").display());
        let store = open_sql(&url, StoreOptions::default()).await.expect("a SQLite file can be opened");
        Self { store: Arc::new(store), url, schema: None, _folder: Some(folder) }
    }

    /// # Panics
    /// When there is no PostgreSQL for tests.
    pub async fn postgres() -> Self {
        let base = postgres_url();
        let schema = format!("t{}", crate::id::new_id().replace('-', ""));
        administer(&base, format!("CREATE SCHEMA {schema}")).await;
        let separator = if base.contains('?') { '&' } else { '?' };
        let url = format!("{base}{separator}options=-c%20search_path%3D{schema}");
        let store = open_sql(&url, StoreOptions::default()).await.expect("PostgreSQL can be reached");
        Self { store: Arc::new(store), url, schema: Some((base, schema)), _folder: None }
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
