//! The instances of one exec transaction, each read, decided and written out as its row comes in.
//!
//! Five hundred documents at once are some megabytes in thousands of pieces: more than the processor's caches hold, and given back
//! to the system between one transaction and the next. One after the other they share the memory of one, and while one is decided
//! the database reads the next.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use crate::job::Failure;
use crate::process::definition::ProcessDefinition;
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::runner::Request;
use crate::store::sql::Row;
use crate::store::sql::instance_rows::{Head, Stored};
use crate::store::sql::instance_writes::{Change, Write};
use crate::store::{Decide, Error, Item, ItemContext, ItemOutcome};

use super::fixed::Fixed;

/// What an attempt's items have in common.
pub(super) struct Common<'a> {
    pub(super) cx: ItemContext<'a>,
    pub(super) fixed: &'a Fixed,
}

/// An item that waits for the row of its instance.
pub(super) struct Waiting<'a> {
    /// Itself, or the one that it is in.
    pub(super) instance: Cow<'a, str>,
    pub(super) id: &'a str,
    /// Of its attempt, in the list of those.
    pub(super) common: usize,
    pub(super) outcome: &'a mut Option<Failure>,
    met: bool,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(instance: Cow<'a, str>, id: &'a str, common: usize, outcome: &'a mut Option<Failure>) -> Self {
        Self { instance, id, common, outcome, met: false }
    }
}

/// An instance whose migration asks something of others: it is written together with those.
pub(super) struct Asking {
    pub(super) head: Head,
    pub(super) instance: Instance,
    pub(super) closed: Vec<Closed>,
    pub(super) requests: Vec<Request>,
    pub(super) ended: bool,
}

/// Definitions by id.
pub(super) type Models = HashMap<String, Arc<ProcessDefinition>>;

/// The items of a transaction, and what became of those whose row has come.
pub(super) struct Items<'a> {
    commons: Vec<Common<'a>>,
    /// By instance; those of one instance in the order of their attempts.
    waiting: Vec<Waiting<'a>>,
    /// After those of the row that came last.
    after_last: usize,
    /// Definitions of the plans.
    named: &'a Models,
    /// Those that a command may be run on.
    current: &'a Models,
    decide: &'a dyn Decide,
    writes: Vec<Write>,
    asking: Vec<Asking>,
}

impl<'a> Items<'a> {
    pub(super) fn new(
        commons: Vec<Common<'a>>,
        mut waiting: Vec<Waiting<'a>>,
        named: &'a Models,
        current: &'a Models,
        decide: &'a dyn Decide,
    ) -> Self {
        // Stable; and they come in this order nearly always.
        waiting.sort_by(|a, b| a.instance.cmp(&b.instance));
        Self { commons, waiting, after_last: 0, named, current, decide, writes: vec![], asking: vec![] }
    }

    /// Decides the items of one instance, each as those before have left it; then what is to be written is made of the document,
    /// and that is let go.
    ///
    /// # Errors
    /// The document is damaged, or cannot be written.
    pub(super) fn decide(&mut self, row: &Row) -> Result<(), Error> {
        let stored = Stored::of(row)?;
        let instance = stored.instance()?;
        let head = Head::of(&instance, stored.revision);
        let Range { start, end } = self.next_of(stored.id);
        let mut held = Held { instance: Some(instance), closed: vec![], requests: vec![], changed: false, ended: false };
        for (at, item) in self.waiting.iter_mut().enumerate().take(end).skip(start) {
            item.met = true;
            let common = &self.commons[item.common];
            let instance = held.next(common.fixed, at + 1 == end);
            let definition = instance.as_ref().and_then(|i| self.current.get(&i.definition_id).cloned());
            let outcome = self.decide.decide(&common.cx, Item { id: item.id.to_owned(), instance, definition });
            *item.outcome = held.after(outcome);
        }
        self.conclude(&stored, head, held)
    }

    /// Where the items of this instance are. Rows come in the order of ids nearly always: then after those of the last one.
    fn next_of(&mut self, instance: &str) -> Range<usize> {
        let after = self.waiting.get(self.after_last).is_some_and(|item| *item.instance == *instance);
        let start = if after { self.after_last } else { self.waiting.partition_point(|item| *item.instance < *instance) };
        let many = self.waiting[start..].iter().take_while(|item| *item.instance == *instance).count();
        self.after_last = start + many;
        start..self.after_last
    }

    fn conclude(&mut self, stored: &Stored<'_>, head: Head, held: Held) -> Result<(), Error> {
        let Held { instance: Some(instance), closed, requests, changed, ended } = held else { return Ok(()) };
        if !requests.is_empty() {
            self.asking.push(Asking { head, instance, closed, requests, ended });
        } else if changed {
            let definition_key = match self.named.get(&instance.definition_id) {
                Some(model) => model.key.as_str(),
                None => stored.definition_key,
            };
            let before = Some(stored.state);
            let change = Change { head: &head, before, instance: &instance, ended, definition_key, closed: &closed };
            self.writes.push(Write::of(&change)?);
        }
        Ok(())
    }

    /// After the last row: the items of instances that there are not. Gives what is to be written, in the order of ids, and what
    /// has to ask first.
    pub(super) fn finish(mut self) -> (Vec<Write>, Vec<Asking>) {
        for item in self.waiting.iter_mut().filter(|item| !item.met) {
            let none = Item { id: item.id.to_owned(), instance: None, definition: None };
            *item.outcome = match self.decide.decide(&self.commons[item.common].cx, none) {
                ItemOutcome::Failed(failure) => Some(failure),
                // Of an instance that is not there nothing can have changed.
                ItemOutcome::Changed { .. } | ItemOutcome::Nothing => None,
            };
        }
        // In one order, so that two workers wait for each other rather than collide.
        self.writes.sort_by(|a, b| a.id.cmp(&b.id));
        (self.writes, self.asking)
    }
}

/// An instance while its items are decided.
struct Held {
    /// None once the last item has been given it and has left it as it was.
    instance: Option<Instance>,
    closed: Vec<Closed>,
    /// What its migration asks of other instances.
    requests: Vec<Request>,
    changed: bool,
    ended: bool,
}

impl Held {
    /// For the next item, as those before have left it; none that has ended, or that the batch does not reach.
    fn next(&mut self, fixed: &Fixed, is_last: bool) -> Option<Instance> {
        let seen = !self.ended && self.instance.as_ref().is_some_and(|i| fixed.reaches(i.tenant_id.as_deref()));
        match (seen, is_last && !self.changed) {
            (false, _) => None,
            (true, true) => self.instance.take(),
            (true, false) => self.instance.clone(),
        }
    }

    fn after(&mut self, outcome: ItemOutcome) -> Option<Failure> {
        match outcome {
            ItemOutcome::Failed(failure) => Some(failure),
            ItemOutcome::Nothing => None,
            ItemOutcome::Changed { instance, closed, requests, ended } => {
                self.instance = Some(*instance);
                self.closed.extend(closed);
                self.requests.extend(requests);
                self.ended = ended;
                self.changed = true;
                None
            }
        }
    }
}
