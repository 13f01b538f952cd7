//! Rows of workers: who is there, and how much they finish, which feeds the window (design §7.2).

use crate::clock::Millis;
use crate::store::Error;
use crate::store::sql::{SqlStore, Verb, params};
use crate::store::views::WorkerRow;

/// Rows of workers not heard of for so long go.
const FORGOTTEN_MS: Millis = 3_600_000;
/// Workers that are listed.
const MAX_WORKERS: u32 = 10_000;

impl SqlStore {
    pub(super) async fn write_heartbeat(&self, worker: &WorkerRow) -> Result<(), Error> {
        let mut tx = self.write(Verb::named("heartbeat")).await?;
        tx.execute(
            "INSERT INTO worker (id, role, host, version, since, heartbeat, current, finished_recently, last_error)
             VALUES ($1, $2, $3, $4, $5, {now}, $6, $7, $8)
             ON CONFLICT (id) DO UPDATE SET version = excluded.version, since = excluded.since, heartbeat = excluded.heartbeat,
                current = excluded.current, finished_recently = excluded.finished_recently, last_error = excluded.last_error",
            params![
                &worker.id,
                &worker.role,
                &worker.host,
                &worker.version,
                worker.since,
                worker.current.as_deref(),
                worker.finished_recently,
                worker.last_error.as_deref(),
            ],
        )
        .await?;
        tx.execute("DELETE FROM worker WHERE heartbeat < {now} - $1", params![FORGOTTEN_MS]).await?;
        tx.commit().await
    }

    pub(super) async fn all_workers(&self) -> Result<Vec<WorkerRow>, Error> {
        let mut tx = self.read(Verb::named("workers")).await?;
        let rows = tx.all("SELECT * FROM worker ORDER BY id LIMIT $1", params![MAX_WORKERS]).await?;
        tx.commit().await?;
        rows.iter()
            .map(|row| {
                Ok(WorkerRow {
                    id: row.text("id")?,
                    role: row.text("role")?,
                    host: row.text("host")?,
                    version: row.text("version")?,
                    since: row.int("since")?,
                    heartbeat: row.int("heartbeat")?,
                    current: row.optional_text("current")?,
                    finished_recently: row.uint("finished_recently")?,
                    last_error: row.optional_text("last_error")?,
                })
            })
            .collect()
    }
}
