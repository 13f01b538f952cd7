//! Deployments and process definitions as JSON, and the queries for them (spec-batch-rest §4.5).

use serde_json::{Map, Value, json};
use shared::store::query::{DefinitionQuery, DefinitionSort, DeploymentQuery, DeploymentSort};
use shared::store::views::{DefinitionView, DeploymentView, ResourceView};

use super::instance::self_link;
use crate::dates;
use crate::error::ApiError;
use crate::input::Input;

#[must_use]
pub fn show(d: &DefinitionView) -> Value {
    json!({
        "id": d.id,
        "key": d.key,
        "category": d.category,
        "description": null,
        "name": d.name,
        "version": d.version,
        "resource": d.resource,
        "deploymentId": d.deployment_id,
        "diagram": null,
        "suspended": d.suspended,
        "tenantId": d.tenant_id,
        "versionTag": d.version_tag,
        "historyTimeToLive": d.history_time_to_live,
        "startableInTasklist": d.startable_in_tasklist,
    })
}

#[must_use]
pub fn deployment(base: &str, d: &DeploymentView) -> Value {
    json!({
        "links": self_link(base, "deployment", &d.id),
        "id": d.id,
        "name": d.name,
        "source": d.source,
        "deploymentTime": dates::format(d.time),
        "tenantId": d.tenant_id,
    })
}

/// What a deployment made; null where it made none.
#[must_use]
pub fn deployed(base: &str, d: &DeploymentView, definitions: &[DefinitionView]) -> Value {
    let mut body = deployment(base, d);
    let map: Map<String, Value> = definitions.iter().map(|d| (d.id.clone(), show(d))).collect();
    body["deployedProcessDefinitions"] = if map.is_empty() { Value::Null } else { Value::Object(map) };
    for none in ["deployedCaseDefinitions", "deployedDecisionDefinitions", "deployedDecisionRequirementsDefinitions"] {
        body[none] = Value::Null;
    }
    body
}

#[must_use]
pub fn resource(r: &ResourceView) -> Value {
    json!({"id": r.id, "name": r.name, "deploymentId": r.deployment_id})
}

pub const SORTS: [(&str, DefinitionSort); 9] = [
    ("category", DefinitionSort::Category),
    ("key", DefinitionSort::Key),
    ("id", DefinitionSort::Id),
    ("name", DefinitionSort::Name),
    ("version", DefinitionSort::Version),
    ("deploymentId", DefinitionSort::DeploymentId),
    ("deployTime", DefinitionSort::DeployTime),
    ("tenantId", DefinitionSort::TenantId),
    ("versionTag", DefinitionSort::VersionTag),
];

/// Reads a query for definitions.
///
/// # Errors
/// As the getters of [`Input`].
pub fn query(input: &Input<'_>) -> Result<DefinitionQuery, ApiError> {
    let ids = match input.text("processDefinitionId")? {
        Some(id) => Some(vec![id]),
        None => input.filled_list("processDefinitionIdIn")?,
    };
    let suspended = match (input.yes("suspended")?, input.yes("active")?) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    let startable = match (input.yes("startableInTasklist")?, input.yes("notStartableInTasklist")?) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    Ok(DefinitionQuery {
        ids,
        key: input.text("key")?,
        keys: input.filled_list("keysIn")?,
        key_like: input.text("keyLike")?,
        name: input.text("name")?,
        name_like: input.text("nameLike")?,
        category: input.text("category")?,
        category_like: input.text("categoryLike")?,
        version: input.int("version")?,
        latest: input.yes("latestVersion")?,
        version_tag: input.text("versionTag")?,
        version_tag_like: input.text("versionTagLike")?,
        without_version_tag: input.yes("withoutVersionTag")?,
        deployment_id: input.text("deploymentId")?,
        deployed_after: input.date("deployedAfter")?,
        deployed_at: input.date("deployedAt")?,
        resource_name: input.text("resourceName")?,
        resource_name_like: input.text("resourceNameLike")?,
        suspended,
        startable_in_tasklist: startable,
        message_event_subscription_name: input.text("messageEventSubscriptionName")?,
        tenants: input.tenants("includeProcessDefinitionsWithoutTenantId")?,
    })
}

pub const DEPLOYMENT_SORTS: [(&str, DeploymentSort); 4] = [
    ("id", DeploymentSort::Id),
    ("name", DeploymentSort::Name),
    ("deploymentTime", DeploymentSort::DeploymentTime),
    ("tenantId", DeploymentSort::TenantId),
];

/// Reads a query for deployments, without its sorting.
///
/// # Errors
/// As the getters of [`Input`].
pub fn deployment_query(input: &Input<'_>) -> Result<DeploymentQuery, ApiError> {
    Ok(DeploymentQuery {
        id: input.text("id")?,
        name: input.text("name")?,
        name_like: input.text("nameLike")?,
        source: input.text("source")?,
        without_source: input.yes("withoutSource")?,
        before: input.date("before")?,
        after: input.date("after")?,
        tenants: input.tenants("includeDeploymentsWithoutTenantId")?,
        sort: None,
    })
}
