//! Submitting a batch: all of it in one transaction, in memory that does not grow with the number of ids (design §7.1).

use std::collections::BTreeSet;

use crate::batch::{Batch, BatchConfiguration, BatchType, NewBatch};
use crate::id;
use crate::process::history::JobEvent;
use crate::runner::Refusal;
use crate::store::query::InstanceQuery;
use crate::store::sql::instance_query::{instance_where, matching_ids};
use crate::store::sql::statement::Sql;
use crate::store::sql::{Column, Columns, Dialect, LONG_TIMEOUT, SqlStore, Tx, Value, Verb, clean, may_write, params};
use crate::store::{Caller, Error, Items};

use super::facts::read_batch;
use super::fixed::{Fixed, stored_tenants};
use super::log::{self, LogRow, MONITOR_JOB_TYPE, SEED_JOB_TYPE};
use super::operations::{self, Operation};
use super::submit_chunks::{Staged, create_table, find_deployments, insert_chunks, insert_from_query, jobs_of, stage_page};

const SUBMIT: Verb = Verb::named("submit").lasting(LONG_TIMEOUT).durable();
/// As many listed ids are sorted in memory; more, or those of a query, in the database.
const IN_MEMORY: usize = 10_000;
/// Draws of an id before giving up.
const DRAWS: u32 = 3;
/// Ids of one page of a query that the documents answer.
const QUERY_PAGE: u32 = 5_000;

impl SqlStore {
    pub(super) async fn submit_batch(&self, caller: &Caller, new: &NewBatch, items: &Items<'_>) -> Result<Batch, Error> {
        may_write(caller)?;
        let mut tx = self.write(SUBMIT).await?;
        let grouped = new.configuration.batch_type().groups_by_deployment();
        let now = tx.now().await?;
        let (id, total) = match only_query(caller, items, grouped) {
            Some(query) => submit_query(&mut tx, caller, new, query, now).await?,
            None => {
                let staged = self.stage(&mut tx, caller, items, grouped).await?;
                let total = some(staged.count())?;
                let jobs = jobs_of(&mut tx, &staged, new.invocations_per_batch_job).await?;
                let id = insert_batch(&mut tx, caller, new, (total, jobs), now).await?;
                insert_chunks(&mut tx, &id, new, staged).await?;
                (id, total)
            }
        };
        insert_job_definitions(&mut tx, &id, new).await?;
        let fixed = fixed_of(caller, new);
        let seed = LogRow::control(JobEvent::Created, &id, id::SEED_JOB, new.retries, 0);
        log::write(&mut tx, now, &self.options().hostname, &[(seed, &fixed)]).await?;
        operations::write(&mut tx, caller, now, &operation(&id, new, total)).await?;
        let batch = read_batch(&mut tx, &id).await?;
        tx.commit().await?;
        batch.ok_or_else(|| crate::store::sql::corrupt("batch", &id, &"it is gone right after it was written"))
    }

    async fn stage(&self, tx: &mut Tx, caller: &Caller, items: &Items<'_>, grouped: bool) -> Result<Staged, Error> {
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
        if ended && items.query.is_none() && !grouped {
            return Ok(Staged::Memory(ids));
        }
        create_table(tx).await?;
        stage_page(tx, ids.into_iter().collect()).await?;
        while let Some(page) = if ended { None } else { next()? } {
            stage_page(tx, page).await?;
        }
        if let Some(query) = items.query
            && !stage_query(tx, caller, query).await?
        {
            let mut after: Option<String> = None;
            loop {
                let page = matching_ids(tx, caller, query, after.as_deref(), QUERY_PAGE).await?;
                let Some(last) = page.last().cloned() else { break };
                stage_page(tx, page).await?;
                after = Some(last);
            }
        }
        if grouped {
            find_deployments(tx, caller).await?;
        }
        let n = tx.one("SELECT count(*) AS n FROM submit_item", vec![]).await?.uint("n")?;
        Ok(Staged::Table(n))
    }
}

/// A batch of no instances is refused.
fn some(total: u64) -> Result<u64, Error> {
    if total > 0 {
        return Ok(total);
    }
    let message = "Process instance ids cannot empty: process instance ids is empty";
    Err(Refusal::new("BadUserRequestException", message).into())
}

/// The query, if it is all that the batch is of and the database can answer it: each instance is found once, and none need be
/// staged.
fn only_query<'a>(caller: &Caller, items: &Items<'a>, grouped: bool) -> Option<&'a InstanceQuery> {
    let query = items.query.filter(|_| !grouped && (items.listed)().next().is_none())?;
    instance_where(&mut Sql::new(Dialect::Postgres, ""), caller, query).then_some(query)
}

/// Straight from the instances into chunks. How many they are is known only then: the batch's row is written first, for its id,
/// and gets its totals last.
async fn submit_query(tx: &mut Tx, caller: &Caller, new: &NewBatch, query: &InstanceQuery, now: i64) -> Result<(String, u64), Error> {
    let id = insert_batch(tx, caller, new, (1, 1), now).await?;
    insert_from_query(tx, caller, &id, new, query).await?;
    let k = u64::from(new.invocations_per_batch_job.max(1));
    let sql = "SELECT CAST(COALESCE(sum(items), 0) AS BIGINT) AS items, CAST(COALESCE(sum((items + $2 - 1) / $2), 0) AS BIGINT) AS jobs
               FROM chunk WHERE batch = $1";
    let row = tx.one(sql, params![&id, k]).await?;
    let (total, jobs) = (some(row.uint("items")?)?, row.uint("jobs")?);
    for table in ["batch", "historic_batch"] {
        tx.execute(&format!("UPDATE {table} SET total_instances = $2, total_jobs = $3 WHERE id = $1"), params![&id, total, jobs]).await?;
    }
    Ok((id, total))
}

/// One statement in the database, where columns and derived rows answer all of the query: no id travels. False: nothing was
/// done, since the documents must be asked too.
async fn stage_query(tx: &mut Tx, caller: &Caller, query: &InstanceQuery) -> Result<bool, Error> {
    let mut sql = Sql::new(tx.dialect(), "INSERT INTO submit_item (id) SELECT p.id FROM process_instance p WHERE 1 = 1");
    if !instance_where(&mut sql, caller, query) {
        return Ok(false);
    }
    sql.push(" ORDER BY p.id ON CONFLICT (id) DO NOTHING");
    sql.execute(tx).await?;
    Ok(true)
}

/// Gives the id that it got: another one than asked for where that is taken.
async fn insert_batch(tx: &mut Tx, caller: &Caller, new: &NewBatch, (total, jobs): (u64, u64), now: i64) -> Result<String, Error> {
    let configuration = serde_json::to_string(&new.configuration).unwrap_or_default();
    let mut id = new.id.clone();
    for _ in 0..DRAWS {
        let common: Vec<(&str, Value)> = vec![
            ("id", Value::from(&id)),
            ("type", Value::from(new.configuration.batch_type().name())),
            ("total_instances", Value::from(total)),
            ("total_jobs", Value::from(jobs)),
            ("batch_jobs_per_seed", Value::from(new.batch_jobs_per_seed)),
            ("invocations_per_batch_job", Value::from(new.invocations_per_batch_job)),
            ("tenant_id", Value::from(new.tenant_id.as_deref())),
            ("create_user_id", Value::from(caller.user.as_deref())),
            ("start_time", Value::from(now)),
        ];
        let own = vec![
            ("configuration", Value::from(&configuration)),
            ("tenants", Value::from(stored_tenants(caller))),
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

fn fixed_of(caller: &Caller, new: &NewBatch) -> Fixed {
    Fixed {
        configuration: new.configuration.clone(),
        tenant_id: new.tenant_id.clone(),
        tenants: caller.tenants.clone(),
        default_retries: new.retries,
        batch_jobs_per_seed: new.batch_jobs_per_seed,
        invocations_per_batch_job: new.invocations_per_batch_job,
    }
}

/// spec-batch-rest §1.2, step 7.
fn operation(batch: &str, new: &NewBatch, total: u64) -> Operation {
    let (kind, entity) = match new.configuration.batch_type() {
        BatchType::ProcessInstanceMigration => ("Migrate", "ProcessInstance"),
        BatchType::SetJobRetries => ("SetJobRetries", "Job"),
        BatchType::Modification => ("ModifyProcessInstance", "ProcessInstance"),
        BatchType::Restart => ("RestartProcessInstance", "ProcessInstance"),
        BatchType::Deletion => ("Delete", "ProcessInstance"),
        BatchType::Suspension => ("SuspendJob", "ProcessInstance"),
        BatchType::HistoricDeletion => ("DeleteHistory", "ProcessInstance"),
        BatchType::HistoricDecisionDeletion => ("DeleteHistory", "DecisionInstance"),
        BatchType::SetExternalTaskRetries => ("SetExternalTaskRetries", "ExternalTask"),
        BatchType::SetRemovalTime => ("SetRemovalTime", "ProcessInstance"),
        BatchType::BatchSetRemovalTime => ("SetRemovalTime", "Batch"),
        BatchType::SetVariables => ("SetVariables", "ProcessInstance"),
        BatchType::CorrelateMessage => ("CorrelateMessage", "ProcessInstance"),
    };
    let mut properties = properties(&new.configuration);
    properties.push(("nrOfInstances", None, Some(total.to_string())));
    properties.push(("async", None, Some("true".to_owned())));
    Operation { kind, entity, properties, batch: batch.to_owned(), job: None, tenant: new.tenant_id.clone() }
}

/// (name, before, after)
fn properties(configuration: &BatchConfiguration) -> Vec<(&'static str, Option<String>, Option<String>)> {
    match configuration {
        BatchConfiguration::Migration { plan, .. } => {
            let definitions = (Some(plan.source_definition_id.clone()), Some(plan.target_definition_id.clone()));
            let mut properties = vec![("processDefinitionId", definitions.0, definitions.1)];
            if let Some(variables) = &plan.variables {
                properties.push(("nrOfSetVariables", None, Some(variables.len().to_string())));
            }
            properties
        }
        BatchConfiguration::SetJobRetries { retries, .. } | BatchConfiguration::SetExternalTaskRetries { retries } => {
            vec![("retries", None, Some(retries.to_string()))]
        }
        BatchConfiguration::Modification { definition_id, .. } | BatchConfiguration::Restart { definition_id, .. } => {
            vec![("processDefinitionId", None, Some(definition_id.clone()))]
        }
        BatchConfiguration::Deletion { reason, .. } => vec![("deleteReason", None, reason.clone())],
        BatchConfiguration::Suspension { suspended } => {
            vec![("suspensionState", None, Some(if *suspended { "suspended" } else { "active" }.to_owned()))]
        }
        BatchConfiguration::SetVariables { variables } => vec![("nrOfVariables", None, Some(variables.len().to_string()))],
        BatchConfiguration::CorrelateMessage { name, .. } => vec![("messageName", None, Some(name.clone()))],
        BatchConfiguration::HistoricDeletion
        | BatchConfiguration::HistoricDecisionDeletion
        | BatchConfiguration::SetRemovalTime { .. }
        | BatchConfiguration::BatchSetRemovalTime { .. } => vec![],
    }
}
