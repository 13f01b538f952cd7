//! `./bench`: how fast Drover is on this machine, and against its floor. One command, one run, a table and a JSON file.
//!
//! Every part measures real processes from outside: time from the POST to the finished batch, CPU and memory from `/proc`.
//! What the parts are and what the numbers mean stands in docs/performance.md.

#![expect(clippy::disallowed_methods, reason = "no part of the product: it measures by the wall clock, spawns and reads its own settings")]

mod embedded;
mod fleet;
mod floor;
mod herd;
mod model;
mod parts;
mod prototype;
mod pure;
mod report;
mod rest;
mod run;
mod usage;

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Parser;

use crate::report::Report;

/// Measures Drover on this machine.
#[derive(Parser)]
#[command(name = "./bench", version)]
struct Arguments {
    /// Fewer instances, for a first look: 30,000 where it is 100,000, and no million
    #[arg(long)]
    quick: bool,
    /// Where the figures are written as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only these parts, in their own order
    #[arg(long, value_name = "NAME", num_args = 1.., value_parser = clap::builder::PossibleValuesParser::new(parts::NAMES))]
    only: Vec<String>,
    /// Measurements of each figure; the median is told
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=99))]
    repeat: u32,
    /// Instances of the parts that compare with the floor [default: 100,000; quick: 30,000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(500..=10_000_000))]
    instances: Option<u32>,
}

/// What all parts share.
pub struct Plan {
    pub quick: bool,
    pub repeat: u32,
    pub instances: u32,
    /// The root of the repository.
    pub root: PathBuf,
    /// Where the data of this run lies.
    pub dir: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let instances = arguments.instances.unwrap_or(if arguments.quick { 30_000 } else { 100_000 });
    let root = PathBuf::from(variable("BENCH_ROOT").context("start it as ./bench")?);
    let dir = PathBuf::from(variable("FLEET_DIR").unwrap_or_else(|| format!("/var/tmp/drover-bench-{}", std::process::id())));
    let plan = Plan { quick: arguments.quick, repeat: arguments.repeat, instances, root, dir };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut report = Report::new(arguments.quick);
    let measured = runtime.block_on(parts::run(&plan, &arguments.only, &mut report));
    report.print();
    if let Some(file) = &arguments.json {
        std::fs::write(file, format!("{:#}\n", report.json())).with_context(|| format!("failed to write {}", file.display()))?;
    }
    measured
}

/// A variable of the environment, if it is set.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
