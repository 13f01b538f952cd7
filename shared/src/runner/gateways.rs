//! Gateways: which flows hold, and when tokens that wait for each other go on.

use std::collections::HashSet;

use super::Refusal;
use super::run::{Run, Step};
use crate::process::definition::{ActivityIx, ActivityKind, ScopeRef};
use crate::process::tree;

impl Run<'_, '_> {
    fn holds(&mut self, execution: &str, flow: usize) -> Step<bool> {
        match &self.model.flows[flow].condition {
            Some(condition) => self.condition(execution, condition),
            None => Ok(true),
        }
    }

    /// All flows but the default one whose condition holds, or that have none.
    pub fn flows_that_hold(&mut self, execution: &str, activity: ActivityIx) -> Step<Vec<usize>> {
        let a = self.activity(activity);
        let mut flows = vec![];
        for flow in a.outgoing.iter().filter(|f| a.default_flow != Some(**f)) {
            if self.holds(execution, *flow)? {
                flows.push(*flow);
            }
        }
        Ok(flows)
    }

    pub fn some_or_default(&self, activity: ActivityIx, flows: Vec<usize>) -> Step<Vec<usize>> {
        let a = self.activity(activity);
        if !flows.is_empty() || a.outgoing.is_empty() {
            return Ok(flows);
        }
        let stuck = || {
            let text = format!(
                "ENGINE-02004 No outgoing sequence flow for the element with id '{}' could be selected for continuing the process.",
                a.id
            );
            Refusal::engine(text)
        };
        a.default_flow.map(|f| vec![f]).ok_or_else(stuck)
    }

    pub fn exclusive_flow(&mut self, execution: &str, activity: ActivityIx) -> Step<Vec<usize>> {
        let a = self.activity(activity);
        for flow in a.outgoing.iter().filter(|f| a.default_flow != Some(**f)) {
            if self.holds(execution, *flow)? {
                return Ok(vec![*flow]);
            }
        }
        self.some_or_default(activity, vec![])
    }

    /// Tokens that wait at `gateway` in the scope of `execution`, itself included.
    fn waiting_at(&self, execution: &str, gateway: &str) -> Vec<String> {
        let scope = tree::scope_execution(&self.i, execution);
        let in_scope = |e: &&crate::process::instance::Execution| e.id == scope || (e.parent.as_deref() == Some(scope) && e.is_concurrent);
        let waits = |e: &&crate::process::instance::Execution| {
            e.at.as_ref().is_some_and(|at| at.activity_id == gateway && at.activity_instance_id.is_some())
                && (!e.is_active || e.id == execution)
        };
        self.i.executions.iter().filter(in_scope).filter(waits).map(|e| e.id.clone()).collect()
    }

    /// A parallel gateway goes on when as many tokens wait as it has incoming flows (FINDINGS 25).
    pub fn parallel_join(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let a = self.activity(activity);
        self.execution_mut(execution)?.is_active = false;
        let waiting = self.waiting_at(execution, &a.id);
        if waiting.len() >= a.incoming.len() { self.join(execution, activity, &waiting) } else { Ok(()) }
    }

    /// An inclusive one goes on too as soon as no other token of the scope can reach it.
    pub fn inclusive_join(&mut self, execution: &str, activity: ActivityIx) -> Step {
        self.execution_mut(execution)?.is_active = false;
        let a = self.activity(activity);
        let waiting = self.waiting_at(execution, &a.id);
        if waiting.len() < a.incoming.len() && self.reachable_by_another(execution, activity, &waiting) {
            return Ok(());
        }
        self.join(execution, activity, &waiting)
    }

    fn reachable_by_another(&self, execution: &str, activity: ActivityIx, waiting: &[String]) -> bool {
        let scope = tree::scope_execution(&self.i, execution);
        let others = self.i.children_of(scope).filter(|e| !e.is_event_scope && !waiting.contains(&e.id));
        others.into_iter().any(|other| {
            let inner = self.i.children_of(&other.id).find(|c| !c.is_event_scope).and_then(|c| c.scope.as_ref());
            let place = other.at.as_ref().or(inner);
            place.and_then(|p| self.model.find(&p.activity_id)).is_some_and(|from| self.reaches(from, activity))
        })
    }

    /// Is there a way along flows from one activity to another of the same scope?
    fn reaches(&self, from: ActivityIx, to: ActivityIx) -> bool {
        let mut seen = HashSet::from([from]);
        let mut open = vec![from];
        while let Some(at) = open.pop() {
            if at == to {
                return true;
            }
            let along = self.activity(at).outgoing.iter().map(|f| self.model.flows[*f].target);
            let waits = self.activity(at).kind == ActivityKind::EventBasedGateway;
            let events = self.model.events_of(ScopeRef::Activity(at)).filter(|_| waits);
            let next: Vec<_> = along.chain(events).filter(|n| seen.insert(*n)).collect();
            open.extend(next);
        }
        false
    }

    /// The tokens become one, which leaves.
    fn join(&mut self, execution: &str, activity: ActivityIx, waiting: &[String]) -> Step {
        let scope = tree::scope_execution(&self.i, execution).to_owned();
        for other in waiting.iter().filter(|w| *w != execution) {
            self.finish(other, activity, false)?;
            self.drop_variables(other);
            self.remove(other);
        }
        if waiting.len() > 1 {
            self.drop_variables(execution);
        }
        self.execution_mut(execution)?.is_active = true;
        self.push_leave(execution);
        if !self.i.execution(&scope).is_some_and(|s| self.is_parallel_body(s)) {
            self.prune(&scope);
        }
        Ok(())
    }
}
