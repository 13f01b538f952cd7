//! How cost grows: ten times and a hundred times as many instances, time per instance of each against the smallest. In the
//! middle of the largest a batch of ten is submitted, and must not wait for it.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::Plan;
use crate::fleet::Fleet;
use crate::herd::Herd;
use crate::report::{Figures, Report, Target};
use crate::{run, usage};

const SMALL_BATCH: u32 = 10;
const LOOK: Duration = Duration::from_millis(100);

fn sizes(plan: &Plan) -> [u32; 3] {
    if plan.quick { [10_000, 30_000, 100_000] } else { [10_000, 100_000, 1_000_000] }
}

/// Gives the largest herd, for what else is measured with it.
pub async fn run(plan: &Plan, fleet: &Fleet, report: &mut Report, wanted: bool) -> Result<Herd> {
    let sizes = sizes(plan);
    fleet.restart("api", &[("INVOCATIONS_PER_BATCH_JOB", "1")])?;
    let mut per_instance = vec![];
    if wanted {
        for size in &sizes[..2] {
            per_instance.push(one_size(plan, fleet, *size, report).await?);
        }
    }
    let mut big = load(fleet, sizes[2]).await?;
    if wanted {
        per_instance.push(largest(fleet, &mut big, report).await?);
        let (smallest, largest) = (per_instance[0].median(), per_instance[2].median());
        report.summed("growth", "growth", "largest against smallest, per instance", "", largest / smallest, Target::AtMost(1.1));
    }
    Ok(big)
}

async fn load(fleet: &Fleet, size: u32) -> Result<Herd> {
    let mut herd = Herd::deploy(&fleet.rest, &format!("bench-growth-{size}")).await?;
    herd.load(&fleet.store, size).await?;
    fleet.store.settle().await?;
    Ok(herd)
}

async fn one_size(plan: &Plan, fleet: &Fleet, size: u32, report: &mut Report) -> Result<Figures> {
    let mut herd = load(fleet, size).await?;
    let status = fleet.status()?;
    let mut seconds = Figures::default();
    for round in 0..=plan.repeat {
        fleet.store.settle().await?;
        let ran = run::migrate(&fleet.rest, &mut herd, &status.processes).await?;
        if round > 0 {
            seconds.0.push(ran.seconds * 1e6 / f64::from(size));
        }
    }
    memory(fleet, size, report)?;
    report.row("growth", format!("{size} instances"), "µs/instance", seconds.clone(), Target::None);
    Ok(seconds)
}

async fn largest(fleet: &Fleet, big: &mut Herd, report: &mut Report) -> Result<Figures> {
    let mut small = Herd::deploy(&fleet.rest, "bench-small").await?;
    small.load(&fleet.store, SMALL_BATCH).await?;
    let status = fleet.status()?;
    let (careful, wakes) = counts(&status).await?;
    let began = Instant::now();
    let batch = run::id_of(&fleet.rest.post("/migration/executeAsync", &big.by_query()).await?)?;
    // In the middle: half of it is done.
    while fleet.rest.count(&format!("/process-instance/count?processDefinitionId={}", big.target())).await? < u64::from(big.size) / 2 {
        tokio::time::sleep(LOOK).await;
    }
    let waited = run::migrate(&fleet.rest, &mut small, &[]).await?.seconds;
    run::finished(&fleet.rest, &batch).await?;
    let seconds = began.elapsed().as_secs_f64() * 1e6 / f64::from(big.size);
    big.moved();
    big.check(&fleet.rest).await?;
    let (careful_after, wakes_after) = counts(&status).await?;
    let runs = f64::from(big.size) / 100.0 + 1.0;
    report.row("growth", format!("{} instances", big.size), "µs/instance", seconds, Target::None);
    report.summed(
        "growth_careful",
        "growth",
        "jobs executed in careful mode meanwhile",
        "jobs",
        careful_after - careful,
        Target::AtMost(0.0),
    );
    report.summed(
        "growth_wakes_per_run",
        "growth",
        "wakes published meanwhile",
        "per run",
        (wakes_after - wakes) / runs,
        Target::AtMost(1.1),
    );
    report.summed("small_batch_s", "growth", "a batch of 10 submitted in the middle", "s", waited, Target::AtMost(5.0));
    memory(fleet, big.size, report)?;
    Ok(seconds.into())
}

async fn counts(status: &crate::fleet::Status) -> Result<(f64, f64)> {
    let careful = status.counted("drover_careful_total", "").await?;
    Ok((careful, status.counted("drover_messages_published_total", "drover.exec").await?))
}

fn memory(fleet: &Fleet, size: u32, report: &mut Report) -> Result<()> {
    for (name, pid) in fleet.status()?.processes {
        if !["postgres", "rabbitmq"].contains(&name.as_str()) {
            let key = format!("peak_mb_{}_{size}", name.replace('-', "_"));
            report.summed(
                &key,
                "growth",
                format!("{size} instances, peak memory of {name}"),
                "MB",
                usage::peak_mb(pid),
                Target::AtMost(100.0),
            );
        }
    }
    Ok(())
}
