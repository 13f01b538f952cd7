//! Expressions: the subset of the reference's `${…}` that Drover evaluates (FINDINGS 39).

use std::fmt;

/// The text of an expression or a plain constant, as written in the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression(pub String);

impl Expression {
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Is there anything to evaluate, or is the text its own value?
    #[must_use]
    pub fn is_constant(&self) -> bool {
        !self.0.contains("${") && !self.0.contains("#{")
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
