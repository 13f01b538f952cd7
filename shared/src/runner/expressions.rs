//! What an expression sees and does: variables, and the objects `execution`, `task` and `processInstance`.

use serde_json::Value as Json;

use super::Refusal;
use super::command::TaskChange;
use super::run::{Run, Step};
use crate::process::definition::{ActivityIx, MappingValue};
use crate::process::expression::{self, Expression, ExpressionContext};
use crate::process::instance::{Instance, Task};
use crate::process::tree;
use crate::process::value::TypedValue;

impl Run<'_, '_> {
    pub fn evaluate(&mut self, execution: &str, expression: &Expression) -> Step<TypedValue> {
        self.evaluate_for(execution, None, None, expression)
    }

    /// `task`: whose variables come first, and which the object `task` is; `event`: that of the listener that runs.
    pub fn evaluate_for(&mut self, execution: &str, task: Option<&str>, event: Option<&str>, expression: &Expression) -> Step<TypedValue> {
        if expression.is_constant() {
            return Ok(TypedValue::string(expression.0.as_str()));
        }
        expression::evaluate(expression, &mut Seen { run: self, execution, task, event }).map_err(Refusal::engine)
    }

    /// As text; none for null.
    pub fn text(&mut self, execution: &str, expression: &Expression) -> Step<Option<String>> {
        if expression.is_constant() {
            return Ok(Some(expression.0.clone()));
        }
        expression::evaluate_text(expression, &mut Seen { run: self, execution, task: None, event: None }).map_err(Refusal::engine)
    }

    pub fn condition(&mut self, execution: &str, expression: &Expression) -> Step<bool> {
        expression::evaluate_condition(expression, &mut Seen { run: self, execution, task: None, event: None }).map_err(Refusal::engine)
    }

    pub fn number(&mut self, execution: &str, expression: &Expression) -> Step<Option<i64>> {
        let value = self.evaluate(execution, expression)?;
        Ok(value.value.as_i64().or_else(|| value.value.as_str().and_then(|t| t.trim().parse().ok())))
    }

    fn mapped(&mut self, execution: &str, value: &MappingValue) -> Step<TypedValue> {
        Ok(match value {
            MappingValue::Text(expression) => self.evaluate(execution, expression)?,
            MappingValue::Null => TypedValue::null(),
            MappingValue::List(items) => {
                let items = items.iter().map(|item| self.mapped(execution, item).map(|v| v.value)).collect::<Step<Vec<Json>>>()?;
                serialized("java.util.ArrayList", &Json::Array(items))
            }
            MappingValue::Map(entries) => {
                let mut map = serde_json::Map::new();
                for (key, entry) in entries {
                    map.insert(key.clone(), self.mapped(execution, entry)?.value);
                }
                serialized("java.util.TreeMap", &Json::Object(map))
            }
            MappingValue::Script => return Err(Refusal::engine("A mapping by script cannot be run here. Make it an expression")),
        })
    }

    /// Input mappings: read in the scope around, set on the activity's own.
    pub fn map_inputs(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let a = self.activity(activity);
        if a.inputs.is_empty() || self.skip_mappings {
            return Ok(());
        }
        let outer = self.execution(execution)?.parent.clone().filter(|_| a.is_scope).unwrap_or_else(|| execution.to_owned());
        for mapping in &a.inputs {
            let value = self.mapped(&outer, &mapping.value)?;
            self.set_local(execution, None, &mapping.name, value);
        }
        Ok(())
    }

    /// Output mappings: read in the activity's scope, set from the one around it.
    pub fn map_outputs(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let a = self.activity(activity);
        if a.outputs.is_empty() || self.skip_mappings {
            return Ok(());
        }
        let outer = self.execution(execution)?.parent.clone().unwrap_or_else(|| execution.to_owned());
        for mapping in &a.outputs {
            let value = self.mapped(execution, &mapping.value)?;
            self.set_variable(&outer, &mapping.name, value)?;
        }
        Ok(())
    }

    /// Those of an activity that is no scope (in a multi-instance body): its execution is its own scope enough.
    pub fn map_outputs_of_plain(&mut self, execution: &str, activity: ActivityIx) -> Step {
        if self.activity(activity).is_scope { Ok(()) } else { self.map_outputs(execution, activity) }
    }
}

fn serialized(class: &str, value: &Json) -> TypedValue {
    let mut typed = TypedValue::new("Object", Json::String(value.to_string()));
    typed.info = serde_json::json!({"objectTypeName": class, "serializationDataFormat": "application/json"});
    typed
}

/// One look out of an execution, or of a task on it.
struct Seen<'s, 'r, 'c> {
    run: &'s mut Run<'r, 'c>,
    execution: &'s str,
    task: Option<&'s str>,
    event: Option<&'s str>,
}

impl ExpressionContext for Seen<'_, '_, '_> {
    fn variable(&self, name: &str) -> Option<TypedValue> {
        self.run.variable(self.execution, self.task, name).cloned()
    }

    fn property(&self, object: &str, name: &str) -> Option<TypedValue> {
        match object {
            "task" => task_property(self.run.i.tasks.iter().find(|t| Some(t.id.as_str()) == self.task)?, &self.run.i, name, self.event),
            "execution" => self.run.execution_property(self.execution, name, self.event),
            "processInstance" => self.run.execution_property(&self.run.i.id, name, self.event),
            _ => None,
        }
    }

    fn call(&mut self, object: &str, method: &str, args: &[TypedValue]) -> Result<TypedValue, String> {
        let name = args.first().and_then(|a| a.value.as_str()).unwrap_or_default().to_owned();
        let root = self.run.i.id.clone();
        let (on, task) = match object {
            "processInstance" => (root.as_str(), None),
            "task" => (self.execution, self.task),
            _ => (self.execution, None),
        };
        let value = || args.get(1).cloned().unwrap_or_else(TypedValue::null);
        match (method, args.len()) {
            ("getVariable", 1) => return Ok(self.run.variable(on, task, &name).cloned().unwrap_or_else(TypedValue::null)),
            ("hasVariable", 1) => return Ok(TypedValue::boolean(self.run.variable(on, task, &name).is_some())),
            ("getVariableLocal", 1) => return Ok(self.run.local(on, task, &name).cloned().unwrap_or_else(TypedValue::null)),
            ("hasVariableLocal", 1) => return Ok(TypedValue::boolean(self.run.local(on, task, &name).is_some())),
            ("setVariable", 2) => match task {
                Some(task) => self.run.set_from_task(on, task, &name, value()).map_err(|r| r.message)?,
                None => self.run.set_variable(on, &name, value()).map_err(|r| r.message)?,
            },
            ("setVariableLocal", 2) => self.run.set_local(on, task, &name, value()),
            ("removeVariable", 1) => self.run.remove_named(on, task, &name, false),
            ("removeVariableLocal", 1) => self.run.remove_named(on, task, &name, true),
            _ => return self.set_on_task(object, method, args),
        }
        Ok(TypedValue::null())
    }
}

impl Seen<'_, '_, '_> {
    fn set_on_task(&mut self, object: &str, method: &str, args: &[TypedValue]) -> Result<TypedValue, String> {
        let text = args.first().and_then(|a| a.value.as_str().map(str::to_owned));
        let mut change = TaskChange::default();
        match (method, self.task.filter(|_| object == "task" && args.len() == 1)) {
            ("setPriority", Some(_)) => change.priority = args.first().and_then(|a| a.value.as_i64()),
            ("setName", Some(_)) => change.name = Some(text),
            ("setAssignee", Some(_)) => change.assignee = Some(text),
            ("setOwner", Some(_)) => change.owner = Some(text),
            ("setDescription", Some(_)) => change.description = Some(text),
            _ => return Err(format!("Method {method} with {} arguments cannot be called on {object} here", args.len())),
        }
        if let Some(task) = self.run.i.tasks.iter_mut().find(|t| Some(t.id.as_str()) == self.task) {
            super::tasks::apply(task, change);
        }
        Ok(TypedValue::null())
    }
}

impl Run<'_, '_> {
    fn execution_property(&self, execution: &str, name: &str, event: Option<&str>) -> Option<TypedValue> {
        let e = self.i.execution(execution)?;
        let place = e.at.as_ref().or(e.scope.as_ref());
        let activity = || place.and_then(|p| self.model.get(&p.activity_id));
        let text = |value: Option<&str>| Some(value.map_or_else(TypedValue::null, TypedValue::string));
        match name {
            "id" => text(Some(&e.id)),
            "processInstanceId" => text(Some(&self.i.id)),
            "processDefinitionId" => text(Some(&self.model.id)),
            "businessKey" | "processBusinessKey" => text(self.i.business_key.as_deref()),
            "tenantId" => text(self.i.tenant_id.as_deref()),
            "parentId" => text(e.parent.as_deref()),
            "currentActivityId" => text(place.map(|p| p.activity_id.as_str())),
            "currentActivityName" => text(activity().and_then(|a| a.name.as_deref())),
            "activityInstanceId" => text(tree::running_on(&self.i, self.model, execution).as_deref()),
            "parentActivityInstanceId" => {
                let above = e.parent.as_deref().unwrap_or(execution);
                Some(TypedValue::string(tree::enclosing_instance_id(&self.i, if e.is_scope { above } else { execution })))
            }
            "eventName" => text(event),
            "deleteReason" => text(self.delete_reason.as_deref()),
            "canceled" => Some(TypedValue::boolean(self.delete_reason.is_some())),
            _ => None,
        }
    }
}

fn task_property(task: &Task, instance: &Instance, name: &str, event: Option<&str>) -> Option<TypedValue> {
    let text = |value: Option<&str>| Some(value.map_or_else(TypedValue::null, TypedValue::string));
    match name {
        "id" => text(Some(&task.id)),
        "name" => text(task.name.as_deref()),
        "assignee" => text(task.assignee.as_deref()),
        "owner" => text(task.owner.as_deref()),
        "description" => text(task.description.as_deref()),
        "taskDefinitionKey" => text(Some(&task.task_definition_key)),
        "priority" => Some(TypedValue::integer(task.priority)),
        "executionId" => text(Some(&task.execution_id)),
        "processInstanceId" => text(Some(&instance.id)),
        "processDefinitionId" => text(Some(&task.definition_id)),
        "tenantId" => text(instance.tenant_id.as_deref()),
        "eventName" => text(event),
        _ => None,
    }
}
