//! A fleet with nothing to do: CPU of all of our processes, and how often it asks the database.

use std::time::Duration;

use anyhow::Result;

use crate::fleet::Fleet;
use crate::report::{Report, Target};
use crate::usage;

const SETTLING: Duration = Duration::from_secs(5);
const WATCHED_S: u64 = 20;
const SERVERS: [&str; 2] = ["postgres", "rabbitmq"];

pub async fn run(fleet: &Fleet, report: &mut Report) -> Result<()> {
    tokio::time::sleep(SETTLING).await;
    let processes = fleet.status()?.processes;
    let (before, transactions) = (usage::cpu_by_name(&processes), fleet.store.transactions().await?);
    tokio::time::sleep(Duration::from_secs(WATCHED_S)).await;
    let (after, transactions_after) = (usage::cpu_by_name(&processes), fleet.store.transactions().await?);
    let percent = |name: &str| {
        let used = after.get(name).copied().unwrap_or_default() - before.get(name).copied().unwrap_or_default();
        used * 100.0 / WATCHED_S as f64
    };
    let ours: f64 = after.keys().filter(|name| !SERVERS.contains(&name.as_str())).map(|name| percent(name)).sum();
    report.summed("idle_cpu_percent", "idle", "CPU of all our processes", "% of a core", ours, Target::AtMost(1.0));
    for name in SERVERS {
        report.row("idle", format!("CPU of {name}"), "% of a core", percent(name), Target::None);
    }
    let rate = (transactions_after - transactions) as f64 / WATCHED_S as f64;
    report.summed("idle_transactions_per_s", "idle", "transactions of the whole fleet", "per s", rate, Target::None);
    Ok(())
}
