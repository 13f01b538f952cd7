//! Values that go into statements and rows that come back, the same for both databases.

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, ValueRef as _};

use super::error::mapped;
use crate::store::Error;

/// One bound value. Lists are arrays in PostgreSQL and JSON text in SQLite; the token `{in $n}` reads both.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(Option<bool>),
    Float(Option<f64>),
    Bytes(Option<Vec<u8>>),
    Texts(Vec<String>),
    Ints(Vec<i64>),
    /// A column of [`super::Columns`].
    Column(Column),
}

/// The values of one column of many rows.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    Texts(Vec<Option<String>>),
    Ints(Vec<Option<i64>>),
    Bools(Vec<Option<bool>>),
    Floats(Vec<Option<f64>>),
    /// A text, integer, boolean or float that stands in this many rows: PostgreSQL is sent it once.
    Same(Box<Value>, usize),
}

impl Value {
    /// About how many bytes it takes in a message to PostgreSQL.
    pub(crate) fn size(&self) -> usize {
        /// Length of an item, or its value.
        const ITEM: usize = 12;
        ITEM * 2
            + match self {
                Self::Text(text) => text.as_ref().map_or(0, String::len),
                Self::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
                Self::Texts(list) => list.iter().map(|t| t.len() + ITEM).sum(),
                Self::Column(Column::Texts(list)) => list.iter().map(|t| t.as_ref().map_or(0, String::len) + ITEM).sum(),
                Self::Column(column) => column.len() * ITEM,
                Self::Ints(list) => list.len() * ITEM,
                Self::Int(_) | Self::Bool(_) | Self::Float(_) => 0,
            }
    }
}

/// `params![a, b]`: the values of `$1`, `$2`.
macro_rules! params {
    ($($value:expr),* $(,)?) => { vec![$($crate::store::sql::Value::from($value)),*] };
}
pub(crate) use params;

/// PostgreSQL has no text with a NUL in it: both databases get U+FFFD instead.
pub(crate) fn clean(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

macro_rules! value_from {
    ($($from:ty => |$it:ident| $make:expr),* $(,)?) => { $(
        impl From<$from> for Value { fn from($it: $from) -> Self { $make } }
        impl From<Option<$from>> for Value {
            fn from(option: Option<$from>) -> Self {
                match option { Some(it) => Value::from(it), None => { let _none: Option<$from> = None; value_none::<$from>() } }
            }
        }
    )* };
}

trait NoneValue {
    fn none() -> Value;
}
fn value_none<T: NoneValue>() -> Value {
    T::none()
}
macro_rules! none_value {
    ($($from:ty => $kind:ident),* $(,)?) => { $( impl NoneValue for $from { fn none() -> Value { Value::$kind(None) } } )* };
}
none_value!(&str => Text, &String => Text, String => Text, i64 => Int, i32 => Int, u32 => Int, u64 => Int, usize => Int,
    bool => Bool, f64 => Float, Vec<u8> => Bytes);
value_from!(
    &str => |it| Value::Text(Some(clean(it.to_owned()))),
    &String => |it| Value::Text(Some(clean(it.clone()))),
    String => |it| Value::Text(Some(clean(it))),
    i64 => |it| Value::Int(Some(it)),
    i32 => |it| Value::Int(Some(it.into())),
    u32 => |it| Value::Int(Some(it.into())),
    u64 => |it| Value::Int(Some(i64::try_from(it).unwrap_or(i64::MAX))),
    usize => |it| Value::Int(Some(i64::try_from(it).unwrap_or(i64::MAX))),
    bool => |it| Value::Bool(Some(it)),
    f64 => |it| Value::Float(Some(it)),
    Vec<u8> => |it| Value::Bytes(Some(it)),
);

impl From<&[String]> for Value {
    fn from(texts: &[String]) -> Self {
        Value::Texts(texts.iter().cloned().map(clean).collect())
    }
}

impl From<&Vec<String>> for Value {
    fn from(texts: &Vec<String>) -> Self {
        texts.as_slice().into()
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Value::Texts(texts.into_iter().map(clean).collect())
    }
}

impl From<Vec<i64>> for Value {
    fn from(ints: Vec<i64>) -> Self {
        Value::Ints(ints)
    }
}

impl Column {
    pub(crate) fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Self {
        Self::Texts(texts.into_iter().map(|t| Some(clean(t.into()))).collect())
    }

    pub(crate) fn optional_texts(texts: impl IntoIterator<Item = Option<String>>) -> Self {
        Self::Texts(texts.into_iter().map(|t| t.map(clean)).collect())
    }

    pub(crate) fn ints<T: TryInto<i64>>(ints: impl IntoIterator<Item = T>) -> Self {
        Self::Ints(ints.into_iter().map(|i| Some(i.try_into().unwrap_or(i64::MAX))).collect())
    }

    pub(crate) fn optional_ints(ints: impl IntoIterator<Item = Option<i64>>) -> Self {
        Self::Ints(ints.into_iter().collect())
    }

    pub(crate) fn bools(bools: impl IntoIterator<Item = bool>) -> Self {
        Self::Bools(bools.into_iter().map(Some).collect())
    }

    /// The same value in each of `n` rows.
    pub(crate) fn same(value: impl Into<Value>, n: usize) -> Self {
        Self::Same(Box::new(value.into()), n)
    }

    /// What it is, as [`Column::Same`] if it has one value in all rows.
    pub(crate) fn collapsed(self) -> Self {
        let one = match &self {
            Self::Texts(c) => only(c).map(Value::Text),
            Self::Ints(c) => only(c).map(Value::Int),
            Self::Bools(c) => only(c).map(Value::Bool),
            Self::Floats(c) => only(c).map(Value::Float),
            Self::Same(..) => None,
        };
        match one {
            Some(value) => Self::same(value, self.len()),
            None => self,
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Texts(c) => c.len(),
            Self::Ints(c) => c.len(),
            Self::Bools(c) => c.len(),
            Self::Floats(c) => c.len(),
            Self::Same(_, n) => *n,
        }
    }

    /// The value of row `at`, as JSON.
    pub(crate) fn json(&self, at: usize) -> serde_json::Value {
        match self {
            Self::Texts(c) => c.get(at).cloned().flatten().into(),
            Self::Ints(c) => c.get(at).copied().flatten().into(),
            Self::Bools(c) => c.get(at).copied().flatten().map(i64::from).into(),
            Self::Floats(c) => c.get(at).copied().flatten().into(),
            Self::Same(value, _) => match &**value {
                Value::Text(text) => text.clone().into(),
                Value::Int(int) => (*int).into(),
                Value::Bool(bool) => bool.map(i64::from).into(),
                Value::Float(float) => (*float).into(),
                Value::Bytes(_) | Value::Texts(_) | Value::Ints(_) | Value::Column(_) => serde_json::Value::Null,
            },
        }
    }
}

/// The value that all have.
fn only<T: PartialEq + Clone>(values: &[T]) -> Option<T> {
    let (first, rest) = values.split_first()?;
    rest.iter().all(|value| value == first).then(|| first.clone())
}

/// One row of an answer. Columns are read by name.
pub(crate) struct Row {
    pub(super) verb: &'static str,
    pub(super) row: RowOf,
}

pub(super) enum RowOf {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

macro_rules! optional {
    ($($name:ident -> $type:ty;)*) => { $(
        pub(crate) fn $name(&self, column: &str) -> Result<Option<$type>, Error> {
            match &self.row {
                RowOf::Postgres(row) => row.try_get(column),
                // Computed columns of SQLite have no declared type: the value itself decides.
                RowOf::Sqlite(row) => row.try_get_raw(column).and_then(|value| {
                    if value.is_null() { Ok(None) } else { row.try_get_unchecked(column).map(Some) }
                }),
            }
            .map_err(|e| mapped(self.verb, e))
        }
    )* };
}

macro_rules! required {
    ($($name:ident, $optional:ident -> $type:ty;)*) => { $(
        pub(crate) fn $name(&self, column: &str) -> Result<$type, Error> {
            self.$optional(column)?.ok_or_else(|| mapped(self.verb, sqlx::Error::ColumnDecode {
                index: column.to_owned(),
                source: "an unexpected NULL".into(),
            }))
        }
    )* };
}

impl Row {
    optional! {
        optional_text -> String;
        optional_int -> i64;
        optional_bool -> bool;
        optional_bytes -> Vec<u8>;
    }

    required! {
        text, optional_text -> String;
        int, optional_int -> i64;
        bool, optional_bool -> bool;
        bytes, optional_bytes -> Vec<u8>;
    }

    /// A count or number that is never negative.
    pub(crate) fn uint(&self, column: &str) -> Result<u64, Error> {
        Ok(u64::try_from(self.int(column)?).unwrap_or(0))
    }

    pub(crate) fn number(&self, column: &str) -> Result<u32, Error> {
        Ok(u32::try_from(self.int(column)?).unwrap_or(u32::MAX))
    }

    pub(crate) fn int32(&self, column: &str) -> Result<i32, Error> {
        Ok(i32::try_from(self.int(column)?).unwrap_or(i32::MAX))
    }

    /// A text, where it lies.
    pub(crate) fn str(&self, column: &str) -> Result<&str, Error> {
        match &self.row {
            RowOf::Postgres(row) => row.try_get(column),
            RowOf::Sqlite(row) => row.try_get_unchecked(column),
        }
        .map_err(|e| mapped(self.verb, e))
    }

    /// A column that holds JSON text.
    pub(crate) fn json<T: serde::de::DeserializeOwned>(&self, column: &str) -> Result<T, Error> {
        serde_json::from_str(self.str(column)?).map_err(|e| super::corrupt("column", column, &e))
    }
}

#[cfg(feature = "testing")]
impl Row {
    optional! {
        optional_float -> f64;
    }
}
