//! Wake (design §7.6): what is due is taken, moved on and given back to be published.

use crate::clock::Millis;
use crate::job::{UNPUBLISHED_MS, WorkRef, next_wake_ms};
use crate::store::sql::{SqlStore, Tx, Verb, params};
use crate::store::{Error, WakeLimits, Woken};

use super::facts::facts;
use super::work_rows::by_batch;

const WAKE: Verb = Verb::named("wake").by_key();
const UNPUBLISHED: Verb = Verb::named("unpublished").by_key();
const WAKES_LOST: Verb = Verb::named("wakes_lost").by_key();

/// Rows of work that may be woken once their `wake_at` has come, of one table.
const MAY_RUN: &str = "NOT suspended AND retries > 0 AND (due IS NULL OR due <= {now}) AND (lease_until IS NULL OR lease_until <= {now})";
/// A wake that came to nothing does not count.
const ONE_WAKE_LESS: &str = "wakes = CASE WHEN wakes > 0 THEN wakes - 1 ELSE 0 END";

/// Of runs, then of jobs.
const TABLES: [(&str, &str); 2] = [("run", "first"), ("job", "number")];

struct Due {
    work: WorkRef,
    items: i64,
    wake_at: Millis,
    wakes: i32,
    table: usize,
}

impl SqlStore {
    pub(super) async fn wake_due(&self, limits: WakeLimits) -> Result<Woken, Error> {
        let mut tx = self.write(WAKE).await?;
        let mut due = vec![];
        for batch in batches_with_work_due(&mut tx).await? {
            let room = i64::from(limits.work) - due.len() as i64;
            if room <= 0 {
                break;
            }
            due.extend(due_of_batch(&mut tx, &batch, room).await?);
        }
        move_on(&mut tx, &due).await?;
        due.sort_by_key(|d| d.wake_at);
        let instances = wake_rows(&mut tx, "process_instance", "", limits.instances).await?;
        let timers = wake_rows(&mut tx, "timer", "AND retries > 0 AND (due IS NULL OR due <= {now})", limits.instances).await?;
        tx.commit().await?;
        Ok(Woken { work: due.into_iter().map(|d| d.work).collect(), instances, timers })
    }

    /// While the broker is away rows would fall due, be moved on for nothing, and then rest longer than the broker did.
    pub(super) async fn unpublished_work(&self, wanted: &[WorkRef]) -> Result<(), Error> {
        let mut tx = self.write(UNPUBLISHED).await?;
        for (name, number) in TABLES {
            let sql = format!(
                "UPDATE {name} SET wake_at = {{now}} + $3, {ONE_WAKE_LESS}
                 WHERE batch = $1 AND {number} IN (SELECT {number} FROM {name}
                     WHERE batch = $1 AND {number} {{in $2}} AND wake_at > {{now}} + $3 {{skip locked}})"
            );
            by_batch(&mut tx, &sql, wanted, &[UNPUBLISHED_MS.into()]).await?;
        }
        tx.commit().await
    }

    /// What was published is no more than the window of the batch, so this is bounded too.
    pub(super) async fn due_again(&self, batch: &str) -> Result<(), Error> {
        let mut tx = self.write(WAKES_LOST).await?;
        for (name, number) in TABLES {
            let sql = format!(
                "UPDATE {name} SET wake_at = {{now}}, {ONE_WAKE_LESS}
                 WHERE batch = $1 AND {number} IN (SELECT {number} FROM {name}
                     WHERE batch = $1 AND wake_at > {{now}} AND {MAY_RUN} {{skip locked}})"
            );
            tx.execute(&sql, params![batch]).await?;
        }
        tx.commit().await
    }
}

/// The one that has waited for the longest time first.
async fn batches_with_work_due(tx: &mut Tx) -> Result<Vec<String>, Error> {
    let oldest = |table: &str| format!("(SELECT min(wake_at) FROM {table} WHERE batch = b.id AND wake_at IS NOT NULL AND NOT suspended)");
    let sql = format!(
        "SELECT id FROM (SELECT b.id, {} AS of_runs, {} AS of_jobs FROM batch b) AS oldest
         WHERE of_runs <= {{now}} OR of_jobs <= {{now}}
         ORDER BY CASE WHEN of_jobs IS NULL OR of_runs < of_jobs THEN of_runs ELSE of_jobs END",
        oldest("run"),
        oldest("job")
    );
    tx.all(&sql, vec![]).await?.iter().map(|row| row.text("id")).collect()
}

/// The oldest due rows of one batch, locked: no more than its window holds beside what was woken lately.
async fn due_of_batch(tx: &mut Tx, batch: &str, room: i64) -> Result<Vec<Due>, Error> {
    let window = facts(tx, &[batch.to_owned()]).await?.first().map_or(0, |f| f.window);
    let mut left = i64::try_from(window).unwrap_or(i64::MAX) - published(tx, batch).await?;
    let mut found = vec![];
    for (table, (name, number)) in TABLES.iter().enumerate() {
        let sql = format!(
            "SELECT {number} AS number, items, wake_at, wakes FROM {name} WHERE batch = $1 AND wake_at <= {{now}} AND {MAY_RUN}
             ORDER BY wake_at, {number} LIMIT $2 {{skip locked}}"
        );
        for row in tx.all(&sql, params![batch, room.min(left).max(0)]).await? {
            found.push(Due {
                work: WorkRef::new(batch, row.number("number")?),
                items: row.int("items")?,
                wake_at: row.int("wake_at")?,
                wakes: row.int32("wakes")?,
                table,
            });
        }
    }
    found.sort_by_key(|d| d.wake_at);
    found.truncate(usize::try_from(room).unwrap_or(0));
    // At most one row over the window, so that a row larger than it is woken too.
    found.retain(|d| {
        let fits = left > 0;
        left -= d.items;
        fits
    });
    Ok(found)
}

/// Instances in rows that were published and are not due for another look yet.
async fn published(tx: &mut Tx, batch: &str) -> Result<i64, Error> {
    let mut items = 0;
    for (name, _) in TABLES {
        let sql = format!(
            "SELECT CAST(COALESCE(sum(items), 0) AS BIGINT) AS items FROM {name}
             WHERE batch = $1 AND wake_at > {{now}} AND NOT suspended AND (due IS NULL OR due <= {{now}})"
        );
        items += tx.one(&sql, params![batch]).await?.int("items")?;
    }
    Ok(items)
}

async fn move_on(tx: &mut Tx, due: &[Due]) -> Result<(), Error> {
    for (table, (name, number)) in TABLES.iter().enumerate() {
        let mut wakes: Vec<i32> = due.iter().filter(|d| d.table == table).map(|d| d.wakes).collect();
        wakes.sort_unstable();
        wakes.dedup();
        for n in wakes {
            let rows: Vec<WorkRef> = due.iter().filter(|d| d.table == table && d.wakes == n).map(|d| d.work.clone()).collect();
            let sql = format!("UPDATE {name} SET wake_at = {{now}} + $3, wakes = wakes + 1 WHERE batch = $1 AND {number} {{in $2}}");
            // Seeding it was the first wake.
            by_batch(tx, &sql, &rows, &[next_wake_ms(n.saturating_add(1)).into()]).await?;
        }
    }
    Ok(())
}

/// Instances whose own jobs are due, or timers: the oldest first.
async fn wake_rows(tx: &mut Tx, table: &str, further: &str, limit: u32) -> Result<Vec<String>, Error> {
    let sql = format!(
        "SELECT id, wakes FROM {table} WHERE wake_at IS NOT NULL AND NOT suspended AND wake_at <= {{now}} {further}
         ORDER BY wake_at LIMIT $1 {{skip locked}}"
    );
    let rows = tx.all(&sql, params![limit]).await?;
    let mut ids = vec![];
    let mut by_wakes: std::collections::BTreeMap<i32, Vec<String>> = std::collections::BTreeMap::new();
    for row in &rows {
        let id = row.text("id")?;
        by_wakes.entry(row.int32("wakes")?).or_default().push(id.clone());
        ids.push(id);
    }
    for (wakes, ids) in by_wakes {
        let sql = format!("UPDATE {table} SET wake_at = {{now}} + $2, wakes = wakes + 1 WHERE id {{in $1}}");
        tx.execute(&sql, params![ids, next_wake_ms(wakes)]).await?;
    }
    Ok(ids)
}
