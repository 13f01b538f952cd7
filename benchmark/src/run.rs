//! One batch, watched from outside: time from the POST to the finished batch, CPU by process.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::herd::Herd;
use crate::rest::Rest;
use crate::usage;

const LOOK: Duration = Duration::from_millis(25);
const TIMEOUT: Duration = Duration::from_secs(1_800);

pub struct Ran {
    pub seconds: f64,
    /// Seconds of CPU by name of process.
    pub cpu: BTreeMap<String, f64>,
}

impl Ran {
    /// Microseconds of CPU an instance, all processes together.
    pub fn cpu_us(&self, instances: u32) -> f64 {
        self.cpu.values().sum::<f64>() * 1e6 / f64::from(instances)
    }
}

pub fn id_of(batch: &Value) -> Result<String> {
    batch["id"].as_str().map(str::to_owned).context("the answer holds no batch")
}

/// Waits for the end of a batch.
pub async fn finished(rest: &Rest, batch: &str) -> Result<()> {
    until(LOOK, batch, async || rest.is_finished(batch).await).await
}

/// Waits until a batch is as far as that.
pub async fn until(look: Duration, batch: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let began = Instant::now();
    while !is_so().await? {
        anyhow::ensure!(began.elapsed() < TIMEOUT, "batch {batch} does not get on");
        tokio::time::sleep(look).await;
    }
    Ok(())
}

/// Drives the whole herd to its other version by one batch, submitted by query.
pub async fn migrate(rest: &Rest, herd: &mut Herd, processes: &[(String, u32)]) -> Result<Ran> {
    let before = usage::cpu_by_name(processes);
    let began = Instant::now();
    let batch = id_of(&rest.post("/migration/executeAsync", &herd.by_query()).await?)?;
    finished(rest, &batch).await?;
    let seconds = began.elapsed().as_secs_f64();
    let mut cpu = usage::cpu_by_name(processes);
    for (name, used) in &mut cpu {
        *used -= before.get(name).copied().unwrap_or_default();
    }
    herd.moved();
    herd.check(rest).await?;
    Ok(Ran { seconds, cpu })
}
