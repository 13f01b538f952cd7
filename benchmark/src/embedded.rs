//! The embedded product: `drover` with its file, as a process of its own.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use shared::store::Store;
use shared::store::sql::{SqlStore, StoreOptions, open_sql};

use crate::Plan;
use crate::rest::Rest;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(2);

/// Where the product's file lies, and on which port it answers.
pub struct Embedded {
    binary: PathBuf,
    file: PathBuf,
    port: u16,
}

pub struct Running {
    child: Child,
    pub rest: Rest,
    /// From the start of the process to its first answer.
    pub first_answer: Duration,
}

impl Embedded {
    pub fn new(plan: &Plan, name: &str) -> Result<Self> {
        std::fs::create_dir_all(&plan.dir)?;
        let target = crate::variable("CARGO_TARGET_DIR").map_or_else(|| plan.root.join("target"), PathBuf::from);
        let file = plan.dir.join(format!("{name}.db"));
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{end}", file.display()));
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        Ok(Self { binary: target.join("release/drover"), file, port })
    }

    pub fn url(&self) -> String {
        format!("sqlite:{}", self.file.display())
    }

    /// The file, opened by the bench itself: only while the product does not run.
    pub async fn store(&self) -> Result<SqlStore> {
        open_sql(&self.url(), StoreOptions::default()).await.context("failed to open the embedded product's file")
    }

    pub async fn start(&self, settings: &[(&str, &str)]) -> Result<Running> {
        let began = Instant::now();
        let mut command = Command::new(&self.binary);
        command.env("DATABASE_URL", self.url()).env("LISTEN_ADDR", format!("127.0.0.1:{}", self.port)).env("RUST_LOG", "warn");
        command.envs(settings.iter().copied()).stdout(Stdio::null()).stdin(Stdio::null());
        let child = command.spawn().with_context(|| format!("failed to start {}", self.binary.display()))?;
        let rest = Rest::new(&format!("http://127.0.0.1:{}", self.port))?;
        let mut running = Running { child, rest, first_answer: Duration::ZERO };
        while running.rest.get("/engine").await.is_err() {
            anyhow::ensure!(began.elapsed() < START_TIMEOUT, "drover does not answer");
            tokio::time::sleep(LOOK).await;
        }
        running.first_answer = began.elapsed();
        Ok(running)
    }
}

impl Running {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a person would, so that its file is closed cleanly.
    pub async fn stop(mut self) -> Result<()> {
        Command::new("kill").args(["-TERM", &self.pid().to_string()]).status()?;
        let began = Instant::now();
        while self.child.try_wait()?.is_none() {
            anyhow::ensure!(began.elapsed() < STOP_TIMEOUT, "drover does not stop");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Closes a store that the bench opened, so that the product finds a cleanly closed file.
pub async fn close(store: SqlStore) {
    Store::close(&store).await;
}
