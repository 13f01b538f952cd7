//! Modifying instances (spec-batch-rest §4.4, §4.7). Many at once go one after the other, each whole or not at all.

use axum::Router;
use axum::extract::Path;
use axum::routing::post;
use shared::runner::Command;
use shared::runner::command::Modification;

use super::instance_many::selected;
use crate::command::run;
use crate::dto::instructions;
use crate::error::{Answer, ApiError, done};
use crate::extract::{Ask, Json};
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/modification/execute", post(of_many))
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
    let message = format!("ENGINE-13036 Process instance '{id}' cannot be modified. The process instance does not exist");
    ApiError::engine("ProcessEngineException", message)
}

pub(super) async fn of_instance(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    let instructions = instructions::modifications(&body.input(), "instructions")?;
    let none = instructions.is_empty();
    if !none {
        run(&ask, &id, command(&body, instructions)?).await?.ok_or_else(|| missing(&id))?;
    }
    done()
}

async fn of_many(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let definition = input.text("processDefinitionId")?.ok_or_else(|| ApiError::invalid("processDefinitionId is null"))?;
    for one in input.objects("instructions")?.unwrap_or_default() {
        if one.get("type").is_some_and(|t| t == "cancel") && one.get("activityId").is_none_or(serde_json::Value::is_null) {
            return Err(ApiError::invalid("For instruction type 'cancel': 'activityId' must be set"));
        }
    }
    let instructions = instructions::modifications(&input, "instructions")?;
    if instructions.is_empty() {
        return Err(ApiError::invalid("Modification instructions cannot be empty is empty"));
    }
    let ids = selected(&ask, &input, "processInstanceIds").await?;
    if ids.is_empty() {
        return Err(ApiError::invalid("Process instance ids cannot be empty: Process instance ids is empty"));
    }
    if ids.len() > ask.state.limits.sync_instances {
        return Err(ApiError::invalid(format!("{} instances are too many for one call", ids.len())));
    }
    if ask.store().model(&definition).await?.is_none() {
        let message = format!("no deployed process definition found with id '{definition}': processDefinition is null");
        return Err(ApiError::invalid(message));
    }
    for id in ids {
        let stored = ask.store().instance(&ask.caller, &id).await?.ok_or_else(|| missing(&id))?;
        if stored.instance.definition_id != definition {
            let message = format!(
                "ENGINE-13037 The process instance '{id}' cannot be modified. Its process definition '{}' does not match given process definition '{definition}'",
                stored.instance.definition_id
            );
            return Err(ApiError::engine("ProcessEngineException", message));
        }
        run(&ask, &id, command(&body, instructions.clone())?).await?.ok_or_else(|| missing(&id))?;
    }
    done()
}
