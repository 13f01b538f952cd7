//! Reading batches, their history, failures and incidents.

use crate::batch::{Batch, HistoricBatch};
use crate::id;
use crate::job::WorkRef;
use crate::store::query::{BatchQuery, BatchSort, HistoricBatchQuery, HistoricBatchSort, Page};
use crate::store::sql::statement::Sql;
use crate::store::sql::{COUNT_TIMEOUT, Row, SqlStore, Verb, may_write};
use crate::store::views::{FailureGroup, FailureRow, IncidentView};
use crate::store::{Caller, Error};

use super::complete::control_incident;
use super::facts::{BATCHES, batch_of};
use super::log::definition_number;
use super::work_rows::{Incident, incident_of};

/// The type of every incident of a batch job.
const FAILED_JOB: &str = "failedJob";

fn filter(sql: &mut Sql, caller: &Caller, query: &BatchQuery) {
    sql.push(" WHERE TRUE").seen_by("b.tenant_id", caller).of_tenants("b.tenant_id", &query.tenants);
    sql.with_some(" AND b.id = ", query.id.as_deref())
        .with_some(" AND b.type = ", query.batch_type.as_deref())
        .with_some(" AND b.suspended = ", query.suspended)
        .with_some(" AND b.create_user_id = ", query.created_by.as_deref())
        .with_some(" AND b.start_time <= ", query.started_before)
        .with_some(" AND b.start_time >= ", query.started_after);
    if let Some(failures) = query.failures {
        sql.push(if failures { " AND EXISTS" } else { " AND NOT EXISTS" });
        sql.push(" (SELECT 1 FROM job f WHERE f.batch = b.id AND f.retries = 0)");
    }
}

fn filter_historic(sql: &mut Sql, caller: &Caller, query: &HistoricBatchQuery) {
    sql.push(" WHERE TRUE").seen_by("h.tenant_id", caller).of_tenants("h.tenant_id", &query.tenants);
    sql.with_some(" AND h.id = ", query.id.as_deref()).with_some(" AND h.type = ", query.batch_type.as_deref());
    match query.completed {
        Some(true) => sql.push(" AND h.end_time IS NOT NULL"),
        Some(false) => sql.push(" AND h.end_time IS NULL"),
        None => sql,
    };
}

fn historic_of(row: &Row) -> Result<HistoricBatch, Error> {
    let count = |column: &str| Ok::<_, Error>(row.optional_int(column)?.map(|n| u64::try_from(n).unwrap_or(0)));
    Ok(HistoricBatch {
        id: row.text("id")?,
        batch_type: row.text("type")?,
        total_instances: row.uint("total_instances")?,
        total_jobs: row.uint("total_jobs")?,
        batch_jobs_per_seed: row.number("batch_jobs_per_seed")?,
        invocations_per_batch_job: row.number("invocations_per_batch_job")?,
        tenant_id: row.optional_text("tenant_id")?,
        create_user_id: row.optional_text("create_user_id")?,
        start_time: row.int("start_time")?,
        execution_start_time: row.optional_int("begun")?,
        end_time: row.optional_int("end_time")?,
        removal_time: row.optional_int("removal_time")?,
        migrated_instances: count("migrated_instances")?,
        failed_instances: count("failed_instances")?,
        cancelled_instances: count("cancelled_instances")?,
    })
}

impl SqlStore {
    pub(super) async fn find_batches(&self, caller: &Caller, query: &BatchQuery, page: Page) -> Result<Vec<Batch>, Error> {
        let mut sql = Sql::new(self.dialect(), BATCHES);
        filter(&mut sql, caller, query);
        let column = |sort| match sort {
            BatchSort::Id => "b.id",
            BatchSort::TenantId => "b.tenant_id",
            BatchSort::StartTime => "b.start_time",
        };
        let sort: Vec<_> = query.sort.iter().map(|(sort, order)| (column(*sort), *order)).collect();
        sql.order_by(&sort, "b.id").page(page);
        let mut tx = self.read(Verb::named("batches").lasting(COUNT_TIMEOUT)).await?;
        let rows = sql.all(&mut tx).await?;
        tx.commit().await?;
        rows.iter().map(batch_of).collect()
    }

    pub(super) async fn count_all_batches(&self, caller: &Caller, query: &BatchQuery) -> Result<u64, Error> {
        let mut sql = Sql::new(self.dialect(), "SELECT count(*) AS n FROM batch b");
        filter(&mut sql, caller, query);
        let mut tx = self.read(Verb::named("count_batches")).await?;
        let n = sql.count(&mut tx).await?;
        tx.commit().await?;
        Ok(n)
    }

    pub(super) async fn find_historic(&self, caller: &Caller, query: &HistoricBatchQuery, page: Page) -> Result<Vec<HistoricBatch>, Error> {
        let mut sql = Sql::new(
            self.dialect(),
            "SELECT h.*, COALESCE(h.execution_start_time, (SELECT s.at FROM batch_start s WHERE s.batch = h.id)) AS begun
             FROM historic_batch h",
        );
        filter_historic(&mut sql, caller, query);
        let column = |sort| match sort {
            HistoricBatchSort::Id => "h.id",
            HistoricBatchSort::StartTime => "h.start_time",
            HistoricBatchSort::EndTime => "h.end_time",
            HistoricBatchSort::TenantId => "h.tenant_id",
        };
        let sort: Vec<_> = query.sort.iter().map(|(sort, order)| (column(*sort), *order)).collect();
        sql.order_by(&sort, "h.id").page(page);
        let mut tx = self.read(Verb::named("historic_batches")).await?;
        let rows = sql.all(&mut tx).await?;
        tx.commit().await?;
        rows.iter().map(historic_of).collect()
    }

    pub(super) async fn count_historic(&self, caller: &Caller, query: &HistoricBatchQuery) -> Result<u64, Error> {
        let mut sql = Sql::new(self.dialect(), "SELECT count(*) AS n FROM historic_batch h");
        filter_historic(&mut sql, caller, query);
        let mut tx = self.read(Verb::named("count_historic_batches")).await?;
        let n = sql.count(&mut tx).await?;
        tx.commit().await?;
        Ok(n)
    }

    pub(super) async fn groups_of_failures(&self, caller: &Caller, batch: &str, limit: u32) -> Result<Vec<FailureGroup>, Error> {
        let mut sql = Sql::new(
            self.dialect(),
            "SELECT f.reason, min(f.message) AS message, count(*) AS instances FROM failure f JOIN batch b ON b.id = f.batch",
        );
        sql.with(" WHERE f.batch = ", batch).seen_by("b.tenant_id", caller);
        sql.push(" GROUP BY f.reason ORDER BY instances DESC, f.reason").with(" LIMIT ", limit);
        let mut tx = self.read(Verb::named("failure_groups").lasting(COUNT_TIMEOUT)).await?;
        let rows = sql.all(&mut tx).await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| Ok(FailureGroup { reason: row.text("reason")?, message: row.text("message")?, instances: row.uint("instances")? }))
            .collect()
    }

    pub(super) async fn find_failures(
        &self,
        caller: &Caller,
        batch: &str,
        reason: Option<&str>,
        page: Page,
    ) -> Result<Vec<FailureRow>, Error> {
        let mut sql = Sql::new(
            self.dialect(),
            "SELECT f.number, f.instance, f.reason, f.message, f.time FROM failure f JOIN batch b ON b.id = f.batch",
        );
        sql.with(" WHERE f.batch = ", batch).with_some(" AND f.reason = ", reason).seen_by("b.tenant_id", caller);
        sql.push(" ORDER BY f.number, f.instance").page(page);
        let mut tx = self.read(Verb::named("failures")).await?;
        let rows = sql.all(&mut tx).await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| {
                Ok(FailureRow {
                    job: row.number("number")?,
                    instance_id: row.text("instance")?,
                    reason: row.text("reason")?,
                    message: row.text("message")?,
                    time: row.int("time")?,
                })
            })
            .collect()
    }

    /// In the order of their ids.
    pub(super) async fn open_incidents(&self, caller: &Caller, after: Option<&str>, limit: u32) -> Result<Vec<IncidentView>, Error> {
        let after = after.unwrap_or_default();
        let mut jobs = Sql::new(
            self.dialect(),
            "SELECT j.batch, j.number, j.incident_id, j.incident_message, j.incident_time, j.incident_annotation, b.tenant_id
             FROM job j JOIN batch b ON b.id = j.batch",
        );
        jobs.with(" WHERE j.incident_id > ", after).seen_by("b.tenant_id", caller);
        jobs.push(" ORDER BY j.incident_id").with(" LIMIT ", limit);
        let mut control = Sql::new(
            self.dialect(),
            "SELECT b.id AS batch, b.seed_incident, b.monitor_incident, b.tenant_id FROM batch b
             WHERE (b.seed_incident IS NOT NULL OR b.monitor_incident IS NOT NULL)",
        );
        control.seen_by("b.tenant_id", caller);
        let mut tx = self.read(Verb::named("batch_incidents")).await?;
        let (jobs, control) = (jobs.all(&mut tx).await?, control.all(&mut tx).await?);
        tx.commit().await?;
        let mut views = vec![];
        for row in &jobs {
            let job = WorkRef { batch: row.text("batch")?, number: row.number("number")? };
            views.extend(incident_of(row)?.map(|incident| view(&job, incident, None)));
            if let Some(view) = views.last_mut() {
                view.tenant_id = row.optional_text("tenant_id")?;
            }
        }
        for row in &control {
            for (column, number) in [("seed_incident", id::SEED_JOB), ("monitor_incident", id::MONITOR_JOB)] {
                let job = WorkRef { batch: row.text("batch")?, number };
                let tenant = row.optional_text("tenant_id")?;
                let open = control_incident(row, column)?.filter(|i| i.id.as_str() > after);
                views.extend(open.map(|incident| view(&job, incident, tenant)));
            }
        }
        views.sort_by(|a, b| a.id.cmp(&b.id));
        views.truncate(limit as usize);
        Ok(views)
    }

    pub(super) async fn annotate(&self, caller: &Caller, incident: &str, annotation: Option<String>) -> Result<bool, Error> {
        may_write(caller)?;
        let mut tx = self.write(Verb::named("annotate_batch_incident").durable()).await?;
        let mut sql = Sql::new(self.dialect(), "UPDATE job SET incident_annotation = ");
        sql.bind(annotation).with(" WHERE incident_id = ", incident);
        sql.push(" AND EXISTS (SELECT 1 FROM batch b WHERE b.id = job.batch").seen_by("b.tenant_id", caller).push(")");
        let changed = sql.execute(&mut tx).await?;
        tx.commit().await?;
        Ok(changed > 0)
    }
}

fn view(job: &WorkRef, incident: Incident, tenant_id: Option<String>) -> IncidentView {
    IncidentView {
        incident_type: FAILED_JOB.to_owned(),
        configuration: Some(id::numbered(&job.batch, job.number)),
        job_definition_id: Some(id::numbered(&job.batch, definition_number(job.number))),
        // An incident that no other caused is its own cause.
        cause_incident_id: Some(incident.id.clone()),
        root_cause_incident_id: Some(incident.id.clone()),
        message: incident.message,
        time: incident.time,
        annotation: incident.annotation,
        id: incident.id,
        tenant_id,
        ..IncidentView::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_incident_names_its_job_and_its_job_definition() {
        let batch = id::new_base();
        let incident = Incident { id: "i".into(), message: None, time: 7, annotation: None };
        let view = view(&WorkRef::new(batch.clone(), 5), incident, None);
        assert_eq!(view.configuration, Some(id::numbered(&batch, 5)));
        assert_eq!(view.job_definition_id, Some(id::numbered(&batch, id::BATCH_JOB_DEFINITION)));
    }
}
