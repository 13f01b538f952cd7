//! The middle of [`execute`](super::execute): instances read in one statement, decided by the pure core, written in one.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::batch::BatchConfiguration;
use crate::clock::Millis;
use crate::fail_point::{self, Boundary};
use crate::id;
use crate::job::Failure;
use crate::process::definition::ProcessDefinition;
use crate::store::sql::instance_rows::Lock;
use crate::store::sql::listening::listen_elsewhere;
use crate::store::sql::models::Settings;
use crate::store::sql::working_set::{Member, Surroundings, WorkingSet};
use crate::store::sql::{SqlStore, Tx, params};
use crate::store::{Decide, Error, Item, ItemContext, ItemOutcome};

use super::attempt::Attempt;
use super::held::{Changed, Held, hold, write};

/// Definitions that the plans name, held against deletion until the commit.
struct Definitions {
    models: HashMap<String, Arc<ProcessDefinition>>,
    /// Those that instances have which a command is run on; not held.
    current: HashMap<String, Arc<ProcessDefinition>>,
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
        let mut all: Vec<String> = attempts.iter().flat_map(instances_of).map(Cow::into_owned).collect();
        all.sort();
        all.dedup();
        if fail_point::COMPILED {
            all.iter().try_for_each(|id| tx.meet(Boundary::Instance, id))?;
        }
        let mut held = hold(tx, all, Lock::None, attempts).await?;
        self.find_current(tx, attempts, &held, &mut definitions).await?;
        self.decide_items(now, attempts, None, &mut held, &definitions, decide)?;
        let missed = write(tx, &mut held).await?;
        if !missed.is_empty() {
            // Changed between reading and writing: once more under their locks, which nothing can miss.
            let missed: BTreeSet<String> = missed.into_iter().collect();
            let mut again = hold(tx, missed.iter().cloned().collect(), Lock::Update, attempts).await?;
            self.find_current(tx, attempts, &again, &mut definitions).await?;
            self.decide_items(now, attempts, Some(&missed), &mut again, &definitions, decide)?;
            if !write(tx, &mut again).await?.is_empty() {
                return Err(Error::Collision { verb: tx.verb(), source: None });
            }
            held.retain(|id, _| !missed.contains(id));
            held.extend(again);
        }
        let asking: Vec<Held> = held.into_values().filter(|h| !h.requests.is_empty()).collect();
        if asking.is_empty() { Ok(()) } else { self.write_asking(tx, now, asking, &definitions).await }
    }

    /// Those whose migration asks something of other instances, with these: whoever wrote one of them first sends all of
    /// the transaction back.
    async fn write_asking(&self, tx: &mut Tx, now: Millis, asking: Vec<Held>, definitions: &Definitions) -> Result<(), Error> {
        let around = Surroundings { models: self.models(), now, user: None, default_retries: self.options().default_retries };
        let mut set = WorkingSet::new(around);
        for held in asking {
            let Some(instance) = held.instance else { continue };
            let definition = match definitions.models.get(&instance.definition_id) {
                Some(model) => Arc::clone(model),
                None => self.models().of_instance(tx, &instance.id, &instance.definition_id).await?,
            };
            let member = Member { head: held.head, definition, instance, closed: held.closed, ended: held.ended, touched: true };
            set.adopt(member, held.requests);
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
        let mut definitions = Definitions { models: HashMap::new(), current: HashMap::new(), settings: Settings::default() };
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
    async fn find_current(
        &self,
        tx: &mut Tx,
        attempts: &[Attempt],
        held: &HashMap<String, Held>,
        definitions: &mut Definitions,
    ) -> Result<(), Error> {
        let commanded = attempts.iter().filter(|a| !matches!(a.fixed.configuration, BatchConfiguration::Migration { .. }));
        let ids: BTreeSet<Cow<'_, str>> = commanded.flat_map(instances_of).collect();
        for (id, held) in ids.iter().filter_map(|id| Some((id, held.get(id.as_ref())?))) {
            let definition = held.definition_id()?;
            if !definitions.current.contains_key(definition) {
                let model = self.models().of_instance(tx, id, definition).await?;
                definitions.settings.load(tx, &model).await?;
                definitions.current.insert(definition.to_owned(), model);
            }
        }
        Ok(())
    }

    /// Decides the items that are about one of `ids` (none: all), in the order of the attempts.
    fn decide_items(
        &self,
        now: Millis,
        attempts: &mut [Attempt],
        ids: Option<&BTreeSet<String>>,
        held: &mut HashMap<String, Held>,
        definitions: &Definitions,
        decide: &dyn Decide,
    ) -> Result<(), Error> {
        listen_elsewhere(held.len());
        for Attempt { row, fixed, claimed, outcomes, .. } in attempts {
            let named = |of: fn(&crate::migration::MigrationPlan) -> &String| match &fixed.configuration {
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
            let items =
                claimed.ids.iter().zip(outcomes.iter_mut()).map(|(id, outcome)| (id, instance_of(&fixed.configuration, id), outcome));
            let wanted = |instance: &str| ids.is_none_or(|ids| ids.contains(instance));
            for (id, instance, outcome) in items.filter(|(_, instance, _)| wanted(instance)) {
                let held = held.get_mut(instance.as_ref());
                *outcome = decide_one(&cx, id, held, definitions, |tenant| fixed.reaches(tenant), decide)?;
            }
        }
        Ok(())
    }
}

/// The instance that an item is about: itself, or the one that it is in.
fn instance_of<'a>(configuration: &BatchConfiguration, item: &'a str) -> Cow<'a, str> {
    match configuration {
        BatchConfiguration::SetExternalTaskRetries { .. } => Cow::Owned(id::base_of(item)),
        _ => Cow::Borrowed(item),
    }
}

pub(super) fn instances_of(attempt: &Attempt) -> impl Iterator<Item = Cow<'_, str>> {
    attempt.claimed.ids.iter().map(|id| instance_of(&attempt.fixed.configuration, id))
}

fn decide_one(
    cx: &ItemContext<'_>,
    id: &str,
    held: Option<&mut Held>,
    definitions: &Definitions,
    reaches: impl Fn(Option<&str>) -> bool,
    decide: &dyn Decide,
) -> Result<Option<Failure>, Error> {
    let Some(held) = held else {
        return Ok(failure_of(decide.decide(cx, Item { id: id.to_owned(), instance: None, definition: None })));
    };
    let instance = held.next(reaches)?;
    let definition = instance.as_ref().and_then(|i| definitions.current.get(&i.definition_id).cloned());
    let failure = match decide.decide(cx, Item { id: id.to_owned(), instance, definition }) {
        ItemOutcome::Failed(failure) => Some(failure),
        ItemOutcome::Nothing => None,
        ItemOutcome::Changed { instance, closed, requests, ended } => {
            held.change(Changed { instance: *instance, closed, requests, ended });
            None
        }
    };
    held.conclude(&definitions.models)?;
    Ok(failure)
}

fn failure_of(outcome: ItemOutcome) -> Option<Failure> {
    match outcome {
        ItemOutcome::Failed(failure) => Some(failure),
        // Of an instance that is not there nothing can have changed.
        ItemOutcome::Changed { .. } | ItemOutcome::Nothing => None,
    }
}
