//! Changes of the execution tree that keep its rules: children, concurrent executions, compaction.

use crate::process::Ids;
use crate::process::instance::{Execution, Instance, Variable};

/// Ids of activity instances longer than this are the bare id (rule 5).
const MAX_ACTIVITY_INSTANCE_ID: usize = 64;

/// `{activity}:{id}`, or the bare id where that is too long.
pub fn activity_instance_id(activity_id: &str, ids: &mut dyn Ids) -> String {
    let id = ids.next();
    if activity_id.len() + 1 + id.len() > MAX_ACTIVITY_INSTANCE_ID { id } else { format!("{activity_id}:{id}") }
}

/// The children of an execution that run: not the memories kept for compensation.
#[must_use]
pub fn live_children(instance: &Instance, execution: &str) -> Vec<String> {
    instance.children_of(execution).filter(|e| !e.is_event_scope).map(|e| e.id.clone()).collect()
}

/// The scope execution that `execution` is, or the one around it.
#[must_use]
pub fn scope_execution<'a>(instance: &'a Instance, execution: &'a str) -> &'a str {
    match instance.execution(execution) {
        Some(e) if !e.is_scope => e.parent.as_deref().unwrap_or(execution),
        _ => execution,
    }
}

/// The nearest scope execution strictly above.
#[must_use]
pub fn scope_of<'a>(instance: &'a Instance, execution: &str) -> Option<&'a str> {
    let mut at = instance.execution(execution)?;
    loop {
        at = instance.execution(at.parent.as_deref()?)?;
        if at.is_scope {
            return Some(&at.id);
        }
    }
}

/// A new execution below `parent`, with nothing on it yet.
pub fn create_child(instance: &mut Instance, parent: &str, ids: &mut dyn Ids) -> String {
    let id = ids.next();
    instance.executions.push(Execution { id: id.clone(), parent: Some(parent.to_owned()), ..Execution::default() });
    id
}

/// A new concurrent execution below the scope execution `scope`. What is there alone so far (a leaf on the scope's
/// execution, or a lone child scope) gets a concurrent execution of its own first (rule 3).
pub fn create_concurrent(instance: &mut Instance, scope: &str, ids: &mut dyn Ids) -> String {
    let children = live_children(instance, scope);
    match children.as_slice() {
        [] if instance.execution(scope).is_some_and(|e| e.at.is_some() && e.at != e.scope) => {
            let replacing = new_concurrent(instance, scope, ids);
            move_leaf(instance, scope, &replacing);
        }
        [only] if instance.execution(only).is_some_and(|e| !e.is_concurrent) => {
            let above = new_concurrent(instance, scope, ids);
            if let Some(child) = instance.execution_mut(only) {
                child.parent = Some(above.clone());
            }
            move_concurrent_locals(instance, scope, &above);
            if let Some(scope) = instance.execution_mut(scope) {
                scope.is_active = false;
            }
        }
        _ => {}
    }
    new_concurrent(instance, scope, ids)
}

fn new_concurrent(instance: &mut Instance, scope: &str, ids: &mut dyn Ids) -> String {
    let id = create_child(instance, scope, ids);
    if let Some(e) = instance.execution_mut(&id) {
        e.is_concurrent = true;
    }
    id
}

fn move_concurrent_locals(instance: &mut Instance, from: &str, to: &str) {
    let local = |v: &&mut Variable| v.execution_id == from && v.task_id.is_none() && v.concurrent_local;
    for variable in instance.variables.iter_mut().filter(local) {
        to.clone_into(&mut variable.execution_id);
    }
}

/// Moves the leaf that sits on `from`, and what belongs to it, onto `to`: one of the two is the parent of the other.
/// Going down only concurrent-local variables move; going up, all of `from` (equal names: the moved value wins, the
/// record of the receiving scope stays, FINDINGS 32). Subscriptions stay: a leaf that has some has its own scope.
pub fn move_leaf(instance: &mut Instance, from: &str, to: &str) {
    let goes_down = instance.execution(to).is_some_and(|e| e.parent.as_deref() == Some(from));
    let Some(source) = instance.execution_mut(from) else { return };
    let (at, active) = (source.at.take(), std::mem::take(&mut source.is_active));
    let (flow, called) = (source.flow.take(), source.called_instance.take());
    let activity = at.as_ref().map(|p| p.activity_id.clone());
    let activity_instance = at.as_ref().and_then(|p| p.activity_instance_id.clone());
    if let Some(target) = instance.execution_mut(to) {
        (target.at, target.is_active) = (at, active);
        (target.flow, target.called_instance) = (flow, called);
    }
    for task in instance.tasks.iter_mut().filter(|t| t.execution_id == from) {
        to.clone_into(&mut task.execution_id);
    }
    for task in instance.external_tasks.iter_mut().filter(|t| t.execution_id == from) {
        to.clone_into(&mut task.execution_id);
    }
    for job in instance.jobs.iter_mut().filter(|j| j.execution_id == from && Some(&j.activity_id) == activity.as_ref()) {
        to.clone_into(&mut job.execution_id);
    }
    for incident in instance.incidents.iter_mut().filter(|i| i.execution_id == from && i.activity_id == activity) {
        to.clone_into(&mut incident.execution_id);
    }
    for open in instance.open.iter_mut().filter(|o| activity_instance.as_deref() == Some(&o.id)) {
        to.clone_into(&mut open.execution_id);
    }
    for variable in instance.variables.iter_mut().filter(|v| v.execution_id == from && v.task_id.is_some()) {
        to.clone_into(&mut variable.execution_id);
    }
    if goes_down {
        move_concurrent_locals(instance, from, to);
    } else {
        move_all_variables(instance, from, to);
    }
}

fn move_all_variables(instance: &mut Instance, from: &str, to: &str) {
    let of = |v: &Variable, e: &str| v.execution_id == e && v.task_id.is_none();
    let moved: Vec<String> = instance.variables.iter().filter(|v| of(v, from)).map(|v| v.id.clone()).collect();
    for id in moved {
        move_variable(instance, &id, to);
    }
}

/// Moves one variable onto `to`. If there is an equally named one, that record takes the value and the moved one goes:
/// returns whether it is gone.
pub fn move_variable(instance: &mut Instance, variable: &str, to: &str) -> bool {
    let Some(index) = instance.variables.iter().position(|v| v.id == variable) else { return false };
    let name = instance.variables[index].name.clone();
    let there = instance.variables.iter().position(|v| v.execution_id == to && v.task_id.is_none() && v.name == name && v.id != variable);
    match there {
        Some(there) => {
            instance.variables[there].value = instance.variables[index].value.clone();
            instance.variables.remove(index);
            true
        }
        None => {
            to.clone_into(&mut instance.variables[index].execution_id);
            false
        }
    }
}

/// Compaction: if one concurrent execution is the last child of `scope`, it is folded into it (rule 3).
/// Returns the id of the execution that went. Bodies of multi-instance activities are never to be pruned; what runs to
/// compensate (rule 9) stays as it is.
pub fn prune(instance: &mut Instance, scope: &str) -> Option<String> {
    let children = live_children(instance, scope);
    let [last] = children.as_slice() else { return None };
    let folds = instance.execution(last).is_some_and(|e| e.is_concurrent && !e.is_scope);
    if !folds || compensates(instance, scope) {
        return None;
    }
    move_leaf(instance, last, scope);
    for child in instance.executions.iter_mut().filter(|e| e.parent.as_ref() == Some(last)) {
        child.parent = Some(scope.to_owned());
    }
    for incident in instance.incidents.iter_mut().filter(|i| i.execution_id == *last) {
        scope.clone_into(&mut incident.execution_id);
    }
    remove_execution(instance, last);
    Some(last.clone())
}

/// Does compensation run below this execution? It is then an event that throws it (which has a token too), or a memory that
/// runs again (concurrent, and a scope).
#[must_use]
pub fn compensates(instance: &Instance, execution: &str) -> bool {
    instance.execution(execution).is_some_and(|e| e.at.is_some() || (e.is_scope && e.is_concurrent))
}

/// Takes one execution out; what hung on it must have been moved or ended before.
pub fn remove_execution(instance: &mut Instance, execution: &str) {
    instance.executions.retain(|e| e.id != execution);
}
