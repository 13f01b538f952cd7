//! Reads an instance into migrating elements and says what becomes of each (spec-migration §6.1). Changes nothing.

use std::collections::HashMap;

use super::element::{Element, ElementIx, Elements, Kind, Leftovers, Owned, Side, Trigger};
use super::{compensation, triggers};
use crate::migration::{MigrationPlan, NotMigrated};
use crate::process::definition::{ActivityIx, ProcessDefinition, ScopeRef, Work};
use crate::process::instance::{Instance, JobHandler, Place, SubscriptionKind};
use crate::runner::Refusal;

/// What reading needs to know.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    pub source: &'a ProcessDefinition,
    pub target: &'a ProcessDefinition,
    pub plan: &'a MigrationPlan,
}

impl Reading<'_> {
    /// The first instruction for a source activity: its place, and the target's activity.
    pub fn instruction(&self, activity_id: &str) -> Option<(usize, ActivityIx)> {
        let found = self.plan.instructions.iter().enumerate().find(|(_, i)| i.source_activity_id.as_deref() == Some(activity_id));
        let (ix, instruction) = found?;
        Some((ix, self.target.find(instruction.target_activity_id.as_deref()?)?))
    }

    fn source_activity(&self, instance: &Instance, place: &Place) -> Result<ActivityIx, NotMigrated> {
        self.source.find(&place.activity_id).ok_or_else(|| {
            NotMigrated::Refused(Refusal::engine(format!(
                "Process instance '{}' cannot be migrated: it is at activity '{}', which its process definition '{}' does not have",
                instance.id, place.activity_id, self.source.id
            )))
        })
    }
}

/// The elements that a token or a scope on an execution is.
#[derive(Clone, Copy, Default)]
pub struct OnExecution {
    pub scope: Option<ElementIx>,
    /// A leaf that is no scope of its own, or a transition instance.
    pub leaf: Option<ElementIx>,
    /// A token that has finished in a parallel multi-instance body.
    pub finished: bool,
}

pub struct Read<'i> {
    pub elements: Elements,
    /// Where each execution is in the document.
    pub places: HashMap<&'i str, usize>,
    pub on: Vec<OnExecution>,
    children: Vec<Vec<usize>>,
}

/// # Errors
/// A refusal, where the instance is at an activity that its definition does not have.
pub fn read(instance: &Instance, reading: Reading<'_>) -> Result<Elements, NotMigrated> {
    let places: HashMap<&str, usize> = instance.executions.iter().enumerate().map(|(ix, e)| (e.id.as_str(), ix)).collect();
    let mut children = vec![vec![]; instance.executions.len()];
    for (ix, execution) in instance.executions.iter().enumerate() {
        if let Some(parent) = execution.parent.as_deref().and_then(|p| places.get(p)) {
            children[*parent].push(ix);
        }
    }
    let on = vec![OnExecution::default(); instance.executions.len()];
    let mut read = Read { elements: Elements::default(), places, on, children };
    read_tokens(&mut read, instance, reading)?;
    read_open(&mut read, instance);
    read_tasks(&mut read, instance);
    triggers::read_jobs(&mut read, instance, reading);
    triggers::read_subscriptions(&mut read, instance, reading);
    triggers::find_emerging(&mut read.elements, reading);
    compensation::read(&mut read, instance, reading)?;
    read_incidents(&mut read, instance);
    find_unclaimed_variables(&mut read, instance);
    Ok(read.elements)
}

/// Breadth first over the executions: scopes, leaves, parked tokens.
fn read_tokens(read: &mut Read<'_>, instance: &Instance, reading: Reading<'_>) -> Result<(), NotMigrated> {
    let mut parked = vec![None; instance.executions.len()];
    for (ix, job) in instance.jobs.iter().enumerate().filter(|(_, j)| j.handler == JobHandler::AsyncContinuation) {
        if let Some(at) = read.places.get(job.execution_id.as_str()) {
            parked[*at] = Some(ix);
        }
    }
    let mut queue = std::collections::VecDeque::from([(0, None)]);
    while let Some((at, mut around)) = queue.pop_front() {
        let execution = &instance.executions[at];
        if execution.parent.is_none() {
            let mut root = Element::new(Kind::Activity, instance.id.clone(), execution.id.clone(), Side::Source(ScopeRef::Process));
            (root.source, root.target, root.is_scope) = (Some(ScopeRef::Process), Some(ScopeRef::Process), true);
            around = Some(read.elements.add(root));
            read.on[at].scope = around;
        } else if let Some(place) = execution.scope.as_ref().filter(|p| p.activity_instance_id.is_some()) {
            let element = activity(read, instance, reading, (place, at, around), true)?;
            around = Some(element);
            read.on[at].scope = around;
        }
        if let Some(place) = execution.at.as_ref().filter(|at| execution.scope.as_ref() != Some(*at)) {
            if place.activity_instance_id.is_some() {
                read.on[at].leaf = Some(activity(read, instance, reading, (place, at, around), false)?);
            } else if let Some(job) = parked[at] {
                read.on[at].leaf = Some(transition(read, instance, reading, (place, at, around), job)?);
            } else {
                read.on[at].finished = true;
            }
        }
        queue.extend(read.children[at].iter().filter(|c| !instance.executions[**c].is_event_scope).map(|c| (*c, around)));
    }
    Ok(())
}

type Found<'a> = (&'a Place, usize, Option<ElementIx>);

fn activity(
    read: &mut Read<'_>,
    instance: &Instance,
    reading: Reading<'_>,
    (place, at, around): Found<'_>,
    own: bool,
) -> Result<ElementIx, NotMigrated> {
    let source = ScopeRef::Activity(reading.source_activity(instance, place)?);
    let found = reading.instruction(&place.activity_id);
    let id = place.activity_instance_id.clone().unwrap_or_default();
    let execution = &instance.executions[at];
    let mut element = Element::new(Kind::Activity, id, execution.id.clone(), Side::Source(source));
    element.parent = around;
    element.source = Some(source);
    element.target = found.map(|(_, target)| ScopeRef::Activity(target));
    element.instruction = found.map(|(ix, _)| ix);
    element.is_scope = own;
    element.active = execution.is_active;
    element.was_concurrent = execution.is_concurrent;
    element.hint = at;
    Ok(read.elements.add(element))
}

fn transition(
    read: &mut Read<'_>,
    instance: &Instance,
    reading: Reading<'_>,
    (place, at, around): Found<'_>,
    job: usize,
) -> Result<ElementIx, NotMigrated> {
    let source = ScopeRef::Activity(reading.source_activity(instance, place)?);
    let found = reading.instruction(&place.activity_id);
    let execution = &instance.executions[at];
    let mut element = Element::new(Kind::Transition { job }, execution.id.clone(), execution.id.clone(), Side::Source(source));
    element.parent = around;
    element.source = Some(source);
    element.target = found.map(|(_, target)| ScopeRef::Activity(target));
    element.instruction = found.map(|(ix, _)| ix);
    element.active = execution.is_active;
    element.was_concurrent = execution.is_concurrent;
    element.hint = at;
    Ok(read.elements.add(element))
}

fn read_open(read: &mut Read<'_>, instance: &Instance) {
    let open: HashMap<&str, usize> = instance.open.iter().enumerate().map(|(ix, o)| (o.id.as_str(), ix)).collect();
    for element in &mut read.elements.all {
        element.open_hint = open.get(element.id.as_str()).copied().unwrap_or_default();
    }
}

impl Read<'_> {
    pub fn place(&self, execution: &str) -> Option<usize> {
        self.places.get(execution).copied()
    }

    /// The activity instance whose leaf sits on an execution.
    fn leaf_activity(&self, execution: &str) -> Option<ElementIx> {
        let on = self.on[self.place(execution)?];
        on.leaf.filter(|ix| self.elements.all[*ix].is_activity()).or(on.scope)
    }
}

fn read_tasks(read: &mut Read<'_>, instance: &Instance) {
    let mut left = Leftovers::default();
    // A subtask hangs on its parent task alone, on no execution, and is not touched (spec-migration §7).
    for (ix, task) in instance.tasks.iter().enumerate().filter(|(_, t)| !t.execution_id.is_empty()) {
        match read.leaf_activity(&task.execution_id) {
            Some(element) => read.elements.all[element].owned.push(Owned::Task(ix)),
            None => left.tasks.push(task.id.clone()),
        }
    }
    for (ix, task) in instance.external_tasks.iter().enumerate() {
        match read.leaf_activity(&task.execution_id) {
            Some(element) => read.elements.all[element].owned.push(Owned::ExternalTask(ix)),
            None => left.external_tasks.push(task.id.clone()),
        }
    }
    read.elements.leftovers = left;
}

/// Incidents belong to their job or external task, others to the activity instance that runs on their execution.
fn read_incidents(read: &mut Read<'_>, instance: &Instance) {
    use super::element::JobDefinitionOf;
    for (ix, incident) in instance.incidents.iter().enumerate() {
        let configuration = incident.configuration.as_deref();
        let owned_by = |of: &dyn Fn(&Owned) -> bool| read.elements.all.iter().position(|e| e.owned.iter().any(of));
        let (owner, job_definition) = match (incident.incident_type.as_str(), configuration) {
            ("failedJob", Some(job)) => {
                let job = instance.jobs.iter().position(|j| j.id == job);
                let removed = read.elements.all.iter().any(|e| job.is_some_and(|j| e.removed.contains(&Trigger::Job(j))));
                if removed {
                    continue;
                }
                let timer = owned_by(&|o| matches!(o, Owned::Timer { job: j, .. } if Some(*j) == job));
                let parked = read
                    .elements
                    .all
                    .iter()
                    .position(|e| matches!(e.kind, Kind::Transition { job: j } if Some(j) == job) && e.target.is_some());
                (timer.or(parked), job.map_or(JobDefinitionOf::Nothing, JobDefinitionOf::Job))
            }
            ("failedExternalTask", Some(task)) => {
                let task = instance.external_tasks.iter().position(|t| t.id == task);
                (owned_by(&|o| matches!(o, Owned::ExternalTask(t) if Some(*t) == task)), JobDefinitionOf::Nothing)
            }
            _ => (read.leaf_activity(&incident.execution_id), JobDefinitionOf::Nothing),
        };
        match owner {
            Some(owner) => read.elements.all[owner].owned.push(Owned::Incident { incident: ix, job_definition }),
            None => read.elements.leftovers.incidents.push(incident.id.clone()),
        }
    }
}

fn find_unclaimed_variables(read: &mut Read<'_>, instance: &Instance) {
    for variable in instance.variables.iter().filter(|v| v.task_id.is_none()) {
        let claimed = read.place(&variable.execution_id).is_some_and(|at| {
            let below = || read.children[at].iter().any(|c| read.on[*c].scope.is_some());
            let on = read.on[at];
            on.scope.is_some() || on.leaf.is_some() || on.finished || instance.executions[at].is_event_scope || below()
        });
        if !claimed {
            read.elements.leftovers.variables.push(variable.id.clone());
        }
    }
}

/// Does the definition declare a trigger of this kind for an activity? The kind is the subscription's, not the event's:
/// a message subscription may have been kept for a signal event (FINDINGS 22).
pub fn is_waiting(kind: SubscriptionKind) -> bool {
    matches!(kind, SubscriptionKind::Message | SubscriptionKind::Signal | SubscriptionKind::Conditional)
}

/// The task listener with this id among the timeout listeners of an activity: its place among them.
pub fn listener(definition: &ProcessDefinition, activity: ActivityIx, id: &str) -> Option<usize> {
    matches!(definition.activity(activity).work, Work::UserTask(_))
        .then(|| definition.activity(activity).timeout_listeners().position(|l| l.id.as_deref() == Some(id)))
        .flatten()
}
