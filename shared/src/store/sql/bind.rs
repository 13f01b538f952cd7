//! Values bound to a statement, as each database takes them.

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Postgres, Sqlite};

use super::{Array, Scalar, Value};

pub(super) fn postgres(sql: String, values: Vec<Value>) -> Query<'static, Postgres, PgArguments> {
    // Documents by the hundred: a buffer that grows as they come would copy them again and again.
    let mut room = PgArguments::default();
    room.reserve(values.len(), values.iter().map(Value::size).sum());
    values.into_iter().fold(sqlx::query_with(AssertSqlSafe(sql), room), |query, value| match value {
        Value::Scalar(Scalar::Text(v)) => query.bind(v),
        Value::Scalar(Scalar::Int(v)) => query.bind(v),
        Value::Scalar(Scalar::Bool(v)) => query.bind(v),
        Value::Scalar(Scalar::Float(v)) => query.bind(v),
        Value::Bytes(v) => query.bind(v),
        Value::Texts(v) => query.bind(v),
        Value::Ints(v) => query.bind(v),
        Value::Array(Array::Texts(v)) => query.bind(v),
        Value::Array(Array::Ints(v)) => query.bind(v),
        Value::Array(Array::Bools(v)) => query.bind(v),
        Value::Array(Array::Floats(v)) => query.bind(v),
    })
}

pub(super) fn sqlite(sql: String, values: Vec<Value>) -> Query<'static, Sqlite, SqliteArguments> {
    let list = |v: serde_json::Result<String>| v.unwrap_or_default();
    values.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), |query, value| match value {
        Value::Scalar(Scalar::Text(v)) => query.bind(v),
        Value::Scalar(Scalar::Int(v)) => query.bind(v),
        Value::Scalar(Scalar::Bool(v)) => query.bind(v),
        Value::Scalar(Scalar::Float(v)) => query.bind(v),
        Value::Bytes(v) => query.bind(v),
        Value::Texts(v) => query.bind(list(serde_json::to_string(&v))),
        Value::Ints(v) => query.bind(list(serde_json::to_string(&v))),
        // Columns reach SQLite as one JSON list (`Columns::source`), never one by one.
        Value::Array(_) => query.bind(None::<String>),
    })
}
