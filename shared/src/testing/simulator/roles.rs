//! The roles: the real handlers of [`crate::work`], in loops like those of the workers, and what callers ask of the API.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::FutureExt;

use super::behaviour::tolerate;
use crate::clock::{Clock, ManualClock, Millis};
use crate::job::WorkRef;
use crate::queue::{Address, Consumer, Delivery, Queue, QueueName};
use crate::store::views::WorkerRow;
use crate::store::{InstanceJobs, WakeLimits};
use crate::testing::model_queue::ModelQueue;
use crate::testing::schedule::yield_now;
use crate::work::{Publisher, Steps, Sweep, progress};

/// Between two rounds of wake.
pub const WAKE_PERIOD_MS: Millis = 1_000;

/// What all roles of one schedule share.
#[derive(Clone)]
pub struct Shared {
    pub steps: Steps,
    pub jobs: Arc<dyn InstanceJobs>,
    pub queue: ModelQueue,
    pub clock: Arc<ManualClock>,
    /// Rows that one round of wake takes.
    pub wake_limit: u32,
    /// Rounds of wake and sweep that ended.
    pub rounds: Arc<AtomicU64>,
    /// The worker acks what it takes before it does anything with it.
    pub acks_first: bool,
    /// The monitor does not look at batches by itself.
    pub no_sweep: bool,
    /// That of the API's process, while there is one.
    pub publisher: Arc<Mutex<Option<Publisher>>>,
}

impl Shared {
    /// Hands over to the API's publisher. One that died publishes nothing.
    pub fn hand_over(&self, hand: impl FnOnce(&Publisher)) {
        if let Some(publisher) = &*self.publisher.lock().unwrap_or_else(PoisonError::into_inner) {
            hand(publisher);
        }
    }
}

/// The API's publisher: what was handed to it is gone with its process.
pub async fn publish(shared: Shared) {
    let (publisher, publishing) = Publisher::new(Arc::new(shared.queue.clone()));
    *shared.publisher.lock().unwrap_or_else(PoisonError::into_inner) = Some(publisher);
    publishing.await;
}

async fn consumer(shared: &Shared, name: QueueName, prefetch: u16) -> Box<dyn Consumer> {
    loop {
        if let Ok(consumer) = shared.queue.consume(name, prefetch).await {
            return consumer;
        }
        yield_now().await;
    }
}

/// Acks what was handled, and gives back what met a database that was away.
async fn settle(delivery: Box<dyn Delivery>, handled: bool) {
    if handled {
        delivery.ack().await;
    } else {
        delivery.give_back().await;
    }
}

pub async fn seed(shared: Shared) {
    let mut consumer = consumer(&shared, QueueName::Seed, 2).await;
    while let Some(delivery) = consumer.next().await {
        let handled = match &delivery.message().address {
            Address::Seed { batch } => shared.steps.seed(batch).await.is_ok(),
            _ => true,
        };
        settle(delivery, handled).await;
    }
}

pub async fn execute(shared: Shared, name: String, prefetch: u16) {
    let mut consumer = consumer(&shared, QueueName::Exec, prefetch).await;
    while let Some(first) = consumer.next().await {
        let mut deliveries = vec![first];
        while deliveries.len() < usize::from(prefetch) {
            yield_now().await;
            let Some(next) = consumer.try_next() else { break };
            deliveries.push(next);
        }
        let (instances, deliveries): (Vec<_>, Vec<_>) =
            deliveries.into_iter().partition(|delivery| matches!(delivery.message().address, Address::Instance { .. }));
        for delivery in instances {
            instance(&shared, delivery).await;
        }
        let (again, fresh): (Vec<_>, Vec<_>) = deliveries.into_iter().partition(|d| d.redelivered());
        let mut finished = 0;
        for delivery in again {
            let Address::Execute { batch, number } = delivery.message().address.clone() else { continue };
            finished += careful(&shared, &WorkRef::new(batch, number), delivery).await;
        }
        finished += normal(&shared, fresh).await;
        heartbeat(&shared, &name, finished).await;
    }
}

/// The due jobs of an instance; with care, if its message was out before.
async fn instance(shared: &Shared, delivery: Box<dyn Delivery>) {
    let Address::Instance { instance } = delivery.message().address.clone() else { return };
    let (token, with_care) = (crate::id::new_id(), delivery.redelivered());
    let ran = shared.steps.run_instance(&*shared.jobs, &instance, with_care, &token).await;
    settle(delivery, ran.is_ok()).await;
}

async fn careful(shared: &Shared, work: &WorkRef, delivery: Box<dyn Delivery>) -> u64 {
    let token = crate::id::new_id();
    let done = AssertUnwindSafe(shared.steps.execute_careful(work, &token)).catch_unwind().await;
    // A panic has been charged: the row is found again once its lease has passed.
    settle(delivery, !matches!(done, Ok(Err(_)))).await;
    let done = done.map_err(tolerate).ok().and_then(Result::ok);
    done.map_or(0, |done| done.succeeded_instances)
}

/// Together; when that panics, each by itself, with care.
async fn normal(shared: &Shared, mut deliveries: Vec<Box<dyn Delivery>>) -> u64 {
    let works: Vec<WorkRef> = deliveries
        .iter()
        .filter_map(|delivery| match &delivery.message().address {
            Address::Execute { batch, number } => Some(WorkRef::new(batch.clone(), *number)),
            _ => None,
        })
        .collect();
    if shared.acks_first {
        for delivery in std::mem::take(&mut deliveries) {
            delivery.ack().await;
        }
    }
    let done = AssertUnwindSafe(shared.steps.execute(works.clone())).catch_unwind().await;
    if let Err(panic) = done {
        tolerate(panic);
        let mut finished = 0;
        for (work, delivery) in works.iter().zip(deliveries) {
            finished += careful(shared, work, delivery).await;
        }
        return finished;
    }
    let done = done.ok().and_then(Result::ok);
    for delivery in deliveries {
        settle(delivery, done.is_some()).await;
    }
    done.map_or(0, |done| done.succeeded_instances)
}

/// What it finished makes the window; how well does not matter here.
async fn heartbeat(shared: &Shared, name: &str, finished_recently: u64) {
    let row = WorkerRow {
        id: name.to_owned(),
        role: "exec".into(),
        host: "model".into(),
        version: String::new(),
        since: 0,
        heartbeat: 0,
        current: None,
        finished_recently,
        last_error: None,
    };
    let _ = shared.steps.store.heartbeat(&row).await;
}

/// Looks when asked to, and wakes on a period: from its start, and with a memory that a crash wipes.
pub async fn monitor(shared: Shared) {
    let mut dead = consumer(&shared, QueueName::Dead, 2).await;
    let mut consumer = consumer(&shared, QueueName::Monitor, 2).await;
    let mut sweep = Sweep::default();
    let mut next_round = 0;
    loop {
        if let Some(delivery) = consumer.try_next() {
            let handled = match &delivery.message().address {
                Address::Monitor { batch } => shared.steps.monitor(batch).await.is_ok(),
                Address::Timer { timer } => shared.jobs.run_timer(timer).await.is_ok(),
                _ => true,
            };
            settle(delivery, handled).await;
        }
        if let Some(letter) = dead.try_next() {
            let buried = shared.steps.bury(letter.message().address.clone()).await.is_ok();
            settle(letter, buried).await;
        }
        if shared.queue.take_emptied() {
            let _ = shared.steps.publish_again().await;
        }
        if shared.clock.now() >= next_round {
            let limits = WakeLimits { work: shared.wake_limit, instances: 10 };
            let _ = shared.steps.wake(limits).await;
            if !shared.no_sweep {
                let _ = shared.steps.sweep(&mut sweep).await;
            }
            next_round = shared.clock.now() + WAKE_PERIOD_MS;
            shared.rounds.fetch_add(1, Ordering::SeqCst);
        }
        yield_now().await;
    }
}

/// What the API does after a verb of a caller: publish what it was given, then look; both in the background.
pub async fn after_verb(shared: &Shared, batch: &str, works: Vec<WorkRef>) {
    shared.hand_over(|publisher| publisher.wake(works.into_iter().map(Address::from)));
    if let Ok(facts) = shared.steps.store.look(&[batch.to_owned()]).await {
        shared.hand_over(|publisher| publisher.wake(facts.iter().filter_map(progress)));
    }
}
