//! Random processes, random commands: the tree's rules hold after each (the runner checks them itself), and no token is lost or
//! doubled: what is left always waits for something, and in the end each activity has run exactly as often as it should.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::bench::{Bench, flows};
use crate::process::history::Closed;
use crate::process::instance::SubscriptionKind;
use crate::runner::command::{Command, Modification};

/// A block: one way in, one way out.
#[derive(Clone, Debug)]
enum Block {
    Task {
        asynchronous: bool,
        boundary: bool,
    },
    Message,
    Loop {
        sequential: bool,
        times: usize,
    },
    Sub(Vec<Block>),
    Fork(Vec<Vec<Block>>),
    /// Only of the wild ones: what cancels, fires, undoes.
    Wild(Wild),
}

#[derive(Clone, Debug)]
enum Wild {
    External,
    EventGateway,
    /// A task with a handler that undoes it, and a boundary event with a task behind it.
    Undoable {
        cancels: bool,
    },
    Throw,
    Inclusive(Vec<Vec<Block>>),
    /// A subprocess with an event subprocess in it, which may end in an error that its boundary event catches.
    Guarded {
        inside: Vec<Block>,
        interrupts: bool,
        fails: bool,
        times: usize,
    },
}

fn block() -> impl Strategy<Value = Block> {
    let leaf = prop_oneof![
        3 => (any::<bool>(), any::<bool>()).prop_map(|(asynchronous, boundary)| Block::Task { asynchronous, boundary }),
        1 => Just(Block::Message),
        1 => (any::<bool>(), 1..3_usize).prop_map(|(sequential, times)| Block::Loop { sequential, times }),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let blocks = prop::collection::vec(inner, 1..3);
        prop_oneof![blocks.clone().prop_map(Block::Sub), prop::collection::vec(blocks, 2..4).prop_map(Block::Fork)]
    })
}

fn wild_block() -> impl Strategy<Value = Block> {
    let leaf = prop_oneof![
        2 => (any::<bool>(), any::<bool>()).prop_map(|(asynchronous, boundary)| Block::Task { asynchronous, boundary }),
        1 => (any::<bool>(), 1..3_usize).prop_map(|(sequential, times)| Block::Loop { sequential, times }),
        1 => prop_oneof![Just(Wild::External), Just(Wild::EventGateway), Just(Wild::Throw)].prop_map(Block::Wild),
        2 => any::<bool>().prop_map(|cancels| Block::Wild(Wild::Undoable { cancels })),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let blocks = prop::collection::vec(inner, 1..3);
        let branches = prop::collection::vec(blocks.clone(), 2..4);
        let guarded = (blocks.clone(), any::<bool>(), any::<bool>(), 0..3_usize)
            .prop_map(|(inside, interrupts, fails, times)| Block::Wild(Wild::Guarded { inside, interrupts, fails, times }));
        prop_oneof![
            1 => blocks.prop_map(Block::Sub),
            1 => branches.clone().prop_map(Block::Fork),
            1 => branches.prop_map(|b| Block::Wild(Wild::Inclusive(b))),
            3 => guarded,
        ]
    })
}

#[derive(Default)]
struct Writer {
    xml: String,
    pairs: String,
    count: usize,
    /// How often each activity should run.
    expected: BTreeMap<String, usize>,
}

impl Writer {
    fn add(&mut self, kind: &str, attributes: &str, inside: &str) -> String {
        self.count += 1;
        let id = format!("n{}", self.count);
        self.xml += &format!("<{kind} id='{id}' {attributes}>{inside}</{kind}>");
        self.expected.insert(id.clone(), 1);
        id
    }

    fn connect(&mut self, from: &str, to: &str) {
        self.pairs += &format!("{from}->{to} ");
    }

    /// Writes a block behind `from`; returns its end.
    fn block(&mut self, from: &str, block: &Block) -> String {
        match block {
            Block::Task { asynchronous, boundary } => {
                let id = self.add("userTask", if *asynchronous { "camunda:asyncBefore='true'" } else { "" }, "");
                if *boundary {
                    self.xml +=
                        &format!("<boundaryEvent id='b{id}' attachedToRef='{id}'><messageEventDefinition messageRef='N'/></boundaryEvent>");
                }
                self.connect(from, &id);
                id
            }
            Block::Message => {
                let id = self.add("intermediateCatchEvent", "", "<messageEventDefinition messageRef='M'/>");
                self.connect(from, &id);
                id
            }
            Block::Loop { sequential, times } => {
                let inside = format!(
                    "<multiInstanceLoopCharacteristics isSequential='{sequential}'><loopCardinality>{times}</loopCardinality></multiInstanceLoopCharacteristics>"
                );
                let id = self.add("userTask", "", &inside);
                self.expected.insert(id.clone(), *times);
                self.connect(from, &id);
                id
            }
            Block::Sub(blocks) => {
                let mut inner = Self { count: self.count + 1, ..Self::default() };
                let id = format!("n{}", inner.count);
                let start = inner.add("startEvent", "", "");
                inner.blocks(&start, blocks);
                self.count = inner.count;
                self.expected.append(&mut inner.expected);
                self.expected.insert(id.clone(), 1);
                self.xml += &format!("<subProcess id='{id}'>{}{}</subProcess>", inner.xml, flows(&inner.pairs));
                self.connect(from, &id);
                id
            }
            Block::Fork(branches) => {
                let fork = self.add("parallelGateway", "", "");
                self.connect(from, &fork);
                let ends: Vec<String> = branches.iter().map(|blocks| self.blocks(&fork, blocks)).collect();
                let join = self.add("parallelGateway", "", "");
                self.expected.insert(join.clone(), ends.len());
                ends.iter().for_each(|end| self.connect(end, &join));
                join
            }
            Block::Wild(wild) => self.wild(from, wild),
        }
    }

    fn wild(&mut self, from: &str, wild: &Wild) -> String {
        match wild {
            Wild::External => {
                let id = self.add("serviceTask", "camunda:type='external' camunda:topic='t'", "");
                self.connect(from, &id);
                id
            }
            Wild::EventGateway => {
                let gateway = self.add("eventBasedGateway", "", "");
                self.connect(from, &gateway);
                let timer = "<timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition>";
                let events = [timer, "<messageEventDefinition messageRef='M'/>"].map(|e| self.add("intermediateCatchEvent", "", e));
                let join = self.add("exclusiveGateway", "", "");
                for event in events {
                    self.connect(&gateway, &event);
                    self.connect(&event, &join);
                }
                let next = self.add("manualTask", "", "");
                self.connect(&join, &next);
                next
            }
            Wild::Undoable { cancels } => {
                let id = self.add("userTask", "", "");
                self.xml += &format!(
                    "<boundaryEvent id='b{id}' attachedToRef='{id}' cancelActivity='{cancels}'><signalEventDefinition signalRef='S'/></boundaryEvent>\
                     <userTask id='a{id}'/><boundaryEvent id='u{id}' attachedToRef='{id}'><compensateEventDefinition/></boundaryEvent>\
                     <userTask id='h{id}' isForCompensation='true'/><association id='x{id}' associationDirection='One' sourceRef='u{id}' targetRef='h{id}'/>"
                );
                self.connect(&format!("b{id}"), &format!("a{id}"));
                self.connect(from, &id);
                id
            }
            Wild::Throw => {
                let id = self.add("intermediateThrowEvent", "", "<compensateEventDefinition/>");
                self.connect(from, &id);
                id
            }
            Wild::Inclusive(branches) => {
                let fork = self.add("inclusiveGateway", "", "");
                self.connect(from, &fork);
                let ends: Vec<String> = branches.iter().map(|blocks| self.blocks(&fork, blocks)).collect();
                let join = self.add("inclusiveGateway", "", "");
                ends.iter().for_each(|end| self.connect(end, &join));
                join
            }
            Wild::Guarded { inside, interrupts, fails, times } => self.guarded(from, inside, *interrupts, *fails, *times),
        }
    }

    fn guarded(&mut self, from: &str, inside: &[Block], interrupts: bool, fails: bool, times: usize) -> String {
        let mut inner = Self { count: self.count + 1, ..Self::default() };
        let id = format!("n{}", inner.count);
        let start = inner.add("startEvent", "", "");
        inner.blocks(&start, inside);
        self.count = inner.count;
        self.expected.append(&mut inner.expected);
        let end = if fails { "<errorEventDefinition errorRef='E'/>" } else { "" };
        let loops = match times {
            0 => String::new(),
            n => format!("<multiInstanceLoopCharacteristics><loopCardinality>{n}</loopCardinality></multiInstanceLoopCharacteristics>"),
        };
        self.xml += &format!(
            "<subProcess id='{id}'>{loops}{}{}<subProcess id='e{id}' triggeredByEvent='true'>\
             <startEvent id='s{id}' isInterrupting='{interrupts}'><messageEventDefinition messageRef='N'/></startEvent><userTask id='t{id}'/>\
             <endEvent id='z{id}'>{end}</endEvent>{}</subProcess></subProcess>\
             <boundaryEvent id='b{id}' attachedToRef='{id}'><errorEventDefinition errorRef='E'/></boundaryEvent>",
            inner.xml,
            flows(&inner.pairs),
            flows(&format!("s{id}->t{id} t{id}->z{id}"))
        );
        self.connect(from, &id);
        id
    }

    fn blocks(&mut self, from: &str, blocks: &[Block]) -> String {
        blocks.iter().fold(from.to_owned(), |at, block| self.block(&at, block))
    }
}

fn written(blocks: &[Block]) -> Writer {
    let mut writer = Writer::default();
    let start = writer.add("startEvent", "", "");
    writer.blocks(&start, blocks);
    writer.xml += &flows(&writer.pairs);
    writer
}

/// Everything that one can do to what waits: tasks, messages (not the boundary ones), jobs.
fn possible(bench: &Bench, boundary_too: bool) -> Vec<Command> {
    let i = &bench.instance;
    let tasks = i.tasks.iter().map(|t| Command::CompleteTask { task_id: t.id.clone(), variables: vec![] });
    let waiting = i.subscriptions.iter().filter(|s| s.kind != SubscriptionKind::Compensate);
    let waiting = waiting.filter(|s| boundary_too || !s.activity_id.starts_with('b'));
    let events = waiting.map(|s| Command::Deliver { subscription_id: s.id.clone(), variables: vec![], local_variables: vec![] });
    let external = i.external_tasks.iter();
    let external = external.map(|t| Command::CompleteExternalTask { id: t.id.clone(), variables: vec![], local_variables: vec![] });
    let jobs = i.jobs.iter().map(|j| Command::ExecuteJob { job_id: j.id.clone() });
    tasks.chain(events).chain(external).chain(jobs).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_activity_runs_as_often_as_it_should(blocks in prop::collection::vec(block(), 1..4), choices in prop::collection::vec(0..1000_usize, 60)) {
        let writer = written(&blocks);
        let mut bench = Bench::started(&writer.xml);
        let mut choices = choices.into_iter().cycle();
        for _ in 0..500 {
            if bench.ended {
                break;
            }
            let commands = possible(&bench, false);
            prop_assert!(!commands.is_empty(), "stuck at {}", bench.tree());
            let chosen = choices.next().unwrap_or(0) % commands.len();
            bench.run(commands[chosen].clone()).map_err(|r| TestCaseError::fail(r.to_string()))?;
        }
        prop_assert!(bench.ended, "not ended: {}", bench.tree());
        for (activity, times) in &writer.expected {
            prop_assert_eq!(bench.times(activity), *times, "{} in {}", activity, writer.xml);
        }
        let canceled = bench.closed.iter().any(|c| matches!(c, Closed::Activity { canceled: true, .. }));
        prop_assert!(!canceled, "something was cancelled");
    }

    #[test]
    fn the_rules_hold_whatever_is_done(blocks in prop::collection::vec(wild_block(), 1..4), choices in prop::collection::vec((0..1000_usize, 0..12_u8), 40)) {
        let writer = written(&blocks);
        let mut bench = Bench::started(&writer.xml);
        for (choice, what) in choices {
            if bench.ended {
                break;
            }
            let open: Vec<String> = bench.instance.open.iter().map(|o| o.id.clone()).collect();
            let activities: Vec<&String> = writer.expected.keys().collect();
            match what {
                0 if !open.is_empty() => {
                    bench.modify(vec![Modification::CancelActivityInstance(open[choice % open.len()].clone())]).ok();
                }
                1 => {
                    bench.before(activities[choice % activities.len()]).ok();
                }
                _ => {
                    let commands = possible(&bench, true);
                    if let Some(command) = commands.get(choice % commands.len().max(1)) {
                        bench.run(command.clone()).map_err(|r| TestCaseError::fail(r.to_string()))?;
                    }
                }
            }
        }
    }
}
