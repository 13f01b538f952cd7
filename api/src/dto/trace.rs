//! What the reference serves as a stack trace: the exception's full name and message, and where it came from.

/// Exceptions that live in a package of their own.
const PACKAGES: [(&str, &str); 2] =
    [("MigratingProcessInstanceValidationException", "migration."), ("MigrationPlanValidationException", "migration.")];

/// `details` begin with the exception's simple name; a client that reads traces looks for the full one, and for a frame.
#[must_use]
pub fn show(details: Option<String>) -> Option<String> {
    let details = details?;
    let name = details.split(':').next().unwrap_or_default();
    let is_name = name.ends_with("Exception") && name.chars().all(|c| c.is_ascii_alphanumeric());
    if !is_name {
        return Some(details);
    }
    let package = PACKAGES.iter().find(|(of, _)| *of == name).map_or("", |(_, package)| package);
    Some(format!("org.camunda.bpm.engine.{package}{details}\n\tat drover\n"))
}

#[cfg(test)]
mod tests {
    use super::show;

    #[test]
    fn a_trace_begins_with_the_full_name() {
        let shown = |details: &str| show(Some(details.to_owned())).unwrap();
        assert_eq!(shown("ProcessEngineException: no"), "org.camunda.bpm.engine.ProcessEngineException: no\n\tat drover\n");
        assert!(shown("MigratingProcessInstanceValidationException: x").starts_with("org.camunda.bpm.engine.migration.Migrating"));
        assert_eq!(shown("the worker died 5 times"), "the worker died 5 times");
    }
}
