//! `POST /external-task/fetchAndLock`: a worker takes external tasks.

use std::time::Duration;

use serde_json::{Value, json};
use shared::process::instance::ExternalTask;
use shared::runner::Command;
use shared::store::query::InstanceQuery;
use shared::store::views::StoredInstance;

use super::external_task::{find, show};
use super::variables::{Kind, visible};
use crate::command::run;
use crate::dto::external_task::is_locked;
use crate::dto::values;
use crate::error::{Answer, ApiError, ok};
use crate::extract::{Ask, Json};
use crate::input::{Input, Object};
use crate::scan;

/// Tasks of one call at most.
const MAX_TASKS: i64 = 10_000;
/// The longest that a call waits for tasks, and how often it looks meanwhile.
const MAX_WAIT_MS: i64 = 60_000;
const LOOK_EVERY_MS: i64 = 250;

struct Topic {
    name: String,
    lock_ms: i64,
    /// None: all variables that are seen.
    variables: Option<Vec<String>>,
    local_variables: bool,
    business_key: Option<String>,
    definition_ids: Option<Vec<String>>,
    definition_keys: Option<Vec<String>>,
    tenants: shared::store::query::TenantFilter,
}

impl Topic {
    fn read(object: &Object) -> Result<Self, ApiError> {
        let input = Input::body(object);
        let lock_ms = input.long("lockDuration")?.unwrap_or(0);
        if lock_ms <= 0 {
            return Err(ApiError::engine("ProcessEngineException", "lockTime is not greater than 0"));
        }
        let one_or_many = |one: &str, many: &str| match input.text(one)? {
            Some(one) => Ok(Some(vec![one])),
            None => input.filled_list(many),
        };
        Ok(Self {
            name: input.text("topicName")?.ok_or_else(|| ApiError::engine("NullValueException", "topicName is null"))?,
            lock_ms,
            variables: input.list("variables")?,
            local_variables: input.yes("localVariables")?,
            business_key: input.text("businessKey")?,
            definition_ids: one_or_many("processDefinitionId", "processDefinitionIdIn")?,
            definition_keys: one_or_many("processDefinitionKey", "processDefinitionKeyIn")?,
            tenants: input.tenants("")?,
        })
    }

    /// Does it ask for more than a topic? Then the documents are read.
    fn is_narrowed(&self) -> bool {
        let tenants = self.tenants.tenant_id_in.is_some() || self.tenants.without_tenant_id;
        self.business_key.is_some() || self.definition_ids.is_some() || self.definition_keys.is_some() || tenants
    }

    fn takes(&self, stored: &StoredInstance, task: &ExternalTask, now: i64) -> bool {
        let instance = &stored.instance;
        let one_of = |wanted: &Option<Vec<String>>, found: &str| wanted.as_ref().is_none_or(|w| w.iter().any(|w| w == found));
        task.topic == self.name
            && !is_locked(task, now)
            && task.retries.is_none_or(|r| r > 0)
            && !instance.suspended
            && (self.business_key.is_none() || self.business_key == instance.business_key)
            && one_of(&self.definition_ids, &task.definition_id)
            && one_of(&self.definition_keys, scan::key_of(&task.definition_id))
            && self.tenants.matches(instance.tenant_id.as_deref())
    }
}

pub(super) async fn fetch_and_lock(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let worker = input.text("workerId")?.ok_or_else(|| ApiError::engine("NullValueException", "workerId is null"))?;
    let most = input.long("maxTasks")?.unwrap_or(0).clamp(0, MAX_TASKS);
    let topics: Vec<Topic> = input.objects("topics")?.unwrap_or_default().into_iter().map(Topic::read).collect::<Result<_, _>>()?;
    let priority = input.yes("usePriority")?;
    let mut wait = input.long("asyncResponseTimeout")?.unwrap_or(0).clamp(0, MAX_WAIT_MS);
    let most = usize::try_from(most).unwrap_or(0);
    loop {
        let taken = take(&ask, &worker, &topics, most, priority).await?;
        if !taken.is_empty() || wait == 0 || topics.is_empty() || most == 0 {
            return ok(taken.into());
        }
        let pause = wait.min(LOOK_EVERY_MS);
        wait -= pause;
        tokio::time::sleep(Duration::from_millis(pause.unsigned_abs())).await;
    }
}

async fn take(ask: &Ask, worker: &str, topics: &[Topic], most: usize, priority: bool) -> Result<Vec<Value>, ApiError> {
    let mut shown = vec![];
    let plain: Vec<(String, i64)> = topics.iter().filter(|t| !t.is_narrowed()).map(|t| (t.name.clone(), t.lock_ms)).collect();
    if !plain.is_empty() && most > 0 {
        let limit = u32::try_from(most).unwrap_or(u32::MAX);
        let locked = ask.store().fetch_and_lock(&ask.caller, worker, &plain, limit, priority).await?;
        for (_, id) in locked {
            if let Some((stored, task)) = find(ask, &id).await?
                && let Some(topic) = topics.iter().find(|t| t.name == task.topic)
            {
                shown.push(taken(ask, topic, &stored, &task).await?);
            }
        }
    }
    for topic in topics.iter().filter(|t| t.is_narrowed()) {
        for (instance, id) in candidates(ask, topic, priority).await? {
            if shown.len() >= most {
                return Ok(shown);
            }
            let until = ask.state.clock.now() + topic.lock_ms;
            let command = Command::LockExternalTask { id: id.clone(), worker_id: worker.to_owned(), until };
            if run(ask, &instance, command).await?.is_some()
                && let Some((stored, task)) = find(ask, &id).await?
            {
                shown.push(taken(ask, topic, &stored, &task).await?);
            }
        }
    }
    Ok(shown)
}

/// (instance, external task) that a narrowed topic may take.
async fn candidates(ask: &Ask, topic: &Topic, priority: bool) -> Result<Vec<(String, String)>, ApiError> {
    let now = ask.state.clock.now();
    let one = |list: &Option<Vec<String>>| list.as_ref().filter(|l| l.len() == 1).map(|l| l[0].clone());
    let query = InstanceQuery {
        business_key: topic.business_key.clone(),
        definition_id: one(&topic.definition_ids),
        definition_key: one(&topic.definition_keys),
        tenants: topic.tenants.clone(),
        ..InstanceQuery::default()
    };
    let mut found = scan::collect(ask, &query, |stored, found| {
        let tasks = stored.instance.external_tasks.iter().filter(|e| topic.takes(stored, e, now));
        found.extend(tasks.map(|e| (e.priority, stored.instance.id.clone(), e.id.clone())));
    })
    .await?;
    if priority {
        found.sort_by_key(|(priority, ..)| std::cmp::Reverse(*priority));
    }
    Ok(found.into_iter().map(|(_, instance, id)| (instance, id)).collect())
}

/// A taken task, with its variables.
async fn taken(ask: &Ask, topic: &Topic, stored: &StoredInstance, task: &ExternalTask) -> Result<Value, ApiError> {
    let mut body = show(ask, stored, task).await?;
    let kind = if topic.local_variables { Kind::ExecutionLocal } else { Kind::Instance };
    let mut seen = visible(&stored.instance, kind, &task.execution_id);
    if let Some(wanted) = &topic.variables {
        seen.retain(|(name, _)| wanted.contains(name));
    }
    body["errorDetails"] = json!(task.error_details);
    body["variables"] = values::show_map(seen.iter().map(|(name, value)| (name, value)));
    body["extensionProperties"] = json!({});
    Ok(body)
}
