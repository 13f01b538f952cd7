//! The REST API: the only crate that spells Camunda's JSON (spec-batch-rest).
//!
//! Thin: a route reads its request into the types of `shared`, calls one verb of the store, answers after its commit and
//! publishes in a bounded background task. It never holds a state of its own, and never decides what the pure core decides.

#![recursion_limit = "256"]

pub mod access;
pub mod auth;
pub mod command;
pub mod criteria;
pub mod dates;
pub mod document;
pub mod dto;
pub mod error;
pub mod extract;
pub mod input;
pub mod paging;
pub mod process;
pub mod router;
pub mod routes;
pub mod scan;
pub mod spool;
pub mod state;

pub use process::{run, serve};
pub use router::router;
pub use state::{ApiState, Limits};
