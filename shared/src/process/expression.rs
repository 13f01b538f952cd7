//! Expressions: the subset of the reference's `${…}` that Drover evaluates (FINDINGS 39).
//!
//! Constants, `${…}` and `#{…}` also mixed with text, literals, variables, properties and methods of `execution`, `task` and
//! `processInstance`, a few methods of texts, comparisons, logic, arithmetic, `?:` and `empty`. Anything else is an error that
//! says so. Bounded in length and depth, so that a hostile model cannot hang or crash a worker.

mod eval;
mod grammar;
mod lexer;
mod operators;

use std::fmt;

use serde_json::Value as Json;

use super::value::TypedValue;

/// A longer expression is refused.
pub const MAX_EXPRESSION_CHARS: usize = 10_000;
/// Parentheses, calls and operators inside of each other.
pub const MAX_EXPRESSION_DEPTH: usize = 50;

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

    /// The same value, but never a plain text: a constant becomes an expression with a literal.
    #[must_use]
    pub fn or_literal(self) -> Self {
        if self.is_constant() { Self(format!("${{'{}'}}", self.0.replace('\\', "\\\\").replace('\'', "\\'"))) } else { self }
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an expression can see and do. Its objects are named `execution`, `task` and `processInstance`; a chain such as
/// `execution.getProcessInstance()` or `task.execution` arrives as the object that it leads to.
pub trait ExpressionContext {
    /// A variable that is visible here; none if there is no such (a null value is some).
    fn variable(&self, name: &str) -> Option<TypedValue>;

    /// A property of an object, such as `currentActivityId` of `execution`, also asked for as `getCurrentActivityId()`; none if
    /// there is no such object or property.
    fn property(&self, object: &str, name: &str) -> Option<TypedValue>;

    /// A method of an object, such as `setVariable` of `execution`.
    ///
    /// # Errors
    /// Why it cannot be called; becomes the cause in the expression's message.
    fn call(&mut self, object: &str, method: &str, args: &[TypedValue]) -> Result<TypedValue, String>;
}

/// The value of an expression. A constant is its own text; text with expressions in it is a text.
///
/// # Errors
/// The reference's message, such as `Unknown property used in expression: ${x}. Cause: Cannot resolve identifier 'x'`.
pub fn evaluate(expression: &Expression, cx: &mut dyn ExpressionContext) -> Result<TypedValue, String> {
    if expression.is_constant() {
        return Ok(TypedValue::string(expression.0.as_str()));
    }
    let parts = grammar::parse(&expression.0).map_err(|cause| format!("Error while parsing '{expression}': {cause}"))?;
    eval::parts(&parts, cx).map_err(|failure| failure.message(&expression.0))
}

/// The same as text, as names and keys are read; none for null.
///
/// # Errors
/// As [`evaluate`].
pub fn evaluate_text(expression: &Expression, cx: &mut dyn ExpressionContext) -> Result<Option<String>, String> {
    let value = evaluate(expression, cx)?;
    Ok(operators::text(&value))
}

/// The same as a condition.
///
/// # Errors
/// As [`evaluate`], and if the value is no boolean.
pub fn evaluate_condition(expression: &Expression, cx: &mut dyn ExpressionContext) -> Result<bool, String> {
    let value = evaluate(expression, cx)?;
    match &value.value {
        Json::Bool(holds) if value.kind == "Boolean" => Ok(*holds),
        Json::Null => Err("condition expression returns null: result is null".to_owned()),
        _ => {
            let class = operators::class_name(&value);
            Err(format!("condition expression returns non-Boolean: result has class {class} and not java.lang.Boolean"))
        }
    }
}

/// Why an expression has no value.
#[derive(Debug, Clone, PartialEq)]
enum Failure {
    /// A name or property that is not there.
    UnknownProperty(String),
    UnknownMethod(String),
    Other(String),
}

impl Failure {
    fn message(&self, text: &str) -> String {
        match self {
            Self::UnknownProperty(cause) => format!("Unknown property used in expression: {text}. Cause: {cause}"),
            Self::UnknownMethod(cause) => format!("Unknown method used in expression: {text}. Cause: {cause}"),
            Self::Other(cause) => format!("Error while evaluating expression: {text}. Cause: {cause}"),
        }
    }
}

#[cfg(test)]
mod tests;
