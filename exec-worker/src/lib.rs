//! Consumes `drover.exec`: micro-batches around [`Steps::execute`], careful mode on evidence of a death, and the due jobs
//! of instances.
//!
//! A worker gathers what its prefetch holds, bounded in instances and in time, and commits it together: many jobs in one
//! transaction are worth a factor of twenty to fifty. It acks after the commit. While the database is away what it holds
//! stays unacked and it takes no more.

mod gather;
mod micro_batch;
mod pace;

use std::sync::Arc;

use futures::stream::{FuturesUnordered, StreamExt};
use shared::queue::QueueName;
use shared::service::Context;
use shared::work::Steps;
use shared::worker::{self, Pulse};

use gather::{Bounds, gather};
use micro_batch::Executor;
use pace::Pace;

/// # Errors
/// When the queue cannot be consumed at all, or a part of the worker broke.
pub async fn run(cx: Context) -> anyhow::Result<()> {
    let (pulse, pace) = (Pulse::default(), Pace::default());
    cx.tasks.spawn("heartbeat", worker::heartbeat(cx.clone(), pulse.clone()));
    let steps = Steps::new(cx.store.clone(), cx.queue.clone());
    cx.tasks.spawn("publish again", worker::publish_again(cx.clone(), steps.clone()));
    let report = cx.health.register_loop(QueueName::Exec.name(), None);
    let executor = Arc::new(Executor { cx: cx.clone(), steps, pulse: pulse.clone(), pace: pace.clone(), report });
    let concurrency = usize::from(cx.settings.exec_concurrency);
    let mut consumer = cx.queue.consume(QueueName::Exec, cx.settings.exec_prefetch).await?;
    let mut under_way = FuturesUnordered::new();
    loop {
        pulse.set_current((!under_way.is_empty()).then(|| format!("{} micro-batches", under_way.len())));
        let first = tokio::select! {
            biased;
            () = cx.shutdown.cancelled() => break,
            Some(_) = under_way.next() => continue,
            first = consumer.next(), if under_way.len() < concurrency => first,
        };
        let Some(first) = first else { break };
        let bounds = Bounds { messages: pace.messages(cx.settings.micro_batch_instances), wait: cx.settings.micro_batch_wait };
        let deliveries = gather(first, &mut *consumer, bounds).await;
        let executor = executor.clone();
        under_way.push(cx.tasks.spawn("micro-batch", async move { executor.execute(deliveries).await }));
    }
    consumer.stop().await;
    while under_way.next().await.is_some() {}
    Ok(())
}
