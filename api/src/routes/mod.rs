//! One file a resource.

mod batch;
mod definition;
mod deployment;
mod event_subscription;
mod execution;
mod external_task;
mod external_task_batch;
mod external_task_fetch;
mod external_task_worker;
mod history;
mod history_batch;
mod history_batches;
mod history_statistics;
mod incident;
mod instance;
mod instance_batches;
mod instance_many;
mod job;
mod job_command;
mod job_definition;
mod job_log;
mod job_retries;
mod job_suspended;
mod message;
mod metrics;
mod migration;
mod modification;
mod restart;
mod selection;
mod server;
mod signal;
mod start;
mod statistics;
mod task;
mod task_command;
mod task_links;
mod variable_instance;
mod variables;

use axum::Router;

use crate::state::ApiState;

/// All resources, without prefix.
pub fn all() -> Router<ApiState> {
    Router::new()
        .merge(server::routes())
        .merge(migration::routes())
        .merge(batch::routes())
        .merge(history_batch::routes())
        .merge(job::routes())
        .merge(job_definition::routes())
        .merge(incident::routes())
        .merge(deployment::routes())
        .merge(definition::routes())
        .merge(instance::routes())
        .merge(modification::routes())
        .merge(task::routes())
        .merge(external_task::routes())
        .merge(execution::routes())
        .merge(event_subscription::routes())
        .merge(variable_instance::routes())
        .merge(message::routes())
        .merge(history::routes())
        .merge(history_batches::routes())
        .merge(restart::routes())
        .merge(job_log::routes())
        .merge(metrics::routes())
}
