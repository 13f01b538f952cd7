//! What the loops of the roles share: handling the deliveries of a queue, loops on a period, waiting for a database that is
//! away, and the worker's own row.
//!
//! It knows messages and the store's errors, and nothing of what a handler does.

mod deliveries;
mod period;
mod pulse;

pub use deliveries::{each, may_ack, settle_all};
pub use period::every;
pub use pulse::{Pulse, heartbeat};

use std::time::Duration;

use crate::service::{Backoff, Context};
use crate::work::Steps;

const STORE_RETRY_LEAST: Duration = Duration::from_millis(100);
const STORE_RETRY_MOST: Duration = Duration::from_secs(2);

/// Waits between attempts at a database that is away.
#[must_use]
pub fn store_backoff() -> Backoff {
    Backoff::new(STORE_RETRY_LEAST, STORE_RETRY_MOST)
}

/// Waits out one back-off. False: the process is to stop, and what is in hand is to be given back.
pub async fn wait_for_store(cx: &Context, backoff: &mut Backoff) -> bool {
    cx.pause(backoff.next_wait()).await
}

/// Publishes again whenever what was published is gone as a whole ([`crate::queue::Queue::emptied`]), until the process is to
/// stop. Every role does so, since only the process that made the queues anew knows that they were gone.
pub async fn publish_again(cx: Context, steps: Steps) {
    loop {
        tokio::select! {
            () = cx.queue.emptied() => {}
            () = cx.shutdown.cancelled() => return,
        }
        let mut backoff = store_backoff();
        while let Err(error) = steps.publish_again().await {
            tracing::debug!(%error, "what was published is not published again yet");
            if !wait_for_store(&cx, &mut backoff).await {
                return;
            }
        }
    }
}
