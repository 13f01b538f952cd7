//! Completing a batch, and the visible due date of its monitor job (design §7.5).

use crate::clock::Millis;
use crate::id;
use crate::process::history::JobEvent;
use crate::store::Error;
use crate::store::sql::{Row, SqlStore, Tx, Verb, params};

use super::fixed::Fixed;
use super::log::{self, Ended, LogRow};
use super::work_rows::Incident;

const COMPLETE: Verb = Verb::named("complete").by_key();
const POLL_MONITOR: Verb = Verb::named("poll_monitor").by_key();

impl SqlStore {
    /// One statement decides. Jobs move only chunk → run → job → gone, so what it finds empty stays so, and the batch's lock
    /// is not needed.
    pub(super) async fn complete_batch(&self, batch: &str) -> Result<bool, Error> {
        let mut tx = self.write(COMPLETE).await?;
        let sql = format!(
            "DELETE FROM batch WHERE id = $1 AND NOT monitor_suspended
                AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.batch = $1)
                AND NOT EXISTS (SELECT 1 FROM run WHERE run.batch = $1)
                AND NOT EXISTS (SELECT 1 FROM job WHERE job.batch = $1)
             RETURNING {}, total_instances, cancelled_instances, monitor_retries, monitor_priority, seed_incident, monitor_incident,
                       {{now}} AS now",
            Fixed::COLUMNS
        );
        let Some(row) = tx.optional(&sql, params![batch]).await? else { return Ok(false) };
        let (fixed, now) = (Fixed::read(&row)?, row.int("now")?);
        let done = row.uint("total_instances")?.saturating_sub(row.uint("cancelled_instances")?);
        let success =
            LogRow::control(JobEvent::Succeeded, batch, id::MONITOR_JOB, row.int32("monitor_retries")?, row.int("monitor_priority")?);
        log::write(&mut tx, now, &self.options().hostname, &[(success, &fixed)]).await?;
        close_control_incidents(&mut tx, now, batch, &fixed, &row).await?;
        end(&mut tx, batch, now, [done, 0, row.uint("cancelled_instances")?]).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn poll_monitor_job(&self, batch: &str, poll_time: Millis) -> Result<(), Error> {
        let mut tx = self.write(POLL_MONITOR).await?;
        // Whoever holds the batch is busy with it: the next look will do.
        let held = tx.optional("SELECT id FROM batch WHERE id = $1 {skip locked}", params![batch]).await?;
        if held.is_some() {
            tx.execute(
                "UPDATE batch SET monitor_due = {now} + $2
                 WHERE id = $1 AND (monitor_due IS NULL OR monitor_due <= {now})
                   AND NOT EXISTS (SELECT 1 FROM chunk WHERE chunk.batch = $1)",
                params![batch, poll_time],
            )
            .await?;
        }
        tx.commit().await
    }
}

/// What is left of an ended batch beside its work: its start, definitions and failures go, its history gets an end.
pub(super) async fn end(tx: &mut Tx, batch: &str, now: Millis, [migrated, failed, cancelled]: [u64; 3]) -> Result<(), Error> {
    tx.execute(
        "UPDATE historic_batch SET end_time = $2, migrated_instances = $3, failed_instances = $4, cancelled_instances = $5,
                execution_start_time = (SELECT at FROM batch_start WHERE batch = $1)
         WHERE id = $1",
        params![batch, now, migrated, failed, cancelled],
    )
    .await?;
    for sql in [
        "DELETE FROM failure WHERE batch = $1",
        "DELETE FROM batch_start WHERE batch = $1",
        "DELETE FROM job_definition WHERE batch_id = $1",
    ] {
        tx.execute(sql, params![batch]).await?;
    }
    Ok(())
}

/// The open incident of the seed or the monitor job, kept as JSON in the batch row.
pub(super) fn control_incident(row: &Row, column: &str) -> Result<Option<Incident>, Error> {
    let Some(text) = row.optional_text(column)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|e| crate::store::sql::corrupt("incident of a batch", column, &e))
}

/// The batch ends, and with it what its seed and monitor jobs complained of.
pub(super) async fn close_control_incidents(tx: &mut Tx, now: Millis, batch: &str, fixed: &Fixed, row: &Row) -> Result<(), Error> {
    let mut open = vec![];
    for (column, number) in [("seed_incident", id::SEED_JOB), ("monitor_incident", id::MONITOR_JOB)] {
        if let Some(incident) = control_incident(row, column)? {
            open.push((crate::job::WorkRef::new(batch, number), incident, fixed.tenant_id.clone()));
        }
    }
    log::close_incidents(tx, now, Ended::Deleted, &open).await
}
