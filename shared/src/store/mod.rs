//! The store: verbs, each one named transaction. PostgreSQL and SQLite, each with its own SQL where they differ.
//!
//! SQL exists only below this module. Semantics are tested in one conformance suite, run on every backend; no caller
//! can tell which one it has. Times are milliseconds since the epoch; those that two processes compare are the database's.
//!
//! Lock order everywhere: batch, run, job, instances by id. Whoever looks for a job, suspends, activates or deletes all
//! goes chunk, run, job in this order, one statement each (design §5).

mod batch;
mod caller;
mod engine;
mod error;
pub mod predicate;
pub mod query;
pub mod sql;
pub mod views;

pub use batch::{
    BatchStore, Decide, Executed, Item, ItemContext, ItemOutcome, Items, Lease, Mode, Portion, SeedRoom, Seeded, SuspendScope, WakeLimits,
    Woken,
};
pub use caller::{Caller, Tenants};
pub use engine::{CommandOutcome, EngineStore, InstanceJobs, NewDeployment, NewInstance, NewResource, RunDue};
pub use error::Error;

/// Everything a process needs of its database.
#[async_trait::async_trait]
pub trait Store: BatchStore + EngineStore + Send + Sync {
    /// Is the database there, and its schema as this program needs it? For `/readyz`.
    async fn ready(&self) -> Result<(), Error>;

    /// The database's clock, in milliseconds since the epoch.
    async fn now(&self) -> Result<crate::clock::Millis, Error>;

    /// Closes all connections; nothing may be asked of it afterwards.
    async fn close(&self);
}
