//! Verbs on one job of a batch, or on the jobs of one definition: the batch's lock first, then the job out of its run.

use std::sync::Arc;

use super::claim::{Hold, claimed};
use super::rows::{BatchRow, Job, Key, LogEvent, LogRow, Row, Run, WorkState};
use super::tx::Tx;
use super::{Broken, ModelStore};
use crate::batch::ControlJob;
use crate::clock::Millis;
use crate::id::{BATCH_JOB_DEFINITION, FIRST_EXECUTION_JOB, MONITOR_JOB, SEED_JOB};
use crate::job::{ONE_BY_ONE_ATTEMPTS, WorkRef};
use crate::store::{Error, Executed, Portion};

/// A job in a row of its own, locked, and the firsts of what is left of its run.
pub(super) struct TakenOut {
    pub key: Key,
    pub job: Job,
    pub pieces: Vec<WorkRef>,
}

impl ModelStore {
    /// One change of one job: seed and monitor jobs by `control`, execution jobs by `change` (None: it is deleted).
    pub(super) async fn change_job(
        &self,
        verb: &'static str,
        work: &WorkRef,
        control: impl FnOnce(&mut ControlJob) + Send,
        change: impl FnOnce(&mut Job, Millis) + Send,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        let mut tx = self.begin(verb).await?;
        let unlocked = self.is_broken(Broken::ChangesJobsUnlocked) && work.number >= FIRST_EXECUTION_JOB;
        if !unlocked && !tx.lock(&Key::Batch(work.batch.clone())).await? {
            return Ok(None);
        }
        if work.number < FIRST_EXECUTION_JOB {
            let Some(batch) = tx.batch(&work.batch)? else { return Ok(None) };
            let mut row = (*batch).clone();
            control(if work.number == SEED_JOB { &mut row.seed_job } else { &mut row.monitor_job });
            write_batch(&mut tx, row).await?;
            tx.commit().await?;
            return Ok(Some(vec![]));
        }
        let Some(mut taken) = take_out(&mut tx, work).await? else { return Ok(None) };
        change(&mut taken.job, tx.now);
        tx.step().await;
        let mut next = taken.pieces;
        if taken.job.state.may_run(tx.now) {
            next.push(work.clone());
        }
        tx.put(taken.key, Row::Job(taken.job)).await?;
        tx.commit().await?;
        Ok(Some(next))
    }

    pub(super) async fn delete_job(&self, work: &WorkRef) -> Result<Option<Vec<WorkRef>>, Error> {
        let mut tx = self.begin("delete_job").await?;
        if work.number < FIRST_EXECUTION_JOB || !tx.lock(&Key::Batch(work.batch.clone())).await? {
            return Ok(None);
        }
        let Some(taken) = take_out(&mut tx, work).await? else { return Ok(None) };
        for id in &taken.job.ids {
            tx.delete(Key::Failure(work.batch.clone(), work.number, id.clone())).await?;
        }
        tx.delete(taken.key).await?;
        let Some(batch) = tx.batch(&work.batch)? else { return Ok(None) };
        let mut row = (*batch).clone();
        row.cancelled += if self.is_broken(Broken::LosesCancelled) { 0 } else { taken.job.ids.len() as u64 };
        write_batch(&mut tx, row).await?;
        let (first, last, now) = (work.number, work.number, tx.now);
        tx.log(LogRow { batch: work.batch.clone(), event: LogEvent::JobDeleted, first, last, ids: taken.job.ids, time: now }).await?;
        tx.commit().await?;
        Ok(Some(taken.pieces))
    }

    /// Only jobs with no retries left take the new ones.
    pub(super) async fn retry_all(
        &self,
        definition: &WorkRef,
        retries: i32,
        due: Option<Option<Millis>>,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        let mut tx = self.begin("set_definition_retries").await?;
        if !tx.lock(&Key::Batch(definition.batch.clone())).await? {
            return Ok(None);
        }
        let Some(batch) = tx.batch(&definition.batch)? else { return Ok(None) };
        if definition.number != BATCH_JOB_DEFINITION {
            let mut row = (*batch).clone();
            let job = if definition.number == BATCH_JOB_DEFINITION - 2 { &mut row.seed_job } else { &mut row.monitor_job };
            if job.retries == 0 {
                set_control_retries(job, retries, due);
            }
            write_batch(&mut tx, row).await?;
            tx.commit().await?;
            return Ok(Some(vec![]));
        }
        if retries == 0 {
            return Ok(Some(vec![]));
        }
        tx.step().await;
        let window = self.window(&tx, &batch)?;
        let (mut next, mut instances) = (vec![], 0);
        for (key, _) in tx.jobs(&definition.batch)? {
            tx.lock(&key).await?;
            let Some(mut job) = tx.job(&key)?.filter(|job| job.state.retries == 0) else { continue };
            let incident = job.incident.clone();
            set_retries(&mut job, retries, due, tx.now);
            job.incident = incident;
            // Looked at now, even if it is due later.
            job.state.wake_at = Some(tx.now);
            if job.state.may_run(tx.now) && instances < window {
                instances += job.ids.len() as u64;
                next.push(WorkRef::new(definition.batch.clone(), job.number));
            }
            tx.put(key, Row::Job(job)).await?;
        }
        tx.commit().await?;
        Ok(Some(next))
    }

    /// The one job that a person executes, whatever it says. Its run's other pieces are to be published.
    pub(super) async fn claim_by_hand(&self, tx: &mut Tx<'_>, portions: &[Portion], out: &mut Executed) -> Result<Vec<Hold>, Error> {
        let mut holds = vec![];
        for Portion { work, .. } in portions {
            let taken = if tx.lock(&Key::Batch(work.batch.clone())).await? { take_out(tx, work).await? } else { None };
            let Some(taken) = taken else {
                out.gone.push(work.clone());
                continue;
            };
            out.next.extend(taken.pieces);
            tx.put(taken.key.clone(), Row::Job(taken.job)).await?;
            if let Some((claimed, state)) = claimed(tx, work, &taken.key, None)? {
                holds.push(Hold { key: taken.key, claimed, state });
            }
        }
        Ok(holds)
    }
}

/// More than 0 makes it runnable at once and resolves its incident; 0 makes one, as if it had failed.
pub(super) fn set_retries(job: &mut Job, retries: i32, due: Option<Option<Millis>>, now: Millis) {
    job.state.retries = retries;
    (job.state.attempts, job.state.wakes, job.state.lease) = (0, 0, None);
    if let Some(due) = due {
        job.state.due = due;
    }
    job.state.wake_at = (retries > 0).then(|| job.state.due.unwrap_or(now).max(now));
    if retries > 0 {
        job.incident = None;
    } else if job.incident.is_none() {
        job.incident = Some((job.message.clone().unwrap_or_default(), now));
    }
}

pub(super) fn set_due(job: &mut Job, due: Option<Millis>, now: Millis) {
    (job.state.due, job.state.wakes) = (due, 0);
    job.state.wake_at = job.state.wake_at.map(|_| due.unwrap_or(now).max(now));
}

pub(super) fn set_control_retries(job: &mut ControlJob, retries: i32, due: Option<Option<Millis>>) {
    job.retries = retries;
    if let Some(due) = due {
        job.due = due;
    }
}

pub(super) async fn write_batch(tx: &mut Tx<'_>, row: BatchRow) -> Result<(), Error> {
    tx.put(Key::Batch(row.id.clone()), Row::Batch(Arc::new(row))).await
}

/// Under the batch's lock: chunk, run, job, one statement each, so that what moved meanwhile is seen.
pub(super) async fn take_out(tx: &mut Tx<'_>, work: &WorkRef) -> Result<Option<TakenOut>, Error> {
    tx.step().await;
    let holds = |run: &Run| (run.first..=run.last).contains(&work.number);
    if tx.chunks(&work.batch)?.iter().any(|(_, chunk)| chunk.first <= work.number) {
        return Ok(None);
    }
    tx.step().await;
    if let Some((key, _)) = tx.runs(&work.batch)?.into_iter().find(|(_, run)| holds(run)) {
        tx.lock(&key).await?;
        if let Some(run) = tx.run(&key)?.filter(|run| holds(run)) {
            return split(tx, work, key, run).await.map(Some);
        }
    }
    tx.step().await;
    let key = Key::Job(work.batch.clone(), work.number);
    tx.lock(&key).await?;
    Ok(tx.job(&key)?.map(|job| TakenOut { key, job, pieces: vec![] }))
}

/// The run without one job: the front piece keeps the row, the piece behind it is a new one.
async fn split(tx: &mut Tx<'_>, work: &WorkRef, key: Key, run: Run) -> Result<TakenOut, Error> {
    let k = run.k as usize;
    let at = (work.number - run.first) as usize * k;
    let (front, rest) = run.ids.split_at(at);
    let (ids, back) = rest.split_at(k.min(rest.len()));
    let mut pieces = vec![];
    let mut state = run.state.clone();
    (state.lease, state.wakes) = (None, 0);
    if !front.is_empty() {
        state.attempts = state.attempts.min(ONE_BY_ONE_ATTEMPTS);
    }
    // In place, or a row of its own.
    let wakes = if front.is_empty() { run.state.wakes } else { 0 };
    let behind_state = WorkState { attempts: run.state.attempts.min(ONE_BY_ONE_ATTEMPTS), wakes, ..state.clone() };
    let behind = Run { first: work.number + 1, ids: back.to_vec(), state: behind_state, ..run.clone() };
    let mut behind_key = key.clone();
    tx.step().await;
    if front.is_empty() && back.is_empty() {
        tx.delete(key).await?;
    } else if !front.is_empty() {
        pieces.push(WorkRef::new(work.batch.clone(), run.first));
        tx.put(key, Row::Run(Run { last: work.number - 1, ids: front.to_vec(), ..run.clone() })).await?;
        behind_key = Key::Run(work.batch.clone(), tx.next_number());
    }
    if !back.is_empty() {
        pieces.push(WorkRef::new(work.batch.clone(), behind.first));
        tx.put(behind_key, Row::Run(behind)).await?;
    }
    let job = Job { number: work.number, ids: ids.to_vec(), state, message: None, details: None, incident: None };
    Ok(TakenOut { key: Key::Job(work.batch.clone(), work.number), job, pieces })
}

/// Which of a batch's two control jobs a number names.
pub(super) fn is_monitor(number: u32) -> bool {
    number == MONITOR_JOB
}
