//! Claim, decide, write, commit (design §7.3): the transaction is the claim.
//!
//! Never waits for a row of work that somebody else holds, and never locks the batch that the work is of.

use std::collections::BTreeSet;

use crate::batch::BatchType;
use crate::clock::Millis;
use crate::job::WorkRef;
use crate::store::sql::{Column, Columns, SqlStore, Tx, Verb, corrupt, params};
use crate::store::{Decide, Error, Executed, Mode, Portion};

use super::attempt::Attempt;
use super::work_rows::{Leases, WorkRow, find_job, lock_free, present, take_out};

const EXECUTE: Verb = Verb::named("execute").by_key();
const EXECUTE_BY_HAND: Verb = Verb::named("execute_by_hand").durable();

impl SqlStore {
    pub(super) async fn execute_portions(&self, portions: &[Portion], mode: &Mode, decide: &dyn Decide) -> Result<Executed, Error> {
        let mut executed = Executed::default();
        let (mut together, mut apart, mut effects) = (vec![], vec![], vec![]);
        for portion in once_each(portions) {
            match self.type_of(&portion.work.batch).await? {
                Some(BatchType::SetJobRetries) => apart.push(portion),
                Some(
                    BatchType::Suspension
                    | BatchType::Restart
                    | BatchType::HistoricDeletion
                    | BatchType::HistoricDecisionDeletion
                    | BatchType::SetRemovalTime
                    | BatchType::BatchSetRemovalTime,
                ) => effects.push(portion),
                // Decided from the document. A batch that is gone has no rows either: the claim finds out.
                Some(
                    BatchType::ProcessInstanceMigration
                    | BatchType::Modification
                    | BatchType::Deletion
                    | BatchType::SetExternalTaskRetries
                    | BatchType::SetVariables
                    | BatchType::CorrelateMessage,
                )
                | None => together.push(portion),
            }
        }
        if *mode == Mode::ByHand {
            for portion in together {
                absorb(&mut executed, self.migrate_by_hand(&portion.work, decide).await?);
            }
        } else if !together.is_empty() {
            absorb(&mut executed, self.migrate_portions(&together, mode, decide).await?);
        }
        for portion in apart {
            absorb(&mut executed, self.set_retries_of_items(&portion, mode).await?);
        }
        for portion in effects {
            absorb(&mut executed, self.affect_items(&portion, mode).await?);
        }
        Ok(executed)
    }

    async fn migrate_portions(&self, portions: &[Portion], mode: &Mode, decide: &dyn Decide) -> Result<Executed, Error> {
        let mut tx = self.write(EXECUTE).await?;
        let done = self.migrate_in(&mut tx, portions, mode, decide).await;
        self.ended(tx, done).await
    }

    async fn migrate_in(&self, tx: &mut Tx, portions: &[Portion], mode: &Mode, decide: &dyn Decide) -> Result<Done, Error> {
        let mut executed = Executed::default();
        let rows = claim(tx, portions, mode, &mut executed).await?;
        self.migrate_claimed(tx, rows, executed, decide).await
    }

    /// One job that a person executes: the batch's lock, so that nobody moves it meanwhile; then out of its run.
    async fn migrate_by_hand(&self, job: &WorkRef, decide: &dyn Decide) -> Result<Executed, Error> {
        let mut tx = self.write(EXECUTE_BY_HAND).await?;
        let done = self.migrate_by_hand_in(&mut tx, job, decide).await;
        self.ended(tx, done).await
    }

    async fn migrate_by_hand_in(&self, tx: &mut Tx, job: &WorkRef, decide: &dyn Decide) -> Result<Done, Error> {
        let mut executed = Executed::default();
        let rows = claim_by_hand(tx, job, &mut executed).await?.into_iter().collect();
        self.migrate_claimed(tx, rows, executed, decide).await
    }

    async fn migrate_claimed(
        &self,
        tx: &mut Tx,
        rows: Vec<(WorkRow, Option<u32>)>,
        executed: Executed,
        decide: &dyn Decide,
    ) -> Result<Done, Error> {
        let Some(now) = rows.first().map(|(row, _)| row.now) else { return Ok(Done::nothing(executed)) };
        let mut attempts = self.attempts(tx, rows).await?;
        self.decide_and_write(tx, now, &mut attempts, decide).await?;
        self.finish(tx, now, &attempts, executed).await
    }

    pub(super) async fn attempts(&self, tx: &mut Tx, rows: Vec<(WorkRow, Option<u32>)>) -> Result<Vec<Attempt>, Error> {
        let batches: BTreeSet<String> = rows.iter().map(|(row, _)| row.work.batch.clone()).collect();
        let fixed = self.fixed(tx, batches.iter().map(String::as_str)).await?;
        rows.into_iter()
            .map(|(row, jobs)| {
                let of = fixed.get(&row.work.batch).cloned();
                let of = of.ok_or_else(|| corrupt("batch", &row.work.batch, &"it has work, but is not there itself"))?;
                Ok(Attempt::new(row, of, jobs))
            })
            .collect()
    }

    /// Writes what the attempts leave, and `batch_start` as the last statement.
    pub(super) async fn finish(&self, tx: &mut Tx, now: Millis, attempts: &[Attempt], before: Executed) -> Result<Done, Error> {
        let mut executed = before;
        absorb(&mut executed, self.conclude(tx, now, attempts).await?);
        let begun: BTreeSet<String> = attempts
            .iter()
            .filter(|a| a.outcomes.iter().any(Option::is_none))
            .map(|a| a.row.work.batch.clone())
            .filter(|batch| !self.begun.contains(batch))
            .collect();
        note_begun(tx, now, &begun).await?;
        Ok(Done { executed, begun })
    }

    /// The transaction ends, one way or the other; what it began is remembered only once it is committed.
    pub(super) async fn ended(&self, tx: Tx, done: Result<Done, Error>) -> Result<Executed, Error> {
        let done = tx.end(done).await?;
        self.begun.add(done.begun);
        Ok(done.executed)
    }
}

/// What a transaction did, to be told after its commit.
pub(super) struct Done {
    pub executed: Executed,
    /// Batches that had no first success before.
    begun: BTreeSet<String>,
}

impl Done {
    pub(super) fn nothing(executed: Executed) -> Self {
        Self { executed, begun: BTreeSet::new() }
    }
}

/// The same message may be held twice.
fn once_each(portions: &[Portion]) -> Vec<Portion> {
    let mut seen = BTreeSet::new();
    portions.iter().filter(|p| seen.insert(&p.work)).cloned().collect()
}

fn absorb(executed: &mut Executed, more: Executed) {
    executed.succeeded_instances += more.succeeded_instances;
    executed.failed_instances += more.failed_instances;
    executed.failed.extend(more.failed);
    executed.next.extend(more.next);
    executed.not_now.extend(more.not_now);
    executed.careful.extend(more.careful);
    executed.gone.extend(more.gone);
}

/// Locks what is free of it and may run, in the order of the work; says of the rest why not.
async fn claim(tx: &mut Tx, portions: &[Portion], mode: &Mode, executed: &mut Executed) -> Result<Vec<(WorkRow, Option<u32>)>, Error> {
    let wanted: Vec<WorkRef> = portions.iter().map(|p| p.work.clone()).collect();
    let token = match mode {
        Mode::Careful { token } => Some(token.as_str()),
        Mode::Normal | Mode::ByHand => None,
    };
    let mut rows = lock_free(tx, &wanted, Leases::Count(token)).await?;
    rows.sort_by(|a, b| a.work.cmp(&b.work));
    let missing: Vec<WorkRef> = wanted.iter().filter(|w| !rows.iter().any(|row| row.work == **w)).cloned().collect();
    if !missing.is_empty() {
        let present = present(tx, &missing).await?;
        for work in missing {
            if present.contains(&work) { executed.not_now.push(work) } else { executed.gone.push(work) }
        }
    }
    let mut claimed = vec![];
    for row in rows {
        let mine = match mode {
            Mode::Careful { token } => row.lease_token.as_ref() == Some(token),
            Mode::Normal | Mode::ByHand => !row.is_leased(),
        };
        if row.rests() || !mine {
            executed.not_now.push(row.work);
        } else if *mode == Mode::Normal && row.is_suspect() {
            executed.careful.push(row.work);
        } else {
            let jobs = portions.iter().find(|p| p.work == row.work).and_then(|p| p.jobs);
            claimed.push((row, jobs));
        }
    }
    Ok(claimed)
}

/// One row of work, claimed as the mode says.
pub(super) async fn claim_one(
    tx: &mut Tx,
    portion: &Portion,
    mode: &Mode,
    executed: &mut Executed,
) -> Result<Option<(WorkRow, Option<u32>)>, Error> {
    if *mode == Mode::ByHand {
        return claim_by_hand(tx, &portion.work, executed).await;
    }
    Ok(claim(tx, std::slice::from_ref(portion), mode, executed).await?.pop())
}

/// The job that a person executes; the pieces left of its run are to be published.
async fn claim_by_hand(tx: &mut Tx, job: &WorkRef, executed: &mut Executed) -> Result<Option<(WorkRow, Option<u32>)>, Error> {
    let Some((row, pieces)) = take_by_hand(tx, job).await? else {
        executed.gone.push(job.clone());
        return Ok(None);
    };
    executed.next.extend(pieces);
    Ok(Some((row, None)))
}

/// The job as a row of its own, locked, with the pieces left of its run. Suspension, due date, retries and leases do not
/// matter: a lease only keeps other workers away, and its holder finds the row gone.
async fn take_by_hand(tx: &mut Tx, job: &WorkRef) -> Result<Option<(WorkRow, Vec<WorkRef>)>, Error> {
    tx.optional("SELECT id FROM batch WHERE id = $1 {for update}", params![&job.batch]).await?;
    let Some(row) = find_job(tx, job).await? else { return Ok(None) };
    take_out(tx, row, job.number).await.map(Some)
}

/// executionStartTime of batches that had none: in the order of batches, as two workers may wait for each other here.
async fn note_begun(tx: &mut Tx, now: Millis, batches: &BTreeSet<String>) -> Result<(), Error> {
    let columns = Columns(vec![("batch", Column::texts(batches)), ("at", Column::same(now, batches.len()))]);
    tx.insert("batch_start", columns, "ON CONFLICT (batch) DO NOTHING").await?;
    Ok(())
}
