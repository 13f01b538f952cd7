//! Calls that are one command on one instance.

use serde_json::Value as Json;
use shared::process::value::TypedValue;
use shared::runner::command::{Modification, StartKind, TaskChange, VariableScope, Variables};
use shared::runner::{Command, StartInstruction};

use crate::calls::{Player, Stop, not_here};

impl Player {
    /// A command on one instance.
    pub fn command(&self, method: &str, parts: &[&str], body: &Json) -> Result<(String, Command), Stop> {
        let vars = |field: &str| variables(&body[field]);
        let one = || value(body);
        let text = |field: &str| body[field].as_str().map(str::to_owned);
        let of = |id: &str| shared::id::base_of(id);
        let retries = body["retries"].as_i64().unwrap_or_default() as i32;
        Ok(match (method, parts) {
            ("POST", ["task", id, "complete"]) => {
                (of(id), Command::CompleteTask { task_id: (*id).to_owned(), variables: vars("variables") })
            }
            ("POST", ["task", id, "assignee"]) => {
                let change = TaskChange { assignee: Some(text("userId")), ..TaskChange::default() };
                (of(id), Command::UpdateTask { task_id: (*id).to_owned(), change })
            }
            ("PUT", ["process-instance", id, "variables", name]) => {
                (of(id), set(VariableScope::Execution((*id).to_owned()), name, one(), false))
            }
            ("PUT", ["execution", id, "localVariables", name]) => {
                (of(id), set(VariableScope::Execution((*id).to_owned()), name, one(), true))
            }
            ("PUT", ["task", id, "localVariables", name]) => (of(id), set(VariableScope::Task((*id).to_owned()), name, one(), true)),
            ("POST", ["job", id, "execute"]) => (of(id), Command::ExecuteJob { job_id: (*id).to_owned() }),
            ("PUT", ["job", id, "retries"]) => (of(id), Command::SetJobRetries { job_id: (*id).to_owned(), retries, due: None }),
            ("PUT", ["job", id, "priority"]) => {
                (of(id), Command::SetJobPriority { job_id: (*id).to_owned(), priority: body["priority"].as_i64().unwrap_or_default() })
            }
            // Any other date will do: states tell only whether it has changed.
            ("PUT", ["job", id, "duedate"]) => {
                let due = body["duedate"].is_string().then_some(self.engine.now + 12_345);
                (of(id), Command::SetJobDue { job_id: (*id).to_owned(), due, cascade: body["cascade"] == true })
            }
            ("PUT", ["external-task", id, "retries"]) => (of(id), Command::SetExternalTaskRetries { id: (*id).to_owned(), retries }),
            ("POST", ["process-instance", id, "modification"]) => {
                let text = |i: &Json, field: &str| i[field].as_str().unwrap_or_default().to_owned();
                let one = |i: &Json| match i["type"].as_str() {
                    Some("cancel") if i["activityInstanceId"].is_string() => {
                        Modification::CancelActivityInstance(text(i, "activityInstanceId"))
                    }
                    Some("cancel") if i["transitionInstanceId"].is_string() => {
                        Modification::CancelTransitionInstance(text(i, "transitionInstanceId"))
                    }
                    Some("cancel") => Modification::CancelAll { activity_id: text(i, "activityId") },
                    _ => Modification::Start(start_instruction(i)),
                };
                let instructions = body["instructions"].as_array().into_iter().flatten().map(one).collect();
                (of(id), Command::Modify { instructions, skip_custom_listeners: false, skip_io_mappings: false })
            }
            ("PUT", ["job", id, "suspended"]) => {
                (of(id), Command::SuspendJob { job_id: (*id).to_owned(), suspended: body["suspended"] == true })
            }
            ("POST", ["external-task", id, "complete"]) => (
                of(id),
                Command::CompleteExternalTask {
                    id: (*id).to_owned(),
                    variables: vars("variables"),
                    local_variables: vars("localVariables"),
                },
            ),
            ("POST", ["external-task", id, "failure"]) => (
                of(id),
                Command::FailExternalTask {
                    id: (*id).to_owned(),
                    message: text("errorMessage"),
                    details: text("errorDetails"),
                    retries,
                    retry_at: self.engine.now + body["retryTimeout"].as_i64().unwrap_or_default(),
                    variables: vec![],
                    local_variables: vec![],
                },
            ),
            ("POST", ["external-task", id, "bpmnError"]) => (
                of(id),
                Command::ExternalTaskError {
                    id: (*id).to_owned(),
                    code: text("errorCode").unwrap_or_default(),
                    message: text("errorMessage"),
                    variables: vars("variables"),
                },
            ),
            ("POST", ["message"]) => {
                let (name, instance) = (text("messageName"), text("processInstanceId"));
                let Some(instance) = instance.and_then(|id| self.engine.instances.get(&id)) else { return not_here("a message for any") };
                let found = instance.subscriptions.iter().find(|s| s.kind.event_type() == "message" && s.event_name == name);
                let Some(found) = found else { return not_here("a message that nobody waits for") };
                let subscription_id = found.id.clone();
                (instance.id.clone(), Command::Deliver { subscription_id, variables: vars("processVariables"), local_variables: vec![] })
            }
            ("POST", ["execution", id, "create-incident"]) => (
                of(id),
                Command::CreateIncident {
                    execution_id: (*id).to_owned(),
                    incident_type: text("incidentType").unwrap_or_default(),
                    configuration: text("configuration"),
                    message: text("message"),
                },
            ),
            _ => return not_here(format!("{method} {}", parts.join("/"))),
        })
    }
}

pub fn start_instruction(i: &Json) -> StartInstruction {
    let kind = match i["type"].as_str() {
        Some("startBeforeActivity") => StartKind::BeforeActivity,
        Some("startAfterActivity") => StartKind::AfterActivity,
        _ => StartKind::Transition,
    };
    let target = i["activityId"].as_str().or(i["transitionId"].as_str()).unwrap_or_default().to_owned();
    let variables = i["variables"].as_object().into_iter().flatten();
    let variables = variables.map(|(name, v)| (name.clone(), value(v), v["local"] == true)).collect();
    let ancestor_activity_instance = i["ancestorActivityInstanceId"].as_str().map(str::to_owned);
    StartInstruction { kind, target, ancestor_activity_instance, variables }
}

fn set(scope: VariableScope, name: &str, value: TypedValue, local: bool) -> Command {
    Command::SetVariables { scope, variables: vec![(name.to_owned(), value)], local }
}

fn value(v: &Json) -> TypedValue {
    let given = v["type"].as_str().filter(|t| !t.is_empty());
    let kind = given.unwrap_or(match &v["value"] {
        Json::String(_) => "String",
        Json::Bool(_) => "Boolean",
        Json::Number(n) if n.is_f64() => "Double",
        Json::Number(_) => "Integer",
        _ => "Null",
    });
    let mut chars = kind.chars();
    let kind: String = chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default();
    TypedValue { transient: v["valueInfo"]["transient"] == true, ..TypedValue::new(&kind, v["value"].clone()) }
}

pub fn variables(of: &Json) -> Variables {
    of.as_object().into_iter().flatten().map(|(name, v)| (name.clone(), value(v))).collect()
}
