//! Fail points: a named point at every boundary of every handler, at which a test makes the process die, err or wait.
//!
//! Only with the feature `fail-points`, which tests have and releases do not: without it [`reach`] is nothing. A process
//! is told what to do by `DROVER_FAIL_POINTS`, a list of `name=action`, separated by `;`. Names are those of [`TABLE`];
//! actions are those of the crate `fail`, of which these are of use:
//!
//! | action | what happens |
//! |---|---|
//! | `return(abort)` | the process ends at once, as by `kill -9` |
//! | `return(abort ID)` | the same, if it is this instance, batch or message that is met there |
//! | `return(away)` | the handler is told that the database, or the broker, is away; a message is given back |
//! | `return(refuse)`, `return(refuse ID)` | the database refuses the statement |
//! | `sleep(ms)`, `panic`, `off` | what they say |
//! | `1*off->1*return(abort)` | the second time only |
//!
//! So `execute.instance=return(abort 0190…)` kills every exec-worker that meets that one instance.

/// Where in a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Boundary {
    /// The body of a request is in its spool file.
    Spooled,
    /// An item is about to be decided.
    Instance,
    /// The first statement that locks has been answered.
    AfterLock,
    BeforeCommit,
    AfterCommit,
    BeforePublish,
    AfterPublish,
    BeforeAck,
}

impl Boundary {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Spooled => "spooled",
            Self::Instance => "instance",
            Self::AfterLock => "after-lock",
            Self::BeforeCommit => "before-commit",
            Self::AfterCommit => "after-commit",
            Self::BeforePublish => "before-publish",
            Self::AfterPublish => "after-publish",
            Self::BeforeAck => "before-ack",
        }
    }
}

use Boundary::{AfterCommit, AfterLock, AfterPublish, BeforeAck, BeforeCommit, BeforePublish, Instance, Spooled};

const TRANSACTION: &[Boundary] = &[AfterLock, BeforeCommit, AfterCommit];
const PUBLISHING: &[Boundary] = &[BeforePublish, AfterPublish];
const ALL: &[Boundary] = &[AfterLock, BeforeCommit, AfterCommit, BeforePublish, AfterPublish, BeforeAck];

/// Every handler, the role that runs it, and its boundaries. A test walks it (`cli/tests/crash_points`).
pub const TABLE: &[(&str, &str, &[Boundary])] = &[
    ("api", "request", &[Spooled]),
    ("api", "submit", TRANSACTION),
    ("api", "set_batch_suspended", TRANSACTION),
    ("api", "delete_batch", TRANSACTION),
    ("api", "delete_historic_batch", TRANSACTION),
    ("api", "set_batch_job_retries", TRANSACTION),
    ("api", "set_definition_retries", TRANSACTION),
    ("api", "delete_batch_job", TRANSACTION),
    ("api", "change_batch_job", TRANSACTION),
    ("api", "set_definition_suspended", TRANSACTION),
    ("api", "set_definition_priority", TRANSACTION),
    ("api", "deploy", TRANSACTION),
    ("api", "start", TRANSACTION),
    ("api", "command", TRANSACTION),
    ("api", "migrate", TRANSACTION),
    ("api", "set_instance_suspended", TRANSACTION),
    ("api", "execute_by_hand", &[AfterLock, BeforeCommit, AfterCommit, BeforePublish, AfterPublish]),
    ("api", "publisher", PUBLISHING),
    ("seed-worker", "seed", ALL),
    ("seed-worker", "unpublished", &[BeforePublish, AfterLock, BeforeCommit, AfterCommit]),
    ("exec-worker", "execute", &[AfterLock, Instance, BeforeCommit, AfterCommit, BeforePublish, AfterPublish, BeforeAck]),
    ("exec-worker", "execute_effects", TRANSACTION),
    ("exec-worker", "execute_set_retries", TRANSACTION),
    ("exec-worker", "lease", TRANSACTION),
    ("exec-worker", "fail_front", TRANSACTION),
    ("exec-worker", "run_due_job", ALL),
    ("exec-worker", "job_failed", TRANSACTION),
    ("monitor-worker", "complete", ALL),
    ("monitor-worker", "wake", &[AfterLock, BeforeCommit, AfterCommit, BeforePublish, AfterPublish]),
    ("monitor-worker", "sweep", PUBLISHING),
    ("monitor-worker", "wakes_lost", TRANSACTION),
    ("monitor-worker", "poll_monitor", TRANSACTION),
    ("monitor-worker", "run_timer", &[AfterLock, BeforeCommit, AfterCommit, BeforeAck]),
    ("monitor-worker", "timer_failed", TRANSACTION),
    ("monitor-worker", "dead", &[BeforePublish, AfterPublish, BeforeAck]),
];

/// What a handler is told at a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// What it needs is away.
    Away,
    /// Its statement is refused.
    Refused,
}

/// Are fail points compiled in?
pub const COMPILED: bool = cfg!(feature = "fail-points");

/// Here is a point. `Ok`: go on.
///
/// # Errors
/// What the test that armed the point asks for.
#[inline]
pub fn reach(handler: &str, boundary: Boundary) -> Result<(), Asked> {
    meet(handler, boundary, "")
}

/// The same, where there is nobody to tell: false when what comes next is not to be done, as if it were lost on its way.
#[must_use]
pub fn passes(handler: &str, boundary: Boundary) -> bool {
    reach(handler, boundary).is_ok()
}

/// The same, with the id of what is met: an action may be for this id only.
///
/// # Errors
/// As [`reach`].
#[cfg(not(feature = "fail-points"))]
#[inline]
pub fn meet(_: &str, _: Boundary, _: &str) -> Result<(), Asked> {
    Ok(())
}

#[cfg(feature = "fail-points")]
pub use armed::{arm, meet};

#[cfg(feature = "fail-points")]
mod armed {
    use std::sync::atomic::{AtomicBool, Ordering};

    use anyhow::{Context, bail, ensure};

    use super::{Asked, Boundary, TABLE};

    /// Nothing is looked up until something is armed.
    static ARMED: AtomicBool = AtomicBool::new(false);

    /// Arms the points of a list `name=action;…`.
    ///
    /// # Errors
    /// A name that is not in the table, or an action that cannot be read.
    pub fn arm(list: &str) -> anyhow::Result<()> {
        for pair in list.split(';').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, action) = pair.split_once('=').with_context(|| format!("fail point '{pair}': write name=action"))?;
            let known = TABLE.iter().any(|(_, handler, at)| {
                name.strip_prefix(handler).and_then(|rest| rest.strip_prefix('.')).is_some_and(|rest| at.iter().any(|b| b.name() == rest))
            });
            ensure!(known, "there is no fail point '{name}'; the names are in shared/src/fail_point.rs");
            if let Err(error) = fail::cfg(name, action) {
                bail!("fail point '{name}': {error}");
            }
            tracing::warn!(name, action, "a fail point is armed");
            ARMED.store(true, Ordering::SeqCst);
        }
        Ok(())
    }

    /// # Errors
    /// See [`super::reach`].
    pub fn meet(handler: &str, boundary: Boundary, id: &str) -> Result<(), Asked> {
        if !ARMED.load(Ordering::Relaxed) {
            return Ok(());
        }
        asked(&format!("{handler}.{}", boundary.name()), id).map_or(Ok(()), Err)
    }

    fn asked(name: &str, id: &str) -> Option<Asked> {
        fail::fail_point!(name, |argument| act(argument.as_deref().unwrap_or_default(), id));
        None
    }

    fn act(argument: &str, id: &str) -> Option<Asked> {
        let (what, only) = argument.split_once(' ').unwrap_or((argument, ""));
        if !only.is_empty() && only != id {
            return None;
        }
        match what {
            "abort" => std::process::abort(),
            "away" => Some(Asked::Away),
            "refuse" => Some(Asked::Refused),
            _ => panic!("a fail point cannot '{argument}'"),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_armed_is_asked_for_and_only_of_whom_it_names() {
            arm("dead.before-publish=1*return(away); dead.after-publish=return(refuse i7)").unwrap();
            assert_eq!(meet("dead", Boundary::BeforePublish, ""), Err(Asked::Away));
            assert_eq!(meet("dead", Boundary::BeforePublish, ""), Ok(()));
            assert_eq!(meet("dead", Boundary::AfterPublish, "i8"), Ok(()));
            assert_eq!(meet("dead", Boundary::AfterPublish, "i7"), Err(Asked::Refused));
            assert!(arm("dead.after-commit=off").is_err() && arm("dead").is_err() && arm("dead.before-ack=nonsense").is_err());
        }
    }
}
