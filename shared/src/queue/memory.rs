//! The queue inside one process: bounded, with the broker's semantics (prefetch, acks, redelivery, a delivery limit).
//!
//! Nothing survives the process, and nothing needs to: what was in it is found by wake. A full queue refuses, which is
//! harmless for the same reason.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Address, BatchEvent, Consumer, DELIVERY_LIMIT, Delivery, Error, Message, Queue, QueueName};

/// Four bounded queues, shared by all clones.
pub struct MemoryQueue {
    lines: Arc<[Line; 4]>,
    /// Holds one permit from the start.
    emptied: Notify,
}

struct Line {
    name: QueueName,
    capacity: usize,
    state: Mutex<State>,
    /// Something came, something was settled, or the queue was closed.
    changed: Notify,
    closed: AtomicBool,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Entry>,
    /// Handed out and not settled.
    out: usize,
}

struct Entry {
    message: Message,
    /// How often it came back.
    returns: u32,
}

impl MemoryQueue {
    /// Each of the queues holds at most `capacity` messages, those handed out included.
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let line = |name| Line { name, capacity, state: Mutex::default(), changed: Notify::new(), closed: AtomicBool::new(false) };
        let emptied = Notify::new();
        emptied.notify_one();
        Self { lines: Arc::new(QueueName::ALL.map(line)), emptied }
    }

    fn line(&self, name: QueueName) -> &Line {
        &self.lines[position(name)]
    }

    fn put(&self, message: &Message) -> Result<(), Error> {
        let line = self.line(message.address.queue());
        if line.closed.load(Ordering::SeqCst) {
            return Err(Error::Unavailable("the in-process queue is closed".into()));
        }
        let put = line.push_back(Entry { message: message.clone(), returns: 0 });
        let (counter, label, value) = match put {
            Ok(()) => ("drover_messages_published_total", "queue", line.name.name()),
            Err(_) => ("drover_publish_failures_total", "reason", "full"),
        };
        metrics::counter!(counter, label => value).increment(1);
        put
    }
}

/// Where a queue lies in [`QueueName::ALL`].
fn position(name: QueueName) -> usize {
    match name {
        QueueName::Seed => 0,
        QueueName::Exec => 1,
        QueueName::Monitor => 2,
        QueueName::Dead => 3,
    }
}

impl Line {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push_back(&self, entry: Entry) -> Result<(), Error> {
        let mut state = self.state();
        if state.ready.len() + state.out >= self.capacity {
            return Err(Error::Full(self.name.name()));
        }
        state.ready.push_back(entry);
        drop(state);
        self.changed.notify_waiters();
        Ok(())
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), Error>> {
        messages.iter().map(|message| self.put(message)).collect()
    }

    async fn announce(&self, event: BatchEvent, batch: &str) -> Result<(), Error> {
        match event {
            BatchEvent::Created => self.put(&Message::to(Address::Seed { batch: batch.to_owned() })),
            // Nobody else listens inside the process.
            BatchEvent::Suspended | BatchEvent::Activated | BatchEvent::Deleted | BatchEvent::Completed => Ok(()),
        }
    }

    async fn consume(&self, queue: QueueName, prefetch: u16) -> Result<Box<dyn Consumer>, Error> {
        let hand = Hand { lines: self.lines.clone(), at: position(queue), held: AtomicUsize::new(0) };
        Ok(Box::new(MemoryConsumer { hand: Arc::new(hand), prefetch: usize::from(prefetch.max(1)), stopped: false }))
    }

    async fn depth(&self, queue: QueueName) -> Result<u64, Error> {
        let state = self.line(queue).state();
        Ok((state.ready.len() + state.out) as u64)
    }

    async fn emptied(&self) {
        self.emptied.notified().await;
    }

    fn ready(&self) -> bool {
        !self.lines.iter().any(|line| line.closed.load(Ordering::SeqCst))
    }

    async fn close(&self) {
        for line in self.lines.iter() {
            line.closed.store(true, Ordering::SeqCst);
            line.changed.notify_waiters();
        }
    }
}

/// What one consumer shares with its deliveries.
struct Hand {
    lines: Arc<[Line; 4]>,
    at: usize,
    /// Handed out by this consumer and not settled.
    held: AtomicUsize,
}

impl Hand {
    fn line(&self) -> &Line {
        &self.lines[self.at]
    }

    /// Settled: one place more, in the queue and in the prefetch.
    fn settle(&self, returned: Option<Entry>) {
        let line = self.line();
        let mut state = line.state();
        state.out = state.out.saturating_sub(1);
        self.held.fetch_sub(1, Ordering::SeqCst);
        match returned {
            Some(entry) if entry.returns <= DELIVERY_LIMIT => state.ready.push_front(entry),
            Some(entry) => {
                drop(state);
                // A full dead queue loses the letter, which only a counter would have seen.
                let _ = self.lines[position(QueueName::Dead)].push_back(Entry { returns: 0, ..entry });
            }
            None => {}
        }
        line.changed.notify_waiters();
    }
}

struct MemoryConsumer {
    hand: Arc<Hand>,
    prefetch: usize,
    stopped: bool,
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Box<dyn Delivery>> {
        loop {
            let hand = self.hand.clone();
            let changed = hand.line().changed.notified();
            tokio::pin!(changed);
            // Listening begins before looking, so that nothing falls between.
            changed.as_mut().enable();
            if self.stopped || self.hand.line().closed.load(Ordering::SeqCst) {
                return None;
            }
            if let Some(delivery) = self.try_next() {
                return Some(delivery);
            }
            changed.await;
        }
    }

    fn try_next(&mut self) -> Option<Box<dyn Delivery>> {
        let line = self.hand.line();
        if self.stopped || self.hand.held.load(Ordering::SeqCst) >= self.prefetch {
            return None;
        }
        let mut state = line.state();
        let entry = state.ready.pop_front()?;
        state.out += 1;
        self.hand.held.fetch_add(1, Ordering::SeqCst);
        metrics::counter!("drover_deliveries_total", "queue" => line.name.name()).increment(1);
        drop(state);
        Some(Box::new(MemoryDelivery { hand: self.hand.clone(), entry, settled: false }))
    }

    async fn stop(&mut self) {
        self.stopped = true;
    }

    fn ready(&self) -> bool {
        !self.stopped && !self.hand.line().closed.load(Ordering::SeqCst)
    }
}

struct MemoryDelivery {
    hand: Arc<Hand>,
    entry: Entry,
    settled: bool,
}

#[async_trait]
impl Delivery for MemoryDelivery {
    fn message(&self) -> &Message {
        &self.entry.message
    }

    fn redelivered(&self) -> bool {
        self.entry.returns > 0
    }

    async fn ack(mut self: Box<Self>) -> bool {
        self.settled = true;
        self.hand.settle(None);
        !self.hand.line().closed.load(Ordering::SeqCst)
    }

    async fn give_back(self: Box<Self>) {
        drop(self);
    }
}

impl Drop for MemoryDelivery {
    fn drop(&mut self) {
        if !self.settled {
            self.hand.settle(Some(Entry { message: self.entry.message.clone(), returns: self.entry.returns + 1 }));
        }
    }
}
