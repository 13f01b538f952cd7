//! Jobs of batches as callers list them: seed and monitor jobs, jobs in runs spread out, job rows (design §5).
//!
//! A run is one row of the answer until it is spread: a running sum over the ordered rows finds the page, so that listing
//! a hundred jobs of a million reads what it shows.

use crate::id;
use crate::job::WorkRef;
use crate::store::query::{JobQuery, JobSort, Order, Page, TimeIs};
use crate::store::sql::statement::Sql;
use crate::store::sql::{Row, SqlStore, Verb, works};
use crate::store::views::JobView;
use crate::store::{Caller, Error};

use super::log::definition_number;

/// All jobs of batches as ranges of numbers, all alike within one.
const RANGES: &str = "SELECT r.batch, r.first, r.last, r.retries, r.due, r.priority, r.suspended, r.created, r.lease_until,
           CAST(NULL AS TEXT) AS message, b.tenant_id
        FROM run r JOIN batch b ON b.id = r.batch
    UNION ALL
    SELECT j.batch, j.number, j.number, j.retries, j.due, j.priority, j.suspended, j.created, j.lease_until, j.message, b.tenant_id
        FROM job j JOIN batch b ON b.id = j.batch
    UNION ALL
    SELECT b.id, 0, 0, b.seed_retries, b.seed_due, b.seed_priority, b.seed_suspended, b.start_time, NULL, b.seed_error, b.tenant_id
        FROM batch b WHERE EXISTS (SELECT 1 FROM chunk c WHERE c.batch = b.id)
    UNION ALL
    SELECT b.id, 1, 1, b.monitor_retries, b.monitor_due, b.monitor_priority, b.monitor_suspended,
           COALESCE(b.monitor_created, b.start_time), NULL, b.monitor_error, b.tenant_id
        FROM batch b WHERE NOT EXISTS (SELECT 1 FROM chunk c WHERE c.batch = b.id)";

/// Can no job of a batch meet this?
fn asks_for_instances(query: &JobQuery) -> bool {
    query.process_instance_ids.is_some()
        || query.execution_id.is_some()
        || query.process_definition_id.is_some()
        || query.process_definition_key.is_some()
        || query.activity_id.is_some()
        || query.failed_activity_id.is_some()
        || query.timers
}

/// ` FROM … WHERE …`, from ranges named `q`; False: nothing can be found.
fn push_filtered(sql: &mut Sql, caller: &Caller, query: &JobQuery) -> bool {
    if asks_for_instances(query) {
        return false;
    }
    sql.push(" FROM (SELECT q.batch, q.retries, q.due, q.priority, q.suspended, q.created, q.message, q.tenant_id");
    match &query.ids {
        Some(ids) => {
            let wanted: std::collections::BTreeSet<WorkRef> =
                ids.iter().filter_map(|id| id::split(id)).map(|(batch, number)| WorkRef { batch, number }).collect();
            sql.push(", w.number AS first, w.number AS last FROM (").push(RANGES).push(") AS q JOIN {works ").bind(works(&wanted));
            sql.push("} AS w ON w.batch = q.batch AND w.number >= q.first AND w.number <= q.last");
        }
        None => {
            sql.push(", q.first, q.last FROM (").push(RANGES).push(") AS q");
        }
    }
    sql.push(" WHERE TRUE").seen_by("q.tenant_id", caller).of_tenants("q.tenant_id", &query.tenants);
    sql.with_some(" AND q.batch = ", query.batch_id.as_deref());
    if let Some(definition) = &query.job_definition_id {
        let Some((batch, number)) = id::split(definition) else { return false };
        sql.with(" AND q.batch = ", batch).push(match number {
            id::SEED_JOB_DEFINITION => " AND q.first = 0",
            id::MONITOR_JOB_DEFINITION => " AND q.first = 1",
            id::BATCH_JOB_DEFINITION => " AND q.first >= 2",
            _ => " AND FALSE",
        });
    }
    sql.when(query.with_retries_left, " AND q.retries > 0")
        .when(query.no_retries_left, " AND q.retries = 0")
        .when(query.executable, " AND q.retries > 0 AND (q.due IS NULL OR q.due <= {now})")
        .when(query.with_exception, " AND q.message IS NOT NULL")
        .with_some(" AND q.message = ", query.exception_message.as_deref())
        .when(query.active, " AND NOT q.suspended")
        .when(query.suspended, " AND q.suspended")
        .when(query.acquired, " AND q.lease_until > {now}")
        .with_some(" AND q.priority >= ", query.priority_at_least)
        .with_some(" AND q.priority <= ", query.priority_at_most);
    for (times, after, before) in
        [(&query.due, " AND q.due > ", " AND q.due < "), (&query.created, " AND q.created > ", " AND q.created < ")]
    {
        for time in times {
            match time {
                TimeIs::After(t) => sql.with(after, *t),
                TimeIs::Before(t) => sql.with(before, *t),
            };
        }
    }
    sql.push(") AS f");
    true
}

/// Keys of the ranges, and whether numbers run down within one.
fn sorting(sort: &[(JobSort, Order)]) -> (Vec<(&'static str, Order)>, bool) {
    let mut keys = vec![];
    for (key, order) in sort {
        match key {
            JobSort::Id => {
                keys.extend([("f.batch", *order), ("f.first", *order)]);
                return (keys, *order == Order::Descending);
            }
            JobSort::Retries => keys.push(("f.retries", *order)),
            JobSort::Due => keys.push(("f.due", *order)),
            JobSort::Priority => keys.push(("f.priority", *order)),
            JobSort::TenantId => keys.push(("f.tenant_id", *order)),
            // No job of a batch has these: they order nothing.
            JobSort::ExecutionId | JobSort::ProcessInstanceId | JobSort::ProcessDefinitionId | JobSort::ProcessDefinitionKey => {}
        }
    }
    (keys, false)
}

fn view(row: &Row, number: u32) -> Result<JobView, Error> {
    let batch = row.text("batch")?;
    Ok(JobView {
        id: id::numbered(&batch, number),
        job_definition_id: Some(id::numbered(&batch, definition_number(number))),
        exception_message: row.optional_text("message")?,
        retries: row.int32("retries")?,
        due: row.optional_int("due")?,
        suspended: row.bool("suspended")?,
        priority: row.int("priority")?,
        tenant_id: row.optional_text("tenant_id")?,
        created: row.int("created")?,
        batch_id: Some(batch),
        ..JobView::default()
    })
}

/// The places of `page` among all jobs: from, to (exclusive).
pub(super) fn bounds(page: Page) -> (u64, u64) {
    (page.first, page.max.map_or(u64::MAX, |max| page.first.saturating_add(max)))
}

impl SqlStore {
    pub(super) async fn find_jobs(
        &self,
        caller: &Caller,
        query: &JobQuery,
        sort: &[(JobSort, Order)],
        page: Page,
    ) -> Result<Vec<JobView>, Error> {
        let (from, to) = bounds(page);
        let (keys, descending) = sorting(sort);
        let mut sql = Sql::new(self.dialect(), "SELECT * FROM (SELECT f.*, CAST(SUM(f.last - f.first + 1) OVER (");
        sql.order_by(&keys, "f.batch, f.first").push(" ROWS UNBOUNDED PRECEDING) AS BIGINT) AS upto");
        if !push_filtered(&mut sql, caller, query) {
            return Ok(vec![]);
        }
        sql.with(") AS p WHERE upto > ", from).with(" AND upto - (last - first + 1) < ", to).push(" ORDER BY upto");
        let mut tx = self.read(Verb::named("batch_jobs")).await?;
        let rows = sql.all(&mut tx).await?;
        tx.commit().await?;
        let mut views = vec![];
        for row in &rows {
            let (first, last) = (row.number("first")?, row.number("last")?);
            let begin = row.uint("upto")? - u64::from(last - first + 1);
            for place in begin.max(from)..row.uint("upto")?.min(to) {
                let step = (place - begin) as u32;
                views.push(view(row, if descending { last - step } else { first + step })?);
            }
        }
        Ok(views)
    }

    pub(super) async fn count_jobs(&self, caller: &Caller, query: &JobQuery) -> Result<u64, Error> {
        let mut sql = Sql::new(self.dialect(), "SELECT CAST(COALESCE(SUM(f.last - f.first + 1), 0) AS BIGINT) AS n");
        if !push_filtered(&mut sql, caller, query) {
            return Ok(0);
        }
        let mut tx = self.read(Verb::named("count_batch_jobs")).await?;
        let n = sql.count(&mut tx).await?;
        tx.commit().await?;
        Ok(n)
    }

    pub(super) async fn find_job_view(&self, caller: &Caller, job: &WorkRef) -> Result<Option<JobView>, Error> {
        let query =
            JobQuery { ids: Some(vec![id::numbered(&job.batch, job.number)]), batch_id: Some(job.batch.clone()), ..JobQuery::default() };
        Ok(self.find_jobs(caller, &query, &[], Page::default()).await?.pop())
    }

    pub(super) async fn stacktrace_of(&self, caller: &Caller, job: &WorkRef) -> Result<Option<Option<String>>, Error> {
        if self.find_job_view(caller, job).await?.is_none() {
            return Ok(None);
        }
        let mut sql = Sql::new(self.dialect(), "SELECT details FROM job");
        sql.with(" WHERE batch = ", &job.batch).with(" AND number = ", job.number);
        let mut tx = self.read(Verb::named("batch_job_stacktrace")).await?;
        let rows = sql.all(&mut tx).await?;
        tx.commit().await?;
        Ok(Some(rows.first().map(|row| row.optional_text("details")).transpose()?.flatten()))
    }
}
