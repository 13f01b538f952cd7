//! Opens the store and the queue that the settings name, and waits for a database that is not there yet.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{Backoff, Checked, Health};
use crate::config::{self, Settings};
use crate::queue::{AmqpBounds, AmqpQueue, MemoryQueue, Queue};
use crate::store::sql::{Schema, StoreOptions};
use crate::store::{self, Store};

const RETRY_LEAST: Duration = Duration::from_millis(200);
const RETRY_MOST: Duration = Duration::from_secs(5);

/// The store, as soon as its database can be reached; None when the process is to stop before that. Meanwhile `/readyz` is
/// false: a process that crashed instead would only be started again.
///
/// # Errors
/// What does not pass by waiting: a URL that is none, a schema that this program does not know.
pub async fn open_store(
    settings: &Settings,
    health: &Health,
    shutdown: &CancellationToken,
) -> Result<Option<Arc<dyn Store>>, store::Error> {
    health.check("store", || async { Checked::failed("not connected yet") });
    let mut backoff = Backoff::new(RETRY_LEAST, RETRY_MOST);
    loop {
        let connected = tokio::select! {
            connected = connect(settings) => connected,
            () = shutdown.cancelled() => return Ok(None),
        };
        match connected {
            Ok(store) => {
                let checked = store.clone();
                health.check("store", move || check_store(checked.clone()));
                return Ok(Some(store));
            }
            Err(error) if error.is_transient() => {
                let reason = super::chain(&error);
                tracing::warn!(reason, "the database cannot be reached yet; trying again");
                health.check("store", move || std::future::ready(Checked::failed(reason.clone())));
            }
            Err(error) => {
                tracing::error!(reason = super::chain(&error), "the database cannot be used; ending");
                return Err(error);
            }
        }
        tokio::select! {
            () = backoff.wait() => {}
            () = shutdown.cancelled() => return Ok(None),
        }
    }
}

async fn connect(settings: &Settings) -> Result<Arc<dyn Store>, store::Error> {
    let options = StoreOptions {
        max_connections: u32::from(settings.database_connections),
        hostname: config::host(),
        default_retries: settings.default_number_of_retries,
        schema: Schema::Require,
    };
    store::sql::open(settings.database(), options).await
}

async fn check_store(store: Arc<dyn Store>) -> Checked {
    match store.ready().await {
        Ok(()) => Checked::ok(),
        Err(error) => Checked::failed(super::chain(&error)),
    }
}

/// The queue. A broker that is away is no error: it is connected to in the background.
pub fn open_queue(settings: &Settings, health: &Health) -> Arc<dyn Queue> {
    let queue: Arc<dyn Queue> = match &settings.amqp_url {
        Some(url) => Arc::new(AmqpQueue::open_trusting(url, settings.amqp_ca.clone(), &AmqpBounds::from(settings))),
        None => Arc::new(MemoryQueue::new(settings.queue_capacity as usize)),
    };
    let checked = queue.clone();
    health.check("queue", move || {
        let degraded = checked.degraded();
        std::future::ready(match (checked.ready(), degraded) {
            (true, None) => Checked::ok(),
            (true, Some(reason)) => Checked::but(reason),
            (false, reason) => Checked::failed(reason.unwrap_or_else(|| "not connected to the broker".into())),
        })
    });
    queue
}
