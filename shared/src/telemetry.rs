//! Logs and metrics of a process. Logs go to stderr: pretty on a terminal, JSON elsewhere. Metrics are Prometheus text,
//! served by the admin server. Nothing here may ever hold a secret.

use std::io::IsTerminal;
use std::sync::OnceLock;

use anyhow::Context;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{self, LogFormat, Settings};

/// Upper bounds of the buckets of all `…_seconds` histograms.
const SECONDS: [f64; 14] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];
/// Upper bounds of the buckets of histograms of counts.
const COUNTS: [f64; 10] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0];

static METRICS: OnceLock<PrometheusHandle> = OnceLock::new();

/// Sets up logs and metrics, once for the process; later calls change nothing.
///
/// # Errors
/// A log filter that cannot be read.
pub fn init(settings: &Settings) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(&settings.rust_log).with_context(|| format!("RUST_LOG={:?} is no log filter", settings.rust_log))?;
    let terminal = std::io::stderr().is_terminal();
    let pretty = match settings.log_format {
        LogFormat::Auto => terminal,
        LogFormat::Json => false,
        LogFormat::Pretty => true,
    };
    let registry = tracing_subscriber::registry().with(filter);
    // An error means that a subscriber is set already: a second role in this process, or a test.
    let _ = if pretty {
        let colours = terminal && !config::is_set("NO_COLOR");
        registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours)).try_init()
    } else {
        registry.with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr)).try_init()
    };
    init_metrics();
    Ok(())
}

/// The metrics of this process as Prometheus text; empty before [`init`].
#[must_use]
pub fn render_metrics() -> String {
    METRICS.get().map(PrometheusHandle::render).unwrap_or_default()
}

/// Folds what was measured into the histograms; to be called every few seconds, or memory grows.
pub fn upkeep() {
    if let Some(handle) = METRICS.get() {
        handle.run_upkeep();
    }
}

fn init_metrics() {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), &COUNTS));
    let Ok(handle) = builder.and_then(PrometheusBuilder::install_recorder) else { return };
    if METRICS.set(handle).is_ok() {
        describe();
    }
}

/// Every metric of every process, in one place: this is the reference.
fn describe() {
    describe_counter!("drover_messages_published_total", "Messages that the broker confirmed, by queue");
    describe_counter!("drover_publish_failures_total", "Messages that were not published, by reason; their rows are found by wake");
    describe_counter!("drover_deliveries_total", "Messages handed to this process, by queue");
    describe_counter!("drover_redeliveries_total", "Of these, those that had been handed out before");
    describe_counter!("drover_undecodable_total", "Messages that were none of ours, by queue");
    describe_counter!("drover_acks_lost_total", "Messages done with, whose channel was gone: they come again");
    describe_counter!("drover_consumer_rebuilds_total", "Times that a consumer was connected anew, by queue");
    describe_gauge!("drover_broker_connected", "Is this process connected to the broker (1) or not (0)");
    describe_gauge!("drover_broker_blocked", "Does the broker block publishers (memory or disk alarm)");
    describe_gauge!("drover_broker_degraded", "Does the broker have a queue with other arguments than this program's");
    describe_counter!("drover_instances_total", "Instances decided by batches' jobs, by outcome");
    describe_counter!("drover_job_attempts_failed_total", "Attempts of execution jobs in which an instance failed");
    describe_histogram!("drover_micro_batch_size", "Messages taken together into one transaction");
    describe_histogram!("drover_micro_batch_seconds", Unit::Seconds, "From the claim to the commit of one micro-batch");
    describe_histogram!("drover_seed_seconds", Unit::Seconds, "One seed step");
    describe_counter!("drover_runs_seeded_total", "Runs written by seed steps");
    describe_counter!("drover_careful_total", "Rows handled in careful mode, by why");
    describe_counter!("drover_panics_total", "Panics that were caught, by where");
    describe_counter!("drover_dead_letters_total", "Messages that ended in drover.dead");
    describe_counter!("drover_woken_total", "Rows that wake found due, by kind");
    describe_counter!("drover_batches_completed_total", "Batches completed by this process");
    describe_gauge!("drover_batches", "Batches, by state");
    describe_gauge!("drover_batch_jobs", "Jobs of all batches, by state; pending is what to scale exec-workers by");
    describe_gauge!("drover_batch_instances", "Instances of all batches, by state");
    describe_gauge!("drover_queue_messages", "Messages in a queue, as far as it can tell");
    describe_gauge!("drover_worker_up", "Worker heard of in the last 15 s, by role");
    describe_gauge!("drover_finished_recently", "Instances that the fleet finished in the last 2 s");
    describe_counter!("drover_loop_iterations_total", "Iterations of a loop, by loop and result");
    describe_gauge!("drover_loop_running", "Is an iteration of the loop under way");
    describe_histogram!("drover_loop_seconds", Unit::Seconds, "One iteration of a loop");
}
