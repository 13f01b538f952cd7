//! Handling what a queue hands out, one row at a time, several at once.

use std::fmt::Debug;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use futures::stream::{FuturesUnordered, StreamExt};

use super::{store_backoff, wait_for_store};
use crate::fail_point::{self, Boundary, passes};
use crate::queue::{Address, Delivery, QueueName};
use crate::service::{Context, LoopReport, panic_text};
use crate::store;

/// Hands each delivery of a queue to `handle`, at most `prefetch` at once, until the process is to stop; then gives back
/// what was not begun and finishes the rest.
///
/// While the database is away, deliveries stay unacked and no more are taken: a nack in a loop would burn the delivery limit.
/// Any other failure is acked: the row stands, and wake covers it.
///
/// # Errors
/// When the queue cannot be consumed at all: it is closed.
pub async fn each<H, F, T>(cx: &Context, queue: QueueName, prefetch: u16, handle: H) -> anyhow::Result<()>
where
    H: Fn(Address) -> F,
    F: Future<Output = Result<T, store::Error>>,
    T: Debug,
{
    let report = cx.health.register_loop(queue.name(), None);
    let mut consumer = cx.queue.consume(queue, prefetch).await?;
    let mut under_way = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            () = cx.shutdown.cancelled() => break,
            Some(()) = under_way.next() => {}
            delivery = consumer.next(), if under_way.len() < usize::from(prefetch) => match delivery {
                Some(delivery) => under_way.push(one(cx, queue, delivery, &handle, &report)),
                None => break,
            },
        }
    }
    consumer.stop().await;
    while under_way.next().await.is_some() {}
    Ok(())
}

async fn one<H, F, T>(cx: &Context, queue: QueueName, delivery: Box<dyn Delivery>, handle: &H, report: &LoopReport)
where
    H: Fn(Address) -> F,
    F: Future<Output = Result<T, store::Error>>,
    T: Debug,
{
    let mut backoff = store_backoff();
    loop {
        let address = delivery.message().address.clone();
        match AssertUnwindSafe(report.iteration(handle(address.clone()))).catch_unwind().await {
            Ok(Ok(_)) => break,
            Ok(Err(error)) if error.is_unavailable() => {
                tracing::warn!(?address, %error, "the database is away; holding the message");
                if !wait_for_store(cx, &mut backoff).await {
                    return delivery.give_back().await;
                }
            }
            Ok(Err(error)) => {
                tracing::warn!(?address, error = crate::service::chain(&error), "not done; the next wake covers it");
                break;
            }
            Err(panic) => {
                metrics::counter!("drover_panics_total", "where" => "handler").increment(1);
                tracing::error!(?address, panic = panic_text(panic.as_ref()), "the handler panicked; the next wake covers it");
                break;
            }
        }
    }
    if passes(handler_of(&delivery.message().address, queue), Boundary::BeforeAck) {
        delivery.ack().await;
    } else {
        delivery.give_back().await;
    }
}

/// Who handles what comes out of this queue, as its fail points are named.
fn handler_of(address: &Address, queue: QueueName) -> &'static str {
    match (queue, address) {
        (QueueName::Dead, _) => "dead",
        (_, Address::Seed { .. }) => "seed",
        (_, Address::Monitor { .. }) => "complete",
        (_, Address::Timer { .. }) => "run_timer",
        (_, Address::Execute { .. }) => "execute",
        (_, Address::Instance { .. }) => "run_due_job",
    }
}

/// The fail points before the acks of what was handled together. False: it is to be given back.
#[must_use]
pub fn may_ack(deliveries: &[Box<dyn Delivery>], queue: QueueName) -> bool {
    !fail_point::COMPILED || deliveries.iter().all(|delivery| passes(handler_of(&delivery.message().address, queue), Boundary::BeforeAck))
}

/// Acks all of them, pipelined.
pub async fn settle_all(deliveries: Vec<Box<dyn Delivery>>) {
    futures::future::join_all(deliveries.into_iter().map(|delivery| delivery.ack())).await;
}
