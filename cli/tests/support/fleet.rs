//! A fleet of real processes for a test: its own RabbitMQ, PostgreSQL and data, by `./fleet`.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use shared::runner::Command as Order;
use shared::store::query::InstanceQuery;
use shared::store::views::StoredInstance;
use shared::store::{Caller, NewInstance, Store};

use super::{Http, binaries, repository, until};

/// The most that `start_many` is given at once.
const AT_ONCE: usize = 2_000;

/// A fleet of this test alone; ended when dropped.
pub struct Fleet {
    pub folder: tempfile::TempDir,
    settings: Vec<(&'static str, &'static str)>,
}

impl Fleet {
    /// Starts one, with these settings of its processes.
    pub fn up(exec_workers: usize, settings: &[(&'static str, &'static str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("drover-fleet-test").tempdir_in("/var/tmp").unwrap();
        Self::up_in(folder, exec_workers, settings)
    }

    /// Starts one whose data lies in a folder that may hold something already (`fleet/` in it is the fleet's).
    pub fn up_in(folder: tempfile::TempDir, exec_workers: usize, settings: &[(&'static str, &'static str)]) -> Self {
        assert!(Path::new("/usr/lib/rabbitmq/bin/rabbitmq-server").exists(), "RabbitMQ is not installed: run ./test, which installs it");
        let fleet = Self { folder, settings: settings.to_vec() };
        let output = fleet.run(&["up", "--exec-workers", &exec_workers.to_string()]);
        assert!(output.contains("engine-rest"), "{output}");
        fleet
    }

    pub fn run(&self, args: &[&str]) -> String {
        let target = binaries().parent().unwrap().to_path_buf();
        let output = Command::new(repository().join("fleet"))
            .args(args)
            .env("FLEET_DIR", self.folder.path().join("fleet"))
            .env("FLEET_PROFILE", "dev")
            .env("FLEET_NO_BUILD", "1")
            .env("CARGO_TARGET_DIR", target)
            .env_remove("DATABASE_URL")
            .env_remove("AMQP_URL")
            .envs(self.settings.iter().copied())
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

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.run(&["status", "--json"])).unwrap()
    }

    pub fn pids(&self, role: &str) -> Vec<u32> {
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

/// Starts so many instances, past the API.
pub async fn start_herd(store: &dyn Store, definition: &str, herd: usize) {
    let start = || Order::Start {
        variables: vec![],
        instructions: vec![],
        start_event: None,
        skip_custom_listeners: false,
        skip_io_mappings: false,
    };
    for from in (0..herd).step_by(AT_ONCE) {
        let new = (from..herd.min(from + AT_ONCE)).map(|_| NewInstance {
            definition_id: definition.to_owned(),
            business_key: None,
            start: start(),
        });
        store.start_many(&Caller::anonymous(), new.collect()).await.unwrap();
    }
}

/// Walks through the instances of a definition, page by page.
pub async fn each_of(store: &dyn Store, definition: &str, mut visit: impl FnMut(&StoredInstance)) {
    let query = InstanceQuery { definition_id: Some(definition.to_owned()), ..InstanceQuery::default() };
    let mut after: Option<String> = None;
    loop {
        let page = store.documents(&Caller::anonymous(), &query, after.as_deref(), 500).await.unwrap();
        let Some(last) = page.last() else { return };
        after = Some(last.instance.id.clone());
        page.iter().for_each(&mut visit);
    }
}

/// Each instance of `target` was written exactly once since it was started: its revision says so.
pub async fn all_migrated_exactly_once(store: &dyn Store, target: &str, revision: i64, herd: usize) {
    let mut seen = 0;
    each_of(store, target, |stored| {
        assert_eq!(stored.revision, revision, "instance {} was written once", stored.instance.id);
        assert_eq!(stored.instance.definition_id, target);
        seen += 1;
    })
    .await;
    assert_eq!(seen, herd);
}

/// Waits until a twentieth of a batch is done.
pub async fn in_the_middle(http: &Http, batch: &Value, herd: usize) {
    let path = format!("/batch/statistics?batchId={}", batch["id"].as_str().unwrap());
    until("the batch is in its middle", || async {
        let page = http.ok(&path).await;
        page[0]["completedJobs"].as_u64().is_none_or(|done| done > herd as u64 / 20)
    })
    .await;
    assert_eq!(
        http.get(&format!("/batch/{}", batch["id"].as_str().unwrap())).await.0,
        200,
        "the batch was over before its middle was seen"
    );
}
