//! Modifying instances (spec-batch-rest §4.4, §4.7). Many in one call: all or none.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Request};
use axum::routing::post;
use shared::batch::BatchConfiguration;
use shared::process::definition::ProcessDefinition;
use shared::runner::command::Modification;
use shared::runner::{Command, Refusal};

use super::instance_batches::skip;
use super::instance_many::selected;
use super::selection;
use crate::command::run;
use crate::dto::instructions;
use crate::error::{Answer, ApiError, done};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/modification/execute", post(of_many)).route("/modification/executeAsync", post(of_many_async))
}

fn command(body: &Json, instructions: Vec<Modification>) -> Result<Command, ApiError> {
    let input = body.input();
    Ok(Command::Modify {
        instructions,
        skip_custom_listeners: input.yes("skipCustomListeners")?,
        skip_io_mappings: input.yes("skipIoMappings")?,
    })
}

fn missing(id: &str) -> ApiError {
    ApiError::engine("ProcessEngineException", Refusal::nothing_to_modify(id).message)
}

pub(super) async fn of_instance(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let instructions = instructions::modifications(&body.input(), "instructions")?;
    let none = instructions.is_empty();
    if !none {
        run(&ask, &id, command(&body, instructions)?).await?.ok_or_else(|| missing(&id))?;
    }
    done()
}

/// `POST /process-instance/{id}/modification-async`: a batch of one. Its instructions may name activity instances.
pub(super) async fn of_instance_async(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let input = body.input();
    let instructions = instructions::modifications(&input, "instructions")?;
    if instructions.is_empty() {
        return Err(ApiError::invalid("The provided instuctions are invalid."));
    }
    let stored = ask.store().instance(&ask.caller, &id).await?.ok_or_else(|| missing(&id))?;
    let definition = known(&ask, &stored.instance.definition_id).await?;
    let configuration = BatchConfiguration::Modification { definition_id: definition.id.clone(), instructions, skip: skip(&input)? };
    selection::one(id).submit(&ask, configuration, owner(&definition)).await
}

/// Definition and instructions of a modification of many.
fn read_many(input: &Input<'_>) -> Result<(String, Vec<Modification>), ApiError> {
    let definition = input.text("processDefinitionId")?.ok_or_else(|| ApiError::invalid("processDefinitionId is null"))?;
    for one in input.objects("instructions")?.unwrap_or_default() {
        if one.get("type").is_some_and(|t| t == "cancel") && one.get("activityId").is_none_or(serde_json::Value::is_null) {
            return Err(ApiError::invalid("For instruction type 'cancel': 'activityId' must be set"));
        }
    }
    let instructions = instructions::modifications(input, "instructions")?;
    if instructions.is_empty() {
        return Err(ApiError::invalid("Modification instructions cannot be empty is empty"));
    }
    Ok((definition, instructions))
}

fn no_ids() -> ApiError {
    ApiError::invalid("Process instance ids cannot be empty: Process instance ids is empty")
}

async fn known(ask: &Ask, definition: &str) -> Result<Arc<ProcessDefinition>, ApiError> {
    let found = ask.store().model(definition).await?.filter(|d| ask.caller.sees(d.tenant_id.as_deref()));
    let message = || format!("no deployed process definition found with id '{definition}': processDefinition is null");
    found.ok_or_else(|| ApiError::invalid(message()))
}

fn owner(definition: &ProcessDefinition) -> (Option<String>, Option<String>) {
    (definition.tenant_id.clone(), Some(definition.deployment_id.clone()))
}

async fn of_many_async(ask: Ask, request: Request) -> Answer {
    let (rest, selection) = selection::read(&ask, request).await?;
    let input = Input::body(&rest);
    let (definition, instructions) = read_many(&input)?;
    if selection.is_empty(&ask).await? {
        return Err(no_ids());
    }
    let definition = known(&ask, &definition).await?;
    let configuration = BatchConfiguration::Modification { definition_id: definition.id.clone(), instructions, skip: skip(&input)? };
    selection.submit(&ask, configuration, owner(&definition)).await
}

async fn of_many(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let (definition, instructions) = read_many(&input)?;
    let ids = selected(&ask, &input, "processInstanceIds").await?;
    if ids.is_empty() {
        return Err(no_ids());
    }
    if ids.len() > ask.state.limits.sync_instances {
        return Err(ApiError::invalid(format!("{} instances are too many for one call", ids.len())));
    }
    known(&ask, &definition).await?;
    let due = ask.store().modify(&ask.caller, &definition, &ids, command(&body, instructions)?).await?;
    ask.state.publish_instances(due);
    done()
}
