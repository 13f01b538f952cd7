//! Values of process variables: the reference's typed values, as stored in a document (spec-batch-rest §4.6).

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

/// The formats of objects that a reader of variables knows.
const OBJECT_FORMATS: [&str; 3] = ["application/json", "application/xml", "application/x-java-serialized-object"];

/// A typed value. `value` is what callers read back, of the JSON type that belongs to `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypedValue {
    /// `String`, `Integer`, `Short`, `Long`, `Double`, `Boolean`, `Date`, `Bytes`, `File`, `Null`, `Object`, `Json`, `Xml`:
    /// capitalised, as the reference prints it.
    #[serde(rename = "type")]
    pub kind: String,
    /// Dates as the reference prints them (`2026-01-31T10:00:00.000+0000`); bytes as base64; objects as their serialised text.
    pub value: Json,
    /// `objectTypeName`, `serializationDataFormat`, `filename`, `mimetype`, `encoding`; an object, maybe empty.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub info: Json,
    /// Visible only within the command that set it; never stored.
    #[serde(skip)]
    pub transient: bool,
}

fn is_empty(info: &Json) -> bool {
    info.as_object().is_none_or(serde_json::Map::is_empty)
}

impl TypedValue {
    #[must_use]
    pub fn new(kind: &str, value: Json) -> Self {
        Self { kind: kind.to_owned(), value, info: Json::Null, transient: false }
    }

    /// What is wrong with an object whose serialised text nobody could read again: its format is not given, or not known (FINDINGS 3).
    #[must_use]
    pub fn without_serializer(&self) -> Option<String> {
        let info = |name: &str| self.info.get(name).and_then(Json::as_str);
        let format = info("serializationDataFormat");
        if self.kind != "Object" || format.is_some_and(|f| OBJECT_FORMATS.contains(&f)) {
            return None;
        }
        let (format, class) = (format.unwrap_or("null"), info("objectTypeName").unwrap_or("null"));
        let length = self.value.as_str().map_or_else(|| "null".to_owned(), |text| format!("{} chars", text.chars().count()));
        Some(format!(
            "Cannot find serializer for value 'ObjectValue [value=null, isDeserialized=false, serializationDataFormat={format}, \
             objectTypeName={class}, serializedValue={length}, isTransient={}]'.",
            self.transient
        ))
    }

    #[must_use]
    pub fn null() -> Self {
        Self::new("Null", Json::Null)
    }

    #[must_use]
    pub fn string(text: impl Into<String>) -> Self {
        Self::new("String", Json::String(text.into()))
    }

    #[must_use]
    pub fn integer(n: i64) -> Self {
        Self::new("Integer", Json::from(n))
    }

    #[must_use]
    pub fn boolean(b: bool) -> Self {
        Self::new("Boolean", Json::Bool(b))
    }
}
