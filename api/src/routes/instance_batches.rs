//! Batches over process instances: delete, suspend, set variables, correlate a message (spec-batch-rest §4.7).

use axum::extract::Request;
use shared::batch::BatchConfiguration;
use shared::migration::Skip;
use shared::runner::command::Variables;

use super::selection;
use crate::dto::values;
use crate::error::{Answer, ApiError};
use crate::extract::Ask;
use crate::input::Input;

/// The two flags by which a caller leaves listeners and mappings out.
pub(super) fn skip(input: &Input<'_>) -> Result<Skip, ApiError> {
    Ok(Skip { custom_listeners: input.yes("skipCustomListeners")?, io_mappings: input.yes("skipIoMappings")? })
}

/// What is not there is no failure.
pub(super) async fn delete(ask: Ask, request: Request) -> Answer {
    let (rest, selection) = selection::read(&ask, request).await?;
    let input = Input::body(&rest);
    if selection.is_empty(&ask).await? {
        return Err(ApiError::invalid("processInstanceIds is empty"));
    }
    let configuration = BatchConfiguration::Deletion {
        reason: input.text("deleteReason")?,
        skip: skip(&input)?,
        skip_subprocesses: input.yes("skipSubprocesses")?,
    };
    selection.submit(&ask, configuration, (None, None)).await
}

pub(super) async fn suspend(ask: Ask, request: Request) -> Answer {
    let (rest, selection) = selection::read(&ask, request).await?;
    let suspended = Input::body(&rest).yes("suspended")?;
    if !selection.is_given() {
        let message =
            "Either processInstanceIds, processInstanceQuery or historicProcessInstanceQuery should be set to update the suspension state.";
        return Err(ApiError::invalid(message));
    }
    if selection.is_empty(&ask).await? {
        return Err(ApiError::invalid("No process instance ids given: process Instance Ids is empty"));
    }
    selection.submit(&ask, BatchConfiguration::Suspension { suspended }, (None, None)).await
}

/// Of ids that no running instance has, nothing is made (FINDINGS 12).
pub(super) async fn set_variables(ask: Ask, request: Request) -> Answer {
    let (rest, mut selection) = selection::read(&ask, request).await?;
    let variables = values::read_map(&Input::body(&rest), "variables")?.ok_or_else(|| ApiError::invalid("variables is null"))?;
    if variables.is_empty() {
        return Err(ApiError::bad_user("BadUserRequestException", "variables is empty"));
    }
    if !selection.is_given() {
        return Err(ApiError::invalid("No process instances found."));
    }
    no_transient(&variables)?;
    selection.keep_running(&ask).await?;
    if selection.is_empty(&ask).await? {
        return Err(ApiError::bad_user("BadUserRequestException", "processInstanceIds is empty"));
    }
    selection.submit(&ask, BatchConfiguration::SetVariables { variables }, (None, None)).await
}

pub(super) async fn correlate(ask: Ask, request: Request) -> Answer {
    let (rest, selection) = selection::read(&ask, request).await?;
    let input = Input::body(&rest);
    let variables = values::read_map(&input, "variables")?.unwrap_or_default();
    if !selection.is_given() {
        return Err(ApiError::invalid("No process instances found."));
    }
    if selection.is_empty(&ask).await? {
        let message = "Process instance ids cannot be empty: process instance ids is empty";
        return Err(ApiError::bad_user("BadUserRequestException", message));
    }
    no_transient(&variables)?;
    let name = input.text("messageName")?.ok_or_else(|| ApiError::invalid("No message name supplied"))?;
    selection.submit(&ask, BatchConfiguration::CorrelateMessage { name, variables }, (None, None)).await
}

/// A job that runs later has no transaction for them to live in.
fn no_transient(variables: &Variables) -> Result<(), ApiError> {
    let Some((name, _)) = variables.iter().find(|(_, value)| value.transient) else { return Ok(()) };
    let message = format!("ENGINE-13044 Setting transient variable '{name}' asynchronously is currently not supported.");
    Err(ApiError::bad_user("BadUserRequestException", message))
}
