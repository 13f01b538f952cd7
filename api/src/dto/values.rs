//! Variable values as JSON (spec-batch-rest §4.6): `{"type", "value", "valueInfo"}`.

use serde_json::{Map, Value, json};
use shared::process::value::TypedValue;
use shared::runner::command::Variables;

use crate::dates;
use crate::error::ApiError;
use crate::input::{Input, Object, misfit, scalar};

const PRIMITIVES: [(&str, &str); 7] = [
    ("String", "java.lang.String"),
    ("Integer", "java.lang.Integer"),
    ("Short", "java.lang.Short"),
    ("Long", "java.lang.Long"),
    ("Double", "java.lang.Double"),
    ("Boolean", "java.lang.Boolean"),
    ("Date", "java.util.Date"),
];

/// Reads a map of names to values; a null entry is refused by name.
///
/// # Errors
/// As [`read`].
pub fn read_map(input: &Input<'_>, name: &str) -> Result<Option<Variables>, ApiError> {
    let Some(map) = input.object(name)? else { return Ok(None) };
    let one = |(key, value): (&String, &Value)| {
        let object = value.as_object().ok_or_else(|| misfit(&format!("{name}.{key}"), value, "a variable value"))?;
        Ok((key.clone(), read(object)?))
    };
    map.iter().map(one).collect::<Result<_, _>>().map(Some)
}

/// Reads one value. Without a type it is what the JSON says.
///
/// # Errors
/// 400: an unknown type (`RestException`), or a value that is none of its type.
pub fn read(object: &Object) -> Result<TypedValue, ApiError> {
    let input = Input::body(object);
    let info = input.object("valueInfo")?.cloned();
    let value = object.get("value").cloned().unwrap_or_default();
    let transient = info.as_ref().is_some_and(|i| i.get("transient").is_some_and(|t| t == true || t == "true"));
    let mut typed = match input.text("type")? {
        None => untyped(value),
        Some(kind) => of_type(&kind, value)?,
    };
    typed.transient = transient;
    if let Some(mut info) = info {
        info.remove("transient");
        info.retain(|_, v| !v.is_null());
        if !info.is_empty() {
            typed.info = Value::Object(info);
        }
    }
    Ok(typed)
}

fn untyped(value: Value) -> TypedValue {
    let kind = match &value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(n) if n.is_f64() => "Double",
        Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => "Integer",
        Value::Number(_) => "Long",
        Value::String(_) => "String",
        // The reference keeps what the JSON library made of it, as an object of Java's (FINDINGS 4).
        Value::Array(_) => return object_of("java.util.ArrayList", &value),
        Value::Object(_) => return object_of("java.util.LinkedHashMap", &value),
    };
    TypedValue::new(kind, value)
}

fn object_of(class: &str, value: &Value) -> TypedValue {
    let mut typed = TypedValue::new("Object", Value::String(value.to_string()));
    typed.info = json!({"objectTypeName": class, "serializationDataFormat": "application/json"});
    typed
}

fn of_type(given: &str, value: Value) -> Result<TypedValue, ApiError> {
    let kind = capitalised(given);
    if let Some((_, java)) = PRIMITIVES.iter().find(|(name, _)| *name == kind) {
        let bad = || {
            let shown = scalar(&value).unwrap_or_else(|| value.to_string());
            ApiError::invalid(format!("Cannot convert value '{shown}' of type '{given}' to java type {java}"))
        };
        let read = if value.is_null() { Some(Value::Null) } else { primitive(&kind, &value) };
        return read.map(|v| TypedValue::new(&kind, v)).ok_or_else(bad);
    }
    match kind.as_str() {
        "Null" => Ok(TypedValue::null()),
        "Bytes" | "File" | "Object" | "Json" | "Xml" if value.is_string() || value.is_null() => Ok(TypedValue::new(&kind, value)),
        "Bytes" | "File" => Err(ApiError::invalid(format!("Provided value is not of type '{given}'."))),
        "Object" | "Json" | "Xml" => {
            let message = format!("Must provide 'null' or String value for value of SerializableValue type '{given}'.");
            Err(ApiError::invalid(message))
        }
        _ => Err(ApiError::invalid(format!("Unsupported value type '{given}'")).with_kind("RestException")),
    }
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

fn primitive(kind: &str, value: &Value) -> Option<Value> {
    let text = scalar(value)?;
    let within = |least: i64, most: i64| text.trim().parse::<i64>().ok().filter(|n| (least..=most).contains(n)).map(Value::from);
    match kind {
        "String" => Some(Value::String(text)),
        "Integer" => within(i64::from(i32::MIN), i64::from(i32::MAX)),
        "Short" => within(i64::from(i16::MIN), i64::from(i16::MAX)),
        "Long" => within(i64::MIN, i64::MAX),
        "Double" => text.trim().parse::<f64>().ok().and_then(serde_json::Number::from_f64).map(Value::Number),
        "Boolean" => match text.trim() {
            t if t.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
            t if t.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
            _ => None,
        },
        _ => match value {
            Value::Number(n) => n.as_i64(),
            _ => dates::parse(&text),
        }
        .map(|at| Value::String(dates::format(at))),
    }
}

/// One value as callers read it. The content of a file is not sent with it.
#[must_use]
pub fn show(value: &TypedValue) -> Value {
    let shown = if value.kind == "File" { Value::Null } else { value.value.clone() };
    json!({"type": value.kind, "value": shown, "valueInfo": info(value)})
}

#[must_use]
pub fn info(value: &TypedValue) -> Value {
    if value.info.is_object() { value.info.clone() } else { json!({}) }
}

#[must_use]
pub fn show_map<'a>(values: impl IntoIterator<Item = (&'a String, &'a TypedValue)>) -> Value {
    Value::Object(values.into_iter().map(|(name, value)| (name.clone(), show(value))).collect::<Map<_, _>>())
}

/// Plan variables as `generate` gives them back: what came without a type goes without one (FINDINGS 4).
#[must_use]
pub fn echo(given: &Object, values: &Variables) -> Value {
    let one = |(name, value): &(String, TypedValue)| {
        let typed = given.get(name).and_then(|v| v.get("type")).is_some_and(|t| !t.is_null());
        let raw = given.get(name).and_then(|v| v.get("value")).cloned().unwrap_or_default();
        (name.clone(), if typed { show(value) } else { json!({"type": null, "value": raw, "valueInfo": null}) })
    };
    Value::Object(values.iter().map(one).collect())
}
