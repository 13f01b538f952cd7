//! Waits between attempts at something that is away: exponential with full jitter, so that a fleet does not come back in step.

use std::time::Duration;

use rand::RngExt;

#[derive(Clone, Debug)]
pub struct Backoff {
    least: Duration,
    most: Duration,
    attempt: u32,
}

impl Backoff {
    /// The bound of the wait doubles from `least` to `most`; the wait itself is anything from `least` to the bound.
    #[must_use]
    pub fn new(least: Duration, most: Duration) -> Self {
        Self { least, most: most.max(least), attempt: 0 }
    }

    /// It worked: the next wait is short again.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// How long to wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        self.attempt = self.attempt.saturating_add(1).min(16);
        let bound = self.least.saturating_mul(1 << self.attempt).min(self.most);
        let spread = bound.saturating_sub(self.least);
        self.least + spread.mul_f64(rand::rng().random::<f64>())
    }

    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_wait()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_within_their_bounds() {
        let (least, most) = (Duration::from_millis(100), Duration::from_secs(2));
        let mut backoff = Backoff::new(least, most);
        let first = backoff.next_wait();
        assert!(first >= least && first <= Duration::from_millis(200), "{first:?}");
        for _ in 0..100 {
            let wait = backoff.next_wait();
            assert!(wait >= least && wait <= most, "{wait:?}");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= Duration::from_millis(200));
    }
}
