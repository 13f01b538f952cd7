//! The pure core alone, on a small model: what `benches/micro.rs` measures, and the yardstick of a whole run.

use std::hint::black_box;
use std::time::{Duration, Instant};

use shared::id::InstanceIds;
use shared::migration::{MigrationCx, MigrationInstruction, MigrationPlan, Skip, migrate};
use shared::process::definition::ProcessDefinition;
use shared::process::instance::Instance;
use shared::process::parse::parse;
use shared::process::stored::{self, RowIds};
use shared::process::value::TypedValue;
use shared::runner::{self, Command, Cx, NoJobDefinitions};

pub const XML: &str = r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="bench"><message id="M" name="m"/>
  <process id="p" isExecutable="true"><startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="t"/><userTask id="t"/>
  <boundaryEvent id="b" attachedToRef="t"><messageEventDefinition messageRef="M"/></boundaryEvent>
  <sequenceFlow id="f2" sourceRef="t" targetRef="e"/><endEvent id="e"/><sequenceFlow id="f3" sourceRef="b" targetRef="x"/><endEvent id="x"/>
  </process></definitions>"#;

pub fn definition(version: i32) -> ProcessDefinition {
    let mut definition = parse(XML).expect("the bench's own model is one").remove(0);
    definition.id = format!("p:{version}:x");
    definition
}

pub fn started(definition: &ProcessDefinition) -> Instance {
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
    let mut instance = runner::run(blank, start, &mut cx).expect("it starts").instance;
    instance.ids = ids.given();
    instance
}

pub fn plan() -> MigrationPlan {
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

pub fn migrated(instance: Instance, source: &ProcessDefinition, target: &ProcessDefinition, plan: &MigrationPlan) -> Instance {
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
    migrate(instance, &mut cx).expect("it migrates").instance
}

/// How long the yardstick measures.
const MEASURED: Duration = Duration::from_millis(500);
const ENCODED: &str = "a document can be encoded";

/// µs that decoding, migrating and encoding one instance takes on one core: how fast this machine is just now. A run on a slow
/// machine, or beside a busy neighbour, shows it here.
pub fn yardstick_us() -> f64 {
    let (source, target, plan) = (definition(1), definition(2), plan());
    let instance = started(&source);
    let (document, place) = (stored::write(&instance).expect(ENCODED), RowIds { id: &instance.id, definition_id: &instance.definition_id });
    let (began, mut times) = (Instant::now(), 0_u32);
    while began.elapsed() < MEASURED {
        let instance = stored::read(black_box(&document), place).expect("what was written can be read");
        black_box(stored::write(&migrated(instance, &source, &target, &plan)).expect(ENCODED));
        times += 1;
    }
    began.elapsed().as_secs_f64() * 1e6 / f64::from(times)
}
