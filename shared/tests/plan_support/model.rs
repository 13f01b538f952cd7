//! Random models, and random edits of them: small trees of everything that a plan can map.

use std::fmt::Write as _;

use proptest::prelude::*;

/// What may be drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Shape {
    UserTask,
    Receive,
    ReceiveMessage,
    External,
    Script,
    Call,
    Parallel,
    Inclusive,
    CatchTimer,
    CatchMessage,
    CatchConditional,
    Throw,
    Sub,
    Transaction,
    EventSub(Trigger),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Trigger {
    Message,
    Signal,
    Timer,
    Error,
    Escalation,
    Conditional,
}

const TRIGGERS: [Trigger; 6] =
    [Trigger::Message, Trigger::Signal, Trigger::Timer, Trigger::Error, Trigger::Escalation, Trigger::Conditional];

#[derive(Clone, Debug)]
pub struct Element {
    pub id: u16,
    pub shape: Shape,
    /// None, or whether its instances run in sequence.
    pub multi: Option<bool>,
    pub is_async: bool,
    pub boundary: Vec<(u16, Trigger)>,
    pub children: Vec<Element>,
}

/// One change: where in the tree, what, and with what.
pub type Edit = (u16, u8, u8);

impl Shape {
    fn of(n: u8) -> Self {
        let trigger = TRIGGERS[usize::from(n / 16) % TRIGGERS.len()];
        match n % 16 {
            0 | 1 => Self::UserTask,
            2 => Self::Receive,
            3 => Self::ReceiveMessage,
            4 => Self::External,
            5 => Self::Script,
            6 => Self::Call,
            7 => Self::Parallel,
            8 => Self::Inclusive,
            9 => Self::CatchTimer,
            10 => Self::CatchMessage,
            11 => Self::CatchConditional,
            12 => Self::Throw,
            13 => Self::Sub,
            14 => Self::Transaction,
            _ => Self::EventSub(trigger),
        }
    }

    fn holds_others(self) -> bool {
        matches!(self, Self::Sub | Self::Transaction | Self::EventSub(_))
    }

    /// May it be multi-instance and have boundary events?
    fn is_activity(self) -> bool {
        !matches!(
            self,
            Self::Parallel
                | Self::Inclusive
                | Self::CatchTimer
                | Self::CatchMessage
                | Self::CatchConditional
                | Self::Throw
                | Self::EventSub(_)
        )
    }
}

/// A process of a few elements, two levels of subprocesses deep at most; ids are unique.
pub fn elements() -> impl Strategy<Value = Vec<Element>> {
    let leaf = (any::<u8>(), prop::option::weighted(0.25, any::<bool>()), any::<bool>(), prop::collection::vec(any::<u8>(), 0..3))
        .prop_map(|(shape, multi, is_async, boundary)| {
            let boundary = boundary.into_iter().map(|t| (0, TRIGGERS[usize::from(t) % TRIGGERS.len()])).collect();
            Element { id: 0, shape: Shape::of(shape), multi, is_async, boundary, children: vec![] }
        });
    let tree = leaf.prop_recursive(2, 16, 4, |inner| {
        (inner.clone(), prop::collection::vec(inner, 0..4)).prop_map(|(mut outer, children)| {
            if !outer.shape.holds_others() {
                outer.shape = Shape::Sub;
            }
            outer.children = children;
            outer
        })
    });
    prop::collection::vec(tree, 1..5).prop_map(|mut elements| {
        let mut next = 0;
        number(&mut elements, &mut next);
        elements
    })
}

fn number(elements: &mut [Element], next: &mut u16) {
    for element in elements {
        *next += 1;
        element.id = *next;
        for (id, _) in &mut element.boundary {
            *next += 1;
            *id = *next;
        }
        number(&mut element.children, next);
    }
}

/// The model after some changes. Ids of what is new are above all others.
pub fn edited(mut elements: Vec<Element>, edits: &[Edit]) -> Vec<Element> {
    let mut fresh = 10_000;
    for (place, how, with) in edits {
        let count = size(&elements);
        if count > 0 {
            let mut left = usize::from(*place) % count;
            apply(&mut elements, &mut left, *how, *with, &mut fresh);
        }
    }
    elements
}

fn size(elements: &[Element]) -> usize {
    elements.iter().map(|e| 1 + size(&e.children)).sum()
}

/// Changes the element `left` places on in the order of the text; true once that is done.
fn apply(elements: &mut Vec<Element>, left: &mut usize, how: u8, with: u8, fresh: &mut u16) -> bool {
    for at in 0..elements.len() {
        if *left == 0 {
            change(elements, at, how, with, fresh);
            return true;
        }
        *left -= 1;
        if apply(&mut elements[at].children, left, how, with, fresh) {
            return true;
        }
    }
    false
}

fn change(elements: &mut Vec<Element>, at: usize, how: u8, with: u8, fresh: &mut u16) {
    *fresh += 1;
    let element = &mut elements[at];
    match how % 10 {
        0 => {
            element.shape = Shape::of(with);
            if !element.shape.holds_others() {
                element.children.clear();
            }
        }
        1 => {
            elements.remove(at);
        }
        2 => {
            let inner = elements.remove(at);
            let outer = Element { id: *fresh, shape: Shape::Sub, multi: None, is_async: false, boundary: vec![], children: vec![inner] };
            elements.insert(at, outer);
        }
        3 => element.id = *fresh,
        4 => element.multi = [None, Some(true), Some(false)][usize::from(with) % 3],
        5 => element.boundary.push((*fresh, TRIGGERS[usize::from(with) % TRIGGERS.len()])),
        6 => element.boundary.clear(),
        7 => {
            let outer = elements.remove(at);
            elements.splice(at..at, outer.children);
        }
        8 => {
            for (_, trigger) in &mut element.boundary {
                *trigger = TRIGGERS[usize::from(with) % TRIGGERS.len()];
            }
        }
        _ => element.is_async = !element.is_async,
    }
}

/// The model as a file. Every element but event subprocesses hangs at the start of its scope.
pub fn xml(elements: &[Element]) -> String {
    let mut text = String::from(
        "<definitions xmlns=\"http://www.omg.org/spec/BPMN/20100524/MODEL\" xmlns:c=\"http://camunda.org/schema/1.0/bpmn\">\
         <message id=\"m\" name=\"m\"/><signal id=\"s\" name=\"s\"/><error id=\"e\" errorCode=\"e\"/><escalation id=\"x\" escalationCode=\"x\"/>\
         <process id=\"p\" isExecutable=\"true\"><startEvent id=\"start\"/>",
    );
    write_all(&mut text, elements, "start");
    text.push_str("</process></definitions>");
    text
}

fn write_all(text: &mut String, elements: &[Element], start: &str) {
    for element in elements {
        write_one(text, element);
        if !matches!(element.shape, Shape::EventSub(_)) {
            let id = element.id;
            write!(text, "<sequenceFlow id=\"f{id}\" sourceRef=\"{start}\" targetRef=\"a{id}\"/>").expect("a String takes all");
        }
    }
}

fn write_one(text: &mut String, element: &Element) {
    let (tag, attributes, inside) = match element.shape {
        Shape::UserTask => ("userTask", "", ""),
        Shape::Receive => ("receiveTask", "", ""),
        Shape::ReceiveMessage => ("receiveTask", " messageRef=\"m\"", ""),
        Shape::External => ("serviceTask", " c:type=\"external\" c:topic=\"t\"", ""),
        Shape::Script => ("scriptTask", "", "<script>1</script>"),
        Shape::Call => ("callActivity", " calledElement=\"q\"", ""),
        Shape::Parallel => ("parallelGateway", "", ""),
        Shape::Inclusive => ("inclusiveGateway", "", ""),
        Shape::CatchTimer => ("intermediateCatchEvent", "", trigger(Trigger::Timer)),
        Shape::CatchMessage => ("intermediateCatchEvent", "", trigger(Trigger::Message)),
        Shape::CatchConditional => ("intermediateCatchEvent", "", trigger(Trigger::Conditional)),
        Shape::Throw => ("intermediateThrowEvent", "", ""),
        Shape::Sub => ("subProcess", "", ""),
        Shape::Transaction => ("transaction", "", ""),
        Shape::EventSub(_) => ("subProcess", " triggeredByEvent=\"true\"", ""),
    };
    let id = element.id;
    let flag = if element.is_async { " c:asyncBefore=\"true\"" } else { "" };
    write!(text, "<{tag} id=\"a{id}\"{attributes}{flag}>{inside}").expect("a String takes all");
    if let (Some(sequential), true) = (element.multi, element.shape.is_activity()) {
        let inner = "<loopCardinality>3</loopCardinality>";
        write!(text, "<multiInstanceLoopCharacteristics isSequential=\"{sequential}\">{inner}</multiInstanceLoopCharacteristics>")
            .expect("a String takes all");
    }
    if element.shape.holds_others() {
        let on = if let Shape::EventSub(t) = element.shape { trigger(t) } else { "" };
        write!(text, "<startEvent id=\"s{id}\">{on}</startEvent>").expect("a String takes all");
        write_all(text, &element.children, &format!("s{id}"));
    }
    write!(text, "</{tag}>").expect("a String takes all");
    if element.shape.is_activity() {
        for (boundary, t) in &element.boundary {
            write!(text, "<boundaryEvent id=\"b{boundary}\" attachedToRef=\"a{id}\">{}</boundaryEvent>", trigger(*t))
                .expect("a String takes all");
        }
    }
}

fn trigger(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Message => "<messageEventDefinition messageRef=\"m\"/>",
        Trigger::Signal => "<signalEventDefinition signalRef=\"s\"/>",
        Trigger::Timer => "<timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition>",
        Trigger::Error => "<errorEventDefinition errorRef=\"e\"/>",
        Trigger::Escalation => "<escalationEventDefinition escalationRef=\"x\"/>",
        Trigger::Conditional => "<conditionalEventDefinition><condition>${go}</condition></conditionalEventDefinition>",
    }
}
