//! What only tests do to a database: put documents there as they are, and let time pass without sleeping.

use super::instance_rows::{self, New, SELECT_INSTANCES, insert_instances};
use super::{SqlStore, Verb, params};
use crate::clock::Millis;
use crate::process::instance::Instance;
use crate::store::Error;

/// Columns that hold times which processes wait for.
const TIMES: [(&str, &[&str]); 6] = [
    ("run", &["due", "wake_at", "lease_until", "created"]),
    ("job", &["due", "wake_at", "lease_until", "created"]),
    ("batch", &["start_time", "seed_due", "monitor_due"]),
    ("timer", &["due", "wake_at"]),
    ("worker", &["heartbeat"]),
    ("waiting", &["available_at"]),
];

impl SqlStore {
    /// Stores documents as they are, as if they had been started. Their definition's key is what stands before its first colon.
    ///
    /// # Errors
    /// The database's; or one of the ids is taken.
    pub async fn plant(&self, instances: &[Instance]) -> Result<(), Error> {
        let mut tx = self.write(Verb::named("plant")).await?;
        let key = |i: &Instance| i.definition_id.split(':').next().unwrap_or_default().to_owned();
        let keys: Vec<String> = instances.iter().map(key).collect();
        let new: Vec<New<'_>> =
            instances.iter().zip(&keys).map(|(instance, key)| New { instance, ended: false, definition_key: key, closed: &[] }).collect();
        if !insert_instances(&mut tx, &new).await? {
            return Err(Error::Collision { verb: "plant", source: None });
        }
        tx.commit().await
    }

    /// Lets `ms` pass: every time that somebody waits for lies so much earlier afterwards, those in documents too.
    ///
    /// # Errors
    /// The database's.
    pub async fn age(&self, ms: Millis) -> Result<(), Error> {
        let mut tx = self.write(Verb::named("age")).await?;
        for (table, columns) in TIMES {
            let set: Vec<String> = columns.iter().map(|column| format!("{column} = {column} - $1")).collect();
            tx.execute(&format!("UPDATE {table} SET {}", set.join(", ")), params![ms]).await?;
        }
        // Locked: workers may be at it, and what they write must not be undone.
        for row in tx.all(&format!("{SELECT_INSTANCES} ORDER BY p.id {{for update}}"), vec![]).await? {
            let mut document = instance_rows::read(&row)?.instance;
            for job in &mut document.jobs {
                job.due = job.due.map(|due| due - ms);
            }
            for task in &mut document.external_tasks {
                task.lock_expires = task.lock_expires.map(|until| until - ms);
            }
            let state = instance_rows::document(&document)?;
            let sql = "UPDATE process_instance SET state = $2, wake_at = wake_at - $3, lease_until = lease_until - $3 WHERE id = $1";
            tx.execute(sql, params![document.id, state, ms]).await?;
        }
        tx.commit().await
    }

    /// Statements of a connection that PostgreSQL has planned for the values of a call, not once for all. With one connection only.
    ///
    /// # Errors
    /// The database's; it is older than version 14, or SQLite.
    pub async fn planned_for_their_values(&self) -> Result<Vec<String>, Error> {
        let mut tx = self.read(Verb::named("planned").by_key()).await?;
        let rows = tx.all("SELECT statement FROM pg_prepared_statements WHERE custom_plans > 0", params![]).await?;
        tx.commit().await?;
        rows.iter().map(|row| row.text("statement")).collect()
    }

    /// Names of all tables with their columns, in order, to compare the schemas of the two databases.
    ///
    /// # Errors
    /// The database's.
    pub async fn schema(&self) -> Result<Vec<(String, Vec<String>)>, Error> {
        let tables = match self.dialect() {
            super::Dialect::Postgres => {
                "SELECT c.table_name AS t, c.column_name AS c FROM information_schema.columns c
                 WHERE c.table_schema = current_schema() ORDER BY 1, 2"
            }
            super::Dialect::Sqlite => {
                "SELECT m.name AS t, c.name AS c FROM sqlite_master m JOIN pragma_table_info(m.name) c
                 WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' ORDER BY 1, 2"
            }
        };
        let mut tx = self.read(Verb::named("schema")).await?;
        let mut schema: Vec<(String, Vec<String>)> = vec![];
        for row in tx.all(tables, vec![]).await? {
            let (table, column) = (row.text("t")?, row.text("c")?);
            if table.starts_with('_') {
                continue;
            }
            match schema.last_mut() {
                Some((name, columns)) if *name == table => columns.push(column),
                _ => schema.push((table, vec![column])),
            }
        }
        tx.commit().await?;
        Ok(schema)
    }
}
