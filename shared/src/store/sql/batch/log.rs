//! Writing the job log and closed incidents of batches: ranges, spread out on reading (design §5).

use crate::batch::BatchType;
use crate::clock::Millis;
use crate::id;
use crate::job::WorkRef;
use crate::process::history::JobEvent;
use crate::store::Error;
use crate::store::sql::{Column, Columns, Tx};

use super::fixed::Fixed;
use super::work_rows::{Incident, WorkRow, json};

/// One row of the log of a batch.
#[derive(Clone, Debug)]
pub(super) struct LogRow {
    pub event: JobEvent,
    pub batch: String,
    pub first: u32,
    pub last: u32,
    pub except: Vec<u32>,
    pub due: Option<Millis>,
    pub retries: i32,
    pub priority: i64,
    pub message: Option<String>,
    pub details: Option<String>,
    pub deployment_id: Option<String>,
    pub ids: Vec<String>,
}

impl LogRow {
    /// About one whole run or job row, or about the jobs `first` to `last` of it.
    pub(super) fn of(event: JobEvent, row: &WorkRow, first: u32, last: u32) -> Self {
        Self {
            event,
            batch: row.work.batch.clone(),
            first,
            last,
            except: vec![],
            due: row.due,
            retries: row.retries,
            priority: row.priority,
            message: None,
            details: None,
            deployment_id: row.deployment_id.clone(),
            ids: vec![],
        }
    }

    /// About the seed or the monitor job.
    pub(super) fn control(event: JobEvent, batch: &str, number: u32, retries: i32, priority: i64) -> Self {
        Self {
            event,
            batch: batch.to_owned(),
            first: number,
            last: number,
            except: vec![],
            due: None,
            retries,
            priority,
            message: None,
            details: None,
            deployment_id: None,
            ids: vec![],
        }
    }

    fn entries(&self) -> i64 {
        i64::from(self.last) - i64::from(self.first) + 1 - self.except.len() as i64
    }
}

/// The number of the job definition of the job with this number.
pub(super) fn definition_number(job: u32) -> u32 {
    match job {
        id::SEED_JOB => id::SEED_JOB_DEFINITION,
        id::MONITOR_JOB => id::MONITOR_JOB_DEFINITION,
        _ => id::BATCH_JOB_DEFINITION,
    }
}

pub(super) const SEED_JOB_TYPE: &str = "batch-seed-job";
pub(super) const MONITOR_JOB_TYPE: &str = "batch-monitor-job";

/// The `jobType` of the job definition of the job with this number.
pub(super) fn job_type(job: u32, batch_type: BatchType) -> &'static str {
    match job {
        id::SEED_JOB => SEED_JOB_TYPE,
        id::MONITOR_JOB => MONITOR_JOB_TYPE,
        _ => batch_type.name(),
    }
}

pub(super) fn event_name(event: JobEvent) -> &'static str {
    match event {
        JobEvent::Created => "created",
        JobEvent::Failed => "failed",
        JobEvent::Succeeded => "succeeded",
        JobEvent::Deleted => "deleted",
    }
}

/// Writes rows of batches, each with what is fixed for its batch.
pub(super) async fn write(tx: &mut Tx, now: Millis, hostname: &str, rows: &[(LogRow, &Fixed)]) -> Result<(), Error> {
    let n = rows.len();
    let columns = Columns(vec![
        ("id", Column::texts(rows.iter().map(|_| id::new_base()))),
        ("time", Column::same(now, n)),
        ("event", Column::texts(rows.iter().map(|(r, _)| event_name(r.event)))),
        ("batch_id", Column::texts(rows.iter().map(|(r, _)| &r.batch))),
        ("first", Column::ints(rows.iter().map(|(r, _)| r.first))),
        ("last", Column::ints(rows.iter().map(|(r, _)| r.last))),
        ("except_numbers", Column::optional_texts(rows.iter().map(|(r, _)| numbers(&r.except)))),
        ("entries", Column::ints(rows.iter().map(|(r, _)| r.entries()))),
        ("job_due", Column::optional_ints(rows.iter().map(|(r, _)| r.due))),
        ("job_retries", Column::ints(rows.iter().map(|(r, _)| r.retries))),
        ("job_priority", Column::ints(rows.iter().map(|(r, _)| r.priority))),
        ("message", Column::optional_texts(rows.iter().map(|(r, _)| r.message.clone()))),
        ("details", Column::optional_texts(rows.iter().map(|(r, _)| r.details.clone()))),
        ("job_definition_id", Column::texts(rows.iter().map(|(r, _)| id::numbered(&r.batch, definition_number(r.first))))),
        ("job_definition_type", Column::texts(rows.iter().map(|(r, f)| job_type(r.first, f.batch_type())))),
        ("job_definition_configuration", Column::texts(rows.iter().map(|(r, _)| &r.batch))),
        ("deployment_id", Column::optional_texts(rows.iter().map(|(r, _)| r.deployment_id.clone()))),
        ("tenant_id", Column::optional_texts(rows.iter().map(|(_, f)| f.tenant_id.clone()))),
        ("hostname", Column::same(hostname, n)),
        ("k", Column::ints(rows.iter().map(|(_, f)| f.invocations_per_batch_job))),
        ("ids", Column::optional_texts(rows.iter().map(|(r, _)| (!r.ids.is_empty()).then(|| json(&r.ids))))),
    ]);
    tx.insert("job_log", columns, "").await?;
    Ok(())
}

fn numbers(except: &[u32]) -> Option<String> {
    (!except.is_empty()).then(|| serde_json::to_string(except).unwrap_or_default())
}

/// How an incident of a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Resolved,
    Deleted,
}

impl Ended {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Deleted => "deleted",
        }
    }
}

/// Writes incidents that are over into history; not of batches whose history was deleted while they run.
pub(super) async fn close_incidents(
    tx: &mut Tx,
    now: Millis,
    ended: Ended,
    incidents: &[(WorkRef, Incident, Option<String>)],
) -> Result<(), Error> {
    let n = incidents.len();
    let columns = Columns(vec![
        ("id", Column::texts(incidents.iter().map(|(_, i, _)| &i.id))),
        ("batch_id", Column::texts(incidents.iter().map(|(w, ..)| &w.batch))),
        ("number", Column::ints(incidents.iter().map(|(w, ..)| w.number))),
        ("job_definition_id", Column::texts(incidents.iter().map(|(w, ..)| id::numbered(&w.batch, definition_number(w.number))))),
        ("message", Column::optional_texts(incidents.iter().map(|(_, i, _)| i.message.clone()))),
        ("annotation", Column::optional_texts(incidents.iter().map(|(_, i, _)| i.annotation.clone()))),
        ("tenant_id", Column::optional_texts(incidents.iter().map(|(.., tenant)| tenant.clone()))),
        ("created", Column::ints(incidents.iter().map(|(_, i, _)| i.time))),
        ("ended", Column::same(now, n)),
        ("state", Column::same(ended.name(), n)),
    ]);
    let kept = "AND EXISTS (SELECT 1 FROM historic_batch h WHERE h.id = listed.batch_id) ON CONFLICT (id) DO NOTHING";
    tx.insert("historic_batch_incident", columns, kept).await?;
    Ok(())
}
