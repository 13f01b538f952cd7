//! The process of the simulator: two versions of two user tasks, and instances that wait at the first.

use std::sync::Arc;

use crate::clock::Millis;
use crate::id::InstanceIds;
use crate::migration::{MigrationInstruction, MigrationPlan};
use crate::process::definition::ProcessDefinition;
use crate::process::instance::{DOCUMENT_VERSION, Instance};
use crate::process::parse::parse;
use crate::runner::{Command, Cx, NoJobDefinitions, run};

pub const SOURCE: &str = "herd:1:simulated";
pub const TARGET: &str = "herd:2:simulated";

const MODEL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="simulated">
  <process id="herd" isExecutable="true">
    <startEvent id="start"/>
    <sequenceFlow id="f1" sourceRef="start" targetRef="graze"/>
    <userTask id="graze"/>
    <sequenceFlow id="f2" sourceRef="graze" targetRef="rest"/>
    <userTask id="rest" camunda:asyncBefore="true"/>
    <sequenceFlow id="f3" sourceRef="rest" targetRef="end"/>
    <endEvent id="end"/>
  </process>
</definitions>"#;

/// Both versions.
///
/// # Panics
/// When the model above is none.
#[must_use]
pub fn definitions() -> Vec<Arc<ProcessDefinition>> {
    [(SOURCE, 1), (TARGET, 2)]
        .into_iter()
        .filter_map(|(id, version)| {
            let model = parse(MODEL).unwrap_or_else(|report| panic!("the simulator's own model: {report:?}")).pop()?;
            Some(Arc::new(ProcessDefinition { id: id.into(), version, deployment_id: format!("deployment-{version}"), ..model }))
        })
        .collect()
}

#[must_use]
pub fn plan() -> MigrationPlan {
    MigrationPlan {
        source_definition_id: SOURCE.into(),
        target_definition_id: TARGET.into(),
        instructions: ["graze", "rest"].map(|task| MigrationInstruction::new(task, task, false)).into(),
        variables: None,
    }
}

/// Ids as the id source makes them, but the same in every run.
#[must_use]
pub fn base(kind: u32, number: usize) -> String {
    format!("01900000-{kind:04x}-7000-8000-{number:04x}00000000")
}

/// A line of a trace with such ids as `b0`, `i7`.
#[must_use]
pub fn shorten(line: &str) -> String {
    let mut parts = line.split("01900000-");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let kind = match part.get(..4) {
            Some("000b") => "b",
            Some("0001") => "i",
            Some("0003") => "started",
            Some("0004") => "t",
            _ => "?",
        };
        let number = part.get(15..19).and_then(|hex| u32::from_str_radix(hex, 16).ok()).unwrap_or_default();
        short.push_str(&format!("{kind}{number}{}", part.get(27..).unwrap_or_default()));
    }
    short.replace('"', "")
}

/// An instance that waits at its first task.
///
/// # Panics
/// When the runner refuses to start it.
#[must_use]
pub fn instance(definition: &ProcessDefinition, id: &str, now: Millis) -> Instance {
    let blank =
        Instance { v: DOCUMENT_VERSION, id: id.into(), definition_id: definition.id.clone(), started_at: now, ..Instance::default() };
    let start = Command::Start {
        variables: vec![],
        instructions: vec![],
        start_event: None,
        skip_custom_listeners: false,
        skip_io_mappings: false,
    };
    command(definition, blank, start, now).unwrap_or_else(|| panic!("instance {id} did not start"))
}

/// Completes its task: a job that enters the next one, or the end (None). Nothing while that job has not run.
#[must_use]
pub fn complete(definition: &ProcessDefinition, instance: Instance, now: Millis) -> Option<Instance> {
    let Some(task_id) = instance.tasks.first().map(|task| task.id.clone()) else { return Some(instance) };
    command(definition, instance, Command::CompleteTask { task_id, variables: vec![] }, now)
}

fn command(definition: &ProcessDefinition, instance: Instance, command: Command, now: Millis) -> Option<Instance> {
    let mut ids = InstanceIds::new(&instance.id, instance.ids);
    let id = instance.id.clone();
    let mut cx = Cx { definition, now, ids: &mut ids, job_definitions: &NoJobDefinitions, default_retries: 3 };
    let mut ran = run(instance, command, &mut cx).unwrap_or_else(|refusal| panic!("instance {id}: {refusal}"));
    ran.instance.ids = ids.given();
    (!ran.ended).then_some(ran.instance)
}
