//! Timers and subscriptions: which are kept, which go, which come into being (spec-migration §6.5).

use super::element::{Declared, Element, Elements, Emerging, Owned, Trigger};
use super::parse::{Read, Reading, is_waiting, listener};
use crate::process::definition::{ActivityIx, ActivityKind, EventDefinition, ProcessDefinition, ScopeRef};
use crate::process::instance::{Instance, JobHandler};

/// What stands between the task's id and the listener's in the configuration of a timeout listener's job.
pub const TASK_LISTENER: &str = "$taskListener~";

/// Claims the jobs: parked tokens have theirs already, timers belong to the scope whose execution they hang on.
pub fn read_jobs(read: &mut Read<'_>, instance: &Instance, reading: Reading<'_>) {
    for (ix, job) in instance.jobs.iter().enumerate() {
        let on = read.place(&job.execution_id).map(|at| read.on[at]).unwrap_or_default();
        if job.handler == JobHandler::AsyncContinuation {
            let parked = on.leaf.is_some_and(|leaf| read.elements.all[leaf].is_transition());
            if !parked {
                read.elements.leftovers.jobs.push(job.id.clone());
            }
            continue;
        }
        let Some(owner) = on.scope else {
            read.elements.leftovers.jobs.push(job.id.clone());
            continue;
        };
        let element = &mut read.elements.all[owner];
        match kept_timer(element, instance, ix, reading) {
            Some(owned) => element.owned.push(owned),
            None => element.removed.push(Trigger::Job(ix)),
        }
    }
}

fn kept_timer(element: &Element, instance: &Instance, ix: usize, reading: Reading<'_>) -> Option<Owned> {
    let job = &instance.jobs[ix];
    let (instruction, to) = reading.instruction(&job.activity_id)?;
    let target = element.target?;
    if reading.target.activity(to).event_scope != Some(target) {
        return None;
    }
    let timer = matches!(reading.target.activity(to).event, Some(EventDefinition::Timer(_)));
    let declared = if job.handler == JobHandler::TimerTaskListener {
        let (_, id) = job.configuration.split_once(TASK_LISTENER)?;
        Declared::Listener(listener(reading.target, to, id)?)
    } else if timer && !claimed(element, |o| matches!(o, Owned::Timer { to: t, .. } if *t == to)) {
        Declared::Timer
    } else {
        Declared::Nothing
    };
    Some(Owned::Timer { job: ix, to, update: reading.plan.instructions[instruction].update_event_trigger, declared })
}

fn claimed(element: &Element, by: impl Fn(&Owned) -> bool) -> bool {
    element.owned.iter().any(by)
}

pub fn read_subscriptions(read: &mut Read<'_>, instance: &Instance, reading: Reading<'_>) {
    for (ix, subscription) in instance.subscriptions.iter().enumerate().filter(|(_, s)| is_waiting(s.kind)) {
        let Some(owner) = read.place(&subscription.execution_id).and_then(|at| read.on[at].scope) else {
            read.elements.leftovers.subscriptions.push(subscription.id.clone());
            continue;
        };
        let element = &mut read.elements.all[owner];
        let kept = reading
            .instruction(&subscription.activity_id)
            .filter(|(_, to)| element.target.is_some() && reading.target.activity(*to).event_scope == element.target);
        let Some((instruction, to)) = kept else {
            element.removed.push(Trigger::Subscription(ix));
            continue;
        };
        let first = !claimed(element, |o| matches!(o, Owned::Subscription { to: t, .. } if *t == to));
        let declared = first && declares_subscription(reading.target, to);
        let update = reading.plan.instructions[instruction].update_event_trigger;
        element.owned.push(Owned::Subscription { subscription: ix, to, update, declared });
    }
}

pub fn declares_subscription(definition: &ProcessDefinition, activity: ActivityIx) -> bool {
    matches!(
        definition.activity(activity).event,
        Some(EventDefinition::Message { .. } | EventDefinition::Signal { .. } | EventDefinition::Conditional { .. })
    )
}

/// Every trigger that the target declares on an element's new activity and that no kept one stands for.
/// A timeout listener is looked at for each token alone, so that none loses its job to another (FINDINGS 41).
pub fn find_emerging(elements: &mut Elements, reading: Reading<'_>) {
    for element in elements.all.iter_mut().filter(|e| e.is_activity()) {
        if let Some(target) = element.target {
            element.emerging = emerging(element, reading, target);
        }
    }
}

fn emerging(element: &Element, reading: Reading<'_>, target: ScopeRef) -> Vec<Emerging> {
    let mut found = vec![];
    for event in declared_on(reading.target, target) {
        for emerging in triggers_of(reading.target, event) {
            let stands = element.owned.iter().any(|owned| match (owned, emerging) {
                (Owned::Timer { to, declared: Declared::Timer, .. }, Emerging::Timer(_)) => *to == event,
                (Owned::Timer { to, declared: Declared::Listener(l), .. }, Emerging::Listener(_, listener)) => {
                    *to == event && *l == listener
                }
                (Owned::Subscription { to, declared: true, .. }, Emerging::Subscription(_)) => *to == event,
                _ => false,
            });
            if !stands && !has_fired(element, reading, emerging) {
                found.push(emerging);
            }
        }
    }
    found
}

/// Events whose trigger lives on `scope` while it is active; a process-level start event's does not.
pub fn declared_on(definition: &ProcessDefinition, scope: ScopeRef) -> impl Iterator<Item = ActivityIx> + '_ {
    definition.events_of(scope).filter(move |ix| {
        let event = definition.activity(*ix);
        !(scope == ScopeRef::Process && event.kind == ActivityKind::NoneStartEvent)
    })
}

/// The triggers that one event activity declares: subscription, timer, timeout listeners.
pub fn triggers_of(definition: &ProcessDefinition, event: ActivityIx) -> impl Iterator<Item = Emerging> + '_ {
    let activity = definition.activity(event);
    let own = match activity.event {
        Some(EventDefinition::Timer(_)) => Some(Emerging::Timer(event)),
        _ if declares_subscription(definition, event) => Some(Emerging::Subscription(event)),
        _ => None,
    };
    own.into_iter().chain(activity.timeout_listeners().enumerate().map(move |(ix, _)| Emerging::Listener(event, ix)))
}

/// A non-interrupting boundary timer, or a timeout listener, whose counterpart is mapped to it but has no job any more
/// has fired and stays fired.
fn has_fired(element: &Element, reading: Reading<'_>, emerging: Emerging) -> bool {
    let Some(source) = element.source else { return false };
    let mapped_from =
        |event: ActivityIx, target: ActivityIx| reading.instruction(&reading.source.activity(event).id).is_some_and(|(_, to)| to == target);
    match emerging {
        Emerging::Timer(target) => {
            let activity = reading.target.activity(target);
            if activity.interrupting || activity.kind != ActivityKind::BoundaryEvent {
                return false;
            }
            declared_on(reading.source, source)
                .any(|event| matches!(reading.source.activity(event).event, Some(EventDefinition::Timer(_))) && mapped_from(event, target))
        }
        Emerging::Listener(target, ix) => {
            let id = reading.target.activity(target).timeout_listeners().nth(ix).and_then(|l| l.id.as_deref());
            declared_on(reading.source, source).any(|event| {
                mapped_from(event, target) && reading.source.activity(event).timeout_listeners().any(|l| l.id.as_deref() == id)
            })
        }
        Emerging::Subscription(_) => false,
    }
}
