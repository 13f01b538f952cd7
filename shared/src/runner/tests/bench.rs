//! A small bench: one instance of one process, commands by names of activities.

use crate::process::Ids;
use crate::process::definition::ProcessDefinition;
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::process::parse::parse;
use crate::process::tree::{ActivityNode, activity_tree};
use crate::process::value::TypedValue;
use crate::runner::command::{Command, Modification, StartInstruction, StartKind, VariableScope};
use crate::runner::{Cx, NoJobDefinitions, Refusal, Request, run};

pub const NOW: i64 = 1_700_000_000_000;

#[derive(Default)]
pub struct Counter(u32);

impl Ids for Counter {
    fn next(&mut self) -> String {
        self.0 += 1;
        format!("id{}", self.0)
    }
}

pub struct Bench {
    pub definition: ProcessDefinition,
    pub instance: Instance,
    pub ended: bool,
    pub closed: Vec<Closed>,
    pub requests: Vec<Request>,
    ids: Counter,
}

/// A definition from what is inside of its `process` element.
pub fn definition(inside: &str) -> ProcessDefinition {
    let xml = format!(
        "<definitions xmlns=\"http://www.omg.org/spec/BPMN/20100524/MODEL\" xmlns:camunda=\"http://camunda.org/schema/1.0/bpmn\">\
         <message id=\"M\" name=\"m\"/><message id=\"N\" name=\"n\"/><signal id=\"S\" name=\"s\"/>\
         <error id=\"E\" errorCode=\"e\"/><escalation id=\"X\" escalationCode=\"x\"/>\
         <process id=\"p\" isExecutable=\"true\" camunda:historyTimeToLive=\"1\">{inside}</process></definitions>"
    );
    let mut found = parse(&xml).unwrap_or_else(|e| panic!("{e:?}\n{xml}"));
    let mut definition = found.remove(0);
    definition.id = "p:1:id".into();
    for job in &mut definition.job_definitions {
        job.id = format!("jd-{}-{}", job.activity_id, job.configuration);
    }
    definition
}

/// `a->b` for each flow, with ids `a_b`.
pub fn flows(pairs: &str) -> String {
    let flow = |pair: &str| {
        let (from, to) = pair.split_once("->").expect("a pair");
        format!("<sequenceFlow id=\"{from}_{to}\" sourceRef=\"{from}\" targetRef=\"{to}\"/>")
    };
    pairs.split_whitespace().map(flow).collect()
}

impl Bench {
    pub fn new(inside: &str) -> Self {
        let instance = Instance { id: "pi".into(), ..Instance::default() };
        Self { definition: definition(inside), instance, ended: false, closed: vec![], requests: vec![], ids: Counter::default() }
    }

    pub fn started(inside: &str) -> Self {
        let mut bench = Self::new(inside);
        bench.start(&[]).expect("it starts");
        bench
    }

    pub fn run(&mut self, command: Command) -> Result<(), Refusal> {
        let mut cx =
            Cx { definition: &self.definition, now: NOW, ids: &mut self.ids, job_definitions: &NoJobDefinitions, default_retries: 3 };
        let ran = run(self.instance.clone(), command, &mut cx)?;
        self.instance = ran.instance;
        self.ended = ran.ended;
        self.closed.extend(ran.closed);
        self.requests.extend(ran.requests);
        Ok(())
    }

    pub fn start(&mut self, variables: &[(&str, TypedValue)]) -> Result<(), Refusal> {
        let variables = variables.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
        let (skip_custom_listeners, skip_io_mappings) = (false, false);
        self.run(Command::Start { variables, instructions: vec![], start_event: None, skip_custom_listeners, skip_io_mappings })
    }

    pub fn modify(&mut self, instructions: Vec<Modification>) -> Result<(), Refusal> {
        self.run(Command::Modify { instructions, skip_custom_listeners: false, skip_io_mappings: false })
    }

    pub fn before(&mut self, activity: &str) -> Result<(), Refusal> {
        let start = StartInstruction {
            kind: StartKind::BeforeActivity,
            target: activity.into(),
            ancestor_activity_instance: None,
            variables: vec![],
        };
        self.modify(vec![Modification::Start(start)])
    }

    pub fn complete(&mut self, key: &str) {
        let task = self.instance.tasks.iter().find(|t| t.task_definition_key == key);
        let task_id = task.unwrap_or_else(|| panic!("no task {key} in {}", self.tree())).id.clone();
        self.run(Command::CompleteTask { task_id, variables: vec![] }).expect("the task completes");
    }

    pub fn deliver(&mut self, activity: &str) {
        let found = self.instance.subscriptions.iter().find(|s| s.activity_id == activity);
        let subscription_id = found.unwrap_or_else(|| panic!("nothing waits at {activity} in {}", self.tree())).id.clone();
        self.run(Command::Deliver { subscription_id, variables: vec![], local_variables: vec![] }).expect("it is delivered");
    }

    pub fn job(&mut self, activity: &str) -> Result<(), Refusal> {
        let job_id = self.instance.jobs.iter().find(|j| j.activity_id == activity).expect("a job").id.clone();
        self.run(Command::ExecuteJob { job_id })
    }

    pub fn set(&mut self, name: &str, value: TypedValue) {
        let scope = VariableScope::Execution("pi".into());
        self.run(Command::SetVariables { scope, variables: vec![(name.into(), value)], local: false }).expect("it is set");
    }

    pub fn variable(&self, name: &str) -> Option<&TypedValue> {
        self.instance.variables.iter().find(|v| v.name == name).map(|v| &v.value)
    }

    /// The activity-instance tree in one line: `p(a sub(b c) [parked])`.
    pub fn tree(&self) -> String {
        if self.ended {
            return "ended".into();
        }
        let node = activity_tree(&self.instance, &self.definition);
        let mut text = print(&node);
        text.replace_range(0..self.definition.id.len(), "p");
        text
    }

    /// How often activities of this id have ended.
    pub fn times(&self, activity: &str) -> usize {
        self.closed.iter().filter(|c| matches!(c, Closed::Activity { record, .. } if record.activity_id == activity)).count()
    }
}

fn print(node: &ActivityNode) -> String {
    let mut parts: Vec<String> = node.children.iter().map(print).collect();
    parts.extend(node.transitions.iter().map(|t| format!("[{}]", t.activity_id)));
    parts.sort();
    if parts.is_empty() { node.activity_id.clone() } else { format!("{}({})", node.activity_id, parts.join(" ")) }
}

/// Does these steps one after the other, and compares the tree after each. A step: `task`, `!event` (delivered),
/// `@job` (executed), or nothing for the start.
pub fn check(inside: &str, steps: &[(&str, &str)]) -> Bench {
    let mut bench = Bench::new(inside);
    for (step, expect) in steps {
        match step.chars().next() {
            None => bench.start(&[]).expect("it starts"),
            Some('!') => bench.deliver(&step[1..]),
            Some('@') => bench.job(&step[1..]).expect("the job runs"),
            Some(_) => bench.complete(step),
        }
        assert_eq!(bench.tree(), *expect, "after {step:?}");
    }
    bench
}
