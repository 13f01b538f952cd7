//! The middle of [`execute`](super::execute): instances read in one statement, decided by the pure core, written in one.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use crate::batch::BatchConfiguration;
use crate::clock::Millis;
use crate::fail_point::{self, Boundary};
use crate::id;
use crate::migration::MigrationPlan;
use crate::store::sql::instance_rows::{Lock, select};
use crate::store::sql::instance_writes::write_all;
use crate::store::sql::listening::listen_elsewhere;
use crate::store::sql::models::Settings;
use crate::store::sql::working_set::{Member, Surroundings, WorkingSet};
use crate::store::sql::{Row, SqlStore, Tx, params};
use crate::store::{Decide, Error, ItemContext};

use super::attempt::Attempt;
use super::held::{Asking, Common, Items, Models, Waiting};

/// Definitions that the plans name, held against deletion until the commit.
#[derive(Default)]
struct Definitions {
    models: Models,
    /// Those that instances have which a command is run on; not held.
    current: Models,
    settings: Settings,
}

impl SqlStore {
    /// Decides every item of these attempts and writes the instances that changed.
    pub(super) async fn decide_and_write(
        &self,
        tx: &mut Tx,
        now: Millis,
        attempts: &mut [Attempt],
        decide: &dyn Decide,
    ) -> Result<(), Error> {
        let mut definitions = self.hold_definitions(tx, attempts).await?;
        let (missed, mut asking) = self.pass(tx, now, attempts, None, &mut definitions, decide).await?;
        if !missed.is_empty() {
            // Changed between reading and writing: once more under their locks, which nothing can miss.
            let (again, more) = self.pass(tx, now, attempts, Some(&missed), &mut definitions, decide).await?;
            if !again.is_empty() {
                return Err(Error::Collision { verb: tx.verb(), source: None });
            }
            asking.extend(more);
        }
        if asking.is_empty() { Ok(()) } else { self.write_asking(tx, now, asking, &definitions).await }
    }

    /// Reads, decides and writes once: all instances of these attempts, or `only` some, which are locked first.
    /// Gives the ids that were missed, and those that have to ask others before they are written.
    async fn pass(
        &self,
        tx: &mut Tx,
        now: Millis,
        attempts: &mut [Attempt],
        only: Option<&HashSet<String>>,
        definitions: &mut Definitions,
        decide: &dyn Decide,
    ) -> Result<(HashSet<String>, Vec<Asking>), Error> {
        let ids = wanted(attempts, only);
        if fail_point::COMPILED {
            ids.iter().try_for_each(|id| tx.meet(Boundary::Instance, id))?;
        }
        let documents = ids.len();
        let select = select(tx.dialect(), ids, only.map_or(Lock::None, |_| Lock::Update));
        let items = if attempts.iter().any(runs_commands) {
            // Their definitions have to be read first, and while rows come nothing else can be.
            let rows = select.all(tx).await?;
            self.find_current(tx, attempts, &rows, definitions).await?;
            let mut items = self.items(now, attempts, only, definitions, decide);
            listen_elsewhere(documents);
            rows.iter().try_for_each(|row| items.decide(row))?;
            items
        } else {
            let mut items = self.items(now, attempts, only, definitions, decide);
            listen_elsewhere(documents);
            select.each(tx, |row| items.decide(row)).await?;
            items
        };
        let (writes, asking) = items.finish();
        Ok((write_all(tx, writes).await?, asking))
    }

    /// Those whose migration asks something of other instances, with these: whoever wrote one of them first sends all of
    /// the transaction back.
    async fn write_asking(&self, tx: &mut Tx, now: Millis, asking: Vec<Asking>, definitions: &Definitions) -> Result<(), Error> {
        let around = Surroundings { models: self.models(), now, user: None, default_retries: self.options().default_retries };
        let mut set = WorkingSet::new(around);
        for asks in asking {
            let Asking { head, instance, closed, requests, ended } = asks;
            let definition = match definitions.models.get(&instance.definition_id) {
                Some(model) => Arc::clone(model),
                None => self.models().of_instance(tx, &instance.id, &instance.definition_id).await?,
            };
            set.adopt(Member { head: Some(head), definition, instance, closed, ended, touched: true }, requests);
        }
        set.carry_out(tx).await?;
        if set.write(tx).await? { Ok(()) } else { Err(Error::Collision { verb: tx.verb(), source: None }) }
    }

    async fn hold_definitions(&self, tx: &mut Tx, attempts: &[Attempt]) -> Result<Definitions, Error> {
        let mut wanted = BTreeSet::new();
        for attempt in attempts {
            if let BatchConfiguration::Migration { plan, .. } = &attempt.fixed.configuration {
                wanted.extend([plan.source_definition_id.clone(), plan.target_definition_id.clone()]);
            }
        }
        let wanted: Vec<String> = wanted.into_iter().collect();
        let sql = "SELECT id FROM process_definition WHERE id {in $1} ORDER BY id {key share}";
        let mut definitions = Definitions::default();
        for row in tx.all(sql, params![&wanted]).await? {
            let id = row.text("id")?;
            if let Some(model) = self.models().get(tx, &id).await? {
                definitions.settings.load(tx, &model).await?;
                definitions.models.insert(id, model);
            }
        }
        Ok(definitions)
    }

    /// The models of the instances that commands are to run on.
    async fn find_current(&self, tx: &mut Tx, attempts: &[Attempt], rows: &[Row], definitions: &mut Definitions) -> Result<(), Error> {
        let commanded: HashSet<Cow<'_, str>> = attempts.iter().filter(|a| runs_commands(a)).flat_map(instances_of).collect();
        for row in rows {
            let (id, definition) = (row.str("id")?, row.str("definition_id")?);
            if commanded.contains(id) && !definitions.current.contains_key(definition) {
                let model = self.models().of_instance(tx, id, definition).await?;
                definitions.settings.load(tx, &model).await?;
                definitions.current.insert(definition.to_owned(), model);
            }
        }
        Ok(())
    }

    /// The items that are about one of `only` (none: all).
    fn items<'a>(
        &self,
        now: Millis,
        attempts: &'a mut [Attempt],
        only: Option<&HashSet<String>>,
        definitions: &'a Definitions,
        decide: &'a dyn Decide,
    ) -> Items<'a> {
        let (mut commons, mut waiting) = (vec![], vec![]);
        for (common, Attempt { row, fixed, claimed, outcomes, .. }) in attempts.iter_mut().enumerate() {
            let named = |of: fn(&MigrationPlan) -> &String| match &fixed.configuration {
                BatchConfiguration::Migration { plan, .. } => definitions.models.get(of(plan)),
                _ => None,
            };
            let cx = ItemContext {
                batch: &row.work.batch,
                configuration: &fixed.configuration,
                source: named(|plan| &plan.source_definition_id),
                target: named(|plan| &plan.target_definition_id),
                job_definitions: &definitions.settings,
                default_retries: self.options().default_retries,
                now,
            };
            commons.push(Common { cx, fixed });
            let items = claimed.ids.iter().zip(outcomes).map(|(id, outcome)| (id, instance_of(&fixed.configuration, id), outcome));
            let items = items.filter(|(_, instance, _)| only.is_none_or(|only| only.contains(instance.as_ref())));
            waiting.extend(items.map(|(id, instance, outcome)| Waiting::new(instance, id, common, outcome)));
        }
        Items::new(commons, waiting, &definitions.models, &definitions.current, decide)
    }
}

/// Is the model of each of its instances needed?
fn runs_commands(attempt: &Attempt) -> bool {
    !matches!(attempt.fixed.configuration, BatchConfiguration::Migration { .. })
}

/// The instance that an item is about: itself, or the one that it is in.
fn instance_of<'a>(configuration: &BatchConfiguration, item: &'a str) -> Cow<'a, str> {
    match configuration {
        BatchConfiguration::SetExternalTaskRetries { .. } => Cow::Owned(id::base_of(item)),
        _ => Cow::Borrowed(item),
    }
}

fn instances_of(attempt: &Attempt) -> impl Iterator<Item = Cow<'_, str>> {
    attempt.claimed.ids.iter().map(|id| instance_of(&attempt.fixed.configuration, id))
}

/// The instances of these attempts, each once, in the order of ids.
fn wanted(attempts: &[Attempt], only: Option<&HashSet<String>>) -> Vec<String> {
    let all = attempts.iter().flat_map(instances_of);
    let mut ids: Vec<String> = all.filter(|id| only.is_none_or(|only| only.contains(id.as_ref()))).map(Cow::into_owned).collect();
    ids.sort();
    ids.dedup();
    ids
}
