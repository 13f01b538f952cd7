//! What a process says of itself: is it ready, and what do its loops do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use serde::Serialize;
use tokio::time::Instant;

use crate::clock::{Clock, Millis, SystemClock};

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// The answer of one check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    pub ok: bool,
    /// Why not; or, of a check that passed, what a person should still know.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Checked {
    #[must_use]
    pub fn ok() -> Self {
        Self { ok: true, reason: None }
    }

    #[must_use]
    pub fn but(reason: impl Into<String>) -> Self {
        Self { ok: true, reason: Some(reason.into()) }
    }

    #[must_use]
    pub fn failed(reason: impl Into<String>) -> Self {
        Self { ok: false, reason: Some(reason.into()) }
    }
}

type Check = Arc<dyn Fn() -> BoxFuture<'static, Checked> + Send + Sync>;

/// The status of one long-running loop.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoopStatus {
    pub name: String,
    /// None: it runs when there is something to do.
    pub period_ms: Option<u64>,
    pub running: bool,
    pub iteration: u64,
    /// Milliseconds since the epoch.
    pub last_ended: Option<Millis>,
    pub last_result: Option<String>,
    pub last_failed: bool,
}

#[derive(Default)]
struct Inner {
    checks: BTreeMap<&'static str, Check>,
    loops: BTreeMap<String, LoopStatus>,
}

/// Checks and loops of one process; clones share them.
#[derive(Clone, Default)]
pub struct Health(Arc<Mutex<Inner>>);

impl Health {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a check to `/readyz`, or puts it in the place of the one with this name.
    pub fn check<F>(&self, name: &'static str, check: impl Fn() -> F + Send + Sync + 'static)
    where
        F: Future<Output = Checked> + Send + 'static,
    {
        self.inner().checks.insert(name, Arc::new(move || Box::pin(check())));
    }

    /// Registers a loop. `period`: None when it runs on messages.
    #[must_use]
    pub fn register_loop(&self, name: impl Into<String>, period: Option<Duration>) -> LoopReport {
        let name = name.into();
        let status = LoopStatus {
            name: name.clone(),
            period_ms: period.map(|p| u64::try_from(p.as_millis()).unwrap_or(u64::MAX)),
            running: false,
            iteration: 0,
            last_ended: None,
            last_result: None,
            last_failed: false,
        };
        self.inner().loops.insert(name.clone(), status);
        LoopReport { health: self.clone(), name }
    }

    #[must_use]
    pub fn loops(&self) -> Vec<LoopStatus> {
        self.inner().loops.values().cloned().collect()
    }

    /// Asks all checks at once; each is bounded in time.
    pub async fn checks(&self) -> BTreeMap<&'static str, Checked> {
        let checks: Vec<_> = self.inner().checks.iter().map(|(name, check)| (*name, check.clone())).collect();
        let answers = checks.into_iter().map(|(name, check)| async move {
            let late = || Checked::failed(format!("no answer within {CHECK_TIMEOUT:?}"));
            (name, tokio::time::timeout(CHECK_TIMEOUT, check()).await.unwrap_or_else(|_| late()))
        });
        futures::future::join_all(answers).await.into_iter().collect()
    }
}

/// By which a loop tells what it does.
#[derive(Clone)]
pub struct LoopReport {
    health: Health,
    name: String,
}

impl LoopReport {
    /// Runs one iteration and reports it.
    pub async fn iteration<T, E: std::fmt::Display>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E>
    where
        T: std::fmt::Debug,
    {
        self.update(|status| status.running = true);
        metrics::gauge!("drover_loop_running", "loop" => self.name.clone()).set(1.0);
        let begun = Instant::now();
        let result = work.await;
        metrics::gauge!("drover_loop_running", "loop" => self.name.clone()).set(0.0);
        metrics::histogram!("drover_loop_seconds", "loop" => self.name.clone()).record(begun.elapsed().as_secs_f64());
        let (text, outcome) = match &result {
            Ok(value) => (format!("{value:?}"), "ok"),
            Err(error) => (format!("{error:#}"), "error"),
        };
        metrics::counter!("drover_loop_iterations_total", "loop" => self.name.clone(), "result" => outcome).increment(1);
        self.update(|status| {
            status.running = false;
            status.iteration += 1;
            status.last_ended = Some(SystemClock.now());
            status.last_failed = result.is_err();
            status.last_result = Some(text.chars().take(500).collect());
        });
        result
    }

    fn update(&self, change: impl FnOnce(&mut LoopStatus)) {
        if let Some(status) = self.health.inner().loops.get_mut(&self.name) {
            change(status);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_check_that_does_not_answer_has_failed() {
        let health = Health::new();
        health.check("quick", || async { Checked::ok() });
        health.check("hangs", std::future::pending);
        let checks = health.checks().await;
        assert_eq!(checks["quick"], Checked::ok());
        assert!(!checks["hangs"].ok);
    }

    #[tokio::test]
    async fn a_loop_tells_what_it_did() {
        let health = Health::new();
        let report = health.register_loop("wake", Some(Duration::from_secs(1)));
        report.iteration(async { Ok::<_, std::io::Error>("woke 3") }).await.unwrap();
        report.iteration(async { Err::<(), _>("the database is away") }).await.unwrap_err();
        let status = &health.loops()[0];
        assert_eq!((status.iteration, status.last_failed, status.running), (2, true, false));
        assert_eq!(status.last_result.as_deref(), Some("the database is away"));
    }
}
