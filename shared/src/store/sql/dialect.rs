//! Where PostgreSQL and SQLite spell things differently: tokens in SQL texts, and lists of rows.
//!
//! | token | meaning |
//! |---|---|
//! | `{now}` | the database's clock, milliseconds since the epoch |
//! | `{for update}`, `{skip locked}`, `{key share}` | row locks; SQLite's one writer needs none |
//! | `{in $1}` | `= ANY($1)`, for a list of texts or integers |
//! | `{works $1}` | a subquery of (batch, number) pairs, from [`works`] |
//! | `{least}`, `{greatest}` | of two values |
//! | `{like}` | case-sensitive LIKE with backslash as escape, between two texts |

use super::{Array, Column, Dialect, Scalar, Value};
use crate::job::WorkRef;

/// The text for one database.
pub(crate) fn render(dialect: Dialect, sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() + 64);
    let mut rest = sql;
    while let Some(open) = rest.find('{') {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let Some(close) = from.find('}') else { break };
        out.push_str(&spell(dialect, &from[1..close]));
        rest = &from[close + 1..];
    }
    out.push_str(rest);
    out
}

fn spell(dialect: Dialect, token: &str) -> String {
    let (word, argument) = token.rsplit_once(" $").map_or((token, String::new()), |(word, n)| (word, format!("${n}")));
    match (dialect, word) {
        (Dialect::Postgres, "now") => "(extract(epoch FROM clock_timestamp()) * 1000)::bigint".into(),
        (Dialect::Sqlite, "now") => "CAST(unixepoch('subsec') * 1000 AS INTEGER)".into(),
        (Dialect::Postgres, "for update") => "FOR UPDATE".into(),
        (Dialect::Postgres, "skip locked") => "FOR UPDATE SKIP LOCKED".into(),
        (Dialect::Postgres, "key share") => "FOR KEY SHARE".into(),
        (Dialect::Sqlite, "for update" | "skip locked" | "key share") => String::new(),
        (Dialect::Postgres, "in") => format!("= ANY({argument})"),
        (Dialect::Sqlite, "in") => format!("IN (SELECT value FROM json_each({argument}))"),
        (Dialect::Postgres, "works") => {
            format!("(SELECT w->>0 AS batch, (w->>1)::bigint AS number FROM json_array_elements({argument}::json) AS w)")
        }
        (Dialect::Sqlite, "works") => format!("(SELECT value->>0 AS batch, value->>1 AS number FROM json_each({argument}))"),
        (Dialect::Postgres, "least") => "least".into(),
        (Dialect::Sqlite, "least") => "min".into(),
        (Dialect::Postgres, "greatest") => "greatest".into(),
        (Dialect::Sqlite, "greatest") => "max".into(),
        // A token that nobody knows is a fault of the program: the database will say so.
        (_, other) => format!("{{{other}}}"),
    }
}

/// The value of a `{works $n}` token.
pub(crate) fn works<'a>(works: impl IntoIterator<Item = &'a WorkRef>) -> Value {
    let list: Vec<(&str, u32)> = works.into_iter().map(|w| (w.batch.as_str(), w.number)).collect();
    Value::from(serde_json::to_string(&list).unwrap_or_default())
}

/// Many rows as one parameter list: `unnest` in PostgreSQL, a JSON list in SQLite.
pub(crate) struct Columns(pub Vec<(&'static str, Column)>);

impl Columns {
    pub(crate) fn rows(&self) -> usize {
        self.0.first().map_or(0, |(_, column)| column.len())
    }

    /// A table expression (to be given an alias) whose columns have these names, and its values from `$first` on.
    pub(crate) fn source(self, dialect: Dialect, first: usize) -> (String, Vec<Value>) {
        match dialect {
            Dialect::Postgres => self.unnested(first),
            Dialect::Sqlite => self.listed(first),
        }
    }

    /// What differs from row to row as arrays, the rest beside them. Unnested in the list of columns: a function in `FROM` is run to
    /// its end first, and what it gives copied into a table of its own.
    fn unnested(self, first: usize) -> (String, Vec<Value>) {
        let rows = self.rows();
        let alike = self.0.iter().all(|(_, column)| matches!(column, Column::Same(..)));
        let (mut columns, mut values) = (vec![], vec![]);
        for (name, column) in self.0 {
            let (parameter, kind) = (first + values.len(), type_of(&column));
            match column {
                Column::Same(value, _) => {
                    columns.push(format!("${parameter}::{kind} AS {name}"));
                    values.push(Value::Scalar(value));
                }
                Column::Each(array) => {
                    columns.push(format!("unnest(${parameter}::{kind}[]) AS {name}"));
                    values.push(Value::Array(array));
                }
            }
        }
        let mut from = String::new();
        if alike {
            from = format!(" FROM generate_series(1, ${}::bigint)", first + values.len());
            values.push(Value::from(rows));
        }
        (format!("(SELECT {}{from})", columns.join(", ")), values)
    }

    fn listed(self, first: usize) -> (String, Vec<Value>) {
        let names: Vec<String> = self.0.iter().enumerate().map(|(i, (name, _))| format!("value->>{i} AS {name}")).collect();
        let rows: Vec<serde_json::Value> =
            (0..self.rows()).map(|at| serde_json::Value::Array(self.0.iter().map(|(_, column)| column.json(at)).collect())).collect();
        let sql = format!("(SELECT {} FROM json_each(${first}))", names.join(", "));
        (sql, vec![Value::from(serde_json::Value::Array(rows).to_string())])
    }
}

fn type_of(column: &Column) -> &'static str {
    match column {
        Column::Each(Array::Texts(_)) | Column::Same(Scalar::Text(_), _) => "text",
        Column::Each(Array::Ints(_)) | Column::Same(Scalar::Int(_), _) => "bigint",
        Column::Each(Array::Bools(_)) | Column::Same(Scalar::Bool(_), _) => "boolean",
        Column::Each(Array::Floats(_)) | Column::Same(Scalar::Float(_), _) => "float8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_spelled_for_each_database() {
        let sql = "SELECT {now} FROM run WHERE id {in $2} {skip locked}";
        assert_eq!(
            render(Dialect::Postgres, sql),
            "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint FROM run WHERE id = ANY($2) FOR UPDATE SKIP LOCKED"
        );
        assert_eq!(
            render(Dialect::Sqlite, sql),
            "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM run WHERE id IN (SELECT value FROM json_each($2)) "
        );
    }

    #[test]
    fn what_all_rows_share_is_sent_once() {
        let columns = || {
            Columns(vec![
                ("id", Column::texts(["a", "b"])),
                ("at", Column::same(7_i64, 2)),
                ("key", Column::texts(["k", "k"]).collapsed()),
                ("due", Column::optional_ints([None, None]).collapsed()),
                ("n", Column::ints([1, 2]).collapsed()),
            ])
        };
        let (sql, values) = columns().source(Dialect::Postgres, 1);
        let expected = "(SELECT unnest($1::text[]) AS id, $2::bigint AS at, $3::text AS key, $4::bigint AS due, \
                        unnest($5::bigint[]) AS n)";
        assert_eq!((sql.as_str(), values.len()), (expected, 5));
        let (_, values) = columns().source(Dialect::Sqlite, 1);
        assert!(
            matches!(&values[..], [Value::Scalar(Scalar::Text(Some(list)))] if list == r#"[["a",7,"k",null,1],["b",7,"k",null,2]]"#),
            "{values:?}"
        );
    }

    #[test]
    fn rows_that_share_everything_are_as_many() {
        let (sql, values) = Columns(vec![("at", Column::same(7_i64, 2))]).source(Dialect::Postgres, 3);
        assert_eq!(sql, "(SELECT $3::bigint AS at FROM generate_series(1, $4::bigint))");
        assert!(matches!(values[..], [Value::Scalar(Scalar::Int(Some(7))), Value::Scalar(Scalar::Int(Some(2)))]), "{values:?}");
    }
}
