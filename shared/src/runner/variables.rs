//! Variables: where one is found, where a new one goes, what is told of it to history and to conditions.

use super::command::{VariableScope, Variables};
use super::run::{Run, Step, VariableChange};
use super::{Answer, Refusal};
use crate::process::history::Closed;
use crate::process::instance::Variable;
use crate::process::tree;
use crate::process::unknown::Unknown;
use crate::process::value::TypedValue;

impl Run<'_, '_> {
    fn local_index(&self, execution: &str, task: Option<&str>, name: &str) -> Option<usize> {
        self.i.variables.iter().position(|v| v.name == name && v.execution_id == execution && v.task_id.as_deref() == task)
    }

    /// The variable that `name` means on `execution`: its own, or the nearest above.
    pub fn variable_index(&self, execution: &str, name: &str) -> Option<usize> {
        let mut at = self.i.execution(execution);
        while let Some(e) = at {
            if let Some(index) = self.local_index(&e.id, None, name) {
                return Some(index);
            }
            at = e.parent.as_deref().and_then(|p| self.i.execution(p));
        }
        None
    }

    pub fn variable(&self, execution: &str, task: Option<&str>, name: &str) -> Option<&TypedValue> {
        let own = task.and_then(|t| self.local_index(execution, Some(t), name));
        own.or_else(|| self.variable_index(execution, name)).map(|i| &self.i.variables[i].value)
    }

    /// Sets the nearest variable of that name, or makes one on the instance.
    pub fn set_variable(&mut self, execution: &str, name: &str, value: TypedValue) -> Step {
        match self.variable_index(execution, name) {
            Some(index) => self.update_variable(index, execution, value),
            None => {
                let root = self.i.id.clone();
                self.create_variable(&root, None, execution, name, value);
            }
        }
        Ok(())
    }

    pub fn set_local(&mut self, execution: &str, task: Option<&str>, name: &str, value: TypedValue) {
        match self.local_index(execution, task, name) {
            Some(index) => self.update_variable(index, execution, value),
            None => self.create_variable(execution, task, execution, name, value),
        }
    }

    /// As seen from a task: its own first, then its execution's.
    pub fn set_from_task(&mut self, execution: &str, task: &str, name: &str, value: TypedValue) -> Step {
        match self.local_index(execution, Some(task), name) {
            Some(index) => {
                self.update_variable(index, execution, value);
                Ok(())
            }
            None => self.set_variable(execution, name, value),
        }
    }

    pub fn set_variables(&mut self, execution: &str, variables: Variables) -> Step {
        variables.into_iter().try_for_each(|(name, value)| self.set_variable(execution, &name, value))
    }

    fn create_variable(&mut self, on: &str, task: Option<&str>, source: &str, name: &str, value: TypedValue) {
        let plain = self.i.execution(on).is_some_and(|e| !e.is_scope);
        let record = Variable {
            id: self.new_id(),
            name: name.to_owned(),
            execution_id: on.to_owned(),
            task_id: task.map(str::to_owned),
            definition_id: self.model.id.clone(),
            history_definition_id: self.model.id.clone(),
            created: self.cx.now,
            concurrent_local: plain && task.is_none(),
            value,
            other: Unknown::default(),
        };
        self.note_change(&record, source, "create");
        self.i.variables.push(record);
    }

    fn update_variable(&mut self, index: usize, source: &str, value: TypedValue) {
        self.i.variables[index].value = value;
        let record = self.i.variables[index].clone();
        self.note_change(&record, source, "update");
    }

    fn note_change(&mut self, record: &Variable, source: &str, event: &'static str) {
        if record.task_id.is_none() {
            self.changes.push(VariableChange { execution: record.execution_id.clone(), name: record.name.clone(), event });
        }
        if record.value.transient || event == "delete" {
            return;
        }
        let initial = source == self.i.id && self.i.open.is_empty() && event == "create";
        let activity_instance_id = tree::running_on(&self.i, self.model, source);
        let (task_id, revision) = (record.task_id.clone(), u32::from(event == "update"));
        self.closed.push(Closed::Detail { record: record.clone(), activity_instance_id, task_id, revision, initial, time: self.cx.now });
    }

    /// The variables of an execution end with it.
    pub fn drop_variables(&mut self, execution: &str) {
        self.drop_where(|v| v.execution_id == execution && v.task_id.is_none(), false);
    }

    pub fn drop_task_variables(&mut self, task: &str) {
        self.drop_where(|v| v.task_id.as_deref() == Some(task), false);
    }

    fn drop_where(&mut self, gone: impl Fn(&Variable) -> bool, deleted: bool) {
        let mut index = 0;
        while index < self.i.variables.len() {
            if !gone(&self.i.variables[index]) {
                index += 1;
                continue;
            }
            let scope = tree::variable_scope(&self.i, self.model, &self.i.variables[index]);
            let record = self.i.variables.remove(index);
            if !record.value.transient {
                self.closed.push(Closed::Variable { record, scope, ended: self.cx.now, deleted });
            }
        }
    }

    // --- commands ------------------------------------------------------------------------------------------

    /// The execution, and the task, that a caller names.
    fn resolve(&self, scope: &VariableScope) -> Step<(String, Option<String>)> {
        match scope {
            VariableScope::Execution(id) => Ok((self.execution(id)?.id.clone(), None)),
            VariableScope::Task(id) => {
                let task = self.i.tasks.iter().find(|t| t.id == *id);
                let missing = || Refusal::new("NullValueException", format!("task {id} doesn't exist: task is null"));
                task.map(|t| (t.execution_id.clone(), Some(t.id.clone()))).ok_or_else(missing)
            }
        }
    }

    pub fn command_set(&mut self, scope: &VariableScope, variables: Variables, local: bool) -> Step {
        let (execution, task) = self.resolve(scope)?;
        for (name, value) in variables {
            match (&task, local) {
                (_, true) => self.set_local(&execution, task.as_deref(), &name, value),
                (Some(task), false) => self.set_from_task(&execution, task, &name, value)?,
                (None, false) => self.set_variable(&execution, &name, value)?,
            }
        }
        self.work()
    }

    pub fn command_remove(&mut self, scope: &VariableScope, names: &[String], local: bool) -> Step {
        let (execution, task) = self.resolve(scope)?;
        for name in names {
            self.remove_named(&execution, task.as_deref(), name, local);
        }
        self.work()
    }

    /// All variables that can be seen from `execution`, the nearest of each name.
    pub fn visible(&self, execution: &str) -> Variables {
        let mut seen: Variables = vec![];
        let mut at = self.i.execution(execution);
        while let Some(e) = at {
            for v in self.i.variables.iter().filter(|v| v.execution_id == e.id && v.task_id.is_none()) {
                if !seen.iter().any(|(name, _)| *name == v.name) {
                    seen.push((v.name.clone(), v.value.clone()));
                }
            }
            at = e.parent.as_deref().and_then(|p| self.i.execution(p));
        }
        seen
    }

    pub fn answer_variables(&mut self, execution: &str) {
        if self.i.execution(execution).is_some() {
            self.answer = Answer::Variables(self.visible(execution));
        }
    }
}

impl Run<'_, '_> {
    pub fn local(&self, execution: &str, task: Option<&str>, name: &str) -> Option<&TypedValue> {
        self.local_index(execution, task, name).map(|i| &self.i.variables[i].value)
    }

    pub fn remove_named(&mut self, execution: &str, task: Option<&str>, name: &str, local: bool) {
        let own = self.local_index(execution, task, name);
        let index = if local { own } else { own.or_else(|| self.variable_index(execution, name)) };
        if let Some(index) = index {
            let record = self.i.variables[index].clone();
            self.drop_where(|v| v.id == record.id, true);
            self.note_change(&record, execution, "delete");
        }
    }
}
