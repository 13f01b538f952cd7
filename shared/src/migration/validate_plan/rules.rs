//! The eleven rules for an instruction (spec-migration §3.2). Each adds its failures; none ends the check.

use crate::process::definition::{Activity, ActivityIx, ActivityKind, ProcessDefinition, ScopeRef};

/// So many mappings of one source are listed in the message that each of them gets: the text must not grow with their square.
const MAX_LISTED: usize = 20;

/// An instruction whose activities exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Resolved {
    pub(crate) source: ActivityIx,
    pub(crate) target: ActivityIx,
    pub(crate) update_event_trigger: bool,
}

/// Instructions in order, found by source and by target. A place stays the same when others are removed.
pub(crate) struct Instructions {
    list: Vec<Option<Resolved>>,
    by_source: Vec<Vec<usize>>,
    by_target: Vec<Vec<usize>>,
}

impl Instructions {
    /// For definitions with this many activities.
    pub(crate) fn new(sources: usize, targets: usize) -> Self {
        Self { list: vec![], by_source: vec![vec![]; sources], by_target: vec![vec![]; targets] }
    }

    pub(crate) fn add(&mut self, instruction: Resolved) -> usize {
        let place = self.list.len();
        self.list.push(Some(instruction));
        self.by_source[instruction.source].push(place);
        self.by_target[instruction.target].push(place);
        place
    }

    pub(crate) fn remove(&mut self, place: usize) {
        if let Some(instruction) = self.list.get_mut(place).and_then(Option::take) {
            self.by_source[instruction.source].retain(|p| *p != place);
            self.by_target[instruction.target].retain(|p| *p != place);
        }
    }

    pub(crate) fn get(&self, place: usize) -> Option<&Resolved> {
        self.list.get(place).and_then(Option::as_ref)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Resolved> {
        self.list.iter().flatten()
    }

    pub(crate) fn places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.list.len()).filter(|place| self.list[*place].is_some())
    }

    pub(crate) fn has_source(&self, source: ActivityIx) -> bool {
        !self.by_source[source].is_empty()
    }

    fn has_target(&self, target: ActivityIx) -> bool {
        !self.by_target[target].is_empty()
    }

    /// All with this source, in order.
    fn of_source(&self, source: ActivityIx) -> impl Iterator<Item = &Resolved> {
        self.by_source[source].iter().filter_map(|place| self.get(*place))
    }

    fn first_of_source(&self, source: ActivityIx) -> Option<&Resolved> {
        self.of_source(source).next()
    }
}

/// Which rules: generation leaves out the two on inner activities until its last pass (§2.3).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    All,
    WithoutInnerActivities,
}

impl Rules {
    /// What is wrong with `instruction`, one of `all`, in the order of the rules.
    pub(crate) fn failures(
        self,
        instruction: &Resolved,
        all: &Instructions,
        source: &ProcessDefinition,
        target: &ProcessDefinition,
    ) -> Vec<String> {
        let judged = Judged { instruction, all, source, target };
        let mut failures = Vec::new();
        failures.extend(judged.same_kind());
        failures.extend(judged.same_event_type());
        failures.extend(judged.mapped_once());
        failures.extend(judged.no_added_body());
        if self == Self::All {
            failures.extend(judged.inner_activities_mapped());
        }
        failures.extend(judged.join_gateway());
        failures.extend(judged.same_event_scope());
        failures.extend(judged.trigger_to_update());
        failures.extend(judged.hierarchy());
        failures.extend(judged.conditional_updates());
        failures
    }
}

struct Judged<'a> {
    instruction: &'a Resolved,
    all: &'a Instructions,
    source: &'a ProcessDefinition,
    target: &'a ProcessDefinition,
}

impl<'a> Judged<'a> {
    fn from(&self) -> &'a Activity {
        self.source.activity(self.instruction.source)
    }

    fn to(&self) -> &'a Activity {
        self.target.activity(self.instruction.target)
    }

    /// V1
    fn same_kind(&self) -> Option<String> {
        use ActivityKind::{CallActivity, CaseCallActivity, EventSubProcess, SubProcess};
        let (from, to) = (self.from().kind, self.to().kind);
        let group = |kinds: [ActivityKind; 2]| kinds.contains(&from) && kinds.contains(&to);
        let alike = from == to || group([CallActivity, CaseCallActivity]) || group([SubProcess, EventSubProcess]);
        let (from, to) = (from.behavior_name(), to.behavior_name());
        (!alike).then(|| format!("Activities have incompatible types ({from} is not compatible with {to})"))
    }

    /// V2
    fn same_event_type(&self) -> Option<String> {
        let (from, to) = (self.from(), self.to());
        let differ = is_passive_event(from.kind) && is_passive_event(to.kind) && from.type_name != to.type_name;
        differ.then(|| format!("Events are not of the same type ({} != {})", from.type_name, to.type_name))
    }

    /// V3
    fn mapped_once(&self) -> Option<String> {
        if self.all.by_source[self.instruction.source].len() < 2 {
            return None;
        }
        let text = |i: &Resolved| {
            let (from, to) = (&self.source.activity(i.source).id, &self.target.activity(i.target).id);
            format!("ValidatingMigrationInstructionImpl{{sourceActivity=Activity({from}), targetActivity=Activity({to})}}")
        };
        let list: Vec<String> = self.all.of_source(self.instruction.source).take(MAX_LISTED).map(text).collect();
        Some(format!("There are multiple mappings for source activity id '{}': {}", self.from().id, list.join(", ")))
    }

    /// V4
    fn no_added_body(&self) -> Option<String> {
        for scope in self.target.ancestors(ScopeRef::Activity(self.instruction.target)) {
            let ScopeRef::Activity(ix) = scope else { return None };
            if self.all.has_target(ix) {
                return None;
            }
            if self.target.activity(ix).kind.is_multi_instance_body() {
                return Some(format!(
                    "Target activity '{}' is a descendant of multi-instance body '{}' that is not mapped from the source process definition.",
                    self.to().id,
                    self.target.activity(ix).id
                ));
            }
        }
        None
    }

    /// V5 and V6
    fn inner_activities_mapped(&self) -> impl Iterator<Item = String> + use<> {
        let (from, to) = (self.from(), self.to());
        let adds = to.kind.is_multi_instance_body() && !to.children.iter().any(|inner| self.all.has_target(*inner));
        let removes = from.kind.is_multi_instance_body() && !from.children.iter().any(|inner| self.all.has_source(*inner));
        let added = adds.then(|| "Must map the inner activity of a multi-instance body when the body is mapped".to_owned());
        let removed = removes.then(|| "Cannot remove the inner activity of a multi-instance body when the body is mapped".to_owned());
        added.into_iter().chain(removed)
    }

    /// V7
    fn join_gateway(&self) -> Vec<String> {
        let (from, to) = (self.from(), self.to());
        let mut failures = Vec::new();
        if !matches!(to.kind, ActivityKind::ParallelGateway | ActivityKind::InclusiveGateway) {
            return failures;
        }
        if from.incoming.len() > to.incoming.len() {
            failures.push(
                "The target gateway must have at least the same number of incoming sequence flows that the source gateway has".to_owned(),
            );
        }
        if let ScopeRef::Activity(scope) = from.flow_scope
            && !self.all.has_source(scope)
        {
            failures.push(format!("The gateway's flow scope '{}' must be mapped", self.source.activity(scope).id));
        }
        if self.all.by_target[self.instruction.target].len() > 1 {
            failures.push(format!("Only one gateway can be mapped to gateway '{}'", to.id));
        }
        failures
    }

    /// V8
    fn same_event_scope(&self) -> Option<String> {
        let (from, to) = (self.from(), self.to());
        let event_scope = from.event_scope?;
        if from.type_name == "compensationBoundaryCatch" || event_scope == from.flow_scope {
            return None;
        }
        let e = self.source.scope_id(event_scope);
        let Some(target_scope) = to.event_scope else {
            let has_timeout = from.timeout_listeners().next().is_some();
            return (!has_timeout)
                .then(|| format!("The source activity's event scope ({e}) must be mapped but the target activity has no event scope"));
        };
        let mapped = match event_scope {
            ScopeRef::Process => Some(ScopeRef::Process),
            ScopeRef::Activity(ix) => self.all.first_of_source(ix).map(|i| ScopeRef::Activity(i.target)),
        };
        let f = self.target.scope_id(target_scope);
        (mapped != Some(target_scope))
            .then(|| format!("The source activity's event scope ({e}) must be mapped to the target activity's event scope ({f})"))
    }

    /// V9
    fn trigger_to_update(&self) -> Option<String> {
        (self.instruction.update_event_trigger && !self.from().has_persistent_trigger())
            .then(|| "Cannot update event trigger because the activity does not define a persistent event trigger".to_owned())
    }

    /// V10
    fn hierarchy(&self) -> Option<String> {
        let closest = self.source.ancestors(ScopeRef::Activity(self.instruction.source)).find_map(|scope| match scope {
            ScopeRef::Activity(ix) => self.all.first_of_source(ix),
            ScopeRef::Process => None,
        })?;
        let image = ScopeRef::Activity(closest.target);
        let below = self.target.ancestors(ScopeRef::Activity(self.instruction.target)).any(|scope| scope == image);
        let (a, b, c) = (&self.source.activity(closest.source).id, self.target.scope_id(image), &self.to().id);
        (!below)
            .then(|| format!("The closest mapped ancestor '{a}' is mapped to scope '{b}' which is not an ancestor of target scope '{c}'"))
    }

    /// V11
    fn conditional_updates(&self) -> Option<String> {
        (self.from().kind.is_conditional() && !self.instruction.update_event_trigger)
            .then(|| "Conditional event has to migrate with update event trigger.".to_owned())
    }
}

/// Boundary events and start events of event subprocesses.
fn is_passive_event(kind: ActivityKind) -> bool {
    use ActivityKind as K;
    matches!(
        kind,
        K::BoundaryEvent
            | K::BoundaryConditionalEvent
            | K::CancelBoundaryEvent
            | K::EventSubProcessStartEvent
            | K::EventSubProcessStartConditionalEvent
    )
}
