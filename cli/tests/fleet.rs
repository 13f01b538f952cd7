//! The fleet as real processes over RabbitMQ and PostgreSQL: 20,000 instances, a worker killed, the broker wiped.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests: a failure is a panic")]

mod support;

use shared::store::Caller;
use shared::store::query::InstanceQuery;
use shared::store::sql::StoreOptions;
use support::fleet::{Fleet, all_migrated_exactly_once, in_the_middle, start_herd};
use support::{Http, TWO_TASKS, signal};

const HERD: usize = 20_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_instances_survive_a_killed_worker_and_a_wiped_broker() {
    let fleet = Fleet::up(2, &[]);
    let status = fleet.status();
    let http = Http::new(status["url"].as_str().unwrap());
    let store = shared::store::sql::open(status["postgres"]["url"].as_str().unwrap(), StoreOptions::default()).await.unwrap();
    let (v1, v2) = (http.deploy(TWO_TASKS).await, http.deploy(TWO_TASKS).await);
    start_herd(&*store, &v1, HERD).await;
    let query = InstanceQuery { definition_id: Some(v1.clone()), ..InstanceQuery::default() };
    let born = store.documents(&Caller::anonymous(), &query, None, 1).await.unwrap()[0].revision;

    let activities = ["first", "second"];
    let batch = http.migrate_all(&v1, &v2, &activities).await;
    http.until_completed(&batch).await;
    all_migrated_exactly_once(&*store, &v2, born + 1, HERD).await;

    let batch = http.migrate_all(&v2, &v1, &activities).await;
    in_the_middle(&http, &batch, HERD).await;
    signal(fleet.pids("exec-worker")[0], "KILL");
    http.until_completed(&batch).await;
    all_migrated_exactly_once(&*store, &v1, born + 2, HERD).await;

    fleet.run(&["scale", "exec-worker", "2"]);
    let batch = http.migrate_all(&v1, &v2, &activities).await;
    in_the_middle(&http, &batch, HERD).await;
    fleet.run(&["broker", "wipe"]);
    http.until_completed(&batch).await;
    all_migrated_exactly_once(&*store, &v2, born + 3, HERD).await;
    store.close().await;
}
