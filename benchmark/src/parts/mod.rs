//! The parts of a run, each of which can be run alone.

mod callers;
mod embedded;
mod end_to_end;
mod growth;
mod idle;
mod scaling;
mod submission;

use anyhow::Result;

use crate::Plan;
use crate::fleet::Fleet;
use crate::report::Report;

/// Their names, in the order in which they run.
pub const NAMES: [&str; 8] = ["fleet", "embedded", "growth", "submission", "scaling", "execute", "start", "idle"];
/// What `invocationsPerBatchJob` is measured at.
pub const KS: [u32; 3] = [1, 10, 100];

/// Runs the parts that are asked for (none: all).
pub async fn run(plan: &Plan, only: &[String], report: &mut Report) -> Result<()> {
    let wanted = |name: &str| only.is_empty() || only.iter().any(|part| part == name);
    if wanted("embedded") {
        embedded::run(plan, report).await?;
    }
    if !NAMES.iter().any(|name| *name != "embedded" && wanted(name)) {
        return Ok(());
    }
    let fleet = Fleet::up(plan).await?;
    if wanted("idle") {
        idle::run(&fleet, report).await?;
    }
    if wanted("fleet") {
        end_to_end::run(plan, &fleet, report).await?;
    }
    if wanted("execute") {
        callers::execute(plan, &fleet, report).await?;
    }
    if wanted("start") {
        callers::start(plan, &fleet, report).await?;
    }
    if wanted("scaling") {
        scaling::run(plan, &fleet, report).await?;
    }
    if wanted("growth") || wanted("submission") {
        let big = growth::run(plan, &fleet, report, wanted("growth")).await?;
        if wanted("submission") {
            submission::run(&fleet, big, report).await?;
        }
    }
    Ok(())
}
