//! One case for each point: what a caller does, in which role the process dies, and what else must go wrong for the point to
//! be reached at all.

use shared::fail_point::{Boundary, TABLE};

use crate::deeds::Deed;

/// From a start to a death.
#[derive(Clone, Debug)]
pub struct Life {
    pub role: &'static str,
    /// What is armed in that role's process.
    pub armed: String,
    /// What is armed besides, in others or there.
    pub aids: Vec<(&'static str, &'static str)>,
    /// The broker has lost its queues, and only this role is there to see it; a process that is a broker itself always has.
    pub wiped: bool,
}

#[derive(Clone, Debug)]
pub struct Case {
    pub point: String,
    pub deed: Deed,
    /// In turn, each ending in a death; the last one at the point.
    pub lives: Vec<Life>,
}

/// Seeded, and not executed: the exec-worker takes the database to be away.
const HELD: (&str, &str) = ("exec-worker", "execute.after-lock=return(away)");
/// Not even seeded.
const UNSEEDED: (&str, &str) = ("seed-worker", "seed.before-commit=return(away)");

pub fn all() -> Vec<Case> {
    TABLE.iter().flat_map(|(role, handler, at)| at.iter().map(|boundary| case(role, handler, *boundary))).collect()
}

fn case(role: &'static str, handler: &'static str, boundary: Boundary) -> Case {
    let point = format!("{handler}.{}", boundary.name());
    let dies = |at: &str| format!("{at}=return(abort)");
    let last = |aids: &[(&'static str, &'static str)]| Life { role, armed: dies(&point), aids: aids.to_vec(), wiped: false };
    let before = |role, at: &str| Life { role, armed: dies(at), aids: vec![], wiped: false };
    let (deed, lives) = match handler {
        "request" | "submit" | "seed" | "execute" | "complete" | "publisher" => (Deed::Migrate, vec![last(&[])]),
        "set_batch_suspended" => (Deed::Suspend, vec![last(&[HELD])]),
        "delete_historic_batch" => (Deed::DeleteHistory, vec![last(&[])]),
        "delete_batch" => (Deed::Delete, vec![last(&[HELD])]),
        "set_batch_job_retries" => (Deed::RetryJob, vec![last(&[HELD])]),
        "set_definition_retries" => (Deed::RetryAll, vec![last(&[HELD])]),
        "delete_batch_job" => (Deed::DeleteJob, vec![last(&[HELD])]),
        "change_batch_job" => (Deed::MoveJob, vec![last(&[HELD])]),
        "set_definition_suspended" => (Deed::SuspendDefinition, vec![last(&[HELD])]),
        "set_definition_priority" => (Deed::PrioritiseDefinition, vec![last(&[HELD])]),
        "command" => (Deed::CompleteTask, vec![last(&[])]),
        "migrate" => (Deed::MigrateNow, vec![last(&[])]),
        "set_instance_suspended" => (Deed::SuspendOne, vec![last(&[])]),
        "start" => (Deed::FailingJob, vec![last(&[])]),
        "execute_set_retries" => (Deed::SetRetries, vec![last(&[])]),
        "execute_by_hand" => (Deed::ByHand, vec![last(&[HELD])]),
        "execute_effects" => (Deed::SuspendInstances, vec![last(&[])]),
        // A message that comes again, because its worker died.
        "lease" => (Deed::Migrate, vec![before(role, "execute.before-commit"), last(&[])]),
        // The database refuses one instance; the exec-worker finds the culprit.
        "fail_front" => {
            (Deed::Migrate, vec![Life { armed: format!("execute.instance=return(refuse CULPRIT);{}", dies(&point)), ..last(&[]) }])
        }
        // One message alone comes to the end of its turn; woken again and again, several share the jobs.
        "run_due_job" => (Deed::ManyJobs, vec![last(&[("monitor-worker", "wake.before-publish=return(away)")])]),
        "job_failed" => (Deed::FailingJob, vec![last(&[])]),
        // What is published is refused; at the point before that, its death takes the refusal's place.
        "unpublished" => (Deed::Migrate, vec![last(&[(role, "unpublished.before-publish=return(away)")])]),
        "wakes_lost" => (Deed::Migrate, vec![before("seed-worker", "seed.after-commit"), Life { wiped: true, ..last(&[]) }]),
        // Runs whose wakes were lost with their seeder.
        "wake" => (Deed::Migrate, vec![before("seed-worker", "seed.after-commit"), last(&[])]),
        // A batch whose event was lost.
        "sweep" => (Deed::Migrate, vec![last(&[("api", "publisher.before-publish=return(away)")])]),
        "poll_monitor" => (Deed::Migrate, vec![last(&[UNSEEDED])]),
        "deploy" | "run_timer" => (Deed::Timer, vec![last(&[])]),
        "timer_failed" => (Deed::FailingTimer, vec![last(&[])]),
        // A message that is given back until the broker has had enough of it.
        "dead" => (Deed::Migrate, vec![last(&[("seed-worker", "seed.before-ack=return(away)")])]),
        _ => panic!("no case comes to {point}: say in cases.rs how it is reached"),
    };
    Case { point, deed, lives }
}
