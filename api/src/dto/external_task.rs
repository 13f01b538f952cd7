//! External tasks as JSON, and the query for them.

use serde_json::{Value, json};
use shared::clock::Millis;
use shared::process::instance::ExternalTask;
use shared::store::query::InstanceQuery;
use shared::store::views::StoredInstance;

use super::job::SortKey;
use crate::criteria::Criteria;
use crate::dates;
use crate::error::ApiError;
use crate::input::Input;
use crate::scan::key_of;

/// `version_tag` is the model's.
#[must_use]
pub fn show(stored: &StoredInstance, e: &ExternalTask, version_tag: Option<&str>) -> Value {
    let instance = &stored.instance;
    json!({
        "activityId": e.activity_id,
        "activityInstanceId": e.activity_instance_id,
        "errorMessage": e.error_message,
        "executionId": e.execution_id,
        "id": e.id,
        "lockExpirationTime": dates::json(e.lock_expires),
        "createTime": dates::format(e.created),
        "processDefinitionId": e.definition_id,
        "processDefinitionKey": key_of(&e.definition_id),
        "processDefinitionVersionTag": version_tag,
        "processInstanceId": instance.id,
        "retries": e.retries,
        "suspended": instance.suspended,
        "workerId": e.worker_id,
        "topicName": e.topic,
        "tenantId": instance.tenant_id,
        "priority": e.priority,
        "businessKey": instance.business_key,
    })
}

/// What to order external tasks by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Id,
    LockExpires,
    Created,
    Instance,
    Definition,
    DefinitionKey,
    Priority,
    Tenant,
}

pub const SORTS: [(&str, Sort); 8] = [
    ("id", Sort::Id),
    ("lockExpirationTime", Sort::LockExpires),
    ("createTime", Sort::Created),
    ("processInstanceId", Sort::Instance),
    ("processDefinitionId", Sort::Definition),
    ("processDefinitionKey", Sort::DefinitionKey),
    ("taskPriority", Sort::Priority),
    ("tenantId", Sort::Tenant),
];

#[must_use]
pub fn sort_key((stored, e): &(StoredInstance, ExternalTask), by: Sort) -> Option<SortKey> {
    use SortKey::{Number, Text};
    match by {
        Sort::Id => Some(Text(e.id.clone())),
        Sort::LockExpires => e.lock_expires.map(Number),
        Sort::Created => Some(Number(e.created)),
        Sort::Instance => Some(Text(stored.instance.id.clone())),
        Sort::Definition => Some(Text(e.definition_id.clone())),
        Sort::DefinitionKey => Some(Text(key_of(&e.definition_id).to_owned())),
        Sort::Priority => Some(Number(e.priority)),
        Sort::Tenant => stored.instance.tenant_id.clone().map(Text),
    }
}

type Of = Criteria<StoredInstance, ExternalTask>;

/// Reads a query: what narrows the documents, and the tests. `now` tells which locks still hold.
///
/// # Errors
/// As the getters of [`Input`].
pub fn query(input: &Input<'_>, now: Millis) -> Result<(InstanceQuery, Of), ApiError> {
    let by_id = match input.text("externalTaskId")? {
        Some(id) => Some(vec![id]),
        None => input.filled_list("externalTaskIdIn")?,
    };
    let owners = by_id.map(|ids| ids.iter().map(|id| shared::id::base_of(id)).collect());
    let instances = input.text("processInstanceId")?.map(|id| vec![id]);
    let narrowed = InstanceQuery {
        ids: instances.or(input.filled_list("processInstanceIdIn")?).or(owners),
        definition_id: input.text("processDefinitionId")?,
        definition_key: input.text("processDefinitionKey")?,
        ..InstanceQuery::default()
    };
    let mut c = Of::default();
    c.text(input, "externalTaskId", |_, e| Some(&e.id))?;
    c.one_of(input, "externalTaskIdIn", |_, e| Some(&e.id))?;
    c.text(input, "topicName", |_, e| Some(&e.topic))?;
    c.text(input, "workerId", |_, e| e.worker_id.as_deref())?;
    c.before(input, "lockExpirationBefore", |_, e| e.lock_expires)?;
    c.after(input, "lockExpirationAfter", |_, e| e.lock_expires)?;
    c.text(input, "activityId", |_, e| Some(&e.activity_id))?;
    c.one_of(input, "activityIdIn", |_, e| Some(&e.activity_id))?;
    c.text(input, "executionId", |_, e| Some(&e.execution_id))?;
    c.text(input, "processInstanceId", |s, _| Some(&s.instance.id))?;
    c.one_of(input, "processInstanceIdIn", |s, _| Some(&s.instance.id))?;
    c.text(input, "processDefinitionId", |_, e| Some(&e.definition_id))?;
    c.text(input, "processDefinitionKey", |_, e| Some(key_of(&e.definition_id)))?;
    c.yes(input, "withRetriesLeft", |_, e| e.retries.is_none_or(|r| r > 0))?;
    c.yes(input, "noRetriesLeft", |_, e| e.retries == Some(0))?;
    c.yes(input, "active", |s, _| !s.instance.suspended)?;
    c.yes(input, "suspended", |s, _| s.instance.suspended)?;
    c.number(input, "priorityHigherThanOrEquals", |_, e| Some(e.priority), |found, given| found >= given)?;
    c.number(input, "priorityLowerThanOrEquals", |_, e| Some(e.priority), |found, given| found <= given)?;
    c.tenants(input.tenants("")?, |s, _| s.instance.tenant_id.as_deref());
    if input.yes("locked")? {
        c.test(move |_, e| is_locked(e, now));
    }
    if input.yes("notLocked")? {
        c.test(move |_, e| !is_locked(e, now));
    }
    Ok((narrowed, c))
}

/// Is a worker's lock on it that has not passed?
#[must_use]
pub fn is_locked(e: &ExternalTask, now: Millis) -> bool {
    e.lock_expires.is_some_and(|until| until > now)
}
