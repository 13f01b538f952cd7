//! A schema is migrated under a batch in its middle, from every earlier version, while a worker of that version is at work.

use std::sync::Arc;

use serde_json::json;
use shared::job::WorkRef;
use shared::process::instance::Instance;
use shared::queue::MemoryQueue;
use shared::store::query::InstanceQuery;
use shared::store::sql::{SqlStore, migrate_schema, migrate_schema_to, schema_status};
use shared::store::{BatchStore, Caller, EngineStore, InstanceJobs, Store};
use shared::testing::database::{EmptyDatabase, Raw, TestDatabase};
use shared::testing::engine_suite::{deploy, found, new_instance};
use shared::testing::queue_suite::until;
use shared::testing::store_suite::{Herder, SOURCE, TARGET, herd, new_batch, submit};
use shared::work::Steps;

use crate::{require, works};

/// The rows of `from` in an empty database, as its earlier program would have them: the columns that there were.
async fn copy(from: &TestDatabase, to: &EmptyDatabase) {
    let mut raw = to.raw().await;
    let (tables, columns, source): (_, fn(&str) -> String, String) = if to.url.starts_with("sqlite:") {
        raw.execute(&format!("ATTACH '{}' AS source", from.url.trim_start_matches("sqlite:"))).await;
        let columns = |table: &str| format!("SELECT name FROM pragma_table_info('{table}')");
        (
            "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '\\_%' ESCAPE '\\'",
            columns,
            "source".to_owned(),
        )
    } else {
        let columns = |table: &str| {
            format!(
                "SELECT column_name::TEXT FROM information_schema.columns WHERE table_schema = current_schema() AND table_name = '{table}'"
            )
        };
        let tables =
            "SELECT table_name::TEXT FROM information_schema.tables WHERE table_schema = current_schema() AND table_name NOT LIKE '\\_%'";
        (tables, columns, from.url.rsplit("search_path%3D").next().unwrap().to_owned())
    };
    // Where PostgreSQL numbers rows itself.
    let overriding = if matches!(raw, Raw::Sqlite(_)) { "" } else { "OVERRIDING SYSTEM VALUE" };
    let tables = raw.texts(tables).await;
    assert!(tables.len() > 15, "{tables:?}");
    // Business keys are written by a trigger, where there is their table.
    for table in tables.into_iter().filter(|table| table != "instance_business_key") {
        let columns = raw.texts(&columns(&table)).await.join(", ");
        raw.execute(&format!(
            "INSERT INTO {table} ({columns}) {overriding} SELECT {columns} FROM {source}.{table} WHERE TRUE ON CONFLICT DO NOTHING"
        ))
        .await;
    }
    for id in raw.texts("SELECT id FROM process_instance").await {
        // Documents were of the first version, with their ids in full.
        let instance = Instance { v: 1, ..from.store.instance(&Caller::anonymous(), &id).await.unwrap().unwrap().instance };
        let text = serde_json::to_string(&instance).unwrap().replace('\'', "''");
        raw.execute(&format!("UPDATE process_instance SET state = '{text}' WHERE id = '{id}'")).await;
    }
}

/// A batch in its middle: instances done, a job that has failed, a run, chunks.
struct Middle {
    batch: String,
    ids: Vec<String>,
    failed: WorkRef,
    run: WorkRef,
}

async fn middle(database: &TestDatabase) -> Middle {
    let ids = herd(database, 30).await;
    let batch = submit(database, new_batch(10, 1), &ids).await.id;
    let store: Arc<dyn Store> = database.store.clone();
    let seed = || database.store.seed(&batch, shared::store::SeedRoom::OneChunk);
    seed().await.unwrap();
    let herder = Herder::failing(&ids[3..4], "no instruction");
    let steps = Steps { decide: Arc::new(herder), ..Steps::new(store, Arc::new(MemoryQueue::new(100))) };
    let done = steps.execute(vec![WorkRef::new(batch.clone(), 2)]).await.unwrap();
    assert_eq!((done.succeeded_instances, done.failed_instances), (9, 1));
    let failed = done.failed[0].0.clone();
    for _ in 0..2 {
        steps.execute(vec![failed.clone()]).await.unwrap();
    }
    let runs = seed().await.unwrap().unwrap().runs;
    let run = WorkRef::new(batch.clone(), runs[0]);
    Middle { batch, ids, failed, run }
}

/// What a worker of the earlier program has in hand: the front job of a run, in a transaction that is not committed yet.
async fn work_of_an_earlier_program(raw: &mut Raw, middle: &Middle) {
    let WorkRef { batch, number } = &middle.run;
    let row = format!("batch = '{batch}' AND first = {number}");
    raw.execute(if matches!(raw, Raw::Sqlite(_)) { "BEGIN IMMEDIATE" } else { "BEGIN" }).await;
    let lock = if matches!(raw, Raw::Sqlite(_)) { "" } else { " FOR UPDATE" };
    let ids: Vec<String> = serde_json::from_str(&raw.texts(&format!("SELECT ids FROM run WHERE {row}{lock}")).await[0]).unwrap();
    let rest = json!(ids[1..]).to_string();
    raw.execute(&format!(
        "UPDATE process_instance SET revision = revision + 1, definition_id = '{TARGET}', state = replace(state, '{SOURCE}', '{TARGET}')
         WHERE id = '{}'; UPDATE run SET first = first + 1, items = items - 1, ids = '{rest}' WHERE {row}",
        ids[0]
    ))
    .await;
}

async fn finish(store: &Arc<SqlStore>, raw: &mut Raw, middle: &Middle) {
    let Middle { batch, failed, .. } = middle;
    let every: Arc<dyn Store> = store.clone();
    let steps = Steps { decide: Arc::new(Herder::default()), ..Steps::new(every, Arc::new(MemoryQueue::new(100))) };
    store.set_batch_job_retries(&Caller::anonymous(), failed, 1, None).await.unwrap().unwrap();
    for _ in 0..100 {
        let left = raw.texts(&format!("SELECT id FROM batch WHERE id = '{batch}'")).await;
        if left.is_empty() {
            return;
        }
        steps.seed(batch).await.unwrap();
        steps.execute(works(raw, batch).await).await.unwrap();
        steps.monitor(batch).await.unwrap();
    }
    panic!("the batch does not end");
}

/// From each earlier version that has instances: rows as it wrote them, a worker of it in a transaction, the migration meanwhile.
async fn a_running_batch_is_finished_after(make: impl AsyncFn() -> EmptyDatabase) {
    let newest = schema_status(&make().await.url).await.unwrap().known;
    for version in 2..newest {
        let now = make().await.open().await;
        let middle = middle(&now).await;
        let own = deploy(&now.store, "own", shared::testing::engine_suite::ASYNC_TASK).await;
        let own = now.store.start(&Caller::anonymous(), new_instance(&own.id, Some("own key"), vec![])).await.unwrap().instance_id;
        let earlier = make().await;
        migrate_schema_to(&earlier.url, version).await.unwrap();
        copy(&now, &earlier).await;
        let before = revisions(&mut earlier.raw().await).await;
        now.remove().await;

        let (mut worker, mut watcher) = (earlier.raw().await, earlier.raw().await);
        work_of_an_earlier_program(&mut worker, &middle).await;
        let migration = async { migrate_schema(&earlier.url).await.unwrap() };
        let commit = async {
            waits_or_is_done(&mut watcher, newest).await;
            worker.execute("COMMIT").await;
        };
        let ((was, is), ()) = tokio::join!(migration, commit);
        assert_eq!((was.found, is.found), (version, newest));

        let store = Arc::new(require(&earlier.url).await.unwrap());
        finish(&store, &mut watcher, &middle).await;
        let after = revisions(&mut watcher).await;
        for (id, revision) in &before {
            let changed =
                after.iter().find(|(other, _)| other == id).unwrap_or_else(|| panic!("from version {version}: {id} is lost")).1 - revision;
            let done_before = *revision > 1;
            let expected = i64::from(*id != own && !done_before);
            assert_eq!(changed, expected, "from version {version}: {id} was written {changed} times");
        }
        let migrated = watcher.texts(&format!("SELECT id FROM process_instance WHERE definition_id = '{TARGET}'")).await;
        assert_eq!(migrated.len(), middle.ids.len(), "from version {version}");
        found_by_its_key(&store, &mut watcher, &own).await;
        let run = store.run_due_job(&own).await.unwrap();
        assert!(matches!(run, shared::store::RunDue::Ran { .. }), "an instance's own job runs: {run:?}");
        store.close().await;
        drop((worker, watcher));
        earlier.remove().await;
    }
}

/// Also one that an earlier program starts after the migration, until it ends it.
async fn found_by_its_key(store: &SqlStore, raw: &mut Raw, id: &str) {
    let by_key = |like: &str| InstanceQuery { business_key_like: Some(like.to_owned()), ..InstanceQuery::default() };
    assert_eq!(found(store, &by_key("own%")).await, [id]);
    let columns = "root_instance, started, definition_id, definition_key, suspended, revision, has_incident, state";
    let twin =
        format!("INSERT INTO process_instance (id, business_key, {columns}) SELECT 'twin', 'own twin', {columns} FROM process_instance");
    raw.execute(&format!("{twin} WHERE id = '{id}'")).await;
    let keys = "SELECT business_key || ' ' || instance FROM instance_business_key ORDER BY 1";
    assert_eq!(raw.texts(keys).await, [format!("own key {id}"), "own twin twin".to_owned()]);
    raw.execute("DELETE FROM process_instance WHERE id = 'twin'").await;
    assert_eq!(raw.texts(keys).await, [format!("own key {id}")]);
}

async fn revisions(raw: &mut Raw) -> Vec<(String, i64)> {
    let rows = raw.texts("SELECT id || ' ' || CAST(revision AS TEXT) FROM process_instance ORDER BY id").await;
    rows.iter().map(|row| row.split_once(' ').unwrap()).map(|(id, revision)| (id.to_owned(), revision.parse().unwrap())).collect()
}

/// Until the migration waits for a lock (PostgreSQL tells), or has had nothing to wait for. SQLite tells nothing: at once.
async fn waits_or_is_done(watcher: &mut Raw, newest: i64) {
    if matches!(watcher, Raw::Sqlite(_)) {
        return;
    }
    let blocked = "SELECT 1::TEXT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
        WHERE NOT l.granted AND c.relnamespace = current_schema()::regnamespace";
    let done = format!("SELECT 1::TEXT FROM _sqlx_migrations WHERE version = {newest}");
    let watcher = tokio::sync::Mutex::new(watcher);
    until("the migration waits for the worker", || async {
        let mut watcher = watcher.lock().await;
        !watcher.texts(blocked).await.is_empty() || !watcher.texts(&done).await.is_empty()
    })
    .await;
}

mod sqlite {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_running_batch_is_finished_after_a_migration() {
        super::a_running_batch_is_finished_after(async || EmptyDatabase::sqlite()).await;
    }
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_running_batch_is_finished_after_a_migration() {
        super::a_running_batch_is_finished_after(async || EmptyDatabase::postgres().await).await;
    }
}
