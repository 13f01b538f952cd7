//! No statement on a batch's way reads a whole table, however much is waiting and however stale the statistics are, nor is it planned
//! at every call: PostgreSQL itself counts the scans and the plans.

#![expect(clippy::unwrap_used, reason = "tests: a failure is a panic")]

use std::str::FromStr;

use shared::id;
use shared::job::WorkRef;
use shared::store::query::InstanceQuery;
use shared::store::sql::{StoreOptions, open_sql};
use shared::store::{BatchStore, Caller, Items, Lease, Mode, Portion, SeedRoom, Store, WakeLimits};
use shared::testing::database::TestDatabase;
use shared::testing::store_suite::{Herder, SOURCE, herd, new_batch, whole};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

const INSTANCES: usize = 20_000;
const TABLES: [&str; 5] = ["chunk", "run", "job", "process_instance", "job_log"];

async fn connect(database: &TestDatabase) -> PgConnection {
    PgConnectOptions::from_str(&database.url).unwrap().connect().await.unwrap()
}

/// Whole reads of each table so far.
async fn scans(connection: &mut PgConnection) -> Vec<(String, i64)> {
    sqlx::query_as("SELECT relname::text, seq_scan FROM pg_stat_user_tables WHERE schemaname = current_schema() ORDER BY relname")
        .fetch_all(connection)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_statement_on_a_batchs_way_reads_a_whole_table_or_is_planned_at_every_call() {
    let database = TestDatabase::postgres().await;
    // Analysed while they are empty: the planner takes them for tiny, and they are not.
    let mut connection = connect(&database).await;
    for table in TABLES {
        sqlx::query(AssertSqlSafe(format!("ANALYZE {table}"))).execute(&mut connection).await.unwrap();
    }
    herd(&database, INSTANCES).await;
    let store = database.another().await;
    let query = InstanceQuery { definition_id: Some(SOURCE.into()), ..InstanceQuery::default() };
    let listed = || -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> { Box::new(std::iter::empty()) };
    let items = Items { listed: &listed, query: Some(&query) };
    let submitted = store.submit(&Caller::anonymous(), new_batch(100, 1), items).await.unwrap();
    assert_eq!((submitted.total_instances, submitted.total_jobs), (INSTANCES as u64, INSTANCES as u64));
    store.close().await;
    let before = scans(&mut connection).await;

    let options = StoreOptions { max_connections: 1, ..StoreOptions::default() };
    let store = open_sql(&database.url, options).await.unwrap();
    drive(&store, &submitted.id).await;
    let planned = store.planned_for_their_values().await.unwrap();
    let of_a_table = |statement: &String| TABLES.iter().any(|table| statement.contains(&format!(" {table} ")));
    let anew: Vec<_> = planned.iter().filter(|statement| of_a_table(statement)).collect();
    assert!(anew.is_empty(), "planned again and again: {anew:#?}");
    store.close().await;
    // A connection tells what it has read at its end, all at once: the last thing that it did was to delete the batch.
    let told = "SELECT n_tup_del FROM pg_stat_user_tables WHERE schemaname = current_schema() AND relname = 'batch'";
    while sqlx::query_scalar::<_, i64>(told).fetch_one(&mut connection).await.unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    let after = scans(&mut connection).await;
    let grown: Vec<_> = before.iter().zip(&after).filter(|(b, a)| TABLES.contains(&b.0.as_str()) && a.1 > b.1).collect();
    assert!(grown.is_empty(), "read as a whole: {grown:?}");
    connection.close().await.unwrap();
    database.remove().await;
}

/// Everything that happens to a batch between its submission and its end.
async fn drive(store: &impl BatchStore, batch: &str) {
    let mut runs = vec![];
    for _ in 0..INSTANCES / 100 {
        runs.extend(store.seed(batch, SeedRoom::OneChunk).await.unwrap().unwrap().runs);
    }
    assert_eq!(runs.len(), INSTANCES / 100);
    store.wake(WakeLimits { work: 10, instances: 10 }).await.unwrap();
    let limping = WorkRef::new(batch, runs.remove(0));
    let token = id::new_id();
    assert!(matches!(store.lease(&limping, &token).await.unwrap(), Lease::Taken { .. }));
    store.execute(&[Portion { work: limping, jobs: None }], &Mode::Careful { token }, &Herder::default()).await.unwrap();
    let mut done = 100;
    for runs in runs.chunks(5) {
        let portions: Vec<Portion> = runs.iter().map(|first| whole(batch, *first)).collect();
        done += store.execute(&portions, &Mode::Normal, &Herder::default()).await.unwrap().succeeded_instances;
        store.look(&[batch.to_owned()]).await.unwrap();
    }
    assert_eq!(done, INSTANCES as u64);
    assert!(store.complete(batch).await.unwrap());
}
