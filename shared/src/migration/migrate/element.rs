//! What a migration moves: activity instances, transition instances, and the memories kept for compensation, as one
//! tree over the instance's document (spec-migration §6.1).
//!
//! Elements name executions by id, and everything else by its place in the document, which nothing shifts while a
//! migration runs: what goes is marked in [`Gone`] and taken out at the end.

use crate::process::definition::{ActivityIx, ProcessDefinition, ScopeRef};
use crate::process::instance::Instance;

/// Place of an element in [`Elements::all`].
pub type ElementIx = usize;

/// A scope and the definition that it is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Source(ScopeRef),
    Target(ScopeRef),
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// An activity instance, the process instance included.
    Activity,
    /// A token parked at this async job.
    Transition { job: usize },
    /// An event scope: what is kept of a completed scope, with the subscription that stands for it.
    Memory(Handler),
    /// A subscription for the handler of a completed activity.
    Handler(Handler),
}

/// A compensate subscription and the handler it is for.
#[derive(Clone, Debug)]
pub struct Handler {
    pub subscription: usize,
    /// None for one that a migration made.
    pub source: Option<ActivityIx>,
    pub target: Option<ActivityIx>,
    pub instruction: Option<usize>,
}

#[derive(Clone, Debug)]
pub struct Element {
    pub kind: Kind,
    pub parent: Option<ElementIx>,
    pub children: Vec<ElementIx>,
    pub source: Option<ScopeRef>,
    pub target: Option<ScopeRef>,
    /// What it is now: the source's activity until it is re-pointed.
    pub current: Side,
    /// Is what it is now a scope, that is: is `execution` its own?
    pub is_scope: bool,
    /// Place of its instruction in the plan.
    pub instruction: Option<usize>,
    /// Activity instance id, or the execution's for the others.
    pub id: String,
    pub execution: String,
    /// Was its token active? Restored wherever it is attached.
    pub active: bool,
    /// Was it on a concurrent execution? Then its variables stay outside of it if it becomes a scope (§6.6).
    pub was_concurrent: bool,
    pub owned: Vec<Owned>,
    /// Triggers that do not survive.
    pub removed: Vec<Trigger>,
    /// Triggers of the target that come into being.
    pub emerging: Vec<Emerging>,
    /// Variables on their way from one execution to another: id, and does it stay outside of the scope?
    pub carried: Vec<(String, bool)>,
    pub carried_call: Option<String>,
    pub carried_flow: Option<String>,
    /// Where its executions and open activity instance were when the document was read: a hint, checked before use.
    pub hint: usize,
    pub open_hint: usize,
}

/// What belongs to an element and goes where it goes. Numbers are places in the document's lists.
#[derive(Clone, Debug)]
pub enum Owned {
    Task(usize),
    ExternalTask(usize),
    Timer { job: usize, to: ActivityIx, update: bool, declared: Declared },
    Subscription { subscription: usize, to: ActivityIx, update: bool, declared: bool },
    Incident { incident: usize, job_definition: JobDefinitionOf },
}

/// What the target declares for a kept timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declared {
    Nothing,
    Timer,
    /// A timeout listener, by its place among the activity's.
    Listener(usize),
}

/// Which job definition an incident is to name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobDefinitionOf {
    Nothing,
    /// That of the target for this job; the incident moves to where the job's activity is.
    Job(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    Job(usize),
    Subscription(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Emerging {
    Timer(ActivityIx),
    Listener(ActivityIx, usize),
    Subscription(ActivityIx),
}

/// What no longer is: places in the document's lists.
#[derive(Debug, Default)]
pub struct Gone {
    pub jobs: Vec<usize>,
    pub subscriptions: Vec<usize>,
    pub incidents: Vec<usize>,
}

/// All elements; the first is the process instance.
#[derive(Debug, Default)]
pub struct Elements {
    pub all: Vec<Element>,
    /// In the order of the tree, breadth first.
    pub leftovers: Leftovers,
}

/// Entities of the instance that no element claimed (spec-migration §4.3), by id.
#[derive(Debug, Default)]
pub struct Leftovers {
    pub tasks: Vec<String>,
    pub external_tasks: Vec<String>,
    pub incidents: Vec<String>,
    pub jobs: Vec<String>,
    pub subscriptions: Vec<String>,
    pub variables: Vec<String>,
}

impl Element {
    #[must_use]
    pub fn new(kind: Kind, id: String, execution: String, current: Side) -> Self {
        Self {
            kind,
            parent: None,
            children: vec![],
            source: None,
            target: None,
            current,
            is_scope: false,
            instruction: None,
            id,
            execution,
            active: false,
            was_concurrent: false,
            owned: vec![],
            removed: vec![],
            emerging: vec![],
            carried: vec![],
            carried_call: None,
            carried_flow: None,
            hint: 0,
            open_hint: 0,
        }
    }

    #[must_use]
    pub fn is_activity(&self) -> bool {
        matches!(self.kind, Kind::Activity)
    }

    #[must_use]
    pub fn is_transition(&self) -> bool {
        matches!(self.kind, Kind::Transition { .. })
    }

    /// Is it of those that move with the compensation, not with the tokens?
    #[must_use]
    pub fn is_compensation(&self) -> bool {
        matches!(self.kind, Kind::Memory(_) | Kind::Handler(_))
    }

    #[must_use]
    pub fn handler(&self) -> Option<&Handler> {
        match &self.kind {
            Kind::Memory(handler) | Kind::Handler(handler) => Some(handler),
            _ => None,
        }
    }
}

impl Elements {
    pub fn add(&mut self, element: Element) -> ElementIx {
        let ix = self.all.len();
        if let Some(parent) = element.parent {
            self.all[parent].children.push(ix);
        }
        self.all.push(element);
        ix
    }

    pub fn set_parent(&mut self, child: ElementIx, parent: Option<ElementIx>) {
        if let Some(old) = self.all[child].parent {
            self.all[old].children.retain(|c| *c != child);
        }
        self.all[child].parent = parent;
        if let Some(new) = parent {
            self.all[new].children.push(child);
        }
    }

    /// The activity instance that an element belongs to: itself, or the closest above.
    #[must_use]
    pub fn closest_activity(&self, mut ix: ElementIx) -> ElementIx {
        while !self.all[ix].is_activity() {
            match self.all[ix].parent {
                Some(parent) => ix = parent,
                None => break,
            }
        }
        ix
    }
}

/// Is this scope of a definition one that has an execution of its own?
#[must_use]
pub fn is_scope(definition: &ProcessDefinition, scope: ScopeRef) -> bool {
    match scope {
        ScopeRef::Process => true,
        ScopeRef::Activity(ix) => definition.activity(ix).is_scope,
    }
}

/// Where an execution is in the document: `hint`, or wherever it has gone since.
#[must_use]
pub fn execution_at(instance: &Instance, id: &str, hint: usize) -> Option<usize> {
    if instance.executions.get(hint).is_some_and(|e| e.id == id) {
        return Some(hint);
    }
    instance.executions.iter().position(|e| e.id == id)
}
