//! What stands beside the processes in a file: messages, signals, errors, escalations; and all ids of the file.

use std::collections::{HashMap, HashSet};

use roxmltree::Node;

use super::report::ParseReport;
use super::xml;

/// By id; each with its name or code, as written.
#[derive(Debug, Default)]
pub(super) struct Roots {
    pub messages: HashMap<String, Option<String>>,
    pub signals: HashMap<String, String>,
    pub errors: HashMap<String, Option<String>>,
    pub escalations: HashMap<String, Option<String>>,
    /// Ids of all BPMN elements.
    pub ids: HashSet<String>,
}

impl Roots {
    pub fn read(root: Node<'_, '_>, report: &mut ParseReport) -> Self {
        let mut roots = Self { ids: ids(root, report), ..Self::default() };
        let mut signal_names = HashSet::new();
        for node in xml::elements(root) {
            let tag = xml::tag(node);
            if !matches!(tag, "message" | "signal" | "error" | "escalation") {
                continue;
            }
            let Some(id) = xml::id(node).map(str::to_owned) else {
                report.error(format!("{tag} must have an id"), node);
                continue;
            };
            let text = |name| node.attribute(name).filter(|v| !v.is_empty()).map(str::to_owned);
            match tag {
                "message" => {
                    roots.messages.insert(id, text("name"));
                }
                "signal" => match text("name") {
                    Some(name) => {
                        if !signal_names.insert(name.clone()) {
                            report.error(format!("duplicate signal name '{name}'."), node);
                        }
                        roots.signals.insert(id, name);
                    }
                    None => report.error(format!("signal with id '{id}' has no name"), node),
                },
                "error" => {
                    if node.attribute("errorCode") == Some("") {
                        report.error(format!("'errorCode' must not be empty: error '{id}'"), node);
                    }
                    roots.errors.insert(id, text("errorCode"));
                }
                _ => {
                    roots.escalations.insert(id, text("escalationCode"));
                }
            }
        }
        roots
    }
}

/// Ids must be names and unique in the file: what the reference's schema check says.
fn ids(root: Node<'_, '_>, report: &mut ParseReport) -> HashSet<String> {
    let mut seen = HashSet::new();
    for node in root.descendants().filter(|n| !xml::tag(*n).is_empty()) {
        let Some(id) = node.attribute("id") else { continue };
        if !xml::is_ncname(id) {
            report.error(format!("cvc-datatype-valid.1.2.1: '{id}' is not a valid value for 'NCName'."), node);
        } else if !seen.insert(id.to_owned()) {
            report.error(format!("cvc-id.2: There are multiple occurrences of ID value '{id}'."), node);
        }
    }
    seen
}
