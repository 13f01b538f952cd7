//! The calls of a conversation, as far as they come down to a command on an instance.

use std::path::PathBuf;

use serde_json::{Map, Value as Json, json};
use shared::migration::{MigrationInstruction, MigrationPlan, NotMigrated, Skip, generate, validate_plan};
use shared::process::instance::{ExternalTask, Instance};
use shared::process::tree;
use shared::runner::{Command, JobDefinitionSetting, Refusal};

use crate::commands::{start_instruction, variables};
use crate::compare::plain;
use crate::engine::Engine;
use crate::history;
use crate::state::{Names, Seen};

pub enum Stop {
    /// Only a server answers this.
    NotHere(String),
    Broken(String),
}

pub type Answer = (u16, Json);

pub struct Player {
    models: PathBuf,
    key: String,
    saved: Map<String, Json>,
    seen: Seen,
    pub(crate) engine: Engine,
    /// Has anything been migrated yet? Tells in a report whose mistake it may be.
    pub migrated: bool,
}

pub fn not_here<T>(what: impl Into<String>) -> Result<T, Stop> {
    Err(Stop::NotHere(what.into()))
}

impl Player {
    pub fn new(models: PathBuf) -> Self {
        Self { models, key: "k0123456789".into(), saved: Map::new(), seen: Seen::default(), engine: Engine::new(), migrated: false }
    }

    fn fill_text(&self, text: &str) -> Json {
        if let Some(value) = text.strip_prefix("${").and_then(|t| t.strip_suffix('}')).and_then(|name| self.saved.get(name)) {
            return value.clone();
        }
        let mut out = text.to_owned();
        for (name, value) in &self.saved {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            out = out.replace(&format!("${{{name}}}"), &value);
        }
        Json::String(out.replace("__KEY__", &self.key))
    }

    fn fill(&self, value: &Json) -> Json {
        match value {
            Json::String(s) => self.fill_text(s),
            Json::Array(items) => items.iter().map(|i| self.fill(i)).collect(),
            Json::Object(fields) => {
                let key = |k: &str| self.fill_text(k).as_str().unwrap_or(k).to_owned();
                fields.iter().map(|(k, v)| (key(k), self.fill(v))).collect()
            }
            other => other.clone(),
        }
    }

    fn filled(&self, text: &Json) -> String {
        let filled = self.fill(text);
        filled.as_str().unwrap_or_default().to_owned()
    }

    /// What there is to compare, if anything.
    pub fn step(&mut self, step: &Json) -> Result<Option<Json>, Stop> {
        if step.get("deploy").is_some() {
            return self.deploy(step);
        }
        if let Some(instance) = step.get("state") {
            let id = self.filled(instance);
            let names = Names { saved: &self.saved, key: &self.key };
            return Ok(Some(self.seen.state(&self.engine, &id, &names)));
        }
        if step.get("sleep").is_some() {
            return not_here("waits");
        }
        if step.get("await").is_some() {
            self.engine.run_due_jobs();
        }
        let call = self.filled(step.get("await").unwrap_or(&step["call"]));
        let body = self.fill(&step["body"]);
        let (status, answer) = self.call(&call, &body, step.get("save").is_some())?;
        for (name, path) in step["save"].as_object().into_iter().flatten() {
            match dig(&answer, path.as_str().unwrap_or_default()) {
                Some(value) => drop(self.saved.insert(name.clone(), value)),
                None => return Err(Stop::Broken(format!("{call}: no {path} in {status} {answer}"))),
            }
        }
        if step["check"] == false {
            return if status < 300 { Ok(None) } else { Err(Stop::Broken(format!("{call} answered {status} {answer}"))) };
        }
        let mut got = json!({"status": status, "body": plain(&answer, &self.saved, &self.key)});
        if call.starts_with("GET") {
            return Ok(self.look_at_history(&call, step));
        }
        // Bodies are a server's matter, except for what a migration says.
        let of_plan = answer["type"] == "MigrationPlanValidationException" && step["expect"]["body"]["type"] == answer["type"];
        if !call.starts_with("POST /migration/execute") || of_plan {
            got["body"] = step["expect"]["body"].clone();
        }
        Ok(Some(got))
    }

    fn look_at_history(&self, call: &str, step: &Json) -> Option<Json> {
        let (list, id) = call.strip_prefix("GET /history/")?.split_once("?processInstanceId=")?;
        let only: Vec<&str> = step["only"].as_array()?.iter().filter_map(Json::as_str).collect();
        let rows = history::rows(&self.engine, list, id.split('&').next()?)?;
        let picked = rows.into_iter().map(|row| only.iter().map(|k| ((*k).to_owned(), row[*k].clone())).collect::<Json>());
        Some(json!({"status": 200, "body": plain(&picked.collect(), &self.saved, &self.key)}))
    }

    fn deploy(&mut self, step: &Json) -> Result<Option<Json>, Stop> {
        if step["check"] == true {
            return not_here("a deployment's answer");
        }
        let mut text = match (step["xml"].as_str(), step["deploy"].as_str()) {
            (Some(xml), _) => xml.to_owned(),
            (None, Some(file)) => std::fs::read_to_string(self.models.join(file)).map_err(|e| Stop::Broken(format!("{file}: {e}")))?,
            _ => return not_here("a deployment of another kind"),
        };
        for (old, new) in step["replace"].as_object().into_iter().flatten() {
            text = text.replace(old.as_str(), new.as_str().unwrap_or_default());
        }
        let text = text.replace("__KEY__", &self.key);
        let (deployment, places) = self.engine.deploy(&text, step["tenant"].as_str()).map_err(Stop::Broken)?;
        let name = step["as"].as_str().or(if step["xml"].is_string() { step["deploy"].as_str() } else { None }).unwrap_or("v").to_owned();
        self.saved.insert(format!("{name}_deployment"), Json::String(deployment));
        for place in &places {
            let definition = &self.engine.definitions[*place];
            if definition.key == self.key || places.len() == 1 {
                self.saved.insert(name.clone(), Json::String(definition.id.clone()));
            }
        }
        Ok(None)
    }

    fn call(&mut self, call: &str, body: &Json, saves: bool) -> Result<Answer, Stop> {
        let (method, path) = call.split_once(' ').unwrap_or_default();
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            ("GET", [list]) if saves => self.list(list, query),
            ("GET", ["process-instance", id, "activity-instances"]) if saves => self.tree(id),
            ("POST", ["process-definition", id, "start"]) => self.start(id, body),
            ("POST", ["migration", "execute"]) => Ok(self.execute(body)),
            ("POST", ["external-task", "fetchAndLock"]) => self.fetch(body),
            ("POST", ["migration", "generate"]) => Ok(self.generate(body)),
            ("POST", ["migration", "validate"]) => Ok((200, Json::Null)),
            ("POST", ["signal"]) => {
                let name = body["name"].as_str().unwrap_or_default();
                for (instance, command) in self.engine.signal(name, &variables(&body["variables"])) {
                    if let Err(refusal) = self.engine.run(&instance, command) {
                        return Ok(refused(&refusal));
                    }
                }
                Ok((204, Json::Null))
            }
            // What is only looked at is not for here; what follows may be.
            ("GET", _) if !saves => Ok((200, Json::Null)),
            ("PUT", ["job-definition", rest @ ..]) => self.suspend_job_definitions(rest, body),
            ("PUT", ["process-instance", id, "suspended"]) => {
                if let Some(instance) = self.engine.instances.get_mut(*id) {
                    instance.suspended = body["suspended"] == true;
                }
                Ok((204, Json::Null))
            }
            _ => {
                let (instance, command) = self.command(method, &parts, body)?;
                let creates = parts.last() == Some(&"create-incident");
                Ok(match self.engine.run(&instance, command) {
                    Ok(_) if creates => {
                        let created = self.engine.instances.get(&instance).and_then(|i| i.incidents.last());
                        (200, json!({"id": created.map(|i| i.id.clone())}))
                    }
                    Ok(_) => (204, Json::Null),
                    Err(refusal) => refused(&refusal),
                })
            }
        }
    }

    fn generate(&self, body: &Json) -> Answer {
        let of = |field: &str| self.engine.definition(body[field].as_str().unwrap_or_default());
        let (Some(source), Some(target)) = (of("sourceProcessDefinitionId"), of("targetProcessDefinitionId")) else {
            return (400, Json::Null);
        };
        let Ok(plan) = generate(source, target, body["updateEventTriggers"] == true, None) else { return (400, Json::Null) };
        let instruction = |i: &MigrationInstruction| json!({"sourceActivityIds": [i.source_activity_id], "targetActivityIds": [i.target_activity_id], "updateEventTrigger": i.update_event_trigger});
        let instructions: Json = plan.instructions.iter().map(instruction).collect();
        (
            200,
            json!({"sourceProcessDefinitionId": source.id, "targetProcessDefinitionId": target.id, "variables": null, "instructions": instructions}),
        )
    }

    fn fetch(&mut self, body: &Json) -> Result<Answer, Stop> {
        let topics: Vec<&str> = body["topics"].as_array().into_iter().flatten().filter_map(|t| t["topicName"].as_str()).collect();
        let until = self.engine.now + body["topics"][0]["lockDuration"].as_i64().unwrap_or_default();
        let now = self.engine.now;
        let free = |t: &&ExternalTask| {
            topics.contains(&t.topic.as_str()) && t.retries != Some(0) && t.lock_expires.is_none_or(|until| until <= now)
        };
        let running = self.engine.instances.values().filter(|i| !i.suspended);
        let found: Vec<(String, String)> =
            running.flat_map(|i| i.external_tasks.iter().filter(free).map(|t| (i.id.clone(), t.id.clone()))).collect();
        let max = body["maxTasks"].as_u64().unwrap_or(1) as usize;
        let worker = body["workerId"].as_str().unwrap_or_default();
        let mut taken = vec![];
        for (instance, id) in found.into_iter().take(max) {
            let command = Command::LockExternalTask { id: id.clone(), worker_id: worker.to_owned(), until };
            self.engine.run(&instance, command).map_err(|r| Stop::Broken(r.to_string()))?;
            taken.push(json!({"id": id}));
        }
        Ok((200, Json::Array(taken)))
    }

    fn start(&mut self, id: &str, body: &Json) -> Result<Answer, Stop> {
        let Some(definition) = self.engine.definitions.iter().position(|d| d.id == id) else { return not_here("no such definition") };
        let instructions = body["startInstructions"].as_array().into_iter().flatten().map(start_instruction);
        let command = Command::Start {
            variables: variables(&body["variables"]),
            instructions: instructions.collect(),
            start_event: None,
            skip_custom_listeners: false,
            skip_io_mappings: false,
        };
        Ok(match self.engine.start(definition, body["businessKey"].as_str().map(str::to_owned), command) {
            Ok(id) => (200, json!({"id": id})),
            Err(refusal) => refused(&refusal),
        })
    }

    /// Synchronous: all or nothing.
    fn execute(&mut self, body: &Json) -> Answer {
        let plan = &body["migrationPlan"];
        let first = |i: &Json, field: &str| i[field][0].as_str().map(str::to_owned);
        let plan = MigrationPlan {
            source_definition_id: plan["sourceProcessDefinitionId"].as_str().unwrap_or_default().to_owned(),
            target_definition_id: plan["targetProcessDefinitionId"].as_str().unwrap_or_default().to_owned(),
            instructions: plan["instructions"]
                .as_array()
                .into_iter()
                .flatten()
                .map(|i| MigrationInstruction {
                    source_activity_id: first(i, "sourceActivityIds"),
                    target_activity_id: first(i, "targetActivityIds"),
                    update_event_trigger: i["updateEventTrigger"] == true,
                })
                .collect(),
            variables: plan["variables"].is_object().then(|| variables(&plan["variables"])),
        };
        let (source, target) = (self.engine.definition(&plan.source_definition_id), self.engine.definition(&plan.target_definition_id));
        if let (Some(source), Some(target)) = (source, target)
            && !validate_plan(&plan, source, target).is_empty()
        {
            return (400, json!({"type": "MigrationPlanValidationException", "code": 0, "message": null, "validationReport": null}));
        }
        let skip = Skip { custom_listeners: body["skipCustomListeners"] == true, io_mappings: body["skipIoMappings"] == true };
        let before = self.engine.instances.clone();
        for id in body["processInstanceIds"].as_array().into_iter().flatten() {
            if let Err(why) = self.engine.migrate(id.as_str().unwrap_or_default(), &plan, skip) {
                self.engine.instances = before;
                return not_migrated(&why);
            }
        }
        self.migrated = true;
        (204, Json::Null)
    }

    fn suspend_job_definitions(&mut self, rest: &[&str], body: &Json) -> Result<Answer, Stop> {
        let suspended = body["suspended"] == true;
        let include = body["includeJobs"] == true;
        let mut of: Vec<(String, String, String)> = vec![];
        for definition in &self.engine.definitions {
            for job_definition in &definition.job_definitions {
                let meant = match rest {
                    ["suspended"] => body["processDefinitionId"] == definition.id.as_str(),
                    [id, "suspended"] => *id == job_definition.id,
                    _ => return not_here("a job definition's priority"),
                };
                if meant {
                    of.push((job_definition.id.clone(), job_definition.activity_id.clone(), definition.id.clone()));
                }
            }
        }
        for (id, ..) in &of {
            let overriding_priority = self.engine.settings.0.get(id).and_then(|s| s.overriding_priority);
            self.engine.settings.0.insert(id.clone(), JobDefinitionSetting { suspended, overriding_priority });
        }
        if include {
            for instance in self.engine.instances.values_mut() {
                for job in instance.jobs.iter_mut().filter(|j| of.iter().any(|(id, ..)| j.job_definition_id.as_ref() == Some(id))) {
                    job.suspended = suspended;
                }
            }
        }
        Ok((204, Json::Null))
    }

    fn tree(&self, id: &str) -> Result<Answer, Stop> {
        let Some((instance, definition)) =
            self.engine.instances.get(id).and_then(|i| self.engine.definition(&i.definition_id).map(|d| (i, d)))
        else {
            return not_here("no such instance");
        };
        fn json_of(node: &tree::ActivityNode) -> Json {
            json!({"id": node.id, "activityId": node.activity_id, "executionIds": node.execution_ids,
                "childActivityInstances": node.children.iter().map(json_of).collect::<Json>(),
                "childTransitionInstances": node.transitions.iter().map(|t| json!({"id": t.id, "activityId": t.activity_id, "executionId": t.execution_id})).collect::<Json>()})
        }
        Ok((200, json_of(&tree::activity_tree(instance, definition))))
    }

    /// Lists that conversations save ids from.
    fn list(&self, what: &str, query: &str) -> Result<Answer, Stop> {
        let rows: Vec<Json> = match what {
            "task" => self.rows(|i| i.tasks.iter().map(|t| json!({"id": t.id, "executionId": t.execution_id, "taskDefinitionKey": t.task_definition_key, "name": t.name, "processInstanceId": i.id})).collect()),
            "job" => self.rows(|i| i.jobs.iter().map(|j| json!({"id": j.id, "executionId": j.execution_id, "activityId": j.activity_id, "processInstanceId": i.id})).collect()),
            "external-task" => self.rows(|i| i.external_tasks.iter().map(|t| json!({"id": t.id, "executionId": t.execution_id, "activityId": t.activity_id, "processInstanceId": i.id})).collect()),
            "event-subscription" => self.rows(|i| i.subscriptions.iter().map(|s| json!({"id": s.id, "executionId": s.execution_id, "activityId": s.activity_id, "processInstanceId": i.id})).collect()),
            "process-instance" => self.rows(|i| vec![json!({"id": i.id, "superProcessInstance": i.super_instance})]),
            "incident" => self.rows(|i| i.incidents.iter().map(|n| json!({"id": n.id, "incidentTimestamp": n.created, "processInstanceId": i.id})).collect()),
            "job-definition" => self.engine.definitions.iter().flat_map(|d| d.job_definitions.iter().map(|j| json!({"id": j.id, "processDefinitionId": d.id, "activityIdIn": j.activity_id, "jobType": j.job_type}))).collect(),
            _ => return not_here(format!("GET {what}")),
        };
        let mut rows = rows;
        for (name, wanted) in query.split('&').filter_map(|p| p.split_once('=')) {
            if rows.iter().any(|r| r.get(name).is_none()) {
                return not_here(format!("GET {what} by {name}"));
            }
            let wanted = wanted.replace("%20", " ").replace("%23", "#");
            rows.retain(|r| r[name].as_str() == Some(&wanted));
        }
        Ok((200, Json::Array(rows)))
    }

    fn rows(&self, of: impl Fn(&Instance) -> Vec<Json>) -> Vec<Json> {
        self.engine.instances.values().flat_map(of).collect()
    }
}

fn refused(refusal: &Refusal) -> Answer {
    let status = match refusal.kind {
        "BadUserRequestException" | "InvalidRequestException" | "SuspendedEntityInteractionException" => 400,
        "RestException" => 404,
        _ => 500,
    };
    (status, json!({"type": refusal.kind, "message": refusal.message, "code": 0}))
}

fn not_migrated(why: &NotMigrated) -> Answer {
    let report = match why {
        NotMigrated::Refused(refusal) => return refused(refusal),
        NotMigrated::Invalid(report) => report,
    };
    let instruction = |i: &Option<MigrationInstruction>| {
        i.as_ref().map(|i| json!({"sourceActivityIds": [i.source_activity_id], "targetActivityIds": [i.target_activity_id], "updateEventTrigger": i.update_event_trigger}))
    };
    let elements = |of: &[shared::migration::report::ElementReport], name: &str| -> Json {
        of.iter()
            .map(|r| json!({"migrationInstruction": instruction(&r.instruction), name: r.id, "sourceScopeId": r.source_scope_id, "failures": r.failures}))
            .collect()
    };
    (
        400,
        json!({"type": "MigratingProcessInstanceValidationException", "message": report.message(), "code": 0, "validationReport": {
            "processInstanceId": report.instance_id, "failures": report.failures,
            "activityInstanceValidationReports": elements(&report.activity_instances, "activityInstanceId"),
            "transitionInstanceValidationReports": elements(&report.transition_instances, "transitionInstanceId")}}),
    )
}

fn dig(value: &Json, path: &str) -> Option<Json> {
    path.split('.').try_fold(value.clone(), |at, part| match (&at, part.parse::<usize>()) {
        (Json::Array(items), Ok(ix)) => items.get(ix).cloned(),
        (Json::Object(fields), _) => fields.get(part).cloned(),
        _ => None,
    })
}
