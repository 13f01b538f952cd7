//! The consuming side: one supervisor per consumer owns connection, channel, declaration and consumption, and builds all
//! of them anew after any error or end of the stream (design §6).

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures::StreamExt;
use lapin::message::Delivery as LapinDelivery;
use lapin::options::{BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicQosOptions, BasicRejectOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::connect::Endpoint;
use super::delivery::{AmqpDelivery, REQUEUE};
use super::{AmqpQueue, Broker, CONNECTING, CONSUMING, STOPPED, topology};
use crate::queue::{Consumer, Delivery, Message, MessageError, QueueName};
use crate::service::{Backoff, chain};

const RETRY_LEAST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(2);
/// How long connecting, with everything declared, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A session that lived so long was no failure to connect: the next wait is short again.
const STEADY: Duration = Duration::from_secs(5);
/// A consumer to which nothing came for so long looks whether the broker still knows it.
const IDLE_LOOK: Duration = Duration::from_secs(2);
/// How long each step of a stop may take.
const STOP_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a stopped consumer's channel stays open for what is still unsettled.
const LINGER: Duration = Duration::from_secs(120);

pub(super) struct AmqpConsumer {
    incoming: mpsc::Receiver<AmqpDelivery>,
    state: Arc<AtomicU8>,
    stop: CancellationToken,
    /// Dropping the consumer stops it.
    _stops: DropGuard,
}

/// Starts a consumer. It connects in the background, and again and again.
pub(super) fn start(queue: &AmqpQueue, name: QueueName, prefetch: u16) -> AmqpConsumer {
    let stop = queue.closing.child_token();
    let (outgoing, incoming) = mpsc::channel(usize::from(prefetch));
    let state = queue.broker.register_consumer();
    let supervisor = Supervisor {
        endpoint: queue.endpoint.clone(),
        broker: queue.broker.clone(),
        name,
        prefetch,
        outgoing,
        state: state.clone(),
        stop: stop.clone(),
        closing: queue.closing.clone(),
    };
    queue.tasks.spawn("amqp consumer", supervisor.run());
    AmqpConsumer { incoming, state, _stops: stop.clone().drop_guard(), stop }
}

#[async_trait]
impl Consumer for AmqpConsumer {
    async fn next(&mut self) -> Option<Box<dyn Delivery>> {
        loop {
            let delivery = self.incoming.recv().await?;
            if delivery.is_live() {
                return Some(Box::new(delivery));
            }
        }
    }

    fn try_next(&mut self) -> Option<Box<dyn Delivery>> {
        loop {
            let delivery = self.incoming.try_recv().ok()?;
            if delivery.is_live() {
                return Some(Box::new(delivery));
            }
        }
    }

    async fn stop(&mut self) {
        self.stop.cancel();
        // The supervisor drops its end once the broker sends nothing more.
        while let Some(delivery) = self.incoming.recv().await {
            Box::new(delivery).give_back().await;
        }
    }

    fn ready(&self) -> bool {
        self.state.load(Ordering::SeqCst) == CONSUMING
    }
}

struct Supervisor {
    endpoint: Endpoint,
    broker: Arc<Broker>,
    name: QueueName,
    prefetch: u16,
    outgoing: mpsc::Sender<AmqpDelivery>,
    state: Arc<AtomicU8>,
    stop: CancellationToken,
    /// The whole queue is closing: nothing is waited for any more.
    closing: CancellationToken,
}

/// A connection that is being consumed on.
struct Session {
    connection: Connection,
    channel: Channel,
    consumer: lapin::Consumer,
}

impl Supervisor {
    async fn run(self) {
        let mut backoff = Backoff::new(RETRY_LEAST, RETRY_MOST);
        let mut told = false;
        while !self.stop.is_cancelled() {
            let connected = tokio::select! {
                connected = timeout(CONNECT_TIMEOUT, self.connect()) => connected,
                () = self.stop.cancelled() => break,
            };
            let reason = match connected {
                Ok(Ok(session)) => {
                    told = false;
                    self.state.store(CONSUMING, Ordering::SeqCst);
                    let begun = Instant::now();
                    let (held, settled) = mpsc::channel::<Infallible>(1);
                    let (session, ended) = self.consume(session, &held).await;
                    let Some(reason) = ended else { return self.wind_down(session, held, settled).await };
                    if begun.elapsed() > STEADY {
                        backoff.reset();
                    }
                    reason
                }
                Ok(Err(error)) => chain(&error),
                Err(_) => format!("no connection within {CONNECT_TIMEOUT:?}"),
            };
            self.state.store(CONNECTING, Ordering::SeqCst);
            metrics::counter!("drover_consumer_rebuilds_total", "queue" => self.name.name()).increment(1);
            if !std::mem::replace(&mut told, true) {
                tracing::warn!(queue = self.name.name(), reason, "not consuming; connecting anew until it works");
            }
            tokio::select! {
                () = backoff.wait() => {}
                () = self.stop.cancelled() => {}
            }
        }
        self.state.store(STOPPED, Ordering::SeqCst);
    }

    async fn connect(&self) -> lapin::Result<Session> {
        let connection = self.endpoint.connect(&format!("drover consumer of {}", self.name.name())).await?;
        self.broker.declared(topology::declare(&connection).await?);
        let channel = connection.create_channel().await?;
        channel.basic_qos(self.prefetch, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(self.name.name().into(), "".into(), options, FieldTable::default()).await?;
        Ok(Session { connection, channel, consumer })
    }

    /// Hands on what comes, until the session is lost (the reason is given) or the consumer is to stop (None).
    async fn consume(&self, mut session: Session, held: &mpsc::Sender<Infallible>) -> (Session, Option<String>) {
        let mut waiting = false;
        loop {
            let came = tokio::select! {
                biased;
                () = self.stop.cancelled() => return (session, None),
                came = timeout(IDLE_LOOK, session.consumer.next()) => came,
            };
            match came {
                Ok(Some(Ok(delivery))) => {
                    waiting = false;
                    self.hand_on(delivery, held).await;
                }
                Ok(Some(Err(error))) => return (session, Some(chain(&error))),
                // The queue was deleted: the channel stays open, and only the stream ends.
                Ok(None) => return (session, Some("the broker ended the consumer".into())),
                Err(_) => {
                    let waited = waiting;
                    match self.is_passed_over(&session, held).await {
                        Ok(passed_over) => waiting = passed_over,
                        Err(reason) => return (session, Some(reason)),
                    }
                    if waited && waiting {
                        return (session, Some("messages are ready, and none is handed to this consumer".into()));
                    }
                }
            }
        }
    }

    /// A quorum queue that is deleted and declared again at once does not always tell its consumers (seen on 3.10): they
    /// would wait for ever. Are messages ready while there is room here? The error says why the session is lost.
    async fn is_passed_over(&self, session: &Session, held: &mpsc::Sender<Infallible>) -> Result<bool, String> {
        let looked = timeout(STOP_TIMEOUT, topology::counts(&session.channel, self.name)).await;
        let (ready, consumers) = looked.map_err(|_| "the broker does not answer")?.map_err(|error| chain(&error))?;
        if consumers == 0 {
            return Err("the broker forgot the consumer".into());
        }
        let room = held.strong_count() <= usize::from(self.prefetch);
        Ok(ready > 0 && room)
    }

    async fn hand_on(&self, delivery: LapinDelivery, held: &mpsc::Sender<Infallible>) {
        metrics::counter!("drover_deliveries_total", "queue" => self.name.name()).increment(1);
        if delivery.redelivered {
            metrics::counter!("drover_redeliveries_total", "queue" => self.name.name()).increment(1);
        }
        match Message::decode(&delivery.data) {
            Ok(message) => {
                let delivery = LapinDelivery { data: vec![], ..delivery };
                let handed = AmqpDelivery { queue: self.name, message, delivery, _held: held.clone() };
                // What cannot be handed on any more is dropped, and so given back.
                tokio::select! {
                    _ = self.outgoing.send(handed) => {}
                    () = self.stop.cancelled() => {}
                }
            }
            Err(error) => self.set_aside(&delivery, &error).await,
        }
    }

    /// A message that is none of ours goes to the dead queue; from there it would come back for ever, so there it ends.
    async fn set_aside(&self, delivery: &LapinDelivery, error: &MessageError) {
        metrics::counter!("drover_undecodable_total", "queue" => self.name.name()).increment(1);
        tracing::warn!(queue = self.name.name(), %error, bytes = delivery.data.len(), "a message that is none of Drover's");
        let settled = match self.name {
            QueueName::Dead => delivery.acker.ack(BasicAckOptions::default()).await,
            QueueName::Seed | QueueName::Exec | QueueName::Monitor => delivery.acker.reject(BasicRejectOptions { requeue: false }).await,
        };
        if let Err(error) = settled {
            tracing::debug!(%error, "it was not settled, and comes again");
        }
    }

    /// Takes nothing more, gives back what is not handed out, waits for what is, closes. Dropping the sender to the
    /// consumer tells it that nothing more comes.
    async fn wind_down(self, session: Session, held: mpsc::Sender<Infallible>, mut settled: mpsc::Receiver<Infallible>) {
        self.state.store(STOPPED, Ordering::SeqCst);
        let Session { connection, channel, mut consumer } = session;
        let cancelled = timeout(STOP_TIMEOUT, channel.basic_cancel(consumer.tag(), BasicCancelOptions::default())).await;
        let drain = async {
            while let Some(Ok(delivery)) = consumer.next().await {
                let _ = delivery.acker.nack(REQUEUE).await;
            }
        };
        if matches!(cancelled, Ok(Ok(()))) {
            let _ = timeout(STOP_TIMEOUT, drain).await;
        }
        let Self { outgoing, closing, .. } = self;
        drop((outgoing, held));
        tokio::select! {
            _ = settled.recv() => {}
            () = closing.cancelled() => {}
            () = tokio::time::sleep(LINGER) => tracing::warn!("messages are unsettled {LINGER:?} after the stop; the broker gets them back"),
        }
        let _ = timeout(STOP_TIMEOUT, channel.close(200, "stopped".into())).await;
        let _ = timeout(STOP_TIMEOUT, connection.close(200, "stopped".into())).await;
    }
}
