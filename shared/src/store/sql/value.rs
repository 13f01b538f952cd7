//! Values that go into statements and rows that come back, the same for both databases.

use std::fmt::Display;

use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{ColumnIndex, Row as _, ValueRef as _};

use super::Array;
use super::error::mapped;
use crate::store::Error;

/// One bound value. Lists are arrays in PostgreSQL and JSON text in SQLite; the token `{in $n}` reads both.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Scalar(Scalar),
    Bytes(Option<Vec<u8>>),
    Texts(Vec<String>),
    Ints(Vec<i64>),
    /// A column of [`super::Columns`] whose rows differ. SQLite takes such as one JSON list instead.
    Array(Array),
}

#[derive(Clone, Debug)]
pub(crate) enum Scalar {
    Text(Option<String>),
    Int(Option<i64>),
    Bool(Option<bool>),
    Float(Option<f64>),
}

impl Value {
    /// About how many bytes it takes in a message to PostgreSQL.
    pub(crate) fn size(&self) -> usize {
        /// Length of an item, or its value.
        const ITEM: usize = 12;
        ITEM * 2
            + match self {
                Self::Scalar(Scalar::Text(text)) => text.as_ref().map_or(0, String::len),
                Self::Scalar(Scalar::Int(_) | Scalar::Bool(_) | Scalar::Float(_)) => 0,
                Self::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
                Self::Texts(list) => list.iter().map(|t| t.len() + ITEM).sum(),
                Self::Ints(list) => list.len() * ITEM,
                Self::Array(Array::Texts(list)) => list.iter().map(|t| t.as_ref().map_or(0, String::len) + ITEM).sum(),
                Self::Array(array) => array.len() * ITEM,
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

macro_rules! scalars {
    ($($from:ty => $kind:ident |$it:ident| $make:expr),* $(,)?) => { $(
        impl From<Option<$from>> for Scalar { fn from(option: Option<$from>) -> Self { Scalar::$kind(option.map(|$it| $make)) } }
        impl From<$from> for Scalar { fn from(it: $from) -> Self { Some(it).into() } }
        impl From<Option<$from>> for Value { fn from(option: Option<$from>) -> Self { Value::Scalar(option.into()) } }
        impl From<$from> for Value { fn from(it: $from) -> Self { Value::Scalar(it.into()) } }
    )* };
}
scalars!(
    &str => Text |it| clean(it.to_owned()),
    &String => Text |it| clean(it.clone()),
    String => Text |it| clean(it),
    i64 => Int |it| it,
    i32 => Int |it| it.into(),
    u32 => Int |it| it.into(),
    u64 => Int |it| i64::try_from(it).unwrap_or(i64::MAX),
    usize => Int |it| i64::try_from(it).unwrap_or(i64::MAX),
    bool => Bool |it| it,
    f64 => Float |it| it,
);

impl From<Option<Vec<u8>>> for Value {
    fn from(bytes: Option<Vec<u8>>) -> Self {
        Value::Bytes(bytes)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Value::Bytes(Some(bytes))
    }
}

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

/// A column of an answer: its name, or its place from 0.
pub(crate) trait At: ColumnIndex<PgRow> + ColumnIndex<SqliteRow> + Display + Copy {}

impl<I: ColumnIndex<PgRow> + ColumnIndex<SqliteRow> + Display + Copy> At for I {}

/// One row of an answer.
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
        pub(crate) fn $name(&self, column: impl At) -> Result<Option<$type>, Error> {
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
        pub(crate) fn $name(&self, column: impl At) -> Result<$type, Error> {
            self.$optional(column)?.ok_or_else(|| mapped(self.verb, sqlx::Error::ColumnDecode {
                index: column.to_string(),
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
    pub(crate) fn str(&self, column: impl At) -> Result<&str, Error> {
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
