//! Operators and coercion as the reference's expression language has them: no concatenation by `+`, division is always
//! fractional, numbers are 64 bit, a comparison with null is false.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::Failure;
use crate::process::value::TypedValue;

/// A value as operators see it.
enum Plain<'a> {
    Null,
    Boolean(bool),
    Long(i64),
    Double(f64),
    Text(&'a str),
    /// Dates, files, objects: only equality and text.
    Other(&'a Json),
}

fn plain(value: &TypedValue) -> Plain<'_> {
    match (&value.value, value.kind.as_str()) {
        (Json::Null, _) => Plain::Null,
        (Json::Bool(holds), _) => Plain::Boolean(*holds),
        (Json::Number(n), kind) => match n.as_i64() {
            Some(long) if kind != "Double" => Plain::Long(long),
            _ => Plain::Double(n.as_f64().unwrap_or(f64::NAN)),
        },
        // Dates are printed alike, so that their texts compare as they do.
        (Json::String(text), "String" | "Date" | "Xml" | "Json") => Plain::Text(text),
        (other, _) => Plain::Other(other),
    }
}

/// The class that messages print for a value.
pub(super) fn class_name(value: &TypedValue) -> String {
    match value.kind.as_str() {
        kind @ ("String" | "Integer" | "Short" | "Long" | "Double" | "Boolean") => format!("java.lang.{kind}"),
        "Date" => "java.util.Date".to_owned(),
        kind => kind.to_owned(),
    }
}

fn cannot_coerce(value: &TypedValue, to: &str) -> Failure {
    Failure::Other(format!("Cannot coerce '{}' from {} to {to}", text(value).unwrap_or_default(), class_name(value)))
}

/// As text; none for null.
pub(super) fn text(value: &TypedValue) -> Option<String> {
    match plain(value) {
        Plain::Null => None,
        Plain::Boolean(holds) => Some(holds.to_string()),
        Plain::Long(number) => Some(number.to_string()),
        Plain::Double(number) => {
            Some(if number.fract() == 0.0 && number.abs() < 1e7 { format!("{number:.1}") } else { number.to_string() })
        }
        Plain::Text(text) => Some(text.to_owned()),
        Plain::Other(Json::String(text)) => Some(text.clone()),
        Plain::Other(json) => Some(json.to_string()),
    }
}

pub(super) fn boolean(value: &TypedValue) -> Result<bool, Failure> {
    match plain(value) {
        Plain::Null => Ok(false),
        Plain::Boolean(holds) => Ok(holds),
        Plain::Text(text) => Ok(text.eq_ignore_ascii_case("true")),
        _ => Err(cannot_coerce(value, "java.lang.Boolean")),
    }
}

fn as_long(value: &TypedValue) -> Result<i64, Failure> {
    match plain(value) {
        Plain::Null | Plain::Text("") => Ok(0),
        Plain::Long(number) => Ok(number),
        // As a cast does: towards zero, and to the closest there is.
        Plain::Double(number) => Ok(number as i64),
        Plain::Text(text) => text.parse().map_err(|_| cannot_coerce(value, "java.lang.Long")),
        Plain::Boolean(_) | Plain::Other(_) => Err(cannot_coerce(value, "java.lang.Long")),
    }
}

fn as_double(value: &TypedValue) -> Result<f64, Failure> {
    match plain(value) {
        Plain::Null | Plain::Text("") => Ok(0.0),
        Plain::Long(number) => Ok(number as f64),
        Plain::Double(number) => Ok(number),
        Plain::Text(text) => text.parse().map_err(|_| cannot_coerce(value, "java.lang.Double")),
        Plain::Boolean(_) | Plain::Other(_) => Err(cannot_coerce(value, "java.lang.Double")),
    }
}

/// A fractional number as a value; infinity and the like have none.
pub(super) fn double(number: f64) -> Result<TypedValue, Failure> {
    let json = serde_json::Number::from_f64(number).ok_or_else(|| Failure::Other(format!("the result is {number}")))?;
    Ok(TypedValue::new("Double", Json::Number(json)))
}

fn long(number: i64) -> TypedValue {
    TypedValue::new("Long", Json::from(number))
}

fn is_double(value: &TypedValue) -> bool {
    match plain(value) {
        Plain::Double(_) => true,
        Plain::Text(text) => text.contains(['.', 'e', 'E']),
        _ => false,
    }
}

pub(super) fn unary(sign: &str, operand: &TypedValue) -> Result<TypedValue, Failure> {
    match sign {
        "!" => boolean(operand).map(|holds| TypedValue::boolean(!holds)),
        "empty" => Ok(TypedValue::boolean(match plain(operand) {
            Plain::Null => true,
            Plain::Text(text) => text.is_empty(),
            Plain::Other(Json::Array(items)) => items.is_empty(),
            Plain::Other(Json::Object(entries)) => entries.is_empty(),
            _ => false,
        })),
        _ if is_double(operand) => double(-as_double(operand)?),
        _ => as_long(operand).map(|number| long(number.wrapping_neg())),
    }
}

/// All but `&&` and `||`.
pub(super) fn binary(sign: &str, left: &TypedValue, right: &TypedValue) -> Result<TypedValue, Failure> {
    match sign {
        "==" => equal(left, right).map(TypedValue::boolean),
        "!=" => equal(left, right).map(|same| TypedValue::boolean(!same)),
        "<" | ">" | "<=" | ">=" => {
            let both_null = left.value.is_null() && right.value.is_null();
            let order = if both_null { Some(Ordering::Equal) } else { compare(left, right)? };
            Ok(TypedValue::boolean(order.is_some_and(|order| match sign {
                "<" => order == Ordering::Less,
                ">" => order == Ordering::Greater,
                "<=" => order != Ordering::Greater,
                _ => order != Ordering::Less,
            })))
        }
        "/" if left.value.is_null() && right.value.is_null() => Ok(long(0)),
        "/" => double(as_double(left)? / as_double(right)?),
        _ if is_double(left) || is_double(right) => {
            let (a, b) = (as_double(left)?, as_double(right)?);
            double(match sign {
                "+" => a + b,
                "-" => a - b,
                "*" => a * b,
                _ => a % b,
            })
        }
        _ => {
            let (a, b) = (as_long(left)?, as_long(right)?);
            match sign {
                "+" => Ok(long(a.wrapping_add(b))),
                "-" => Ok(long(a.wrapping_sub(b))),
                "*" => Ok(long(a.wrapping_mul(b))),
                _ if b == 0 => Err(Failure::Other("/ by zero".to_owned())),
                _ => Ok(long(a.wrapping_rem(b))),
            }
        }
    }
}

fn equal(left: &TypedValue, right: &TypedValue) -> Result<bool, Failure> {
    Ok(match (plain(left), plain(right)) {
        (Plain::Null, Plain::Null) => true,
        (Plain::Null, _) | (_, Plain::Null) => false,
        (Plain::Text(a), Plain::Text(b)) => a == b,
        (Plain::Double(_), _) | (_, Plain::Double(_)) => as_double(left)? == as_double(right)?,
        (Plain::Long(_), _) | (_, Plain::Long(_)) => as_long(left)? == as_long(right)?,
        (Plain::Boolean(_), _) | (_, Plain::Boolean(_)) => boolean(left)? == boolean(right)?,
        (Plain::Text(_), _) | (_, Plain::Text(_)) => text(left) == text(right),
        (Plain::Other(a), Plain::Other(b)) => a == b,
    })
}

/// None when one of them is null: then no comparison holds.
fn compare(left: &TypedValue, right: &TypedValue) -> Result<Option<Ordering>, Failure> {
    Ok(match (plain(left), plain(right)) {
        (Plain::Null, _) | (_, Plain::Null) => None,
        (Plain::Double(_), _) | (_, Plain::Double(_)) => as_double(left)?.partial_cmp(&as_double(right)?),
        (Plain::Long(_), _) | (_, Plain::Long(_)) => Some(as_long(left)?.cmp(&as_long(right)?)),
        (Plain::Text(_), _) | (_, Plain::Text(_)) => Some(text(left).cmp(&text(right))),
        (Plain::Boolean(a), Plain::Boolean(b)) => Some(a.cmp(&b)),
        _ => return Err(Failure::Other(format!("Cannot compare {} with {}", class_name(left), class_name(right)))),
    })
}

/// An entry of a list or map.
pub(super) fn member(of: &TypedValue, name: &TypedValue) -> Result<TypedValue, Failure> {
    let missing =
        || Failure::UnknownProperty(format!("Could not find property {} in class {}", text(name).unwrap_or_default(), class_name(of)));
    let found = match &of.value {
        Json::Object(entries) => entries.get(&text(name).unwrap_or_default()),
        Json::Array(items) => items.get(usize::try_from(as_long(name)?).map_err(|_| missing())?),
        _ => None,
    };
    Ok(from_json(found.ok_or_else(missing)?))
}

fn from_json(json: &Json) -> TypedValue {
    let kind = match json {
        Json::Null => "Null",
        Json::Bool(_) => "Boolean",
        Json::Number(n) if n.is_f64() => "Double",
        Json::Number(_) => "Long",
        Json::String(_) => "String",
        Json::Array(_) | Json::Object(_) => "Object",
    };
    TypedValue::new(kind, json.clone())
}

/// Methods of values: those of texts and lists that conditions use.
pub(super) fn method(of: &TypedValue, method: &str, arguments: &[TypedValue]) -> Result<TypedValue, Failure> {
    let argument = arguments.first().and_then(text);
    let found = match (plain(of), method, argument.as_deref()) {
        (_, "equals", _) if arguments.len() == 1 => Some(TypedValue::boolean(of.value == arguments[0].value)),
        (_, "toString", None) => text(of).map(TypedValue::string),
        (Plain::Text(t), "isEmpty", None) => Some(TypedValue::boolean(t.is_empty())),
        (Plain::Text(t), "length", None) => Some(TypedValue::integer(i64::try_from(t.chars().count()).unwrap_or(i64::MAX))),
        (Plain::Text(t), "trim", None) => Some(TypedValue::string(t.trim())),
        (Plain::Text(t), "toUpperCase", None) => Some(TypedValue::string(t.to_uppercase())),
        (Plain::Text(t), "toLowerCase", None) => Some(TypedValue::string(t.to_lowercase())),
        (Plain::Text(t), "equalsIgnoreCase", Some(a)) => Some(TypedValue::boolean(t.to_lowercase() == a.to_lowercase())),
        (Plain::Text(t), "contains", Some(a)) => Some(TypedValue::boolean(t.contains(a))),
        (Plain::Text(t), "startsWith", Some(a)) => Some(TypedValue::boolean(t.starts_with(a))),
        (Plain::Text(t), "endsWith", Some(a)) => Some(TypedValue::boolean(t.ends_with(a))),
        (Plain::Text(t), "concat", Some(a)) => Some(TypedValue::string(format!("{t}{a}"))),
        (Plain::Other(Json::Array(items)), "size", None) => Some(TypedValue::integer(i64::try_from(items.len()).unwrap_or(i64::MAX))),
        (Plain::Other(Json::Array(items)), "isEmpty", None) => Some(TypedValue::boolean(items.is_empty())),
        (Plain::Other(Json::Array(items)), "contains", Some(_)) => Some(TypedValue::boolean(items.contains(&arguments[0].value))),
        _ => None,
    };
    found.ok_or_else(|| Failure::UnknownMethod(format!("Cannot find method {method} in class {}", class_name(of))))
}
