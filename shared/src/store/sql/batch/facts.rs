//! A batch as it is read, its counts, and the facts that the predicates need: each of one statement (design §5, §7).

use crate::batch::{
    Batch, BatchFacts, BatchStatistics, ControlJob, MAX_WINDOW, OUTSTANDING_HORIZON_MS, chunk_instances, jobs_per_run, window_share,
};
use crate::clock::Millis;
use crate::store::Error;
use crate::store::sql::{Row, SqlStore, Tx, Verb, params};

use super::fixed::Fixed;

/// A worker not heard of for so long finishes nothing.
const FRESH_MS: Millis = 10_000;

/// Every column and count of batches; `b` is the batch.
pub(super) const BATCHES: &str =
    "SELECT b.id, b.configuration, b.tenant_id, b.tenants, b.deployment_id, b.default_retries, b.batch_jobs_per_seed,
       b.invocations_per_batch_job, b.total_instances, b.total_jobs, b.suspended, b.create_user_id, b.start_time,
       b.cancelled_instances, b.seed_suspended, b.seed_retries, b.seed_priority, b.seed_due, b.seed_error, b.monitor_suspended,
       b.monitor_retries, b.monitor_priority, b.monitor_due, b.monitor_error,
       (SELECT s.at FROM batch_start s WHERE s.batch = b.id) AS execution_start_time,
       (SELECT c.first FROM chunk c WHERE c.batch = b.id ORDER BY c.step LIMIT 1) AS next_first,
       (SELECT CAST(COALESCE(sum(c.items), 0) AS BIGINT) FROM chunk c WHERE c.batch = b.id) AS chunk_items,
       (SELECT CAST(COALESCE(sum(r.last - r.first + 1), 0) AS BIGINT) FROM run r WHERE r.batch = b.id) AS run_jobs,
       (SELECT CAST(COALESCE(sum(r.items), 0) AS BIGINT) FROM run r WHERE r.batch = b.id) AS run_items,
       (SELECT CAST(COALESCE(sum(r.last - r.first + 1), 0) AS BIGINT) FROM run r WHERE r.batch = b.id AND r.retries = 0) AS dead_run_jobs,
       (SELECT CAST(COALESCE(sum(r.items), 0) AS BIGINT) FROM run r WHERE r.batch = b.id AND r.retries = 0) AS dead_run_items,
       (SELECT count(*) FROM job j WHERE j.batch = b.id) AS jobs,
       (SELECT CAST(COALESCE(sum(j.items), 0) AS BIGINT) FROM job j WHERE j.batch = b.id) AS job_items,
       (SELECT count(*) FROM job j WHERE j.batch = b.id AND j.retries = 0) AS dead_jobs,
       (SELECT CAST(COALESCE(sum(j.items), 0) AS BIGINT) FROM job j WHERE j.batch = b.id AND j.retries = 0) AS dead_job_items
    FROM batch b";

pub(super) fn batch_of(row: &Row) -> Result<Batch, Error> {
    let fixed = Fixed::read(row)?;
    let (total_instances, total_jobs) = (row.uint("total_instances")?, row.uint("total_jobs")?);
    let jobs_created = row.optional_int("next_first")?.map_or(total_jobs, |first| u64::try_from(first - 2).unwrap_or(0));
    let live = row.uint("run_jobs")? + row.uint("jobs")?;
    let remaining_jobs = total_jobs - jobs_created.min(total_jobs) + live;
    let left = row.uint("chunk_items")? + row.uint("run_items")? + row.uint("job_items")?;
    let cancelled_instances = row.uint("cancelled_instances")?;
    Ok(Batch {
        id: row.text("id")?,
        total_instances,
        total_jobs,
        jobs_created,
        batch_jobs_per_seed: fixed.batch_jobs_per_seed,
        invocations_per_batch_job: fixed.invocations_per_batch_job,
        suspended: row.bool("suspended")?,
        tenant_id: fixed.tenant_id,
        configuration: fixed.configuration,
        create_user_id: row.optional_text("create_user_id")?,
        start_time: row.int("start_time")?,
        execution_start_time: row.optional_int("execution_start_time")?,
        seed_job: ControlJob {
            suspended: row.bool("seed_suspended")?,
            retries: row.int32("seed_retries")?,
            due: row.optional_int("seed_due")?,
            error: row.optional_text("seed_error")?,
        },
        monitor_job: ControlJob {
            suspended: row.bool("monitor_suspended")?,
            retries: row.int32("monitor_retries")?,
            due: row.optional_int("monitor_due")?,
            error: row.optional_text("monitor_error")?,
        },
        statistics: BatchStatistics {
            remaining_jobs,
            completed_jobs: total_jobs.saturating_sub(remaining_jobs),
            failed_jobs: row.uint("dead_run_jobs")? + row.uint("dead_jobs")?,
            done_instances: total_instances.saturating_sub(left + cancelled_instances),
            failed_instances: row.uint("dead_run_items")? + row.uint("dead_job_items")?,
            cancelled_instances,
        },
    })
}

/// One batch as this transaction sees it.
pub(super) async fn read_batch(tx: &mut Tx, id: &str) -> Result<Option<Batch>, Error> {
    let row = tx.optional(&format!("{BATCHES} WHERE b.id = $1"), params![id]).await?;
    row.as_ref().map(batch_of).transpose()
}

/// The facts of these batches, in their order, of one statement. Outstanding instances are counted no further than the largest
/// window: a row has at least one.
pub(super) async fn facts(tx: &mut Tx, batches: &[String]) -> Result<Vec<BatchFacts>, Error> {
    let soon = "NOT suspended AND retries > 0 AND wake_at IS NOT NULL AND (due IS NULL OR due <= {now} + $2)";
    let sql = format!(
        "SELECT b.id, b.seed_suspended, b.seed_retries, b.monitor_suspended, b.batch_jobs_per_seed, b.invocations_per_batch_job,
                EXISTS (SELECT 1 FROM chunk WHERE batch = b.id) AS chunks_left,
                EXISTS (SELECT 1 FROM run WHERE batch = b.id) OR EXISTS (SELECT 1 FROM job WHERE batch = b.id) AS work_left,
                (SELECT CAST(COALESCE(sum(items), 0) AS BIGINT)
                    FROM (SELECT items FROM run WHERE batch = b.id AND {soon} LIMIT {MAX_WINDOW}) AS soon) AS run_items,
                (SELECT CAST(COALESCE(sum(items), 0) AS BIGINT)
                    FROM (SELECT items FROM job WHERE batch = b.id AND {soon} LIMIT {MAX_WINDOW}) AS soon) AS job_items,
                (SELECT CAST(COALESCE(sum(finished_recently), 0) AS BIGINT) FROM worker WHERE heartbeat >= {{now}} - $3) AS finished,
                (SELECT count(*) FROM batch a WHERE NOT a.suspended AND (
                    EXISTS (SELECT 1 FROM chunk WHERE batch = a.id)
                    OR EXISTS (SELECT 1 FROM run WHERE batch = a.id AND wake_at IS NOT NULL AND NOT suspended)
                    OR EXISTS (SELECT 1 FROM job WHERE batch = a.id AND wake_at IS NOT NULL AND NOT suspended))) AS active
         FROM batch b WHERE b.id {{in $1}}"
    );
    let rows = tx.all(&sql, params![batches, OUTSTANDING_HORIZON_MS, FRESH_MS]).await?;
    let found = rows.iter().map(facts_of).collect::<Result<Vec<_>, _>>()?;
    let find = |id: &String| found.iter().find(|f| f.id == *id).cloned();
    Ok(batches.iter().map(|id| find(id).unwrap_or_else(|| BatchFacts { id: id.clone(), ..BatchFacts::default() })).collect())
}

fn facts_of(row: &Row) -> Result<BatchFacts, Error> {
    let (per_seed, k) = (row.number("batch_jobs_per_seed")?, row.number("invocations_per_batch_job")?);
    let run_instances = u64::from(jobs_per_run(k)) * u64::from(k);
    Ok(BatchFacts {
        id: row.text("id")?,
        exists: true,
        chunks_left: row.bool("chunks_left")?,
        work_left: row.bool("work_left")?,
        seed_suspended: row.bool("seed_suspended")?,
        seed_retries: row.int32("seed_retries")?,
        monitor_suspended: row.bool("monitor_suspended")?,
        outstanding: row.uint("run_items")? + row.uint("job_items")?,
        window: window_share(row.uint("finished")?, row.uint("active")?, chunk_instances(per_seed, k), run_instances),
    })
}

impl SqlStore {
    pub(super) async fn look_at(&self, batches: &[String]) -> Result<Vec<BatchFacts>, Error> {
        let mut tx = self.read(Verb::named("look").by_key()).await?;
        let facts = facts(&mut tx, batches).await?;
        tx.commit().await?;
        Ok(facts)
    }

    pub(super) async fn ids_of_batches(&self, after: Option<&str>, limit: u32) -> Result<Vec<String>, Error> {
        let mut tx = self.read(Verb::named("batch_ids")).await?;
        let rows = tx.all("SELECT id FROM batch WHERE id > $1 ORDER BY id LIMIT $2", params![after.unwrap_or_default(), limit]).await?;
        tx.commit().await?;
        rows.iter().map(|row| row.text("id")).collect()
    }
}
