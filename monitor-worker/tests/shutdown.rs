//! The process as its orchestrator sees it.

use shared::queue::{Address, Message, QueueName};
use shared::testing::process::{a_worker_stops_as_asked, a_worker_waits_for_what_is_away};

const BINARY: &str = env!("CARGO_BIN_EXE_monitor-worker");

#[tokio::test]
async fn it_finishes_what_it_has_in_hand_and_ends_at_once_when_asked_twice() {
    let message = Message::to(Address::Monitor { batch: "00000000-0000-7000-8000-000000000000".into() });
    a_worker_stops_as_asked(BINARY, QueueName::Monitor, message).await;
}

#[tokio::test]
async fn it_waits_for_a_database_and_a_broker_that_are_away() {
    a_worker_waits_for_what_is_away(BINARY).await;
}
