//! What RabbitMQ may do to Drover: restart, forget everything, lose a queue, hold one of another kind.

use std::sync::Arc;

use futures::FutureExt;
use lapin::types::{AMQPValue, FieldTable};
use shared::config::Settings;
use shared::queue::{AmqpBounds, AmqpQueue, Consumer, Queue, QueueName};
use shared::testing::broker::{Client, PrivateBroker};
use shared::testing::queue_suite::{consumer, next, number, publish, until, wake};

/// By when a wiped broker has been noticed.
const IN_TIME: std::time::Duration = std::time::Duration::from_secs(20);

fn open(broker: &PrivateBroker) -> Arc<AmqpQueue> {
    Arc::new(AmqpQueue::open(&broker.url(), &AmqpBounds::from(&Settings::defaults())))
}

/// Publishes until it is confirmed, and waits until it comes.
async fn goes_through(queue: &AmqpQueue, consumer: &mut dyn Consumer, n: u32) {
    until("published", || async { queue.publish(&[wake(n)]).await[0].is_ok() }).await;
    loop {
        let delivery = next(consumer).await;
        let seen = number(&*delivery);
        assert!(delivery.ack().await);
        if seen == n {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_deleted_under_the_consumer_is_declared_again() {
    let broker = PrivateBroker::start().await.unwrap();
    let queue = open(&broker);
    let mut exec = consumer(&*queue, QueueName::Exec, 5).await;
    goes_through(&queue, &mut *exec, 1).await;

    publish(&*queue, &[wake(2)]).await;
    let held = next(&mut *exec).await;
    let client = Client::connect(&broker.url()).await.unwrap();
    client.delete(QueueName::Exec).await.unwrap();
    goes_through(&queue, &mut *exec, 3).await;
    assert!(!held.ack().await, "its queue is gone, and its channel with it");

    // Nobody consumes here: it is the publisher that finds the queue missing.
    client.delete(QueueName::Monitor).await.unwrap();
    publish(&*queue, &[shared::queue::Message::to(shared::queue::Address::Monitor { batch: "b".into() })]).await;
    assert_eq!(queue.depth(QueueName::Monitor).await.unwrap(), 1);
    assert_eq!(queue.degraded(), None);
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_and_a_wiped_broker_are_consumed_again() {
    let mut broker = PrivateBroker::start().await.unwrap();
    let queue = open(&broker);
    let mut exec = consumer(&*queue, QueueName::Exec, 5).await;
    publish(&*queue, &[wake(1)]).await;
    let held = next(&mut *exec).await;

    broker.restart().await.unwrap();
    assert!(!held.ack().await, "its channel is gone");
    let again = next(&mut *exec).await;
    assert_eq!((number(&*again), again.redelivered()), (1, true));
    assert!(again.ack().await);
    goes_through(&queue, &mut *exec, 2).await;

    queue.emptied().await; // A new broker is an empty one.
    assert!(queue.emptied().now_or_never().is_none(), "a restarted broker has kept what it had");
    publish(&*queue, &[wake(3)]).await;
    let held = next(&mut *exec).await;
    broker.wipe().await.unwrap();
    tokio::time::timeout(IN_TIME, queue.emptied()).await.expect("it is told that all is gone");
    assert!(!held.ack().await, "its broker knows nothing of it");
    goes_through(&queue, &mut *exec, 4).await;
    until("all is well again", || std::future::ready(queue.ready())).await;
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_with_other_arguments_is_used_and_told() {
    let broker = PrivateBroker::start().await.unwrap();
    let client = Client::connect(&broker.url()).await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongLongInt(7));
    client.declare_otherwise(QueueName::Exec, arguments).await.unwrap();

    let queue = open(&broker);
    let mut exec = consumer(&*queue, QueueName::Exec, 5).await;
    goes_through(&queue, &mut *exec, 1).await;
    until("it is told", || std::future::ready(queue.degraded().is_some())).await;
    let told = queue.degraded().unwrap();
    assert!(told.contains("drover.exec") && told.contains("x-de"), "{told}");
    assert!(queue.ready());
    queue.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_away_costs_a_publisher_little_time() {
    let url = shared::config::SecretUrl::new("amqp://127.0.0.1:1/%2f");
    let queue = AmqpQueue::open(&url, &AmqpBounds::from(&Settings::defaults()));
    let begun = tokio::time::Instant::now();
    assert!(queue.publish(&[wake(1), wake(2)]).await.iter().all(Result::is_err));
    assert!(queue.announce(shared::queue::BatchEvent::Created, "b").await.is_err());
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(!queue.ready());
    queue.close().await;
}
