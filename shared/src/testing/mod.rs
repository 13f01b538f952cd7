//! What tests of several crates need. Compiled only with the feature `testing`; no role may depend on it.

pub mod broker;
pub mod command_line;
pub mod context;
pub mod database;
pub mod engine_suite;
pub mod figures;
pub mod model_queue;
pub mod model_store;
pub mod process;
pub mod queue_suite;
pub mod schedule;
pub mod simulator;
pub mod store_suite;
