//! Claim, decide, write, commit: the transaction is the claim (design §7.3).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::claim::{Hold, claimed};
use super::rows::{InstanceRow, Job, Key, LogEvent, LogRow, Row};
use super::tx::Tx;
use super::{Broken, ModelStore};
use crate::job::{self, Failure, ONE_BY_ONE_ATTEMPTS, WorkRef};
use crate::process::instance::Instance;
use crate::runner::NoJobDefinitions;
use crate::store::{Decide, Error, Executed, Item, ItemContext, ItemOutcome, Mode, Portion};

/// One distinct instance of a micro-batch: as loaded, and as decided so far.
struct Loaded {
    revision: Option<i64>,
    now: Option<Instance>,
    changed: bool,
}

/// Instances by id, and one outcome for each id of each claimed row.
struct Decided {
    instances: BTreeMap<String, Loaded>,
    outcomes: Vec<Vec<Option<Failure>>>,
}

/// A panic that goes through the verb is a death too, though the process lives on.
struct Unwinding<'a>(&'a ModelStore);

impl Drop for Unwinding<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.died(&self.0.who());
        }
    }
}

impl ModelStore {
    pub(super) async fn execute_rows(&self, portions: &[Portion], mode: &Mode, decide: &dyn Decide) -> Result<Executed, Error> {
        let unwinding = Unwinding(self);
        let executed = self.try_rows(portions, mode, decide).await;
        drop(unwinding);
        // A collision leaves it in hand: the same lease is tried again. A lost database is as good as a death.
        match executed {
            Err(Error::Unavailable { .. }) => self.died(&self.who()),
            Err(_) => {}
            Ok(_) => self.in_hand(None),
        }
        executed
    }

    async fn try_rows(&self, portions: &[Portion], mode: &Mode, decide: &dyn Decide) -> Result<Executed, Error> {
        let mut tx = self.begin(if *mode == Mode::ByHand { "execute by hand" } else { "execute" }).await?;
        let mut out = Executed::default();
        let holds = match mode {
            Mode::ByHand => self.claim_by_hand(&mut tx, portions, &mut out).await?,
            Mode::Normal | Mode::Careful { .. } => self.claim(&mut tx, portions, mode, &mut out).await?,
        };
        tx.step().await;
        let mut decided = Decided { instances: BTreeMap::new(), outcomes: holds.iter().map(|h| vec![None; h.claimed.ids.len()]).collect() };
        for id in holds.iter().flat_map(|h| &h.claimed.ids) {
            load(&tx, id, &mut decided.instances)?;
        }
        self.decide(&tx, &holds, decide, &mut decided, None)?;
        self.survive().await;
        tx.step().await;
        self.write_instances(&mut tx, &holds, decide, &mut decided).await?;
        if self.is_broken(Broken::EffectBeforeClaim) {
            tx.commit().await?;
            tx = self.begin("execute").await?;
        }
        tx.step().await;
        for (hold, outcomes) in holds.iter().zip(&decided.outcomes) {
            self.settle(&mut tx, hold, outcomes, LogEvent::Failed, &mut out).await?;
        }
        first_success(&mut tx, &holds, &decided.outcomes).await?;
        tx.commit().await?;
        Ok(out)
    }

    /// Decides all ids, or the one that was missed, in order: an instance that is in two batches is decided twice,
    /// the second time as the first left it.
    fn decide(&self, tx: &Tx<'_>, holds: &[Hold], decide: &dyn Decide, decided: &mut Decided, only: Option<&str>) -> Result<(), Error> {
        for (hold, outcomes) in holds.iter().zip(&mut decided.outcomes) {
            let Some(batch) = tx.batch(&hold.claimed.work.batch)? else { continue };
            let crate::batch::BatchConfiguration::Migration { plan, .. } = &batch.configuration else { continue };
            let cx = ItemContext {
                batch: &batch.id,
                configuration: &batch.configuration,
                source: self.definition(&plan.source_definition_id),
                target: self.definition(&plan.target_definition_id),
                job_definitions: &NoJobDefinitions,
                default_retries: 3,
                now: tx.now,
            };
            for (id, outcome) in hold.claimed.ids.iter().zip(outcomes) {
                let Some(loaded) = decided.instances.get_mut(id).filter(|_| only.is_none_or(|only| only == id)) else { continue };
                match decide.decide(&cx, Item { id: id.clone(), instance: loaded.now.clone(), definition: None }) {
                    // Requests reach other instances: the processes of the simulator have none.
                    ItemOutcome::Changed { instance, ended, .. } => {
                        loaded.now = (!ended).then_some(*instance);
                        loaded.changed = true;
                        *outcome = None;
                    }
                    ItemOutcome::Nothing => *outcome = None,
                    ItemOutcome::Failed(failure) => *outcome = Some(failure),
                }
            }
        }
        Ok(())
    }

    /// `WHERE revision = …`, in the order of ids; the missed ones are read again under their locks and decided again.
    async fn write_instances(&self, tx: &mut Tx<'_>, holds: &[Hold], decide: &dyn Decide, decided: &mut Decided) -> Result<(), Error> {
        let changed: Vec<String> = decided.instances.iter().filter(|(_, l)| l.changed).map(|(id, _)| id.clone()).collect();
        let refused = self.refused.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        if let Some(id) = changed.iter().find(|id| refused.contains(*id)) {
            return Err(Error::Statement { verb: "execute", source: format!("invalid byte sequence in instance {id}").into() });
        }
        let mut missed = vec![];
        for id in changed {
            tx.lock(&Key::Instance(id.clone())).await?;
            let stored = tx.instance(&id)?.map(|row| row.revision);
            if stored == decided.instances[&id].revision || (self.is_broken(Broken::IgnoresRevision) && stored.is_some()) {
                write(tx, &id, &decided.instances[&id]).await?;
            } else {
                missed.push(id);
            }
        }
        for id in missed {
            self.met("execute: missed a revision");
            tx.step().await;
            decided.instances.remove(&id);
            load(tx, &id, &mut decided.instances)?;
            self.decide(tx, holds, decide, decided, Some(&id))?;
            self.survive().await;
            if decided.instances[&id].changed {
                write(tx, &id, &decided.instances[&id]).await?;
            }
        }
        Ok(())
    }

    /// What the attempt leaves of its row: what succeeded is gone, jobs that failed are rows, a run is shortened in place.
    async fn settle(
        &self,
        tx: &mut Tx<'_>,
        hold: &Hold,
        outcomes: &[Option<Failure>],
        failing: LogEvent,
        out: &mut Executed,
    ) -> Result<(), Error> {
        let claimed = &hold.claimed;
        let batch = &claimed.work.batch;
        let (mut succeeded, mut failed) = (vec![], vec![]);
        for (index, (id, outcome)) in claimed.ids.iter().zip(outcomes).enumerate() {
            let key = Key::Failure(batch.clone(), claimed.number_of(index), id.clone());
            match outcome {
                None => {
                    tx.delete(key).await?;
                    succeeded.push(id.clone());
                }
                Some(failure) => {
                    tx.put(key, Row::Failure(failure.clone())).await?;
                    failed.push(id.clone());
                }
            }
        }
        out.succeeded_instances += succeeded.len() as u64;
        out.failed_instances += failed.len() as u64;
        for (event, ids) in [(LogEvent::Succeeded, succeeded), (failing, failed)] {
            if !ids.is_empty() {
                let (first, last) = (claimed.work.number, claimed.last);
                tx.log(LogRow { batch: batch.clone(), event, first, last, ids, time: tx.now }).await?;
            }
        }
        self.leave_the_row(tx, hold, out).await?;
        for job in job::settle(claimed, outcomes) {
            self.write_failed(tx, hold, job, failing, out).await?;
        }
        Ok(())
    }

    /// The row without what was tried.
    async fn leave_the_row(&self, tx: &mut Tx<'_>, hold: &Hold, out: &mut Executed) -> Result<(), Error> {
        let Some(mut run) = tx.run(&hold.key)? else { return tx.delete(hold.key.clone()).await };
        run.ids.drain(..hold.claimed.ids.len().min(run.ids.len()));
        run.first = hold.claimed.last + 1;
        if run.ids.is_empty() {
            return tx.delete(hold.key.clone()).await;
        }
        self.met("execute: shortened");
        (run.state.wake_at, run.state.wakes) = (Some(tx.now), 0);
        if !self.is_broken(Broken::KeepsTheLease) {
            run.state.attempts = if run.state.attempts > 0 { ONE_BY_ONE_ATTEMPTS } else { 0 };
            run.state.lease = None;
        }
        out.next.push(WorkRef::new(hold.claimed.work.batch.clone(), run.first));
        if self.is_broken(Broken::ShortensByInsert) {
            tx.delete(hold.key.clone()).await?;
            let key = Key::Run(hold.claimed.work.batch.clone(), tx.next_number());
            return tx.put(key, Row::Run(run)).await;
        }
        tx.put(hold.key.clone(), Row::Run(run)).await
    }

    async fn write_failed(
        &self,
        tx: &mut Tx<'_>,
        hold: &Hold,
        failed: job::FailedJob,
        how: LogEvent,
        out: &mut Executed,
    ) -> Result<(), Error> {
        let batch = hold.claimed.work.batch.clone();
        let key = Key::Job(batch.clone(), failed.number);
        // The row itself, if it is one already, as it was before `leave_the_row`: its incident goes on.
        let before = self.committed_job(&key);
        let Some(failure) = failed.failures.first() else { return Ok(()) };
        out.failed.push((WorkRef::new(batch.clone(), failed.number), failure.clone()));
        if self.is_broken(Broken::LosesFailures) {
            return Ok(());
        }
        let mut state = hold.state.clone();
        state.retries = if self.is_broken(Broken::RetriesAreFree) { hold.claimed.retries } else { failed.retries };
        state.wake_at = (state.retries > 0).then_some(tx.now);
        // What killed its workers stays in careful mode.
        let attempts = if how == LogEvent::GaveUp { ONE_BY_ONE_ATTEMPTS } else { 0 };
        (state.wakes, state.attempts, state.lease) = (0, attempts, None);
        if state.may_run(tx.now) {
            out.next.push(WorkRef::new(batch, failed.number));
        }
        let incident = before.and_then(|job| job.incident).or_else(|| failed.incident.then(|| (failure.message.clone(), tx.now)));
        let job = Job {
            number: failed.number,
            ids: failed.ids,
            state,
            message: Some(job::cut(&failure.message).into()),
            details: Some(failure.details.clone()),
            incident,
        };
        tx.put(key, Row::Job(job)).await
    }

    fn committed_job(&self, key: &Key) -> Option<Job> {
        self.read(|db| db.rows.get(key).and_then(|row| if let Row::Job(job) = row { Some(job.clone()) } else { None }))
    }

    /// Fails the front job of a locked row without trying it.
    pub(super) async fn fail_untried(
        &self,
        tx: &mut Tx<'_>,
        work: &WorkRef,
        key: Key,
        failure: &Failure,
        how: LogEvent,
    ) -> Result<Executed, Error> {
        let mut out = Executed::default();
        let Some((claimed, state)) = claimed(tx, work, &key, Some(1))? else { return Ok(out) };
        let outcomes = vec![Some(failure.clone()); claimed.ids.len()];
        self.settle(tx, &Hold { key, claimed, state }, &outcomes, how, &mut out).await?;
        Ok(out)
    }
}

fn load(tx: &Tx<'_>, id: &str, instances: &mut BTreeMap<String, Loaded>) -> Result<(), Error> {
    if !instances.contains_key(id) {
        let row = tx.instance(id)?;
        let revision = row.as_ref().map(|row| row.revision);
        instances.insert(id.to_owned(), Loaded { revision, now: row.map(|row| row.instance.clone()), changed: false });
    }
    Ok(())
}

async fn write(tx: &mut Tx<'_>, id: &str, loaded: &Loaded) -> Result<(), Error> {
    let key = Key::Instance(id.to_owned());
    match &loaded.now {
        Some(instance) => {
            let revision = loaded.revision.unwrap_or_default() + 1;
            tx.put(key, Row::Instance(Arc::new(InstanceRow::written(instance.clone(), revision)))).await
        }
        None => tx.delete(key).await,
    }
}

/// The last statement, in the order of batches, without touching the batch row.
async fn first_success(tx: &mut Tx<'_>, holds: &[Hold], outcomes: &[Vec<Option<Failure>>]) -> Result<(), Error> {
    let some: BTreeSet<&String> =
        holds.iter().zip(outcomes).filter(|(_, o)| o.iter().any(Option::is_none)).map(|(hold, _)| &hold.claimed.work.batch).collect();
    tx.step().await;
    for batch in some {
        let key = Key::Start(batch.clone());
        if !tx.lock(&key).await? {
            let now = tx.now;
            tx.put(key, Row::Start(now)).await?;
        }
    }
    Ok(())
}
