//! Executing one micro-batch, and what follows from how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use shared::id;
use shared::job::WorkRef;
use shared::queue::{Address, Delivery, QueueName};
use shared::service::{Context, LoopReport, chain, panic_text};
use shared::store::Error;
use shared::work::{Done, Steps};
use shared::worker::{self, Pulse};
use tokio::time::Instant;

use crate::pace::Pace;

/// Times that a transaction which keeps colliding is begun anew before its messages are given back.
const MOST_COLLISIONS: u32 = 5;

pub(crate) struct Executor {
    pub(crate) cx: Context,
    pub(crate) steps: Steps,
    pub(crate) pulse: Pulse,
    pub(crate) pace: Pace,
    pub(crate) report: LoopReport,
}

/// What was gathered, by how it is to be handled.
#[derive(Default)]
struct Sorted {
    normal: BTreeSet<WorkRef>,
    /// On evidence of a death.
    careful: BTreeSet<WorkRef>,
    /// With whether a worker died over its message.
    instances: BTreeMap<String, bool>,
}

impl Executor {
    /// Executes what was gathered, and settles it.
    pub(crate) async fn execute(&self, deliveries: Vec<Box<dyn Delivery>>) {
        let sorted = sort(&deliveries);
        metrics::histogram!("drover_micro_batch_size").record(deliveries.len() as f64);
        let begun = Instant::now();
        if self.all(&sorted).await && worker::may_ack(&deliveries, QueueName::Exec) {
            worker::settle_all(deliveries).await;
        }
        // Else dropping them gives them back.
        metrics::histogram!("drover_micro_batch_seconds").record(begun.elapsed().as_secs_f64());
    }

    /// False: not done, and to be given back.
    async fn all(&self, sorted: &Sorted) -> bool {
        if !self.normal(&sorted.normal).await {
            return false;
        }
        for work in &sorted.careful {
            metrics::counter!("drover_careful_total", "why" => "redelivered").increment(1);
            if !self.careful(work).await {
                return false;
            }
        }
        for (instance, redelivered) in &sorted.instances {
            if !self.instance(instance, *redelivered).await {
                return false;
            }
        }
        true
    }

    async fn normal(&self, works: &BTreeSet<WorkRef>) -> bool {
        if works.is_empty() {
            return true;
        }
        let end = self.until_done(|| async {
            let done = self.steps.execute(works.iter().cloned().collect()).await?;
            let instances = done.succeeded_instances + done.failed_instances;
            self.pace.saw(works.len(), instances);
            self.slow_down(instances).await;
            Ok(self.count(&done))
        });
        match end.await {
            End::Settled => true,
            End::Stopped => false,
            // One of them kills whoever tries it: each alone, under a lease, so that the row counts its attempts.
            End::Panicked => {
                for work in works {
                    metrics::counter!("drover_careful_total", "why" => "panic").increment(1);
                    if !self.careful(work).await {
                        return false;
                    }
                }
                true
            }
        }
    }

    /// The benchmark's slow database (BENCH_SLOW_INSTANCE): the time passes when nothing is locked any more.
    async fn slow_down(&self, instances: u64) {
        let slow = self.cx.settings.bench_slow_instance;
        if !slow.is_zero() {
            tokio::time::sleep(slow * u32::try_from(instances).unwrap_or(u32::MAX)).await;
        }
    }

    /// A panic here is the row's next attempt: wake finds it again.
    async fn careful(&self, work: &WorkRef) -> bool {
        let token = id::new_id();
        let end = self.until_done(|| async { Ok(self.count(&self.steps.execute_careful(work, &token).await?)) });
        end.await.is_settled()
    }

    /// A panic under the lease is the next attempt: wake finds it again.
    async fn instance(&self, instance: &str, redelivered: bool) -> bool {
        let token = id::new_id();
        if !redelivered {
            let end = self.until_done(|| self.run_instance(instance, false, &token)).await;
            if end != End::Panicked {
                return end.is_settled();
            }
        }
        self.until_done(|| self.run_instance(instance, true, &token)).await.is_settled()
    }

    fn count(&self, done: &Done) -> (u64, u64) {
        self.pulse.finished(done.succeeded_instances);
        metrics::counter!("drover_instances_total", "outcome" => "migrated").increment(done.succeeded_instances);
        metrics::counter!("drover_instances_total", "outcome" => "failed").increment(done.failed_instances);
        metrics::counter!("drover_job_attempts_failed_total").increment(done.failed.len() as u64);
        if let Some((work, failure)) = done.failed.first() {
            let (batch, job, jobs) = (&work.batch, work.number, done.failed.len());
            tracing::info!(batch, job, jobs, reason = failure.message, "attempts of jobs failed; the first of them");
        }
        (done.succeeded_instances, done.failed_instances)
    }

    async fn run_instance(&self, instance: &str, with_care: bool, token: &str) -> Result<(u64, u64), Error> {
        Ok((self.steps.run_instance(&*self.cx.store, instance, with_care, token).await?, 0))
    }

    /// Tries until it is done or failed for good, waiting for a database that is away. What was committed stays so, and
    /// trying again finds it done.
    async fn until_done<F>(&self, attempt: impl Fn() -> F) -> End
    where
        F: Future<Output = Result<(u64, u64), Error>>,
    {
        let mut backoff = worker::store_backoff();
        let mut collisions = 0;
        loop {
            let error = match AssertUnwindSafe(self.report.iteration(attempt())).catch_unwind().await {
                Ok(Ok(_)) => return End::Settled,
                Ok(Err(error)) => error,
                Err(panic) => {
                    metrics::counter!("drover_panics_total", "where" => "exec").increment(1);
                    tracing::error!(panic = panic_text(panic.as_ref()), "an execution panicked");
                    self.pulse.failed(panic_text(panic.as_ref()));
                    return End::Panicked;
                }
            };
            let text = chain(&error);
            self.pulse.failed(&text);
            if !error.is_transient() {
                tracing::error!(error = text, "not executed; the next wake tries it again");
                return End::Settled;
            }
            collisions += u32::from(!error.is_unavailable());
            tracing::warn!(error = text, "not executed; holding the messages until it works");
            if collisions > MOST_COLLISIONS || !worker::wait_for_store(&self.cx, &mut backoff).await {
                return End::Stopped;
            }
        }
    }
}

/// How an attempt ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Done, or failed so that only its row can help: to be acked.
    Settled,
    /// The process is to stop, or others were always in the way: to be given back.
    Stopped,
    Panicked,
}

impl End {
    fn is_settled(self) -> bool {
        self != Self::Stopped
    }
}

fn sort(deliveries: &[Box<dyn Delivery>]) -> Sorted {
    let mut sorted = Sorted::default();
    for delivery in deliveries {
        match &delivery.message().address {
            Address::Execute { batch, number } => {
                let work = WorkRef::new(batch.clone(), *number);
                if delivery.redelivered() {
                    sorted.careful.insert(work);
                } else {
                    sorted.normal.insert(work);
                }
            }
            Address::Instance { instance } => {
                *sorted.instances.entry(instance.clone()).or_default() |= delivery.redelivered();
            }
            // Not of this queue: acked, since its row is looked at by its own role.
            Address::Seed { .. } | Address::Monitor { .. } | Address::Timer { .. } => {}
        }
    }
    sorted.normal = &sorted.normal - &sorted.careful;
    sorted
}

#[cfg(test)]
mod tests;
