//! The pure core alone: parse a model, validate a plan, migrate an instance, encode and decode its document.
//! `cargo bench -p bench --features micro`

#![expect(clippy::unwrap_used, reason = "a bench: a failure is a panic")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use shared::id::InstanceIds;
use shared::migration::{MigrationCx, MigrationInstruction, MigrationPlan, Skip, migrate, validate_plan};
use shared::process::definition::ProcessDefinition;
use shared::process::instance::Instance;
use shared::process::parse::parse;
use shared::process::value::TypedValue;
use shared::runner::{self, Command, Cx, NoJobDefinitions};

const XML: &str = r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="bench"><message id="M" name="m"/>
  <process id="p" isExecutable="true"><startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="t"/><userTask id="t"/>
  <boundaryEvent id="b" attachedToRef="t"><messageEventDefinition messageRef="M"/></boundaryEvent>
  <sequenceFlow id="f2" sourceRef="t" targetRef="e"/><endEvent id="e"/><sequenceFlow id="f3" sourceRef="b" targetRef="x"/><endEvent id="x"/>
  </process></definitions>"#;

fn definition(version: i32) -> ProcessDefinition {
    let mut definition = parse(XML).unwrap().remove(0);
    definition.id = format!("p:{version}:x");
    definition
}

fn started(definition: &ProcessDefinition) -> Instance {
    let id = shared::id::new_base();
    let blank = Instance { id: id.clone(), definition_id: definition.id.clone(), ..Instance::default() };
    let mut ids = InstanceIds::new(&id, 0);
    let mut cx = Cx { definition, now: 1, ids: &mut ids, job_definitions: &NoJobDefinitions, default_retries: 3 };
    let start = Command::Start {
        variables: vec![("total".into(), TypedValue::integer(1))],
        instructions: vec![],
        start_event: None,
        skip_custom_listeners: false,
        skip_io_mappings: false,
    };
    let mut instance = runner::run(blank, start, &mut cx).unwrap().instance;
    instance.ids = ids.given();
    instance
}

fn plan() -> MigrationPlan {
    let same = |activity: &str| MigrationInstruction {
        source_activity_id: Some(activity.to_owned()),
        target_activity_id: Some(activity.to_owned()),
        update_event_trigger: false,
    };
    MigrationPlan {
        source_definition_id: "p:1:x".into(),
        target_definition_id: "p:2:x".into(),
        instructions: vec![same("t"), same("b")],
        variables: None,
    }
}

fn migrated(instance: Instance, source: &ProcessDefinition, target: &ProcessDefinition, plan: &MigrationPlan) -> Instance {
    let mut ids = InstanceIds::new(&instance.id, instance.ids);
    let mut cx = MigrationCx {
        source,
        target,
        plan,
        skip: Skip::default(),
        now: 2,
        ids: &mut ids,
        job_definitions: &NoJobDefinitions,
        default_retries: 3,
    };
    migrate(instance, &mut cx).unwrap().instance
}

fn core(c: &mut Criterion) {
    let (source, target, plan) = (definition(1), definition(2), plan());
    let instance = started(&source);
    let document = serde_json::to_string(&instance).unwrap();
    c.bench_function("parse a model", |b| b.iter(|| parse(black_box(XML)).unwrap()));
    c.bench_function("validate a plan", |b| b.iter(|| validate_plan(black_box(&plan), &source, &target)));
    c.bench_function("migrate an instance", |b| {
        b.iter_batched(|| instance.clone(), |instance| migrated(instance, &source, &target, &plan), BatchSize::SmallInput);
    });
    c.bench_function("encode a document", |b| b.iter(|| serde_json::to_string(black_box(&instance)).unwrap()));
    c.bench_function("decode a document", |b| b.iter(|| serde_json::from_str::<Instance>(black_box(&document)).unwrap()));
}

criterion_group!(benches, core);
criterion_main!(benches);
