//! User tasks: made when a token arrives, changed, completed, and ended with their activity.

use serde_json::Value as Json;

use super::Refusal;
use super::command::{TaskChange, Variables};
use super::run::{Run, Step};
use crate::process::definition::{ActivityIx, UserTask, Work};
use crate::process::expression::Expression;
use crate::process::history::Closed;
use crate::process::instance::Task;

/// The priority of a task that says none.
const DEFAULT_PRIORITY: i64 = 50;
/// Why a task went, if nobody gave a reason.
const DELETED: &str = "deleted";

impl Run<'_, '_> {
    pub fn create_task(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let a = self.activity(activity);
        let Work::UserTask(declared) = &a.work else { return Err(self.cannot_run(activity)) };
        let place = self.execution(execution)?.at.as_ref().and_then(|at| at.activity_instance_id.clone());
        let mut task = Task {
            id: self.new_id(),
            execution_id: execution.to_owned(),
            activity_instance_id: place.unwrap_or_default(),
            task_definition_key: a.id.clone(),
            definition_id: self.model.id.clone(),
            priority: DEFAULT_PRIORITY,
            created: self.cx.now,
            ..Task::default()
        };
        task.name = self.optional(execution, a.name.clone().map(Expression).as_ref())?;
        self.fill_task(execution, declared, &mut task)?;
        if let Some(open) = self.i.open.iter_mut().find(|o| o.id == task.activity_instance_id) {
            open.task_id = Some(task.id.clone());
        }
        let (id, assigned) = (task.id.clone(), task.assignee.is_some());
        self.i.tasks.push(task);
        self.create_timeouts(execution, activity, &id)?;
        self.run_task_listeners(&id, "create")?;
        if assigned {
            self.run_task_listeners(&id, "assignment")?;
        }
        Ok(())
    }

    fn fill_task(&mut self, execution: &str, declared: &UserTask, task: &mut Task) -> Step {
        task.assignee = self.optional(execution, declared.assignee.as_ref())?;
        task.owner = self.optional(execution, declared.owner.as_ref())?;
        task.description = self.optional(execution, declared.description.as_ref())?;
        if let Some(priority) = &declared.priority {
            task.priority = self.number(execution, priority)?.ok_or_else(|| {
                Refusal::engine(format!(
                    "Priority value is not an Integer: the priority '{priority}' of task '{}' is no number",
                    task.task_definition_key
                ))
            })?;
        }
        task.due = self.date(execution, declared.due_date.as_ref())?;
        task.follow_up = self.date(execution, declared.follow_up_date.as_ref())?;
        task.candidate_users = self.names(execution, &declared.candidate_users)?;
        task.candidate_groups = self.names(execution, &declared.candidate_groups)?;
        Ok(())
    }

    fn optional(&mut self, execution: &str, expression: Option<&Expression>) -> Step<Option<String>> {
        expression.map_or(Ok(None), |e| self.text(execution, e))
    }

    fn date(&mut self, execution: &str, expression: Option<&Expression>) -> Step<Option<i64>> {
        let Some(expression) = expression else { return Ok(None) };
        let value = self.evaluate(execution, expression)?;
        if value.value.is_null() {
            return Ok(None);
        }
        super::due::date_or_duration(&value, self.cx.now).map(Some)
    }

    /// Each expression may be a comma-separated list.
    fn names(&mut self, execution: &str, expressions: &[Expression]) -> Step<Vec<String>> {
        let mut names = vec![];
        for expression in expressions {
            let value = self.evaluate(execution, expression)?;
            let texts: Vec<String> = match value.value {
                Json::Array(items) => items.iter().filter_map(|i| i.as_str().map(str::to_owned)).collect(),
                Json::String(text) => text.split(',').map(|n| n.trim().to_owned()).collect(),
                _ => vec![],
            };
            names.extend(texts.into_iter().filter(|n| !n.is_empty()));
        }
        Ok(names)
    }

    fn task(&self, id: &str) -> Step<&Task> {
        let missing = || Refusal::new("NullValueException", format!("Cannot find task with id {id}: task is null"));
        self.i.tasks.iter().find(|t| t.id == id).ok_or_else(missing)
    }

    pub fn complete_task(&mut self, id: &str, variables: Variables) -> Step {
        let task = self.task(id)?;
        if self.i.suspended {
            return Err(suspended("task", id));
        }
        if task.delegation_state.as_deref() == Some("PENDING") {
            return Err(Refusal::engine("A delegated task cannot be completed, but should be resolved instead."));
        }
        let execution = task.execution_id.clone();
        for (name, value) in variables {
            self.set_from_task(&execution, id, &name, value)?;
        }
        self.dispatch_changes()?;
        if self.task(id).is_err() {
            return self.work();
        }
        self.run_task_listeners(id, "complete")?;
        self.dispatch_changes()?;
        let Ok(task) = self.task(id) else { return self.work() };
        let execution = task.execution_id.clone();
        self.close_task(id, "completed");
        self.push_leave(&execution);
        self.work()?;
        self.answer_variables(&self.i.id.clone());
        Ok(())
    }

    pub fn update_task(&mut self, id: &str, change: TaskChange) -> Step {
        self.task(id)?;
        if self.i.suspended {
            return Err(suspended("task", id));
        }
        let assigns = change.assignee.is_some();
        let now = self.cx.now;
        if let Some(task) = self.i.tasks.iter_mut().find(|t| t.id == id) {
            apply(task, change);
            task.last_updated = Some(now);
        }
        self.run_task_listeners(id, "update")?;
        if assigns {
            self.run_task_listeners(id, "assignment")?;
        }
        self.work()
    }

    /// Tasks that end with what they hang on: cancelled, unless they were completed before.
    pub fn end_tasks(&mut self, execution: &str, reason: &str) -> Step {
        let ids: Vec<String> = self.i.tasks.iter().filter(|t| t.execution_id == execution).map(|t| t.id.clone()).collect();
        for id in ids {
            self.run_task_listeners(&id, "delete")?;
            self.close_task(&id, reason);
        }
        Ok(())
    }

    fn close_task(&mut self, id: &str, reason: &str) {
        self.drop_task_variables(id);
        self.delete_timeouts(id);
        if let Some(index) = self.i.tasks.iter().position(|t| t.id == id) {
            let record = self.i.tasks.remove(index);
            let reason = if reason.is_empty() { DELETED } else { reason };
            self.closed.push(Closed::Task { record, ended: self.cx.now, delete_reason: Some(reason.to_owned()) });
        }
    }
}

/// What the reference answers for something of a suspended instance.
pub(super) fn suspended(what: &str, id: &str) -> Refusal {
    Refusal::new("SuspendedEntityInteractionException", format!("ENGINE-03043 {what} with id '{id}' is suspended."))
}

pub(super) fn apply(task: &mut Task, change: TaskChange) {
    fn set<T>(field: &mut T, to: Option<T>) {
        if let Some(value) = to {
            *field = value;
        }
    }
    set(&mut task.assignee, change.assignee);
    set(&mut task.owner, change.owner);
    set(&mut task.delegation_state, change.delegation_state);
    set(&mut task.name, change.name);
    set(&mut task.description, change.description);
    set(&mut task.priority, change.priority);
    set(&mut task.due, change.due);
    set(&mut task.follow_up, change.follow_up);
    set(&mut task.candidate_users, change.candidate_users);
    set(&mut task.candidate_groups, change.candidate_groups);
}
