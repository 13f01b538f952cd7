//! Seeding: chunks become runs, under the batch's lock, while there is room in the window (design §7.2).

use crate::batch::{FIRST_WAKE_MS, MAX_IDS_PER_SEED, cut_into_runs};
use crate::id;
use crate::process::history::JobEvent;
use crate::store::sql::{Column, Columns, SqlStore, Tx, Verb, corrupt, params};
use crate::store::{Error, SeedRoom, Seeded};

use super::facts::facts;
use super::fixed::Fixed;
use super::log::{self, LogRow};
use super::work_rows::json;

const SEED: Verb = Verb::named("seed").by_key();
/// Chunks that one transaction looks at.
const CHUNKS_PER_SEED: u32 = 1_000;

struct Chunk {
    step: i64,
    first: u32,
    ids: Vec<String>,
    deployment_id: Option<String>,
}

impl SqlStore {
    pub(super) async fn seed_batch(&self, batch: &str, room: SeedRoom) -> Result<Option<Seeded>, Error> {
        let mut tx = self.write(SEED).await?;
        let seeded = self.seed_in(&mut tx, batch, room).await;
        tx.end(seeded).await
    }

    async fn seed_in(&self, tx: &mut Tx, batch: &str, room: SeedRoom) -> Result<Option<Seeded>, Error> {
        let sql = format!("SELECT {}, seed_retries, seed_priority FROM batch WHERE id = $1 {{for update}}", Fixed::COLUMNS);
        let Some(row) = tx.optional(&sql, params![batch]).await? else { return Ok(None) };
        let fixed = Fixed::read(&row)?;
        let control = (row.int32("seed_retries")?, row.int("seed_priority")?);
        // A new statement: what others committed while this one waited for the lock is seen.
        let Some(facts) = facts(tx, &[batch.to_owned()]).await?.into_iter().next() else { return Ok(None) };
        let target = match room {
            SeedRoom::Window if !facts.has_seedable_chunks() => return Ok(Some(Seeded::default())),
            SeedRoom::Window => facts.window,
            SeedRoom::OneChunk if !facts.chunks_left => return Ok(Some(Seeded::default())),
            // One chunk, however much is outstanding.
            SeedRoom::OneChunk => facts.outstanding + 1,
        };
        let (steps, taken, all) = plan(tx, batch, facts.outstanding, target, room).await?;
        let chunks = take(tx, batch, steps).await?;
        let runs = self.write_runs(tx, batch, &fixed, &chunks, control, all).await?;
        let room_left = !all && facts.has_seedable_chunks() && facts.outstanding + taken < facts.window;
        Ok(Some(Seeded { runs, room_left }))
    }

    async fn write_runs(
        &self,
        tx: &mut Tx,
        batch: &str,
        fixed: &Fixed,
        chunks: &[Chunk],
        (seed_retries, seed_priority): (i32, i64),
        all: bool,
    ) -> Result<Vec<u32>, Error> {
        let definition = "SELECT suspended, overriding_priority, {now} AS now FROM job_definition WHERE id = $1";
        let definition = tx.one(definition, params![id::numbered(batch, id::BATCH_JOB_DEFINITION)]).await?;
        let (suspended, priority) = (definition.bool("suspended")?, definition.optional_int("overriding_priority")?.unwrap_or(0));
        let now = definition.int("now")?;
        let k = fixed.invocations_per_batch_job;
        let runs: Vec<(u32, u32, Vec<String>, &Option<String>)> = chunks
            .iter()
            .flat_map(|chunk| cut_into_runs(chunk.first, &chunk.ids, k).into_iter().map(|(f, l, ids)| (f, l, ids, &chunk.deployment_id)))
            .collect();
        let n = runs.len();
        let columns = Columns(vec![
            ("batch", Column::same(batch, n)),
            ("first", Column::ints(runs.iter().map(|r| r.0))),
            ("last", Column::ints(runs.iter().map(|r| r.1))),
            ("items", Column::ints(runs.iter().map(|r| r.2.len()))),
            ("ids", Column::texts(runs.iter().map(|r| json(&r.2)))),
            ("k", Column::same(k, n)),
            ("deployment_id", Column::optional_texts(runs.iter().map(|r| r.3.clone()))),
            ("created", Column::same(now, n)),
            ("retries", Column::same(fixed.default_retries, n)),
            ("priority", Column::same(priority, n)),
            ("suspended", Column::same(suspended, n)),
            ("wake_at", Column::same((fixed.default_retries > 0).then_some(now + FIRST_WAKE_MS), n)),
        ]);
        tx.insert("run", columns, "").await?;
        if all {
            let sql = "UPDATE batch SET monitor_created = $2, seed_error = NULL WHERE id = $1";
            tx.execute(sql, params![batch, now]).await?;
        }
        let rows = log_rows(batch, fixed, chunks, (seed_retries, seed_priority), priority, all);
        let rows: Vec<_> = rows.into_iter().map(|row| (row, fixed)).collect();
        log::write(tx, now, &self.options().hostname, &rows).await?;
        Ok(runs.iter().map(|r| r.0).collect())
    }
}

/// Which steps to take: up to and with the given one; how many instances that are; and whether no chunk is left then.
async fn plan(tx: &mut Tx, batch: &str, outstanding: u64, target: u64, room: SeedRoom) -> Result<(i64, u64, bool), Error> {
    let sql = "SELECT step, items FROM chunk WHERE batch = $1 ORDER BY step LIMIT $2";
    let rows = tx.all(sql, params![batch, CHUNKS_PER_SEED]).await?;
    let (mut last, mut taken, mut count) = (-1, 0, 0);
    for row in &rows {
        let items = row.uint("items")?;
        let full = outstanding + taken >= target || (taken > 0 && taken + items > MAX_IDS_PER_SEED);
        if full || (count > 0 && room == SeedRoom::OneChunk) {
            break;
        }
        (last, taken, count) = (row.int("step")?, taken + items, count + 1);
    }
    Ok((last, taken, count == rows.len() && rows.len() < CHUNKS_PER_SEED as usize))
}

async fn take(tx: &mut Tx, batch: &str, last: i64) -> Result<Vec<Chunk>, Error> {
    let sql = "DELETE FROM chunk WHERE batch = $1 AND step <= $2 RETURNING step, first, ids, deployment_id";
    let mut chunks = vec![];
    for row in tx.all(sql, params![batch, last]).await? {
        let step = row.int("step")?;
        let ids = serde_json::from_str(&row.text("ids")?).map_err(|e| corrupt("chunk", &format!("{batch} {step}"), &e))?;
        chunks.push(Chunk { step, first: row.number("first")?, ids, deployment_id: row.optional_text("deployment_id")? });
    }
    chunks.sort_by_key(|chunk| chunk.step);
    Ok(chunks)
}

/// A seed job for each chunk, as the reference has it, and the jobs that it created; the monitor job after the last.
fn log_rows(batch: &str, fixed: &Fixed, chunks: &[Chunk], seed: (i32, i64), priority: i64, all: bool) -> Vec<LogRow> {
    let mut rows = vec![];
    for (i, chunk) in chunks.iter().enumerate() {
        let jobs = (chunk.ids.len() as u32).div_ceil(fixed.invocations_per_batch_job.max(1));
        let mut created = LogRow::control(JobEvent::Created, batch, chunk.first, fixed.default_retries, priority);
        created.last = chunk.first + jobs - 1;
        created.deployment_id = chunk.deployment_id.clone();
        rows.push(created);
        rows.push(LogRow::control(JobEvent::Succeeded, batch, id::SEED_JOB, seed.0, seed.1));
        let next = if all && i + 1 == chunks.len() { id::MONITOR_JOB } else { id::SEED_JOB };
        let retries = if next == id::MONITOR_JOB { fixed.default_retries } else { seed.0 };
        rows.push(LogRow::control(JobEvent::Created, batch, next, retries, seed.1));
    }
    rows
}
