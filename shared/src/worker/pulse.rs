//! The worker's own row: who it is, that it lives, and what it finished lately, which feeds the window (design §7.2).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::every;
use crate::batch::WINDOW_MS;
use crate::service::Context;
use crate::store::views::WorkerRow;

/// How often a worker writes its row.
const HEARTBEAT: Duration = Duration::from_secs(1);
const WINDOW: Duration = Duration::from_millis(WINDOW_MS as u64);

#[derive(Default)]
struct Inner {
    finished: VecDeque<(Instant, u64)>,
    current: Option<String>,
    last_error: Option<String>,
}

impl Inner {
    fn forget_old(&mut self) {
        while self.finished.front().is_some_and(|(at, _)| at.elapsed() > WINDOW) {
            self.finished.pop_front();
        }
    }
}

/// What one worker tells of itself; clones share it.
#[derive(Clone, Default)]
pub struct Pulse(Arc<Mutex<Inner>>);

impl Pulse {
    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many instances were finished just now.
    pub fn finished(&self, instances: u64) {
        if instances > 0 {
            let mut inner = self.inner();
            inner.finished.push_back((Instant::now(), instances));
            inner.forget_old();
        }
    }

    /// Instances finished in the last 3 s.
    #[must_use]
    pub fn finished_recently(&self) -> u64 {
        let mut inner = self.inner();
        inner.forget_old();
        inner.finished.iter().map(|(_, instances)| instances).sum()
    }

    pub fn set_current(&self, current: Option<String>) {
        self.inner().current = current;
    }

    pub fn failed(&self, error: &str) {
        self.inner().last_error = Some(error.chars().take(500).collect());
    }

    fn row(&self, cx: &Context) -> WorkerRow {
        let finished_recently = self.finished_recently();
        let inner = self.inner();
        WorkerRow {
            id: cx.identity.worker_id.clone(),
            role: cx.identity.role.to_owned(),
            host: cx.identity.host.clone(),
            version: cx.identity.version.to_owned(),
            since: cx.identity.since,
            heartbeat: 0,
            current: inner.current.clone(),
            finished_recently,
            last_error: inner.last_error.clone(),
        }
    }
}

/// Writes the worker's row every second, until the process is to stop.
pub async fn heartbeat(cx: Context, pulse: Pulse) {
    let name = format!("heartbeat of {}", cx.identity.role);
    every(&cx, &name, HEARTBEAT, || async {
        let row = pulse.row(&cx);
        cx.store.heartbeat(&row).await.map(|()| (row.finished_recently, false))
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_last_three_seconds_count() {
        let pulse = Pulse::default();
        pulse.finished(10);
        tokio::time::advance(Duration::from_secs(2)).await;
        pulse.finished(5);
        assert_eq!(pulse.finished_recently(), 15);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pulse.finished_recently(), 5);
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(pulse.finished_recently(), 0);
    }
}
