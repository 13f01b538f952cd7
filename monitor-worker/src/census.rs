//! The service metrics: what is true of the whole fleet, told by one role so that nobody counts it twice.

use std::collections::BTreeMap;

use shared::queue::QueueName;
use shared::service::Context;
use shared::store::query::{BatchQuery, Page};
use shared::store::{self, Caller};
use shared::worker;

/// Batches counted in one statement.
const PAGE: u64 = 200;
/// Batches counted at all: beyond them the numbers are a lower bound.
const MOST: u64 = 10_000;
/// A worker not heard of for so long is down.
const UP_MS: i64 = 15_000;

/// Counts every period, until the process is to stop.
pub(crate) async fn take(cx: &Context) {
    worker::every(cx, "census", cx.settings.metrics_period, || async {
        let batches = batches(cx).await?;
        workers(cx).await?;
        queues(cx).await;
        Ok::<_, store::Error>((batches, false))
    })
    .await;
}

#[derive(Default)]
struct Counts {
    active: u64,
    suspended: u64,
    pending_jobs: u64,
    failed_jobs: u64,
    completed_jobs: u64,
    pending_instances: u64,
    failed_instances: u64,
    done_instances: u64,
}

async fn batches(cx: &Context) -> Result<u64, store::Error> {
    let (caller, query) = (Caller::system(), BatchQuery::default());
    let mut counts = Counts::default();
    let mut first = 0;
    while first < MOST {
        let page = cx.store.batches(&caller, &query, Page { first, max: Some(PAGE) }).await?;
        for batch in &page {
            let statistics = &batch.statistics;
            *(if batch.suspended { &mut counts.suspended } else { &mut counts.active }) += 1;
            counts.pending_jobs += statistics.remaining_jobs.saturating_sub(statistics.failed_jobs);
            counts.failed_jobs += statistics.failed_jobs;
            counts.completed_jobs += statistics.completed_jobs;
            let gone = statistics.done_instances + statistics.cancelled_instances + statistics.failed_instances;
            counts.pending_instances += batch.total_instances.saturating_sub(gone);
            counts.failed_instances += statistics.failed_instances;
            counts.done_instances += statistics.done_instances;
        }
        first += page.len() as u64;
        if (page.len() as u64) < PAGE {
            break;
        }
    }
    set("drover_batches", &[("active", counts.active), ("suspended", counts.suspended)]);
    let jobs = [("pending", counts.pending_jobs), ("failed", counts.failed_jobs), ("completed", counts.completed_jobs)];
    set("drover_batch_jobs", &jobs);
    let instances = [("pending", counts.pending_instances), ("failed", counts.failed_instances), ("migrated", counts.done_instances)];
    set("drover_batch_instances", &instances);
    Ok(first)
}

fn set(metric: &'static str, states: &[(&'static str, u64)]) {
    for (state, count) in states {
        metrics::gauge!(metric, "state" => *state).set(*count as f64);
    }
}

async fn workers(cx: &Context) -> Result<(), store::Error> {
    let now = cx.store.now().await?;
    // A role of which nobody is up any more is told as 0, and not left at what it was.
    let mut up: BTreeMap<String, u64> = BTreeMap::new();
    let mut finished = 0;
    for worker in cx.store.workers().await? {
        let count = up.entry(worker.role).or_default();
        if now - worker.heartbeat <= UP_MS {
            *count += 1;
            finished += worker.finished_recently;
        }
    }
    for (role, count) in up {
        metrics::gauge!("drover_worker_up", "role" => role).set(count as f64);
    }
    metrics::gauge!("drover_finished_recently").set(finished as f64);
    Ok(())
}

/// A broker that is away says nothing here; `/readyz` says it.
async fn queues(cx: &Context) {
    for queue in QueueName::ALL {
        if let Ok(depth) = cx.queue.depth(queue).await {
            metrics::gauge!("drover_queue_messages", "queue" => queue.name()).set(depth as f64);
        }
    }
}
