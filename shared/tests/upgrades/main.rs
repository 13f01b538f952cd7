//! Upgrades: schemas that a program does not know, documents of later programs, and a migration under a running batch; on both
//! databases.

#![expect(clippy::unwrap_used, reason = "tests: a failure is a panic")]

mod documents;
mod running;

use shared::job::WorkRef;
use shared::store::sql::{Schema, SqlStore, StoreOptions, migrate_schema, migrate_schema_to, open_sql, schema_status};
use shared::store::{Error, Store};
use shared::testing::database::{EmptyDatabase, Raw};

pub async fn require(url: &str) -> Result<SqlStore, Error> {
    open_sql(url, StoreOptions { schema: Schema::Require, ..StoreOptions::default() }).await
}

fn refusal(opened: Result<SqlStore, Error>) -> String {
    match opened {
        Err(error @ Error::Schema(_)) => {
            assert!(!error.is_transient(), "waiting does not help");
            error.to_string()
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => panic!("it was opened"),
    }
}

#[tokio::test]
async fn a_schema_that_is_not_known_is_refused_with_what_to_do() {
    let empty = EmptyDatabase::postgres().await;
    let known = schema_status(&empty.url).await.unwrap().known;
    let text = refusal(require(&empty.url).await);
    assert!(text.contains("no schema of Drover yet") && text.contains("run `drover schema migrate`"), "{text}");
    migrate_schema_to(&empty.url, known - 1).await.unwrap();
    let text = refusal(require(&empty.url).await);
    assert!(text.contains(&format!("at version {}", known - 1)) && text.contains(&format!("needs version {known}: run")), "{text}");

    let (before, after) = migrate_schema(&empty.url).await.unwrap();
    assert_eq!((before.found, after.found, after.is_current()), (known - 1, known, true));
    require(&empty.url).await.unwrap().close().await;

    let mut raw = empty.raw().await;
    newer(&mut raw, known).await;
    let text = refusal(require(&empty.url).await);
    assert!(text.contains(&format!("at version {}", known + 4)) && text.contains(&format!("knows it up to version {known}")), "{text}");
    assert_eq!(refusal_of_migration(&empty.url).await, text, "what is newer is not touched");
    raw.execute(&format!(
        "DELETE FROM _sqlx_migrations WHERE version > {known}; UPDATE _sqlx_migrations SET checksum = 'x' WHERE version = 2"
    ))
    .await;
    let text = refusal(require(&empty.url).await);
    assert!(text.contains("migration 2 of the database's schema is not the one"), "{text}");
    empty.remove().await;
}

#[tokio::test]
async fn a_sqlite_file_is_migrated_by_who_opens_it_and_refused_if_it_is_newer() {
    let empty = EmptyDatabase::sqlite();
    assert_eq!(schema_status(&empty.url).await.unwrap().found, 0);
    migrate_schema_to(&empty.url, 2).await.unwrap();
    require(&empty.url).await.unwrap().close().await;
    let status = schema_status(&empty.url).await.unwrap();
    assert!(status.is_current(), "{status}");
    newer(&mut empty.raw().await, status.known).await;
    let text = refusal(open_sql(&empty.url, StoreOptions::default()).await);
    assert!(text.contains("a newer Drover has migrated it"), "{text}");
}

/// Four migrations that this program has never heard of.
async fn newer(raw: &mut Raw, known: i64) {
    for version in known + 1..=known + 4 {
        raw.execute(&format!(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES ({version}, 'later', TRUE, 'x', 1)"
        ))
        .await;
    }
}

async fn refusal_of_migration(url: &str) -> String {
    migrate_schema(url).await.unwrap_err().to_string()
}

/// All runs and jobs of a batch.
pub async fn works(raw: &mut Raw, batch: &str) -> Vec<WorkRef> {
    let sql = format!(
        "SELECT CAST(first AS TEXT) FROM run WHERE batch = '{batch}' UNION ALL SELECT CAST(number AS TEXT) FROM job WHERE batch = '{batch}'"
    );
    raw.texts(&sql).await.iter().map(|n| WorkRef::new(batch, n.parse().unwrap())).collect()
}
