//! Messages, signals and conditions: subscriptions made with a scope, and what happens when one is met.

use super::command::Variables;
use super::run::{Entry, Op, Run, Step, VariableChange};
use super::{Answer, Refusal};
use crate::process::definition::{Activity, ActivityIx, ActivityKind, EventDefinition, ScopeRef};
use crate::process::instance::{Subscription, SubscriptionKind};
use crate::process::tree;
use crate::process::unknown::Unknown;

/// The most rounds in which variables set by triggered events trigger further ones.
const MAX_ROUNDS: usize = 1_000;

impl Run<'_, '_> {
    pub fn subscribe(&mut self, on: &str, activity: ActivityIx) -> Step {
        self.subscribe_scope(on, ScopeRef::Activity(activity))
    }

    pub fn subscribe_scope(&mut self, on: &str, scope: ScopeRef) -> Step {
        let model = self.model;
        for event in model.events_of(scope) {
            if self.starts_process(event) {
                continue;
            }
            let (kind, name) = match &self.activity(event).event {
                Some(EventDefinition::Message { name }) => (SubscriptionKind::Message, name.as_ref()),
                Some(EventDefinition::Signal { name, .. }) => (SubscriptionKind::Signal, Some(name)),
                Some(EventDefinition::Conditional { .. }) => (SubscriptionKind::Conditional, None),
                _ => continue,
            };
            let event_name = name.map_or(Ok(None), |n| self.text(on, n))?;
            let activity_id = self.activity(event).id.clone();
            self.add_subscription(on, kind, event_name, activity_id, None);
        }
        Ok(())
    }

    pub fn add_subscription(
        &mut self,
        on: &str,
        kind: SubscriptionKind,
        event_name: Option<String>,
        activity_id: String,
        configuration: Option<String>,
    ) {
        let id = self.new_id();
        let created = self.cx.now;
        let (execution_id, other) = (on.to_owned(), Unknown::default());
        self.i.subscriptions.push(Subscription { id, execution_id, kind, event_name, activity_id, created, configuration, other });
    }

    /// A message or signal for one subscription.
    pub fn deliver(&mut self, subscription: &str, variables: Variables, local: Variables) -> Step {
        let found = self.i.subscriptions.iter().find(|s| s.id == subscription);
        let missing =
            || Refusal::new("NullValueException", format!("event subscription {subscription} doesn't exist: eventSubscription is null"));
        let (execution, activity) = found.map(|s| (s.execution_id.clone(), s.activity_id.clone())).ok_or_else(missing)?;
        if self.i.suspended {
            return Err(super::tasks::suspended("Execution", &execution));
        }
        self.answer = Answer::Execution(execution.clone());
        self.set_variables(&execution, variables)?;
        for (name, value) in local {
            self.set_local(&execution, None, &name, value);
        }
        self.dispatch_changes()?;
        let activity = self.named(&activity)?;
        if self.i.subscriptions.iter().any(|s| s.id == subscription) {
            self.trigger(&execution, activity)?;
        }
        self.work()
    }

    /// A receive task without message goes on.
    pub fn signal_execution(&mut self, execution: &str, variables: Variables) -> Step {
        let missing = || Refusal::new("BadUserRequestException", format!("execution {execution} doesn't exist: execution is null"));
        self.i.execution(execution).ok_or_else(missing)?;
        if self.i.suspended {
            return Err(super::tasks::suspended("Execution", execution));
        }
        let activity = self.at(execution)?;
        self.set_variables(execution, variables)?;
        self.dispatch_changes()?;
        match self.activity(activity).kind {
            ActivityKind::ReceiveTask | ActivityKind::UserTask | ActivityKind::IntermediateCatchEvent => {
                self.end_tasks(execution, "completed")?;
                self.push_leave(execution);
                self.work()
            }
            kind => Err(Refusal::engine(format!(
                "The activity '{}' ({}) does not wait for a signal",
                self.activity(activity).id,
                kind.behavior_name()
            ))),
        }
    }

    /// The event of `activity` has happened to the scope execution that its trigger lives on.
    pub fn trigger(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let a = self.activity(activity);
        let here = self.execution(execution)?.at.as_ref().is_some_and(|at| at.activity_id == a.id);
        if here {
            self.push_leave(execution);
            return Ok(());
        }
        let handler = match a.flow_scope {
            ScopeRef::Activity(sub) if is_event_sub_process_start(a) => sub,
            _ => activity,
        };
        let token = if handler != activity {
            self.make_room(execution, handler, a.interrupting)?
        } else if a.interrupting || a.attached_to.is_none() {
            self.cancel_scope(execution, &a.id)?
        } else {
            let scope = self.execution_of_scope(execution, a.flow_scope)?;
            self.fork(&scope).0
        };
        self.in_transit(&token, handler)?;
        self.push(Op::Enter { execution: token, activity: handler, entry: Entry::Direct, resumed: false });
        Ok(())
    }

    /// Where an event subprocess begins: on the scope's own execution, of which all else is cancelled, or beside it.
    fn make_room(&mut self, scope: &str, handler: ActivityIx, interrupts: bool) -> Step<String> {
        if !interrupts {
            return Ok(self.fork(scope).0);
        }
        let reason = format!("Interrupting activity Activity({}) executed.", self.activity(handler).id);
        self.interrupt(scope, &reason)?;
        Ok(scope.to_owned())
    }

    // --- conditions ----------------------------------------------------------------------------------------

    /// Conditional events look at each variable that was set, in the scope where it lives and in all below.
    pub fn dispatch_changes(&mut self) -> Step {
        for _ in 0..MAX_ROUNDS {
            if self.changes.is_empty() {
                return Ok(());
            }
            for change in std::mem::take(&mut self.changes) {
                if self.i.subscriptions.iter().any(|s| s.kind == SubscriptionKind::Conditional) {
                    self.meet_conditions(&change.execution.clone(), Some(&change))?;
                }
            }
        }
        Err(Refusal::engine(format!("Conditional events trigger each other: stopped after {MAX_ROUNDS} rounds")))
    }

    /// Triggers what has a condition that holds on `execution` or below. Without a change (a scope begins) only what lives on it.
    pub fn meet_conditions(&mut self, execution: &str, change: Option<&VariableChange>) -> Step {
        let below = |on: &str| match change {
            None => on == execution,
            Some(_) => self.is_at_or_below(on, execution),
        };
        let waiting = self.i.subscriptions.iter().filter(|s| s.kind == SubscriptionKind::Conditional && below(&s.execution_id));
        let waiting: Vec<String> = waiting.map(|s| s.id.clone()).collect();
        for id in waiting {
            let Some(s) = self.i.subscriptions.iter().find(|s| s.id == id) else { continue };
            let (on, activity_id) = (s.execution_id.clone(), s.activity_id.clone());
            let activity = self.named(&activity_id)?;
            let a = self.activity(activity);
            let intermediate = a.kind == ActivityKind::IntermediateConditionalEvent;
            if intermediate && (change.is_none() || self.is_leaving(&on)) {
                continue;
            }
            let Some(EventDefinition::Conditional { condition, variable_name, variable_events }) = &a.event else { continue };
            let looks = change.is_none_or(|c| {
                variable_name.as_ref().is_none_or(|n| *n == c.name)
                    && (variable_events.is_empty() || variable_events.iter().any(|e| e == c.event))
            });
            if looks && self.condition(&on, condition).unwrap_or(false) {
                self.trigger(&on, activity)?;
            }
        }
        Ok(())
    }

    fn is_leaving(&self, execution: &str) -> bool {
        self.stack.iter().any(|op| matches!(op, Op::Leave { execution: e } | Op::End { execution: e } if e == execution))
    }

    fn is_at_or_below(&self, execution: &str, above: &str) -> bool {
        let mut at = self.i.execution(execution);
        while let Some(e) = at {
            if e.id == above {
                return true;
            }
            at = e.parent.as_deref().and_then(|p| self.i.execution(p));
        }
        false
    }

    /// Catching events of a scope, event subprocesses before boundary events.
    pub fn catchers(&self, scope: ScopeRef) -> Vec<ActivityIx> {
        let mut events: Vec<ActivityIx> = self.model.events_of(scope).filter(|e| !self.starts_process(*e)).collect();
        events.sort_by_key(|e| !is_event_sub_process_start(self.activity(*e)));
        events
    }

    /// The scopes around a token from the inside out: (scope execution, scope of the model).
    pub fn scopes_around(&self, execution: &str) -> Vec<(String, ScopeRef)> {
        let mut found = vec![];
        let mut at = self.i.execution(execution);
        while let Some(e) = at {
            if let Some(scope) = tree::model_scope(self.model, e).filter(|_| e.is_scope) {
                found.push((e.id.clone(), scope));
            }
            at = e.parent.as_deref().and_then(|p| self.i.execution(p));
        }
        found
    }
}

pub(super) fn is_event_sub_process_start(a: &Activity) -> bool {
    matches!(a.kind, ActivityKind::EventSubProcessStartEvent | ActivityKind::EventSubProcessStartConditionalEvent)
}
