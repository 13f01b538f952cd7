//! A process dies at every boundary of every handler (`shared::fail_point::TABLE`), on both stores, and starts again: what
//! was accepted is done, once, and nothing is left.
//!
//! A point is only counted when the process really died there; one that no case comes to fails the test.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests: a failure is a panic")]

mod bed;
mod cases;
mod deeds;
mod herd;
#[path = "../support/mod.rs"]
mod support;

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;

use bed::{Bed, Place};
use cases::Case;
use shared::testing::broker::PrivateBroker;
use shared::testing::figures::show;

/// Cases at once on one file each, and on one virtual host each.
const EMBEDDED_AT_ONCE: usize = 4;
const FLEETS_AT_ONCE: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_point_of_the_embedded_product() {
    run_all("drover serve on SQLite", vec![Place::Embedded; EMBEDDED_AT_ONCE]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_point_of_a_fleet() {
    let broker = PrivateBroker::start().await.unwrap();
    let hosts = broker.virtual_hosts(FLEETS_AT_ONCE).await.unwrap();
    let places = hosts.into_iter().map(|url| Place::Fleet { amqp: url.expose().to_owned() }).collect();
    run_all("four processes on PostgreSQL and RabbitMQ", places).await;
}

/// The case named by `CRASH_POINT` alone, else all.
fn chosen() -> VecDeque<Case> {
    let only = std::env::var("CRASH_POINT").ok();
    cases::all().into_iter().filter(|case| only.as_ref().is_none_or(|only| case.point.starts_with(only))).collect()
}

async fn run_all(what: &str, places: Vec<Place>) {
    let begun = Instant::now();
    let cases = Mutex::new(chosen());
    let total = cases.lock().unwrap().len();
    let lane = async |place: Place| {
        let mut failed = vec![];
        loop {
            let Some(case) = cases.lock().unwrap().pop_front() else { return failed };
            if let Err(why) = run(&case, &place).await {
                failed.push(format!("{}: {why}", case.point));
            }
        }
    };
    let failed = futures::future::join_all(places.into_iter().map(lane)).await.concat();
    assert!(
        failed.is_empty(),
        "{what}: {} of {total} points failed (run one alone with CRASH_POINT=name)\n{}",
        failed.len(),
        failed.join("\n")
    );
    let took = begun.elapsed().as_secs();
    show(&format!("crash points, {what}: {total} points, a death and a restart at each, all invariants held ({took} s)"));
}

async fn run(case: &Case, place: &Place) -> Result<(), String> {
    let mut bed = Bed::new(place).await;
    let herd = herd::Herd::prepare(&bed.database).await;
    let done = bed.live_through(case, &herd).await;
    let verdict = match done {
        Ok(()) => herd.judge(case.deed, &bed.database).await,
        Err(why) => Err(why),
    };
    let words = if verdict.is_err() { bed.last_words() } else { String::new() };
    bed.remove().await;
    verdict.map_err(|why| format!("{why}\n{words}"))
}
