//! Consumes `drover.monitor` and empties `drover.dead`; and the periods: wake, sweep, the monitor jobs' due dates, the
//! service metrics. The periods take no input: they compare what is due with what is published, which is also start-up
//! recovery, lost-message recovery, retries and resume (design §7.6). When all is quiet nothing is published.
//!
//! Several monitor-workers may run: rows are taken `SKIP LOCKED`, and a message too many is harmless.

mod census;

use shared::clock::Millis;
use shared::queue::{Address, QueueName};
use shared::service::Context;
use shared::store::{self, RunDue, WakeLimits};
use shared::work::{Pages, Steps, Sweep};
use shared::worker::{self, Pulse};
use tokio::sync::Mutex;

/// # Errors
/// When a queue cannot be consumed at all.
pub async fn run(cx: Context) -> anyhow::Result<()> {
    let steps = Steps::new(cx.store.clone(), cx.queue.clone());
    cx.tasks.spawn("publish again", worker::publish_again(cx.clone(), steps.clone()));
    cx.tasks.spawn("heartbeat", worker::heartbeat(cx.clone(), Pulse::default()));
    let messages = async { tokio::try_join!(complete(&cx, &steps), bury(&cx, &steps)) };
    let (consumed, ..) = tokio::join!(messages, wake(&cx, &steps), sweep(&cx, &steps), poll(&cx), census::take(&cx));
    consumed.map(drop)
}

async fn complete(cx: &Context, steps: &Steps) -> anyhow::Result<()> {
    worker::each(cx, QueueName::Monitor, cx.settings.monitor_prefetch, |address| async move {
        match address {
            Address::Monitor { batch } => {
                let completed = steps.monitor(&batch).await?;
                metrics::counter!("drover_batches_completed_total").increment(u64::from(completed));
                Ok(completed)
            }
            // A job of the instance that it started is found by the next wake.
            Address::Timer { timer } => Ok(matches!(cx.store.run_timer(&timer).await?, RunDue::Ran { .. })),
            Address::Seed { .. } | Address::Execute { .. } | Address::Instance { .. } => Ok(false),
        }
    })
    .await
}

async fn bury(cx: &Context, steps: &Steps) -> anyhow::Result<()> {
    worker::each(cx, QueueName::Dead, cx.settings.monitor_prefetch, |address| async move {
        metrics::counter!("drover_dead_letters_total").increment(1);
        tracing::warn!(?address, "a message was given back too often; its row is found by the next wake");
        steps.bury(address).await
    })
    .await
}

async fn wake(cx: &Context, steps: &Steps) {
    let limits = WakeLimits { work: cx.settings.wake_work, instances: cx.settings.wake_instances };
    worker::every(cx, "wake", cx.settings.wake_period, || async {
        let woken = steps.wake(limits).await?;
        let counts = [("work", woken.work.len()), ("instance", woken.instances.len()), ("timer", woken.timers.len())];
        for (kind, count) in counts {
            metrics::counter!("drover_woken_total", "kind" => kind).increment(count as u64);
        }
        let own = woken.instances.len() + woken.timers.len();
        let more = woken.work.len() >= limits.work as usize || own >= limits.instances as usize;
        Ok::<_, store::Error>((counts, more))
    })
    .await;
}

async fn sweep(cx: &Context, steps: &Steps) {
    let remembered = Mutex::new(Sweep::default());
    worker::every(cx, "sweep", cx.settings.sweep_period, || async {
        let stalled = steps.sweep(&mut *remembered.lock().await).await?;
        if stalled > 0 {
            tracing::info!(stalled, "batches that could go on were told to");
        }
        Ok::<_, store::Error>((stalled, false))
    })
    .await;
}

/// Moves the visible due dates of monitor jobs on, as the reference's polling does.
async fn poll(cx: &Context) {
    let poll_time = Millis::try_from(cx.settings.batch_poll_time.as_millis()).unwrap_or(Millis::MAX);
    worker::every(cx, "poll", cx.settings.batch_poll_time, || async {
        let (mut pages, mut polled) = (Pages::default(), 0);
        while let Some(page) = pages.next(&*cx.store).await? {
            polled += page.len();
            for batch in &page {
                cx.store.poll_monitor(batch, poll_time).await?;
            }
        }
        Ok::<_, store::Error>((polled, false))
    })
    .await;
}
