//! Compensation: what finished activities leave behind to be undone, and undoing it (execution-tree rule 9).
//!
//! A finished activity with a handler leaves a `compensate` subscription on the scope around it; a finished scope with such
//! subscriptions stays as an event scope with a copy of its variables, and leaves a subscription that points at it.

use super::Refusal;
use super::run::{Op, Run, Step};
use crate::process::definition::{ActivityIx, ActivityKind, EventDefinition, ScopeRef};
use crate::process::instance::{Place, Subscription, SubscriptionKind, Variable};
use crate::process::tree;

const BOUNDARY: &str = "compensationBoundaryCatch";

impl Run<'_, '_> {
    /// The handler that a compensation boundary event connects to an activity.
    fn handler_of(&self, activity: ActivityIx) -> Option<ActivityIx> {
        let mut events = self.model.events_of(ScopeRef::Activity(activity));
        events.find_map(|e| Some(self.activity(e)).filter(|b| b.type_name == BOUNDARY).and_then(|b| b.compensation_handler))
    }

    /// The event subprocess that undoes a scope.
    fn undoing_event_sub_process(&self, scope: ActivityIx) -> Option<ActivityIx> {
        let undoes = |c: &ActivityIx| self.activity(*c).triggered_by_event && self.activity(*c).is_for_compensation;
        self.activity(scope).children.iter().copied().find(undoes)
    }

    /// When an activity is left: it can be compensated from now on.
    pub fn remember_handler(&mut self, execution: &str, activity: ActivityIx) -> Step {
        if !self.activity(activity).children.is_empty() {
            self.remember_scope(execution, activity)?;
        }
        if let Some(handler) = self.handler_of(activity) {
            let scope = self.execution_of_scope(execution, self.activity(activity).flow_scope)?;
            let id = self.activity(handler).id.clone();
            self.add_subscription(&scope, SubscriptionKind::Compensate, None, id, None);
        }
        Ok(())
    }

    fn compensations_on(&self, execution: &str) -> Vec<Subscription> {
        let on = |s: &&Subscription| s.execution_id == execution && s.kind == SubscriptionKind::Compensate;
        self.i.subscriptions.iter().filter(on).cloned().collect()
    }

    /// A scope that ends stays as a memory, if something in it can be compensated.
    fn remember_scope(&mut self, execution: &str, scope: ActivityIx) -> Step {
        let subscriptions = self.compensations_on(execution);
        let undoes = self.undoing_event_sub_process(scope);
        if subscriptions.is_empty() && undoes.is_none() {
            return Ok(());
        }
        let around = self.execution_of_scope(execution, self.activity(scope).flow_scope)?;
        let memory = tree::create_child(&mut self.i, &around, self.cx.ids);
        let activity_id = self.activity(scope).id.clone();
        let activity_instance_id = Some(tree::activity_instance_id(&activity_id, self.cx.ids));
        let e = self.execution_mut(&memory)?;
        (e.is_scope, e.is_event_scope) = (true, true);
        e.scope = Some(Place { activity_id: activity_id.clone(), activity_instance_id });
        // As the reference does it, with what it does not mean to: mappings and timers of the scope come again.
        self.map_inputs(&memory, scope)?;
        self.copy_variables(execution, &memory);
        self.create_timers(&memory, scope)?;
        for old in subscriptions {
            self.i.subscriptions.retain(|s| s.id != old.id);
            let id = self.new_id();
            self.i.subscriptions.push(Subscription { id, execution_id: memory.clone(), ..old });
        }
        for inner in self.i.executions.iter_mut().filter(|e| e.is_event_scope && e.parent.as_deref() == Some(execution)) {
            inner.parent = Some(memory.clone());
        }
        let undone_by = undoes.map_or(activity_id, |u| self.activity(u).id.clone());
        self.add_subscription(&around, SubscriptionKind::Compensate, None, undone_by, Some(memory));
        Ok(())
    }

    fn copy_variables(&mut self, from: &str, to: &str) {
        let own: Vec<Variable> = self.i.variables.iter().filter(|v| v.execution_id == from && v.task_id.is_none()).cloned().collect();
        for variable in own {
            self.i.variables.retain(|v| !(v.execution_id == to && v.name == variable.name));
            let id = self.new_id();
            self.i.variables.push(Variable { id, execution_id: to.to_owned(), created: self.cx.now, ..variable });
        }
    }

    // --- throwing ------------------------------------------------------------------------------------------

    pub fn throw_compensation(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let target = match &self.activity(activity).event {
            Some(EventDefinition::Compensation { activity: Some(target) }) => Some(self.compensated_id(target)?),
            _ => None,
        };
        let mut found = self.collect_compensations(execution, activity)?;
        if let Some(target) = target {
            found.retain(|s| s.activity_id == target);
        }
        if found.is_empty() {
            self.push_leave(execution);
            return Ok(());
        }
        self.compensate(execution, found)
    }

    /// The activity id that the subscription for a compensated activity carries.
    fn compensated_id(&self, target: &str) -> Step<String> {
        let ix = self.named(target)?;
        if let Some(body) = self.model.body_of(ix) {
            return Ok(self.activity(body).id.clone());
        }
        let handler = self.handler_of(ix).or_else(|| self.undoing_event_sub_process(ix)).unwrap_or(ix);
        Ok(self.activity(handler).id.clone())
    }

    /// What can be compensated from here: in the scope around; out of an event subprocess also in the one around that.
    fn collect_compensations(&self, execution: &str, activity: ActivityIx) -> Step<Vec<Subscription>> {
        let mut found = vec![];
        let mut scope = self.activity(activity).flow_scope;
        loop {
            let on = self.execution_of_scope(execution, scope)?;
            found.extend(self.compensations_on(&on));
            match scope {
                ScopeRef::Activity(ix) if self.activity(ix).triggered_by_event => scope = self.activity(ix).flow_scope,
                _ => return Ok(found),
            }
        }
    }

    /// Starts the handlers, the latest finished first, each on an execution below the throwing one.
    fn compensate(&mut self, thrower: &str, mut found: Vec<Subscription>) -> Step {
        let mut handlers = vec![];
        found.reverse();
        found.sort_by_key(|s| std::cmp::Reverse(s.created));
        for subscription in found {
            self.i.subscriptions.retain(|s| s.id != subscription.id);
            let on = match &subscription.configuration {
                Some(memory) => memory.clone(),
                None => tree::create_child(&mut self.i, thrower, self.cx.ids),
            };
            let e = self.execution_mut(&on)?;
            e.parent = Some(thrower.to_owned());
            (e.is_event_scope, e.is_concurrent) = (false, true);
            handlers.push((on, self.named(&subscription.activity_id)?));
        }
        self.execution_mut(thrower)?.is_active = false;
        for (on, handler) in handlers.iter().rev() {
            self.start_handler(on, *handler)?;
        }
        Ok(())
    }

    fn start_handler(&mut self, on: &str, handler: ActivityIx) -> Step {
        let memory = self.execution(on)?.scope.clone();
        if let Some(place) = memory {
            let scope = self.named(&place.activity_id)?;
            // The memory runs again: its activity instance shows until its compensation is done.
            self.open_activity(on, scope, &place);
            if handler == scope {
                let inner = self.compensations_on(on);
                return self.compensate(on, inner);
            }
            self.in_transit(on, handler)?;
            let child = self.arrive(on, handler)?;
            self.push(Op::Execute { execution: child });
            return Ok(());
        }
        self.settle(on, handler)?;
        self.push(Op::Execute { execution: on.to_owned() });
        Ok(())
    }

    // --- the end of a handler ------------------------------------------------------------------------------

    /// Does this activity run as a handler, below an event that throws compensation? (An inner multi-instance one ends
    /// into its body.)
    pub fn runs_as_handler(&self, execution: &str, activity: ActivityIx) -> bool {
        let in_body = self.model.body_of(activity).is_some();
        if !self.activity(activity).is_for_compensation || in_body {
            return false;
        }
        let throws = |scope: &ScopeRef| match scope {
            ScopeRef::Activity(ix) => matches!(self.activity(*ix).kind, ActivityKind::CompensationEvent | ActivityKind::CancelEndEvent),
            ScopeRef::Process => false,
        };
        self.scopes_around(execution).iter().any(|(_, scope)| throws(scope))
    }

    pub fn end_compensation(&mut self, execution: &str) -> Step {
        let activity = self.at(execution)?;
        self.finish(execution, activity, false)?;
        let Some(parent) = self.execution(execution)?.parent.clone() else { return Ok(()) };
        self.map_outputs(execution, activity)?;
        self.drop_memories(execution)?;
        self.clear_execution(execution, "completed")?;
        self.remove(execution);
        self.compensation_done(&parent)
    }

    /// Once all handlers below have ended, the thrower goes on; a memory that is done goes, and tells the one above.
    pub fn compensation_done(&mut self, execution: &str) -> Step {
        if !tree::live_children(&self.i, execution).is_empty() {
            return Ok(());
        }
        let e = self.execution(execution)?;
        let place = e.scope.clone();
        let kind = place.as_ref().and_then(|p| self.model.get(&p.activity_id)).map(|a| a.kind);
        match (kind, e.parent.clone(), place) {
            (Some(ActivityKind::CancelEndEvent), ..) => self.leave_by_cancel_boundary(execution),
            (Some(ActivityKind::CompensationEvent), ..) => {
                self.execution_mut(execution)?.is_active = true;
                self.push_leave(execution);
                Ok(())
            }
            (_, Some(parent), Some(place)) => {
                self.close_activity(place.activity_instance_id.as_deref().unwrap_or_default(), false, false);
                self.drop_memories(execution)?;
                self.clear_execution(execution, "completed")?;
                self.remove(execution);
                self.compensation_done(&parent)
            }
            _ => Ok(()),
        }
    }

    // --- transactions --------------------------------------------------------------------------------------

    /// A cancel end event compensates its transaction and leaves it by the cancel boundary event.
    pub fn cancel_transaction(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let found = self.collect_compensations(execution, activity)?;
        if found.is_empty() { self.leave_by_cancel_boundary(execution) } else { self.compensate(execution, found) }
    }

    fn leave_by_cancel_boundary(&mut self, execution: &str) -> Step {
        let activity = self.at(execution)?;
        let scope = self.activity(activity).flow_scope;
        let boundary = self.model.events_of(scope).find(|e| self.activity(*e).kind == ActivityKind::CancelBoundaryEvent);
        let missing =
            || Refusal::engine(format!("Could not find cancel boundary event for cancel end event {}", self.activity(activity).id));
        let boundary = boundary.ok_or_else(missing)?;
        let on = self.execution_of_scope(execution, scope)?;
        self.trigger(&on, boundary)
    }

    // --- the end of memories -------------------------------------------------------------------------------

    /// An event scope goes without listeners or mappings.
    pub fn drop_memory(&mut self, execution: &str) -> Step {
        self.drop_memories(execution)?;
        self.i.subscriptions.retain(|s| s.execution_id != execution);
        self.delete_jobs_on(execution);
        self.drop_variables(execution);
        self.remove(execution);
        Ok(())
    }

    pub fn drop_memories(&mut self, execution: &str) -> Step {
        let memories: Vec<String> = self.i.children_of(execution).filter(|e| e.is_event_scope).map(|e| e.id.clone()).collect();
        memories.iter().try_for_each(|memory| self.drop_memory(memory))
    }
}
