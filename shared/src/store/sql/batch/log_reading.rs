//! The job log as callers list it: rows of batches spread out into one entry for each job (design §5).

use std::collections::HashSet;

use crate::id;
use crate::process::history::JobEvent;
use crate::store::query::{JobLogQuery, JobLogSort, Order, Page};
use crate::store::sql::statement::Sql;
use crate::store::sql::{Row, SqlStore, Verb, corrupt};
use crate::store::views::JobLogRow;
use crate::store::{Caller, Error};

use super::jobs_reading::bounds;
use super::log::event_name;

/// Rows that one job, or one entry, can have at most; what is older is not shown.
const ROWS_OF_ONE: u32 = 10_000;

/// ` FROM … WHERE …` from rows named `l`. Gives the one number that entries are to have, where the query names one;
/// None: nothing can be found.
fn push_filtered(sql: &mut Sql, caller: &Caller, query: &JobLogQuery) -> Option<u32> {
    sql.push(" FROM job_log l WHERE l.entries > 0").seen_by("l.tenant_id", caller).of_tenants("l.tenant_id", &query.tenants);
    let mut only = None;
    if let Some(entry) = &query.id {
        let (base, number) = id::split(entry).unwrap_or_else(|| (entry.clone(), 0));
        sql.with(" AND l.id = ", base).with(" AND (l.batch_id IS NULL OR (l.first <= ", number).with(" AND l.last >= ", number).push("))");
        only = Some(number);
    }
    if let Some(job) = &query.job_id {
        sql.with(" AND (l.job_id = ", job);
        if let Some((batch, number)) = id::split(job) {
            sql.with(" OR (l.batch_id = ", batch).with(" AND l.first <= ", number).with(" AND l.last >= ", number).push(")");
            only = Some(number);
        }
        sql.push(")");
    }
    sql.with_some(" AND l.message = ", query.exception_message.as_deref())
        .with_some(" AND l.job_definition_id = ", query.job_definition_id.as_deref())
        .with_some(" AND l.job_definition_type = ", query.job_definition_type.as_deref())
        .with_some(" AND l.job_definition_configuration = ", query.job_definition_configuration.as_deref())
        .with_some(" AND l.process_instance_id = ", query.process_instance_id.as_deref())
        .with_some(" AND l.process_definition_id = ", query.process_definition_id.as_deref())
        .with_some(" AND l.process_definition_key = ", query.process_definition_key.as_deref())
        .with_some(" AND l.deployment_id = ", query.deployment_id.as_deref())
        .with_some(" AND l.execution_id = ", query.execution_id.as_deref())
        .and_one_of("l.activity_id", query.activity_ids.as_ref())
        .and_one_of("l.failed_activity_id", query.failed_activity_ids.as_ref())
        .with_some(" AND l.hostname = ", query.hostname.as_deref())
        .with_some(" AND l.job_priority >= ", query.priority_at_least)
        .with_some(" AND l.job_priority <= ", query.priority_at_most);
    if !query.kinds.is_empty() {
        let kinds: Vec<String> = query.kinds.iter().map(|kind| event_name(*kind).to_owned()).collect();
        sql.push(" AND ").one_of("l.event", &kinds);
    }
    only
}

fn names_one(query: &JobLogQuery) -> bool {
    query.id.is_some() || query.job_id.is_some()
}

fn order(query: &JobLogQuery) -> Vec<(&'static str, Order)> {
    let Some((sort, order)) = query.sort else { return vec![("l.id", Order::Ascending)] };
    let column = match sort {
        JobLogSort::Timestamp | JobLogSort::Occurrence => "l.time",
        JobLogSort::Retries => "l.job_retries",
        JobLogSort::Priority => "l.job_priority",
        JobLogSort::JobId => return vec![("COALESCE(l.batch_id, l.job_id)", order), ("l.first", order)],
        JobLogSort::JobDefinitionId => "l.job_definition_id",
        JobLogSort::Due => "l.job_due",
        JobLogSort::Id => "l.id",
        JobLogSort::ProcessInstanceId => "l.process_instance_id",
        JobLogSort::ProcessDefinitionId => "l.process_definition_id",
        JobLogSort::DeploymentId => "l.deployment_id",
        JobLogSort::TenantId => "l.tenant_id",
    };
    // Rows of one moment in the order in which they were written.
    vec![(column, order), ("l.id", order)]
}

impl SqlStore {
    pub(super) async fn find_log(&self, caller: &Caller, query: &JobLogQuery, page: Page) -> Result<Vec<JobLogRow>, Error> {
        if names_one(query) {
            let (from, to) = bounds(page);
            let all = self.log_of_one(caller, query).await?;
            let (from, to) = (usize::try_from(from).unwrap_or(usize::MAX), usize::try_from(to).unwrap_or(usize::MAX));
            return Ok(all.into_iter().skip(from).take(to - from).collect());
        }
        let (from, to) = bounds(page);
        let mut sql = Sql::new(self.dialect(), "SELECT * FROM (SELECT l.*, CAST(SUM(l.entries) OVER (");
        sql.order_by(&order(query), "l.id").push(" ROWS UNBOUNDED PRECEDING) AS BIGINT) AS upto");
        push_filtered(&mut sql, caller, query);
        sql.with(") AS p WHERE upto > ", from).with(" AND upto - entries < ", to).push(" ORDER BY upto");
        let mut tx = self.read(Verb::named("job_log")).await?;
        let rows = sql.all(&mut tx).await?;
        tx.commit().await?;
        let descending = matches!(query.sort, Some((JobLogSort::JobId | JobLogSort::Id, Order::Descending)));
        let mut entries = vec![];
        for row in &rows {
            let begin = row.uint("upto")? - row.uint("entries")?;
            let mut numbers = numbers_of(row)?;
            if descending {
                numbers.reverse();
            }
            for place in begin.max(from)..row.uint("upto")?.min(to) {
                if let Some(number) = numbers.get((place - begin) as usize) {
                    entries.push(entry(row, *number)?);
                }
            }
        }
        Ok(entries)
    }

    pub(super) async fn count_log(&self, caller: &Caller, query: &JobLogQuery) -> Result<u64, Error> {
        if names_one(query) {
            return Ok(self.log_of_one(caller, query).await?.len() as u64);
        }
        let mut sql = Sql::new(self.dialect(), "SELECT CAST(COALESCE(SUM(l.entries), 0) AS BIGINT) AS n");
        push_filtered(&mut sql, caller, query);
        let mut tx = self.read(Verb::named("count_job_log")).await?;
        let n = sql.count(&mut tx).await?;
        tx.commit().await?;
        Ok(n)
    }

    /// All entries of one job, or the one entry: few rows, spread out only where they are about it.
    async fn log_of_one(&self, caller: &Caller, query: &JobLogQuery) -> Result<Vec<JobLogRow>, Error> {
        let mut sql = Sql::new(self.dialect(), "SELECT l.*");
        let only = push_filtered(&mut sql, caller, query);
        sql.order_by(&order(query), "l.id").with(" LIMIT ", ROWS_OF_ONE);
        let mut tx = self.read(Verb::named("job_log_of_one")).await?;
        let rows = sql.all(&mut tx).await?;
        tx.commit().await?;
        let mut entries = vec![];
        for row in &rows {
            if row.optional_text("batch_id")?.is_none() {
                entries.push(entry(row, 0)?);
            } else if let Some(number) = only.filter(|n| numbers_contain(row, *n).unwrap_or(false)) {
                entries.push(entry(row, number)?);
            }
        }
        Ok(entries)
    }
}

fn except(row: &Row) -> Result<HashSet<u32>, Error> {
    let Some(text) = row.optional_text("except_numbers")? else { return Ok(HashSet::new()) };
    serde_json::from_str(&text).map_err(|e| corrupt("job log row", &text, &e))
}

fn numbers_contain(row: &Row, number: u32) -> Result<bool, Error> {
    Ok((row.number("first")?..=row.number("last")?).contains(&number) && !except(row)?.contains(&number))
}

/// The jobs that a row is about; 0 for that of an instance's job.
fn numbers_of(row: &Row) -> Result<Vec<u32>, Error> {
    let Some(first) = row.optional_int("first")? else { return Ok(vec![0]) };
    let except = except(row)?;
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    Ok((first..=row.number("last")?).filter(|n| !except.contains(n)).collect())
}

fn event_of(name: &str) -> Option<JobEvent> {
    [JobEvent::Created, JobEvent::Failed, JobEvent::Succeeded, JobEvent::Deleted].into_iter().find(|e| event_name(*e) == name)
}

fn entry(row: &Row, number: u32) -> Result<JobLogRow, Error> {
    let id = row.text("id")?;
    let batch_id = row.optional_text("batch_id")?;
    let event = row.text("event")?;
    let job_id = match &batch_id {
        Some(batch) => id::numbered(batch, number),
        None => row.text("job_id")?,
    };
    Ok(JobLogRow {
        event: event_of(&event).ok_or_else(|| corrupt("job log row", &id, &event))?,
        id: if batch_id.is_some() { id::numbered(&id, number) } else { id },
        time: row.int("time")?,
        job_id,
        job_due: row.optional_int("job_due")?,
        job_retries: row.int32("job_retries")?,
        job_priority: row.int("job_priority")?,
        exception_message: row.optional_text("message")?,
        stacktrace: row.optional_text("details")?,
        job_definition_id: row.optional_text("job_definition_id")?,
        job_definition_type: row.text("job_definition_type")?,
        job_definition_configuration: row.optional_text("job_definition_configuration")?,
        activity_id: row.optional_text("activity_id")?,
        failed_activity_id: row.optional_text("failed_activity_id")?,
        execution_id: row.optional_text("execution_id")?,
        process_instance_id: row.optional_text("process_instance_id")?,
        process_definition_id: row.optional_text("process_definition_id")?,
        process_definition_key: row.optional_text("process_definition_key")?,
        deployment_id: row.optional_text("deployment_id")?,
        root_process_instance_id: row.optional_text("root_process_instance_id")?,
        tenant_id: row.optional_text("tenant_id")?,
        hostname: row.optional_text("hostname")?,
        instance_ids: instances_of(row, number)?,
        batch_id,
    })
}

/// The instances of one entry. Where some instances of a row's jobs failed and K > 1, which succeeded of which job is not
/// kept: then all of the row.
fn instances_of(row: &Row, number: u32) -> Result<Vec<String>, Error> {
    let Some(text) = row.optional_text("ids")? else { return Ok(vec![]) };
    let ids: Vec<String> = serde_json::from_str(&text).map_err(|e| corrupt("job log row", &text, &e))?;
    let numbers = numbers_of(row)?;
    let k = usize::try_from(row.optional_int("k")?.unwrap_or(1)).unwrap_or(1).max(1);
    let whole = k > 1 && numbers.len() < (row.number("last")? - row.number("first")? + 1) as usize;
    let Some(place) = numbers.iter().position(|n| *n == number).filter(|_| !whole && numbers.len() > 1) else { return Ok(ids) };
    Ok(ids.into_iter().skip(place * k).take(k).collect())
}
