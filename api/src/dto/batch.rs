//! Batches as JSON (spec-batch-rest §2.1, §2.2). `size` is what the first release called `totalJobs`.

use serde_json::{Value, json};
use shared::batch::{Batch, HistoricBatch};
use shared::id::{BATCH_JOB_DEFINITION, MONITOR_JOB_DEFINITION, SEED_JOB_DEFINITION, numbered};

use crate::dates;

#[must_use]
pub fn batch(b: &Batch) -> Value {
    json!({
        "id": b.id,
        "type": b.configuration.batch_type().name(),
        "totalJobs": b.total_jobs,
        "size": b.total_jobs,
        "jobsCreated": b.jobs_created,
        "batchJobsPerSeed": b.batch_jobs_per_seed,
        "invocationsPerBatchJob": b.invocations_per_batch_job,
        "seedJobDefinitionId": numbered(&b.id, SEED_JOB_DEFINITION),
        "monitorJobDefinitionId": numbered(&b.id, MONITOR_JOB_DEFINITION),
        "batchJobDefinitionId": numbered(&b.id, BATCH_JOB_DEFINITION),
        "suspended": b.suspended,
        "tenantId": b.tenant_id,
        "createUserId": b.create_user_id,
        "startTime": dates::format(b.start_time),
        "executionStartTime": dates::json(b.execution_start_time),
    })
}

/// The batch with its counts of jobs.
#[must_use]
pub fn statistics(b: &Batch) -> Value {
    let mut body = batch(b);
    body["remainingJobs"] = json!(b.statistics.remaining_jobs);
    body["completedJobs"] = json!(b.statistics.completed_jobs);
    body["failedJobs"] = json!(b.statistics.failed_jobs);
    body
}

#[must_use]
pub fn historic(b: &HistoricBatch) -> Value {
    json!({
        "id": b.id,
        "type": b.batch_type,
        "totalJobs": b.total_jobs,
        "size": b.total_jobs,
        "batchJobsPerSeed": b.batch_jobs_per_seed,
        "invocationsPerBatchJob": b.invocations_per_batch_job,
        "seedJobDefinitionId": numbered(&b.id, SEED_JOB_DEFINITION),
        "monitorJobDefinitionId": numbered(&b.id, MONITOR_JOB_DEFINITION),
        "batchJobDefinitionId": numbered(&b.id, BATCH_JOB_DEFINITION),
        "tenantId": b.tenant_id,
        "createUserId": b.create_user_id,
        "startTime": dates::format(b.start_time),
        "endTime": dates::json(b.end_time),
        "removalTime": dates::json(b.removal_time),
        "executionStartTime": dates::json(b.execution_start_time),
    })
}
