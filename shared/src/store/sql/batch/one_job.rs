//! Verbs about one job of a batch (design §5): the batch's lock first, then the job out of its run.
//!
//! The work to publish is given back: the job where it may run, and the firsts of all pieces that its run became.

use crate::clock::Millis;
use crate::id;
use crate::job::WorkRef;
use crate::process::history::JobEvent;
use crate::runner::Refusal;
use crate::store::sql::{Row, SqlStore, Tx, Verb, params};
use crate::store::{Caller, Error};

use super::complete::control_incident;
use super::fixed::Fixed;
use super::log::{self, Ended, LogRow};
use super::operations::{self, Operation};
use super::suspend::lock_batch;
use super::work_rows::{Incident, WorkRow, find_job, take_out};

const SET_RETRIES: Verb = Verb::named("set_batch_job_retries").durable();
const CHANGE: Verb = Verb::named("change_batch_job").durable();
const DELETE: Verb = Verb::named("delete_batch_job").durable();

/// New retries, and the new due date if one was given.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retries {
    pub retries: i32,
    pub due: Option<Option<Millis>>,
}

impl Retries {
    /// # Errors
    /// Negative ones are refused as the reference does (spec-batch-rest §2.5).
    pub(super) fn check(self) -> Result<Self, Error> {
        if self.retries < 0 {
            let text =
                format!("ENGINE-13054 The number of job retries must be a non-negative Integer, but '{}' has been provided.", self.retries);
            return Err(Refusal::engine(text).into());
        }
        Ok(self)
    }
}

/// What a person changes about a job besides its retries.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    Suspended(bool),
    Due(Option<Millis>),
    Priority(i64),
}

/// The prefix of the columns of a seed or monitor job; None for execution jobs.
pub(super) fn control_prefix(number: u32) -> Option<&'static str> {
    match number {
        id::SEED_JOB => Some("seed"),
        id::MONITOR_JOB => Some("monitor"),
        _ => None,
    }
}

impl SqlStore {
    pub(super) async fn set_retries(&self, caller: &Caller, job: &WorkRef, retries: Retries) -> Result<Option<Vec<WorkRef>>, Error> {
        let retries = retries.check()?;
        let mut tx = self.write(SET_RETRIES).await?;
        let Some((row, fixed)) = lock_batch(&mut tx, caller, &job.batch).await? else { return Ok(None) };
        let works = match control_prefix(job.number) {
            Some(prefix) => Some(set_control_retries(&mut tx, job, &fixed, &row, prefix, retries).await?),
            None => set_retries_in(&mut tx, job, &fixed, retries).await?,
        };
        if works.is_some() {
            let properties = vec![("retries", None, Some(retries.retries.to_string()))];
            operations::write(&mut tx, caller, row.int("now")?, &of_job("SetJobRetries", job, &fixed, properties)).await?;
        }
        tx.commit().await?;
        Ok(works)
    }

    pub(super) async fn change_job(&self, caller: &Caller, job: &WorkRef, change: Change) -> Result<Option<Vec<WorkRef>>, Error> {
        let mut tx = self.write(CHANGE).await?;
        let Some((row, fixed)) = lock_batch(&mut tx, caller, &job.batch).await? else { return Ok(None) };
        let works = match control_prefix(job.number) {
            Some(prefix) => {
                change_control(&mut tx, job, prefix, change).await?;
                Some(vec![])
            }
            None => change_in(&mut tx, job, change).await?,
        };
        if works.is_some() {
            let (kind, property, value) = match change {
                Change::Suspended(true) => ("SuspendJob", "suspensionState", Some("suspended".to_owned())),
                Change::Suspended(false) => ("ActivateJob", "suspensionState", Some("active".to_owned())),
                Change::Due(due) => ("SetDueDate", "duedate", due.map(|d| d.to_string())),
                Change::Priority(priority) => ("SetPriority", "priority", Some(priority.to_string())),
            };
            operations::write(&mut tx, caller, row.int("now")?, &of_job(kind, job, &fixed, vec![(property, None, value)])).await?;
        }
        tx.commit().await?;
        Ok(works)
    }

    pub(super) async fn delete_job(&self, caller: &Caller, job: &WorkRef) -> Result<Option<Vec<WorkRef>>, Error> {
        let mut tx = self.write(DELETE).await?;
        let deleted = self.delete_job_in(&mut tx, caller, job).await;
        tx.end(deleted).await
    }

    async fn delete_job_in(&self, tx: &mut Tx, caller: &Caller, job: &WorkRef) -> Result<Option<Vec<WorkRef>>, Error> {
        let Some((row, fixed)) = lock_batch(tx, caller, &job.batch).await? else { return Ok(None) };
        if control_prefix(job.number).is_some() {
            let text = format!("The seed and the monitor job of batch '{}' end with it; delete or suspend the batch instead.", job.batch);
            return Err(Refusal::new("BadUserRequestException", text).into());
        }
        let Some(found) = find_job(tx, job).await? else { return Ok(None) };
        let (own, pieces) = take_out(tx, found, job.number).await?;
        for sql in ["DELETE FROM job WHERE batch = $1 AND number = $2", "DELETE FROM failure WHERE batch = $1 AND number = $2"] {
            tx.execute(sql, params![&job.batch, job.number]).await?;
        }
        let sql = "UPDATE batch SET cancelled_instances = cancelled_instances + $2 WHERE id = $1";
        tx.execute(sql, params![&job.batch, own.ids.len()]).await?;
        let now = row.int("now")?;
        let gone = LogRow { ids: own.ids.clone(), ..LogRow::of(JobEvent::Deleted, &own, job.number, job.number) };
        log::write(tx, now, &self.options().hostname, &[(gone, &fixed)]).await?;
        let incident: Vec<_> = own.incident.into_iter().map(|i| (job.clone(), i, fixed.tenant_id.clone())).collect();
        log::close_incidents(tx, now, Ended::Deleted, &incident).await?;
        operations::write(tx, caller, now, &of_job("Delete", job, &fixed, vec![("jobId", None, None)])).await?;
        Ok(Some(pieces))
    }
}

fn of_job(kind: &'static str, job: &WorkRef, fixed: &Fixed, properties: Vec<(&'static str, Option<String>, Option<String>)>) -> Operation {
    Operation { kind, entity: "Job", properties, batch: job.batch.clone(), job: Some(job.clone()), tenant: fixed.tenant_id.clone() }
}

/// The job where it may run, after the pieces of its run.
fn to_publish(job: &WorkRow, mut pieces: Vec<WorkRef>) -> Vec<WorkRef> {
    if !job.rests() {
        pieces.push(job.work.clone());
    }
    pieces
}

/// When a job with retries is to be looked at: now, or when it is due.
fn wake_at(retries: i32, due: Option<Millis>, now: Millis) -> Option<Millis> {
    (retries > 0).then(|| due.map_or(now, |due| due.max(now)))
}

/// Under the batch's lock. More than 0 makes the job runnable at once and resolves its incident; 0 makes one.
pub(super) async fn set_retries_in(
    tx: &mut Tx,
    job: &WorkRef,
    fixed: &Fixed,
    Retries { retries, due }: Retries,
) -> Result<Option<Vec<WorkRef>>, Error> {
    let Some(found) = find_job(tx, job).await? else { return Ok(None) };
    let (mut own, pieces) = take_out(tx, found, job.number).await?;
    own.retries = retries;
    own.due = due.unwrap_or(own.due);
    own.wake_at = wake_at(retries, own.due, own.now);
    let ended = if retries > 0 { own.incident.take() } else { None };
    let ended: Vec<_> = ended.into_iter().map(|i| (job.clone(), i, fixed.tenant_id.clone())).collect();
    log::close_incidents(tx, own.now, Ended::Resolved, &ended).await?;
    if retries == 0 && own.incident.is_none() {
        own.incident = Some(Incident { id: id::new_id(), message: own.message.clone(), time: own.now, annotation: None });
    }
    tx.execute(
        "UPDATE job SET retries = $3, due = $4, wake_at = $5, wakes = 0, attempts = 0, lease_token = NULL, lease_until = NULL,
                incident_id = $6, incident_message = $7, incident_time = $8, incident_annotation = $9
         WHERE batch = $1 AND number = $2",
        params![
            &job.batch,
            job.number,
            retries,
            own.due,
            own.wake_at,
            own.incident.as_ref().map(|i| i.id.as_str()),
            own.incident.as_ref().and_then(|i| i.message.as_deref()),
            own.incident.as_ref().map(|i| i.time),
            own.incident.as_ref().and_then(|i| i.annotation.as_deref()),
        ],
    )
    .await?;
    Ok(Some(to_publish(&own, pieces)))
}

async fn change_in(tx: &mut Tx, job: &WorkRef, change: Change) -> Result<Option<Vec<WorkRef>>, Error> {
    let Some(found) = find_job(tx, job).await? else { return Ok(None) };
    let (mut own, pieces) = take_out(tx, found, job.number).await?;
    match change {
        Change::Suspended(suspended) => {
            own.suspended = suspended;
            // As with a whole batch: suspending leaves it, activating looks at it now.
            own.wake_at = if suspended { own.wake_at } else { own.wake_at.map(|_| own.now) };
        }
        Change::Due(due) => {
            own.due = due;
            own.wake_at = own.wake_at.and_then(|_| wake_at(own.retries, due, own.now));
        }
        Change::Priority(priority) => own.priority = priority,
    }
    tx.execute(
        "UPDATE job SET suspended = $3, due = $4, priority = $5, wake_at = $6, wakes = 0 WHERE batch = $1 AND number = $2",
        params![&job.batch, job.number, own.suspended, own.due, own.priority, own.wake_at],
    )
    .await?;
    Ok(Some(to_publish(&own, pieces)))
}

/// Of the seed or monitor job, which live in the batch row. Nothing to publish: the look afterwards sees what may go on.
pub(super) async fn set_control_retries(
    tx: &mut Tx,
    job: &WorkRef,
    fixed: &Fixed,
    row: &Row,
    prefix: &'static str,
    Retries { retries, due }: Retries,
) -> Result<Vec<WorkRef>, Error> {
    let now = row.int("now")?;
    let mut incident = control_incident(row, &format!("{prefix}_incident"))?;
    if retries > 0
        && let Some(ended) = incident.take()
    {
        log::close_incidents(tx, now, Ended::Resolved, &[(job.clone(), ended, fixed.tenant_id.clone())]).await?;
    }
    if retries == 0 && incident.is_none() {
        let message = row.optional_text(format!("{prefix}_error").as_str())?;
        incident = Some(Incident { id: id::new_id(), message, time: now, annotation: None });
    }
    let due = match due {
        Some(due) => due,
        None => row.optional_int(format!("{prefix}_due").as_str())?,
    };
    let incident = incident.map(|i| serde_json::to_string(&i).unwrap_or_default());
    let sql = format!("UPDATE batch SET {prefix}_retries = $2, {prefix}_due = $3, {prefix}_incident = $4 WHERE id = $1");
    tx.execute(&sql, params![&job.batch, retries, due, incident]).await?;
    Ok(vec![])
}

pub(super) async fn change_control(tx: &mut Tx, job: &WorkRef, prefix: &'static str, change: Change) -> Result<(), Error> {
    let (column, value) = match change {
        Change::Suspended(suspended) => ("suspended", suspended.into()),
        Change::Due(due) => ("due", due.into()),
        Change::Priority(priority) => ("priority", priority.into()),
    };
    tx.execute(&format!("UPDATE batch SET {prefix}_{column} = $2 WHERE id = $1"), vec![(&job.batch).into(), value]).await?;
    Ok(())
}
