//! Can this instance migrate by this plan? Every failure is collected (spec-migration §4.3).
//!
//! Order of the reports: activity instances in the order of the tree, then transition instances.

use super::generate::is_supported;
use super::migrate::element::{Element, ElementIx, Elements, Kind, Leftovers, is_scope};
use super::migrate::parse::Reading;
use super::report::{ElementReport, InstanceReport};
use crate::process::definition::{ActivityIx, ScopeRef};
use crate::process::instance::{Instance, InstanceJob, Variable};

const UNMAPPED: &str = "There is no migration instruction for this instance's activity";
const UNSUPPORTED: &str = "The type of the source activity is not supported for activity instance migration";

/// A failure's text, and the word by which equal ones are told (part of the reason key).
struct Failure {
    rule: &'static str,
    text: String,
}

impl Failure {
    fn new(rule: &'static str, text: impl Into<String>) -> Self {
        Self { rule, text: text.into() }
    }
}

#[must_use]
pub(super) fn validate(instance: &Instance, elements: &Elements, reading: Reading<'_>) -> InstanceReport {
    let mut report =
        InstanceReport { instance_id: instance.id.clone(), failures: leftovers(&elements.leftovers), ..InstanceReport::default() };
    let mut of_activities: Vec<(ElementIx, Vec<Failure>)> = vec![];
    for (ix, element) in elements.all.iter().enumerate().filter(|(_, e)| e.is_activity()) {
        of_activities.push((ix, activity_failures(instance, element, reading)));
    }
    for (ix, element) in elements.all.iter().enumerate().filter(|(_, e)| e.is_compensation()) {
        let failures = compensation_failures(element, reading);
        let owner = elements.closest_activity(ix);
        if let Some((_, of)) = of_activities.iter_mut().find(|(a, _)| *a == owner) {
            of.extend(failures);
        }
    }
    for (ix, failures) in of_activities.into_iter().filter(|(_, f)| !f.is_empty()) {
        report.activity_instances.push(element_report(&elements.all[ix], failures, reading));
    }
    for element in &elements.all {
        let Kind::Transition { job } = element.kind else { continue };
        let failures = transition_failures(element, &instance.jobs[job], reading);
        if !failures.is_empty() {
            report.transition_instances.push(element_report(element, failures, reading));
        }
    }
    report
}

fn leftovers(left: &Leftovers) -> Vec<String> {
    let all = [
        ("tasks", &left.tasks),
        ("externalTask", &left.external_tasks),
        ("incidents", &left.incidents),
        ("jobs", &left.jobs),
        ("event subscriptions", &left.subscriptions),
        ("variables", &left.variables),
    ];
    let text = |what, ids: &[String]| format!("Process instance contains not migrated {what}: [{}]", ids.join(", "));
    all.iter().filter(|(_, ids)| !ids.is_empty()).map(|(what, ids)| text(what, ids)).collect()
}

fn element_report(element: &Element, failures: Vec<Failure>, reading: Reading<'_>) -> ElementReport {
    let source = element.source.map_or("", |s| reading.source.scope_id(s));
    let activity = if element.source == Some(ScopeRef::Process) { "process" } else { source };
    let rule = failures.first().map_or("", |f| f.rule);
    ElementReport {
        instruction: element.instruction.map(|ix| reading.plan.instructions[ix].clone()),
        id: element.id.clone(),
        source_scope_id: source.to_owned(),
        reason_key: format!("ENGINE-23004:{activity}:{rule}"),
        failures: failures.into_iter().map(|f| f.text).collect(),
    }
}

/// I1, I2, I3.
fn activity_failures(instance: &Instance, element: &Element, reading: Reading<'_>) -> Vec<Failure> {
    let mut failures = vec![];
    if element.instruction.is_none() && element.children.is_empty() {
        failures.push(Failure::new("no-instruction", UNMAPPED));
    }
    let becomes_non_scope = element.is_scope && element.target.is_some_and(|t| !is_scope(reading.target, t));
    if becomes_non_scope {
        failures.extend(names_used_twice(instance, element).into_iter().map(|name| {
            Failure::new(
                "variable-collision",
                format!(
                    "The variable '{name}' exists in both, this scope and concurrent local in the parent scope. \
                     Migrating to a non-scope activity would overwrite one of them."
                ),
            )
        }));
    }
    if let Some(ScopeRef::Activity(source)) = element.source
        && !is_supported(reading.source.activity(source).kind)
    {
        failures.push(Failure::new("not-supported", UNSUPPORTED));
    }
    failures
}

/// Variables of the scope itself whose names are those of variables outside of it that belong to it too.
fn names_used_twice(instance: &Instance, element: &Element) -> Vec<String> {
    let Some(above) = instance.execution(&element.execution).and_then(|e| e.parent.as_deref()).and_then(|p| instance.execution(p)) else {
        return vec![];
    };
    let own = instance.variables.iter().filter(|v| v.execution_id == element.execution && v.task_id.is_none());
    let is_outer = |v: &&Variable| v.execution_id == above.id && v.task_id.is_none() && (above.is_concurrent || v.concurrent_local);
    own.filter(|v| instance.variables.iter().filter(is_outer).any(|o| o.name == v.name)).map(|v| v.name.clone()).collect()
}

/// I4, I5, I6 (whose text is that of I5, FINDINGS 29).
fn compensation_failures(element: &Element, reading: Reading<'_>) -> Vec<Failure> {
    let Some(handler) = element.handler() else { return vec![] };
    let Some(source) = handler.source else { return vec![] };
    let (activity, is_memory) = (reading.source.activity(source), matches!(element.kind, Kind::Memory(_)));
    let text = |event: &str| {
        let id = &activity.id;
        format!("Cannot migrate subscription for compensation handler '{id}'. There is no migration instruction for the {event}")
    };
    match (is_memory, element.children.is_empty()) {
        (false, _) if handler.instruction.is_none() => vec![Failure::new("compensation-boundary", text("compensation boundary event"))],
        (true, true) if handler.instruction.is_none() => vec![Failure::new("compensation-start", text("compensation start event"))],
        (true, false) if activity.triggered_by_event && handler.target.is_none() => {
            vec![Failure::new("compensation-start", text("compensation start event"))]
        }
        _ => vec![],
    }
}

/// T1 to T4.
fn transition_failures(element: &Element, job: &InstanceJob, reading: Reading<'_>) -> Vec<Failure> {
    let Some(ScopeRef::Activity(target)) = element.target else {
        return vec![Failure::new("no-instruction", UNMAPPED)];
    };
    let (mut failures, activity) = (vec![], reading.target.activity(target));
    let after = is_async_after(job);
    if after && activity.outgoing.len() > 1 {
        match stored_flow(job) {
            None => failures.push(Failure::new(
                "no-flow",
                "Transition instance is assigned to no sequence flow and target activity has more than one outgoing sequence flow",
            )),
            Some(flow) if !has_outgoing(reading, target, flow) => failures.push(Failure::new(
                "flow-not-matched",
                "Transition instance is assigned to a sequence flow that cannot be matched in the target activity",
            )),
            Some(_) => {}
        }
    }
    if job.configuration == "process-start" && activity.flow_scope != ScopeRef::Process {
        failures.push(Failure::new(
            "process-start",
            "A transition instance that instantiates the process can only be migrated to a process-level flow node",
        ));
    }
    if after && !activity.async_after {
        failures.push(Failure::new("not-async-after", "Target activity is not asyncAfter"));
    }
    if !after && !activity.async_before {
        failures.push(Failure::new("not-async-before", "Target activity is not asyncBefore"));
    }
    failures
}

/// Does this async job wait after its activity, or before it?
#[must_use]
pub(super) fn is_async_after(job: &InstanceJob) -> bool {
    job.configuration == "activity-end" || job.configuration.starts_with("transition-notify-listener-take")
}

/// The sequence flow that an asyncAfter job has chosen already.
#[must_use]
pub(super) fn stored_flow(job: &InstanceJob) -> Option<&str> {
    job.configuration.split_once('$').map(|(_, flow)| flow)
}

fn has_outgoing(reading: Reading<'_>, activity: ActivityIx, flow: &str) -> bool {
    reading.target.activity(activity).outgoing.iter().any(|ix| reading.target.flows[*ix].id == flow)
}
