//! More exec-workers: on two cores that cannot show with the database beside them, so it is measured twice, as it is and with
//! transactions that take as long as on a slower database (each sleeps outside any lock).

use anyhow::Result;

use crate::Plan;
use crate::fleet::Fleet;
use crate::herd::Herd;
use crate::report::{Figures, Report, Target};
use crate::run;

const SLOW: (&str, &str) = ("BENCH_SLOW_INSTANCE", "2ms");
const K: (&str, &str) = ("INVOCATIONS_PER_BATCH_JOB", "10");

pub async fn run(plan: &Plan, fleet: &Fleet, report: &mut Report) -> Result<()> {
    let mut herd = Herd::deploy(&fleet.rest, "bench-scaling").await?;
    herd.load(&fleet.store, plan.instances.min(30_000)).await?;
    fleet.restart("api", &[K])?;
    for workers in [1, 2] {
        let rate = rate(plan, fleet, &mut herd, workers, &[]).await?;
        report.row("scaling", format!("{workers} exec-workers"), "instances/s", rate, Target::None);
    }
    let mut one = Figures::default();
    for workers in [1, 2, 4, 8] {
        let rate = rate(plan, fleet, &mut herd, workers, &[SLOW]).await?;
        report.row("scaling", format!("slow mode, {workers} exec-workers"), "instances/s", rate.clone(), Target::None);
        if workers == 1 {
            one = rate;
        } else {
            let target = if workers == 4 { Target::AtLeast(3.6) } else { Target::None };
            let times = rate.median() / one.median();
            report.summed(&format!("scale_{workers}"), "scaling", format!("slow mode, {workers} against 1"), "times", times, target);
        }
    }
    fleet.scale("exec-worker", 0, &[])?;
    fleet.scale("exec-worker", 1, &[])
}

async fn rate(plan: &Plan, fleet: &Fleet, herd: &mut Herd, workers: u32, settings: &[(&str, &str)]) -> Result<Figures> {
    fleet.scale("exec-worker", 0, &[])?;
    fleet.scale("exec-worker", workers, settings)?;
    fleet.store.settle().await?;
    // Slow runs take long, and their spread is small.
    let rounds = if settings.is_empty() { plan.repeat } else { 1 };
    let mut rates = Figures::default();
    for _ in 0..rounds {
        let ran = run::migrate(&fleet.rest, herd, &[]).await?;
        rates.0.push(f64::from(herd.size) / ran.seconds);
    }
    Ok(rates)
}
