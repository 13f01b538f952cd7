//! Properties of a migration on random models: tasks in subprocesses in subprocesses, some with boundary events, moved
//! into another nesting. Instances are started by the runner, before every task at once.

#![expect(clippy::unwrap_used, reason = "a test")]

#[path = "plan_support/moving.rs"]
mod moving;

use moving::{command, migrated};
use proptest::prelude::*;
use shared::id::new_base;
use shared::migration::{MigrationInstruction, MigrationPlan, validate_plan};
use shared::process::definition::ProcessDefinition;
use shared::process::instance::Instance;
use shared::process::parse;
use shared::process::tree::{ActivityNode, activity_tree, check};
use shared::process::value::TypedValue;
use shared::runner::command::{StartKind, VariableScope};
use shared::runner::{Command, StartInstruction};

const TASKS: usize = 5;
const SCOPES: usize = 4;

/// Where things are: the scope around each scope (one with a smaller number, or none) and around each task.
#[derive(Clone, Debug)]
struct Nesting {
    scopes: Vec<Option<usize>>,
    tasks: Vec<Option<usize>>,
    /// Has the task a boundary event?
    boundary: Vec<bool>,
}

fn nesting() -> impl Strategy<Value = Nesting> {
    let scopes: Vec<_> = (0..SCOPES).map(|ix| proptest::option::of(0..ix.max(1))).collect();
    let tasks = proptest::collection::vec(proptest::option::of(0..SCOPES), TASKS);
    (scopes, tasks, proptest::collection::vec(any::<bool>(), TASKS)).prop_map(|(mut scopes, tasks, boundary)| {
        scopes[0] = None;
        Nesting { scopes, tasks, boundary }
    })
}

fn model(name: &str, scope_prefix: &str, nesting: &Nesting) -> ProcessDefinition {
    fn inside(of: Option<usize>, prefix: &str, nesting: &Nesting) -> String {
        let mut xml = String::new();
        for (ix, _) in nesting.tasks.iter().enumerate().filter(|(_, around)| **around == of) {
            xml += &format!(r#"<userTask id="t{ix}"/>"#);
            if nesting.boundary[ix] {
                xml +=
                    &format!(r#"<boundaryEvent id="b{ix}" attachedToRef="t{ix}"><messageEventDefinition messageRef="M"/></boundaryEvent>"#);
            }
        }
        for (ix, _) in nesting.scopes.iter().enumerate().filter(|(_, around)| **around == of) {
            xml += &format!(
                r#"<subProcess id="{prefix}{ix}"><startEvent id="{prefix}{ix}S"/>{}</subProcess>"#,
                inside(Some(ix), prefix, nesting)
            );
        }
        xml
    }
    let xml = format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="t"><message id="M" name="m"/>
           <process id="p" isExecutable="true"><startEvent id="start"/>{}</process></definitions>"#,
        inside(None, scope_prefix, nesting)
    );
    let mut definition = parse::parse(&xml).unwrap().remove(0);
    definition.id = name.into();
    definition.deployment_id = format!("{name}-deployment");
    definition
}

/// An instance that waits in every task, with a process variable, and a variable of its own on each task and token.
fn started(definition: &ProcessDefinition) -> Instance {
    let instruction = |ix| StartInstruction {
        kind: StartKind::BeforeActivity,
        target: format!("t{ix}"),
        ancestor_activity_instance: None,
        variables: vec![],
    };
    let start = Command::Start {
        variables: vec![("p".into(), TypedValue::integer(1))],
        instructions: (0..TASKS).map(instruction).collect(),
        start_event: None,
        skip_custom_listeners: false,
        skip_io_mappings: false,
    };
    let empty = Instance { id: new_base(), definition_id: definition.id.clone(), ..Instance::default() };
    let mut instance = command(empty, definition, start);
    for (ix, task) in instance.tasks.clone().iter().enumerate() {
        let scopes = [("own", VariableScope::Task(task.id.clone())), ("token", VariableScope::Execution(task.execution_id.clone()))];
        for (name, scope) in scopes {
            let variables = vec![(format!("{name}{ix}"), TypedValue::integer(ix as i64))];
            instance = command(instance, definition, Command::SetVariables { scope, variables, local: true });
        }
    }
    instance
}

fn plan(source: &ProcessDefinition, target: &ProcessDefinition, scopes: &[(String, String)]) -> MigrationPlan {
    let both = |id: &String| source.find(id).is_some() && target.find(id).is_some();
    let leaves = (0..TASKS).flat_map(|ix| [format!("t{ix}"), format!("b{ix}")]).filter(both);
    let leaves = leaves.map(|id| MigrationInstruction::new(id.clone(), id, false));
    let scopes = scopes.iter().map(|(from, to)| MigrationInstruction::new(from.clone(), to.clone(), false));
    MigrationPlan {
        source_definition_id: source.id.clone(),
        target_definition_id: target.id.clone(),
        instructions: leaves.chain(scopes).collect(),
        variables: None,
    }
}

/// The tree of activity instances without ids.
fn shape(node: &ActivityNode) -> String {
    let mut below: Vec<String> = node.children.iter().map(shape).collect();
    below.sort();
    let name = if node.parent.is_none() { "process" } else { &node.activity_id };
    if below.is_empty() { name.to_owned() } else { format!("{name}({})", below.join(" ")) }
}

fn refers_only_to(instance: &Instance, target: &ProcessDefinition) -> bool {
    let places = instance.executions.iter().flat_map(|e| e.scope.iter().chain(&e.at)).map(|p| &p.activity_id);
    let others = instance.jobs.iter().map(|j| &j.activity_id).chain(instance.subscriptions.iter().map(|s| &s.activity_id));
    let keys = instance.tasks.iter().map(|t| &t.task_definition_key).chain(instance.open.iter().map(|o| &o.activity_id));
    places.chain(others).chain(keys).all(|id| target.find(id).is_some())
        && instance.tasks.iter().all(|t| t.definition_id == target.id)
        && instance.open.iter().all(|o| o.definition_id == target.id)
        && instance.definition_id == target.id
}

fn names(instance: &Instance, prefix: &str) -> Vec<String> {
    let mut names: Vec<String> = instance.variables.iter().map(|v| v.name.clone()).filter(|n| n.starts_with(prefix)).collect();
    names.sort();
    names
}

/// Pairs of scopes to map, as far as the plan stays valid with them.
fn with_scopes(source: &ProcessDefinition, target: &ProcessDefinition, wanted: &[(usize, usize)]) -> MigrationPlan {
    let mut scopes: Vec<(String, String)> = vec![];
    for (from, to) in wanted {
        scopes.push((format!("s{from}"), format!("u{to}")));
        if !validate_plan(&plan(source, target, &scopes), source, target).is_empty() {
            scopes.pop();
        }
    }
    plan(source, target, &scopes)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_lost_and_all_is_the_targets(
        before in nesting(),
        after in nesting(),
        wanted in proptest::collection::vec((0..SCOPES, 0..SCOPES), 0..4),
    ) {
        let (source, target) = (model("v1", "s", &before), model("v2", "u", &after));
        let instance = started(&source);
        prop_assert_eq!(check(&instance, &source), Vec::<String>::new());
        let plan = with_scopes(&source, &target, &wanted);
        let moved = migrated(instance.clone(), &source, &target, &plan).unwrap();
        prop_assert_eq!(check(&moved, &target), Vec::<String>::new());
        prop_assert!(refers_only_to(&moved, &target), "{:#?}", moved);

        let ids = |i: &Instance| { let mut ids: Vec<String> = i.tasks.iter().map(|t| t.id.clone()).collect(); ids.sort(); ids };
        prop_assert_eq!(ids(&moved), ids(&instance));
        prop_assert_eq!(names(&moved, "own"), names(&instance, "own"));
        prop_assert_eq!(names(&moved, "p"), names(&instance, "p"));
        // A variable of a token goes only with the scope that it was set in: where the task was alone, and no scope itself.
        for variable in instance.variables.iter().filter(|v| v.name.starts_with("token")) {
            let on = instance.execution(&variable.execution_id).unwrap();
            let vanishes = on.scope.as_ref().is_some_and(|p| p.activity_id.starts_with('s')
                && !plan.instructions.iter().any(|i| i.source_activity_id.as_ref() == Some(&p.activity_id)));
            prop_assert_eq!(moved.variables.iter().any(|v| v.id == variable.id), !vanishes, "{}", &variable.name);
        }
        // One subscription for each boundary event of the target; a kept one keeps its id.
        for ix in 0..TASKS {
            let of = |i: &Instance| i.subscriptions.iter().find(|s| s.activity_id == format!("b{ix}")).map(|s| s.id.clone());
            prop_assert_eq!(of(&moved).is_some(), after.boundary[ix]);
            if before.boundary[ix] && after.boundary[ix] {
                prop_assert_eq!(of(&moved), of(&instance));
            }
        }
    }

    #[test]
    fn there_and_back_is_where_it_was(before in nesting(), after in nesting()) {
        let (source, target) = (model("v1", "s", &before), model("v2", "u", &after));
        let instance = started(&source);
        let there = migrated(instance.clone(), &source, &target, &plan(&source, &target, &[])).unwrap();
        let back = migrated(there, &target, &source, &plan(&target, &source, &[])).unwrap();
        prop_assert_eq!(check(&back, &source), Vec::<String>::new());
        prop_assert_eq!(shape(&activity_tree(&back, &source)), shape(&activity_tree(&instance, &source)));
    }

    #[test]
    fn the_identity_plan_changes_only_ids_of_definitions(nesting in nesting()) {
        let (source, target) = (model("v1", "s", &nesting), model("v2", "s", &nesting));
        let instance = started(&source);
        let scopes: Vec<_> = (0..SCOPES).map(|ix| (format!("s{ix}"), format!("s{ix}"))).collect();
        let moved = migrated(instance.clone(), &source, &target, &plan(&source, &target, &scopes)).unwrap();
        let runtime = |i: &Instance| {
            let mut i = i.clone();
            i.variables.iter_mut().for_each(|v| v.history_definition_id.clear());
            let variables = std::mem::take(&mut i.variables);
            (serde_json::to_string(&i).unwrap().replace("\"v1\"", "\"v2\"").replace("v1-deployment", "v2-deployment"), variables)
        };
        prop_assert_eq!(runtime(&moved), runtime(&instance));
    }
}
