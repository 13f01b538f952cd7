//! The steps themselves: seed, execute, complete, wake. Each decides with pure code and does one store verb, then
//! publishes what would make progress (design §7). The roles are loops around these; the API calls them by hand.
//!
//! Nothing here trusts a message beyond its address, and nothing here may be needed for progress but [`wake`] and
//! [`sweep`]: every publish after a commit only buys time, so a failed one is logged and forgotten.

mod bury;
mod by_hand;
mod decide;
mod decide_commands;
mod execute;
mod instance;
mod look;
mod monitor;
mod publisher;
mod seed;
mod wake;

pub use by_hand::ByHand;
pub use decide::MigrationDecide;
pub use execute::Done;
pub use look::progress;
pub use publisher::Publisher;
pub use wake::{Pages, Sweep};

use std::sync::Arc;

use crate::fail_point::{Boundary, passes};
use crate::job::WorkRef;
use crate::queue::{self, BatchEvent, Message, Queue};
use crate::store::{BatchStore, Decide};

/// What the steps work on.
#[derive(Clone)]
pub struct Steps {
    pub store: Arc<dyn BatchStore>,
    pub queue: Arc<dyn Queue>,
    pub decide: Arc<dyn Decide>,
}

impl Steps {
    #[must_use]
    pub fn new(store: Arc<dyn BatchStore>, queue: Arc<dyn Queue>) -> Self {
        Self { store, queue, decide: Arc::new(MigrationDecide) }
    }

    /// Publishes wakes. What cannot be published is found by [`wake`] later: soon, and not as late as what was published and
    /// lost, so that work goes on when the broker is there again.
    async fn publish(&self, messages: &[Message]) {
        if messages.is_empty() {
            return;
        }
        let results = if passes("unpublished", Boundary::BeforePublish) {
            self.queue.publish(messages).await
        } else {
            messages.iter().map(|_| Err(queue::Error::Unavailable("so a test wants it".into()))).collect()
        };
        let failed: Vec<_> = messages.iter().zip(results).filter_map(|(message, result)| Some((message, result.err()?))).collect();
        let Some((_, first)) = failed.first() else { return };
        tracing::warn!(failed = failed.len(), of = messages.len(), error = %first, "wakes were not published; they are found by the next wake");
        let works: Vec<WorkRef> = failed.iter().filter_map(|(message, _)| message.address.work()).collect();
        if !works.is_empty()
            && let Err(error) = self.store.unpublished(&works).await
        {
            tracing::debug!(%error, "their rows stand as they are, and are found later");
        }
    }

    async fn announce(&self, event: BatchEvent, batch: &str) {
        if let Err(error) = self.queue.announce(event, batch).await {
            tracing::warn!(batch, event = event.topic(), %error, "the event was not published");
        }
    }
}
