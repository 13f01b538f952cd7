//! The engine's verbs on a database: which module does what.

use std::sync::Arc;

use async_trait::async_trait;

use super::SqlStore;
use crate::clock::Millis;
use crate::migration::{MigrationPlan, NotMigrated, Skip};
use crate::process::definition::ProcessDefinition;
use crate::process::instance::SubscriptionKind;
use crate::runner::Command;
use crate::runner::standalone::StandaloneTask;
use crate::store::query::{
    DefinitionQuery, DefinitionSort, DeploymentQuery, HistoryQuery, InstanceQuery, InstanceSort, JobDefinitionQuery, Order, Page,
};
use crate::store::views::{
    DefinitionView, Deployed, DeploymentView, HistoryRow, InstanceView, JobDefinitionView, ResourceView, StoredInstance,
};
use crate::store::{Caller, CommandOutcome, EngineStore, Error, InstanceJobs, NewDeployment, NewInstance, RunDue};

#[async_trait]
impl InstanceJobs for SqlStore {
    async fn run_due_job(&self, instance: &str) -> Result<RunDue, Error> {
        self.run_one_due_job(instance, None).await
    }

    async fn run_due_job_with_care(&self, instance: &str, token: &str) -> Result<RunDue, Error> {
        self.run_one_due_job(instance, Some(token)).await
    }

    async fn run_timer(&self, timer: &str) -> Result<RunDue, Error> {
        self.run_start_timer(timer).await
    }
}

#[async_trait]
impl EngineStore for SqlStore {
    async fn deploy(&self, caller: &Caller, deployment: NewDeployment) -> Result<Deployed, Error> {
        self.deploy_resources(caller, deployment).await
    }

    async fn deployments(&self, caller: &Caller, query: &DeploymentQuery, page: Page) -> Result<Vec<DeploymentView>, Error> {
        self.list_deployments(caller, query, page).await
    }

    async fn count_deployments(&self, caller: &Caller, query: &DeploymentQuery) -> Result<u64, Error> {
        self.number_of_deployments(caller, query).await
    }

    async fn resources(&self, caller: &Caller, deployment: &str) -> Result<Vec<ResourceView>, Error> {
        self.list_resources(caller, deployment).await
    }

    async fn resource(&self, caller: &Caller, deployment: &str, resource: &str) -> Result<Option<(String, Vec<u8>)>, Error> {
        self.read_resource(caller, deployment, resource).await
    }

    async fn delete_deployment(&self, caller: &Caller, deployment: &str, cascade: bool) -> Result<bool, Error> {
        self.remove_deployment(caller, deployment, cascade).await
    }

    async fn delete_definition(&self, caller: &Caller, definition: &str, cascade: bool) -> Result<bool, Error> {
        self.remove_definition(caller, definition, cascade).await
    }

    async fn model(&self, definition: &str) -> Result<Option<Arc<ProcessDefinition>>, Error> {
        self.compiled_model(definition).await
    }

    async fn definitions(
        &self,
        caller: &Caller,
        query: &DefinitionQuery,
        sort: &[(DefinitionSort, Order)],
        page: Page,
    ) -> Result<Vec<DefinitionView>, Error> {
        self.list_definitions(caller, query, sort, page).await
    }

    async fn count_definitions(&self, caller: &Caller, query: &DefinitionQuery) -> Result<u64, Error> {
        self.number_of_definitions(caller, query).await
    }

    async fn definition_xml(&self, caller: &Caller, definition: &str) -> Result<Option<String>, Error> {
        self.read_definition_xml(caller, definition).await
    }

    async fn set_definition_suspended_state(
        &self,
        caller: &Caller,
        definition: &str,
        suspended: bool,
        include_instances: bool,
    ) -> Result<bool, Error> {
        self.suspend_definition(caller, definition, suspended, include_instances).await
    }

    async fn job_definitions(&self, caller: &Caller, query: &JobDefinitionQuery, page: Page) -> Result<Vec<JobDefinitionView>, Error> {
        self.list_job_definitions(caller, query, page).await
    }

    async fn count_job_definitions(&self, caller: &Caller, query: &JobDefinitionQuery) -> Result<u64, Error> {
        self.number_of_job_definitions(caller, query).await
    }

    async fn set_process_job_definition_suspended(
        &self,
        caller: &Caller,
        id: &str,
        suspended: bool,
        include_jobs: bool,
    ) -> Result<Option<Vec<String>>, Error> {
        self.suspend_job_definition(caller, id, suspended, include_jobs).await
    }

    async fn set_process_job_definition_priority(
        &self,
        caller: &Caller,
        id: &str,
        priority: Option<i64>,
        include_jobs: bool,
    ) -> Result<Option<()>, Error> {
        self.prioritise_job_definition(caller, id, priority, include_jobs).await
    }

    async fn start(&self, caller: &Caller, new: NewInstance) -> Result<CommandOutcome, Error> {
        self.start_instance(caller, new).await
    }

    async fn start_many(&self, caller: &Caller, new: Vec<NewInstance>) -> Result<Vec<String>, Error> {
        self.start_instances(caller, &new).await
    }

    async fn command(&self, caller: &Caller, instance: &str, command: Command) -> Result<Option<CommandOutcome>, Error> {
        self.run_command(caller, instance, command).await
    }

    async fn migrate(
        &self,
        caller: &Caller,
        instances: &[String],
        query: Option<&InstanceQuery>,
        plan: &MigrationPlan,
        skip: Skip,
    ) -> Result<Result<Vec<String>, (String, NotMigrated)>, Error> {
        self.migrate_all(caller, instances, query, plan, skip).await
    }

    async fn modify(&self, caller: &Caller, definition: &str, instances: &[String], command: Command) -> Result<Vec<String>, Error> {
        self.modify_all(caller, definition, instances, &command).await
    }

    async fn set_instance_suspended(&self, caller: &Caller, instance: &str, suspended: bool) -> Result<bool, Error> {
        self.suspend_instance(caller, instance, suspended).await
    }

    async fn instance(&self, caller: &Caller, id: &str) -> Result<Option<StoredInstance>, Error> {
        self.read_instance(caller, id).await
    }

    async fn instances(
        &self,
        caller: &Caller,
        query: &InstanceQuery,
        sort: &[(InstanceSort, Order)],
        page: Page,
    ) -> Result<Vec<InstanceView>, Error> {
        self.list_instances(caller, query, sort, page).await
    }

    async fn count_instances(&self, caller: &Caller, query: &InstanceQuery) -> Result<u64, Error> {
        self.number_of_instances(caller, query).await
    }

    async fn documents(
        &self,
        caller: &Caller,
        query: &InstanceQuery,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<StoredInstance>, Error> {
        self.page_of_documents(caller, query, after, limit).await
    }

    async fn waiting_for(&self, caller: &Caller, kind: SubscriptionKind, name: &str, limit: u32) -> Result<Vec<(String, String)>, Error> {
        self.who_waits(caller, kind, name, limit).await
    }

    async fn fetch_and_lock(
        &self,
        caller: &Caller,
        worker_id: &str,
        topics: &[(String, Millis)],
        max: u32,
        use_priority: bool,
    ) -> Result<Vec<(String, String)>, Error> {
        self.take_external_tasks(caller, worker_id, topics, max, use_priority).await
    }

    async fn create_standalone_task(&self, caller: &Caller, task: StandaloneTask) -> Result<(), Error> {
        self.make_standalone_task(caller, task).await
    }

    async fn standalone_task(&self, caller: &Caller, id: &str) -> Result<Option<StandaloneTask>, Error> {
        self.read_standalone_task(caller, id).await
    }

    async fn standalone_tasks(&self, caller: &Caller, after: Option<&str>, limit: u32) -> Result<Vec<StandaloneTask>, Error> {
        self.list_standalone_tasks(caller, after, limit).await
    }

    async fn command_standalone_task(&self, caller: &Caller, id: &str, command: Command) -> Result<Option<()>, Error> {
        self.command_on_standalone_task(caller, id, command).await
    }

    async fn history(&self, caller: &Caller, query: &HistoryQuery, page: Page) -> Result<Vec<HistoryRow>, Error> {
        self.read_history(caller, query, page).await
    }

    async fn count_history(&self, caller: &Caller, query: &HistoryQuery) -> Result<u64, Error> {
        self.number_of_history(caller, query).await
    }
}
