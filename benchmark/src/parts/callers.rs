//! What callers wait for: the synchronous `execute`, and starting instances.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use futures::stream::{StreamExt, TryStreamExt};
use serde_json::json;

use crate::Plan;
use crate::fleet::Fleet;
use crate::herd::Herd;
use crate::report::{Figures, Report, Target};
use crate::{floor, model};

/// Ids of one `execute`.
const IDS: usize = 100;
const EXECUTE_CALLERS: usize = 8;
const START_CALLERS: usize = 16;

pub async fn execute(plan: &Plan, fleet: &Fleet, report: &mut Report) -> Result<()> {
    let mut herd = Herd::deploy(&fleet.rest, "bench-execute").await?;
    herd.load(&fleet.store, plan.instances.min(30_000)).await?;
    let store = Arc::new(fleet.second_store().await?);
    let (mut floors, mut rates) = (Figures::default(), Figures::default());
    for round in 0..=plan.repeat {
        let best = floor::best(&store, &mut herd, &[1, 2]).await?;
        store.settle().await?;
        let bodies: Vec<String> = herd.ids.chunks(IDS).map(|ids| herd.by_ids(ids)).collect();
        let began = Instant::now();
        futures::stream::iter(bodies)
            .map(|body| fleet.rest.post_text("/migration/execute", body))
            .buffer_unordered(EXECUTE_CALLERS)
            .try_collect::<Vec<_>>()
            .await?;
        let rate = f64::from(herd.size) / began.elapsed().as_secs_f64();
        herd.moved();
        herd.check(&fleet.rest).await?;
        if round > 0 {
            floors.0.push(best);
            rates.0.push(rate);
        }
    }
    report.row("execute", "100 ids, 8 callers", "instances/s", rates.clone(), Target::None);
    report.summed("execute_ratio", "execute", "share of the floor", "", rates.by(&floors), Target::AtLeast(0.5));
    Ok(())
}

pub async fn start(plan: &Plan, fleet: &Fleet, report: &mut Report) -> Result<()> {
    let definition = fleet.rest.deploy("bench-start", &model::xml("bench-start", 1)).await?;
    let path = format!("/process-definition/{definition}/start");
    let each = if plan.quick { 2_000 } else { 10_000 };
    let mut rates = Figures::default();
    for round in 0..=plan.repeat {
        let body = |n: u32| json!({ "businessKey": format!("start-{n}"), "variables": { "total": { "value": n, "type": "Integer" } } });
        let began = Instant::now();
        futures::stream::iter(0..each)
            .map(|n| {
                let (body, path) = (body(n), &path);
                async move { fleet.rest.post(path, &body).await }
            })
            .buffer_unordered(START_CALLERS)
            .try_collect::<Vec<_>>()
            .await?;
        if round > 0 {
            rates.0.push(f64::from(each) / began.elapsed().as_secs_f64());
        }
    }
    report.summed("start_per_s", "start", "start, 16 callers", "instances/s", rates, Target::None);
    Ok(())
}
