//! What a role under test runs with.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::queue::Queue;
use crate::service::{Context, Health, Identity, Tasks};
use crate::store::Store;

/// All defaults, on this store and this queue.
#[must_use]
pub fn context(role: &'static str, store: Arc<dyn Store>, queue: Arc<dyn Queue>) -> Context {
    Context {
        store,
        queue,
        settings: Arc::new(Settings::defaults()),
        shutdown: CancellationToken::new(),
        tasks: Tasks::new(),
        health: Health::new(),
        identity: Identity::new(role),
    }
}
