//! What instances do to whoever migrates them: fail, kill, panic. And the count of effects, written into each document.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::job::Failure;
use crate::process::instance::Instance;
use crate::store::{Decide, Item, ItemContext, ItemOutcome};

/// The field of a document that counts what each batch did to it.
const EFFECTS: &str = "simulatedEffects";

/// What a simulated panic carries.
const SIMULATED: &str = "simulated";

/// Goes on with a panic that nobody asked for: a bug, not a death.
pub fn tolerate(panic: Box<dyn std::any::Any + Send>) {
    if panic.downcast_ref::<&str>() != Some(&SIMULATED) {
        resume_unwind(panic);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    Fails {
        times: u32,
    },
    /// The process is gone, at once: nobody catches it.
    Kills {
        times: u32,
    },
    Panics {
        times: u32,
    },
}

/// The real decision, for instances that do as they should.
pub struct Behaving {
    inner: Arc<dyn Decide>,
    behaviours: BTreeMap<String, Behaviour>,
    tried: Mutex<BTreeMap<String, u32>>,
    killed: Arc<AtomicBool>,
    /// From then on all do as they should.
    cured: AtomicBool,
}

impl Behaving {
    #[must_use]
    pub fn new(inner: Arc<dyn Decide>, behaviours: BTreeMap<String, Behaviour>, killed: Arc<AtomicBool>) -> Self {
        Self { inner, behaviours, tried: Mutex::default(), killed, cured: AtomicBool::new(false) }
    }

    pub fn cure(&self) {
        self.cured.store(true, Ordering::SeqCst);
    }

    /// Its turn to misbehave?
    fn misbehaves(&self, id: &str) -> Option<Behaviour> {
        let behaviour = self.behaviours.get(id).copied().filter(|_| !self.cured.load(Ordering::SeqCst))?;
        let mut tried = self.tried.lock().unwrap_or_else(PoisonError::into_inner);
        let tried = tried.entry(id.to_owned()).or_default();
        *tried += 1;
        let (Behaviour::Fails { times } | Behaviour::Kills { times } | Behaviour::Panics { times }) = behaviour;
        (*tried <= times).then_some(behaviour)
    }
}

fn failure(id: &str) -> Failure {
    Failure { reason: "simulated".into(), message: format!("instance {id} fails"), details: String::new() }
}

impl Decide for Behaving {
    fn decide(&self, cx: &ItemContext<'_>, item: Item) -> ItemOutcome {
        match self.misbehaves(&item.id) {
            Some(Behaviour::Fails { .. }) => return ItemOutcome::Failed(failure(&item.id)),
            Some(Behaviour::Kills { .. }) => {
                self.killed.store(true, Ordering::SeqCst);
                return ItemOutcome::Failed(failure(&item.id));
            }
            // Without the hook: it is on purpose, and would only fill the screen.
            Some(Behaviour::Panics { .. }) => resume_unwind(Box::new(SIMULATED)),
            None => {}
        }
        let mut outcome = self.inner.decide(cx, item);
        if let ItemOutcome::Changed { instance, .. } = &mut outcome {
            let count = effects(instance, cx.batch) + 1;
            let all = instance.other.entry(EFFECTS).or_insert_with(|| serde_json::json!({}));
            all[cx.batch] = count.into();
        }
        outcome
    }
}

/// How often this batch changed the instance.
#[must_use]
pub fn effects(instance: &Instance, batch: &str) -> u64 {
    instance.other.get(EFFECTS).and_then(|all| all.get(batch)).and_then(serde_json::Value::as_u64).unwrap_or(0)
}
