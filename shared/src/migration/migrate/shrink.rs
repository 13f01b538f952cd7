//! The first phase, in the source's model and from the inside out: triggers that do not survive go, scopes that the
//! plan does not map vanish and leave their children to the scope above (spec-migration §6.2).

use super::element::{ElementIx, Kind, Trigger};
use super::state::State;
use crate::migration::{MigrationCx, NotMigrated};
use crate::process::definition::ScopeRef;
use crate::process::history::Closed;
use crate::process::instance::SubscriptionKind;
use crate::process::tree;

impl State<'_> {
    pub fn shrink(&mut self, cx: &mut MigrationCx<'_>) -> Result<(), NotMigrated> {
        // Breadth-first order has every parent before its children: backwards, children come first.
        for ix in (0..self.elements.all.len()).rev() {
            let element = &self.elements.all[ix];
            if element.target.is_some() {
                let removed = std::mem::take(&mut self.elements.all[ix].removed);
                self.remove_triggers(&removed);
            } else if matches!(element.kind, Kind::Activity | Kind::Memory(_)) {
                self.vanish(cx, ix)?;
            }
        }
        Ok(())
    }

    fn remove_triggers(&mut self, removed: &[Trigger]) {
        for trigger in removed {
            match trigger {
                Trigger::Job(job) => self.remove_job(*job),
                Trigger::Subscription(subscription) => self.remove_subscription(*subscription),
            }
        }
    }

    fn vanish(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx) -> Result<(), NotMigrated> {
        let Some(parent) = self.elements.all[element].parent else { return Ok(()) };
        let mut children = self.elements.all[element].children.clone();
        // Tokens first, as the plan names them; what is kept for compensation after them.
        children.sort_by_key(|c| (self.elements.all[*c].is_compensation(), self.elements.all[*c].instruction));
        for child in &children {
            if !self.elements.all[*child].is_compensation() {
                self.detach_owned(*child);
            }
        }
        for child in &children {
            self.detach(*child);
        }
        if self.elements.all[element].is_activity() {
            self.end_scope(cx, element, parent)?;
        } else {
            self.forget(element);
        }
        for child in children {
            self.attach(cx, child, parent)?;
        }
        Ok(())
    }

    /// Ends the scope of an activity instance: listeners, output mappings, all that is left on it.
    fn end_scope(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx, parent: ElementIx) -> Result<(), NotMigrated> {
        let execution = self.elements.all[element].execution.clone();
        if let Some(ScopeRef::Activity(source)) = self.elements.all[element].source {
            if !self.skip.custom_listeners {
                self.stand_at_scope(&execution);
                self.run_listeners(cx, &execution, source, "end")?;
            }
            if !self.skip.io_mappings {
                self.run_outputs(cx, &execution, source)?;
            }
        }
        let id = self.elements.all[element].id.clone();
        if let Some(at) = self.instance.open.iter().position(|o| o.id == id) {
            let record = self.instance.open.remove(at);
            self.closed.push(Closed::Activity { record, ended: self.now, canceled: true, complete_scope: false });
        }
        let removed = std::mem::take(&mut self.elements.all[element].removed);
        self.remove_triggers(&removed);
        let above = self.instance.execution(&execution).and_then(|e| e.parent.clone());
        self.remove_executions(&execution, &id);
        if let Some(above) = above {
            self.release(parent, &above);
        }
        self.elements.set_parent(element, None);
        Ok(())
    }

    /// Listeners see the scope itself as the activity that ends.
    fn stand_at_scope(&mut self, execution: &str) {
        if let Some(execution) = self.instance.execution_mut(execution) {
            execution.at.clone_from(&execution.scope);
        }
    }

    /// A memory goes with its snapshot and its subscription; nothing is run.
    fn forget(&mut self, element: ElementIx) {
        if let Some(subscription) = self.elements.all[element].handler().map(|h| h.subscription) {
            self.remove_subscription(subscription);
        }
        let execution = self.elements.all[element].execution.clone();
        let id = self.elements.all[element].id.clone();
        self.remove_executions(&execution, &id);
        self.elements.set_parent(element, None);
    }

    /// Takes out an execution with all that is still below and on it: finished tokens of a body, its counters.
    fn remove_executions(&mut self, execution: &str, scope: &str) {
        let mut doomed = vec![execution.to_owned()];
        let mut at = 0;
        while at < doomed.len() {
            let below: Vec<String> = self.instance.children_of(&doomed[at]).map(|e| e.id.clone()).collect();
            doomed.extend(below);
            at += 1;
        }
        for id in doomed.iter().rev() {
            self.drop_variables(id, Some(scope));
            for job in 0..self.instance.jobs.len() {
                if self.instance.jobs[job].execution_id == *id {
                    self.remove_job(job);
                }
            }
            for ix in 0..self.instance.subscriptions.len() {
                let subscription = &self.instance.subscriptions[ix];
                if subscription.execution_id == *id && subscription.kind != SubscriptionKind::Compensate {
                    self.remove_subscription(ix);
                }
            }
            tree::remove_execution(&mut self.instance, id);
        }
        for ix in 0..self.instance.incidents.len() {
            if doomed.contains(&self.instance.incidents[ix].execution_id) {
                self.end_incident(ix);
            }
        }
    }
}
