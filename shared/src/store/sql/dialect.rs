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

use super::{Column, Dialect, Value};
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

    fn unnested(self, first: usize) -> (String, Vec<Value>) {
        let names: Vec<&str> = self.0.iter().map(|(name, _)| *name).collect();
        let arrays: Vec<String> = self.0.iter().enumerate().map(|(i, (_, c))| format!("${}::{}[]", first + i, type_of(c))).collect();
        let sql = format!("(SELECT * FROM unnest({}) AS unnested({}))", arrays.join(", "), names.join(", "));
        (sql, self.0.into_iter().map(|(_, column)| Value::Column(column)).collect())
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
        Column::Texts(_) => "text",
        Column::Ints(_) => "bigint",
        Column::Bools(_) => "boolean",
        Column::Floats(_) => "float8",
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
}
