//! The worker's own row: who it is, that it lives, and what it finished lately, which feeds the window (design §7.2).

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::period::every_or;
use crate::batch::WINDOW_MS;
use crate::service::Context;
use crate::store::views::WorkerRow;

/// How often a worker writes its row.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// And how often at most, while what it finishes lately doubles from one row to the next: a fleet that begins to work is given
/// more as soon as it shows that it is fast.
const HURRIED: Duration = Duration::from_millis(50);
const WINDOW: Duration = Duration::from_millis(WINDOW_MS as u64);

#[derive(Default)]
struct Inner {
    finished: VecDeque<(Instant, u64)>,
    current: Option<String>,
    last_error: Option<String>,
    /// What the row last said of `finished`.
    told: u64,
}

impl Inner {
    fn recently(&self) -> u64 {
        self.finished.iter().map(|(_, instances)| instances).sum()
    }

    fn forget_old(&mut self) {
        while self.finished.front().is_some_and(|(at, _)| at.elapsed() > WINDOW) {
            self.finished.pop_front();
        }
    }
}

/// What one worker tells of itself; clones share it.
#[derive(Clone, Default)]
pub struct Pulse(Arc<Mutex<Inner>>, Arc<Notify>);

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
            if inner.recently() >= 2 * inner.told.max(1) {
                self.1.notify_one();
            }
        }
    }

    /// Instances finished in the last [`WINDOW_MS`].
    #[must_use]
    pub fn finished_recently(&self) -> u64 {
        let mut inner = self.inner();
        inner.forget_old();
        inner.recently()
    }

    /// Ends when what was finished lately is at least twice what the row says, and the row is not quite new.
    async fn doubled(&self) {
        tokio::time::sleep(HURRIED).await;
        self.1.notified().await;
    }

    pub fn set_current(&self, current: Option<String>) {
        self.inner().current = current;
    }

    pub fn failed(&self, error: &str) {
        self.inner().last_error = Some(error.chars().take(500).collect());
    }

    fn row(&self, cx: &Context) -> WorkerRow {
        let finished_recently = self.finished_recently();
        let mut inner = self.inner();
        inner.told = finished_recently;
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

/// Writes the worker's row every second, and as soon as what it finishes has doubled, until the process is to stop.
pub async fn heartbeat(cx: Context, pulse: Pulse) {
    let name = format!("heartbeat of {}", cx.identity.role);
    every_or(
        &cx,
        &name,
        HEARTBEAT,
        || pulse.doubled(),
        || async {
            let row = pulse.row(&cx);
            cx.store.heartbeat(&row).await.map(|()| (row.finished_recently, false))
        },
    )
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_the_time_of_the_window_counts() {
        let most_of_it = WINDOW * 2 / 3;
        let pulse = Pulse::default();
        pulse.finished(10);
        tokio::time::advance(most_of_it).await;
        pulse.finished(5);
        assert_eq!(pulse.finished_recently(), 15);
        tokio::time::advance(most_of_it).await;
        assert_eq!(pulse.finished_recently(), 5);
        tokio::time::advance(most_of_it).await;
        assert_eq!(pulse.finished_recently(), 0);
    }
}
