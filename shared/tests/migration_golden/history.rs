//! What history would show of an instance: its open records, and what commands have closed so far.

use serde_json::{Value as Json, json};
use shared::process::history::Closed;
use shared::process::instance::{Instance, OpenActivityInstance, Task, Variable};
use shared::process::tree;

use crate::engine::Engine;

/// The rows of one list, or none if it is not played here.
pub fn rows(engine: &Engine, list: &str, id: &str) -> Option<Vec<Json>> {
    let instance = engine.instances.get(id);
    let closed = engine.closed.get(id).map_or(&[][..], Vec::as_slice);
    let open = instance.into_iter();
    Some(match list {
        "activity-instance" => {
            let open = open.flat_map(|i| &i.open).map(|o| activity(engine, o, None));
            let ended = closed.iter().filter_map(|c| match c {
                Closed::Activity { record, canceled, complete_scope, .. } => {
                    Some(activity(engine, record, Some((*canceled, *complete_scope))))
                }
                _ => None,
            });
            open.chain(ended).collect()
        }
        "task" => {
            let open = open.flat_map(|i| &i.tasks).map(|t| task(engine, t, None));
            let ended = closed.iter().filter_map(|c| match c {
                Closed::Task { record, delete_reason, .. } => Some(task(engine, record, Some(delete_reason.as_deref()))),
                _ => None,
            });
            open.chain(ended).collect()
        }
        "variable-instance" => {
            let open =
                instance.map_or(vec![], |i| i.variables.iter().map(|v| variable(engine, v, scope_of(engine, i, v), "CREATED")).collect());
            let ended = closed.iter().filter_map(|c| match c {
                Closed::Variable { record, scope, deleted, .. } => {
                    Some(variable(engine, record, scope.clone(), if *deleted { "DELETED" } else { "CREATED" }))
                }
                _ => None,
            });
            open.into_iter().chain(ended).filter(|v| v["state"] != "DELETED").collect()
        }
        _ => return None,
    })
}

fn key(engine: &Engine, definition: &str) -> Option<String> {
    engine.definition(definition).map(|d| d.key.clone())
}

fn scope_of(engine: &Engine, instance: &Instance, v: &Variable) -> Option<String> {
    tree::variable_scope(instance, engine.definition(&instance.definition_id)?, v)
}

fn activity(engine: &Engine, o: &OpenActivityInstance, ended: Option<(bool, bool)>) -> Json {
    json!({"id": o.id, "parentActivityInstanceId": o.parent, "activityId": o.activity_id, "activityName": o.activity_name,
        "activityType": o.activity_type, "processDefinitionId": o.definition_id, "processDefinitionKey": key(engine, &o.definition_id),
        "executionId": o.execution_id, "taskId": o.task_id, "calledProcessInstanceId": o.called_instance,
        "canceled": ended.is_some_and(|e| e.0), "completeScope": ended.is_some_and(|e| e.1), "endTime": ended.map(|_| "<time>"), "tenantId": null})
}

fn task(engine: &Engine, t: &Task, ended: Option<Option<&str>>) -> Json {
    json!({"id": t.id, "processDefinitionId": t.definition_id, "processDefinitionKey": key(engine, &t.definition_id),
        "taskDefinitionKey": t.task_definition_key, "activityInstanceId": t.activity_instance_id, "executionId": t.execution_id, "name": t.name,
        "priority": t.priority, "deleteReason": ended.flatten(), "startTime": "<time>", "endTime": ended.map(|_| "<time>"),
        "taskState": if ended.is_some() { "Completed" } else { "Created" }})
}

fn variable(engine: &Engine, v: &Variable, scope: Option<String>, state: &str) -> Json {
    json!({"name": v.name, "value": v.value.value, "type": v.value.kind, "state": state, "processDefinitionId": v.history_definition_id,
        "processDefinitionKey": key(engine, &v.history_definition_id), "activityInstanceId": scope})
}
