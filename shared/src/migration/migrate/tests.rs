//! One instance, one plan, and the executions afterwards, in short form: `id scope|at(children)`, `*` for concurrent.

use super::super::{MigrationInstruction, MigrationPlan, NotMigrated, Skip, migrate};
use super::*;
use crate::process::definition::{EventDefinition, ProcessDefinition, ScopeRef, Work};
use crate::process::instance::{
    DOCUMENT_VERSION, Execution, ExternalTask, InstanceJob, JobHandler, OpenActivityInstance, Place, Subscription, SubscriptionKind, Task,
    Variable,
};
use crate::process::value::TypedValue;
use crate::process::{Ids, parse, stored, tree};
use crate::runner::NoJobDefinitions;

struct Counted(u32);

impl Ids for Counted {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("n{}", self.0)
    }
}

/// A process whose body is written in XML without its frame; `name` becomes its id and deployment.
fn model(name: &str, body: &str) -> ProcessDefinition {
    let xml = format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:c="http://camunda.org/schema/1.0/bpmn" targetNamespace="t">
           <message id="M" name="m"/><process id="p" isExecutable="true" c:historyTimeToLive="P1D"><startEvent id="start"/>{body}</process></definitions>"#
    );
    let mut definition = parse::parse(&xml).unwrap_or_else(|e| panic!("{e:?}")).remove(0);
    definition.id = name.into();
    definition.deployment_id = format!("{name}-deployment");
    for (ix, job_definition) in definition.job_definitions.iter_mut().enumerate() {
        job_definition.id = format!("{name}-jd{ix}");
    }
    definition
}

fn sub(id: &str, inside: &str) -> String {
    format!(r#"<subProcess id="{id}"><startEvent id="{id}S"/>{inside}</subProcess>"#)
}

fn task(id: &str) -> String {
    format!(r#"<userTask id="{id}"/>"#)
}

/// A boundary message event.
fn on(host: &str, id: &str) -> String {
    format!(r#"<boundaryEvent id="{id}" attachedToRef="{host}"><messageEventDefinition messageRef="M"/></boundaryEvent>"#)
}

/// An instance that waits as `at` says: activities separated by blanks, what is in a scope in parentheses after it,
/// `!` before an activity for a token parked before it.
struct Make<'a> {
    definition: &'a ProcessDefinition,
    instance: Instance,
    executions: u32,
    others: u32,
}

fn waiting(definition: &ProcessDefinition, at: &str) -> Instance {
    let instance = Instance {
        v: DOCUMENT_VERSION,
        id: "pi".into(),
        definition_id: definition.id.clone(),
        executions: vec![Execution { id: "pi".into(), is_scope: true, ..Execution::default() }],
        ..Instance::default()
    };
    let mut make = Make { definition, instance, executions: 0, others: 0 };
    make.triggers("pi", ScopeRef::Process);
    make.children("pi", "pi", at);
    let breaches = tree::check(&make.instance, definition);
    assert!(breaches.is_empty(), "{breaches:#?}");
    make.instance
}

/// Splits at blanks outside of parentheses.
fn split(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, vec![]);
    for (ix, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ' ' if depth == 0 => {
                parts.extend(Some(&text[start..ix]).filter(|p| !p.is_empty()));
                start = ix + 1;
            }
            _ => {}
        }
    }
    parts
}

impl Make<'_> {
    fn children(&mut self, scope: &str, scope_instance: &str, at: &str) {
        let parts = split(at);
        for part in &parts {
            let onto = if parts.len() > 1 { self.execution(scope, true) } else { scope.to_owned() };
            self.child(&onto, scope_instance, part);
        }
    }

    fn execution(&mut self, parent: &str, concurrent: bool) -> String {
        self.executions += 1;
        let id = format!("e{}", self.executions);
        let execution = Execution {
            id: id.clone(),
            parent: Some(parent.into()),
            is_concurrent: concurrent,
            is_scope: !concurrent,
            ..Execution::default()
        };
        self.instance.executions.push(execution);
        id
    }

    fn other(&mut self) -> String {
        self.others += 1;
        format!("x{}", self.others)
    }

    fn child(&mut self, onto: &str, parent: &str, part: &str) {
        let (name, inside) = part.split_once('(').map_or((part, None), |(n, rest)| (n, rest.strip_suffix(')')));
        let activity_id = name.trim_start_matches('!').to_owned();
        let ix = self.definition.find(&activity_id).unwrap();
        if name.starts_with('!') {
            self.instance.execution_mut(onto).unwrap().at = Some(Place { activity_id: activity_id.clone(), activity_instance_id: None });
            self.instance.execution_mut(onto).unwrap().is_active = true;
            let id = self.other();
            let configuration = "transition-create-scope".into();
            self.instance.jobs.push(InstanceJob { id, execution_id: onto.into(), configuration, activity_id, retries: 3, ..self.job() });
            return;
        }
        let id = format!("{activity_id}:{}", self.other());
        let place = Place { activity_id: activity_id.clone(), activity_instance_id: Some(id.clone()) };
        let is_scope = self.definition.activity(ix).is_scope;
        let own = if is_scope { self.execution(onto, false) } else { onto.to_owned() };
        let execution = self.instance.execution_mut(&own).unwrap();
        execution.scope = is_scope.then(|| place.clone()).or(execution.scope.take());
        if inside.is_none() {
            (execution.at, execution.is_active) = (Some(place), true);
        }
        let definition_id = self.definition.id.clone();
        self.instance.open.push(OpenActivityInstance {
            id: id.clone(),
            parent: Some(parent.into()),
            activity_id: activity_id.clone(),
            definition_id: definition_id.clone(),
            execution_id: own.clone(),
            ..OpenActivityInstance::default()
        });
        let (entity, execution_id) = (self.other(), own.clone());
        match self.definition.activity(ix).work {
            Work::UserTask(_) => self.instance.tasks.push(Task {
                id: entity,
                execution_id,
                activity_instance_id: id.clone(),
                task_definition_key: activity_id,
                definition_id,
                ..Task::default()
            }),
            Work::External(_) => self.instance.external_tasks.push(ExternalTask {
                id: entity,
                execution_id,
                activity_instance_id: id.clone(),
                activity_id,
                definition_id,
                ..ExternalTask::default()
            }),
            _ => {}
        }
        if is_scope {
            self.triggers(&own, ScopeRef::Activity(ix));
        }
        if let Some(inside) = inside {
            self.children(&own, &id, inside);
        }
    }

    fn job(&self) -> InstanceJob {
        InstanceJob {
            definition_id: self.definition.id.clone(),
            deployment_id: self.definition.deployment_id.clone(),
            ..InstanceJob::default()
        }
    }

    fn triggers(&mut self, execution: &str, scope: ScopeRef) {
        let events: Vec<_> = triggers::declared_on(self.definition, scope).collect();
        for event in events {
            let (id, activity) = (self.other(), self.definition.activity(event));
            let (execution_id, activity_id) = (execution.to_owned(), activity.id.clone());
            match activity.event {
                Some(EventDefinition::Message { .. }) => self.instance.subscriptions.push(Subscription {
                    id,
                    execution_id,
                    kind: SubscriptionKind::Message,
                    event_name: Some("m".into()),
                    activity_id,
                    ..Subscription::default()
                }),
                Some(EventDefinition::Timer(_)) => self.instance.jobs.push(InstanceJob {
                    id,
                    execution_id,
                    handler: JobHandler::TimerTransition,
                    configuration: activity_id.clone(),
                    activity_id,
                    due: Some(5),
                    ..self.job()
                }),
                _ => {}
            }
        }
    }
}

fn with_variable(mut instance: Instance, name: &str, execution: &str, value: &str) -> Instance {
    let concurrent_local = instance.execution(execution).is_some_and(|e| !e.is_scope);
    instance.variables.push(Variable {
        id: format!("v-{name}-{execution}"),
        name: name.into(),
        execution_id: execution.into(),
        task_id: None,
        definition_id: instance.definition_id.clone(),
        history_definition_id: instance.definition_id.clone(),
        created: 0,
        concurrent_local,
        value: TypedValue::string(value),
        other: Default::default(),
    });
    instance
}

fn plan(source: &ProcessDefinition, target: &ProcessDefinition, map: &str) -> MigrationPlan {
    let instruction = |pair: &str| {
        let (from, to) = pair.split_once('>').unwrap_or((pair, pair));
        MigrationInstruction::new(from, to, false)
    };
    MigrationPlan {
        source_definition_id: source.id.clone(),
        target_definition_id: target.id.clone(),
        instructions: map.split_whitespace().map(instruction).collect(),
        variables: None,
    }
}

fn migrated(instance: Instance, source: &ProcessDefinition, target: &ProcessDefinition, map: &str) -> Result<Migrated, NotMigrated> {
    let mut ids = Counted(0);
    let plan = plan(source, target, map);
    let (skip, job_definitions) = (Skip::default(), &NoJobDefinitions);
    let mut cx = MigrationCx { source, target, plan: &plan, skip, now: 7, ids: &mut ids, job_definitions, default_retries: 3 };
    let migrated = migrate(instance, &mut cx)?;
    let breaches = tree::check(&migrated.instance, target);
    assert!(breaches.is_empty(), "{breaches:#?}\n{:#?}", migrated.instance.executions);
    Ok(migrated)
}

fn show(instance: &Instance) -> String {
    fn one(instance: &Instance, e: &Execution) -> String {
        let mut text = format!("{}{}", e.id, if e.is_concurrent { "*" } else { "" });
        for (sign, place) in [("|", &e.scope), ("@", &e.at)] {
            if let Some(place) = place {
                text.push_str(&format!("{sign}{}", place.activity_id));
            }
        }
        let below: Vec<String> = instance.children_of(&e.id).map(|c| one(instance, c)).collect();
        if below.is_empty() { text } else { format!("{text}({})", below.join(" ")) }
    }
    one(instance, instance.root())
}

/// Migrates what waits at `at` and shows its executions before and after.
fn check(source: &str, at: &str, target: &str, map: &str, before: &str, after: &str) {
    let (source, target) = (model("v1", source), model("v2", target));
    let instance = waiting(&source, at);
    assert_eq!(show(&instance), before);
    let migrated = migrated(instance, &source, &target, map).unwrap();
    assert_eq!(show(&migrated.instance), after);
}

fn refused(source: &str, at: &str, target: &str, map: &str) -> String {
    let (source, target) = (model("v1", source), model("v2", target));
    match migrated(waiting(&source, at), &source, &target, map) {
        Err(NotMigrated::Invalid(report)) => report.message(),
        Err(NotMigrated::Refused(refusal)) => refusal.message,
        Ok(migrated) => panic!("it was migrated: {}", show(&migrated.instance)),
    }
}

#[test]
fn re_pointing_moves_no_execution() {
    check(&task("a"), "a", &task("b"), "a>b", "pi@a", "pi@b");
    check(&sub("s", &task("a")), "s(a)", &sub("z", &task("b")), "s>z a>b", "pi(e1|s@a)", "pi(e1|z@b)");
    let two = task("a") + &task("b");
    check(&two, "a b", &two, "a>b b>a", "pi(e1*@a e2*@b)", "pi(e1*@b e2*@a)");
}

#[test]
fn a_scope_that_is_not_mapped_vanishes_and_leaves_its_children() {
    check(&sub("s", &task("a")), "s(a)", &task("a"), "a", "pi(e1|s@a)", "pi@a");
    let host = task("a") + &on("a", "e");
    check(&sub("s", &host), "s(a)", &host, "a e", "pi(e1|s(e2|a@a))", "pi(e2|a@a)");
    let nested = sub("o", &sub("s", &task("a")));
    check(&nested, "o(s(a))", &sub("o", &task("a")), "o a", "pi(e1|o(e2|s@a))", "pi(e1|o@a)");
    check(&nested, "o(s(a))", &sub("s", &task("a")), "s a", "pi(e1|o(e2|s@a))", "pi(e2|s@a)");
}

#[test]
fn a_scope_of_the_target_comes_into_being() {
    check(&task("a"), "a", &sub("s", &task("a")), "a", "pi@a", "pi(n3|s@a)");
    let host = task("a") + &on("a", "e");
    check(&host, "a", &sub("s", &host), "a e", "pi(e1|a@a)", "pi(n3|s(e1|a@a))");
    let inner = sub("s", &task("a"));
    check(&inner, "s(a)", &sub("o", &inner), "s a", "pi(e1|s@a)", "pi(n3|o(e1|s@a))");
    check(&inner, "s(a)", &sub("s", &sub("i", &task("a"))), "s a", "pi(e1|s@a)", "pi(e1|s(n3|i@a))");
}

#[test]
fn children_of_one_parent_share_a_new_scope_and_never_a_siblings() {
    let two = task("a") + &task("b");
    check(&two, "a b", &sub("s", &two), "a b", "pi(e1*@a e2*@b)", "pi(n2|s(n4*@a n5*@b))");
    let beside = sub("s", &task("a")) + &task("b");
    check(&beside, "s(a) b", &sub("s", &two), "s a b", "pi(e1*(e2|s@a) e3*@b)", "pi(e1*(e2|s@a) n1*(n2|s@b))");
}

#[test]
fn tokens_that_move_up_keep_a_place_each() {
    let two = task("a") + &task("b");
    check(&sub("s", &two), "s(a b)", &two, "a b", "pi(e1|s(e2*@a e3*@b))", "pi(n1*@a n2*@b)");
    let parked = r#"<userTask id="a" c:asyncBefore="true"/><userTask id="b" c:asyncBefore="true"/>"#;
    check(&sub("s", parked), "s(!a !b)", parked, "a b", "pi(e1|s(e2*@a e3*@b))", "pi(n1*@a n2*@b)");
}

#[test]
fn a_leaf_becomes_a_scope_and_no_longer_is_one() {
    check(&task("a"), "a", &(task("a") + &on("a", "e")), "a", "pi@a", "pi(n1|a@a)");
    check(&(task("a") + &on("a", "e")), "a", &task("a"), "a", "pi(e1|a@a)", "pi@a");
    let two = |event: &str| task("a") + event + &task("b");
    check(&two(&on("a", "e")), "a b", &two(""), "a b", "pi(e1*(e2|a@a) e3*@b)", "pi(e1*@a e3*@b)");
    check(&two(""), "a b", &two(&on("a", "e")), "a b", "pi(e1*@a e2*@b)", "pi(e1*(n1|a@a) e2*@b)");
}

#[test]
fn a_suspended_instance_takes_in_no_new_scope() {
    let (source, target) = (model("v1", &task("a")), model("v2", &sub("s", &task("a"))));
    let instance = Instance { suspended: true, ..waiting(&source, "a") };
    let Err(NotMigrated::Refused(refusal)) = migrated(instance, &source, &target, "a") else { panic!("it was migrated") };
    assert_eq!(
        (refusal.kind, refusal.message.as_str()),
        ("SuspendedEntityInteractionException", "ENGINE-03043 Execution with id 'n2' is suspended.")
    );
}

#[test]
fn what_belongs_to_a_leaf_goes_where_it_goes() {
    let source = model("v1", &sub("s", &(task("a") + &on("a", "e"))));
    let target = model("v2", &task("a"));
    let instance = with_variable(waiting(&source, "s(a)"), "x", "e2", "own");
    let instance = with_variable(with_variable(instance, "y", "e1", "of the subprocess"), "x", "pi", "of the process");
    let after = migrated(instance, &source, &target, "a").unwrap().instance;
    let task = &after.tasks[0];
    assert_eq!((task.execution_id.as_str(), task.definition_id.as_str()), ("pi", "v2"));
    // The moved value wins, the record of the receiving scope stays (FINDINGS 32).
    let left: Vec<_> = after.variables.iter().map(|v| (v.id.as_str(), v.value.value.as_str().unwrap())).collect();
    assert_eq!(left, [("v-x-pi", "own")]);
    assert!(after.subscriptions.is_empty());
    let open: Vec<_> = after.open.iter().map(|o| (o.activity_id.as_str(), o.parent.as_deref(), o.execution_id.as_str())).collect();
    assert_eq!(open, [("a", Some("pi"), "pi")]);
}

#[test]
fn every_failure_is_reported() {
    let text = refused(&(task("a") + &task("b")), "a b", &task("a"), "");
    assert_eq!(text.matches("There is no migration instruction for this instance's activity").count(), 2, "{text}");
    let parked = r#"<userTask id="a" c:asyncBefore="true"/>"#;
    assert!(
        refused(parked, "!a", &task("a"), "a")
            .contains("\tCannot migrate transition instance 'pi':\n\t\tTarget activity is not asyncBefore\n")
    );
}

#[test]
fn the_variable_that_would_be_overwritten_is_named() {
    let (source, target) = (model("v1", &(task("a") + &on("a", "e") + &task("b"))), model("v2", &(task("a") + &task("b"))));
    let instance = with_variable(with_variable(waiting(&source, "a b"), "foo", "e1", "outer"), "foo", "e2", "own");
    let Err(NotMigrated::Invalid(report)) = migrated(instance, &source, &target, "a b") else { panic!("it was migrated") };
    assert!(report.message().contains("The variable 'foo' exists in both"), "{}", report.message());
    assert_eq!(report.reason_key(), "ENGINE-23004:a:variable-collision");
}

#[test]
fn definition_and_tenant_are_looked_at_first() {
    let (source, mut target) = (model("v1", &task("a")), model("v2", &task("a")));
    let other = Instance { definition_id: "v0".into(), ..waiting(&source, "a") };
    let message = |result: Result<Migrated, NotMigrated>| match result {
        Err(NotMigrated::Refused(refusal)) => refusal.message,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        message(migrated(other, &source, &target, "a")),
        "ENGINE-23002 Process instance 'pi' cannot be migrated. Its process definition 'v0' does not match the source process definition \
         of the migration plan 'v1'"
    );
    target.tenant_id = Some("t2".into());
    assert_eq!(
        message(migrated(waiting(&source, "a"), &source, &target, "a")),
        "ENGINE-23010 Cannot migrate process instance 'pi' without tenant to a process definition with a tenant ('t2')"
    );
    let own = Instance { tenant_id: Some("t1".into()), ..waiting(&source, "a") };
    assert_eq!(
        message(migrated(own, &source, &target, "a")),
        "ENGINE-23010 Cannot migrate process instance 'pi' to a process definition of a different tenant ('t1' != 't2')"
    );
}

#[test]
fn the_identity_plan_changes_only_ids_of_definitions() {
    let body = sub("s", &(task("a") + &on("a", "e") + &task("b"))) + &task("c");
    let (source, target) = (model("v1", &body), model("v2", &body));
    let before = with_variable(waiting(&source, "s(a b) c"), "x", "pi", "1");
    let after = migrated(before.clone(), &source, &target, "s a e b c").unwrap().instance;
    let text = |i: &Instance| serde_json::to_string(i).unwrap().replace("\"v1", "\"v2");
    // Names and types of the open history are the target's; the runtime record of a variable keeps its definition.
    let blank = |mut i: Instance| {
        for open in &mut i.open {
            (open.activity_name, open.activity_type) = (None, String::new());
        }
        i
    };
    assert_eq!(text(&blank(after)), text(&blank(before)));
}

#[test]
fn what_is_stored_of_an_instance_stays_the_same_when_each_activity_does() {
    // Long enough to be told from other words.
    let name = |version: u32| format!("order:{version}:01a22be5-aaf0-7043-925d-721600000000");
    let body = task("a") + &on("a", "e");
    let (first, second, third) = (model(&name(1), &body), model(&name(2), &body), model(&name(3), &task("renamed")));
    let text = |i: &Instance| stored::write(i).unwrap();
    let begun = with_variable(waiting(&first, "a"), "x", "pi", "1");
    // What the history says of an activity is written once it has been migrated.
    let once = migrated(begun, &first, &second, "a e").unwrap().instance;
    let again = migrated(once.clone(), &second, &first, "a e").unwrap().instance;
    assert_ne!(again.definition_id, once.definition_id);
    assert_eq!(text(&again), text(&once));
    assert_ne!(text(&migrated(again, &first, &third, "a>renamed").unwrap().instance), text(&once));
}
