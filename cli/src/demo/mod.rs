//! `drover demo`: a whole migration with live progress, over the product's own HTTP interface.
//!
//! Nothing in it is a stand-in: two versions of an order process are deployed, instances are started on the first, a batch
//! moves them by query, and three fail for a true reason: they wait where the second version has nothing.

mod client;
mod herd;
mod progress;

use std::io::IsTerminal;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use shared::config::Login;
use shared::store::Caller;
use tokio::time::Instant;

use crate::serve::Serving;
use client::Client;

/// Groups of failures shown.
const SHOWN_GROUPS: u32 = 10;
/// The demo gives up waiting for its batch after this.
const PATIENCE: Duration = Duration::from_secs(300);

pub const ORDER_V1: &str = include_str!("../../demo/order-v1.bpmn");
pub const ORDER_V2: &str = include_str!("../../demo/order-v2.bpmn");

#[derive(clap::Args, Clone, Debug)]
pub struct DemoArgs {
    /// Instances to start on the first version
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    pub instances: u32,
    /// End after the migration instead of serving its data
    #[arg(long)]
    pub exit: bool,
}

/// Runs the demo against a server that is up. Gives the batch's id.
///
/// # Errors
/// When anything does not go as it should: the demo is also a test.
pub async fn run(serving: &Serving, args: &DemoArgs) -> Result<String> {
    let client = Client::new(&serving.url, Login::from_environment()?);
    let begun = Instant::now();
    let v1 = client.deploy("order-v1.bpmn", ORDER_V1).await?;
    let v2 = client.deploy("order-v2.bpmn", ORDER_V2).await?;
    println!("Deployed two versions of the process “Order”: {v1} and {v2}.");

    let instances = herd::instances(&v1, args.instances);
    let started = serving.store.start_many(&Caller::anonymous(), instances).await.context("failed to start the instances")?;
    println!(
        "Started {} instances on version 1, waiting at {} places ({:.1} s).\n",
        started.len(),
        herd::PLACES,
        begun.elapsed().as_secs_f64()
    );

    let plan = plan(&client, &v1, &v2).await?;
    let begun = Instant::now();
    let order = json!({"migrationPlan": plan, "processInstanceQuery": {"processDefinitionId": v1}});
    let batch = client.post("/migration/executeAsync", &order).await.context("failed to submit the batch")?;
    let id = batch["id"].as_str().context("the batch has no id")?.to_owned();
    println!("POST /migration/executeAsync: batch {id}, {} jobs.", batch["totalJobs"]);

    progress::follow(&client, &id, &batch["totalJobs"], std::io::stderr().is_terminal(), PATIENCE).await?;
    outcome(serving, &client, &batch, &v2, begun.elapsed()).await?;
    Ok(id)
}

/// The plan that the server generates, and what only a person knows: that handing over has become shipping.
async fn plan(client: &Client, v1: &str, v2: &str) -> Result<Value> {
    let order = json!({"sourceProcessDefinitionId": v1, "targetProcessDefinitionId": v2});
    let mut plan = client.post("/migration/generate", &order).await.context("failed to generate a plan")?;
    let instructions = plan["instructions"].as_array_mut().context("the plan has no instructions")?;
    let generated = instructions.len();
    instructions.push(json!({"sourceActivityIds": ["handOver"], "targetActivityIds": ["ship"], "updateEventTrigger": false}));
    let report = client.post("/migration/validate", &plan).await.context("failed to validate the plan")?;
    anyhow::ensure!(report["instructionReports"] == json!([]), "the plan is not valid: {report}");
    println!("Plan: {generated} equal activities mapped, “handOver” becomes “ship”; “creditCheck” and “callSupplier” have no counterpart.");
    Ok(plan)
}

async fn outcome(serving: &Serving, client: &Client, batch: &Value, v2: &str, took: Duration) -> Result<()> {
    let id = batch["id"].as_str().unwrap_or_default();
    let migrated = client.get(&format!("/process-instance/count?processDefinitionId={v2}")).await?["count"].as_u64().unwrap_or(0);
    let groups = serving.store.failure_groups(&Caller::anonymous(), id, SHOWN_GROUPS).await.context("failed to read the failures")?;
    let failed: u64 = groups.iter().map(|group| group.instances).sum();
    println!("\n{migrated} migrated, {failed} failed, in {:.1} s.", took.as_secs_f64());
    for group in &groups {
        println!("\n  {} × {}", group.instances, group.reason);
        for line in group.message.lines() {
            println!("      {}", line.trim());
        }
    }
    let root = format!("{}/engine-rest", serving.url);
    let definition = batch["batchJobDefinitionId"].as_str().unwrap_or_default();
    println!("\nLook further:");
    println!("  curl '{root}/batch/statistics?batchId={id}'                       # the batch, still open: failed jobs wait for you");
    println!("  curl '{root}/job?jobDefinitionId={definition}&noRetriesLeft=true' # its failed jobs, each with its message");
    println!("  curl '{root}/incident?jobDefinitionIdIn={definition}'             # the incidents");
    println!(
        "  curl -X PUT -H 'Content-Type: application/json' -d '{{\"retries\": 1}}' '{root}/job-definition/{definition}/retries'   # try them again"
    );
    println!("  curl -X DELETE '{root}/batch/{id}?cascade=true'                   # give them up");
    Ok(())
}
