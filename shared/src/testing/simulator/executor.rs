//! The executor: polls tasks one at a time, in an order drawn from the seed; a task dropped between two polls has crashed.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};

use super::behaviour::tolerate;
use crate::testing::schedule::Rng;

pub type Job = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Draws until somebody quick enough is found.
const MAX_DRAWS: usize = 20;

/// A process that runs for ever, and is started again when it crashed; or a caller's errand, which ends.
pub struct Task {
    pub name: String,
    job: Option<Job>,
    again: Option<Box<dyn Fn() -> Job>>,
    /// How often, in a thousand, it goes on when it is its turn.
    pace: u32,
}

pub struct Executor {
    pub tasks: Vec<Task>,
    /// Set during a poll: what it ran has killed its process.
    killed: Arc<AtomicBool>,
}

impl Executor {
    #[must_use]
    pub fn new(killed: Arc<AtomicBool>) -> Self {
        Self { tasks: vec![], killed }
    }

    pub fn process(&mut self, name: &str, start: impl Fn() -> Job + 'static) {
        self.tasks.push(Task { name: name.to_owned(), job: Some(start()), again: Some(Box::new(start)), pace: 1_000 });
    }

    pub fn errand(&mut self, name: &str, job: Job) {
        self.tasks.push(Task { name: name.to_owned(), job: Some(job), again: None, pace: 1_000 });
    }

    #[must_use]
    pub fn errands_left(&self) -> bool {
        self.tasks.iter().any(|task| task.again.is_none() && task.job.is_some())
    }

    /// Some are slow, each in its own measure.
    pub fn draw_paces(&mut self, rng: &mut Rng) {
        for task in &mut self.tasks {
            task.pace = *rng.pick(&[1_000, 1_000, 300, 50]);
        }
    }

    /// All go on as fast as they can.
    pub fn hurry(&mut self) {
        self.tasks.iter_mut().for_each(|task| task.pace = 1_000);
    }

    /// Draws who goes next: some process is always alive.
    pub fn next(&self, rng: &mut Rng) -> usize {
        let alive: Vec<usize> = (0..self.tasks.len()).filter(|at| self.tasks[*at].job.is_some()).collect();
        for _ in 0..MAX_DRAWS {
            let at = *rng.pick(&alive);
            if rng.chance(self.tasks[at].pace) {
                return at;
            }
        }
        *rng.pick(&alive)
    }

    /// Polls one task. True: it has crashed, by a panic or because what it ran killed its process.
    pub fn poll(&mut self, at: usize) -> bool {
        let Some(job) = &mut self.tasks[at].job else { return false };
        let polled = catch_unwind(AssertUnwindSafe(|| job.as_mut().poll(&mut Context::from_waker(Waker::noop()))));
        let killed = self.killed.swap(false, Ordering::SeqCst);
        let panicked = polled.is_err();
        match polled {
            Ok(Poll::Ready(())) => self.tasks[at].job = None,
            Ok(Poll::Pending) => {}
            Err(panic) => tolerate(panic),
        }
        if killed || panicked {
            self.crash(at);
        }
        killed || panicked
    }

    /// Drops what the task was doing; a process starts again, an errand is never finished.
    pub fn crash(&mut self, at: usize) {
        let task = &mut self.tasks[at];
        // Dropped before the next one starts: a process does not overlap with itself.
        task.job = None;
        task.job = task.again.as_ref().map(|start| start());
    }
}
