//! Suspending, activating and deleting whole batches (design §5, §7.7): batch, chunk, run, job, one statement each.

use crate::clock::Millis;
use crate::id;
use crate::job::WorkRef;
use crate::process::history::JobEvent;
use crate::store::sql::{LONG_TIMEOUT, Row, SqlStore, Tx, Verb, may_write, params};
use crate::store::{Caller, Error};

use super::complete::{close_control_incidents, end};
use super::facts::facts;
use super::fixed::Fixed;
use super::log::{self, Ended, LogRow};
use super::operations::{self, Operation};
use super::work_rows::incident_of;

/// A batch may have a million job rows.
const SUSPEND: Verb = Verb::named("set_batch_suspended").lasting(LONG_TIMEOUT).durable();
const DELETE: Verb = Verb::named("delete_batch").lasting(LONG_TIMEOUT).durable();
const DELETE_HISTORIC: Verb = Verb::named("delete_historic_batch").lasting(LONG_TIMEOUT).durable();
/// Job rows deleted by one statement.
const JOBS_PER_STATEMENT: u32 = 10_000;

/// The batch's row under its lock, with the database's time; None: there is none, or it is another tenant's.
pub(super) async fn lock_batch(tx: &mut Tx, caller: &Caller, batch: &str) -> Result<Option<(Row, Fixed)>, Error> {
    may_write(caller)?;
    let sql = format!(
        "SELECT {}, total_instances, cancelled_instances, suspended, seed_suspended, seed_retries, seed_due, seed_priority, seed_error,
                seed_incident, monitor_suspended, monitor_retries, monitor_due, monitor_priority, monitor_error, monitor_incident,
                {{now}} AS now
         FROM batch WHERE id = $1 {{for update}}",
        Fixed::COLUMNS
    );
    let Some(row) = tx.optional(&sql, params![batch]).await? else { return Ok(None) };
    let fixed = Fixed::read(&row)?;
    Ok(caller.sees(fixed.tenant_id.as_deref()).then_some((row, fixed)))
}

/// Sets the suspension of all runs and job rows. Waits for the micro-batches in flight: afterwards nothing of it runs.
/// `wake_at` stays as it is, every reader filters; activating sets it to now where it is not null.
pub(super) async fn suspend_work(tx: &mut Tx, batch: &str, suspended: bool) -> Result<(), Error> {
    for table in ["run", "job"] {
        let sql = format!(
            "UPDATE {table} SET suspended = $2, wake_at = CASE WHEN $2 OR wake_at IS NULL THEN wake_at ELSE {{now}} END, wakes = 0
             WHERE batch = $1"
        );
        tx.execute(&sql, params![batch, suspended]).await?;
    }
    Ok(())
}

/// Work of the batch that may run now, at most its window of instances: to be published.
pub(super) async fn publishable(tx: &mut Tx, batch: &str) -> Result<Vec<WorkRef>, Error> {
    let window = facts(tx, &[batch.to_owned()]).await?.first().map_or(0, |f| f.window);
    let mut left = i64::try_from(window).unwrap_or(i64::MAX);
    let mut works = vec![];
    for (table, number) in [("run", "first"), ("job", "number")] {
        // A row has at least one instance, so no more rows than the window has instances are looked at.
        let sql = format!(
            "SELECT {number} AS number, items FROM {table}
             WHERE batch = $1 AND wake_at IS NOT NULL AND NOT suspended AND retries > 0 AND (due IS NULL OR due <= {{now}})
             ORDER BY {number} LIMIT $2"
        );
        for row in tx.all(&sql, params![batch, left.max(0)]).await? {
            if left <= 0 {
                break;
            }
            left -= row.int("items")?;
            works.push(WorkRef::new(batch, row.number("number")?));
        }
    }
    Ok(works)
}

impl SqlStore {
    pub(super) async fn suspend_batch(&self, caller: &Caller, batch: &str, suspended: bool) -> Result<Option<Vec<WorkRef>>, Error> {
        let mut tx = self.write(SUSPEND).await?;
        let Some((row, fixed)) = lock_batch(&mut tx, caller, batch).await? else { return Ok(None) };
        let sql = "UPDATE batch SET suspended = $2, seed_suspended = $2, monitor_suspended = $2 WHERE id = $1";
        tx.execute(sql, params![batch, suspended]).await?;
        tx.execute("UPDATE job_definition SET suspended = $2 WHERE batch_id = $1", params![batch, suspended]).await?;
        suspend_work(&mut tx, batch, suspended).await?;
        let works = if suspended { vec![] } else { publishable(&mut tx, batch).await? };
        let operation = Operation {
            kind: if suspended { "SuspendBatch" } else { "ActivateBatch" },
            entity: "Batch",
            properties: vec![("suspensionState", None, Some(if suspended { "suspended" } else { "active" }.to_owned()))],
            batch: batch.to_owned(),
            job: None,
            tenant: fixed.tenant_id,
        };
        operations::write(&mut tx, caller, row.int("now")?, &operation).await?;
        tx.commit().await?;
        Ok(Some(works))
    }

    pub(super) async fn remove_batch(&self, caller: &Caller, batch: &str, cascade: bool) -> Result<bool, Error> {
        let mut tx = self.write(DELETE).await?;
        let Some((row, fixed)) = lock_batch(&mut tx, caller, batch).await? else { return Ok(false) };
        let now = row.int("now")?;
        let (total, cancelled) = (row.uint("total_instances")?, row.uint("cancelled_instances")?);
        let (left, failed) = self.remove_work(&mut tx, batch, &fixed, now, cascade, &row).await?;
        close_control_incidents(&mut tx, now, batch, &fixed, &row).await?;
        end(&mut tx, batch, now, [total.saturating_sub(left + cancelled), failed, cancelled + left - failed]).await?;
        let operation = Operation {
            kind: "Delete",
            entity: "Batch",
            properties: vec![("cascadeToHistory", None, Some(cascade.to_string()))],
            batch: batch.to_owned(),
            job: None,
            tenant: fixed.tenant_id.clone(),
        };
        operations::write(&mut tx, caller, now, &operation).await?;
        if cascade {
            remove_history(&mut tx, batch).await?;
        }
        tx.execute("DELETE FROM batch WHERE id = $1", params![batch]).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Chunks, runs, jobs: gives the instances that were left, and those among them whose jobs had failed.
    async fn remove_work(
        &self,
        tx: &mut Tx,
        batch: &str,
        fixed: &Fixed,
        now: Millis,
        cascade: bool,
        control: &Row,
    ) -> Result<(u64, u64), Error> {
        let chunks = "SELECT CAST(COALESCE(sum(items), 0) AS BIGINT) AS items FROM chunk WHERE batch = $1";
        let unseeded = tx.one(chunks, params![batch]).await?.uint("items")?;
        tx.execute("DELETE FROM chunk WHERE batch = $1", params![batch]).await?;
        let (mut left, mut failed, mut log) = (unseeded, 0, vec![]);
        let (number, retries, priority) = if unseeded > 0 {
            (id::SEED_JOB, control.int32("seed_retries")?, control.int("seed_priority")?)
        } else {
            (id::MONITOR_JOB, control.int32("monitor_retries")?, control.int("monitor_priority")?)
        };
        log.push(LogRow::control(JobEvent::Deleted, batch, number, retries, priority));
        let runs = "DELETE FROM run WHERE batch = $1 RETURNING first, last, items, due, retries, priority, deployment_id";
        for row in tx.all(runs, params![batch]).await? {
            left += row.uint("items")?;
            log.push(LogRow { last: row.number("last")?, ..deleted(batch, &row)? });
        }
        loop {
            let jobs = "DELETE FROM job WHERE batch = $1 AND number IN (SELECT number FROM job WHERE batch = $1 ORDER BY number LIMIT $2)
                 RETURNING number AS first, items, due, retries, priority, deployment_id,
                           incident_id, incident_message, incident_time, incident_annotation";
            let rows = tx.all(jobs, params![batch, JOBS_PER_STATEMENT]).await?;
            let mut incidents = vec![];
            for row in &rows {
                left += row.uint("items")?;
                failed += if row.int("retries")? == 0 { row.uint("items")? } else { 0 };
                let job = WorkRef::new(batch, row.number("first")?);
                incidents.extend(incident_of(row)?.map(|incident| (job, incident, fixed.tenant_id.clone())));
                log.push(deleted(batch, row)?);
            }
            if !cascade {
                log::close_incidents(tx, now, Ended::Deleted, &incidents).await?;
                let ranges: Vec<_> = in_ranges(std::mem::take(&mut log)).into_iter().map(|row| (row, fixed)).collect();
                log::write(tx, now, &self.options().hostname, &ranges).await?;
            }
            if rows.is_empty() {
                return Ok((left, failed));
            }
            log.clear();
        }
    }

    pub(super) async fn remove_historic_batch(&self, caller: &Caller, batch: &str) -> Result<bool, Error> {
        may_write(caller)?;
        let mut tx = self.write(DELETE_HISTORIC).await?;
        let sql = "SELECT tenant_id, {now} AS now FROM historic_batch WHERE id = $1 {for update}";
        let Some(row) = tx.optional(sql, params![batch]).await? else { return Ok(false) };
        let tenant = row.optional_text("tenant_id")?;
        if !caller.sees(tenant.as_deref()) {
            return Ok(false);
        }
        remove_history(&mut tx, batch).await?;
        let operation = Operation {
            kind: "DeleteHistory",
            entity: "Batch",
            properties: vec![("nrOfInstances", None, Some("1".to_owned()))],
            batch: batch.to_owned(),
            job: None,
            tenant,
        };
        operations::write(&mut tx, caller, row.int("now")?, &operation).await?;
        tx.commit().await?;
        Ok(true)
    }
}

async fn remove_history(tx: &mut Tx, batch: &str) -> Result<(), Error> {
    for sql in [
        "DELETE FROM historic_batch WHERE id = $1",
        "DELETE FROM job_log WHERE batch_id = $1",
        "DELETE FROM historic_batch_incident WHERE batch_id = $1",
    ] {
        tx.execute(sql, params![batch]).await?;
    }
    Ok(())
}

fn deleted(batch: &str, row: &Row) -> Result<LogRow, Error> {
    let first = row.number("first")?;
    let control = LogRow::control(JobEvent::Deleted, batch, first, row.int32("retries")?, row.int("priority")?);
    Ok(LogRow { due: row.optional_int("due")?, deployment_id: row.optional_text("deployment_id")?, ..control })
}

/// Neighbours that are alike as one row.
fn in_ranges(mut rows: Vec<LogRow>) -> Vec<LogRow> {
    rows.sort_by_key(|row| row.first);
    let mut ranges: Vec<LogRow> = vec![];
    for row in rows {
        let like = |last: &LogRow| {
            let facts = |r: &LogRow| (r.due, r.retries, r.priority);
            last.last + 1 == row.first
                && row.first > id::FIRST_EXECUTION_JOB
                && facts(last) == facts(&row)
                && last.deployment_id == row.deployment_id
        };
        match ranges.last_mut() {
            Some(last) if like(last) => last.last = row.last,
            _ => ranges.push(row),
        }
    }
    ranges
}
