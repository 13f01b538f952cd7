//! `POST /process-definition/{id}/restart-async`: starts instances that are over once more (spec-batch-rest §4.7).

use axum::Router;
use axum::extract::{Path, Request};
use axum::routing::post;
use shared::batch::BatchConfiguration;

use super::instance_batches::skip;
use super::selection;
use crate::dto::instructions;
use crate::error::{Answer, ApiError};
use crate::extract::Ask;
use crate::input::Input;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/process-definition/{id}/restart-async", post(restart))
}

async fn restart(ask: Ask, Path(id): Path<String>, request: Request) -> Answer {
    let (rest, selection) = selection::read(&ask, request).await?;
    let input = Input::body(&rest);
    let instructions = instructions::starts(&input, "instructions")?;
    if instructions.is_empty() {
        return Err(ApiError::invalid("Restart instructions cannot be empty: instructions is empty"));
    }
    if selection.is_empty(&ask).await? {
        return Err(ApiError::invalid("processInstanceIds is empty"));
    }
    let definition = ask
        .store()
        .model(&id)
        .await?
        .filter(|d| ask.caller.sees(d.tenant_id.as_deref()))
        .ok_or_else(|| ApiError::invalid(format!("no deployed process definition found with id '{id}': processDefinition is null")))?;
    let configuration = BatchConfiguration::Restart {
        definition_id: id,
        instructions,
        initial_variables: input.yes("initialVariables")?,
        without_business_key: input.yes("withoutBusinessKey")?,
        skip: skip(&input)?,
    };
    selection.submit(&ask, configuration, (definition.tenant_id.clone(), Some(definition.deployment_id.clone()))).await
}
