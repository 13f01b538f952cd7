//! The fleet as real processes over RabbitMQ and PostgreSQL: 20,000 instances, a worker killed, the broker wiped.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests: a failure is a panic")]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use shared::runner::Command as Order;
use shared::store::query::InstanceQuery;
use shared::store::sql::StoreOptions;
use shared::store::{Caller, NewInstance, Store};
use support::{Http, TWO_TASKS, binaries, repository, signal, until};

const HERD: usize = 20_000;
/// The most that `start_many` is given at once.
const AT_ONCE: usize = 2_000;

/// A fleet of this test alone; ended when dropped.
struct Fleet {
    folder: tempfile::TempDir,
}

impl Fleet {
    fn up(exec_workers: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("drover-fleet-test").tempdir_in("/var/tmp").unwrap();
        let fleet = Self { folder };
        let output = fleet.run(&["up", "--exec-workers", &exec_workers.to_string()]);
        assert!(output.contains("engine-rest"), "{output}");
        fleet
    }

    fn run(&self, args: &[&str]) -> String {
        let target = binaries().parent().unwrap().to_path_buf();
        let output = Command::new(repository().join("fleet"))
            .args(args)
            .env("FLEET_DIR", self.folder.path().join("fleet"))
            .env("FLEET_PROFILE", "dev")
            .env("FLEET_NO_BUILD", "1")
            .env("CARGO_TARGET_DIR", target)
            .env_remove("DATABASE_URL")
            .env_remove("AMQP_URL")
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "./fleet {args:?}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "--json"])).unwrap()
    }

    fn pids(&self, role: &str) -> Vec<u32> {
        let status = self.status();
        let processes = status["processes"].as_array().unwrap();
        processes.iter().filter(|p| p["role"] == role).map(|p| p["pid"].as_u64().unwrap() as u32).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for log in std::fs::read_dir(self.folder.path().join("fleet/log")).into_iter().flatten().flatten() {
                let text = std::fs::read_to_string(log.path()).unwrap_or_default();
                let lines: Vec<_> = text.lines().collect();
                eprintln!("== {}\n{}", log.path().display(), lines[lines.len().saturating_sub(8)..].join("\n"));
            }
        }
        self.run(&["down"]);
    }
}

async fn start_herd(store: &dyn Store, definition: &str) {
    let start = || Order::Start {
        variables: vec![],
        instructions: vec![],
        start_event: None,
        skip_custom_listeners: false,
        skip_io_mappings: false,
    };
    for _ in 0..HERD / AT_ONCE {
        let new = (0..AT_ONCE).map(|_| NewInstance { definition_id: definition.to_owned(), business_key: None, start: start() });
        store.start_many(&Caller::anonymous(), new.collect()).await.unwrap();
    }
}

/// Each instance of `target` was written exactly once since it was started: its revision says so.
async fn all_migrated_exactly_once(store: &dyn Store, target: &str, revision: i64) {
    let query = InstanceQuery { definition_id: Some(target.to_owned()), ..InstanceQuery::default() };
    let (mut after, mut seen): (Option<String>, usize) = (None, 0);
    loop {
        let page = store.documents(&Caller::anonymous(), &query, after.as_deref(), 500).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.instance.id.clone());
        for stored in &page {
            assert_eq!(stored.revision, revision, "instance {} was written once", stored.instance.id);
            assert_eq!(stored.instance.definition_id, target);
        }
        seen += page.len();
    }
    assert_eq!(seen, HERD);
}

async fn in_the_middle(http: &Http, batch: &Value) {
    let path = format!("/batch/statistics?batchId={}", batch["id"].as_str().unwrap());
    until("the batch is in its middle", || async {
        let page = http.ok(&path).await;
        page[0]["completedJobs"].as_u64().is_none_or(|done| done > HERD as u64 / 20)
    })
    .await;
    assert_eq!(
        http.get(&format!("/batch/{}", batch["id"].as_str().unwrap())).await.0,
        200,
        "the batch was over before its middle was seen"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_thousand_instances_survive_a_killed_worker_and_a_wiped_broker() {
    assert!(Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists(), "RabbitMQ is not installed: run ./test, which installs it");
    let fleet = Fleet::up(2);
    let status = fleet.status();
    let http = Http::new(status["url"].as_str().unwrap());
    let store = shared::store::sql::open(status["postgres"]["url"].as_str().unwrap(), StoreOptions::default()).await.unwrap();
    let (v1, v2) = (http.deploy(TWO_TASKS).await, http.deploy(TWO_TASKS).await);
    start_herd(&*store, &v1).await;
    let query = InstanceQuery { definition_id: Some(v1.clone()), ..InstanceQuery::default() };
    let born = store.documents(&Caller::anonymous(), &query, None, 1).await.unwrap()[0].revision;

    let activities = ["first", "second"];
    let batch = http.migrate_all(&v1, &v2, &activities).await;
    http.until_completed(&batch).await;
    all_migrated_exactly_once(&*store, &v2, born + 1).await;

    let batch = http.migrate_all(&v2, &v1, &activities).await;
    in_the_middle(&http, &batch).await;
    signal(fleet.pids("exec-worker")[0], "KILL");
    http.until_completed(&batch).await;
    all_migrated_exactly_once(&*store, &v1, born + 2).await;

    fleet.run(&["scale", "exec-worker", "2"]);
    let batch = http.migrate_all(&v1, &v2, &activities).await;
    in_the_middle(&http, &batch).await;
    fleet.run(&["broker", "wipe"]);
    http.until_completed(&batch).await;
    all_migrated_exactly_once(&*store, &v2, born + 3).await;
    store.close().await;
}
