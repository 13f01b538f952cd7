//! The instances of one exec transaction: all as their rows, each as a document only while its items are decided.
//!
//! Five hundred documents at once are some megabytes in thousands of pieces: more than the processor's caches hold, and given back
//! to the system between one transaction and the next. Read, decided and written out one after the other, they share the memory of one.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::process::definition::ProcessDefinition;
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::runner::Request;
use crate::store::Error;
use crate::store::sql::instance_rows::{self, Head, Lock, instance_rows};
use crate::store::sql::instance_writes::{Change, Write, write_all};
use crate::store::sql::{Row, Tx};

use super::attempt::Attempt;
use super::decide::instances_of;

/// An instance of the transaction, and what became of it.
pub(super) struct Held {
    /// As it was read; none after the last item.
    row: Option<Row>,
    /// Items that have not looked at it yet.
    uses: usize,
    /// What a write must know; with the document.
    pub(super) head: Option<Head>,
    /// Read for the first item, taken by the last one that needs it.
    pub(super) instance: Option<Instance>,
    pub(super) closed: Vec<Closed>,
    /// What its migration asks of other instances; it is then kept until they are there.
    pub(super) requests: Vec<Request>,
    changed: bool,
    pub(super) ended: bool,
    /// Of one that asks for nothing.
    write: Option<Write>,
}

/// What an item makes of an instance.
pub(super) struct Changed {
    pub(super) instance: Instance,
    pub(super) closed: Vec<Closed>,
    pub(super) requests: Vec<Request>,
    pub(super) ended: bool,
}

impl Held {
    fn new(row: Row, uses: usize) -> Self {
        Self {
            row: Some(row),
            uses,
            head: None,
            instance: None,
            closed: vec![],
            requests: vec![],
            changed: false,
            ended: false,
            write: None,
        }
    }

    /// The definition that its row names, before it is decided.
    pub(super) fn definition_id(&self) -> Result<&str, Error> {
        self.row.as_ref().map_or(Ok(""), |row| row.str("definition_id"))
    }

    /// For the next item, as those before have left it; none that has ended, or that the batch does not reach.
    ///
    /// # Errors
    /// The document is damaged.
    pub(super) fn next(&mut self, reaches: impl Fn(Option<&str>) -> bool) -> Result<Option<Instance>, Error> {
        self.uses = self.uses.saturating_sub(1);
        if self.head.is_none()
            && let Some(row) = &self.row
        {
            let stored = instance_rows::read(row)?;
            (self.head, self.instance) = (Some(Head::of(&stored)), Some(stored.instance));
        }
        let seen = !self.ended && self.instance.as_ref().is_some_and(|i| reaches(i.tenant_id.as_deref()));
        let last = self.uses == 0 && !self.changed;
        Ok(match (seen, last) {
            (false, _) => None,
            (true, true) => self.instance.take(),
            (true, false) => self.instance.clone(),
        })
    }

    pub(super) fn change(&mut self, changed: Changed) {
        self.instance = Some(changed.instance);
        self.closed.extend(changed.closed);
        self.requests.extend(changed.requests);
        self.ended = changed.ended;
        self.changed = true;
    }

    /// After each item: after the last one, what is to be written is made of the document, and that is let go.
    ///
    /// # Errors
    /// The document cannot be written.
    pub(super) fn conclude(&mut self, models: &HashMap<String, Arc<ProcessDefinition>>) -> Result<(), Error> {
        if self.uses > 0 {
            return Ok(());
        }
        let Some(row) = self.row.take() else { return Ok(()) };
        if !self.requests.is_empty() {
            return Ok(());
        }
        if let (true, Some(head), Some(instance)) = (self.changed, self.head.take(), self.instance.take()) {
            let definition_key = match models.get(&instance.definition_id) {
                Some(model) => model.key.as_str(),
                None => row.str("definition_key")?,
            };
            let (before, ended) = (Some(row.str("state")?), self.ended);
            let change = Change { head: &head, before, instance: &instance, ended, definition_key, closed: &self.closed };
            self.write = Some(Write::of(&change)?);
        }
        Ok(())
    }
}

/// Those that there are, in one statement.
pub(super) async fn hold(tx: &mut Tx, ids: Vec<String>, lock: Lock, attempts: &[Attempt]) -> Result<HashMap<String, Held>, Error> {
    let mut uses: HashMap<Cow<'_, str>, usize> = HashMap::new();
    // As many items as instances: each is used once, as nearly always.
    if attempts.iter().map(|a| a.claimed.ids.len()).sum::<usize>() > ids.len() {
        for id in attempts.iter().flat_map(instances_of) {
            *uses.entry(id).or_default() += 1;
        }
    }
    let mut held = HashMap::with_capacity(ids.len());
    for row in instance_rows(tx, ids, lock).await? {
        let id = row.text("id")?;
        let uses = uses.get(id.as_str()).copied().unwrap_or(1);
        held.insert(id, Held::new(row, uses));
    }
    Ok(held)
}

/// Writes those that changed and ask nothing of others, in one statement. Gives the ids that were missed.
pub(super) async fn write(tx: &mut Tx, held: &mut HashMap<String, Held>) -> Result<HashSet<String>, Error> {
    let mut writes: Vec<Write> = held.values_mut().filter_map(|h| h.write.take()).collect();
    // In the order of ids, so that two workers wait for each other rather than collide.
    writes.sort_by(|a, b| a.id.cmp(&b.id));
    write_all(tx, writes).await
}
