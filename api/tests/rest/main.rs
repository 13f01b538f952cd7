//! The REST API as its callers meet it: over a SQLite file and the in-process queue.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

mod batches;
mod compatibility;
mod hardening;
mod login;
mod support;
mod tenants;
mod tenants_batches;
mod tenants_routes;
mod tenants_waiting;
