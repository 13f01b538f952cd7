//! The end of what has not completed: cancelled activities, interrupted scopes, a deleted instance.

use super::run::{Run, Step};
use super::{Refusal, Request};
use crate::process::history::{Closed, InstanceEnd};
use crate::process::instance::SubscriptionKind;
use crate::process::tree;

impl Run<'_, '_> {
    /// Cancels an execution with all below it and takes it out, the innermost first.
    pub fn delete_cascade(&mut self, execution: &str, reason: &str) -> Step {
        let before = self.delete_reason.replace(reason.to_owned());
        let done = self.delete_below_and(execution, reason);
        self.delete_reason = before;
        done
    }

    fn delete_below_and(&mut self, execution: &str, reason: &str) -> Step {
        self.delete_children(execution, reason)?;
        if self.execution(execution)?.is_event_scope {
            return self.drop_memory(execution);
        }
        self.cancel_leaf(execution, reason)?;
        let scope = self.execution(execution)?.scope.clone();
        if let Some(place) = scope {
            let activity = self.named(&place.activity_id)?;
            let still_open = place.activity_instance_id.as_ref().is_some_and(|id| self.i.open.iter().any(|o| o.id == *id));
            if still_open {
                self.execution_mut(execution)?.at = Some(place);
                self.finish(execution, activity, true)?;
            }
            self.map_outputs(execution, activity)?;
        }
        self.clear_execution(execution, reason)?;
        self.remove(execution);
        Ok(())
    }

    fn delete_children(&mut self, execution: &str, reason: &str) -> Step {
        let children: Vec<String> = self.i.children_of(execution).map(|c| c.id.clone()).collect();
        for child in children {
            self.delete_below_and(&child, reason)?;
        }
        Ok(())
    }

    /// Cancels the leaf that sits on an execution, if it is not the execution's own scope.
    fn cancel_leaf(&mut self, execution: &str, reason: &str) -> Step {
        let e = self.execution(execution)?;
        let leaf = e.at.as_ref().filter(|at| e.scope.as_ref() != Some(*at) && at.activity_instance_id.is_some());
        if let Some(activity_id) = leaf.map(|at| at.activity_id.clone()) {
            let activity = self.named(&activity_id)?;
            self.finish(execution, activity, true)?;
            self.end_tasks(execution, reason)?;
        }
        let e = self.execution_mut(execution)?;
        (e.at, e.is_active) = (None, false);
        Ok(())
    }

    /// An interrupting event subprocess: what runs in the scope is cancelled, its triggers go, its variables and its
    /// memories for compensation stay.
    pub fn interrupt(&mut self, scope: &str, reason: &str) -> Step {
        let before = self.delete_reason.replace(reason.to_owned());
        for child in tree::live_children(&self.i, scope) {
            self.delete_below_and(&child, reason)?;
        }
        let leaf = self.execution(scope)?.at.as_ref().map(|at| at.activity_id.clone());
        self.cancel_leaf(scope, reason)?;
        self.delete_reason = before;
        self.cancel_called(scope);
        self.end_tasks(scope, reason)?;
        self.end_external_tasks(scope);
        if self.preserve_root && scope == self.i.id {
            // A modification keeps the triggers of the process itself.
            self.delete_jobs(|job| job.execution_id == scope && Some(&job.activity_id) == leaf.as_ref());
        } else {
            self.delete_jobs_on(scope);
            self.i.subscriptions.retain(|s| s.execution_id != scope || s.kind == SubscriptionKind::Compensate);
        }
        self.forget(scope);
        Ok(())
    }

    /// Ends all that hangs on an execution.
    pub fn clear_execution(&mut self, execution: &str, reason: &str) -> Step {
        self.cancel_called(execution);
        self.end_tasks(execution, reason)?;
        self.end_external_tasks(execution);
        self.delete_jobs_on(execution);
        self.end_incidents_on(execution);
        self.i.subscriptions.retain(|s| s.execution_id != execution);
        self.drop_variables(execution);
        Ok(())
    }

    pub fn cancel_called(&mut self, execution: &str) {
        let reason = self.delete_reason.clone();
        if let Some(called) = self.i.execution_mut(execution).and_then(|e| e.called_instance.take()) {
            self.requests.push(Request::DeleteCalled { instance_id: called, reason });
        }
    }

    /// `DELETE /process-instance/{id}` and its like.
    pub fn delete_instance(&mut self, reason: Option<String>, state: InstanceEnd) -> Step {
        let root = self.i.id.clone();
        let text = reason.clone().unwrap_or_default();
        let before = std::mem::replace(&mut self.delete_reason, reason.clone());
        self.delete_children(&root, &text)?;
        self.cancel_leaf(&root, &text)?;
        self.run_process_listeners("end")?;
        self.clear_execution(&root, &text)?;
        self.delete_reason = before;
        if state != InstanceEnd::Completed {
            self.tell_super_of_deletion();
        }
        self.ended = true;
        self.stack.clear();
        self.changes.clear();
        self.closed.push(Closed::Instance { ended: self.cx.now, end_activity: None, delete_reason: reason, state });
        Ok(())
    }

    /// An interrupting boundary event, or the event that an event-based gateway waited for: the scope is cancelled.
    /// Returns the execution that the token is now on: the one above, but not that of an event that throws compensation.
    pub fn cancel_scope(&mut self, scope: &str, by: &str) -> Step<String> {
        let parent = self.execution(scope)?.parent.clone();
        let parent =
            parent.ok_or_else(|| Refusal::engine(format!("the process instance '{scope}' cannot be cancelled by activity '{by}'")))?;
        let reason = format!("Cancel scope activity Activity({by}) executed.");
        let handler = tree::compensates(&self.i, &parent);
        self.delete_cascade(scope, &reason)?;
        if handler {
            let token = tree::create_child(&mut self.i, &parent, self.cx.ids);
            self.execution_mut(&token)?.is_concurrent = true;
            return Ok(token);
        }
        Ok(parent)
    }
}
