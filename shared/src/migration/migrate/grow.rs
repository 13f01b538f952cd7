//! The second phase, in the target's model and from the outside in: scopes that the target has in between come into
//! being, elements move into them and are re-pointed (spec-migration §6.3).

use super::element::{ElementIx, Elements, Kind, Side, is_scope};
use super::moves::into_body;
use super::state::State;
use crate::migration::{MigrationCx, NotMigrated};
use crate::process::definition::{ActivityIx, ActivityKind, ScopeRef};
use crate::process::tree;

/// Scopes that came into being for the children of one element, those of its compensation apart: all children that
/// need the same new scope share one, and never one of a sibling.
#[derive(Default)]
struct Made {
    of: Vec<(ElementIx, bool, ScopeRef, ElementIx)>,
}

impl Made {
    fn find(&self, parent: ElementIx, compensation: bool, scope: ScopeRef) -> Option<ElementIx> {
        self.of.iter().find(|(p, c, s, _)| (*p, *c, *s) == (parent, compensation, scope)).map(|(.., made)| *made)
    }
}

impl State<'_> {
    pub fn grow(&mut self, cx: &mut MigrationCx<'_>) -> Result<(), NotMigrated> {
        let mut made = Made::default();
        let mut queue = std::collections::VecDeque::from([0]);
        while let Some(element) = queue.pop_front() {
            // Before it moves: its children stay its own, and new scopes are nobody's to visit.
            let mut children = self.elements.all[element].children.clone();
            children.sort_by_key(|c| (self.elements.all[*c].is_compensation(), self.elements.all[*c].instruction));
            queue.extend(children);
            self.move_into_place(cx, element, &mut made)?;
            self.repoint(cx, element)?;
        }
        Ok(())
    }

    fn move_into_place(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx, made: &mut Made) -> Result<(), NotMigrated> {
        let e = &self.elements.all[element];
        let (Some(parent), Some(ScopeRef::Activity(target))) = (e.parent, e.target) else { return Ok(()) };
        let flow_scope = self.target.home_of(target);
        if Some(flow_scope) == self.elements.all[parent].target {
            return Ok(());
        }
        let into = self.ensure_scopes(cx, (parent, e.is_compensation()), flow_scope, made)?;
        self.detach(element);
        self.attach(cx, element, into)
    }

    /// The element for a flow scope of the target, made if it is not there: looked for among what was made for the
    /// same parent, then among the parent and those above it.
    fn ensure_scopes(
        &mut self,
        cx: &mut MigrationCx<'_>,
        (parent, compensation): (ElementIx, bool),
        scope: ScopeRef,
        made: &mut Made,
    ) -> Result<ElementIx, NotMigrated> {
        let mut missing = vec![];
        let mut at = scope;
        let ancestor = loop {
            let found = made.find(parent, compensation, at).or_else(|| image_above(&self.elements, parent, at));
            if let Some(found) = found {
                break found;
            }
            match at {
                ScopeRef::Process => break 0,
                ScopeRef::Activity(ix) => {
                    missing.insert(0, ix);
                    at = self.target.activity(ix).flow_scope;
                }
            }
        };
        if missing.is_empty() {
            return Ok(ancestor);
        }
        // A body may come into being around a scope that does, not around what is to be moved itself (FINDINGS 40).
        let body = missing.last().filter(|ix| self.target.activity(**ix).kind.is_multi_instance_body());
        if let Some(body) = body.filter(|_| !compensation) {
            return Err(into_body(&self.instance.id, &self.target.activity(*body).id));
        }
        let new = if compensation { self.create_memories(cx, ancestor, &missing)? } else { self.create_scopes(cx, ancestor, &missing)? };
        let last = new.last().map_or(ancestor, |(_, element)| *element);
        made.of.extend(new.into_iter().map(|(scope, element)| (parent, compensation, scope, element)));
        Ok(last)
    }

    fn repoint(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx) -> Result<(), NotMigrated> {
        match self.elements.all[element].kind {
            Kind::Handler(_) => {
                self.repoint_handler(element);
                self.set_current(element);
            }
            Kind::Memory(_) => {
                self.repoint_handler(element);
                self.set_current(element);
                self.repoint_execution(element);
            }
            Kind::Transition { job } => {
                self.set_current(element);
                self.repoint_execution(element);
                self.repoint_parked(element, job);
                self.repoint_owned(cx, element)?;
            }
            Kind::Activity => {
                self.change_scope(cx, element);
                self.repoint_execution(element);
                self.repoint_open(element);
                self.repoint_owned(cx, element)?;
                self.create_emerging(cx, element)?;
            }
        }
        Ok(())
    }

    fn set_current(&mut self, element: ElementIx) {
        if let Some(target) = self.elements.all[element].target {
            self.elements.all[element].current = Side::Target(target);
        }
    }

    /// A leaf that becomes a scope gets an execution of its own, one that no longer is one loses it (§6.6).
    fn change_scope(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx) {
        let Some(target) = self.elements.all[element].target else { return };
        let becomes = is_scope(self.target, target);
        if becomes == self.elements.all[element].is_scope {
            self.set_current(element);
            return;
        }
        self.detach_owned(element);
        self.set_current(element);
        if becomes {
            self.become_scope(cx, element)
        } else {
            self.become_non_scope(element)
        }
        self.attach_owned(element);
    }

    fn become_scope(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx) {
        let old = self.elements.all[element].execution.clone();
        let new = tree::create_child(&mut self.instance, &old, cx.ids);
        let Some(above) = self.instance.execution_mut(&old) else { return };
        let (at, active) = (above.at.take(), std::mem::take(&mut above.is_active));
        let (called, flow) = (above.called_instance.take(), above.flow.take());
        above.shown_instance = at.as_ref().filter(|_| above.is_concurrent).and_then(|p| p.activity_instance_id.clone());
        if let Some(own) = self.instance.execution_mut(&new) {
            (own.scope, own.at, own.is_scope, own.is_active) = (at.clone(), at, true, active);
            (own.called_instance, own.flow) = (called, flow);
        }
        let e = &mut self.elements.all[element];
        (e.execution, e.is_scope) = (new, true);
    }

    fn become_non_scope(&mut self, element: ElementIx) {
        let old = self.elements.all[element].execution.clone();
        let Some(own) = self.instance.execution(&old).cloned() else { return };
        let Some(above) = own.parent else { return };
        if let Some(above) = self.instance.execution_mut(&above) {
            (above.at, above.is_active) = (own.at.or(own.scope), own.is_active);
            (above.called_instance, above.flow) = (own.called_instance, own.flow);
        }
        tree::remove_execution(&mut self.instance, &old);
        let e = &mut self.elements.all[element];
        (e.execution, e.is_scope) = (above, false);
    }

    /// The scopes `scopes` of the target, outermost first, below `ancestor`.
    ///
    /// # Errors
    /// A suspended instance takes in no new scope (FINDINGS 20); what a listener or mapping refuses.
    fn create_scopes(
        &mut self,
        cx: &mut MigrationCx<'_>,
        ancestor: ElementIx,
        scopes: &[ActivityIx],
    ) -> Result<Vec<(ScopeRef, ElementIx)>, NotMigrated> {
        let mut above = self.attachable(cx, ancestor)?;
        if self.instance.suspended {
            let why = format!("ENGINE-03043 Execution with id '{above}' is suspended.");
            return Err(NotMigrated::Refused(crate::runner::Refusal::new("SuspendedEntityInteractionException", why)));
        }
        let (mut made, mut parent) = (vec![], ancestor);
        for scope in scopes {
            let element = self.create_scope(cx, parent, &above, *scope)?;
            above.clone_from(&self.elements.all[element].execution);
            if self.target.activity(*scope).kind == ActivityKind::ParallelMultiInstance {
                above = tree::create_child(&mut self.instance, &above, cx.ids);
                if let Some(inner) = self.instance.execution_mut(&above) {
                    inner.is_concurrent = true;
                }
            }
            made.push((ScopeRef::Activity(*scope), element));
            parent = element;
        }
        Ok(made)
    }
}

/// The element, `from` or above it, whose target is this scope.
fn image_above(elements: &Elements, from: ElementIx, scope: ScopeRef) -> Option<ElementIx> {
    let mut at = Some(from);
    while let Some(ix) = at {
        let element = &elements.all[ix];
        if element.target == Some(scope) && element.is_scope {
            return Some(ix);
        }
        at = element.parent;
    }
    None
}
