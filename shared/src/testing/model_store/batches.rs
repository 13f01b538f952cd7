//! Submit, seed, delete, complete.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::counts::is_outstanding;
use super::rows::{BatchRow, Chunk, JobDefinition, Key, LogEvent, LogRow, Row, Run, WorkState};
use super::tx::Tx;
use super::{Broken, ModelStore};
use crate::batch::{self, Batch, ControlJob, FIRST_WAKE_MS, HistoricBatch, MAX_IDS_PER_SEED, NewBatch};
use crate::id::FIRST_EXECUTION_JOB;
use crate::runner::Refusal;
use crate::store::{Caller, Error, Items, SeedRoom, Seeded};

fn control() -> ControlJob {
    ControlJob { suspended: false, retries: 3, due: None, error: None }
}

impl ModelStore {
    /// Queries are not evaluated here: what the simulator submits is listed.
    pub(super) async fn submit_batch(&self, caller: &Caller, new: NewBatch, items: Items<'_>) -> Result<Batch, Error> {
        let mut tx = self.begin("submit").await?;
        let mut ids = BTreeSet::new();
        for page in (items.listed)() {
            ids.extend(page.map_err(|error| Error::Statement { verb: "submit", source: Box::new(error) })?);
        }
        if ids.is_empty() {
            return Err(Refusal::new("BadUserRequestException", "processInstanceIds is empty").into());
        }
        tx.step().await;
        let mut of_deployment: BTreeMap<Option<String>, Vec<String>> = BTreeMap::new();
        for id in ids {
            let deployment =
                tx.instance(&id)?.and_then(|row| self.definition(&row.instance.definition_id).map(|d| d.deployment_id.clone()));
            of_deployment.entry(deployment).or_default().push(id);
        }
        let k = new.invocations_per_batch_job;
        let row = BatchRow {
            id: new.id.clone(),
            configuration: new.configuration,
            total_instances: of_deployment.values().map(|ids| ids.len() as u64).sum(),
            total_jobs: of_deployment.values().map(|ids| batch::total_jobs(ids.len() as u64, k)).sum(),
            batch_jobs_per_seed: new.batch_jobs_per_seed,
            k,
            suspended: false,
            tenant_id: new.tenant_id,
            user: caller.user.clone(),
            start_time: tx.now,
            retries: new.retries,
            seed_job: control(),
            monitor_job: control(),
            cancelled: 0,
            seed_definition: JobDefinition::default(),
            monitor_definition: JobDefinition::default(),
            batch_definition: JobDefinition::default(),
        };
        // A real store draws another id; here ids are the schedule's.
        if tx.lock(&Key::Batch(new.id.clone())).await? || tx.get(&Key::History(new.id.clone()))?.is_some() {
            return Err(Error::Statement { verb: "submit", source: format!("duplicate key {}", new.id).into() });
        }
        tx.put(Key::Batch(new.id.clone()), Row::Batch(Arc::new(row.clone()))).await?;
        tx.put(Key::History(new.id.clone()), Row::History(history(&row))).await?;
        tx.step().await;
        let (mut first, mut step) = (FIRST_EXECUTION_JOB, 0);
        let size = batch::chunk_instances(new.batch_jobs_per_seed, k) as usize;
        for (deployment, ids) in of_deployment {
            for part in ids.chunks(size) {
                let chunk = Chunk { first, ids: part.to_vec(), deployment: deployment.clone() };
                tx.put(Key::Chunk(new.id.clone(), step), Row::Chunk(chunk)).await?;
                first += batch::total_jobs(part.len() as u64, k) as u32;
                step += 1;
            }
        }
        let ids = tx.chunks(&new.id)?.into_iter().flat_map(|(_, chunk)| chunk.ids).collect();
        tx.log(LogRow { batch: new.id.clone(), event: LogEvent::Submitted, first: 2, last: first - 1, ids, time: row.start_time }).await?;
        let view = Self::view(&tx, &row)?;
        tx.commit().await?;
        Ok(view)
    }

    pub(super) async fn seed_batch(&self, id: &str, room: SeedRoom) -> Result<Option<Seeded>, Error> {
        let mut tx = self.begin("seed").await?;
        if !self.is_broken(Broken::SeedsUnlocked) && !tx.lock(&Key::Batch(id.into())).await? {
            return Ok(None);
        }
        tx.step().await;
        let facts = self.facts(&tx, id)?;
        let (Some(batch), mut seeded) = (tx.batch(id)?, Seeded::default()) else { return Ok(None) };
        let (mut outstanding, mut taken) = (facts.outstanding, 0);
        let mut chunks = tx.chunks(id)?.into_iter().peekable();
        let may = |outstanding: u64, taken: u64, runs: usize| match room {
            SeedRoom::Window => facts.has_seedable_chunks() && outstanding < facts.window && taken < MAX_IDS_PER_SEED,
            SeedRoom::OneChunk => runs == 0,
        };
        while may(outstanding, taken, seeded.runs.len()) {
            let Some((key, chunk)) = chunks.next() else { break };
            tx.step().await;
            taken += chunk.ids.len() as u64;
            outstanding += self.write_runs(&mut tx, &batch, &chunk, &mut seeded).await?;
            tx.delete(key).await?;
        }
        seeded.room_left = chunks.peek().is_some() && facts.has_seedable_chunks() && outstanding < facts.window;
        tx.commit().await?;
        Ok(Some(seeded))
    }

    /// Gives how many of the chunk's instances are outstanding now.
    async fn write_runs(&self, tx: &mut Tx<'_>, batch: &BatchRow, chunk: &Chunk, seeded: &mut Seeded) -> Result<u64, Error> {
        let jobs = self.jobs_of_a_run(batch.k);
        let mut first = chunk.first;
        let mut outstanding = 0;
        for ids in chunk.ids.chunks((jobs * batch.k) as usize) {
            let last = first + batch::total_jobs(ids.len() as u64, batch.k) as u32 - 1;
            let state = WorkState {
                suspended: batch.batch_definition.suspended,
                retries: batch.retries,
                due: None,
                wake_at: Some(tx.now + FIRST_WAKE_MS),
                wakes: 0,
                priority: batch.batch_definition.priority.unwrap_or(0),
                attempts: 0,
                lease: None,
                created: tx.now,
                deployment: chunk.deployment.clone(),
            };
            outstanding += if is_outstanding(&state, tx.now) { ids.len() as u64 } else { 0 };
            let key = Key::Run(batch.id.clone(), tx.next_number());
            tx.put(key, Row::Run(Run { first, last, ids: ids.to_vec(), k: batch.k, state })).await?;
            seeded.runs.push(first);
            first = last + 1;
        }
        let created = LogRow {
            batch: batch.id.clone(),
            event: LogEvent::Created,
            first: chunk.first,
            last: first - 1,
            ids: chunk.ids.clone(),
            time: tx.now,
        };
        tx.log(created).await?;
        Ok(outstanding)
    }

    pub(super) async fn complete_batch(&self, id: &str) -> Result<bool, Error> {
        let mut tx = self.begin("complete").await?;
        // One statement: its snapshot decides what is left, the row itself is looked at again under its lock.
        if !self.facts(&tx, id)?.may_complete() || !tx.lock(&Key::Batch(id.into())).await? {
            return Ok(false);
        }
        let unchecked = self.is_broken(Broken::CompletesUnchecked);
        let Some(batch) = tx.batch(id)?.filter(|batch| unchecked || !batch.monitor_job.suspended) else { return Ok(false) };
        tx.step().await;
        let (_, counts) = Self::statistics(&tx, &batch)?;
        let ended = HistoricBatch {
            end_time: Some(tx.now),
            migrated_instances: Some(counts.done_instances),
            failed_instances: Some(0),
            cancelled_instances: Some(batch.cancelled),
            ..history(&batch)
        };
        tx.put(Key::History(id.into()), Row::History(ended)).await?;
        tx.log(LogRow { batch: id.into(), event: LogEvent::Completed, first: 1, last: 1, ids: vec![], time: tx.now }).await?;
        remove_rest(&mut tx, id).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(super) async fn delete(&self, id: &str, cascade: bool) -> Result<bool, Error> {
        let mut tx = self.begin("delete").await?;
        if !tx.lock(&Key::Batch(id.into())).await? {
            return Ok(false);
        }
        let Some(batch) = tx.batch(id)? else { return Ok(false) };
        let mut cancelled = vec![];
        tx.step().await;
        for (key, chunk) in tx.chunks(id)? {
            cancelled.extend(chunk.ids);
            tx.delete(key).await?;
        }
        cancelled.extend(self.delete_work(&mut tx, id).await?);
        let (total, cancelled_before) = (batch.total_instances, batch.cancelled);
        let ended = HistoricBatch {
            end_time: Some(tx.now),
            migrated_instances: Some(total.saturating_sub(cancelled_before + cancelled.len() as u64)),
            failed_instances: Some(0),
            cancelled_instances: Some(cancelled_before + cancelled.len() as u64),
            ..history(&batch)
        };
        tx.log(LogRow { batch: id.into(), event: LogEvent::Deleted, first: 1, last: 1, ids: cancelled, time: tx.now }).await?;
        match cascade {
            true => tx.delete(Key::History(id.into())).await?,
            false => tx.put(Key::History(id.into()), Row::History(ended)).await?,
        }
        remove_rest(&mut tx, id).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Runs, then job rows: one statement each, each row as it is once its lock is given: shorter, or gone.
    async fn delete_work(&self, tx: &mut Tx<'_>, id: &str) -> Result<Vec<String>, Error> {
        let mut cancelled = vec![];
        for keys in self.orders() {
            tx.step().await;
            for key in keys(tx, id)? {
                if self.is_broken(Broken::DeleteSkipsLocked) && !tx.try_lock(&key)? {
                    continue;
                }
                tx.lock(&key).await?;
                cancelled.extend(tx.run(&key)?.map(|run| run.ids).unwrap_or_default());
                cancelled.extend(tx.job(&key)?.map(|job| job.ids).unwrap_or_default());
                tx.delete(key).await?;
            }
        }
        Ok(cancelled)
    }
}

/// Failures, the first success, and the batch row last.
async fn remove_rest(tx: &mut Tx<'_>, id: &str) -> Result<(), Error> {
    tx.step().await;
    for (key, _) in tx.scan(&Key::Failure(id.into(), 0, String::new()), &Key::Failure(id.into(), u32::MAX, "~".into()))? {
        tx.delete(key).await?;
    }
    tx.delete(Key::Start(id.into())).await?;
    tx.step().await;
    tx.delete(Key::Batch(id.into())).await
}

fn history(batch: &BatchRow) -> HistoricBatch {
    HistoricBatch {
        id: batch.id.clone(),
        batch_type: batch.configuration.batch_type().name().into(),
        total_instances: batch.total_instances,
        total_jobs: batch.total_jobs,
        batch_jobs_per_seed: batch.batch_jobs_per_seed,
        invocations_per_batch_job: batch.k,
        tenant_id: batch.tenant_id.clone(),
        create_user_id: batch.user.clone(),
        start_time: batch.start_time,
        execution_start_time: None,
        end_time: None,
        removal_time: None,
        migrated_instances: None,
        failed_instances: None,
        cancelled_instances: None,
    }
}
