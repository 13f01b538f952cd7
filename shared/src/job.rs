//! Execution jobs: what an attempt leaves behind (design §5, §7.3). Pure.

use serde::{Deserialize, Serialize};

use crate::clock::Millis;

/// The most that is kept of a failure's message, in characters (spec-batch-rest §1.6).
pub const MAX_MESSAGE_CHARS: usize = 666;
/// How long a careful claim holds its row.
pub const LEASE_MS: Millis = 15_000;
/// Attempts in careful mode from which a run goes job by job.
pub const ONE_BY_ONE_ATTEMPTS: i32 = 2;
/// Attempts in careful mode at which the front job fails untried.
pub const MAX_ATTEMPTS: i32 = 5;
/// The longest time between two wakes of one row.
pub const MAX_WAKE_MS: Millis = 60_000;

/// The address in a message: the run whose first job is `number`, or the job row `number` (0 and 1: seed and monitor).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct WorkRef {
    pub batch: String,
    pub number: u32,
}

impl WorkRef {
    #[must_use]
    pub fn new(batch: impl Into<String>, number: u32) -> Self {
        Self { batch: batch.into(), number }
    }
}

/// Why one instance (or item) failed in one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable key, the same for all instances that fail for the same reason: code, activity, rule.
    pub reason: String,
    /// What the caller reads (cut to [`MAX_MESSAGE_CHARS`] where stored on a job).
    pub message: String,
    /// The full text, served as the stack trace.
    pub details: String,
}

/// What a job says whose worker died over it too often (design §7.3).
#[must_use]
pub fn worker_died() -> Failure {
    let message = format!("the worker died {MAX_ATTEMPTS} times");
    Failure { reason: "worker-died".to_owned(), details: message.clone(), message }
}

/// A claimed run or job row, or the front part of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Claimed {
    pub work: WorkRef,
    /// Number of the last job claimed; equals `work.number` for a job row.
    pub last: u32,
    /// Ids in order: K to a job of a run, save the last.
    pub ids: Vec<String>,
    pub k: u32,
    /// Is it a job row? Then all ids belong to `work.number`.
    pub is_job_row: bool,
    pub retries: i32,
}

impl Claimed {
    /// The job that the id at `index` belongs to.
    #[must_use]
    pub fn number_of(&self, index: usize) -> u32 {
        if self.is_job_row { self.work.number } else { self.work.number + (index / self.k.max(1) as usize) as u32 }
    }
}

/// What a job is after an attempt in which some of its ids failed.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedJob {
    pub number: u32,
    /// The ids that failed: those that succeeded have left the job.
    pub ids: Vec<String>,
    /// Failures in the order of `ids`; the first one's message is the job's.
    pub failures: Vec<Failure>,
    pub retries: i32,
    /// True when no retries are left: an incident is to be made unless there is one.
    pub incident: bool,
}

/// What one attempt at `claimed` leaves: jobs with failed ids; all else is done and gone.
/// `outcomes` has one entry an id: None succeeded.
#[must_use]
pub fn settle(claimed: &Claimed, outcomes: &[Option<Failure>]) -> Vec<FailedJob> {
    let mut jobs: Vec<FailedJob> = vec![];
    for (index, failure) in outcomes.iter().enumerate() {
        let Some(failure) = failure else { continue };
        let number = claimed.number_of(index);
        if jobs.last().is_none_or(|j| j.number != number) {
            let retries = (claimed.retries - 1).max(0);
            jobs.push(FailedJob { number, ids: vec![], failures: vec![], retries, incident: retries == 0 });
        }
        if let Some(job) = jobs.last_mut() {
            job.ids.push(claimed.ids[index].clone());
            job.failures.push(failure.clone());
        }
    }
    jobs
}

/// A row whose wake could not be published is due again so soon, however long one that was published may take.
pub const UNPUBLISHED_MS: Millis = 1_000;

/// When a row that was just woken for the `wakes`-th time is to be looked at again, from now: doubling to a minute.
#[must_use]
pub fn next_wake_ms(wakes: i32) -> Millis {
    let doubled = 15_000_i64.saturating_mul(1 << wakes.clamp(0, 8));
    doubled.min(MAX_WAKE_MS)
}

/// At most [`MAX_MESSAGE_CHARS`] characters of a message.
#[must_use]
pub fn cut(message: &str) -> &str {
    message.char_indices().nth(MAX_MESSAGE_CHARS).map_or(message, |(at, _)| &message[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(n: usize, k: u32) -> Claimed {
        let last = 2 + (n as u32).div_ceil(k) - 1;
        Claimed { work: WorkRef::new("b", 2), last, ids: (0..n).map(|i| format!("i{i}")).collect(), k, is_job_row: false, retries: 3 }
    }

    fn failure() -> Failure {
        Failure { reason: "r".into(), message: "m".into(), details: "d".into() }
    }

    #[test]
    fn a_failing_instance_does_not_hold_back_its_neighbours() {
        let mut outcomes = vec![None; 25];
        outcomes[13] = Some(failure());
        let jobs = settle(&claimed(25, 10), &outcomes);
        assert_eq!(jobs.len(), 1);
        assert_eq!((jobs[0].number, jobs[0].ids.as_slice(), jobs[0].retries, jobs[0].incident), (3, &["i13".to_owned()][..], 2, false));
    }

    #[test]
    fn the_last_retry_makes_an_incident() {
        let job = Claimed { is_job_row: true, retries: 1, ..claimed(3, 10) };
        let jobs = settle(&job, &[Some(failure()), None, Some(failure())]);
        assert_eq!((jobs[0].retries, jobs[0].incident, jobs[0].ids.len(), jobs[0].number), (0, true, 2, 2));
    }

    #[test]
    fn a_message_is_cut_by_characters() {
        assert_eq!(cut(&"ü".repeat(700)).chars().count(), MAX_MESSAGE_CHARS);
        assert_eq!(cut("short"), "short");
    }
}
