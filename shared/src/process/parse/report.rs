//! What a deployment is told about its BPMN: every error and warning with its place in the file.

use roxmltree::Node;

use super::xml;

/// More problems than this are not collected: a file that is wrong everywhere is not read better by a longer list.
const MAX_PROBLEMS: usize = 100;

/// Why a file was not taken, or what was odd about it (spec-batch-rest §5.2, `details` of a `ParseException`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParseReport {
    pub errors: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// One error or warning. Lines and columns count from 1; both are 0 where the place is not known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problem {
    pub message: String,
    pub line: u32,
    pub column: u32,
    pub main_element_id: Option<String>,
    pub element_ids: Vec<String>,
}

impl ParseReport {
    /// The message of the `ParseException` for the resource of this name.
    #[must_use]
    pub fn message(&self, resource: &str) -> String {
        let mut text = String::from("ENGINE-09005 Could not parse BPMN process. Errors: ");
        for problem in &self.errors {
            text.push_str(&format!("\n* {} | resource {resource}", problem.message));
            if problem.line > 0 {
                text.push_str(&format!(" | line {}", problem.line));
            }
            if problem.column > 0 {
                text.push_str(&format!(" | column {}", problem.column));
            }
        }
        text
    }

    /// An error of the element itself.
    pub(super) fn error(&mut self, message: impl Into<String>, node: Node<'_, '_>) {
        let id = xml::id_above(node);
        self.error_about(message, node, id.iter().cloned().collect());
    }

    /// An error that concerns the named elements, the first of them mainly.
    pub(super) fn error_about(&mut self, message: impl Into<String>, node: Node<'_, '_>, element_ids: Vec<String>) {
        if self.errors.len() < MAX_PROBLEMS {
            self.errors.push(Problem::at(message.into(), node, element_ids));
        }
    }

    pub(super) fn warning(&mut self, message: impl Into<String>, node: Node<'_, '_>) {
        if self.warnings.len() < MAX_PROBLEMS {
            self.warnings.push(Problem::at(message.into(), node, xml::id_above(node).into_iter().collect()));
        }
    }

    /// A report of one error with a place but no element.
    pub(super) fn of(message: impl Into<String>, line: u32, column: u32) -> Self {
        let problem = Problem { message: message.into(), line, column, ..Problem::default() };
        Self { errors: vec![problem], warnings: vec![] }
    }
}

impl Problem {
    fn at(message: String, node: Node<'_, '_>, element_ids: Vec<String>) -> Self {
        let place = xml::end_of_start_tag(node);
        Self { message, line: place.row, column: place.col, main_element_id: element_ids.first().cloned(), element_ids }
    }
}
