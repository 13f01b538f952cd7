//! What a person reads when an instance was not migrated, and the key by which such failures are grouped.

use super::NotMigrated;
use super::report::{ElementReport, InstanceReport};
use crate::job::Failure;
use crate::runner::Refusal;

/// ENGINE-23003: there is no instance with this id.
#[must_use]
pub fn missing(id: &str) -> Refusal {
    Refusal::engine(format!("ENGINE-23003 Process instance '{id}' cannot be migrated. The process instance does not exist"))
}

impl InstanceReport {
    /// The message of `MigratingProcessInstanceValidationException` (spec-migration §4.3).
    #[must_use]
    pub fn message(&self) -> String {
        let mut text = format!("ENGINE-23004 Cannot migrate process instance '{}':\n", self.instance_id);
        for failure in &self.failures {
            text.push_str(&format!("\t{failure}\n"));
        }
        let mut add = |what: &str, reports: &[ElementReport]| {
            for report in reports {
                text.push_str(&format!("\tCannot migrate {what} instance '{}':\n", report.id));
                for failure in &report.failures {
                    text.push_str(&format!("\t\t{failure}\n"));
                }
            }
        };
        add("activity", &self.activity_instances);
        add("transition", &self.transition_instances);
        text
    }

    /// `code:activity:rule` of the first failure.
    #[must_use]
    pub fn reason_key(&self) -> String {
        let first = self.activity_instances.first().or(self.transition_instances.first());
        first.map_or_else(|| "ENGINE-23004:process:leftovers".to_owned(), |report| report.reason_key.clone())
    }
}

/// A failed attempt at an instance, as a job and the table of failures keep it (design §5).
#[must_use]
pub fn failure(why: &NotMigrated) -> Failure {
    match why {
        NotMigrated::Invalid(report) => {
            let message = report.message();
            let details = format!("MigratingProcessInstanceValidationException: {message}");
            Failure { reason: report.reason_key(), message, details }
        }
        NotMigrated::Refused(refusal) => Failure {
            reason: refusal_key(refusal),
            message: refusal.message.clone(),
            details: format!("{}: {}", refusal.kind, refusal.message),
        },
    }
}

/// The engine's code where the message has one, else the exception's name; the failing activity; nothing that differs
/// from instance to instance.
fn refusal_key(refusal: &Refusal) -> String {
    let first = refusal.message.split_whitespace().next().unwrap_or_default();
    let code = if first.starts_with("ENGINE-") { first } else { refusal.kind };
    format!("{code}:{}:{}", refusal.failed_activity.as_deref().unwrap_or("process"), refusal.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(failures: &[&str]) -> ElementReport {
        ElementReport {
            instruction: None,
            id: "a:1".into(),
            source_scope_id: "a".into(),
            failures: failures.iter().map(|f| (*f).to_owned()).collect(),
            reason_key: "ENGINE-23004:a:no-instruction".into(),
        }
    }

    #[test]
    fn a_report_reads_as_the_reference_writes_it() {
        let report = InstanceReport {
            instance_id: "pi".into(),
            failures: vec!["left".into()],
            activity_instances: vec![report(&["one", "two"])],
            transition_instances: vec![ElementReport { id: "e".into(), ..report(&["three"]) }],
        };
        let expect = "ENGINE-23004 Cannot migrate process instance 'pi':\n\tleft\n\tCannot migrate activity instance 'a:1':\n\t\tone\n\t\ttwo\n\
                      \tCannot migrate transition instance 'e':\n\t\tthree\n";
        assert_eq!(report.message(), expect);
    }

    #[test]
    fn the_same_reason_has_the_same_key_for_every_instance() {
        let key = |message: &str| failure(&NotMigrated::Refused(Refusal::engine(message))).reason;
        assert_eq!(key("ENGINE-23002 Process instance 'a' …"), key("ENGINE-23002 Process instance 'b' …"));
        assert_ne!(key("ENGINE-23002 …"), key("ENGINE-23010 …"));
        let of = |id: &str| failure(&NotMigrated::Refused(missing(id))).reason;
        assert_eq!(of("a"), of("b"));
    }

    #[test]
    fn details_name_the_exception_first() {
        let failure = failure(&NotMigrated::Refused(missing("x")));
        assert_eq!(failure.details, format!("ProcessEngineException: {}", failure.message));
    }
}
