//! External tasks: made when a token arrives, locked, completed or failed by workers.

use super::Refusal;
use super::command::Variables;
use super::run::{Run, Step};
use crate::job::MAX_MESSAGE_CHARS;
use crate::process::definition::{ActivityIx, Work};
use crate::process::history::Closed;
use crate::process::instance::{ExternalTask, Incident};

impl Run<'_, '_> {
    pub fn create_external_task(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let a = self.activity(activity);
        let Work::External(declared) = &a.work else { return Err(self.cannot_run(activity)) };
        let topic = self.text(execution, &declared.topic)?.unwrap_or_default();
        let priority = match declared.priority.as_ref() {
            Some(priority) => self.number(execution, priority)?.unwrap_or(0),
            None => 0,
        };
        let place = self.execution(execution)?.at.as_ref().and_then(|at| at.activity_instance_id.clone());
        let task = ExternalTask {
            id: self.new_id(),
            execution_id: execution.to_owned(),
            activity_instance_id: place.unwrap_or_default(),
            activity_id: a.id.clone(),
            definition_id: self.model.id.clone(),
            topic,
            priority,
            created: self.cx.now,
            ..ExternalTask::default()
        };
        self.log_external(&task, "created");
        self.i.external_tasks.push(task);
        Ok(())
    }

    fn log_external(&mut self, record: &ExternalTask, event: &str) {
        self.closed.push(Closed::ExternalTask { record: record.clone(), event: event.to_owned(), time: self.cx.now });
    }

    fn external(&self, id: &str) -> Step<&ExternalTask> {
        let missing = || Refusal::new("NotFoundException", format!("Cannot find external task with id {id}: externalTask is null"));
        self.i.external_tasks.iter().find(|t| t.id == id).ok_or_else(missing)
    }

    /// The task, if its instance may go on.
    fn external_running(&self, id: &str) -> Step<ExternalTask> {
        let task = self.external(id)?;
        if self.i.suspended { Err(super::tasks::suspended("ExternalTask", id)) } else { Ok(task.clone()) }
    }

    pub fn change_external(&mut self, id: &str, change: impl FnOnce(&mut ExternalTask)) -> Step {
        self.external(id)?;
        if let Some(task) = self.i.external_tasks.iter_mut().find(|t| t.id == id) {
            change(task);
        }
        Ok(())
    }

    pub fn complete_external(&mut self, id: &str, variables: Variables, local: Variables) -> Step {
        let task = self.external_running(id)?;
        self.set_from_worker(&task, variables, local)?;
        if self.external(id).is_err() {
            return self.work();
        }
        self.i.external_tasks.retain(|t| t.id != id);
        self.end_incidents_of(id, true);
        self.log_external(&task, "succeeded");
        self.push_leave(&task.execution_id);
        self.work()
    }

    /// What a worker hands over; it may trigger a conditional event that cancels the task.
    fn set_from_worker(&mut self, task: &ExternalTask, variables: Variables, local: Variables) -> Step {
        for (name, value) in local {
            self.set_local(&task.execution_id, None, &name, value);
        }
        self.set_variables(&task.execution_id, variables)?;
        self.dispatch_changes()
    }

    #[expect(clippy::too_many_arguments, reason = "the fields of one command")]
    pub fn fail_external(
        &mut self,
        id: &str,
        message: Option<String>,
        details: Option<String>,
        retries: i32,
        retry_at: i64,
        variables: Variables,
        local: Variables,
    ) -> Step {
        let task = self.external_running(id)?;
        self.set_from_worker(&task, variables, local)?;
        if self.external(id).is_err() {
            return self.work();
        }
        self.change_external(id, |task| {
            task.error_message = message.map(|m| m.chars().take(MAX_MESSAGE_CHARS).collect());
            if details.is_some() {
                task.error_details = details;
            }
            task.lock_expires = Some(retry_at);
        })?;
        self.set_external_retries(id, retries)?;
        let record = self.external(id)?.clone();
        self.log_external(&record, "failed");
        self.work()
    }

    pub fn set_external_retries(&mut self, id: &str, retries: i32) -> Step {
        if retries < 0 {
            let text = "The number of retries cannot be negative: retries is not greater than or equal to 0";
            return Err(Refusal::new("BadUserRequestException", text));
        }
        let before = self.external(id)?.retries.is_none_or(|r| r > 0);
        self.change_external(id, |task| task.retries = Some(retries))?;
        match (before, retries > 0) {
            (true, false) => {
                let task = self.external(id)?.clone();
                self.add_incident(Incident {
                    execution_id: task.execution_id,
                    incident_type: "failedExternalTask".into(),
                    activity_id: Some(task.activity_id),
                    configuration: Some(task.id),
                    message: task.error_message,
                    ..Incident::default()
                });
            }
            (false, true) => self.end_incidents_of(id, true),
            _ => {}
        }
        Ok(())
    }

    pub fn external_error(&mut self, id: &str, code: &str, message: Option<String>, variables: Variables) -> Step {
        let task = self.external_running(id)?;
        self.set_from_worker(&task, variables, vec![])?;
        if self.external(id).is_ok() {
            self.throw_error(&task.execution_id, code, message)?;
        }
        self.work()
    }

    /// External tasks that end with what they hang on.
    pub fn end_external_tasks(&mut self, execution: &str) {
        while let Some(index) = self.i.external_tasks.iter().position(|t| t.execution_id == execution) {
            let record = self.i.external_tasks.remove(index);
            self.end_incidents_of(&record.id, false);
            self.log_external(&record, "deleted");
        }
    }
}
