//! Through the fleet: from the POST to the finished batch, at several `invocationsPerBatchJob`, against the floor of the
//! same round.

use std::collections::BTreeMap;

use anyhow::Result;

use super::KS;
use crate::Plan;
use crate::fleet::Fleet;
use crate::herd::Herd;
use crate::prototype::{self, Prototype};
use crate::report::{Figures, Report, Target};
use crate::{floor, pure, run, usage};

/// Targets of the share of the floor.
fn share(k: u32) -> Target {
    Target::AtLeast(if k == 1 { 0.6 } else { 0.7 })
}

fn cpu_target(k: u32) -> Target {
    match k {
        1 => Target::AtMost(80.0),
        100 => Target::AtMost(60.0),
        _ => Target::None,
    }
}

/// How fast this machine is just now, apart from Drover.
#[derive(Default)]
struct Machine {
    yardstick: Figures,
    prototype: Figures,
    prototype_cpu: Figures,
}

#[derive(Default)]
struct Measured {
    rate: Figures,
    /// Measured right before.
    floor: Figures,
    cpu: Figures,
    by_name: BTreeMap<String, Figures>,
    wakes: Figures,
}

pub async fn run(plan: &Plan, fleet: &Fleet, report: &mut Report) -> Result<()> {
    let mut herd = Herd::deploy(&fleet.rest, "bench-fleet").await?;
    herd.load(&fleet.store, plan.instances).await?;
    let store = std::sync::Arc::new(fleet.second_store().await?);
    let status = fleet.status()?;
    let mut prototype = Prototype::load(&status.database, plan.instances).await?;
    let mut machine = Machine::default();
    let mut measured: Vec<Measured> = KS.iter().map(|_| Measured::default()).collect();
    for round in 0..=plan.repeat {
        for (k, measured) in KS.into_iter().zip(&mut measured) {
            let (us, bare) = (pure::yardstick_us(), prototype.best(status.of("postgres")[0]).await?);
            let best = floor::best(&store, &mut herd, &[1, 2]).await?;
            fleet.restart("api", &[("INVOCATIONS_PER_BATCH_JOB", &k.to_string())])?;
            store.settle().await?;
            let status = fleet.status()?;
            let before = status.counted("drover_messages_published_total", "drover.exec").await?;
            let ran = run::migrate(&fleet.rest, &mut herd, &status.processes).await?;
            // The first round only warms up: caches, plans, the file system.
            if round == 0 {
                continue;
            }
            machine.yardstick.0.push(us);
            machine.prototype.0.push(bare.per_second);
            machine.prototype_cpu.0.push(bare.cpu_us);
            measured.floor.0.push(best);
            let runs = f64::from(herd.size) / f64::from(k.max(100));
            measured.wakes.0.push((status.counted("drover_messages_published_total", "drover.exec").await? - before) / runs);
            measured.rate.0.push(f64::from(herd.size) / ran.seconds);
            measured.cpu.0.push(ran.cpu_us(herd.size));
            for (name, used) in &ran.cpu {
                measured.by_name.entry(name.clone()).or_default().0.push(used * 1e6 / f64::from(herd.size));
            }
        }
    }
    prototype.drop().await?;
    let careful = fleet.status()?.counted("drover_careful_total", "").await?;
    tell(report, machine, &measured);
    report.summed("careful", "fleet", "jobs executed in careful mode", "jobs", careful, Target::AtMost(0.0));
    for (name, pid) in fleet.status()?.processes {
        report.row("fleet", format!("peak memory of {name}"), "MB", usage::peak_mb(pid), Target::None);
    }
    Ok(())
}

/// The floor's target is for a machine that is as fast as the one where it was set.
fn floor_target(prototype: &Figures) -> Target {
    if prototype.median() >= prototype::FAST { Target::AtLeast(30_000.0) } else { Target::None }
}

fn tell(report: &mut Report, machine: Machine, measured: &[Measured]) {
    let floors = Figures(measured.iter().flat_map(|measured| measured.floor.0.clone()).collect());
    let target = floor_target(&machine.prototype);
    report.summed("yardstick_us", "fleet", "yardstick: pure code of an instance, one core", "µs", machine.yardstick, Target::None);
    report.summed("prototype_per_s", "fleet", "prototype: bare rows in PostgreSQL", "instances/s", machine.prototype, Target::None);
    report.summed("prototype_cpu_us", "fleet", "prototype, CPU, both processes", "µs/instance", machine.prototype_cpu, Target::None);
    report.summed("floor_per_s", "fleet", "floor (PostgreSQL)", "instances/s", floors, target);
    for (k, measured) in KS.into_iter().zip(measured) {
        report.summed(
            &format!("fleet_per_s_k{k}"),
            "fleet",
            format!("K = {k}, end to end"),
            "instances/s",
            measured.rate.clone(),
            Target::None,
        );
        report.summed(
            &format!("floor_ratio_k{k}"),
            "fleet",
            format!("K = {k}, share of the floor"),
            "",
            measured.rate.by(&measured.floor),
            share(k),
        );
        report.summed(
            &format!("cpu_us_k{k}"),
            "fleet",
            format!("K = {k}, CPU, all processes"),
            "µs/instance",
            measured.cpu.clone(),
            cpu_target(k),
        );
        for (name, used) in &measured.by_name {
            report.row("fleet", format!("K = {k}, CPU of {name}"), "µs/instance", used.clone(), Target::None);
        }
        let key = format!("wakes_per_run_k{k}");
        report.summed(&key, "fleet", format!("K = {k}, wakes published"), "per run", measured.wakes.clone(), Target::AtMost(1.1));
    }
}
