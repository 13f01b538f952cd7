//! A fleet of its own, through `./fleet`: private broker and database, all roles as processes.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde_json::Value;
use shared::store::sql::{SqlStore, StoreOptions, open_sql};

use crate::Plan;
use crate::rest::{Rest, counter, metrics};

/// Connections of the bench's own, for loading and for the floor.
const CONNECTIONS: u32 = 4;

pub struct Fleet {
    root: std::path::PathBuf,
    dir: std::path::PathBuf,
    pub rest: Rest,
    pub store: SqlStore,
}

/// What `./fleet status --json` tells.
pub struct Status {
    /// Name and pid of everything that runs, servers too.
    pub processes: Vec<(String, u32)>,
    admins: Vec<String>,
    pub database: String,
    pub url: String,
}

impl Fleet {
    pub async fn up(plan: &Plan) -> Result<Self> {
        let (root, dir) = (plan.root.clone(), plan.dir.clone());
        command(&root, &dir, &["up", "--exec-workers", "1"], &[])?;
        let status = status(&root, &dir)?;
        let store = open(&status.database).await?;
        Ok(Self { rest: Rest::new(&status.url)?, root, dir, store })
    }

    /// Connections of its own, which tasks may share.
    pub async fn second_store(&self) -> Result<SqlStore> {
        open(&self.status()?.database).await
    }

    pub fn status(&self) -> Result<Status> {
        status(&self.root, &self.dir)
    }

    /// Starts all processes of a role anew, with these settings.
    pub fn restart(&self, role: &str, settings: &[(&str, &str)]) -> Result<()> {
        command(&self.root, &self.dir, &["restart", role], settings)
    }

    pub fn scale(&self, role: &str, n: u32, settings: &[(&str, &str)]) -> Result<()> {
        command(&self.root, &self.dir, &["scale", role, &n.to_string()], settings)
    }

    pub fn down(&self) -> Result<()> {
        command(&self.root, &self.dir, &["down"], &[])
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        if let Err(error) = self.down() {
            eprintln!("the fleet was not taken down: {error:#}; FLEET_DIR={} ./fleet down does it", self.dir.display());
        }
    }
}

impl Status {
    /// Pids of a role.
    pub fn of(&self, role: &str) -> Vec<u32> {
        self.processes.iter().filter(|(name, _)| name == role).map(|(_, pid)| *pid).collect()
    }

    /// A counter, over all processes.
    pub async fn counted(&self, name: &str, label: &str) -> Result<f64> {
        let mut sum = 0.0;
        for admin in &self.admins {
            sum += counter(&metrics(admin).await?, name, label);
        }
        Ok(sum)
    }
}

async fn open(database: &str) -> Result<SqlStore> {
    let options = StoreOptions { max_connections: CONNECTIONS, ..StoreOptions::default() };
    open_sql(database, options).await.context("failed to open the fleet's database")
}

fn command(root: &std::path::Path, dir: &std::path::Path, arguments: &[&str], settings: &[(&str, &str)]) -> Result<()> {
    let mut command = Command::new(root.join("fleet"));
    command.args(arguments).env("FLEET_DIR", dir).envs(settings.iter().copied()).stdout(Stdio::null()).stdin(Stdio::null());
    let ended = command.status().context("failed to start ./fleet")?;
    anyhow::ensure!(ended.success(), "./fleet {} failed", arguments.join(" "));
    Ok(())
}

fn status(root: &std::path::Path, dir: &std::path::Path) -> Result<Status> {
    let output = Command::new(root.join("fleet")).args(["status", "--json"]).env("FLEET_DIR", dir).output()?;
    let status: Value = serde_json::from_slice(&output.stdout).context("./fleet status gave no JSON")?;
    let text = |value: &Value| value.as_str().map(str::to_owned).context("./fleet status lacks a URL: is the fleet up?");
    let pid = |value: &Value| value["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).context("./fleet status lacks a pid");
    let mut processes = vec![("postgres".to_owned(), pid(&status["postgres"])?), ("rabbitmq".to_owned(), pid(&status["rabbitmq"])?)];
    let mut admins = vec![];
    for process in status["processes"].as_array().into_iter().flatten() {
        processes.push((text(&process["role"])?, pid(process)?));
        admins.push(text(&process["admin"])?);
    }
    Ok(Status { processes, admins, database: text(&status["postgres"]["url"])?, url: text(&status["url"])? })
}
