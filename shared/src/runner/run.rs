//! One run: the instance at work, what is still to do, and what it has asked for so far.
//!
//! Operations wait on a stack, the last first, as the reference's do; each is a small step of one token. A token
//! whose execution is replaced or cancelled takes its waiting operations along, or they go with it.

use super::{Answer, Cx, Ran, Refusal, Request};
use crate::process::definition::{Activity, ActivityIx, ProcessDefinition, ScopeRef};
use crate::process::history::Closed;
use crate::process::instance::{Execution, Instance, Place};
use crate::process::tree;

/// The most operations that one command may take: a process that loops without a wait state ends here.
pub(super) const MAX_OPERATIONS: usize = 20_000;
/// The most executions that one instance may have.
pub(super) const MAX_EXECUTIONS: usize = 20_000;

pub(super) type Step<T = ()> = Result<T, Refusal>;

/// How a token comes to an activity: what an asyncBefore job there remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    ProcessStart,
    Transition,
    Direct,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    /// Along a sequence flow. `resumed`: an asyncAfter job has run already.
    Take { execution: String, flow: usize, resumed: bool },
    /// Into an activity: the scope is made, or the token is parked at an asyncBefore job.
    Enter { execution: String, activity: ActivityIx, entry: Entry, resumed: bool },
    /// What the activity does.
    Execute { execution: String },
    /// Out of an activity by the flows that its conditions choose.
    Leave { execution: String },
    /// Out of an activity, along no flow.
    End { execution: String },
    /// The token of an activity with no flow that has ended goes up into its scope.
    Ended { execution: String, activity: ActivityIx },
}

impl Op {
    fn execution_mut(&mut self) -> &mut String {
        match self {
            Self::Take { execution, .. }
            | Self::Enter { execution, .. }
            | Self::Execute { execution }
            | Self::Leave { execution }
            | Self::End { execution }
            | Self::Ended { execution, .. } => execution,
        }
    }
}

/// A variable that was set: what conditional events look at.
#[derive(Clone, Debug)]
pub(super) struct VariableChange {
    pub execution: String,
    pub name: String,
    pub event: &'static str,
}

pub(super) struct Run<'r, 'c> {
    pub i: Instance,
    pub cx: &'r mut Cx<'c>,
    pub model: &'c ProcessDefinition,
    pub closed: Vec<Closed>,
    pub requests: Vec<Request>,
    pub answer: Answer,
    pub stack: Vec<Op>,
    pub changes: Vec<VariableChange>,
    pub operations: usize,
    pub skip_listeners: bool,
    pub skip_mappings: bool,
    /// While a modification goes on the instance does not end (its root is kept for what comes next).
    pub preserve_root: bool,
    /// The activity after which nothing was left, while the root was preserved.
    pub root_done: Option<ActivityIx>,
    /// What listeners see as `execution.deleteReason`, while something is cancelled.
    pub delete_reason: Option<String>,
    pub ended: bool,
}

impl<'r, 'c> Run<'r, 'c> {
    pub fn new(instance: Instance, cx: &'r mut Cx<'c>) -> Self {
        let model = cx.definition;
        Self {
            i: instance,
            cx,
            model,
            closed: vec![],
            requests: vec![],
            answer: Answer::Nothing,
            stack: vec![],
            changes: vec![],
            operations: 0,
            skip_listeners: false,
            skip_mappings: false,
            preserve_root: false,
            root_done: None,
            delete_reason: None,
            ended: false,
        }
    }

    pub fn finished(mut self) -> Ran {
        self.i.variables.retain(|v| !v.value.transient);
        if self.ended {
            self.i.executions.clear();
        } else if cfg!(debug_assertions) {
            let breaches = tree::check(&self.i, self.model);
            debug_assert!(breaches.is_empty(), "{breaches:#?} Execution {{ {:#?}", self.i.executions);
        }
        Ran { instance: self.i, ended: self.ended, closed: self.closed, requests: self.requests, answer: self.answer }
    }

    /// Works until nothing is left to do.
    pub fn work(&mut self) -> Step {
        self.dispatch_changes()?;
        while let Some(op) = self.stack.pop() {
            self.operations += 1;
            if self.operations > MAX_OPERATIONS || self.i.executions.len() > MAX_EXECUTIONS {
                let text = format!("The process goes round without a wait state: stopped after {} steps", self.operations);
                return Err(Refusal::engine(text));
            }
            let activity = self.activity_of(&op);
            self.step(op).map_err(|mut refusal| {
                refusal.failed_activity = refusal.failed_activity.take().or(activity);
                refusal
            })?;
            self.dispatch_changes()?;
        }
        Ok(())
    }

    fn activity_of(&self, op: &Op) -> Option<String> {
        match op {
            Op::Enter { activity, .. } => Some(self.model.activities[*activity].id.clone()),
            Op::Take { execution, .. }
            | Op::Execute { execution }
            | Op::Leave { execution }
            | Op::End { execution }
            | Op::Ended { execution, .. } => self.i.execution(execution).and_then(|e| e.at.as_ref()).map(|at| at.activity_id.clone()),
        }
    }

    fn step(&mut self, op: Op) -> Step {
        match op {
            Op::Take { execution, flow, resumed } => self.take(&execution, flow, resumed),
            Op::Enter { execution, activity, entry, resumed } => self.enter(&execution, activity, entry, resumed),
            Op::Execute { execution } => self.execute(&execution),
            Op::Leave { execution } => self.leave(&execution),
            Op::End { execution } => self.end(&execution),
            Op::Ended { execution, activity } => self.ended_in_scope(&execution, activity),
        }
    }

    pub fn push(&mut self, op: Op) {
        self.stack.push(op);
    }

    pub fn push_leave(&mut self, execution: &str) {
        self.push(Op::Leave { execution: execution.to_owned() });
    }

    // --- reading -----------------------------------------------------------------------------------------

    pub fn execution(&self, id: &str) -> Step<&Execution> {
        self.i.execution(id).ok_or_else(|| no_execution(id))
    }

    pub fn execution_mut(&mut self, id: &str) -> Step<&mut Execution> {
        self.i.execution_mut(id).ok_or_else(|| no_execution(id))
    }

    pub fn activity(&self, ix: ActivityIx) -> &'c Activity {
        &self.model.activities[ix]
    }

    /// The activity that the token on `execution` is at.
    pub fn at(&self, execution: &str) -> Step<ActivityIx> {
        let at = self.execution(execution)?.at.as_ref();
        let at = at.ok_or_else(|| Refusal::engine(format!("Execution '{execution}' is at no activity")))?;
        self.named(&at.activity_id)
    }

    pub fn named(&self, activity_id: &str) -> Step<ActivityIx> {
        let missing = || Refusal::engine(format!("The process definition '{}' has no activity '{activity_id}'", self.model.id));
        self.model.find(activity_id).ok_or_else(missing)
    }

    /// The execution that a token can leave from as the scope execution of `scope`, seen from `execution` upwards.
    pub fn execution_of_scope(&self, execution: &str, scope: ScopeRef) -> Step<String> {
        let mut at = self.i.execution(execution);
        while let Some(e) = at {
            if e.is_scope && tree::model_scope(self.model, e) == Some(scope) {
                return Ok(e.id.clone());
            }
            at = e.parent.as_deref().and_then(|p| self.i.execution(p));
        }
        Err(Refusal::engine(format!("Execution '{execution}' is not in the scope '{}'", self.model.scope_id(scope))))
    }

    // --- changing the tree, with the waiting operations ----------------------------------------------------

    pub fn new_id(&mut self) -> String {
        self.cx.ids.next()
    }

    /// Puts the token of `execution` in transit at `activity`: there, but not yet (or no longer) as an activity instance.
    pub fn in_transit(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let activity_id = self.activity(activity).id.clone();
        let e = self.execution_mut(execution)?;
        e.at = Some(Place { activity_id, activity_instance_id: None });
        e.is_active = true;
        Ok(())
    }

    /// A new concurrent execution in a scope. The token that was alone there may move to one of its own: returns
    /// (the new execution, where that token is now).
    pub fn fork(&mut self, scope: &str) -> (String, Option<String>) {
        let before = self.i.executions.len();
        let new = tree::create_concurrent(&mut self.i, scope, self.cx.ids);
        if self.i.executions.len() < before + 2 {
            return (new, None);
        }
        let moved = self.i.executions[before].id.clone();
        self.rewrite(scope, &moved);
        (new, Some(moved))
    }

    /// Compaction after a concurrent execution has gone.
    pub fn prune(&mut self, scope: &str) {
        if let Some(gone) = tree::prune(&mut self.i, scope) {
            self.rewrite(&gone, scope);
        }
    }

    fn rewrite(&mut self, from: &str, to: &str) {
        for op in &mut self.stack {
            let at = op.execution_mut();
            if at == from {
                to.clone_into(at);
            }
        }
        for change in self.changes.iter_mut().filter(|c| c.execution == from) {
            to.clone_into(&mut change.execution);
        }
    }

    /// Takes an execution out of the tree, with the operations that wait for it.
    pub fn remove(&mut self, execution: &str) {
        tree::remove_execution(&mut self.i, execution);
        self.forget(execution);
    }

    /// Drops what waits to be done on `execution`.
    pub fn forget(&mut self, execution: &str) {
        self.stack.retain_mut(|op| op.execution_mut() != execution);
    }
}

fn no_execution(id: &str) -> Refusal {
    Refusal::new("NullValueException", format!("execution {id} doesn't exist: execution is null"))
}
