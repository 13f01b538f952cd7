//! The conformance suite of [`Queue`]: the only place where its semantics are tested, run for every implementation.
//! No caller can tell which one it has.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep, timeout};

use crate::queue::{Address, BatchEvent, Consumer, DELIVERY_LIMIT, Delivery, Message, Queue, QueueName};

/// Whatever is to happen has happened by then.
const SOON: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(20);

/// An implementation under test, its queues empty.
#[async_trait]
pub trait Subject: Send + Sync {
    fn queue(&self) -> Arc<dyn Queue>;
    /// Puts bytes into a queue that may be no message. False: this queue holds only messages.
    async fn put_bytes(&self, queue: QueueName, body: &[u8]) -> bool;
}

/// A wake of the exec queue.
#[must_use]
pub fn wake(number: u32) -> Message {
    Message::to(Address::Execute { batch: "batch".into(), number })
}

/// The number of a [`wake`].
///
/// # Panics
/// When it is none.
#[must_use]
pub fn number(delivery: &dyn Delivery) -> u32 {
    match &delivery.message().address {
        Address::Execute { number, .. } => *number,
        other => panic!("{other:?} is no wake of the exec queue"),
    }
}

/// # Panics
/// When nothing comes in time.
pub async fn next(consumer: &mut dyn Consumer) -> Box<dyn Delivery> {
    timeout(SOON, consumer.next()).await.expect("nothing came").expect("the consumer ended")
}

/// Waits until something holds.
///
/// # Panics
/// When it does not in time.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(POLL).await;
    }
}

/// Publishes, and expects each to be confirmed.
///
/// # Panics
/// When one is not.
pub async fn publish(queue: &dyn Queue, messages: &[Message]) {
    for result in queue.publish(messages).await {
        result.expect("published");
    }
}

/// A consumer that consumes.
///
/// # Panics
/// When it does not in time.
pub async fn consumer(queue: &dyn Queue, name: QueueName, prefetch: u16) -> Box<dyn Consumer> {
    let consumer = queue.consume(name, prefetch).await.expect("a consumer");
    until("the consumer is ready", || std::future::ready(consumer.ready())).await;
    consumer
}

async fn depth_is(queue: &dyn Queue, name: QueueName, depth: u64) {
    until(&format!("{} holds {depth}", name.name()), || async move { queue.depth(name).await.is_ok_and(|d| d == depth) }).await;
}

pub async fn what_is_published_arrives_once(subject: &dyn Subject) {
    let queue = subject.queue();
    until("the queue is ready", || std::future::ready(queue.ready())).await;
    let messages: Vec<_> = (0..1000).map(wake).collect();
    publish(&*queue, &messages).await;
    let mut consumer = consumer(&*queue, QueueName::Exec, 100).await;
    let mut seen = vec![];
    while seen.len() < messages.len() {
        let delivery = next(&mut *consumer).await;
        assert!(!delivery.redelivered());
        seen.push(number(&*delivery));
        assert!(delivery.ack().await);
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..1000).collect::<Vec<_>>());
    depth_is(&*queue, QueueName::Exec, 0).await;
}

pub async fn each_address_has_its_queue(subject: &dyn Subject) {
    let queue = subject.queue();
    let addresses = [
        (QueueName::Seed, Address::Seed { batch: "b".into() }),
        (QueueName::Exec, Address::Execute { batch: "b".into(), number: 2 }),
        (QueueName::Exec, Address::Instance { instance: "i".into() }),
        (QueueName::Monitor, Address::Monitor { batch: "b".into() }),
        (QueueName::Monitor, Address::Timer { timer: "t".into() }),
    ];
    for (name, address) in addresses {
        let message =
            Message { traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()), ..Message::to(address) };
        publish(&*queue, std::slice::from_ref(&message)).await;
        let mut consumer = consumer(&*queue, name, 1).await;
        let delivery = next(&mut *consumer).await;
        assert_eq!(delivery.message(), &message);
        assert!(delivery.ack().await);
        consumer.stop().await;
    }
}

pub async fn no_more_than_the_prefetch_is_out(subject: &dyn Subject) {
    let queue = subject.queue();
    publish(&*queue, &(0..5).map(wake).collect::<Vec<_>>()).await;
    let mut first = consumer(&*queue, QueueName::Exec, 2).await;
    let held = [next(&mut *first).await, next(&mut *first).await];
    // Another consumer gets all that the first may not have.
    let mut second = consumer(&*queue, QueueName::Exec, 10).await;
    for _ in 0..3 {
        assert!(next(&mut *second).await.ack().await);
    }
    assert!(first.try_next().is_none());
    second.stop().await;
    let [one, other] = held;
    assert!(one.ack().await);
    publish(&*queue, &[wake(5)]).await;
    let sixth = next(&mut *first).await;
    assert_eq!(number(&*sixth), 5);
    assert!(sixth.ack().await && other.ack().await);
}

pub async fn what_is_given_back_comes_again_marked(subject: &dyn Subject) {
    let queue = subject.queue();
    publish(&*queue, &[wake(1)]).await;
    let mut consumer = consumer(&*queue, QueueName::Exec, 5).await;
    let delivery = next(&mut *consumer).await;
    assert!(!delivery.redelivered());
    delivery.give_back().await;
    let delivery = next(&mut *consumer).await;
    assert!(delivery.redelivered());
    drop(delivery);
    let delivery = next(&mut *consumer).await;
    assert!(delivery.redelivered());
    assert!(delivery.ack().await);
    depth_is(&*queue, QueueName::Exec, 0).await;
}

pub async fn a_dropped_consumer_loses_nothing(subject: &dyn Subject) {
    let queue = subject.queue();
    publish(&*queue, &(0..5).map(wake).collect::<Vec<_>>()).await;
    let mut first = consumer(&*queue, QueueName::Exec, 10).await;
    let held = next(&mut *first).await;
    let number_held = number(&*held);
    drop(first);
    drop(held);
    let mut second = consumer(&*queue, QueueName::Exec, 10).await;
    let mut seen = vec![];
    while seen.len() < 5 {
        let delivery = next(&mut *second).await;
        assert!(delivery.redelivered() || number(&*delivery) != number_held);
        seen.push(number(&*delivery));
        assert!(delivery.ack().await);
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

pub async fn a_stopped_consumer_gives_back_what_it_did_not_hand_out(subject: &dyn Subject) {
    let queue = subject.queue();
    publish(&*queue, &(0..5).map(wake).collect::<Vec<_>>()).await;
    let mut first = consumer(&*queue, QueueName::Exec, 10).await;
    let held = next(&mut *first).await;
    first.stop().await;
    assert!(!first.ready());
    assert!(timeout(SOON, first.next()).await.expect("a stopped consumer answers at once").is_none());
    // What is in hand can still be finished.
    assert!(held.ack().await);
    let mut second = consumer(&*queue, QueueName::Exec, 10).await;
    for _ in 0..4 {
        assert!(next(&mut *second).await.ack().await);
    }
    depth_is(&*queue, QueueName::Exec, 0).await;
}

pub async fn what_comes_back_too_often_ends_in_the_dead_queue(subject: &dyn Subject) {
    let queue = subject.queue();
    publish(&*queue, &[wake(7)]).await;
    let mut exec = consumer(&*queue, QueueName::Exec, 1).await;
    for _ in 0..=DELIVERY_LIMIT {
        next(&mut *exec).await.give_back().await;
    }
    let mut dead = consumer(&*queue, QueueName::Dead, 1).await;
    let letter = next(&mut *dead).await;
    assert_eq!(letter.message(), &wake(7));
    assert!(letter.ack().await);
    assert!(exec.try_next().is_none());
}

pub async fn what_is_no_message_ends_in_the_dead_queue(subject: &dyn Subject) {
    let queue = subject.queue();
    let mut exec = consumer(&*queue, QueueName::Exec, 5).await;
    if !subject.put_bytes(QueueName::Exec, b"{\"v\":1,\"kind\":\"nonsense\"}").await {
        return;
    }
    publish(&*queue, &[wake(1)]).await;
    let delivery = next(&mut *exec).await;
    assert_eq!(number(&*delivery), 1);
    assert!(delivery.ack().await);
    depth_is(&*queue, QueueName::Dead, 1).await;
    // Whoever empties the dead queue is rid of it, too.
    let mut dead = consumer(&*queue, QueueName::Dead, 5).await;
    depth_is(&*queue, QueueName::Dead, 0).await;
    assert!(dead.try_next().is_none());
}

pub async fn a_created_batch_wakes_the_seeder_and_other_events_do_not(subject: &dyn Subject) {
    let queue = subject.queue();
    let mut seed = consumer(&*queue, QueueName::Seed, 5).await;
    for event in [BatchEvent::Suspended, BatchEvent::Activated, BatchEvent::Deleted, BatchEvent::Completed] {
        queue.announce(event, "silent").await.expect("announced");
    }
    queue.announce(BatchEvent::Created, "new").await.expect("announced");
    let delivery = next(&mut *seed).await;
    assert_eq!(delivery.message().address, Address::Seed { batch: "new".into() });
    assert!(delivery.ack().await);
    depth_is(&*queue, QueueName::Seed, 0).await;
}

pub async fn a_closed_queue_takes_and_gives_nothing(subject: &dyn Subject) {
    let queue = subject.queue();
    publish(&*queue, &[wake(1)]).await;
    let mut exec = consumer(&*queue, QueueName::Exec, 5).await;
    let held = next(&mut *exec).await;
    queue.close().await;
    assert!(!queue.ready());
    assert!(!held.ack().await);
    assert!(timeout(SOON, exec.next()).await.expect("answers at once").is_none());
    assert!(queue.publish(&[wake(2)]).await.pop().expect("one result").is_err());
}

/// Makes a test of every case. `$subject` is an expression that gives a future of a [`Subject`].
#[macro_export]
macro_rules! queue_suite {
    ($subject:expr) => {
        $crate::queue_suite!($subject;
            what_is_published_arrives_once,
            each_address_has_its_queue,
            no_more_than_the_prefetch_is_out,
            what_is_given_back_comes_again_marked,
            a_dropped_consumer_loses_nothing,
            a_stopped_consumer_gives_back_what_it_did_not_hand_out,
            what_comes_back_too_often_ends_in_the_dead_queue,
            what_is_no_message_ends_in_the_dead_queue,
            a_created_batch_wakes_the_seeder_and_other_events_do_not,
            a_closed_queue_takes_and_gives_nothing,
        );
    };
    ($subject:expr; $($case:ident),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let subject = $subject.await;
            $crate::testing::queue_suite::$case(&subject).await;
        }
    )+};
}
