//! One message handed out by the broker.

use std::convert::Infallible;

use async_trait::async_trait;
use futures::FutureExt;
use lapin::message::Delivery as LapinDelivery;
use lapin::options::{BasicAckOptions, BasicNackOptions};
use tokio::sync::mpsc;

use crate::queue::{Delivery, Message, QueueName};

pub(super) const REQUEUE: BasicNackOptions = BasicNackOptions { multiple: false, requeue: true };

pub(super) struct AmqpDelivery {
    pub(super) queue: QueueName,
    pub(super) message: Message,
    /// Its body is in `message`.
    pub(super) delivery: LapinDelivery,
    /// The channel stays open as long as one of these is held.
    pub(super) _held: mpsc::Sender<Infallible>,
}

impl AmqpDelivery {
    /// Is the channel still there that it came on? If not, it comes again anyway.
    pub(super) fn is_live(&self) -> bool {
        self.delivery.acker.usable()
    }
}

#[async_trait]
impl Delivery for AmqpDelivery {
    fn message(&self) -> &Message {
        &self.message
    }

    fn redelivered(&self) -> bool {
        self.delivery.redelivered
    }

    async fn ack(self: Box<Self>) -> bool {
        let acked = matches!(self.delivery.acker.ack(BasicAckOptions::default()).await, Ok(true));
        if !acked {
            metrics::counter!("drover_acks_lost_total", "queue" => self.queue.name()).increment(1);
        }
        acked
    }

    async fn give_back(self: Box<Self>) {
        // Not given back means that the channel is gone, and so the broker has it already.
        let _ = self.delivery.acker.nack(REQUEUE).await;
    }
}

impl Drop for AmqpDelivery {
    /// An acker is used once: after an ack this does nothing. The first poll hands the nack to the I/O loop; nobody waits
    /// for it to be written.
    fn drop(&mut self) {
        let _ = self.delivery.acker.nack(REQUEUE).now_or_never();
    }
}
