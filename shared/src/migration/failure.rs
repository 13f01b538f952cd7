//! What a batch job shows of an instance that was not migrated.

use super::NotMigrated;
use crate::job::Failure;
use crate::runner::Refusal;

/// The refusal of an instance that is not there (spec-migration §4.2).
#[must_use]
pub fn missing(id: &str) -> Refusal {
    Refusal::engine(format!("ENGINE-23003 Process instance '{id}' cannot be migrated. The process instance does not exist"))
}

/// The failure of a job that could not migrate an instance, with a key to group it by.
#[must_use]
pub fn failure(why: &NotMigrated) -> Failure {
    match why {
        NotMigrated::Refused(refusal) => {
            let code = refusal.message.split(' ').next().filter(|word| word.starts_with("ENGINE-")).unwrap_or(refusal.kind);
            Failure { reason: code.to_owned(), message: refusal.message.clone(), details: format!("{}: {}", refusal.kind, refusal.message) }
        }
        NotMigrated::Invalid(report) => {
            let first = report.activity_instances.iter().chain(&report.transition_instances).next();
            let reason = first.map_or_else(|| "ENGINE-23004".to_owned(), |element| element.reason_key.clone());
            let message = format!("ENGINE-23004 Cannot migrate process instance '{}'", report.instance_id);
            Failure { reason, details: message.clone(), message }
        }
    }
}
