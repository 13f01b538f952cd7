//! The job log of instances' own jobs: a row of an instance's job stands for itself (design §5).

use super::{Column, Columns, Tx};
use crate::id;
use crate::process::history::{Closed, JobEvent};
use crate::process::instance::{Instance, InstanceJob};
use crate::store::Error;

/// One event of one job.
pub(crate) struct JobLogRow {
    id: String,
    job: InstanceJob,
    event: &'static str,
    time: i64,
    instance_id: String,
    definition_key: String,
    root_instance: String,
    tenant_id: Option<String>,
}

pub(crate) fn rows_of(instance: &Instance, definition_key: &str, closed: &[Closed]) -> Vec<JobLogRow> {
    let row = |closed: &Closed| {
        let Closed::Job { record, event, time } = closed else { return None };
        Some(JobLogRow {
            id: id::new_base(),
            event: name_of(*event),
            time: *time,
            instance_id: instance.id.clone(),
            definition_key: super::history_rows::key_in(&record.definition_id).unwrap_or(definition_key).to_owned(),
            root_instance: instance.root_instance.clone().unwrap_or_else(|| instance.id.clone()),
            tenant_id: instance.tenant_id.clone(),
            job: record.clone(),
        })
    };
    closed.iter().filter_map(row).collect()
}

fn name_of(event: JobEvent) -> &'static str {
    match event {
        JobEvent::Created => "created",
        JobEvent::Failed => "failed",
        JobEvent::Succeeded => "succeeded",
        JobEvent::Deleted => "deleted",
    }
}

pub(crate) async fn insert(tx: &mut Tx, rows: &[JobLogRow]) -> Result<(), Error> {
    if rows.is_empty() {
        return Ok(());
    }
    let text = |of: fn(&JobLogRow) -> &str| Column::texts(rows.iter().map(of));
    let optional = |of: fn(&JobLogRow) -> Option<String>| Column::optional_texts(rows.iter().map(of));
    // What failed is kept on the job; other events say nothing of an earlier failure.
    let of_failure = |of: fn(&InstanceJob) -> &Option<String>| {
        Column::optional_texts(rows.iter().map(|r| if r.event == "failed" { of(&r.job).clone() } else { None }))
    };
    let columns = Columns(vec![
        ("id", text(|r| &r.id)),
        ("time", Column::ints(rows.iter().map(|r| r.time))),
        ("event", text(|r| r.event)),
        ("entries", Column::same(1_i64, rows.len())),
        ("job_id", text(|r| &r.job.id)),
        ("job_due", Column::optional_ints(rows.iter().map(|r| r.job.due))),
        ("job_retries", Column::ints(rows.iter().map(|r| r.job.retries))),
        ("job_priority", Column::ints(rows.iter().map(|r| r.job.priority))),
        ("message", of_failure(|job| &job.exception_message)),
        ("details", of_failure(|job| &job.exception_stacktrace)),
        ("job_definition_id", optional(|r| r.job.job_definition_id.clone())),
        ("job_definition_type", text(|r| r.job.handler.job_type())),
        ("job_definition_configuration", text(|r| &r.job.configuration)),
        ("activity_id", text(|r| &r.job.activity_id)),
        ("failed_activity_id", of_failure(|job| &job.failed_activity_id)),
        ("execution_id", text(|r| &r.job.execution_id)),
        ("process_instance_id", text(|r| &r.instance_id)),
        ("process_definition_id", text(|r| &r.job.definition_id)),
        ("process_definition_key", text(|r| &r.definition_key)),
        ("deployment_id", text(|r| &r.job.deployment_id)),
        ("root_process_instance_id", text(|r| &r.root_instance)),
        ("tenant_id", optional(|r| r.tenant_id.clone())),
    ]);
    tx.insert("job_log", columns, "").await?;
    Ok(())
}
