//! What a later version wrote into a document and this one does not know: kept, and written back as it was.
//!
//! While a fleet is upgraded, older and newer workers write the same documents. A newer one may rely on what it wrote, so an
//! older one must not lose it. Nothing is allocated where there is nothing to keep.

use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// Unknown fields of one part of a document; to be flattened into it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unknown(Option<Box<Map<String, Value>>>);

impl Unknown {
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.all()?.get(name)
    }

    pub(super) fn all(&self) -> Option<&Map<String, Value>> {
        self.0.as_deref()
    }
}

impl Serialize for Unknown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            None => serializer.serialize_map(Some(0))?.end(),
            Some(fields) => fields.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Unknown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let fields = Map::deserialize(deserializer)?;
        Ok(Self((!fields.is_empty()).then(|| Box::new(fields))))
    }
}
