//! Starting a process instance (spec-batch-rest §4.5).

use axum::extract::Path;
use serde_json::{Value, json};
use shared::runner::Command;
use shared::store::NewInstance;

use super::definition::{Which, named};
use crate::dto::instance::{self as dto, self_link};
use crate::dto::{instructions, values};
use crate::error::{Answer, ApiError, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::scan::key_of;

pub(super) async fn start(ask: Ask, Path(which): Which, body: Json) -> Answer {
    let found = named(&ask, &which).await?;
    let id = found.as_ref().map_or_else(Clone::clone, |d| d.id.clone());
    let prefix = format!("Cannot instantiate process definition {id}: ");
    let input = body.input();
    let new = read(&input, &id).map_err(|e| e.wrapped(&prefix))?;
    let tenant = match found {
        Ok(definition) => definition.tenant_id,
        Err(id) => {
            let message = format!("no deployed process definition found with id '{id}': processDefinition is null");
            return Err(ApiError::engine("NotFoundException", message).wrapped(&prefix));
        }
    };
    let (business_key, given) = (new.business_key.clone(), variables_of(&new));
    let outcome = ask.store().start(&ask.caller, new).await.map_err(|e| ApiError::from(e).wrapped(&prefix))?;
    ask.state.publish_instances(outcome.due.clone());
    let mut shown = match &outcome.instance {
        Some(instance) => dto::show(instance),
        None => json!({
            "id": outcome.instance_id, "definitionId": id, "definitionKey": key_of(&id), "businessKey": business_key,
            "caseInstanceId": null, "ended": true, "suspended": false, "tenantId": tenant,
        }),
    };
    shown["links"] = self_link(&ask.base, "process-instance", &outcome.instance_id);
    if input.yes("withVariablesInReturn")? {
        shown["variables"] = variables_after(&ask, &outcome.instance_id, given).await?;
    }
    ok(shown)
}

fn read(input: &Input<'_>, definition_id: &str) -> Result<NewInstance, ApiError> {
    let start = Command::Start {
        variables: values::read_map(input, "variables")?.unwrap_or_default(),
        instructions: instructions::starts(input, "startInstructions")?,
        start_event: None,
        skip_custom_listeners: input.yes("skipCustomListeners")?,
        skip_io_mappings: input.yes("skipIoMappings")?,
    };
    Ok(NewInstance { definition_id: definition_id.to_owned(), business_key: input.text("businessKey")?, start })
}

fn variables_of(new: &NewInstance) -> Value {
    match &new.start {
        Command::Start { variables, .. } => values::show_map(variables.iter().map(|(name, value)| (name, value))),
        _ => json!({}),
    }
}

/// The variables of the instance, or those it was given when it has ended already.
pub(super) async fn variables_after(ask: &Ask, id: &str, given: Value) -> Result<Value, ApiError> {
    let Some(stored) = ask.store().instance(&ask.caller, id).await? else { return Ok(given) };
    let of_root = stored.instance.variables.iter().filter(|v| v.execution_id == id && v.task_id.is_none());
    Ok(values::show_map(of_root.map(|v| (&v.name, &v.value))))
}
