//! The exchanges and queues, declared the same by every role (design §6). Changing an argument means a new queue name.
//!
//! The dead-letter exchange is a fanout with one queue: a dead letter keeps the routing key that it had, and so needs no
//! argument of its own to find `drover.dead`.

use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPSoftError};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ErrorKind, ExchangeKind};
use serde_json::json;

use crate::queue::{Address, BatchEvent, DELIVERY_LIMIT, MESSAGE_VERSION, QueueName};

pub(super) const WORK: &str = "drover.work";
pub(super) const EVENTS: &str = "drover.events";
const DEAD: &str = "drover.dead";

enum Step {
    Exchange(&'static str, ExchangeKind),
    Queue(QueueName),
    Bind(QueueName, &'static str, &'static str),
}

fn steps() -> Vec<Step> {
    let mut steps = vec![
        Step::Exchange(WORK, ExchangeKind::Direct),
        Step::Exchange(EVENTS, ExchangeKind::Topic),
        Step::Exchange(DEAD, ExchangeKind::Fanout),
    ];
    steps.extend(QueueName::ALL.map(Step::Queue));
    let work = [QueueName::Seed, QueueName::Exec, QueueName::Monitor];
    steps.extend(work.map(|queue| Step::Bind(queue, WORK, queue.name())));
    steps.push(Step::Bind(QueueName::Seed, EVENTS, BatchEvent::Created.topic()));
    steps.push(Step::Bind(QueueName::Dead, DEAD, ""));
    steps
}

fn arguments() -> FieldTable {
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-dead-letter-exchange".into(), AMQPValue::LongString(DEAD.into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(i64::from(DELIVERY_LIMIT)));
    arguments
}

impl Step {
    async fn declare(&self, channel: &Channel, passive: bool) -> lapin::Result<()> {
        match self {
            Self::Exchange(name, kind) => {
                let options = ExchangeDeclareOptions { durable: true, passive, ..Default::default() };
                channel.exchange_declare((*name).into(), kind.clone(), options, FieldTable::default()).await
            }
            Self::Queue(queue) => {
                let options = QueueDeclareOptions { durable: true, passive, ..Default::default() };
                channel.queue_declare(queue.name().into(), options, arguments()).await.map(drop)
            }
            Self::Bind(queue, exchange, key) => {
                let options = QueueBindOptions::default();
                channel.queue_bind(queue.name().into(), (*exchange).into(), (*key).into(), options, FieldTable::default()).await
            }
        }
    }
}

/// What a declaration found.
#[derive(Default)]
pub(super) struct Declared {
    /// What is there already is not equal to what we declare (406); the broker names both values. It is used as it is.
    pub unequal: Option<String>,
    /// A queue was not there: the broker is new, or has lost it with all that was in it.
    pub made_anew: bool,
}

/// Declares everything on a channel of its own.
pub(super) async fn declare(connection: &Connection) -> lapin::Result<Declared> {
    let mut channel = connection.create_channel().await?;
    let mut declared = Declared::default();
    for step in steps() {
        if let Step::Queue(_) = step
            && let Err(error) = step.declare(&channel, true).await
        {
            if !failed_with(&error, &AMQPSoftError::NOTFOUND) {
                return Err(error);
            }
            declared.made_anew = true;
            channel = connection.create_channel().await?;
        }
        let Err(error) = step.declare(&channel, false).await else { continue };
        if !failed_with(&error, &AMQPSoftError::PRECONDITIONFAILED) {
            return Err(error);
        }
        declared.unequal.get_or_insert_with(|| error.to_string());
        channel = connection.create_channel().await?;
        step.declare(&channel, true).await?;
    }
    channel.close(200, "declared".into()).await?;
    Ok(declared)
}

fn failed_with(error: &lapin::Error, expected: &AMQPSoftError) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else { return false };
    matches!(error.kind(), AMQPErrorKind::Soft(soft) if soft == expected)
}

/// Messages ready in a queue, and its consumers.
pub(super) async fn counts(channel: &Channel, queue: QueueName) -> lapin::Result<(u32, u32)> {
    let options = QueueDeclareOptions { durable: true, passive: true, ..Default::default() };
    let queue = channel.queue_declare(queue.name().into(), options, arguments()).await?;
    Ok((queue.message_count(), queue.consumer_count()))
}

/// The body of an event: who listens reads `event` and `batch`; that of `batch.created` is a wake of the seeder as well.
pub(super) fn event_body(event: BatchEvent, batch: &str) -> Vec<u8> {
    let mut body = json!({"v": MESSAGE_VERSION, "event": event.topic(), "batch": batch});
    if event == BatchEvent::Created
        && let (Some(body), Ok(serde_json::Value::Object(wake))) =
            (body.as_object_mut(), serde_json::to_value(Address::Seed { batch: batch.to_owned() }))
    {
        body.extend(wake);
    }
    body.to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Message;

    #[test]
    fn only_the_created_event_is_a_wake() {
        let created = Message::decode(&event_body(BatchEvent::Created, "b")).unwrap();
        assert_eq!(created.address, Address::Seed { batch: "b".into() });
        assert!(Message::decode(&event_body(BatchEvent::Completed, "b")).is_err());
    }
}
