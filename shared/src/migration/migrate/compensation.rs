//! Compensation: event scopes and compensate subscriptions as elements, and what comes into being for them
//! (spec-migration §6.7).

use super::element::{Element, ElementIx, Handler, Kind, Side};
use super::parse::{Read, Reading};
use super::state::State;
use crate::migration::{MigrationCx, NotMigrated};
use crate::process::definition::{ActivityIx, ProcessDefinition, ScopeRef};
use crate::process::instance::{Execution, Instance, Place, Subscription, SubscriptionKind};
use crate::process::tree;
use crate::process::unknown::Unknown;
use crate::runner::Refusal;

/// Reads the compensate subscriptions, from the scopes down through the memories.
pub fn read(read: &mut Read<'_>, instance: &Instance, reading: Reading<'_>) -> Result<(), NotMigrated> {
    let compensate = |ix: &usize| instance.subscriptions[*ix].kind == SubscriptionKind::Compensate;
    let mut open: Vec<usize> = (0..instance.subscriptions.len()).filter(compensate).collect();
    // Each round takes those whose owner is known by now; what is left over in the end hangs on nothing that migrates.
    loop {
        let before = open.len();
        let mut left = vec![];
        for ix in open {
            let owner = read.place(&instance.subscriptions[ix].execution_id).and_then(|at| read.on[at].scope);
            match owner {
                Some(owner) => subscription(read, instance, reading, ix, owner)?,
                None => left.push(ix),
            }
        }
        open = left;
        if open.is_empty() || open.len() == before {
            break;
        }
    }
    read.elements.leftovers.subscriptions.extend(open.iter().map(|ix| instance.subscriptions[*ix].id.clone()));
    Ok(())
}

fn subscription(read: &mut Read<'_>, instance: &Instance, reading: Reading<'_>, ix: usize, owner: ElementIx) -> Result<(), NotMigrated> {
    let subscription = &instance.subscriptions[ix];
    let unknown = |activity: &str| {
        NotMigrated::Refused(Refusal::engine(format!(
            "Process instance '{}' cannot be migrated: its compensation for '{activity}' is not in its process definition '{}'",
            instance.id, reading.source.id
        )))
    };
    let source = reading.source.find(&subscription.activity_id).ok_or_else(|| unknown(&subscription.activity_id))?;
    let found = instruction_of_handler(reading, source);
    let compensates = reading.source.activity(source).is_for_compensation;
    let target = found.and_then(|(_, to)| if compensates { handler_of_event(reading.target, to) } else { Some(to) });
    let handler = Handler { subscription: ix, source: Some(source), target, instruction: found.map(|(i, _)| i) };
    let Some(configuration) = subscription.configuration.as_deref() else {
        let side = Side::Source(ScopeRef::Activity(source));
        let mut element = Element::new(Kind::Handler(handler), subscription.id.clone(), subscription.execution_id.clone(), side);
        element.parent = Some(owner);
        element.source = Some(ScopeRef::Activity(source));
        element.target = target.map(ScopeRef::Activity);
        element.instruction = found.map(|(i, _)| i);
        read.elements.add(element);
        return Ok(());
    };
    let at = read.place(configuration).ok_or_else(|| unknown(&subscription.activity_id))?;
    let execution = &instance.executions[at];
    let activity = execution.scope.as_ref().or(execution.at.as_ref()).map(|p| p.activity_id.as_str()).unwrap_or_default();
    let scope = reading.source.find(activity).ok_or_else(|| unknown(activity))?;
    let own = reading.instruction(activity);
    let side = Side::Source(ScopeRef::Activity(scope));
    let mut element = Element::new(Kind::Memory(handler), execution.id.clone(), execution.id.clone(), side);
    element.parent = Some(owner);
    element.is_scope = true;
    element.source = Some(ScopeRef::Activity(scope));
    element.target = own.map(|(_, to)| ScopeRef::Activity(to));
    element.instruction = own.map(|(i, _)| i);
    element.hint = at;
    let memory = read.elements.add(element);
    read.on[at].scope = Some(memory);
    Ok(())
}

/// The plan maps the event that leads to a handler: its boundary event, or the start event of an event subprocess.
fn instruction_of_handler(reading: Reading<'_>, handler: ActivityIx) -> Option<(usize, ActivityIx)> {
    let activity = reading.source.activity(handler);
    if !activity.is_for_compensation {
        return reading.instruction(&activity.id);
    }
    let boundary = reading.source.activities.iter().find(|a| a.compensation_handler == Some(handler));
    let start = activity.children.first().map(|ix| reading.source.activity(*ix));
    reading.instruction(&boundary.or(start)?.id)
}

/// The handler that an event of compensation leads to.
fn handler_of_event(definition: &ProcessDefinition, event: ActivityIx) -> Option<ActivityIx> {
    let activity = definition.activity(event);
    activity.compensation_handler.or(match activity.flow_scope {
        ScopeRef::Activity(scope) if definition.activity(scope).triggered_by_event => Some(scope),
        _ => None,
    })
}

impl State<'_> {
    /// Memories for scopes of the target that lie between an existing one and what is to be kept: outermost first.
    /// They run their input mappings (FINDINGS 37) and
    /// have their timers made, as the reference does when a scope is first remembered; no listeners run.
    pub fn create_memories(
        &mut self,
        cx: &mut MigrationCx<'_>,
        ancestor: ElementIx,
        scopes: &[ActivityIx],
    ) -> Result<Vec<(ScopeRef, ElementIx)>, NotMigrated> {
        let mut made = vec![];
        let mut above = ancestor;
        for scope in scopes {
            let activity = self.target.activity(*scope);
            let parent = self.elements.all[above].execution.clone();
            let execution = tree::create_child(&mut self.instance, &parent, cx.ids);
            let place =
                Place { activity_id: activity.id.clone(), activity_instance_id: Some(tree::activity_instance_id(&activity.id, cx.ids)) };
            if let Some(e) = self.instance.execution_mut(&execution) {
                *e = Execution { is_scope: true, is_event_scope: true, scope: Some(place), ..std::mem::take(e) };
            }
            let subscription = self.instance.subscriptions.len();
            self.instance.subscriptions.push(Subscription {
                id: cx.ids.next(),
                execution_id: parent,
                kind: SubscriptionKind::Compensate,
                event_name: None,
                activity_id: activity.id.clone(),
                created: self.now,
                configuration: Some(execution.clone()),
                other: Unknown::default(),
            });
            if !self.skip.io_mappings {
                self.run_inputs(cx, &execution, *scope)?;
            }
            self.create_timers(cx, &execution, ScopeRef::Activity(*scope))?;
            let handler = Handler { subscription, source: None, target: Some(*scope), instruction: None };
            let side = Side::Target(ScopeRef::Activity(*scope));
            let mut element = Element::new(Kind::Memory(handler), execution.clone(), execution, side);
            (element.parent, element.is_scope, element.target) = (Some(above), true, Some(ScopeRef::Activity(*scope)));
            above = self.elements.add(element);
            made.push((ScopeRef::Activity(*scope), above));
        }
        Ok(made)
    }

    /// Re-points a kept subscription to what the target's event leads to.
    pub fn repoint_handler(&mut self, element: ElementIx) {
        let Some((subscription, target)) = self.elements.all[element].handler().map(|h| (h.subscription, h.target)) else { return };
        if let Some(target) = target {
            self.target.activity(target).id.clone_into(&mut self.instance.subscriptions[subscription].activity_id);
        }
    }
}
