//! The rules of spec/execution-tree.md as a checker: run after every command in tests and debug builds.

use std::collections::HashSet;

use super::{model_scope, scope_of};
use crate::process::definition::{ActivityKind, ProcessDefinition, ScopeRef};
use crate::process::instance::{Execution, Instance};

/// Every breach of the tree's rules, in words; none for a sound instance (and for one that has ended).
#[must_use]
pub fn check(instance: &Instance, definition: &ProcessDefinition) -> Vec<String> {
    if instance.executions.is_empty() {
        return vec![];
    }
    let mut check = Check { instance, definition, found: vec![] };
    check.root();
    check.ids();
    for execution in &instance.executions {
        check.execution(execution);
        check.children(execution);
        check.place(execution);
    }
    check.elements();
    check.open_history();
    check.found
}

struct Check<'a> {
    instance: &'a Instance,
    definition: &'a ProcessDefinition,
    found: Vec<String>,
}

impl Check<'_> {
    fn expect(&mut self, holds: bool, text: impl FnOnce() -> String) {
        if !holds {
            self.found.push(text());
        }
    }

    fn kind_of(&self, execution: &Execution) -> Option<ActivityKind> {
        execution.scope.as_ref().and_then(|p| self.definition.get(&p.activity_id)).map(|a| a.kind)
    }

    fn root(&mut self) {
        let (root, id) = (self.instance.root(), &self.instance.id);
        self.expect(root.id == *id && root.parent.is_none(), || format!("the root {} is not the instance {id}", root.id));
        self.expect(root.is_scope && !root.is_concurrent, || format!("the root {id} is no plain scope"));
    }

    fn ids(&mut self) {
        let i = self.instance;
        let all = i.executions.iter().map(|e| &e.id);
        let all = all.chain(i.tasks.iter().map(|t| &t.id)).chain(i.external_tasks.iter().map(|t| &t.id));
        let all = all.chain(i.jobs.iter().map(|j| &j.id)).chain(i.subscriptions.iter().map(|s| &s.id));
        let all = all.chain(i.variables.iter().map(|v| &v.id)).chain(i.incidents.iter().map(|n| &n.id));
        let mut seen = HashSet::new();
        let doubled: Vec<_> = all.filter(|id| !seen.insert(*id)).cloned().collect();
        self.expect(doubled.is_empty(), || format!("ids given twice: {doubled:?}"));
    }

    fn execution(&mut self, e: &Execution) {
        let id = &e.id;
        let reaches_root = std::iter::successors(Some(e), |e| e.parent.as_deref().and_then(|p| self.instance.execution(p)))
            .take(self.instance.executions.len())
            .any(|e| e.id == self.instance.id);
        self.expect(reaches_root, || format!("execution {id} hangs below no root"));
        // What runs to compensate may be both (rule 9).
        self.expect(!(e.is_concurrent && e.is_scope) || self.below_throw(e), || format!("execution {id} is concurrent and a scope"));
        if e.parent.is_some() && !e.is_event_scope {
            self.expect(e.is_concurrent || e.is_scope, || format!("execution {id} is neither a scope nor concurrent"));
            self.expect(e.is_scope == e.scope.is_some(), || format!("execution {id} is a scope of nothing"));
        }
        self.expect(!e.is_active || e.at.is_some(), || format!("execution {id} is active at no activity"));
    }

    fn children(&mut self, e: &Execution) {
        let id = &e.id;
        let children: Vec<_> = self.instance.children_of(id).filter(|c| !c.is_event_scope).collect();
        let concurrent = children.iter().filter(|c| c.is_concurrent).count();
        self.expect(concurrent == 0 || concurrent == children.len(), || format!("execution {id} mixes concurrent and other children"));
        self.expect(concurrent > 0 || children.len() <= 1, || format!("execution {id} has several children that are not concurrent"));
        let keeps_one = self.kind_of(e) == Some(ActivityKind::ParallelMultiInstance) || self.below_throw(e);
        self.expect(concurrent != 1 || keeps_one, || format!("execution {id} has a lone concurrent child"));
        let throws = matches!(
            self.kind_of(e),
            Some(ActivityKind::CompensationEvent | ActivityKind::CancelEndEvent | ActivityKind::CancelBoundaryEvent)
        );
        self.expect(children.is_empty() || e.at.is_none() || throws, || format!("execution {id} has children and a token"));
        if e.is_concurrent && !e.is_scope {
            self.expect(concurrent == 0, || format!("the concurrent execution {id} has concurrent children"));
            self.expect(!children.is_empty() || e.at.is_some(), || format!("the concurrent execution {id} holds nothing"));
            let below_scope = e.parent.as_deref().and_then(|p| self.instance.execution(p)).is_some_and(|p| p.is_scope);
            self.expect(below_scope, || format!("the concurrent execution {id} is not below a scope"));
        } else if !e.is_event_scope {
            self.expect(!children.is_empty() || e.at.is_some(), || format!("the scope execution {id} holds nothing"));
        }
    }

    /// A token, or a scope, lies in the flow scope that the model says.
    fn place(&mut self, e: &Execution) {
        let id = &e.id;
        let own = e.scope.as_ref().filter(|_| !e.is_event_scope);
        let leaf = e.at.as_ref().filter(|at| Some(*at) != own);
        let above = scope_of(self.instance, id).and_then(|s| self.instance.execution(s)).and_then(|s| model_scope(self.definition, s));
        let around = if e.is_scope { model_scope(self.definition, e) } else { above };
        for (place, scope) in own.map(|p| (p, above)).into_iter().chain(leaf.map(|p| (p, around))) {
            let activity = self.definition.get(&place.activity_id);
            self.expect(activity.is_some(), || format!("execution {id} is at {}, which the model does not have", place.activity_id));
            let compensates = activity.is_some_and(|a| a.is_for_compensation) || self.below_throw(e);
            let fits = compensates || activity.is_none_or(|a| Some(a.flow_scope) == scope);
            let name = |s: Option<ScopeRef>| s.map_or("nothing", |s| self.definition.scope_id(s)).to_owned();
            let text = format!("execution {id} has {} in the scope {}", place.activity_id, name(scope));
            self.expect(fits, || text);
        }
    }

    fn below_throw(&self, e: &Execution) -> bool {
        std::iter::successors(Some(e), |e| e.parent.as_deref().and_then(|p| self.instance.execution(p)))
            .take(self.instance.executions.len())
            .any(|e| {
                self.kind_of(e).is_some_and(|k| {
                    matches!(k, ActivityKind::CompensationEvent | ActivityKind::CancelEndEvent | ActivityKind::CancelBoundaryEvent)
                })
            })
    }

    fn elements(&mut self) {
        let i = self.instance;
        let hung = i.tasks.iter().filter(|t| !t.execution_id.is_empty()).map(|t| ("task", &t.id, &t.execution_id));
        let hung = hung.chain(i.external_tasks.iter().map(|t| ("external task", &t.id, &t.execution_id)));
        let hung = hung.chain(i.jobs.iter().map(|j| ("job", &j.id, &j.execution_id)));
        let hung = hung.chain(i.subscriptions.iter().map(|s| ("subscription", &s.id, &s.execution_id)));
        let hung = hung.chain(i.variables.iter().map(|v| ("variable", &v.id, &v.execution_id)));
        let hung = hung.chain(i.incidents.iter().map(|n| ("incident", &n.id, &n.execution_id)));
        let lost: Vec<_> =
            hung.filter(|(_, _, on)| i.execution(on).is_none()).map(|(what, id, on)| format!("{what} {id} on {on}")).collect();
        self.expect(lost.is_empty(), || format!("hanging on executions that are not there: {lost:?}"));
        for task in i.tasks.iter().filter(|t| !t.execution_id.is_empty()) {
            let at = i.execution(&task.execution_id).and_then(|e| e.at.as_ref()).and_then(|at| at.activity_instance_id.as_ref());
            let there = at == Some(&task.activity_instance_id);
            self.expect(there, || format!("task {} is not where its execution {} is", task.id, task.execution_id));
        }
        let mut names = HashSet::new();
        for v in &i.variables {
            let fresh = names.insert((&v.execution_id, &v.task_id, &v.name));
            self.expect(fresh, || format!("two variables {} on execution {}", v.name, v.execution_id));
        }
    }

    fn open_history(&mut self) {
        let i = self.instance;
        let places = i.executions.iter().filter(|e| !e.is_event_scope).flat_map(|e| e.scope.iter().chain(e.at.iter()));
        let running: HashSet<&String> = places.filter_map(|p| p.activity_instance_id.as_ref()).collect();
        let open: HashSet<&String> = i.open.iter().map(|o| &o.id).collect();
        self.expect(open.len() == i.open.len(), || "an activity instance is open twice".into());
        for (what, odd) in [("run but are not open", &running - &open), ("are open but do not run", &open - &running)] {
            let mut odd: Vec<_> = odd.into_iter().collect();
            odd.sort();
            self.expect(odd.is_empty(), || format!("activity instances that {what}: {odd:?}"));
        }
    }
}
