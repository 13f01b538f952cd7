//! Migrating one instance (spec-migration §4.2 to §8): read it, validate it, shrink it in the source's model, grow and
//! move it in the target's.
//!
//! Works on the document alone. The common case, where nothing comes, goes or moves, touches only ids of definitions
//! and activities.

mod compensation;
mod effects;
pub(super) mod element;
mod grow;
mod moves;
pub(super) mod parse;
mod repoint;
mod shrink;
mod state;
mod triggers;

#[cfg(test)]
mod tests;

use super::{Migrated, MigrationCx, NotMigrated, validate_instance};
use crate::process::definition::ScopeRef;
use crate::process::instance::Instance;
use crate::runner::Refusal;
use element::{Elements, Owned};
use parse::Reading;
use state::State;

pub(super) fn migrate(instance: Instance, cx: &mut MigrationCx<'_>) -> Result<Migrated, NotMigrated> {
    check(&instance, cx).map_err(NotMigrated::Refused)?;
    let reading = Reading { source: cx.source, target: cx.target, plan: cx.plan };
    let elements = parse::read(&instance, reading)?;
    let report = validate_instance::validate(&instance, &elements, reading);
    if !report.is_empty() {
        return Err(NotMigrated::Invalid(Box::new(report)));
    }
    let keys = keys_that_stay(&instance, &elements, cx);
    let (source, target, plan) = (cx.source, cx.target, cx.plan);
    let (skip, now) = (cx.skip, cx.now);
    let (gone, closed, requests) = Default::default();
    let mut state = State { instance, source, target, plan, skip, now, elements, gone, closed, requests };
    state.shrink(cx)?;
    state.grow(cx)?;
    state.finish(keys);
    let ended = state.set_plan_variables(cx)?;
    Ok(Migrated { instance: state.instance, closed: state.closed, requests: state.requests, ended })
}

/// Tenant and definition of the instance (§4.2). Tenants that the caller may see are the edge's matter.
fn check(instance: &Instance, cx: &MigrationCx<'_>) -> Result<(), Refusal> {
    let id = &instance.id;
    match (instance.tenant_id.as_deref(), cx.target.tenant_id.as_deref()) {
        (None, Some(target)) => Err(Refusal::engine(format!(
            "ENGINE-23010 Cannot migrate process instance '{id}' without tenant to a process definition with a tenant ('{target}')"
        ))),
        (Some(own), Some(target)) if own != target => Err(Refusal::engine(format!(
            "ENGINE-23010 Cannot migrate process instance '{id}' to a process definition of a different tenant ('{own}' != '{target}')"
        ))),
        _ if instance.definition_id != cx.plan.source_definition_id => Err(Refusal::engine(format!(
            "ENGINE-23002 Process instance '{id}' cannot be migrated. Its process definition '{}' does not match the source process \
             definition of the migration plan '{}'",
            instance.definition_id, cx.plan.source_definition_id
        ))),
        _ => Ok(()),
    }
}

/// A task's key as it was, and where: within one and the same definition the reference writes the new key only if the
/// task's execution changes too (FINDINGS 21).
struct OldKey {
    task: usize,
    execution: String,
    key: String,
}

fn keys_that_stay(instance: &Instance, elements: &Elements, cx: &MigrationCx<'_>) -> Vec<OldKey> {
    if cx.source.id != cx.target.id {
        return vec![];
    }
    let tasks = elements.all.iter().flat_map(|e| &e.owned).filter_map(|owned| match owned {
        Owned::Task(ix) => Some(*ix),
        _ => None,
    });
    tasks
        .map(|task| {
            let record = &instance.tasks[task];
            OldKey { task, execution: record.execution_id.clone(), key: record.task_definition_key.clone() }
        })
        .collect()
}

impl State<'_> {
    /// What is written once all stands where it belongs.
    fn finish(&mut self, keys: Vec<OldKey>) {
        for old in keys {
            let task = &mut self.instance.tasks[old.task];
            if task.execution_id == old.execution {
                task.task_definition_key = old.key;
            }
        }
        self.sweep();
        self.repoint_finished_tokens();
        for ix in 0..self.elements.all.len() {
            if !self.elements.all[ix].is_activity() {
                continue;
            }
            let execution = self.elements.all[ix].execution.clone();
            if let Some(open) = self.open_mut(ix)
                && open.execution_id != execution
            {
                open.execution_id = execution;
            }
        }
        // The runtime record of a variable keeps its definition, the historic one moves (FINDINGS 31).
        for variable in self.instance.variables.iter_mut().filter(|v| v.task_id.is_none()) {
            self.target.id.clone_into(&mut variable.history_definition_id);
        }
        self.target.id.clone_into(&mut self.instance.definition_id);
    }

    /// Tokens that have finished in a parallel multi-instance body are no elements, but stay until the body ends.
    fn repoint_finished_tokens(&mut self) {
        let reading = Reading { source: self.source, target: self.target, plan: self.plan };
        let parked: Vec<&str> = self.elements.all.iter().filter(|e| e.is_transition()).map(|e| e.execution.as_str()).collect();
        for execution in &mut self.instance.executions {
            let finished = execution.at.as_mut().filter(|at| at.activity_instance_id.is_none());
            let Some(at) = finished.filter(|_| !parked.contains(&execution.id.as_str())) else { continue };
            if let Some((_, to)) = reading.instruction(&at.activity_id) {
                at.activity_id = self.target.scope_id(ScopeRef::Activity(to)).to_owned();
            }
        }
    }
}
