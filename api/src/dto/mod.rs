//! Camunda's JSON: what comes in, read with its leniency, and what goes out, all keys present.

pub mod batch;
pub mod definition;
pub mod external_task;
pub mod history;
pub mod history_query;
pub mod incident;
pub mod instance;
pub mod instance_query;
pub mod instructions;
pub mod job;
pub mod migration;
pub mod task;
pub mod trace;
pub mod values;
