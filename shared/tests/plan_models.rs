//! Every recorded model is read, and some of what was read is looked at closely.

use std::path::{Path, PathBuf};

use shared::process::definition::{ActivityKind, EventDefinition, ProcessDefinition, ScopeRef};
use shared::process::parse::parse;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden")
}

fn model(name: &str) -> String {
    std::fs::read_to_string(golden().join("models").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn only(name: &str) -> ProcessDefinition {
    let mut all = parse(&model(name)).unwrap_or_else(|report| panic!("{name}: {}", report.message(name)));
    assert_eq!(all.len(), 1, "{name}");
    all.remove(0)
}

fn models(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder of models") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            models(&path, found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_recorded_model_is_read() {
    let mut files = Vec::new();
    models(&golden().join("models"), &mut files);
    assert!(files.len() > 200, "only {} models found", files.len());
    for file in files {
        let xml = std::fs::read_to_string(&file).expect("a model");
        let outcome = parse(&xml);
        if file.ends_with("rest/broken.bpmn") {
            let report = outcome.expect_err("a model with errors");
            let messages: Vec<_> = report.errors.iter().map(|p| p.message.as_str()).collect();
            assert_eq!(messages.len(), 2, "{messages:?}");
            assert!(messages.contains(&"Exclusive Gateway 'alone' has no outgoing sequence flows."), "{messages:?}");
            continue;
        }
        let definitions = outcome.unwrap_or_else(|report| panic!("{}: {}", file.display(), report.message("process.bpmn")));
        assert!(!definitions.is_empty(), "{}", file.display());
        for definition in &definitions {
            sound(definition, &file);
        }
    }
}

/// What holds for every definition.
fn sound(definition: &ProcessDefinition, file: &Path) {
    let name = file.display();
    assert!(definition.initial.is_some(), "{name}: no initial activity");
    for (ix, activity) in definition.activities.iter().enumerate() {
        let id = &activity.id;
        assert_eq!(definition.find(id), Some(ix), "{name}: {id} is not found by its id");
        let siblings = definition.scope_children(activity.flow_scope);
        assert_eq!(siblings.iter().filter(|s| **s == ix).count(), 1, "{name}: {id} is not once among the children of its scope");
        assert!(activity.children.is_empty() || activity.is_scope, "{name}: {id} has children but is no scope");
        let is_event = matches!(activity.kind, ActivityKind::BoundaryEvent | ActivityKind::BoundaryConditionalEvent);
        assert_eq!(is_event || activity.kind == ActivityKind::CancelBoundaryEvent, activity.attached_to.is_some(), "{name}: {id}");
        if let Some(ScopeRef::Activity(scope)) = activity.event_scope
            && activity.type_name != "compensationBoundaryCatch"
        {
            assert!(definition.activity(scope).is_scope, "{name}: the event scope of {id} is no scope");
        }
        assert!(activity.incoming.iter().all(|f| definition.flows[*f].target == ix), "{name}: {id}");
        assert!(activity.outgoing.iter().all(|f| definition.flows[*f].source == ix), "{name}: {id}");
    }
}

#[test]
fn a_multi_instance_activity_is_two_entries() {
    let definition = only("plan/mi-boundary.bpmn");
    let body = definition.get("userTask#multiInstanceBody").expect("the body");
    let inner = definition.get("userTask").expect("the inner activity");
    assert!(body.is_scope && !inner.is_scope);
    assert_eq!((body.type_name, inner.type_name), ("multiInstanceBody", "userTask"));
    assert_eq!((body.incoming.len(), body.outgoing.len(), inner.incoming.len(), inner.outgoing.len()), (1, 1, 0, 0));
    let boundary = definition.get("boundary").expect("the boundary event");
    assert_eq!(boundary.attached_to, definition.find("userTask#multiInstanceBody"));
    assert_eq!(boundary.flow_scope, ScopeRef::Process);
}

#[test]
fn a_timer_start_has_a_job_definition_and_a_timeout_listener_too() {
    let definition = only("plan/timeout.bpmn");
    let jobs: Vec<_> = definition.job_definitions.iter().map(|j| (j.activity_id.as_str(), j.job_type, j.configuration.as_str())).collect();
    assert_eq!(jobs, [("userTask", "timer-task-listener", "DURATION: PT10M")]);
    let task = definition.get("userTask").expect("the task");
    assert!(task.is_scope && task.has_persistent_trigger());
}

#[test]
fn a_link_is_a_flow_to_its_catch_event() {
    let definition = only("plan/links.bpmn");
    assert!(definition.find("linkThrow").is_none());
    let task = definition.get("userTask").expect("the task");
    let target = definition.flows[task.outgoing[0]].target;
    assert_eq!(definition.activity(target).id, "linkCatch");
    assert!(matches!(definition.activity(target).event, Some(EventDefinition::Link { .. })));
}
