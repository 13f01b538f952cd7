use std::sync::Arc;

use shared::batch::BatchStatistics;
use shared::job::ONE_BY_ONE_ATTEMPTS;
use shared::queue::{Consumer, MemoryQueue, Message, Queue};
use shared::store::query::{BatchQuery, Page};
use shared::store::{Caller, Decide, Item, ItemContext, ItemOutcome, WakeLimits};
use shared::testing::context::context;
use shared::testing::database::TestDatabase;
use shared::testing::store_suite::{Bench, Herder, seeded};

use super::*;

/// Dies over one instance, as a worker would that meets an error of its own.
struct DiesOver {
    id: String,
    else_: Herder,
}

impl Decide for DiesOver {
    fn decide(&self, cx: &ItemContext<'_>, item: Item) -> ItemOutcome {
        assert!(item.id != self.id, "the worker dies over {}", item.id);
        self.else_.decide(cx, item)
    }
}

struct Bed {
    database: TestDatabase,
    queue: Arc<MemoryQueue>,
    executor: Executor,
    exec: Box<dyn Consumer>,
}

impl Bed {
    async fn new(database: TestDatabase, decide: Arc<dyn Decide>) -> Self {
        let queue = Arc::new(MemoryQueue::new(10_000));
        let cx = context("exec-worker", database.store(), queue.clone());
        let steps = Steps { decide, ..Steps::new(cx.store.clone(), cx.queue.clone()) };
        let report = cx.health.register_loop("exec", None);
        let executor = Executor { cx, steps, pulse: Pulse::default(), pace: Pace::default(), report };
        let exec = queue.consume(QueueName::Exec, 1000).await.unwrap();
        Self { database, queue, executor, exec }
    }

    async fn publish(&self, works: &[WorkRef]) {
        let messages: Vec<_> = works.iter().cloned().map(Message::to).collect();
        assert!(self.queue.publish(&messages).await.iter().all(Result::is_ok));
    }

    /// Executes all that is in the queue as one micro-batch. False: there was nothing.
    async fn round(&mut self) -> bool {
        let deliveries: Vec<_> = std::iter::from_fn(|| self.exec.try_next()).collect();
        let any = !deliveries.is_empty();
        self.executor.execute(deliveries).await;
        any
    }

    async fn statistics(&self, batch: &str) -> BatchStatistics {
        let query = BatchQuery { id: Some(batch.to_owned()), ..BatchQuery::default() };
        let page = Page { first: 0, max: Some(1) };
        self.database.store().batches(&Caller::system(), &query, page).await.unwrap().remove(0).statistics
    }
}

#[tokio::test]
async fn what_is_gathered_is_executed_and_acked_and_the_batch_is_told_to_complete() {
    let database = TestDatabase::sqlite().await;
    let (batch, _) = seeded(&database, 250, 1).await;
    let mut bed = Bed::new(database, Arc::new(Herder::default())).await;
    bed.publish(&[WorkRef::new(batch.clone(), 2), WorkRef::new(batch.clone(), 102), WorkRef::new(batch.clone(), 202)]).await;
    assert!(bed.round().await);
    let statistics = bed.statistics(&batch).await;
    assert_eq!((statistics.done_instances, statistics.remaining_jobs), (250, 0));
    assert_eq!(bed.executor.pulse.finished_recently(), 250);
    assert_eq!(bed.queue.depth(QueueName::Exec).await.unwrap(), 0);
    let mut monitor = bed.queue.consume(QueueName::Monitor, 10).await.unwrap();
    let delivery = monitor.try_next().expect("told to complete");
    assert_eq!(delivery.message().address, Address::Monitor { batch });
}

#[tokio::test]
async fn an_instance_that_kills_its_worker_fails_alone() {
    let database = TestDatabase::sqlite().await;
    let (batch, ids) = seeded(&database, 10, 1).await;
    let decide = DiesOver { id: ids[3].clone(), else_: Herder::default() };
    let mut bed = Bed::new(database, Arc::new(decide)).await;
    bed.publish(&[WorkRef::new(batch.clone(), 2)]).await;
    for panicked in 0..60 {
        while bed.round().await {}
        let statistics = bed.statistics(&batch).await;
        if (statistics.done_instances, statistics.failed_instances) == (9, 1) {
            // It was tried as a whole, then alone, and is not tried for ever.
            assert!(panicked >= ONE_BY_ONE_ATTEMPTS, "{panicked}");
            assert_eq!(statistics.failed_jobs, 1);
            return;
        }
        bed.database.age(120_000).await;
        let woken = bed.executor.steps.wake(WakeLimits { work: 100, instances: 100 }).await.unwrap();
        assert!(!woken.work.is_empty(), "wake finds it: {statistics:?}");
    }
    panic!("not finished: {:?}", bed.statistics(&batch).await);
}

#[tokio::test]
async fn while_the_database_is_away_messages_are_held_and_given_back_at_the_end() {
    let database = TestDatabase::sqlite().await;
    let (batch, _) = seeded(&database, 1, 1).await;
    let mut bed = Bed::new(database, Arc::new(Herder::default())).await;
    bed.publish(&[WorkRef::new(batch, 2)]).await;
    let delivery = bed.exec.next().await.unwrap();
    bed.database.store().close().await;
    let mut executing = Box::pin(bed.executor.execute(vec![delivery]));
    // It tries again and again, and neither acks nor gives back.
    let early = tokio::time::timeout(std::time::Duration::from_millis(500), &mut executing).await;
    assert!(early.is_err() && bed.exec.try_next().is_none());
    bed.executor.cx.shutdown.cancel();
    executing.await;
    assert!(bed.exec.next().await.unwrap().redelivered());
}
