//! The embedded product on its file: end to end against its own floor, start-up, idle memory.

use std::sync::Arc;

use anyhow::Result;

use super::KS;
use crate::Plan;
use crate::embedded::{Embedded, close};
use crate::herd::Herd;
use crate::report::{Figures, Report, Target};
use crate::{floor, run, usage};

const IDLE_S: u64 = 5;

pub async fn run(plan: &Plan, report: &mut Report) -> Result<()> {
    let product = Embedded::new(plan, "embedded")?;
    startup(plan, &product, report).await?;
    let running = product.start(&[]).await?;
    let mut herd = Herd::deploy(&running.rest, "bench-embedded").await?;
    running.stop().await?;
    let store = product.store().await?;
    herd.load(&store, plan.instances).await?;
    close(store).await;

    let none = || vec![Figures::default(); KS.len()];
    let (mut floors, mut rates, mut cpu) = (none(), none(), none());
    let mut peak: f64 = 0.0;
    for round in 0..=plan.repeat {
        for (at, k) in KS.into_iter().enumerate() {
            let store = Arc::new(product.store().await?);
            let best = floor::best(&store, &mut herd, &[1]).await?;
            close(Arc::into_inner(store).expect("the floor is over")).await;
            let running = product.start(&[("INVOCATIONS_PER_BATCH_JOB", &k.to_string())]).await?;
            let ran = run::migrate(&running.rest, &mut herd, &[("drover".to_owned(), running.pid())]).await?;
            peak = peak.max(usage::peak_mb(running.pid()));
            running.stop().await?;
            if round > 0 {
                floors[at].0.push(best);
                rates[at].0.push(f64::from(herd.size) / ran.seconds);
                cpu[at].0.push(ran.cpu_us(herd.size));
            }
        }
    }
    report.summed(
        "embedded_floor_per_s",
        "embedded",
        "floor (SQLite)",
        "instances/s",
        Figures(floors.iter().flat_map(|f| f.0.clone()).collect()),
        Target::None,
    );
    for (((k, rate), cpu), floors) in KS.into_iter().zip(rates).zip(cpu).zip(floors) {
        let target = Target::AtLeast(if k == 1 { 0.6 } else { 0.7 });
        report.summed(
            &format!("embedded_per_s_k{k}"),
            "embedded",
            format!("K = {k}, end to end"),
            "instances/s",
            rate.clone(),
            Target::None,
        );
        report.summed(&format!("embedded_ratio_k{k}"), "embedded", format!("K = {k}, share of the floor"), "", rate.by(&floors), target);
        report.row("embedded", format!("K = {k}, CPU"), "µs/instance", cpu, Target::None);
    }
    report.row("embedded", "peak memory", "MB", peak, Target::None);
    Ok(())
}

async fn startup(plan: &Plan, product: &Embedded, report: &mut Report) -> Result<()> {
    let mut first = Figures::default();
    let mut idle = 0.0;
    for _ in 0..plan.repeat {
        let running = product.start(&[]).await?;
        first.0.push(running.first_answer.as_secs_f64());
        if idle == 0.0 {
            tokio::time::sleep(std::time::Duration::from_secs(IDLE_S)).await;
            idle = usage::now_mb(running.pid());
        }
        running.stop().await?;
    }
    report.summed("start_s", "embedded", "start to first answer", "s", first, Target::AtMost(0.5));
    report.summed("idle_mb", "embedded", "memory when idle", "MB", idle, Target::AtMost(60.0));
    Ok(())
}
