//! What a caller asks, from a URL or a body, read by the same names and with the reference's leniency
//! (spec-batch-rest §5.5, §5.6, FINDINGS 1).
//!
//! An explicit null is the same as nothing; unknown names are ignored because nobody asks for them.

use serde_json::{Map, Value};
use shared::clock::Millis;
use shared::store::query::TenantFilter;

use crate::dates;
use crate::error::ApiError;
use crate::extract::Params;

pub type Object = Map<String, Value>;

#[derive(Clone, Copy)]
enum Source<'a> {
    Url(&'a Params),
    Body(&'a Object),
}

#[derive(Clone, Copy)]
pub struct Input<'a>(Source<'a>);

impl<'a> Input<'a> {
    #[must_use]
    pub fn url(params: &'a Params) -> Self {
        Self(Source::Url(params))
    }

    #[must_use]
    pub fn body(object: &'a Object) -> Self {
        Self(Source::Body(object))
    }

    #[must_use]
    pub fn is_body(&self) -> bool {
        matches!(self.0, Source::Body(_))
    }

    /// Of a body: is there such a key, even if it is null?
    #[must_use]
    pub fn has_key(&self, name: &str) -> bool {
        match self.0 {
            Source::Url(params) => params.get(name).is_some(),
            Source::Body(object) => object.contains_key(name),
        }
    }

    fn value(&self, name: &str) -> Option<&'a Value> {
        match self.0 {
            Source::Url(_) => None,
            Source::Body(object) => object.get(name).filter(|v| !v.is_null()),
        }
    }

    /// A text; numbers and booleans count as their text.
    ///
    /// # Errors
    /// An object or array.
    pub fn text(&self, name: &str) -> Result<Option<String>, ApiError> {
        match self.0 {
            Source::Url(params) => Ok(params.get(name).map(str::to_owned)),
            Source::Body(_) => self.value(name).map(|v| scalar(v).ok_or_else(|| misfit(name, v, "a text"))).transpose(),
        }
    }

    /// A boolean. URLs: `true` and `false` in any case (ecosystem rule 1). Bodies: also 1, 0 and texts.
    ///
    /// # Errors
    /// Anything else.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.0 {
            Source::Url(params) => match params.get(name).filter(|v| !v.is_empty()) {
                None => Ok(None),
                Some(text) => {
                    let why = || format!("Cannot convert value {text} to java type java.lang.Boolean");
                    truth(text).map(Some).ok_or_else(|| self.cannot_set(name, text, Some(why())))
                }
            },
            Source::Body(_) => match self.value(name) {
                None => Ok(None),
                Some(Value::Bool(b)) => Ok(Some(*b)),
                Some(Value::Number(n)) if !n.is_f64() => Ok(Some(n.as_i64() != Some(0))),
                Some(Value::String(s)) if s.trim().is_empty() => Ok(None),
                Some(v) => v.as_str().and_then(truth).map(Some).ok_or_else(|| misfit(name, v, "true or false")),
            },
        }
    }

    /// Is it there and true?
    ///
    /// # Errors
    /// As [`Self::flag`].
    pub fn yes(&self, name: &str) -> Result<bool, ApiError> {
        Ok(self.flag(name)? == Some(true))
    }

    /// A 64-bit number; in bodies also as text, and fractions are cut off.
    ///
    /// # Errors
    /// Anything else.
    pub fn long(&self, name: &str) -> Result<Option<i64>, ApiError> {
        self.number(name, "java.lang.Long", i64::MIN, i64::MAX)
    }

    /// A 32-bit number.
    ///
    /// # Errors
    /// As [`Self::long`], and numbers that are too large.
    pub fn int(&self, name: &str) -> Result<Option<i32>, ApiError> {
        let number = self.number(name, "java.lang.Integer", i64::from(i32::MIN), i64::from(i32::MAX))?;
        Ok(number.and_then(|n| i32::try_from(n).ok()))
    }

    fn number(&self, name: &str, java: &str, least: i64, most: i64) -> Result<Option<i64>, ApiError> {
        let within = |n: &i64| (least..=most).contains(n);
        match self.0 {
            Source::Url(params) => match params.get(name).filter(|v| !v.is_empty()) {
                None => Ok(None),
                Some(text) => {
                    let why = || format!("Cannot convert value {text} to java type {java}");
                    text.parse().ok().filter(within).map(Some).ok_or_else(|| self.cannot_set(name, text, Some(why())))
                }
            },
            Source::Body(_) => match self.value(name) {
                None => Ok(None),
                Some(Value::String(s)) if s.trim().is_empty() => Ok(None),
                Some(v) => whole(v).filter(within).map(Some).ok_or_else(|| misfit(name, v, "a whole number")),
            },
        }
    }

    /// A date; in bodies also milliseconds since the epoch.
    ///
    /// # Errors
    /// What [`dates::parse`] does not read.
    pub fn date(&self, name: &str) -> Result<Option<Millis>, ApiError> {
        match self.0 {
            Source::Url(params) => match params.get(name).filter(|v| !v.is_empty()) {
                None => Ok(None),
                Some(text) => dates::parse(text).map(Some).ok_or_else(|| self.cannot_set(name, text, Some(not_a_date(text)))),
            },
            Source::Body(_) => match self.value(name) {
                None => Ok(None),
                Some(v) => read_date(v).map(Some).ok_or_else(|| misfit(name, v, "a date like 2026-01-31T10:00:00.000+0000")),
            },
        }
    }

    /// A list of texts: with commas in a URL, an array in a body (its nulls are left out).
    ///
    /// # Errors
    /// Anything but an array of scalars in a body.
    pub fn list(&self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        match self.0 {
            Source::Url(params) => Ok(params.get(name).map(|text| text.split(',').map(str::to_owned).collect())),
            Source::Body(_) => Ok(self.ids(name)?.map(|ids| ids.into_iter().flatten().collect())),
        }
    }

    /// A list that does not filter when it is empty.
    ///
    /// # Errors
    /// As [`Self::list`].
    pub fn filled_list(&self, name: &str) -> Result<Option<Vec<String>>, ApiError> {
        Ok(self.list(name)?.filter(|l| !l.is_empty()))
    }

    /// An array of a body with its nulls.
    ///
    /// # Errors
    /// Anything but an array of scalars and nulls.
    pub fn ids(&self, name: &str) -> Result<Option<Vec<Option<String>>>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let array = value.as_array().ok_or_else(|| misfit(name, value, "an array"))?;
        let one = |(i, v): (usize, &Value)| match v {
            Value::Null => Ok(None),
            v => scalar(v).map(Some).ok_or_else(|| misfit(&format!("{name}[{i}]"), v, "a text")),
        };
        array.iter().enumerate().map(one).collect::<Result<_, _>>().map(Some)
    }

    /// An object of a body.
    ///
    /// # Errors
    /// Anything but an object.
    pub fn object(&self, name: &str) -> Result<Option<&'a Object>, ApiError> {
        self.value(name).map(|v| v.as_object().ok_or_else(|| misfit(name, v, "an object"))).transpose()
    }

    /// An array of objects of a body.
    ///
    /// # Errors
    /// Anything but an array of objects; a null in it too (FINDINGS: better than the reference's crash).
    pub fn objects(&self, name: &str) -> Result<Option<Vec<&'a Object>>, ApiError> {
        let Some(value) = self.value(name) else { return Ok(None) };
        let array = value.as_array().ok_or_else(|| misfit(name, value, "an array"))?;
        let one = |(i, v): (usize, &'a Value)| v.as_object().ok_or_else(|| misfit(&format!("{name}[{i}]"), v, "an object"));
        array.iter().enumerate().map(one).collect::<Result<_, _>>().map(Some)
    }

    /// A value of a body as it is.
    #[must_use]
    pub fn raw(&self, name: &str) -> Option<&'a Value> {
        self.value(name)
    }

    /// `tenantIdIn`, `withoutTenantId`, and the flag by which rows without a tenant come beside.
    ///
    /// # Errors
    /// As the getters.
    pub fn tenants(&self, include: &str) -> Result<TenantFilter, ApiError> {
        Ok(TenantFilter {
            tenant_id_in: self.filled_list("tenantIdIn")?,
            without_tenant_id: self.yes("withoutTenantId")?,
            include_without: !include.is_empty() && self.yes(include)?,
        })
    }

    /// The error for a value that a parameter cannot take.
    #[must_use]
    pub fn cannot_set(&self, name: &str, value: &str, why: Option<String>) -> ApiError {
        let why = why.map(|w| format!(": {w}")).unwrap_or_default();
        ApiError::invalid(format!("Cannot set query parameter '{name}' to value '{value}'{why}"))
    }
}

/// Why a text is no date, as the reference says it.
#[must_use]
pub fn not_a_date(text: &str) -> String {
    let quoted = text.len() > 1 && text.starts_with('"') && text.ends_with('"');
    if quoted {
        format!("Cannot convert value {text} to java type java.util.Date because of double quotes")
    } else {
        format!("Cannot convert value \"{text}\" to java type java.util.Date")
    }
}

/// The 400 for a value of a body that does not fit, naming the place.
#[must_use]
pub fn misfit(place: &str, value: &Value, wanted: &str) -> ApiError {
    let found = match value {
        Value::Null => "null".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        scalar => scalar.to_string().chars().take(100).collect(),
    };
    ApiError::invalid(format!("The value at '{place}' of the body must be {wanted}, and is {found}"))
}

fn truth(text: &str) -> Option<bool> {
    let text = text.trim();
    match text {
        "1" => Some(true),
        "0" => Some(false),
        _ if text.eq_ignore_ascii_case("true") => Some(true),
        _ if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Texts, numbers and booleans as text.
#[must_use]
pub fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(n) => n.as_i64().or_else(|| n.as_f64().filter(|f| f.abs() < 9.0e18).map(|f| f.trunc() as i64)),
        Value::String(s) => s.trim().parse().ok(),
        _ => None,
    }
}

fn read_date(value: &Value) -> Option<Millis> {
    match value {
        Value::Number(n) => n.as_i64(),
        Value::String(s) => dates::parse(s),
        _ => None,
    }
}
