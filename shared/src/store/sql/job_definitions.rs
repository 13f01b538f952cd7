//! Job definitions: of processes and of batches as callers see them, and the settings of those of processes.

use super::instance_rows::{self, SELECT_INSTANCES};
use super::statement::Sql;
use super::working_set::WorkingSet;
use super::{Row, SUSPEND_TIMEOUT, SqlStore, Verb, may_write, params};
use crate::process::instance::Instance;
use crate::runner::Command;
use crate::store::query::{JobDefinitionQuery, JobDefinitionSort, Page};
use crate::store::views::JobDefinitionView;
use crate::store::{Caller, Error};

/// Instances whose jobs are changed in one transaction.
const PAGE: u32 = 500;
/// Instances given back to be published; `wake` finds the rest.
const MAX_PUBLISHED: usize = 10_000;

const SELECT: &str = "SELECT id, process_definition_id, process_definition_key, job_type, job_configuration, activity_id, suspended,
                             overriding_priority, tenant_id, deployment_id
                      FROM job_definition WHERE 1 = 1";

fn read(row: &Row) -> Result<JobDefinitionView, Error> {
    Ok(JobDefinitionView {
        id: row.text("id")?,
        process_definition_id: row.optional_text("process_definition_id")?,
        process_definition_key: row.optional_text("process_definition_key")?,
        job_type: row.text("job_type")?,
        job_configuration: row.text("job_configuration")?,
        activity_id: row.optional_text("activity_id")?,
        suspended: row.bool("suspended")?,
        overriding_priority: row.optional_int("overriding_priority")?,
        tenant_id: row.optional_text("tenant_id")?,
        deployment_id: row.optional_text("deployment_id")?,
    })
}

fn matching(sql: &mut Sql, caller: &Caller, query: &JobDefinitionQuery) {
    sql.with_some(" AND id = ", query.id.as_ref())
        .and_one_of("activity_id", query.activity_id_in.as_ref())
        .with_some(" AND process_definition_id = ", query.process_definition_id.as_ref())
        .with_some(" AND process_definition_key = ", query.process_definition_key.as_ref())
        .with_some(" AND job_type = ", query.job_type.as_ref())
        .with_some(" AND job_configuration = ", query.job_configuration.as_ref())
        .when(query.active, " AND NOT suspended")
        .when(query.suspended, " AND suspended")
        .when(query.with_overriding_priority, " AND overriding_priority IS NOT NULL")
        .of_tenants("tenant_id", &query.tenants)
        .seen_by("tenant_id", caller);
}

fn column(sort: JobDefinitionSort) -> &'static str {
    match sort {
        JobDefinitionSort::Id => "id",
        JobDefinitionSort::ActivityId => "activity_id",
        JobDefinitionSort::ProcessDefinitionId => "process_definition_id",
        JobDefinitionSort::ProcessDefinitionKey => "process_definition_key",
        JobDefinitionSort::JobType => "job_type",
        JobDefinitionSort::JobConfiguration => "job_configuration",
        JobDefinitionSort::TenantId => "tenant_id",
    }
}

impl SqlStore {
    pub(crate) async fn list_job_definitions(
        &self,
        caller: &Caller,
        query: &JobDefinitionQuery,
        page: Page,
    ) -> Result<Vec<JobDefinitionView>, Error> {
        let mut tx = self.read(Verb::named("job_definitions")).await?;
        let mut sql = Sql::new(tx.dialect(), SELECT);
        matching(&mut sql, caller, query);
        let sort: Vec<_> = query.sort.iter().map(|(sort, order)| (column(*sort), *order)).collect();
        sql.order_by(&sort, "id").page(page);
        sql.all(&mut tx).await?.iter().map(read).collect()
    }

    pub(crate) async fn number_of_job_definitions(&self, caller: &Caller, query: &JobDefinitionQuery) -> Result<u64, Error> {
        let mut tx = self.read(Verb::named("count_job_definitions")).await?;
        let mut sql = Sql::new(tx.dialect(), "SELECT count(*) AS n FROM job_definition WHERE 1 = 1");
        matching(&mut sql, caller, query);
        sql.count(&mut tx).await
    }

    pub(crate) async fn suspend_job_definition(
        &self,
        caller: &Caller,
        id: &str,
        suspended: bool,
        include_jobs: bool,
    ) -> Result<Option<Vec<String>>, Error> {
        let verb = Verb::named("set_process_job_definition_suspended").lasting(SUSPEND_TIMEOUT).durable();
        let set = "UPDATE job_definition SET suspended = $2 WHERE id = $1";
        let Some(definition) = self.change_job_definition(verb, caller, id, set, params![id, suspended]).await? else { return Ok(None) };
        if !include_jobs {
            return Ok(Some(vec![]));
        }
        let of = vec![(definition.activity_id.clone().unwrap_or_default(), definition.job_type.clone())];
        let commands = |instance: &Instance| {
            let has_one = instance.jobs.iter().any(|job| job.job_definition_id.as_deref() == Some(id) && job.suspended != suspended);
            if has_one { vec![Command::SuspendJobs { of: of.clone(), suspended }] } else { vec![] }
        };
        self.for_all_instances(verb, &definition, commands).await.map(Some)
    }

    pub(crate) async fn prioritise_job_definition(
        &self,
        caller: &Caller,
        id: &str,
        priority: Option<i64>,
        include_jobs: bool,
    ) -> Result<Option<()>, Error> {
        let verb = Verb::named("set_process_job_definition_priority").lasting(SUSPEND_TIMEOUT).durable();
        let set = "UPDATE job_definition SET overriding_priority = $2 WHERE id = $1";
        let Some(definition) = self.change_job_definition(verb, caller, id, set, params![id, priority]).await? else { return Ok(None) };
        if let (true, Some(priority)) = (include_jobs, priority) {
            let commands = |instance: &Instance| {
                let of_definition = instance.jobs.iter().filter(|job| job.job_definition_id.as_deref() == Some(id));
                of_definition.map(|job| Command::SetJobPriority { job_id: job.id.clone(), priority }).collect()
            };
            self.for_all_instances(verb, &definition, commands).await?;
        }
        Ok(Some(()))
    }

    /// The flag first; None: no such job definition of a process, or not this caller's.
    async fn change_job_definition(
        &self,
        verb: Verb,
        caller: &Caller,
        id: &str,
        set: &str,
        values: Vec<super::Value>,
    ) -> Result<Option<JobDefinitionView>, Error> {
        may_write(caller)?;
        let mut tx = self.write(verb).await?;
        let mut sql = Sql::new(tx.dialect(), SELECT);
        sql.push(" AND process_definition_id IS NOT NULL").with(" AND id = ", id).seen_by("tenant_id", caller);
        let Some(row) = sql.all(&mut tx).await?.into_iter().next() else { return Ok(None) };
        let definition = read(&row)?;
        tx.execute(set, values).await?;
        tx.commit().await?;
        Ok(Some(definition))
    }

    /// Runs commands on every instance of the job definition's process definition, in pages. Gives instances with a job due.
    async fn for_all_instances(
        &self,
        verb: Verb,
        definition: &JobDefinitionView,
        commands: impl Fn(&Instance) -> Vec<Command> + Send + Sync,
    ) -> Result<Vec<String>, Error> {
        let mut due = vec![];
        let mut after: Option<String> = None;
        loop {
            let mut tx = self.write(verb).await?;
            let mut set = WorkingSet::new(self.surroundings(&mut tx, None).await?);
            let mut sql = Sql::new(tx.dialect(), SELECT_INSTANCES);
            sql.with(" WHERE p.definition_id = ", definition.process_definition_id.as_ref()).with_some(" AND p.id > ", after.as_ref());
            sql.push(" ORDER BY p.id").with(" LIMIT ", PAGE).push(" {for update}");
            let rows = sql.all(&mut tx).await?;
            for row in &rows {
                let stored = instance_rows::read(row)?;
                let (id, commands) = (stored.instance.id.clone(), commands(&stored.instance));
                after = Some(id.clone());
                set.admit(&mut tx, stored).await?;
                for command in commands {
                    set.run(&mut tx, &id, command).await?;
                }
            }
            set.write(&mut tx).await?;
            tx.commit().await?;
            due.extend(set.due());
            due.truncate(MAX_PUBLISHED);
            if rows.len() < PAGE as usize {
                return Ok(due);
            }
        }
    }
}
