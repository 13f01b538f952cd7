//! How cost grows: ten times and a hundred times as many instances, time per instance of the largest against the smallest, which
//! are measured by turns. In the middle of the largest a batch of ten is submitted, and must not wait for it.

use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::Plan;
use crate::fleet::{Fleet, Status};
use crate::herd::Herd;
use crate::report::{Figures, Report, Target};
use crate::{run, usage};

const SMALL_BATCH: u32 = 10;
/// Batches of the smallest size in a round beside the largest: one alone is over in less than half a second.
const SMALL_BATCHES: u32 = 5;
/// How often a batch is asked whether it is in its middle.
const LOOK: Duration = Duration::from_millis(100);

fn sizes(plan: &Plan) -> [u32; 3] {
    if plan.quick { [10_000, 30_000, 100_000] } else { [10_000, 100_000, 1_000_000] }
}

/// Of all rounds of one size, an instance.
#[derive(Default)]
struct Measured {
    us: Figures,
    cpu_us: Figures,
    database_cpu_us: Figures,
}

/// Gives the largest herd, for what else is measured with it.
pub async fn run(plan: &Plan, fleet: &Fleet, report: &mut Report, wanted: bool) -> Result<Herd> {
    let [small, middle, largest] = sizes(plan);
    fleet.restart("api", &[("INVOCATIONS_PER_BATCH_JOB", "1")])?;
    if !wanted {
        return load(fleet, largest).await;
    }
    let mut small = load(fleet, small).await?;
    alone(plan, fleet, &mut small, report).await?;
    let mut middle = load(fleet, middle).await?;
    alone(plan, fleet, &mut middle, report).await?;
    let mut big = load(fleet, largest).await?;
    against_each_other(plan, fleet, &mut small, &mut big, report).await?;
    small_in_the_middle(fleet, &mut big, report).await?;
    memory(fleet, largest, report)?;
    Ok(big)
}

async fn load(fleet: &Fleet, size: u32) -> Result<Herd> {
    let mut herd = Herd::deploy(&fleet.rest, &format!("bench-growth-{size}")).await?;
    herd.load(&fleet.store, size).await?;
    Ok(herd)
}

/// A size with nothing larger in the database.
async fn alone(plan: &Plan, fleet: &Fleet, herd: &mut Herd, report: &mut Report) -> Result<()> {
    let mut measured = Measured::default();
    for round in 0..=plan.repeat {
        measured.round(round, fleet, herd, 1).await?;
    }
    // Before anything larger has run: a process's peak is of its whole life.
    memory(fleet, herd.size, report)?;
    measured.tell(herd.size, "alone", report);
    Ok(())
}

/// The smallest and the largest by turns, in one database: a core's speed changes from minute to minute.
async fn against_each_other(plan: &Plan, fleet: &Fleet, small: &mut Herd, big: &mut Herd, report: &mut Report) -> Result<()> {
    let (mut of_small, mut of_big) = (Measured::default(), Measured::default());
    for round in 0..=plan.repeat {
        of_small.round(round, fleet, small, SMALL_BATCHES).await?;
        of_big.round(round, fleet, big, 1).await?;
    }
    let growth = of_big.us.by(&of_small.us);
    of_small.tell(small.size, "by turns", report);
    of_big.tell(big.size, "by turns", report);
    report.summed("growth", "growth", "largest against smallest, per instance", "", growth, Target::AtMost(1.1));
    Ok(())
}

impl Measured {
    /// All of the herd, so many times. The first round only warms up.
    async fn round(&mut self, round: u32, fleet: &Fleet, herd: &mut Herd, times: u32) -> Result<()> {
        let processes = fleet.status()?.processes;
        fleet.store.settle().await?;
        let (mut seconds, mut cpu, mut database) = (0.0, 0.0, 0.0);
        for _ in 0..times {
            let ran = run::migrate(&fleet.rest, herd, &processes).await?;
            seconds += ran.seconds;
            cpu += ran.cpu.values().sum::<f64>();
            database += ran.cpu.get("postgres").copied().unwrap_or_default();
        }
        if round > 0 {
            let us = 1e6 / (f64::from(herd.size) * f64::from(times));
            self.us.0.push(seconds * us);
            self.cpu_us.0.push(cpu * us);
            self.database_cpu_us.0.push(database * us);
        }
        Ok(())
    }

    fn tell(self, size: u32, how: &str, report: &mut Report) {
        let mut row =
            |what: &str, figures| report.row("growth", format!("{size} instances {how}{what}"), "µs/instance", figures, Target::None);
        row("", self.us);
        row(", CPU, all processes", self.cpu_us);
        row(", CPU of postgres", self.database_cpu_us);
    }
}

async fn small_in_the_middle(fleet: &Fleet, big: &mut Herd, report: &mut Report) -> Result<()> {
    let mut small = Herd::deploy(&fleet.rest, "bench-small").await?;
    small.load(&fleet.store, SMALL_BATCH).await?;
    let status = fleet.status()?;
    fleet.store.settle().await?;
    let (careful, wakes) = counts(&status).await?;
    let batch = run::id_of(&fleet.rest.post("/migration/executeAsync", &big.by_query()).await?)?;
    run::until(LOOK, &batch, async || is_half_done(fleet, &batch).await).await?;
    let waited = run::migrate(&fleet.rest, &mut small, &[]).await?.seconds;
    run::finished(&fleet.rest, &batch).await?;
    big.moved();
    big.check(&fleet.rest).await?;
    let (careful_after, wakes_after) = counts(&status).await?;
    let runs = f64::from(big.size) / 100.0 + 1.0;
    let (careful, wakes) = (careful_after - careful, (wakes_after - wakes) / runs);
    report.summed("growth_careful", "growth", "jobs executed in careful mode meanwhile", "jobs", careful, Target::AtMost(0.0));
    report.summed("growth_wakes_per_run", "growth", "wakes published meanwhile", "per run", wakes, Target::AtMost(1.1));
    report.summed("small_batch_s", "growth", "a batch of 10 submitted in the middle", "s", waited, Target::AtMost(5.0));
    Ok(())
}

/// Is half of the batch done? Its own numbers are asked: to count instances by definition is work for the database that grows
/// with the batch, and would be measured with it.
async fn is_half_done(fleet: &Fleet, batch: &str) -> Result<bool> {
    let statistics = fleet.rest.get(&format!("/batch/statistics?batchId={batch}")).await?;
    let number = |name: &str| statistics[0][name].as_u64().with_context(|| format!("batch {batch} has no {name}"));
    Ok(2 * number("completedJobs")? >= number("totalJobs")?)
}

async fn counts(status: &Status) -> Result<(f64, f64)> {
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
