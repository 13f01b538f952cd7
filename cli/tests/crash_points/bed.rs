//! Where a case runs: one process on a file, or four on a schema and a virtual host of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use shared::queue::QueueName;
use shared::store::sql::{StoreOptions, open_sql};
use shared::testing::broker::Client;
use shared::testing::database::EmptyDatabase;

use crate::cases::{Case, Life};
use crate::deeds::Caller;
use crate::herd::Herd;
use crate::support::{Http, binaries};

const ROLES: [&str; 4] = ["api", "seed-worker", "exec-worker", "monitor-worker"];
/// How long a death, or the end after it, is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How late a process is started again: later than any lease, and any first wake of a row.
const DOWN_MS: i64 = 20_000;
const SIGABRT: i32 = 6;
/// Below the ports that the system gives to clients, one of which would take the place of a server that restarts.
static NEXT_PORT: AtomicU32 = AtomicU32::new(0);

const SETTINGS: [(&str, &str); 10] = [
    ("BATCH_JOBS_PER_SEED", "5"),
    ("INVOCATIONS_PER_BATCH_JOB", "3"),
    ("BATCH_POLL_TIME", "200ms"),
    ("WAKE_PERIOD", "100ms"),
    ("SWEEP_PERIOD", "200ms"),
    ("METRICS_PERIOD", "1h"),
    ("DATABASE_CONNECTIONS", "4"),
    ("LOG_FORMAT", "json"),
    ("RUST_LOG", "warn,lapin=off"),
    ("ADMIN_ADDR", "127.0.0.1:0"),
];

#[derive(Clone)]
pub enum Place {
    Embedded,
    Fleet { amqp: String },
}

pub struct Bed {
    folder: tempfile::TempDir,
    pub database: String,
    schema: Option<EmptyDatabase>,
    amqp: Option<String>,
    port: u32,
    processes: BTreeMap<&'static str, Child>,
}

impl Bed {
    pub async fn new(place: &Place) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (schema, database, amqp) = match place {
            Place::Embedded => (None, format!("sqlite:{}", folder.path().join("drover.db").display()), None),
            Place::Fleet { amqp } => {
                let empty_database = EmptyDatabase::postgres().await;
                empty(amqp).await;
                let url = empty_database.url.clone();
                (Some(empty_database), url, Some(amqp.clone()))
            }
        };
        Self { folder, database, schema, amqp, port: free_port(), processes: BTreeMap::new() }
    }

    /// Runs the case to its end: lives and deaths, and a last life without any.
    pub async fn live_through(&mut self, case: &Case, herd: &Herd) -> Result<(), String> {
        let http = Http::new(&format!("http://127.0.0.1:{}", self.port));
        let (ids, v1, v2) = (herd.ids.clone(), herd.v1.clone(), herd.v2.clone());
        let caller = Caller { http, deed: case.deed, ids, v1, v2, database: self.database.clone() };
        let doing = tokio::spawn(async move { caller.act().await });
        let lived = self.lives(case, herd).await;
        let done = match lived {
            Ok(()) => tokio::time::timeout(PATIENCE, doing).await.map_err(|_| "after the restart it never came to its end".to_owned()),
            Err(why) => {
                doing.abort();
                Err(why)
            }
        };
        self.kill_all();
        done?.map_err(|error| format!("what the caller saw: {error}"))?
    }

    async fn lives(&mut self, case: &Case, herd: &Herd) -> Result<(), String> {
        for (nth, life) in case.lives.iter().enumerate() {
            // Who dies later is not there yet: it would do the work without dying.
            let mut later: BTreeSet<&str> = case.lives[nth..].iter().map(|life| life.role).collect();
            if life.wiped {
                self.kill_all();
                self.wipe().await;
                later.extend(ROLES);
            }
            self.start(life, &later, &herd.ids[7]);
            let status = self.death_of(life.role).await.map_err(|why| format!("{} (life {nth}): {why}", life.armed))?;
            if status.signal() != Some(SIGABRT) {
                return Err(format!("{} ended with {status} instead of dying at the point", life.role));
            }
            herd.recount(&self.database, self.amqp.is_none()).await?;
            self.age().await;
        }
        // Processes that were armed to help are replaced too.
        self.kill_all();
        let last = Life { role: "api", armed: String::new(), aids: vec![], wiped: false };
        self.start(&last, &BTreeSet::new(), "");
        Ok(())
    }

    fn start(&mut self, life: &Life, absent: &BTreeSet<&str>, culprit: &str) {
        let armed_in = |role: &str| {
            let aids = life.aids.iter().filter(|(of, _)| *of == role).map(|(_, armed)| *armed);
            let own = (life.role == role).then_some(life.armed.as_str());
            aids.chain(own).collect::<Vec<_>>().join(";").replace("CULPRIT", culprit)
        };
        if self.amqp.is_none() {
            let armed: Vec<String> = ROLES.into_iter().map(armed_in).filter(|armed| !armed.is_empty()).collect();
            self.processes.insert(life.role, self.spawn("drover", &armed.join(";")));
            return;
        }
        for role in ROLES {
            let wanted = role == life.role || !absent.contains(role);
            if wanted && !self.processes.contains_key(role) {
                self.processes.insert(role, self.spawn(role, &armed_in(role)));
            }
        }
    }

    fn spawn(&self, binary: &str, armed: &str) -> Child {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.folder.path().join("log")).unwrap();
        let path: PathBuf = binaries().join(binary);
        assert!(path.exists(), "{} is not built: run cargo build --workspace --all-targets first", path.display());
        let mut command = Command::new(path);
        command.env("DATABASE_URL", &self.database).env("LISTEN_ADDR", format!("127.0.0.1:{}", self.port)).envs(SETTINGS);
        command.env("DROVER_FAIL_POINTS", armed).env_remove("AMQP_URL");
        if let Some(amqp) = &self.amqp {
            command.env("AMQP_URL", amqp);
        }
        command.stdout(log.try_clone().unwrap()).stderr(log).stdin(Stdio::null()).spawn().unwrap()
    }

    async fn death_of(&mut self, role: &'static str) -> Result<ExitStatus, String> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            for (of, process) in &mut self.processes {
                if let Some(status) = process.try_wait().unwrap() {
                    let of = *of;
                    self.processes.remove(of);
                    return if of == role { Ok(status) } else { Err(format!("{of} ended with {status}")) };
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Err("the point was never reached".into())
    }

    /// The broker forgets its queues; a process that is one itself has done so.
    async fn wipe(&self) {
        let Some(amqp) = &self.amqp else { return };
        let client = Client::connect(&shared::config::SecretUrl::new(amqp)).await.unwrap();
        for queue in QueueName::ALL {
            client.delete(queue).await.unwrap();
        }
        client.close().await;
    }

    /// The time for which the process is down passes.
    async fn age(&self) {
        let store = open_sql(&self.database, StoreOptions::default()).await.unwrap();
        store.age(DOWN_MS).await.unwrap();
        // In SQLite not closed: that would be the mark of a clean stop.
        if self.amqp.is_some() {
            shared::store::Store::close(&store).await;
        }
    }

    fn kill_all(&mut self) {
        for (_, mut process) in std::mem::take(&mut self.processes) {
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    pub fn last_words(&self) -> String {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    pub async fn remove(mut self) {
        self.kill_all();
        if let Some(schema) = &self.schema {
            schema.remove().await;
        }
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        self.kill_all();
    }
}

/// What the case before left in the queues.
async fn empty(amqp: &str) {
    for queue in QueueName::ALL {
        let client = Client::connect(&shared::config::SecretUrl::new(amqp)).await.unwrap();
        // There is none before the first case.
        let _ = client.purge(queue).await;
        client.close().await;
    }
}

fn free_port() -> u32 {
    loop {
        let port = 12_000 + (std::process::id() * 97 + NEXT_PORT.fetch_add(1, Ordering::Relaxed)) % 8_000;
        if std::net::TcpListener::bind(("127.0.0.1", port as u16)).is_ok() {
            return port;
        }
    }
}
