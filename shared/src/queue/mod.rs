//! The queue: it only wakes. A message carries a kind, an address and a trace context; the row decides (design §1).
//!
//! RabbitMQ and in-process, one conformance suite for both. A lost, doubled, late or reordered message is harmless,
//! so no caller needs to know which one it has. AMQP exists only below this module.

mod amqp;
mod memory;
mod message;

pub use amqp::{AmqpBounds, AmqpQueue};
pub use memory::MemoryQueue;
pub use message::{Address, MAX_MESSAGE_BYTES, MESSAGE_VERSION, Message, MessageError};

use std::time::Duration;

use async_trait::async_trait;

/// How often a message may come back before it ends in the dead queue.
pub const DELIVERY_LIMIT: u32 = 20;

/// The work queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum QueueName {
    Seed,
    Exec,
    Monitor,
    Dead,
}

impl QueueName {
    pub const ALL: [Self; 4] = [Self::Seed, Self::Exec, Self::Monitor, Self::Dead];

    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Seed => "drover.seed",
            Self::Exec => "drover.exec",
            Self::Monitor => "drover.monitor",
            Self::Dead => "drover.dead",
        }
    }
}

/// What happened to a batch, told to whoever listens, each after its commit: topic `batch.<event>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BatchEvent {
    Created,
    Suspended,
    Activated,
    Deleted,
    Completed,
}

impl BatchEvent {
    #[must_use]
    pub fn topic(self) -> &'static str {
        match self {
            Self::Created => "batch.created",
            Self::Suspended => "batch.suspended",
            Self::Activated => "batch.activated",
            Self::Deleted => "batch.deleted",
            Self::Completed => "batch.completed",
        }
    }
}

/// Why a message was not published or a queue not reached. No error of a caller's: the row stands.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the broker cannot be reached: {0}")]
    Unavailable(String),
    #[error("the broker did not confirm within {0:?}")]
    Unconfirmed(Duration),
    #[error("no queue takes {0}")]
    Unroutable(String),
    #[error("the in-process queue {0} is full")]
    Full(&'static str),
}

/// One message, handed out and not yet settled. Dropping it unsettled gives it back.
#[async_trait]
pub trait Delivery: Send {
    /// What could not be decoded is never handed out: it is in the dead queue.
    fn message(&self) -> &Message;
    /// The broker says that it handed this out before: a hint that a worker died over it.
    fn redelivered(&self) -> bool;
    /// Done with. False: the channel it came on is gone, so it will come again.
    async fn ack(self: Box<Self>) -> bool;
    /// Given back, for another worker.
    async fn give_back(self: Box<Self>);
}

/// A stream of deliveries of one queue. It goes on over lost connections and wiped brokers by itself.
#[async_trait]
pub trait Consumer: Send {
    /// The next delivery; None after [`Consumer::stop`]. Cancel-safe.
    async fn next(&mut self) -> Option<Box<dyn Delivery>>;
    /// What is here already, without waiting.
    fn try_next(&mut self) -> Option<Box<dyn Delivery>>;
    /// Takes nothing more, and gives back what was not handed out yet.
    async fn stop(&mut self);
    /// Connected and consuming?
    fn ready(&self) -> bool;
}

#[async_trait]
pub trait Queue: Send + Sync {
    /// Publishes wakes, pipelined, each confirmed; the result of each, in order. Bounded in time.
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), Error>>;
    /// Publishes a batch event (`batch.created` reaches `drover.seed`).
    async fn announce(&self, event: BatchEvent, batch: &str) -> Result<(), Error>;
    /// At most `prefetch` deliveries are out unsettled.
    async fn consume(&self, queue: QueueName, prefetch: u16) -> Result<Box<dyn Consumer>, Error>;
    /// Messages ready and unacked, as far as the queue can tell.
    async fn depth(&self, queue: QueueName) -> Result<u64, Error>;
    /// Ends when what was published may be gone as a whole: the broker's queues were missing and were made anew; in-process,
    /// once at the start, since nothing survives the process. One of those who wait for it hears of it. Cancel-safe.
    async fn emptied(&self);
    /// Can it publish now, and do its consumers consume? For `/readyz`.
    fn ready(&self) -> bool;
    /// Works, but not as it should: what a person has to put right.
    fn degraded(&self) -> Option<String> {
        None
    }
    /// Finishes what is under way, gives back what is unsettled, and closes; bounded in time.
    async fn close(&self);
}
