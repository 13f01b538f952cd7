//! Executing a batch of type `set-job-retries`: its items are jobs, of other batches or of instances.
//!
//! What it changes belongs to other batches, so their locks come first, in the order of ids (design §5); one row of work to a
//! transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::batch::BatchConfiguration;
use crate::id;
use crate::job::{Failure, WorkRef};
use crate::runner::Command;
use crate::store::sql::working_set::WorkingSet;
use crate::store::sql::{SqlStore, Tx, Verb, corrupt, params};
use crate::store::{Caller, Error, Executed, Mode, Portion};

use super::attempt::Attempt;
use super::execute::{Done, claim_one};
use super::fixed::Fixed;
use super::one_job::{Retries, control_prefix, set_control_retries, set_retries_in};
use super::suspend::lock_batch;

const EXECUTE: Verb = Verb::named("execute_set_retries").by_key();

impl SqlStore {
    pub(super) async fn set_retries_of_items(&self, portion: &Portion, mode: &Mode) -> Result<Executed, Error> {
        let mut tx = self.write(EXECUTE).await?;
        let done = self.set_retries_of_items_in(&mut tx, portion, mode).await;
        self.ended(tx, done).await
    }

    async fn set_retries_of_items_in(&self, tx: &mut Tx, portion: &Portion, mode: &Mode) -> Result<Done, Error> {
        let mut executed = Executed::default();
        let peeked: BTreeSet<String> = peek(tx, &portion.work).await?.into_iter().collect();
        let batches = self.lock_batches(tx, &peeked, &portion.work, mode).await?;
        let Some((row, jobs)) = claim_one(tx, portion, mode, &mut executed).await? else { return Ok(Done::nothing(executed)) };
        let now = row.now;
        let mut attempts = self.attempts(tx, vec![(row, jobs)]).await?;
        for attempt in &mut attempts {
            if !attempt.claimed.ids.iter().all(|id| peeked.contains(id)) {
                // It came to hold others between the look and the lock.
                return Err(Error::Collision { verb: EXECUTE.name, source: None });
            }
            self.set_retries_of(tx, attempt, &batches, &mut executed).await?;
        }
        self.finish(tx, now, &attempts, executed).await
    }

    /// The batches that the items are jobs of, in the order of ids; with its own one where a person executes it.
    async fn lock_batches(
        &self,
        tx: &mut Tx,
        items: &BTreeSet<String>,
        work: &WorkRef,
        mode: &Mode,
    ) -> Result<BTreeMap<String, Arc<Fixed>>, Error> {
        let mut ids: BTreeSet<String> = items.iter().filter_map(|id| id::split(id)).map(|(base, _)| base).collect();
        ids.remove(&work.batch);
        if *mode == Mode::ByHand {
            ids.insert(work.batch.clone());
        }
        let ids: Vec<String> = ids.into_iter().collect();
        let rows = tx.all("SELECT id FROM batch WHERE id {in $1} ORDER BY id {for update}", params![&ids]).await?;
        let found = rows.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, _>>()?;
        Ok(self.fixed(tx, found.iter().map(String::as_str)).await?.into_iter().collect())
    }

    async fn set_retries_of(
        &self,
        tx: &mut Tx,
        attempt: &mut Attempt,
        batches: &BTreeMap<String, Arc<Fixed>>,
        executed: &mut Executed,
    ) -> Result<(), Error> {
        let BatchConfiguration::SetJobRetries { retries, due } = attempt.fixed.configuration else {
            return Err(corrupt("batch", &attempt.row.work.batch, &"it does not set retries"));
        };
        let own = Arc::clone(&attempt.fixed);
        let retries = Retries { retries, due };
        let mut of_instances = vec![];
        for (id, outcome) in attempt.claimed.ids.iter().zip(attempt.outcomes.iter_mut()) {
            let found = match id::split(id).and_then(|(base, number)| batches.get(&base).map(|fixed| (WorkRef::new(base, number), fixed))) {
                Some((_, fixed)) if !own.reaches(fixed.tenant_id.as_deref()) => None,
                Some((job, fixed)) => set_one(tx, &job, fixed, retries).await?,
                None => {
                    of_instances.push((id, outcome));
                    continue;
                }
            };
            match found {
                Some(works) => executed.next.extend(works),
                None => *outcome = Some(no_such_job(id)),
            }
        }
        let instances: BTreeSet<String> = of_instances.iter().map(|(id, _)| id::base_of(id)).collect();
        if instances.is_empty() {
            return Ok(());
        }
        let mut set = WorkingSet::new(self.surroundings(tx, None).await?);
        set.read(tx, &instances).await?;
        for (id, outcome) in of_instances {
            let instance = id::base_of(id);
            let member = set.members.get(&instance).filter(|m| own.reaches(m.instance.tenant_id.as_deref()));
            let has_it = member.is_some_and(|m| m.instance.jobs.iter().any(|job| job.id == *id));
            if has_it {
                let command = Command::SetJobRetries { job_id: id.clone(), retries: retries.retries, due: retries.due };
                set.run(tx, &instance, command).await?;
            } else {
                *outcome = Some(no_such_job(id));
            }
        }
        set.carry_out(tx).await?;
        // Somebody else wrote first: all of it again, uncharged.
        if set.write(tx).await? { Ok(()) } else { Err(Error::Collision { verb: EXECUTE.name, source: None }) }
    }
}

/// One job of a batch whose lock is held.
async fn set_one(tx: &mut Tx, job: &WorkRef, fixed: &Fixed, retries: Retries) -> Result<Option<Vec<WorkRef>>, Error> {
    let Some(prefix) = control_prefix(job.number) else { return set_retries_in(tx, job, fixed, retries).await };
    let Some((row, fixed)) = lock_batch(tx, &Caller::system(), &job.batch).await? else { return Ok(None) };
    set_control_retries(tx, job, &fixed, &row, prefix, retries).await.map(Some)
}

fn no_such_job(id: &str) -> Failure {
    let message = format!("ENGINE-13053 No job found with id '{id}'.'");
    Failure { reason: "job-not-found".to_owned(), details: message.clone(), message }
}

/// The ids that the work holds, read without a lock.
async fn peek(tx: &mut Tx, work: &WorkRef) -> Result<Vec<String>, Error> {
    for sql in
        ["SELECT ids FROM run WHERE batch = $1 AND first <= $2 AND last >= $2", "SELECT ids FROM job WHERE batch = $1 AND number = $2"]
    {
        if let Some(row) = tx.optional(sql, params![&work.batch, work.number]).await? {
            return row.json("ids");
        }
    }
    Ok(vec![])
}
