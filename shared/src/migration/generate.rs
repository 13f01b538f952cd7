//! Generating a plan: activities that are equal in both definitions (spec-migration §2.3).
//!
//! Equal is the same id, compared pairwise by scope and never across parents. What a rule forbids is left out silently.

use super::plan::{MigrationInstruction, MigrationPlan};
use super::report::PlanReport;
use super::validate_plan::rules::{Instructions, Resolved, Rules};
use super::validate_plan::validate_plan;
use crate::process::definition::{Activity, ActivityIx, ActivityKind, ProcessDefinition, ScopeRef};
use crate::process::value::TypedValue;

/// A plan that is not valid, with why.
#[derive(Clone, Debug, PartialEq)]
pub struct InvalidPlan {
    pub plan: MigrationPlan,
    pub report: PlanReport,
}

impl InvalidPlan {
    /// The message of its exception.
    #[must_use]
    pub fn message(&self) -> String {
        self.report.message(&self.plan)
    }
}

/// The plan that maps equal activities, with these variables. Instructions come in the order of discovery.
///
/// # Errors
/// The generated plan is not valid: because of a variable, or where the rules are no fixed point (FINDINGS 2).
pub fn generate(
    source: &ProcessDefinition,
    target: &ProcessDefinition,
    update_event_triggers: bool,
    variables: Option<Vec<(String, TypedValue)>>,
) -> Result<MigrationPlan, Box<InvalidPlan>> {
    let mut generation = Generation {
        source,
        target,
        update_event_triggers,
        found: Instructions::new(source.activities.len(), target.activities.len()),
        lost_some: false,
    };
    generation.scopes(ScopeRef::Process, ScopeRef::Process);
    let all: Vec<usize> = generation.found.places().collect();
    generation.keep_valid(&all, Rules::All);
    let instructions = generation.found.iter().map(|i| instruction(i, source, target)).collect();
    let plan = MigrationPlan { source_definition_id: source.id.clone(), target_definition_id: target.id.clone(), instructions, variables };
    let report = validate_plan(&plan, source, target);
    if report.is_empty() { Ok(plan) } else { Err(Box::new(InvalidPlan { plan, report })) }
}

fn instruction(resolved: &Resolved, source: &ProcessDefinition, target: &ProcessDefinition) -> MigrationInstruction {
    MigrationInstruction::new(&source.activity(resolved.source).id, &target.activity(resolved.target).id, resolved.update_event_trigger)
}

struct Generation<'a> {
    source: &'a ProcessDefinition,
    target: &'a ProcessDefinition,
    update_event_triggers: bool,
    found: Instructions,
    /// Did the last filter take instructions away? Then others may have lost what they lean on.
    lost_some: bool,
}

impl Generation<'_> {
    /// Matches one pair of scopes and what is in those of its children that match. As deep as scopes nest.
    fn scopes(&mut self, from: ScopeRef, to: ScopeRef) {
        let children = self.source.scope_children(from);
        let flow = self.matches(children, |id| self.target.find(id).filter(|ix| self.target.activity(*ix).flow_scope == to));
        let mut added: Vec<usize> = flow.into_iter().map(|i| self.found.add(i)).collect();
        let flow_places = added.clone();
        let events: Vec<ActivityIx> = self.source.events_of(from).collect();
        let triggers = self.matches(&events, |id| self.target.find(id).filter(|ix| self.target.activity(*ix).event_scope == Some(to)));
        added.extend(triggers.into_iter().map(|i| self.found.add(i)));
        // New instructions are leaned on by none of the older ones: those need another look only after a loss.
        let checked = if self.lost_some { self.found.places().collect() } else { added };
        self.keep_valid(&checked, Rules::WithoutInnerActivities);
        for place in flow_places {
            if let Some(pair) = self.found.get(place).copied() {
                self.scopes(ScopeRef::Activity(pair.source), ScopeRef::Activity(pair.target));
            }
        }
    }

    fn matches(&self, candidates: &[ActivityIx], target_of: impl Fn(&str) -> Option<ActivityIx>) -> Vec<Resolved> {
        let mut matches = Vec::new();
        for ix in candidates.iter().copied().filter(|ix| !self.found.has_source(*ix)) {
            let activity = self.source.activity(ix);
            let Some(target) = target_of(&activity.id) else { continue };
            if is_eligible(activity) && is_eligible(self.target.activity(target)) {
                let update_event_trigger =
                    activity.kind.is_conditional() || self.update_event_triggers && activity.has_persistent_trigger();
                matches.push(Resolved { source: ix, target, update_event_trigger });
            }
        }
        matches
    }

    /// Takes away those of `places` that break a rule, each judged against the list as it was.
    fn keep_valid(&mut self, places: &[usize], rules: Rules) {
        let broken: Vec<usize> = places
            .iter()
            .copied()
            .filter(|place| self.found.get(*place).is_some_and(|i| !rules.failures(i, &self.found, self.source, self.target).is_empty()))
            .collect();
        self.lost_some = !broken.is_empty();
        for place in broken {
            self.found.remove(place);
        }
    }
}

/// May an instruction be generated for it?
fn is_eligible(activity: &Activity) -> bool {
    (is_supported(activity.kind) || activity.async_before || activity.async_after)
        && is_supported_event(activity)
        && !activity.is_for_compensation
}

/// Kinds whose instances can migrate: also what the validation of instances asks (spec-migration §4.3, I3).
#[must_use]
pub fn is_supported(kind: ActivityKind) -> bool {
    use ActivityKind as K;
    matches!(
        kind,
        K::SubProcess
            | K::UserTask
            | K::BoundaryEvent
            | K::ParallelMultiInstance
            | K::SequentialMultiInstance
            | K::ReceiveTask
            | K::CallActivity
            | K::CaseCallActivity
            | K::IntermediateCatchEvent
            | K::EventBasedGateway
            | K::EventSubProcess
            | K::EventSubProcessStartEvent
            | K::ExternalTask
            | K::ParallelGateway
            | K::InclusiveGateway
            | K::IntermediateConditionalEvent
            | K::BoundaryConditionalEvent
            | K::EventSubProcessStartConditionalEvent
    )
}

/// Boundary events and start events of event subprocesses: not those of errors, escalations and cancellation.
fn is_supported_event(activity: &Activity) -> bool {
    !matches!(
        activity.type_name,
        "boundaryError" | "boundaryEscalation" | "cancelBoundaryCatch" | "errorStartEvent" | "escalationStartEvent"
    )
}

#[cfg(test)]
mod tests;
