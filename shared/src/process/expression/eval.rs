//! The value of a tree.

use serde_json::Value as Json;

use super::grammar::{Part, Tree};
use super::{ExpressionContext, Failure, operators};
use crate::process::value::TypedValue;

/// Names that stand for an object, not for a variable.
const OBJECTS: [&str; 3] = ["execution", "task", "processInstance"];

enum Value {
    Typed(TypedValue),
    Object(&'static str),
}

/// One expression alone keeps its type; anything mixed with text becomes text.
pub(super) fn parts(parts: &[Part], cx: &mut dyn ExpressionContext) -> Result<TypedValue, Failure> {
    if let [Part::Expression(tree)] = parts {
        return typed(tree, cx);
    }
    let mut text = String::new();
    for part in parts {
        match part {
            Part::Text(plain) => text.push_str(plain),
            Part::Expression(tree) => text.push_str(&operators::text(&typed(tree, cx)?).unwrap_or_default()),
        }
    }
    Ok(TypedValue::string(text))
}

fn typed(tree: &Tree, cx: &mut dyn ExpressionContext) -> Result<TypedValue, Failure> {
    match value(tree, cx)? {
        Value::Typed(value) => Ok(value),
        Value::Object(name) => Err(Failure::Other(format!("'{name}' is no value; ask for one of its properties"))),
    }
}

fn value(tree: &Tree, cx: &mut dyn ExpressionContext) -> Result<Value, Failure> {
    let value = match tree {
        Tree::Null => TypedValue::null(),
        Tree::Boolean(holds) => TypedValue::boolean(*holds),
        Tree::Long(number) => TypedValue::new("Long", Json::from(*number)),
        Tree::Double(number) => operators::double(*number)?,
        Tree::Text(text) => TypedValue::string(text.as_str()),
        Tree::Name(name) => return named(name, cx),
        Tree::Property(of, name) => return property(of, name, cx),
        Tree::Index(of, index) => {
            let (of, index) = (typed(of, cx)?, typed(index, cx)?);
            operators::member(&of, &index)?
        }
        Tree::Call(of, method, arguments) => return call(of, method, arguments, cx),
        Tree::Unary(sign, operand) => operators::unary(sign, &typed(operand, cx)?)?,
        Tree::Binary(sign, left, right) => binary(sign, left, right, cx)?,
        Tree::Choice(condition, yes, no) => {
            let holds = operators::boolean(&typed(condition, cx)?)?;
            return value(if holds { yes } else { no }, cx);
        }
    };
    Ok(Value::Typed(value))
}

/// Outside of a task's listeners `task` may be a variable's name.
fn named(name: &str, cx: &mut dyn ExpressionContext) -> Result<Value, Failure> {
    match name {
        "execution" => return Ok(Value::Object("execution")),
        "task" if cx.property("task", "id").is_some() || cx.variable("task").is_none() => return Ok(Value::Object("task")),
        _ => {}
    }
    let value = cx.variable(name).ok_or_else(|| Failure::UnknownProperty(format!("Cannot resolve identifier '{name}'")))?;
    Ok(Value::Typed(value))
}

fn property(of: &Tree, name: &str, cx: &mut dyn ExpressionContext) -> Result<Value, Failure> {
    match value(of, cx)? {
        Value::Object(object) => {
            if let Some(value) = cx.property(object, name) {
                return Ok(Value::Typed(value));
            }
            // What an object leads to: the instance of an execution or task, the execution of a task.
            match OBJECTS.iter().find(|o| **o == name && **o != "task") {
                Some(next) => Ok(Value::Object(next)),
                None => Err(Failure::UnknownProperty(format!("Could not find property {name} in {object}"))),
            }
        }
        Value::Typed(of) => Ok(Value::Typed(operators::member(&of, &TypedValue::string(name))?)),
    }
}

fn call(of: &Tree, method: &str, arguments: &[Tree], cx: &mut dyn ExpressionContext) -> Result<Value, Failure> {
    let of = value(of, cx)?;
    let mut values = Vec::with_capacity(arguments.len());
    for argument in arguments {
        values.push(typed(argument, cx)?);
    }
    let object = match of {
        Value::Object(object) => object,
        Value::Typed(of) => return operators::method(&of, method, &values).map(Value::Typed),
    };
    if values.is_empty()
        && let Some(name) = getter(method)
    {
        if let Some(value) = cx.property(object, &name) {
            return Ok(Value::Typed(value));
        }
        if let Some(next) = OBJECTS.iter().find(|o| **o == name && **o != "task") {
            return Ok(Value::Object(next));
        }
    }
    cx.call(object, method, &values).map(Value::Typed).map_err(Failure::Other)
}

/// `getCurrentActivityId` and `isCanceled` ask for a property.
fn getter(method: &str) -> Option<String> {
    let name = method.strip_prefix("get").or_else(|| method.strip_prefix("is"))?;
    let first = name.chars().next().filter(char::is_ascii_uppercase)?;
    Some(format!("{}{}", first.to_ascii_lowercase(), name.get(1..).unwrap_or_default()))
}

/// `&&` and `||` look at their right side only if the left one does not decide.
fn binary(sign: &str, left: &Tree, right: &Tree, cx: &mut dyn ExpressionContext) -> Result<TypedValue, Failure> {
    let left = typed(left, cx)?;
    if matches!(sign, "&&" | "||") {
        let holds = operators::boolean(&left)?;
        let decided = if sign == "&&" { !holds } else { holds };
        return Ok(TypedValue::boolean(if decided { holds } else { operators::boolean(&typed(right, cx)?)? }));
    }
    let right = typed(right, cx)?;
    operators::binary(sign, &left, &right)
}
