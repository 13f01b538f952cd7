//! Loops on a period. They take no input: each iteration compares what is with what should be.

use std::fmt::{Debug, Display};
use std::time::Duration;

use tokio::time::Instant;

use crate::service::Context;

/// How long a failing loop waits at most, where its period is shorter.
const FAILING_WAIT: Duration = Duration::from_secs(2);

/// Runs `iteration` every `period`, at once at the start, until the process is to stop. It gives whether there is more to
/// do at once. A failure is told once, and the next iteration is the next attempt.
pub async fn every<I, F, T, E>(cx: &Context, name: &str, period: Duration, iteration: I)
where
    I: FnMut() -> F,
    F: Future<Output = Result<(T, bool), E>>,
    T: Debug,
    E: Display,
{
    every_or(cx, name, period, std::future::pending, iteration).await;
}

/// The same, and before its time whenever the future that `sooner` gives ends.
pub(super) async fn every_or<S, W, I, F, T, E>(cx: &Context, name: &str, period: Duration, sooner: S, mut iteration: I)
where
    S: Fn() -> W,
    W: Future<Output = ()>,
    I: FnMut() -> F,
    F: Future<Output = Result<(T, bool), E>>,
    T: Debug,
    E: Display,
{
    let report = cx.health.register_loop(name, Some(period));
    let mut failing = false;
    loop {
        let begun = Instant::now();
        let result = report.iteration(iteration()).await;
        let wait = match &result {
            Ok((_, true)) => Duration::ZERO,
            Ok((_, false)) => period.saturating_sub(begun.elapsed()),
            Err(_) => period.max(FAILING_WAIT.min(period * 4)),
        };
        match &result {
            Ok(_) => failing = false,
            Err(error) if !failing => {
                failing = true;
                tracing::warn!(name, %error, "a loop failed; it tries again");
            }
            Err(_) => {}
        }
        let go_on = tokio::select! {
            go_on = cx.pause(wait) => go_on,
            () = sooner(), if result.is_ok() => true,
        };
        if !go_on {
            return;
        }
    }
}
