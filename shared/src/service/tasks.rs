//! The door for spawning: every task is tracked, so that a process can end with none of them cut off.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

/// The tasks of one process, or of one part of it.
#[derive(Clone, Debug, Default)]
pub struct Tasks(TaskTracker);

impl Tasks {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Spawns a task that is waited for at the end. A panic in it is logged, counted, and the handle gives None.
    pub fn spawn<F>(&self, name: &'static str, task: F) -> JoinHandle<Option<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(async move {
            match AssertUnwindSafe(task).catch_unwind().await {
                Ok(output) => Some(output),
                Err(panic) => {
                    metrics::counter!("drover_panics_total", "where" => name).increment(1);
                    tracing::error!(task = name, panic = panic_text(panic.as_ref()), "a task panicked");
                    None
                }
            }
        })
    }

    /// How many are running.
    #[must_use]
    pub fn running(&self) -> usize {
        self.0.len()
    }

    /// Waits until none is running. Tasks spawned meanwhile are waited for too.
    pub async fn finished(&self) {
        self.0.close();
        self.0.wait().await;
    }
}

/// What a caught panic said.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}
