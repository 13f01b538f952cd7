//! Taking elements off the execution tree and putting them back elsewhere.
//!
//! The reference's order matters here, since executions (and with them ids that callers see) come and go by it:
//! what an element owns is detached first, then the element, so that compaction in between cannot touch it.

use super::element::{ElementIx, Kind, Side};
use super::state::State;
use crate::migration::{MigrationCx, NotMigrated};
use crate::process::definition::{ActivityKind, ScopeRef};
use crate::process::history::Closed;
use crate::process::instance::Place;
use crate::process::tree;
use crate::runner::Refusal;

impl State<'_> {
    /// The kind of multi-instance body that an element is at the moment.
    fn body(&self, element: ElementIx) -> Option<ActivityKind> {
        let kind = match self.elements.all[element].current {
            Side::Source(ScopeRef::Activity(ix)) => self.source.activity(ix).kind,
            Side::Target(ScopeRef::Activity(ix)) => self.target.activity(ix).kind,
            _ => return None,
        };
        kind.is_multi_instance_body().then_some(kind)
    }

    /// An execution below the element's scope on which something new can be put.
    ///
    /// # Errors
    /// Into a multi-instance body of the target nothing can be put: it counts its instances (FINDINGS 40).
    pub fn attachable(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx) -> Result<String, NotMigrated> {
        let scope = self.elements.all[element].execution.clone();
        match (self.body(element), self.elements.all[element].current) {
            (None, _) => {}
            (Some(_), Side::Target(_)) => return Err(no_way_into_body(self, element)),
            // A body that will vanish next only lets its children through.
            (Some(ActivityKind::SequentialMultiInstance), _) => return Ok(scope),
            (Some(_), _) => {
                let child = tree::create_child(&mut self.instance, &scope, cx.ids);
                if let Some(child) = self.instance.execution_mut(&child) {
                    child.is_concurrent = true;
                }
                return Ok(child);
            }
        }
        let free = self.instance.execution(&scope).is_some_and(|e| e.at.is_none() || e.at == e.scope)
            && tree::live_children(&self.instance, &scope).is_empty();
        if free {
            return Ok(scope);
        }
        let leaf = (0..self.elements.all.len()).find(|ix| {
            let e = &self.elements.all[*ix];
            e.execution == scope && !e.is_scope && !e.is_compensation()
        });
        let before = self.instance.executions.len();
        let created = tree::create_concurrent(&mut self.instance, &scope, cx.ids);
        if let (Some(leaf), true) = (leaf, self.instance.executions.len() == before + 2) {
            let moved = self.instance.executions[before].id.clone();
            self.moved(leaf, moved);
        }
        Ok(created)
    }

    /// An element's leaf now sits on another execution.
    fn moved(&mut self, element: ElementIx, to: String) {
        if self.elements.all[element].is_transition() {
            to.clone_into(&mut self.elements.all[element].id);
        }
        self.elements.all[element].execution = to;
    }

    /// The execution that held something of `element` is free: a concurrent one goes, and its last sibling is folded.
    pub fn release(&mut self, element: ElementIx, execution: &str) {
        if self.instance.execution(execution).is_none_or(|e| !e.is_concurrent) {
            return;
        }
        self.drop_variables(execution, None);
        tree::remove_execution(&mut self.instance, execution);
        if self.body(element).is_some() {
            return;
        }
        let scope = self.elements.all[element].execution.clone();
        if let Some(folded) = tree::prune(&mut self.instance, &scope) {
            for ix in 0..self.elements.all.len() {
                if self.elements.all[ix].execution == folded {
                    self.moved(ix, scope.clone());
                }
            }
        }
    }

    /// Variables go with the execution that they are on.
    pub fn drop_variables(&mut self, execution: &str, scope: Option<&str>) {
        let (now, closed) = (self.now, &mut self.closed);
        self.instance.variables.retain(|variable| {
            let goes = variable.execution_id == execution && variable.task_id.is_none();
            if goes {
                let record = variable.clone();
                closed.push(Closed::Variable { record, scope: scope.map(str::to_owned), ended: now, deleted: false });
            }
            !goes
        });
    }

    /// Takes off its execution what an element owns. Doing it twice does nothing.
    pub fn detach_owned(&mut self, element: ElementIx) {
        self.detach_variables(element);
        self.each_execution_id(element, String::clear);
    }

    fn detach_variables(&mut self, element: ElementIx) {
        let e = &self.elements.all[element];
        if e.is_compensation() || !e.carried.is_empty() {
            return;
        }
        let Some(own) = self.execution_ix(element).map(|ix| &self.instance.executions[ix]) else { return };
        let above = own.parent.as_deref().filter(|_| e.is_scope).and_then(|p| self.instance.execution(p));
        let (is_scope, was_concurrent) = (e.is_scope, e.was_concurrent);
        let (own_id, concurrent) = (own.id.clone(), own.is_concurrent);
        let (above_id, above_concurrent) = above.map_or((None, false), |a| (Some(a.id.clone()), a.is_concurrent));
        let mut carried = vec![];
        for variable in self.instance.variables.iter_mut().filter(|v| v.task_id.is_none()) {
            let outer = Some(&variable.execution_id) == above_id.as_ref() && (above_concurrent || variable.concurrent_local);
            let own = variable.execution_id == own_id && (is_scope || concurrent || variable.concurrent_local);
            if own || outer {
                carried.push((variable.id.clone(), if is_scope { outer } else { was_concurrent }));
                variable.execution_id.clear();
            }
        }
        self.elements.all[element].carried = carried;
    }

    /// Puts what an element owns onto its execution as it now is.
    pub fn attach_owned(&mut self, element: ElementIx) {
        let execution = self.elements.all[element].execution.clone();
        self.each_execution_id(element, |id| execution.clone_into(id));
        let tasks: Vec<&str> = self.instance.tasks.iter().filter(|t| t.execution_id == execution).map(|t| t.id.as_str()).collect();
        for variable in &mut self.instance.variables {
            if variable.task_id.as_deref().is_some_and(|t| tasks.contains(&t)) {
                execution.clone_into(&mut variable.execution_id);
            }
        }
        let e = &mut self.elements.all[element];
        let (carried, is_scope) = (std::mem::take(&mut e.carried), e.is_scope);
        let above = self.instance.execution(&execution).and_then(|e| e.parent.clone());
        for (variable, outer) in carried {
            let to = if outer && is_scope { above.as_ref().unwrap_or(&execution) } else { &execution };
            self.put_variable(&variable, to, outer || !is_scope);
        }
    }

    fn put_variable(&mut self, variable: &str, to: &str, of_the_token: bool) {
        let now = self.now;
        let Some(before) = self.instance.variables.iter().find(|v| v.id == variable).cloned() else { return };
        if tree::move_variable(&mut self.instance, variable, to) {
            // An equally named one was there: it has taken the value (FINDINGS 32), the moved record ends.
            let record = crate::process::instance::Variable { execution_id: to.to_owned(), ..before };
            self.closed.push(Closed::Variable { record, scope: None, ended: now, deleted: true });
        } else if let Some(variable) = self.instance.variables.iter_mut().find(|v| v.id == variable) {
            variable.concurrent_local = of_the_token;
        }
    }

    /// Takes an element, with what it owns, out of the tree. Its own execution goes along if it is a scope.
    pub fn detach(&mut self, element: ElementIx) {
        self.detach_owned(element);
        let e = &self.elements.all[element];
        let (execution, parent, is_scope) = (e.execution.clone(), e.parent, e.is_scope);
        match (&e.kind, is_scope) {
            (Kind::Handler(_), _) => {}
            (Kind::Memory(_), _) => self.set_execution_parent(&execution, None),
            (_, true) => {
                let above = self.instance.execution(&execution).and_then(|e| e.parent.clone());
                self.set_execution_parent(&execution, None);
                if let (Some(parent), Some(above)) = (parent, above) {
                    self.release(parent, &above);
                }
            }
            (_, false) => {
                if let Some(held) = self.instance.execution_mut(&execution) {
                    (held.at, held.is_active) = (None, false);
                    let (called, flow) = (held.called_instance.take(), held.flow.take());
                    let e = &mut self.elements.all[element];
                    (e.carried_call, e.carried_flow) = (called, flow);
                }
                if let Some(parent) = parent {
                    self.release(parent, &execution);
                }
            }
        }
        self.elements.set_parent(element, None);
    }

    fn set_execution_parent(&mut self, execution: &str, parent: Option<String>) {
        if let Some(e) = self.instance.execution_mut(execution) {
            e.parent = parent;
        }
    }

    /// Puts a detached element below another one.
    pub fn attach(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx, parent: ElementIx) -> Result<(), NotMigrated> {
        self.elements.set_parent(element, Some(parent));
        let e = &self.elements.all[element];
        let (is_scope, execution) = (e.is_scope, e.execution.clone());
        match (&e.kind, is_scope) {
            (Kind::Handler(_), _) => {
                self.elements.all[parent].execution.clone().clone_into(&mut self.elements.all[element].execution);
                self.attach_owned(element);
            }
            (Kind::Memory(handler), _) => {
                let above = self.elements.all[parent].execution.clone();
                above.clone_into(&mut self.instance.subscriptions[handler.subscription].execution_id);
                self.set_execution_parent(&execution, Some(above));
            }
            (_, true) => {
                let above = self.attachable(cx, parent)?;
                self.set_execution_parent(&execution, Some(above));
                self.attach_owned(element);
            }
            (_, false) => {
                let onto = self.attachable(cx, parent)?;
                let place = self.place_of(element);
                let e = &mut self.elements.all[element];
                let (active, call, flow) = (e.active, e.carried_call.take(), e.carried_flow.take());
                if let Some(held) = self.instance.execution_mut(&onto) {
                    (held.at, held.is_active, held.called_instance, held.flow) = (Some(place), active, call, flow);
                }
                self.moved(element, onto);
                self.attach_owned(element);
            }
        }
        Ok(())
    }

    /// The place that an element's token or scope has, by what it is now.
    pub fn place_of(&self, element: ElementIx) -> Place {
        let e = &self.elements.all[element];
        let activity_id = match e.current {
            Side::Source(scope) => self.source.scope_id(scope),
            Side::Target(scope) => self.target.scope_id(scope),
        };
        Place { activity_id: activity_id.to_owned(), activity_instance_id: e.is_activity().then(|| e.id.clone()) }
    }
}

/// What a migration into a multi-instance body is answered with.
pub fn no_way_into_body(state: &State<'_>, element: ElementIx) -> NotMigrated {
    let body = match state.elements.all[element].current {
        Side::Source(scope) => state.source.scope_id(scope),
        Side::Target(scope) => state.target.scope_id(scope),
    };
    into_body(&state.instance.id, body)
}

pub fn into_body(instance: &str, body: &str) -> NotMigrated {
    let why = format!(
        "Process instance '{instance}' cannot be migrated: the multi-instance body '{body}' can take in no instance from outside. \
         Map the activity to one outside of that body"
    );
    let mut refusal = Refusal::new("BadUserRequestException", why);
    refusal.failed_activity = Some(body.to_owned());
    NotMigrated::Refused(refusal)
}
