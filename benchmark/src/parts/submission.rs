//! Submitting a very large batch: by query and by a body of ids. Time, and by how much the API's memory grows.

use std::time::Instant;

use anyhow::Result;

use crate::fleet::Fleet;
use crate::herd::Herd;
use crate::report::{Figures, Report, Target};
use crate::{run, usage};

const ROUNDS: usize = 3;
/// Instances of a chunk at K = 1.
const CHUNK: u64 = 100;

pub async fn run(fleet: &Fleet, big: Herd, report: &mut Report) -> Result<()> {
    // Nothing is to run meanwhile: only what the POST itself costs.
    fleet.scale("seed-worker", 0, &[])?;
    let measured = measure(fleet, &big, report).await;
    fleet.scale("seed-worker", 1, &[])?;
    measured
}

async fn measure(fleet: &Fleet, big: &Herd, report: &mut Report) -> Result<()> {
    let (mut bare, mut query, mut body) = (Figures::default(), Figures::default(), Figures::default());
    let (mut query_mb, mut body_mb) = (Figures::default(), Figures::default());
    let text = big.by_ids(&big.ids);
    let size_mb = text.len() as f64 / 1e6;
    for _ in 0..ROUNDS {
        fleet.store.settle().await?;
        let began = Instant::now();
        fleet.store.bare_chunks(big.source(), CHUNK).await?;
        bare.0.push(began.elapsed().as_secs_f64());
        fleet.store.settle().await?;
        let (seconds, mb) = submit(fleet, big.by_query().to_string()).await?;
        query.0.push(seconds);
        query_mb.0.push(mb);
        let (seconds, mb) = submit(fleet, text.clone()).await?;
        body.0.push(seconds);
        body_mb.0.push(mb);
    }
    let n = big.size;
    report.row("submission", format!("bare INSERT … SELECT of {n}"), "s", bare.clone(), Target::None);
    report.row("submission", format!("{n} by query"), "s", query.clone(), Target::None);
    report.summed("submit_query_ratio", "submission", "by query, against the bare statement", "", query.by(&bare), Target::AtMost(1.5));
    report.summed("submit_query_mb", "submission", "by query, API memory grows by", "MB", query_mb, Target::AtMost(50.0));
    report.summed("submit_body_s", "submission", format!("{n} ids in a body of {size_mb:.0} MB"), "s", body, Target::AtMost(10.0));
    report.summed("submit_body_mb", "submission", "by body, API memory grows by", "MB", body_mb, Target::AtMost(150.0));
    Ok(())
}

/// Seconds, and MB by which the API's peak lies above what it had before.
async fn submit(fleet: &Fleet, body: String) -> Result<(f64, f64)> {
    fleet.restart("api", &[("INVOCATIONS_PER_BATCH_JOB", "1")])?;
    let api = fleet.status()?.of("api").into_iter().next().unwrap_or_default();
    usage::reset_peak(api);
    let before = usage::now_mb(api);
    let began = Instant::now();
    let batch = run::id_of(&fleet.rest.post_text("/migration/executeAsync", body).await?)?;
    let seconds = began.elapsed().as_secs_f64();
    let grown = usage::peak_mb(api) - before;
    fleet.rest.delete(&format!("/batch/{batch}?cascade=true")).await?;
    Ok((seconds, grown))
}
