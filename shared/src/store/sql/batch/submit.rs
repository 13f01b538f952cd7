//! Submitting a batch: all of it in one transaction, in memory that does not grow with the number of ids (design §7.1).

use std::collections::BTreeSet;

use crate::batch::{Batch, BatchConfiguration, NewBatch, chunk_instances, total_jobs};
use crate::id;
use crate::process::history::JobEvent;
use crate::runner::Refusal;
use crate::store::sql::instance_query::matching_ids;
use crate::store::sql::{Column, Columns, Dialect, LONG_TIMEOUT, SqlStore, Tx, Value, Verb, clean, may_write, params};
use crate::store::{Caller, Error, Items};

use super::facts::read_batch;
use super::fixed::Fixed;
use super::log::{self, LogRow, MONITOR_JOB_TYPE, SEED_JOB_TYPE};
use super::operations::{self, Operation};

const SUBMIT: Verb = Verb::named("submit").lasting(LONG_TIMEOUT).durable();
/// As many listed ids are sorted in memory; more, or those of a query, in the database.
const IN_MEMORY: usize = 10_000;
/// Draws of an id before giving up.
const DRAWS: u32 = 3;
/// Ids of one page of a query.
const QUERY_PAGE: u32 = 5_000;

/// Where the ids of the new batch are, each once.
enum Staged {
    Memory(BTreeSet<String>),
    /// In the temporary table `submit_item`.
    Table(u64),
}

impl Staged {
    fn count(&self) -> u64 {
        match self {
            Self::Memory(ids) => ids.len() as u64,
            Self::Table(n) => *n,
        }
    }
}

impl SqlStore {
    pub(super) async fn submit_batch(&self, caller: &Caller, new: &NewBatch, items: &Items<'_>) -> Result<Batch, Error> {
        may_write(caller)?;
        let mut tx = self.write(SUBMIT).await?;
        let staged = self.stage(&mut tx, caller, items).await?;
        let total = staged.count();
        if total == 0 {
            let message = "Process instance ids cannot empty: process instance ids is empty";
            return Err(Refusal::new("BadUserRequestException", message).into());
        }
        let now = tx.now().await?;
        let id = insert_batch(&mut tx, caller, new, total, now).await?;
        insert_chunks(&mut tx, &id, new, staged).await?;
        insert_job_definitions(&mut tx, &id, new).await?;
        let fixed = fixed_of(new);
        let seed = LogRow::control(JobEvent::Created, &id, id::SEED_JOB, new.retries, 0);
        log::write(&mut tx, now, &self.options().hostname, &[(seed, &fixed)]).await?;
        operations::write(&mut tx, caller, now, &operation(&id, new, total)).await?;
        let batch = read_batch(&mut tx, &id).await?;
        tx.commit().await?;
        batch.ok_or_else(|| crate::store::sql::corrupt("batch", &id, &"it is gone right after it was written"))
    }

    async fn stage(&self, tx: &mut Tx, caller: &Caller, items: &Items<'_>) -> Result<Staged, Error> {
        let mut pages = (items.listed)();
        let mut ids = BTreeSet::new();
        let mut next = || pages.next().transpose().map_err(|e| Error::Unavailable { verb: SUBMIT.name, source: e.into() });
        let mut ended = false;
        while !ended && ids.len() < IN_MEMORY {
            match next()? {
                Some(page) => ids.extend(page.into_iter().map(clean)),
                None => ended = true,
            }
        }
        if ended && items.query.is_none() {
            return Ok(Staged::Memory(ids));
        }
        create_table(tx).await?;
        stage_page(tx, ids.into_iter().collect()).await?;
        while let Some(page) = if ended { None } else { next()? } {
            stage_page(tx, page).await?;
        }
        if let Some(query) = items.query {
            let mut after: Option<String> = None;
            loop {
                let page = matching_ids(tx, caller, query, after.as_deref(), QUERY_PAGE).await?;
                let Some(last) = page.last().cloned() else { break };
                stage_page(tx, page).await?;
                after = Some(last);
            }
        }
        let n = tx.one("SELECT count(*) AS n FROM submit_item", vec![]).await?.uint("n")?;
        Ok(Staged::Table(n))
    }
}

async fn create_table(tx: &mut Tx) -> Result<(), Error> {
    match tx.dialect() {
        Dialect::Postgres => {
            tx.execute("CREATE TEMP TABLE submit_item (id TEXT COLLATE \"C\" PRIMARY KEY) ON COMMIT DROP", vec![]).await?;
        }
        Dialect::Sqlite => {
            tx.execute("CREATE TEMP TABLE IF NOT EXISTS submit_item (id TEXT PRIMARY KEY) WITHOUT ROWID", vec![]).await?;
            tx.execute("DELETE FROM submit_item", vec![]).await?;
        }
    }
    Ok(())
}

async fn stage_page(tx: &mut Tx, ids: Vec<String>) -> Result<(), Error> {
    tx.insert("submit_item", Columns(vec![("id", Column::texts(ids))]), "ON CONFLICT (id) DO NOTHING").await?;
    Ok(())
}

/// Gives the id that it got: another one than asked for where that is taken.
async fn insert_batch(tx: &mut Tx, caller: &Caller, new: &NewBatch, total: u64, now: i64) -> Result<String, Error> {
    let configuration = serde_json::to_string(&new.configuration).unwrap_or_default();
    let mut id = new.id.clone();
    for _ in 0..DRAWS {
        let common: Vec<(&str, Value)> = vec![
            ("id", Value::from(&id)),
            ("type", Value::from(new.configuration.batch_type().name())),
            ("total_instances", Value::from(total)),
            ("total_jobs", Value::from(total_jobs(total, new.invocations_per_batch_job))),
            ("batch_jobs_per_seed", Value::from(new.batch_jobs_per_seed)),
            ("invocations_per_batch_job", Value::from(new.invocations_per_batch_job)),
            ("tenant_id", Value::from(new.tenant_id.as_deref())),
            ("create_user_id", Value::from(caller.user.as_deref())),
            ("start_time", Value::from(now)),
        ];
        let own = vec![
            ("configuration", Value::from(&configuration)),
            ("default_retries", Value::from(new.retries)),
            ("deployment_id", Value::from(new.deployment_id.as_deref())),
            ("seed_retries", Value::from(new.retries)),
            ("monitor_retries", Value::from(new.retries)),
        ];
        // A batch that is over has its id still: in history.
        let taken = tx.optional("SELECT id FROM historic_batch WHERE id = $1", params![&id]).await?.is_some();
        if !taken && insert_row(tx, "batch", [common.clone(), own].concat()).await? {
            insert_row(tx, "historic_batch", common).await?;
            return Ok(id);
        }
        id = id::new_base();
    }
    Err(Error::Collision { verb: SUBMIT.name, source: None })
}

/// False: its key is taken.
async fn insert_row(tx: &mut Tx, table: &str, values: Vec<(&str, Value)>) -> Result<bool, Error> {
    let names: Vec<&str> = values.iter().map(|(name, _)| *name).collect();
    let places: Vec<String> = (1..=values.len()).map(|n| format!("${n}")).collect();
    let sql = format!("INSERT INTO {table} ({}) VALUES ({}) ON CONFLICT DO NOTHING", names.join(", "), places.join(", "));
    Ok(tx.execute(&sql, values.into_iter().map(|(_, value)| value).collect()).await? == 1)
}

async fn insert_chunks(tx: &mut Tx, batch: &str, new: &NewBatch, staged: Staged) -> Result<(), Error> {
    let size = chunk_instances(new.batch_jobs_per_seed, new.invocations_per_batch_job);
    let jobs = size / u64::from(new.invocations_per_batch_job.max(1));
    match staged {
        Staged::Memory(ids) => {
            let ids: Vec<String> = ids.into_iter().collect();
            let chunks: Vec<&[String]> = ids.chunks(usize::try_from(size).unwrap_or(usize::MAX)).collect();
            let columns = Columns(vec![
                ("batch", Column::same(batch, chunks.len())),
                ("step", Column::ints(0..chunks.len())),
                ("first", Column::ints((0..chunks.len() as u64).map(|g| u64::from(id::FIRST_EXECUTION_JOB) + g * jobs))),
                ("items", Column::ints(chunks.iter().map(|c| c.len()))),
                ("ids", Column::texts(chunks.iter().map(|c| super::work_rows::json(c)))),
                ("deployment_id", Column::same(new.deployment_id.as_deref(), chunks.len())),
            ]);
            tx.insert("chunk", columns, "").await?;
        }
        Staged::Table(_) => {
            let list = match tx.dialect() {
                Dialect::Postgres => "json_agg(id ORDER BY id)::text",
                Dialect::Sqlite => "json_group_array(id ORDER BY id)",
            };
            let sql = format!(
                "INSERT INTO chunk (batch, step, first, items, ids, deployment_id)
                 SELECT $1, step, 2 + step * $2, count(*), {list}, $4
                 FROM (SELECT id, (row_number() OVER (ORDER BY id) - 1) / $3 AS step FROM submit_item) AS numbered
                 GROUP BY step"
            );
            tx.execute(&sql, params![batch, jobs, size, new.deployment_id.as_deref()]).await?;
            if tx.dialect() == Dialect::Sqlite {
                tx.execute("DELETE FROM submit_item", vec![]).await?;
            }
        }
    }
    Ok(())
}

async fn insert_job_definitions(tx: &mut Tx, batch: &str, new: &NewBatch) -> Result<(), Error> {
    let kinds = [
        (id::SEED_JOB_DEFINITION, SEED_JOB_TYPE, new.deployment_id.as_deref()),
        (id::MONITOR_JOB_DEFINITION, MONITOR_JOB_TYPE, None),
        (id::BATCH_JOB_DEFINITION, new.configuration.batch_type().name(), None),
    ];
    let columns = Columns(vec![
        ("id", Column::texts(kinds.iter().map(|(number, ..)| id::numbered(batch, *number)))),
        ("batch_id", Column::same(batch, kinds.len())),
        ("job_type", Column::texts(kinds.iter().map(|(_, kind, _)| *kind))),
        ("job_configuration", Column::same(batch, kinds.len())),
        ("tenant_id", Column::same(new.tenant_id.as_deref(), kinds.len())),
        ("deployment_id", Column::optional_texts(kinds.iter().map(|(.., deployment)| deployment.map(str::to_owned)))),
    ]);
    tx.insert("job_definition", columns, "").await?;
    Ok(())
}

fn fixed_of(new: &NewBatch) -> Fixed {
    Fixed {
        configuration: new.configuration.clone(),
        tenant_id: new.tenant_id.clone(),
        default_retries: new.retries,
        batch_jobs_per_seed: new.batch_jobs_per_seed,
        invocations_per_batch_job: new.invocations_per_batch_job,
    }
}

/// spec-batch-rest §1.2, step 7.
fn operation(batch: &str, new: &NewBatch, total: u64) -> Operation {
    let (kind, entity, mut properties) = match &new.configuration {
        BatchConfiguration::Migration { plan, .. } => {
            let definitions = (Some(plan.source_definition_id.clone()), Some(plan.target_definition_id.clone()));
            let mut properties = vec![("processDefinitionId", definitions.0, definitions.1)];
            if let Some(variables) = &plan.variables {
                properties.push(("nrOfSetVariables", None, Some(variables.len().to_string())));
            }
            ("Migrate", "ProcessInstance", properties)
        }
        BatchConfiguration::SetJobRetries { retries, .. } => ("SetJobRetries", "Job", vec![("retries", None, Some(retries.to_string()))]),
    };
    properties.push(("nrOfInstances", None, Some(total.to_string())));
    properties.push(("async", None, Some("true".to_owned())));
    Operation { kind, entity, properties, batch: batch.to_owned(), job: None, tenant: new.tenant_id.clone() }
}
