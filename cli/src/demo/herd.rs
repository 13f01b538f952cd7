//! The instances of the demo: spread over the wait states of the order process.

use shared::process::value::TypedValue;
use shared::runner::command::StartKind;
use shared::runner::{Command, StartInstruction};
use shared::store::NewInstance;

/// Where an instance's tokens begin. Payment and packing go on side by side.
const SPREAD: [&[&str]; 7] = [
    &["checkStock"],
    &["requestPayment", "packGoods"],
    &["requestPayment", "printLabel"],
    &["confirmPayment", "packGoods"],
    &["confirmPayment", "printLabel"],
    &["checkStock"],
    &["handOver"],
];
/// Version 2 has neither of these: their instances cannot be migrated.
const STRAYS: [&str; 3] = ["creditCheck", "creditCheck", "callSupplier"];
/// Different wait states that the herd stands at.
pub const PLACES: usize = 8;

pub fn instances(definition_id: &str, count: u32) -> Vec<NewInstance> {
    (0..count as usize)
        .map(|n| {
            let at: &[&str] = if n < STRAYS.len() { std::slice::from_ref(&STRAYS[n]) } else { SPREAD[n % SPREAD.len()] };
            NewInstance {
                definition_id: definition_id.to_owned(),
                business_key: Some(format!("order-{:05}", n + 1)),
                start: Command::Start {
                    variables: vec![("total".into(), TypedValue::integer(10 + (n as i64 * 37) % 900))],
                    instructions: at.iter().map(|activity| before(activity)).collect(),
                    start_event: None,
                    skip_custom_listeners: false,
                    skip_io_mappings: false,
                },
            }
        })
        .collect()
}

fn before(activity: &str) -> StartInstruction {
    StartInstruction { kind: StartKind::BeforeActivity, target: activity.to_owned(), ancestor_activity_instance: None, variables: vec![] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_herd_stands_at_as_many_places_as_is_said() {
        let mut places: Vec<&str> = SPREAD.iter().flat_map(|at| at.iter().copied()).chain(STRAYS).collect();
        places.sort_unstable();
        places.dedup();
        assert_eq!(places.len(), PLACES);
    }
}
