//! Everything that can be seen of an instance, in the recordings' form.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};
use shared::process::definition::{ProcessDefinition, Work};
use shared::process::instance::{Instance, InstanceJob};
use shared::process::tree::{self, ActivityNode, TransitionNode};

use crate::compare::{canonical, plain};
use crate::engine::Engine;

/// Ids become symbols by first sight; due dates are compared with those of the state before.
#[derive(Default)]
pub struct Seen {
    symbols: HashMap<String, String>,
    counts: HashMap<&'static str, usize>,
    due: HashMap<String, Option<i64>>,
}

pub struct Names<'a> {
    pub saved: &'a Map<String, Json>,
    pub key: &'a str,
}

impl Names<'_> {
    fn plain(&self, value: &Json) -> Json {
        plain(value, self.saved, self.key)
    }
}

impl Seen {
    fn symbol(&mut self, kind: &'static str, id: &str) -> String {
        if let Some(symbol) = self.symbols.get(id) {
            return symbol.clone();
        }
        let n = self.counts.entry(kind).or_default();
        *n += 1;
        let symbol = format!("{kind}{n}");
        self.symbols.insert(id.to_owned(), symbol.clone());
        symbol
    }

    fn known(&self, id: &str) -> String {
        self.symbols.get(id).cloned().unwrap_or_else(|| "~".into())
    }

    fn named(&mut self, kind: &'static str, items: Vec<(String, Json)>, names: &Names<'_>) -> Json {
        let mut rows: Vec<(String, String, String, Json)> = items
            .into_iter()
            .map(|(id, content)| {
                let content = names.plain(&content);
                (canonical(&content), self.known(&id), id, content)
            })
            .collect();
        rows.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        rows.into_iter()
            .map(|(_, _, id, mut content)| {
                content["id"] = Json::String(self.symbol(kind, &id));
                content
            })
            .collect()
    }

    pub fn state(&mut self, engine: &Engine, id: &str, names: &Names<'_>) -> Json {
        let Some(instance) = engine.instances.get(id) else { return json!({"ended": true}) };
        let Some(definition) = engine.definition(&instance.definition_id) else { return json!({"ended": true}) };
        let node = tree::activity_tree(instance, definition);
        let mut activity_of = HashMap::new();
        let root = self.branch(&node, names, &mut activity_of);
        let tasks = instance.tasks.iter().filter(|t| !t.execution_id.is_empty());
        let tasks = tasks.map(|t| (t.id.clone(), task(instance, engine, t))).collect();
        let externals = instance.external_tasks.iter().map(|t| (t.id.clone(), external(instance, t))).collect();
        let tenant = &instance.tenant_id;
        let own = json!({"definitionId": instance.definition_id, "businessKey": instance.business_key, "suspended": instance.suspended,
            "ended": false, "tenantId": tenant});
        let mut out = json!({"instance": names.plain(&own), "tree": root});
        out["tasks"] = self.named("task", tasks, names);
        out["externalTasks"] = self.named("ext", externals, names);
        out["jobs"] = self.jobs(instance, engine, names);
        let subscriptions = instance.subscriptions.iter().map(|s| {
            let content =
                json!({"eventType": s.kind.event_type(), "eventName": s.event_name, "activityId": s.activity_id, "tenantId": tenant});
            (s.id.clone(), content)
        });
        out["subscriptions"] = self.named("sub", subscriptions.collect(), names);
        let variables = instance.variables.iter().map(|v| {
            let at = tree::variable_scope(instance, definition, v);
            let scope = at.map(|at| activity_of.get(&at).cloned().unwrap_or_else(|| "?".into()));
            (v.id.clone(), json!({"name": v.name, "type": v.value.kind, "value": v.value.value, "scope": scope}))
        });
        out["variables"] = self.named("var", variables.collect(), names);
        let incidents = instance.incidents.iter().map(|i| {
            let configuration = i.configuration.as_ref().map(|c| self.symbols.get(c).cloned().unwrap_or_else(|| "?".into()));
            let content = json!({"incidentType": i.incident_type, "activityId": i.activity_id, "failedActivityId": i.failed_activity_id,
                "processDefinitionId": i.definition_id, "incidentMessage": i.message, "tenantId": tenant, "configuration": configuration,
                "hasJobDefinition": i.job_definition_id.is_some()});
            (i.id.clone(), content)
        });
        let incidents = incidents.collect();
        out["incidents"] = self.named("inc", incidents, names);
        out
    }

    fn branch(&mut self, node: &ActivityNode, names: &Names<'_>, activity_of: &mut HashMap<String, String>) -> Json {
        let symbol = self.symbol("act", &node.id);
        let label = names.plain(&json!(node.activity_id)).as_str().unwrap_or_default().to_owned();
        let shown = if label.contains("KEY") { "PROCESS".to_owned() } else { label };
        activity_of.insert(node.id.clone(), shown.clone());
        let mut transitions: Vec<&TransitionNode> = node.transitions.iter().collect();
        transitions.sort_by_key(|t| (canonical(&json!({"a": t.activity_id, "t": t.activity_type})), self.known(&t.id)));
        let rows: Vec<Json> = transitions
            .into_iter()
            .map(|t| {
                activity_of.insert(t.id.clone(), t.activity_id.clone());
                json!({"id": self.symbol("trans", &t.id), "activityId": t.activity_id, "activityType": t.activity_type})
            })
            .collect();
        let mut children: Vec<&ActivityNode> = node.children.iter().collect();
        children.sort_by_key(|c| (canonical(&names.plain(&strip(c))), self.known(&c.id)));
        let children: Vec<Json> = children.into_iter().map(|c| self.branch(c, names, activity_of)).collect();
        json!({"id": symbol, "activityId": shown, "activityType": node.activity_type, "name": names.plain(&json!(node.activity_name)),
            "processDefinitionId": names.plain(&json!(node.definition_id)), "children": children, "transitions": rows})
    }

    fn jobs(&mut self, instance: &Instance, engine: &Engine, names: &Names<'_>) -> Json {
        let before = self.due.clone();
        let jobs = instance.jobs.iter().map(|j| (j.id.clone(), job(instance, engine, j, &before))).collect();
        let rows = self.named("job", jobs, names);
        self.due.extend(instance.jobs.iter().map(|j| (j.id.clone(), j.due)));
        rows
    }
}

/// A node without ids, to be sorted by.
fn strip(node: &ActivityNode) -> Json {
    let mut children: Vec<Json> = node.children.iter().map(strip).collect();
    children.sort_by_key(canonical);
    let mut transitions: Vec<Json> =
        node.transitions.iter().map(|t| json!({"activityId": t.activity_id, "activityType": t.activity_type})).collect();
    transitions.sort_by_key(canonical);
    json!({"activityId": node.activity_id, "activityType": node.activity_type, "name": node.activity_name, "children": children,
        "transitions": transitions})
}

fn job(instance: &Instance, engine: &Engine, job: &InstanceJob, before: &HashMap<String, Option<i64>>) -> Json {
    let of = |d: &ProcessDefinition| d.job_definitions.iter().find(|j| Some(&j.id) == job.job_definition_id.as_ref()).cloned();
    let found = engine.definitions.iter().find_map(|d| of(d).map(|j| (d.id.clone(), j)));
    let due = match (job.due, before.get(&job.id)) {
        (None, _) => "none",
        (now, Some(old)) => {
            if *old == now {
                "same"
            } else {
                "changed"
            }
        }
        (now, None) => {
            if before.values().any(|old| *old == now) {
                "inherited"
            } else {
                "new"
            }
        }
    };
    let job_type = found.as_ref().map(|(_, j)| j.job_type);
    let configuration = found.as_ref().filter(|_| job_type.is_some_and(|t| t.starts_with("async"))).map(|(_, j)| j.configuration.clone());
    json!({"activityId": found.as_ref().map(|(_, j)| j.activity_id.clone()), "jobType": job_type, "jobConfiguration": configuration,
        "retries": job.retries, "suspended": job.suspended || instance.suspended, "priority": job.priority, "due": due,
        "processDefinitionId": job.definition_id, "jobDefinitionOf": found.map(|(d, _)| d), "exceptionMessage": job.exception_message,
        "failedActivityId": job.failed_activity_id, "tenantId": instance.tenant_id})
}

fn task(instance: &Instance, engine: &Engine, t: &shared::process::instance::Task) -> Json {
    let activity = engine.definition(&t.definition_id).and_then(|d| d.get(&t.task_definition_key));
    let form_key = activity.and_then(|a| match &a.work {
        Work::UserTask(task) => task.form_key.as_ref().map(|k| k.0.clone()),
        _ => None,
    });
    json!({"taskDefinitionKey": t.task_definition_key, "name": t.name, "assignee": t.assignee, "owner": t.owner,
        "delegationState": t.delegation_state, "priority": t.priority, "due": t.due.map(|_| "<time>"), "followUp": t.follow_up.map(|_| "<time>"),
        "formKey": form_key, "suspended": instance.suspended, "tenantId": instance.tenant_id, "processDefinitionId": t.definition_id,
        "description": t.description})
}

fn external(instance: &Instance, t: &shared::process::instance::ExternalTask) -> Json {
    json!({"activityId": t.activity_id, "topicName": t.topic, "retries": t.retries, "workerId": t.worker_id, "errorMessage": t.error_message,
        "suspended": instance.suspended, "priority": t.priority, "processDefinitionId": t.definition_id, "tenantId": instance.tenant_id,
        "businessKey": instance.business_key})
}
