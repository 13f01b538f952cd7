//! A queue that does its worst: loses, doubles, delays, reorders and redelivers messages, refuses some, and can be wiped.
//!
//! Seeded; every publish is recorded. What it keeps is bounded, as all queues are.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::schedule::{Rng, yield_now};
use crate::queue::{Address, BatchEvent, Consumer, Delivery, Error, Message, Queue, QueueName};

/// Messages that one queue keeps, at most.
const CAPACITY: usize = 10_000;
/// Publishes that are remembered by their text.
const RECENT: usize = 10;

/// How often, in a thousand.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mischief {
    pub lose: u32,
    pub double: u32,
    pub delay: u32,
    /// The publisher is told that it failed, whether it did or not.
    pub refuse: u32,
    /// Messages are handed out in any order.
    pub reorder: bool,
}

/// What it did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deeds {
    pub published: u64,
    pub lost: u64,
    pub doubled: u64,
    pub delayed: u64,
    pub refused: u64,
    pub redelivered: u64,
    pub dead: u64,
    pub wiped: u64,
}

struct Envelope {
    message: Message,
    /// How often it came back.
    returns: u32,
    /// Handed out only once the queue has been asked so often.
    not_before: u64,
}

struct State {
    queues: BTreeMap<QueueName, Vec<Envelope>>,
    unacked: BTreeMap<QueueName, u64>,
    rng: Rng,
    mischief: Mischief,
    asked: u64,
    delivery_limit: u32,
    deeds: Deeds,
    events: Vec<(BatchEvent, String)>,
    recent: VecDeque<String>,
    /// Wiped, and nobody has heard of it yet.
    emptied: bool,
}

impl State {
    fn put(&mut self, message: Message, returns: u32) {
        let delayed = self.rng.chance(self.mischief.delay);
        let delay = if delayed { self.rng.below(200) as u64 } else { 0 };
        self.deeds.delayed += u64::from(delayed);
        let envelope = Envelope { message, returns, not_before: self.asked + delay };
        self.line(envelope.message.address.queue(), envelope);
    }

    fn line(&mut self, name: QueueName, envelope: Envelope) {
        let queue = self.queues.entry(name).or_default();
        if queue.len() < CAPACITY {
            queue.push(envelope);
        }
    }

    /// It comes again, or has come too often. A dead letter that comes back stays one.
    fn come_back(&mut self, from: QueueName, envelope: Envelope) {
        let returns = envelope.returns + 1;
        self.deeds.redelivered += 1;
        if from == QueueName::Dead || returns > self.delivery_limit {
            self.deeds.dead += u64::from(from != QueueName::Dead);
            self.line(QueueName::Dead, Envelope { returns: 0, not_before: 0, ..envelope });
        } else {
            self.put(envelope.message, returns);
        }
    }

    fn publish(&mut self, message: &Message) -> Result<(), Error> {
        self.deeds.published += 1;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back(format!("{:?}", message.address));
        let copies = match () {
            () if self.rng.chance(self.mischief.lose) => 0,
            () if self.rng.chance(self.mischief.double) => 2,
            () => 1,
        };
        self.deeds.lost += u64::from(copies == 0);
        self.deeds.doubled += u64::from(copies == 2);
        for _ in 0..copies {
            self.put(message.clone(), 0);
        }
        if self.rng.chance(self.mischief.refuse) {
            self.deeds.refused += 1;
            return Err(Error::Unavailable("it refuses to say".into()));
        }
        Ok(())
    }

    fn take(&mut self, name: QueueName) -> Option<Envelope> {
        self.asked += 1;
        let (asked, reorder) = (self.asked, self.mischief.reorder);
        let queue = self.queues.entry(name).or_default();
        let ready: Vec<usize> = (0..queue.len()).filter(|at| queue[*at].not_before <= asked).collect();
        let at = if reorder { ready.get(self.rng.below(ready.len())) } else { ready.first() };
        let envelope = at.map(|at| queue.remove(*at))?;
        *self.unacked.entry(name).or_default() += 1;
        Some(envelope)
    }
}

#[derive(Clone)]
pub struct ModelQueue(Arc<Mutex<State>>);

impl ModelQueue {
    #[must_use]
    pub fn new(rng: Rng, mischief: Mischief, delivery_limit: u32) -> Self {
        let (queues, unacked) = (BTreeMap::new(), BTreeMap::new());
        let (deeds, recent) = (Deeds::default(), VecDeque::new());
        let state = State { queues, unacked, rng, mischief, asked: 0, delivery_limit, deeds, events: vec![], recent, emptied: false };
        Self(Arc::new(Mutex::new(state)))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn set_mischief(&self, mischief: Mischief) {
        self.state().mischief = mischief;
    }

    /// The broker loses all that it holds; what is out with a consumer is not acked, so it is lost too.
    pub fn wipe(&self) {
        let mut state = self.state();
        state.queues.clear();
        state.deeds.wiped += 1;
        state.emptied = true;
    }

    /// Was it wiped since this was asked?
    #[must_use]
    pub fn take_emptied(&self) -> bool {
        std::mem::take(&mut self.state().emptied)
    }

    /// Wakes published so far, and events announced.
    #[must_use]
    pub fn published(&self) -> u64 {
        self.state().deeds.published
    }

    #[must_use]
    pub fn deeds(&self) -> Deeds {
        self.state().deeds
    }

    #[must_use]
    pub fn events(&self) -> Vec<(BatchEvent, String)> {
        self.state().events.clone()
    }

    /// What was published last, the newest at the end.
    #[must_use]
    pub fn recent(&self) -> Vec<String> {
        self.state().recent.iter().cloned().collect()
    }

    /// Messages held and messages out unsettled.
    #[must_use]
    pub fn outstanding(&self) -> u64 {
        let state = self.state();
        state.queues.values().map(|queue| queue.len() as u64).sum::<u64>() + state.unacked.values().sum::<u64>()
    }
}

#[async_trait]
impl Queue for ModelQueue {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), Error>> {
        let mut results = vec![];
        for message in messages {
            yield_now().await;
            results.push(self.state().publish(message));
        }
        yield_now().await;
        results
    }

    async fn announce(&self, event: BatchEvent, batch: &str) -> Result<(), Error> {
        yield_now().await;
        let mut state = self.state();
        state.events.push((event, batch.to_owned()));
        match event {
            BatchEvent::Created => state.publish(&Message::to(Address::Seed { batch: batch.to_owned() })),
            _ => Ok(()),
        }
    }

    async fn consume(&self, queue: QueueName, prefetch: u16) -> Result<Box<dyn Consumer>, Error> {
        Ok(Box::new(ModelConsumer { queue: self.clone(), name: queue, prefetch, out: Arc::default(), stopped: false }))
    }

    async fn depth(&self, queue: QueueName) -> Result<u64, Error> {
        let state = self.state();
        Ok(state.queues.get(&queue).map_or(0, |q| q.len() as u64) + state.unacked.get(&queue).copied().unwrap_or_default())
    }

    async fn emptied(&self) {
        while !self.take_emptied() {
            yield_now().await;
        }
    }

    fn ready(&self) -> bool {
        true
    }

    async fn close(&self) {}
}

struct ModelConsumer {
    queue: ModelQueue,
    name: QueueName,
    prefetch: u16,
    /// Counted by its strong references: one for each delivery that is out.
    out: Arc<()>,
    stopped: bool,
}

#[async_trait]
impl Consumer for ModelConsumer {
    async fn next(&mut self) -> Option<Box<dyn Delivery>> {
        loop {
            if self.stopped {
                return None;
            }
            if let Some(delivery) = self.try_next() {
                return Some(delivery);
            }
            yield_now().await;
        }
    }

    fn try_next(&mut self) -> Option<Box<dyn Delivery>> {
        if self.stopped || Arc::strong_count(&self.out) > usize::from(self.prefetch) {
            return None;
        }
        let envelope = self.queue.state().take(self.name)?;
        let (queue, name, out) = (self.queue.clone(), self.name, Arc::clone(&self.out));
        Some(Box::new(ModelDelivery { queue, name, envelope: Some(envelope), _out: out }))
    }

    async fn stop(&mut self) {
        self.stopped = true;
    }

    fn ready(&self) -> bool {
        !self.stopped
    }
}

struct ModelDelivery {
    queue: ModelQueue,
    name: QueueName,
    /// None once it is settled.
    envelope: Option<Envelope>,
    _out: Arc<()>,
}

impl ModelDelivery {
    fn settle(&mut self) -> Option<Envelope> {
        let envelope = self.envelope.take()?;
        if let Some(out) = self.queue.state().unacked.get_mut(&self.name) {
            *out -= 1;
        }
        Some(envelope)
    }
}

/// Dropped unsettled: it comes again, and the broker says that it was out before.
impl Drop for ModelDelivery {
    fn drop(&mut self) {
        if let Some(envelope) = self.settle() {
            self.queue.state().come_back(self.name, envelope);
        }
    }
}

#[async_trait]
impl Delivery for ModelDelivery {
    fn message(&self) -> &Message {
        match &self.envelope {
            Some(envelope) => &envelope.message,
            // Settling takes the delivery by value, so there is none left to ask.
            None => unreachable!("a settled delivery is gone"),
        }
    }

    fn redelivered(&self) -> bool {
        self.envelope.as_ref().is_some_and(|envelope| envelope.returns > 0)
    }

    async fn ack(mut self: Box<Self>) -> bool {
        yield_now().await;
        self.settle().is_some()
    }

    async fn give_back(mut self: Box<Self>) {
        yield_now().await;
        if let Some(envelope) = self.settle() {
            self.queue.state().come_back(self.name, envelope);
        }
    }
}
