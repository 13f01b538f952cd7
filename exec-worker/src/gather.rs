//! Gathering a micro-batch.

use std::time::Duration;

use shared::queue::{Consumer, Delivery};
use tokio::time::{Instant, timeout_at};

pub(crate) struct Bounds {
    pub(crate) messages: usize,
    /// How long it is waited for more, once there is one.
    pub(crate) wait: Duration,
}

/// The first message, with what comes within the bounds. Not to be cancelled: what was gathered would be given back, and
/// come again as if a worker had died over it.
pub(crate) async fn gather(first: Box<dyn Delivery>, consumer: &mut dyn Consumer, bounds: Bounds) -> Vec<Box<dyn Delivery>> {
    let mut gathered = vec![first];
    let deadline = Instant::now() + bounds.wait;
    while gathered.len() < bounds.messages {
        match consumer.try_next() {
            Some(delivery) => gathered.push(delivery),
            None => match timeout_at(deadline, consumer.next()).await {
                Ok(Some(delivery)) => gathered.push(delivery),
                Ok(None) | Err(_) => break,
            },
        }
    }
    gathered
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::queue::{Address, MemoryQueue, Message, Queue, QueueName};

    async fn queue(messages: u32) -> MemoryQueue {
        let queue = MemoryQueue::new(100);
        let wakes: Vec<_> = (0..messages).map(|number| Message::to(Address::Execute { batch: "b".into(), number })).collect();
        assert!(queue.publish(&wakes).await.iter().all(Result::is_ok));
        queue
    }

    #[tokio::test(start_paused = true)]
    async fn it_takes_what_is_there_and_no_more_than_the_bound() {
        let queue = queue(7).await;
        let mut consumer = queue.consume(QueueName::Exec, 100).await.unwrap();
        let first = consumer.next().await.unwrap();
        let gathered = gather(first, &mut *consumer, Bounds { messages: 5, wait: Duration::from_millis(5) }).await;
        assert_eq!(gathered.len(), 5);
        assert!(consumer.try_next().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn it_waits_only_so_long_for_more() {
        let queue = queue(2).await;
        let mut consumer = queue.consume(QueueName::Exec, 100).await.unwrap();
        let first = consumer.next().await.unwrap();
        let begun = Instant::now();
        let gathered = gather(first, &mut *consumer, Bounds { messages: 5, wait: Duration::from_millis(5) }).await;
        assert_eq!((gathered.len(), begun.elapsed() <= Duration::from_millis(6)), (2, true));
    }
}
