//! The progress of a batch, live: a bar on a terminal, a line for each tenth elsewhere.

use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;
use tokio::time::Instant;

use super::client::Client;

const POLL: Duration = Duration::from_millis(50);

/// Follows the batch until only failed jobs are left, or none.
///
/// # Errors
/// When that takes longer than `patience`, or the server cannot be asked.
pub async fn follow(client: &Client, batch: &str, total: &Value, terminal: bool, patience: Duration) -> Result<()> {
    let total = total.as_u64().unwrap_or(0);
    let bar = if terminal { bar(total) } else { ProgressBar::hidden() };
    let begun = Instant::now();
    let mut told = 0;
    loop {
        let page = client.get(&format!("/batch/statistics?batchId={batch}")).await?;
        let count = |name: &str| page[0][name].as_u64().unwrap_or(0);
        let (left, failed) = (count("remainingJobs"), count("failedJobs"));
        let done = total.saturating_sub(left);
        bar.set_position(done + failed);
        if failed > 0 {
            bar.set_message(format!("{failed} failed"));
        }
        let tenths = (done + failed) * 10 / total.max(1);
        if !terminal && tenths > told {
            told = tenths;
            println!("  {:>3} %  {done} done, {failed} failed, {} left", tenths * 10, left - failed);
        }
        if left == failed {
            bar.finish();
            return Ok(());
        }
        anyhow::ensure!(begun.elapsed() < patience, "batch {batch} is not finished after {patience:?}: {left} jobs left, {failed} failed");
        tokio::time::sleep(POLL).await;
    }
}

fn bar(total: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("  {bar:50} {pos}/{len}  {per_sec}  {msg}");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
