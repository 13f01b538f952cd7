//! The queue on RabbitMQ 3.10 to 4.x (design §6). Publishing and consuming have connections of their own.
//!
//! lapin's auto-recovery stays off: it recovers connections but not channels, and after a wiped broker a consumer hears
//! one error and then nothing for ever. So every consumer has a supervisor that builds all anew, and the publishing side
//! is a pool that throws away what is dead. URLs hold passwords: they are never logged.

mod connect;
mod consumer;
mod delivery;
mod publisher;
mod topology;
mod url;

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::sync::{CancellationToken, DropGuard};

use self::connect::Endpoint;
use self::publisher::{Outgoing, Publisher};
use self::topology::{Declared, EVENTS, WORK};
use super::{BatchEvent, Consumer, Error, Message, Queue, QueueName};
use crate::config::{SecretUrl, Settings};
use crate::service::Tasks;

/// How long closing may take, consumers and connections together.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// The bounds of publishing; each a setting.
#[derive(Clone, Copy, Debug)]
pub struct AmqpBounds {
    pub connections: usize,
    pub channels: usize,
    /// Messages pipelined before their confirms are awaited.
    pub window: usize,
    pub publish_timeout: Duration,
    pub confirm_timeout: Duration,
}

impl From<&Settings> for AmqpBounds {
    fn from(settings: &Settings) -> Self {
        Self {
            connections: usize::from(settings.publish_connections),
            channels: usize::from(settings.publish_channels),
            window: usize::from(settings.publish_window),
            publish_timeout: settings.publish_timeout,
            confirm_timeout: settings.confirm_timeout,
        }
    }
}

/// What publisher and consumers tell of the broker.
#[derive(Default)]
struct Broker {
    publishing: AtomicBool,
    /// Why it is degraded: a queue with other arguments than ours.
    degraded: Mutex<Option<String>>,
    consumers: Mutex<Vec<Weak<AtomicU8>>>,
    /// A queue was missing and was made anew.
    emptied: Notify,
}

/// States of a consumer.
const CONNECTING: u8 = 0;
const CONSUMING: u8 = 1;
const STOPPED: u8 = 2;

impl Broker {
    /// Told after each declaration.
    fn declared(&self, declared: Declared) {
        if declared.made_anew {
            tracing::info!("the broker had lost queues, which were made anew; what was in them is published again");
            self.emptied.notify_one();
        }
        self.set_degraded(declared.unequal);
    }

    /// An unequal declaration is a deployment error: it is told once, and nothing loops on it.
    fn set_degraded(&self, reason: Option<String>) {
        metrics::gauge!("drover_broker_degraded").set(f64::from(u8::from(reason.is_some())));
        let mut degraded = self.degraded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reason) = &reason
            && degraded.as_ref() != Some(reason)
        {
            tracing::error!(
                reason,
                "the broker has a queue or exchange with other arguments than this version of Drover declares; it is used as it is. \
                 Finish what is in it, delete it in the broker, and restart"
            );
        }
        *degraded = reason;
    }

    fn set_publishing(&self, publishing: bool) {
        metrics::gauge!("drover_broker_connected").set(f64::from(u8::from(publishing)));
        self.publishing.store(publishing, Ordering::SeqCst);
    }

    fn register_consumer(&self) -> Arc<AtomicU8> {
        let state = Arc::new(AtomicU8::new(CONNECTING));
        let mut consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.retain(|consumer| consumer.strong_count() > 0);
        consumers.push(Arc::downgrade(&state));
        state
    }

    fn consuming(&self) -> bool {
        let consumers = self.consumers.lock().unwrap_or_else(PoisonError::into_inner);
        consumers.iter().filter_map(Weak::upgrade).all(|state| state.load(Ordering::SeqCst) != CONNECTING)
    }
}

pub struct AmqpQueue {
    endpoint: Endpoint,
    broker: Arc<Broker>,
    publisher: Arc<Publisher>,
    tasks: Tasks,
    closing: CancellationToken,
    /// Dropping the queue ends its tasks, even if nobody closed it.
    _ends: DropGuard,
}

impl AmqpQueue {
    /// Begins to connect, in the background; must be called on a tokio runtime. A broker that is away is no error.
    #[must_use]
    pub fn open(url: &SecretUrl, bounds: &AmqpBounds) -> Self {
        Self::open_trusting(url, None, bounds)
    }

    /// The same; of `amqps://` also brokers are trusted that an authority of one's own vouches for, whose certificates (PEM)
    /// these are.
    #[must_use]
    pub fn open_trusting(url: &SecretUrl, authority: Option<String>, bounds: &AmqpBounds) -> Self {
        let endpoint = Endpoint::new(url::with_defaults(url.expose()), authority);
        let (broker, tasks, closing) = (Arc::new(Broker::default()), Tasks::new(), CancellationToken::new());
        let publisher = Arc::new(Publisher::new(endpoint.clone(), *bounds, broker.clone()));
        tasks.spawn("amqp publisher", publisher::keep_connected(publisher.clone(), closing.clone()));
        Self { endpoint, broker, publisher, tasks, _ends: closing.clone().drop_guard(), closing }
    }
}

#[async_trait]
impl Queue for AmqpQueue {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), Error>> {
        let outgoing = messages.iter().map(|message| Outgoing::new(WORK, message.address.queue().name(), message.encode()));
        self.publisher.publish(&outgoing.collect::<Vec<_>>()).await
    }

    async fn announce(&self, event: BatchEvent, batch: &str) -> Result<(), Error> {
        let mut outgoing = Outgoing::new(EVENTS, event.topic(), topology::event_body(event, batch));
        // Only `batch.created` is a wake as well; whether anybody listens to the others is not ours to know.
        outgoing.mandatory = event == BatchEvent::Created;
        let mut results = self.publisher.publish(std::slice::from_ref(&outgoing)).await;
        results.pop().unwrap_or(Ok(()))
    }

    async fn consume(&self, queue: QueueName, prefetch: u16) -> Result<Box<dyn Consumer>, Error> {
        if self.closing.is_cancelled() {
            return Err(Error::Unavailable("the queue is closed".into()));
        }
        Ok(Box::new(consumer::start(self, queue, prefetch.max(1))))
    }

    /// Ready messages only: AMQP does not tell of unacked ones.
    async fn depth(&self, queue: QueueName) -> Result<u64, Error> {
        self.publisher.depth(queue).await
    }

    async fn emptied(&self) {
        self.broker.emptied.notified().await;
    }

    fn ready(&self) -> bool {
        !self.closing.is_cancelled() && self.broker.publishing.load(Ordering::SeqCst) && self.broker.consuming()
    }

    fn degraded(&self) -> Option<String> {
        self.broker.degraded.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn close(&self) {
        self.closing.cancel();
        let closed = async {
            self.tasks.finished().await;
            self.publisher.close().await;
        };
        if tokio::time::timeout(CLOSE_TIMEOUT, closed).await.is_err() {
            tracing::warn!("the broker's connections were not closed within {CLOSE_TIMEOUT:?}");
        }
    }
}
