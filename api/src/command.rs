//! One command on one instance, and the publishing after it.

use shared::runner::Command;
use shared::store::CommandOutcome;

use crate::error::ApiError;
use crate::extract::Ask;

/// Runs the command; None: no such instance for this caller.
///
/// # Errors
/// The store's, a refusal among them.
pub async fn run(ask: &Ask, instance: &str, command: Command) -> Result<Option<CommandOutcome>, ApiError> {
    let outcome = ask.store().command(&ask.caller, instance, command).await?;
    if let Some(outcome) = &outcome {
        ask.state.publish_instances(outcome.due.clone());
    }
    Ok(outcome)
}
