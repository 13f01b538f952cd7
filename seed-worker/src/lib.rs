//! Consumes `drover.seed`: a loop around [`Steps::seed`]. A message says which batch to look at; the rows say whether
//! there is anything to do.

use shared::queue::{Address, QueueName};
use shared::service::Context;
use shared::work::Steps;
use shared::worker::{self, Pulse};

/// # Errors
/// When the queue cannot be consumed at all.
pub async fn run(cx: Context) -> anyhow::Result<()> {
    let steps = Steps::new(cx.store.clone(), cx.queue.clone());
    cx.tasks.spawn("publish again", worker::publish_again(cx.clone(), steps.clone()));
    cx.tasks.spawn("heartbeat", worker::heartbeat(cx.clone(), Pulse::default()));
    let prefetch = cx.settings.seed_prefetch;
    worker::each(&cx, QueueName::Seed, prefetch, |address| {
        let steps = &steps;
        async move {
            let Address::Seed { batch } = address else { return Ok(0) };
            let begun = tokio::time::Instant::now();
            let runs = steps.seed(&batch).await?;
            metrics::histogram!("drover_seed_seconds").record(begun.elapsed().as_secs_f64());
            metrics::counter!("drover_runs_seeded_total").increment(runs as u64);
            Ok(runs)
        }
    })
    .await
}
