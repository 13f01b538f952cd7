//! What a database says when it does not, in the store's words.

use crate::store::{Caller, Error};

/// SQLSTATEs: deadlock, serialisation failure.
const COLLISIONS: [&str; 2] = ["40P01", "40001"];
/// SQLSTATEs: statement timeout, lock timeout.
const TIMEOUTS: [&str; 2] = ["57014", "55P03"];
/// SQLSTATEs (prefixes): connection exceptions, shutting down, too many connections, out of disk or memory, I/O.
const UNAVAILABLE: [&str; 6] = ["08", "57P", "53", "58", "25P03", "25P04"];
/// SQLite's primary result codes: BUSY and LOCKED; IOERR, FULL and CANTOPEN.
const SQLITE_COLLISIONS: [i64; 2] = [5, 6];
const SQLITE_UNAVAILABLE: [i64; 3] = [10, 13, 14];

/// Which of the store's errors this is.
pub(crate) fn mapped(verb: &'static str, error: sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
    let sqlite = |codes: &[i64]| {
        let is_sqlite = error.as_database_error().is_some_and(|e| e.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some());
        is_sqlite && code.as_deref().and_then(|c| c.parse::<i64>().ok()).is_some_and(|c| codes.contains(&(c & 0xff)))
    };
    match (&error, code.as_deref()) {
        (sqlx::Error::PoolTimedOut, _) => Error::TimedOut { verb },
        (sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed | sqlx::Error::BeginFailed, _) => {
            Error::Unavailable { verb, source: error.into() }
        }
        // The driver says so when the connection went away in the middle of an answer.
        (sqlx::Error::Protocol(_), _) => Error::Unavailable { verb, source: error.into() },
        _ if sqlite(&SQLITE_COLLISIONS) => Error::Collision { verb, source: Some(error.into()) },
        _ if sqlite(&SQLITE_UNAVAILABLE) => Error::Unavailable { verb, source: error.into() },
        (_, Some(c)) if COLLISIONS.contains(&c) => Error::Collision { verb, source: Some(error.into()) },
        (_, Some(c)) if TIMEOUTS.contains(&c) => Error::TimedOut { verb },
        (_, Some(c)) if c.len() == 5 && UNAVAILABLE.iter().any(|p| c.starts_with(p)) => Error::Unavailable { verb, source: error.into() },
        _ => Error::Statement { verb, source: error.into() },
    }
}

/// A stored text that cannot be read.
pub(crate) fn corrupt(what: &'static str, id: &str, reason: &dyn std::fmt::Display) -> Error {
    Error::Corrupt { what, id: id.to_owned(), reason: reason.to_string() }
}

/// Refuses a caller that may only read.
pub(crate) fn may_write(caller: &Caller) -> Result<(), Error> {
    if caller.read_only {
        let user = caller.user.as_deref().unwrap_or("anonymous");
        return Err(Error::Forbidden(format!("user '{user}' may only read here; ask for write access or use another account")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_connection_is_no_fault_of_the_statement() {
        let error = mapped("seed", sqlx::Error::Io(std::io::Error::other("reset")));
        assert!(error.is_unavailable() && error.is_transient());
        assert!(matches!(mapped("seed", sqlx::Error::PoolTimedOut), Error::TimedOut { verb: "seed" }));
        assert!(matches!(mapped("seed", sqlx::Error::RowNotFound), Error::Statement { .. }));
    }
}
