//! What can go wrong between a verb and its database.

/// Why a verb did not happen. Nothing of it was committed, save for [`Error::Unavailable`] met at the commit itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A deadlock, a serialisation failure: all of it again, uncharged.
    #[error("the transaction {verb} collided with another one")]
    Collision {
        verb: &'static str,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The database cannot be reached, or the connection was lost on the way.
    #[error("the database is not available ({verb})")]
    Unavailable {
        verb: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The statement or lock timeout passed.
    #[error("the database took too long ({verb})")]
    TimedOut { verb: &'static str },
    /// The row changed between reading and writing, three times in a row.
    #[error("ENGINE-03005 Execution of '{verb}' failed. Entity was updated by another transaction concurrently.")]
    OptimisticLock { verb: &'static str },
    /// The statement itself was refused.
    #[error("the database refused {verb}")]
    Statement {
        verb: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A stored document cannot be read.
    #[error("the stored {what} {id} cannot be read: {reason}")]
    Corrupt { what: &'static str, id: String, reason: String },
    /// The database's schema is not the one that this program knows; says what to do.
    #[error("{0}")]
    Schema(String),
    /// The caller may only read, or asked for another tenant's.
    #[error("{0}")]
    Forbidden(String),
    /// What the pure core or the verb refused, as the reference words it.
    #[error(transparent)]
    Refused(#[from] crate::runner::Refusal),
}

impl Error {
    /// May the same call simply be made again?
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Collision { .. } | Self::Unavailable { .. } | Self::TimedOut { .. })
    }

    #[must_use]
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
