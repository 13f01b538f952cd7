//! Process instances and their trees as JSON (spec-batch-rest §4.2).

use serde_json::{Value, json};
use shared::process::instance::Instance;
use shared::process::tree::{ActivityNode, TransitionNode};
use shared::store::views::InstanceView;

#[must_use]
pub fn show(i: &InstanceView) -> Value {
    json!({
        "links": [],
        "id": i.id,
        "definitionId": i.definition_id,
        "definitionKey": i.definition_key,
        "businessKey": i.business_key,
        "caseInstanceId": null,
        "ended": false,
        "suspended": i.suspended,
        "tenantId": i.tenant_id,
    })
}

/// A link to a thing itself.
#[must_use]
pub fn self_link(base: &str, path: &str, id: &str) -> Value {
    json!([{"method": "GET", "href": format!("{base}/{path}/{id}"), "rel": "self"}])
}

#[must_use]
pub fn tree(instance: &Instance, node: &ActivityNode) -> Value {
    json!({
        "id": node.id,
        "parentActivityInstanceId": node.parent,
        "activityId": node.activity_id,
        "activityType": node.activity_type,
        "processInstanceId": instance.id,
        "processDefinitionId": node.definition_id,
        "childActivityInstances": node.children.iter().map(|c| tree(instance, c)).collect::<Vec<_>>(),
        "childTransitionInstances": node.transitions.iter().map(|t| transition(instance, t)).collect::<Vec<_>>(),
        "executionIds": node.execution_ids,
        "activityName": node.activity_name,
        "name": node.activity_name,
        "incidentIds": node.incident_ids,
        "incidents": incidents(instance, &node.incident_ids),
    })
}

fn transition(instance: &Instance, node: &TransitionNode) -> Value {
    json!({
        "id": node.id,
        "parentActivityInstanceId": node.parent,
        "processInstanceId": instance.id,
        "processDefinitionId": instance.definition_id,
        "activityId": node.activity_id,
        "targetActivityId": node.activity_id,
        "activityName": node.activity_name,
        "activityType": node.activity_type,
        "executionId": node.execution_id,
        "incidentIds": node.incident_ids,
        "incidents": incidents(instance, &node.incident_ids),
    })
}

fn incidents(instance: &Instance, ids: &[String]) -> Vec<Value> {
    let of = |id: &String| instance.incidents.iter().find(|i| i.id == *id);
    ids.iter().map(|id| json!({"id": id, "activityId": of(id).and_then(|i| i.activity_id.as_ref())})).collect()
}
