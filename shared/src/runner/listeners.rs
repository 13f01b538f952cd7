//! Execution and task listeners that are expressions (FINDINGS 39). Others are refused by name when they would run.

use super::Refusal;
use super::run::{Run, Step};
use crate::process::definition::{ActivityIx, ExecutionListener, ListenerAction, Work};

impl Run<'_, '_> {
    pub fn run_listeners(&mut self, execution: &str, activity: ActivityIx, event: &str) -> Step {
        self.run_execution_listeners(execution, &self.activity(activity).listeners, event)
    }

    pub fn run_take_listeners(&mut self, execution: &str, flow: usize) -> Step {
        self.run_execution_listeners(execution, &self.model.flows[flow].listeners, "take")
    }

    pub fn run_process_listeners(&mut self, event: &str) -> Step {
        let root = self.i.id.clone();
        self.run_execution_listeners(&root, &self.model.listeners, event)
    }

    fn run_execution_listeners(&mut self, execution: &str, listeners: &[ExecutionListener], event: &str) -> Step {
        if self.skip_listeners {
            return Ok(());
        }
        for listener in listeners.iter().filter(|l| l.event == event) {
            match &listener.action {
                ListenerAction::Expression(expression) => self.evaluate_for(execution, None, Some(event), expression).map(|_| ())?,
                ListenerAction::Unsupported(what) => return Err(cannot_run(what, event)),
            }
        }
        Ok(())
    }

    /// The listeners of a task for one event, as long as the task is there.
    pub fn run_task_listeners(&mut self, task: &str, event: &str) -> Step {
        if self.skip_listeners {
            return Ok(());
        }
        let Some(found) = self.i.tasks.iter().find(|t| t.id == task) else { return Ok(()) };
        let Some(activity) = self.model.find(&found.task_definition_key) else { return Ok(()) };
        let execution = found.execution_id.clone();
        let Work::UserTask(declared) = &self.activity(activity).work else { return Ok(()) };
        for listener in declared.listeners.iter().filter(|l| l.event == event) {
            self.run_task_action(&execution, task, event, &listener.action)?;
        }
        Ok(())
    }

    pub fn run_task_action(&mut self, execution: &str, task: &str, event: &str, action: &ListenerAction) -> Step {
        match action {
            ListenerAction::Expression(expression) => self.evaluate_for(execution, Some(task), Some(event), expression).map(|_| ()),
            ListenerAction::Unsupported(what) => Err(cannot_run(what, event)),
        }
    }
}

fn cannot_run(what: &str, event: &str) -> Refusal {
    Refusal::engine(format!("The {event} listener {what} needs code that this engine does not have. Make it an expression"))
}
