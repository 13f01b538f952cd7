//! One suite, every queue: no caller can tell which one it has.

#![expect(clippy::unwrap_used, reason = "tests: a failure is a panic")]

use std::sync::Arc;

use async_trait::async_trait;
use shared::queue::{Queue, QueueName};
use shared::testing::queue_suite::Subject;

mod in_process {
    use super::*;
    use shared::queue::{Error, MemoryQueue};
    use shared::testing::queue_suite::{consumer, next, wake};

    struct InProcess(Arc<MemoryQueue>);

    #[async_trait]
    impl Subject for InProcess {
        fn queue(&self) -> Arc<dyn Queue> {
            self.0.clone()
        }

        async fn put_bytes(&self, _: QueueName, _: &[u8]) -> bool {
            false
        }
    }

    shared::queue_suite!(async { InProcess(Arc::new(MemoryQueue::new(2000))) });

    #[tokio::test]
    async fn a_full_queue_refuses_and_has_room_again_once_something_is_done() {
        let queue = MemoryQueue::new(2);
        let results = queue.publish(&[wake(1), wake(2), wake(3)]).await;
        assert!(matches!(results[..], [Ok(()), Ok(()), Err(Error::Full("drover.exec"))]), "{results:?}");
        let mut exec = consumer(&queue, QueueName::Exec, 1).await;
        let held = next(&mut *exec).await;
        // Handed out is not yet gone: it may come back.
        assert!(queue.publish(&[wake(3)]).await[0].is_err());
        assert!(held.ack().await);
        assert!(queue.publish(&[wake(3)]).await[0].is_ok());
        assert_eq!(queue.depth(QueueName::Exec).await.unwrap(), 2);
    }
}

mod rabbitmq {
    use super::*;
    use shared::config::Settings;
    use shared::queue::{AmqpBounds, AmqpQueue};
    use shared::testing::broker::{Client, shared_url};
    use shared::testing::queue_suite::until;
    use tokio::sync::{Mutex, MutexGuard};

    /// The broker's queues are the same for all tests, so one runs at a time.
    static ALONE: Mutex<()> = Mutex::const_new(());

    struct RabbitMq {
        queue: Arc<AmqpQueue>,
        client: Client,
        _alone: MutexGuard<'static, ()>,
    }

    impl RabbitMq {
        async fn new() -> Self {
            let alone = ALONE.lock().await;
            let queue = Arc::new(AmqpQueue::open(&shared_url(), &AmqpBounds::from(&Settings::defaults())));
            until("RabbitMQ is reached", || std::future::ready(queue.ready())).await;
            let client = Client::connect(&shared_url()).await.unwrap();
            for name in QueueName::ALL {
                client.purge(name).await.unwrap();
            }
            Self { queue, client, _alone: alone }
        }
    }

    #[async_trait]
    impl Subject for RabbitMq {
        fn queue(&self) -> Arc<dyn Queue> {
            self.queue.clone()
        }

        async fn put_bytes(&self, queue: QueueName, body: &[u8]) -> bool {
            self.client.put(queue, body).await.unwrap();
            true
        }
    }

    shared::queue_suite!(RabbitMq::new());
}
