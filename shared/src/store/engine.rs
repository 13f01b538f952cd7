//! The verbs of deployments, definitions and instances (design §4): load, run the pure core, write the difference.

use std::sync::Arc;

use async_trait::async_trait;

use super::query::{
    DefinitionQuery, DefinitionSort, DeploymentQuery, HistoryQuery, InstanceQuery, InstanceSort, JobDefinitionQuery, Order, Page,
};
use super::views::{DefinitionView, Deployed, DeploymentView, HistoryRow, InstanceView, JobDefinitionView, ResourceView, StoredInstance};
use super::{Caller, Error};
use crate::clock::Millis;
use crate::migration::{MigrationPlan, NotMigrated, Skip};
use crate::process::definition::ProcessDefinition;
use crate::runner::standalone::StandaloneTask;
use crate::runner::{Answer, Command};

/// A deployment to be made. Its resources are parsed already; ids and versions are given by the store.
pub struct NewDeployment {
    pub name: Option<String>,
    pub source: Option<String>,
    pub tenant_id: Option<String>,
    pub duplicate_filtering: bool,
    pub changed_only: bool,
    pub resources: Vec<NewResource>,
}

pub struct NewResource {
    pub name: String,
    pub bytes: Vec<u8>,
    /// The executable processes in it; empty for files that are no BPMN.
    pub definitions: Vec<ProcessDefinition>,
}

/// An instance to be started.
pub struct NewInstance {
    pub definition_id: String,
    pub business_key: Option<String>,
    /// A [`Command::Start`].
    pub start: Command,
}

/// What a command left.
#[derive(Debug)]
pub struct CommandOutcome {
    pub instance_id: String,
    /// As it is after the commit; None when it has ended.
    pub instance: Option<InstanceView>,
    pub answer: Answer,
    /// Instances (this one and others that it reached) with a job that may run now: to be published.
    pub due: Vec<String>,
}

/// The jobs that instances have themselves, run by the exec-worker.
#[async_trait]
pub trait InstanceJobs: Send + Sync {
    /// Runs one due job of the instance, if there is one; a failure is charged to the job in a transaction of its own.
    /// Gives whether more are due now.
    async fn run_due_job(&self, instance: &str) -> Result<RunDue, Error>;
    /// The same on evidence that a worker died over a job of the instance: a transaction before it adds one to `dead_attempts`
    /// and takes the instance's lease (15 s) with this token. At the fifth death the job is charged untried. Asking again with
    /// the same token is the same attempt. `Idle` too while another has the lease.
    async fn run_due_job_with_care(&self, instance: &str, token: &str) -> Result<RunDue, Error>;
    /// Runs a timer that starts instances, if it is due; a failure is charged to it in a transaction of its own.
    async fn run_timer(&self, timer: &str) -> Result<RunDue, Error>;
}

#[async_trait]
pub trait EngineStore: InstanceJobs {
    // --- deployments and definitions ---------------------------------------------------------------------------------

    /// One transaction: resources, definitions with the next version of their key and tenant, job definitions, start
    /// events' subscriptions and timers (those of the version before go).
    async fn deploy(&self, caller: &Caller, deployment: NewDeployment) -> Result<Deployed, Error>;
    async fn deployments(&self, caller: &Caller, query: &DeploymentQuery, page: Page) -> Result<Vec<DeploymentView>, Error>;
    async fn count_deployments(&self, caller: &Caller, query: &DeploymentQuery) -> Result<u64, Error>;
    async fn resources(&self, caller: &Caller, deployment: &str) -> Result<Vec<ResourceView>, Error>;
    async fn resource(&self, caller: &Caller, deployment: &str, resource: &str) -> Result<Option<(String, Vec<u8>)>, Error>;
    /// With `cascade` its instances and their history go too, in pages of 500; without, running instances refuse it
    /// (`ENGINE-…` of the reference, 500). False: no such deployment.
    async fn delete_deployment(&self, caller: &Caller, deployment: &str, cascade: bool) -> Result<bool, Error>;
    async fn delete_definition(&self, caller: &Caller, definition: &str, cascade: bool) -> Result<bool, Error>;

    /// The compiled model, cached; None: no such definition. Tenants are not looked at.
    async fn model(&self, definition: &str) -> Result<Option<Arc<ProcessDefinition>>, Error>;
    async fn definitions(
        &self,
        caller: &Caller,
        query: &DefinitionQuery,
        sort: &[(DefinitionSort, Order)],
        page: Page,
    ) -> Result<Vec<DefinitionView>, Error>;
    async fn count_definitions(&self, caller: &Caller, query: &DefinitionQuery) -> Result<u64, Error>;
    /// The XML as deployed.
    async fn definition_xml(&self, caller: &Caller, definition: &str) -> Result<Option<String>, Error>;
    /// With `include_instances` the flag first, then its instances in pages of 500. False: no such definition.
    async fn set_definition_suspended_state(
        &self,
        caller: &Caller,
        definition: &str,
        suspended: bool,
        include_instances: bool,
    ) -> Result<bool, Error>;

    /// Of processes and of batches, in the order of ids.
    async fn job_definitions(&self, caller: &Caller, query: &JobDefinitionQuery, page: Page) -> Result<Vec<JobDefinitionView>, Error>;
    async fn count_job_definitions(&self, caller: &Caller, query: &JobDefinitionQuery) -> Result<u64, Error>;
    /// Of a process definition's job definition; with `include_jobs` the jobs in documents too. Gives instances to publish. None: unknown.
    async fn set_process_job_definition_suspended(
        &self,
        caller: &Caller,
        id: &str,
        suspended: bool,
        include_jobs: bool,
    ) -> Result<Option<Vec<String>>, Error>;
    async fn set_process_job_definition_priority(
        &self,
        caller: &Caller,
        id: &str,
        priority: Option<i64>,
        include_jobs: bool,
    ) -> Result<Option<()>, Error>;

    // --- instances ---------------------------------------------------------------------------------------------------

    /// Starts one instance. `Refused` says why not, as the reference words it.
    async fn start(&self, caller: &Caller, new: NewInstance) -> Result<CommandOutcome, Error>;
    /// Starts many of one definition in few transactions (demo, benchmarks, tests): one id each, in order.
    async fn start_many(&self, caller: &Caller, new: Vec<NewInstance>) -> Result<Vec<String>, Error>;
    /// Reads, runs, writes `WHERE revision = …`; on a miss again, three times, then [`Error::OptimisticLock`]. Requests to other
    /// instances are carried out in the same transaction, all locked in the order of ids before the first write.
    /// None: no such instance (or not this caller's).
    async fn command(&self, caller: &Caller, instance: &str, command: Command) -> Result<Option<CommandOutcome>, Error>;
    /// Migrates all or none (`POST /migration/execute`). Gives those that have a job to run now; the inner error names the first
    /// instance that could not be migrated.
    async fn migrate(
        &self,
        caller: &Caller,
        instances: &[String],
        query: Option<&InstanceQuery>,
        plan: &MigrationPlan,
        skip: Skip,
    ) -> Result<Result<Vec<String>, (String, NotMigrated)>, Error>;
    /// Runs a modification on all of these or none, in one transaction (`POST /modification/execute`); at most 10,000. Gives
    /// those that have a job to run now.
    ///
    /// # Errors
    /// `Refused` by the first instance that is not there, has another definition, or cannot be modified so.
    async fn modify(&self, caller: &Caller, definition: &str, instances: &[String], command: Command) -> Result<Vec<String>, Error>;
    async fn set_instance_suspended(&self, caller: &Caller, instance: &str, suspended: bool) -> Result<bool, Error>;

    async fn instance(&self, caller: &Caller, id: &str) -> Result<Option<StoredInstance>, Error>;
    /// Narrowed by columns, then read page by page in bounded memory, filtered by pure predicates.
    async fn instances(
        &self,
        caller: &Caller,
        query: &InstanceQuery,
        sort: &[(InstanceSort, Order)],
        page: Page,
    ) -> Result<Vec<InstanceView>, Error>;
    async fn count_instances(&self, caller: &Caller, query: &InstanceQuery) -> Result<u64, Error>;
    /// The documents of instances that match, in the order of ids, after `after`, at most `limit` (≤ 500): what queries on
    /// tasks, jobs, executions, variables, incidents read, page by page.
    async fn documents(
        &self,
        caller: &Caller,
        query: &InstanceQuery,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredInstance>, Error>;
    /// Owners that wait for this message or signal: (instance or definition id, subscription id).
    async fn waiting_for(
        &self,
        caller: &Caller,
        kind: crate::process::instance::SubscriptionKind,
        name: &str,
        limit: u32,
    ) -> Result<Vec<(String, String)>, Error>;
    /// Takes external tasks of these topics for a worker, `FOR UPDATE SKIP LOCKED`: (instance, external task id).
    async fn fetch_and_lock(
        &self,
        caller: &Caller,
        worker_id: &str,
        topics: &[(String, Millis)],
        max: u32,
        use_priority: bool,
    ) -> Result<Vec<(String, String)>, Error>;

    // --- tasks of no instance ------------------------------------------------------------------------------------------

    /// Below `parent_task`, or alone. An empty id is filled in. `Refused`: there is no such parent, or the id is taken.
    async fn create_standalone_task(&self, caller: &Caller, task: StandaloneTask) -> Result<(), Error>;
    async fn standalone_task(&self, caller: &Caller, id: &str) -> Result<Option<StandaloneTask>, Error>;
    /// In the order of ids, after `after`, at most `limit`.
    async fn standalone_tasks(&self, caller: &Caller, after: Option<&str>, limit: u32) -> Result<Vec<StandaloneTask>, Error>;
    /// As [`crate::runner::standalone::run`]; what lies below a task that ends, ends with it. None: no such task.
    async fn command_standalone_task(&self, caller: &Caller, id: &str, command: Command) -> Result<Option<()>, Error>;

    // --- history -----------------------------------------------------------------------------------------------------

    /// Closed records; open ones are read from the documents by the caller.
    async fn history(&self, caller: &Caller, query: &HistoryQuery, page: Page) -> Result<Vec<HistoryRow>, Error>;
    async fn count_history(&self, caller: &Caller, query: &HistoryQuery) -> Result<u64, Error>;
}

/// What a look at an instance's due jobs did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunDue {
    /// Nothing was due.
    Idle,
    Ran {
        more: bool,
    },
    Failed {
        message: String,
        more: bool,
    },
    /// Something is due, and a worker died over it: it is to be run with care.
    Careful,
    /// No such instance.
    Gone,
}
