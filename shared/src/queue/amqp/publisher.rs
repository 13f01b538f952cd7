//! The publishing side: a pool of confirm channels over one or two connections.
//!
//! Whoever publishes has a channel to itself, with nothing in flight on it, so that confirms and returns on it are all of
//! this call. lapin hangs a return onto whichever confirm comes next, so returns are matched by message id. A
//! `PublisherConfirm` is never dropped: lapin would keep it for ever; a channel that did not confirm in time is closed,
//! which settles them all, and thrown away.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{self, Hook, HookError, Metrics, Object, RecycleError, RecycleResult};
use deadpool_lapin::lapin::{BasicProperties, Channel, ConnectionStatus, PublisherConfirm};
use deadpool_lapin::{PoolError, Runtime};
use lapin::Confirmation;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::connect::{Connections, Endpoint};
use super::{AmqpBounds, Broker, topology};
use crate::queue::{Error, QueueName};
use crate::service::{Backoff, chain};

/// How long a publisher waits for a channel that another one uses.
const WAIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long connecting, with everything declared, may take.
const CREATE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a broken channel may take to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);
/// How often it is looked whether publishing is possible.
const LOOK_PERIOD: Duration = Duration::from_secs(1);
/// How long a missing queue is left missing. A quorum queue that is declared again at the moment of its deletion does not
/// tell its old consumers, and hands them messages that never reach them (seen on 3.10); this gives them time to hear.
const MISSING_WAIT: Duration = Duration::from_millis(500);
const RETRY_LEAST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(2);
const PERSISTENT: u8 = 2;

/// A message on its way out.
pub(super) struct Outgoing {
    exchange: &'static str,
    routing_key: &'static str,
    body: Vec<u8>,
    id: String,
    pub(super) mandatory: bool,
}

impl Outgoing {
    pub(super) fn new(exchange: &'static str, routing_key: &'static str, body: Vec<u8>) -> Self {
        Self { exchange, routing_key, body, id: crate::id::new_id(), mandatory: true }
    }
}

/// A channel in confirm mode that nothing is in flight on.
struct ConfirmChannel {
    channel: Channel,
    connection: ConnectionStatus,
}

struct ConfirmChannels {
    connections: managed::Pool<Connections>,
}

impl managed::Manager for ConfirmChannels {
    type Type = ConfirmChannel;
    type Error = PoolError;

    async fn create(&self) -> Result<ConfirmChannel, PoolError> {
        // The connection goes back at once: channels of several publishers share it.
        let connection = self.connections.get().await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(ConfirmChannel { channel, connection: connection.status().clone() })
    }

    async fn recycle(&self, channel: &mut ConfirmChannel, _: &Metrics) -> RecycleResult<PoolError> {
        let alive = channel.channel.status().connected() && channel.connection.connected();
        if alive { Ok(()) } else { Err(RecycleError::message("the channel is closed")) }
    }
}

pub(super) struct Publisher {
    connections: managed::Pool<Connections>,
    channels: managed::Pool<ConfirmChannels>,
    bounds: AmqpBounds,
    broker: Arc<Broker>,
}

impl Publisher {
    pub(super) fn new(endpoint: Endpoint, bounds: AmqpBounds, broker: Arc<Broker>) -> Self {
        let manager = Connections::new(endpoint, "drover publisher");
        let declared = broker.clone();
        let declare = Hook::async_fn(move |connection: &mut lapin::Connection, _| {
            let broker = declared.clone();
            Box::pin(async move {
                broker.declared(topology::declare(connection).await.map_err(HookError::Backend)?);
                Ok(())
            })
        });
        // Both pools have a runtime, which is all that building one can lack.
        let connections = managed::Pool::builder(manager)
            .max_size(bounds.connections.max(1))
            .wait_timeout(Some(WAIT_TIMEOUT))
            .create_timeout(Some(CREATE_TIMEOUT))
            .post_create(declare)
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with a runtime can be built");
        let channels = managed::Pool::builder(ConfirmChannels { connections: connections.clone() })
            .max_size(bounds.channels.max(1))
            .wait_timeout(Some(WAIT_TIMEOUT))
            .create_timeout(Some(CREATE_TIMEOUT))
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a pool with a runtime can be built");
        Self { connections, channels, bounds, broker }
    }

    async fn channel(&self) -> Result<Object<ConfirmChannels>, Error> {
        let got = self.channels.get().await.map_err(|error| Error::Unavailable(chain(&error)));
        let blocked = got.as_ref().is_ok_and(|channel| channel.connection.blocked());
        metrics::gauge!("drover_broker_blocked").set(f64::from(u8::from(blocked)));
        self.broker.set_publishing(got.is_ok() && !blocked);
        if blocked {
            // Writing on would only fill our own memory: a blocked broker does not read.
            return Err(Error::Unavailable("it blocks publishers: a memory or disk alarm".into()));
        }
        got
    }

    /// The result of each, in order. What failed by a lost channel or a missing queue is tried once more.
    pub(super) async fn publish(&self, outgoing: &[Outgoing]) -> Vec<Result<(), Error>> {
        let mut results = self.publish_once(&outgoing.iter().collect::<Vec<_>>()).await;
        let again: Vec<usize> =
            (0..results.len()).filter(|i| matches!(results[*i], Err(Error::Unroutable(_) | Error::Unavailable(_)))).collect();
        let unroutable = again.iter().any(|i| matches!(results[*i], Err(Error::Unroutable(_))));
        if unroutable && let Err(error) = self.declare_again().await {
            tracing::warn!(%error, "queues are missing and could not be declared");
        }
        if !again.is_empty() {
            let second = self.publish_once(&again.iter().map(|i| &outgoing[*i]).collect::<Vec<_>>()).await;
            for (index, result) in again.into_iter().zip(second) {
                results[index] = result;
            }
        }
        count(outgoing, &results);
        results
    }

    async fn publish_once(&self, outgoing: &[&Outgoing]) -> Vec<Result<(), Error>> {
        let mut results = Vec::with_capacity(outgoing.len());
        for window in outgoing.chunks(self.bounds.window.max(1)) {
            match self.channel().await {
                Ok(channel) => results.extend(publish_window(channel, window, &self.bounds).await),
                Err(error) => {
                    let why = error.to_string();
                    results.extend((results.len()..outgoing.len()).map(|_| Err(Error::Unavailable(why.clone()))).collect::<Vec<_>>());
                    break;
                }
            }
        }
        results
    }

    async fn declare_again(&self) -> Result<(), Error> {
        let unavailable = |error: &(dyn std::error::Error + 'static)| Error::Unavailable(chain(error));
        tokio::time::sleep(MISSING_WAIT).await;
        let connection = self.connections.get().await.map_err(|error| unavailable(&error))?;
        let declared = timeout(CREATE_TIMEOUT, topology::declare(&connection)).await.map_err(|_| Error::Unconfirmed(CREATE_TIMEOUT))?;
        self.broker.declared(declared.map_err(|error| unavailable(&error))?);
        Ok(())
    }

    pub(super) async fn depth(&self, queue: QueueName) -> Result<u64, Error> {
        let channel = self.channel().await?;
        let asked = timeout(self.bounds.confirm_timeout, topology::counts(&channel.channel, queue)).await;
        let counts = asked.map_err(|_| Error::Unconfirmed(self.bounds.confirm_timeout))?;
        counts.map(|(ready, _)| u64::from(ready)).map_err(|error| Error::Unavailable(chain(&error)))
    }

    pub(super) async fn close(&self) {
        self.broker.set_publishing(false);
        for channel in self.channels.retain(|_, _| false).removed {
            let _ = channel.channel.close(200, "closing".into()).await;
        }
        for connection in self.connections.retain(|_, _| false).removed {
            let _ = connection.close(200, "closing".into()).await;
        }
        self.channels.close();
        self.connections.close();
    }
}

/// Connects before anything is to be published, and notices a broker that is away; until `closing`.
pub(super) async fn keep_connected(publisher: Arc<Publisher>, closing: CancellationToken) {
    let mut backoff = Backoff::new(RETRY_LEAST, RETRY_MOST);
    let mut told = false;
    loop {
        let look = tokio::select! {
            look = publisher.channel() => look,
            () = closing.cancelled() => return,
        };
        let wait = match look {
            Ok(_) => {
                backoff.reset();
                told = false;
                LOOK_PERIOD
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "cannot publish; trying again until it works");
                }
                backoff.next_wait()
            }
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = closing.cancelled() => return,
        }
    }
}

/// Publishes at most a window of messages, pipelined, and awaits their confirms.
async fn publish_window(channel: Object<ConfirmChannels>, window: &[&Outgoing], bounds: &AmqpBounds) -> Vec<Result<(), Error>> {
    let options = |mandatory| BasicPublishOptions { mandatory, ..Default::default() };
    let sends = window.iter().map(|message| {
        let properties = BasicProperties::default()
            .with_delivery_mode(PERSISTENT)
            .with_content_type("application/json".into())
            .with_message_id(message.id.as_str().into());
        let (exchange, key) = (message.exchange.into(), message.routing_key.into());
        channel.channel.basic_publish(exchange, key, options(message.mandatory), &message.body, properties)
    });
    let Ok(sent) = timeout(bounds.publish_timeout, futures::future::join_all(sends)).await else {
        discard(channel, vec![]).await;
        return window.iter().map(|_| Err(Error::Unconfirmed(bounds.publish_timeout))).collect();
    };
    let deadline = Instant::now() + bounds.confirm_timeout;
    let (mut results, mut returned, mut late) = (Vec::with_capacity(window.len()), HashMap::new(), vec![]);
    for confirm in sent {
        results.push(match confirm {
            Err(error) => Err(Error::Unavailable(error.to_string())),
            Ok(mut confirm) => match timeout_at(deadline, &mut confirm).await {
                Ok(Ok(confirmation)) => settle(confirmation, &mut returned),
                Ok(Err(error)) => Err(Error::Unavailable(error.to_string())),
                Err(_) => {
                    late.push(confirm);
                    Err(Error::Unconfirmed(bounds.confirm_timeout))
                }
            },
        });
    }
    for (message, result) in window.iter().zip(&mut results) {
        if let Some(reason) = returned.remove(&message.id) {
            *result = Err(Error::Unroutable(format!("{}: {reason}", message.routing_key)));
        }
    }
    if !late.is_empty() {
        discard(channel, late).await;
    }
    results
}

/// The result of one message, save that a return may have come with the confirm of another one.
fn settle(confirmation: Confirmation, returned: &mut HashMap<String, String>) -> Result<(), Error> {
    let nacked = confirmation.is_nack();
    if let Some(message) = confirmation.take_message()
        && let Some(id) = message.delivery.properties.message_id()
    {
        returned.insert(id.to_string(), message.reply_text.to_string());
    }
    if nacked { Err(Error::Unavailable("the broker refused the message".into())) } else { Ok(()) }
}

/// Takes a channel out of the pool and closes it, so that every confirm still awaited on it is settled.
async fn discard(channel: Object<ConfirmChannels>, late: Vec<PublisherConfirm>) {
    let channel = Object::take(channel);
    let _ = timeout(CLOSE_TIMEOUT, channel.channel.close(200, "not confirmed in time".into())).await;
    let _ = timeout(CLOSE_TIMEOUT, futures::future::join_all(late)).await;
}

fn count(outgoing: &[Outgoing], results: &[Result<(), Error>]) {
    for (message, result) in outgoing.iter().zip(results) {
        match result {
            Ok(()) => metrics::counter!("drover_messages_published_total", "queue" => message.routing_key).increment(1),
            Err(error) => metrics::counter!("drover_publish_failures_total", "reason" => reason(error)).increment(1),
        }
    }
}

fn reason(error: &Error) -> &'static str {
    match error {
        Error::Unavailable(_) => "unavailable",
        Error::Unconfirmed(_) => "unconfirmed",
        Error::Unroutable(_) => "unroutable",
        Error::Full(_) => "full",
    }
}
