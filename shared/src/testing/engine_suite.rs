//! The conformance suite of the engine's verbs ([`crate::store::EngineStore`]): run on every database. No caller can tell
//! which one it has.

pub mod calls;
pub mod deployments;
pub mod external_tasks;
pub mod histories;
pub mod jobs;
pub mod lives;
pub mod migrations;
pub mod modifications;
pub mod queries;
pub mod sessions;
pub mod tasks;
pub mod tenants;

use crate::process::parse::parse;
use crate::process::value::TypedValue;
use crate::runner::{Command, Refusal};
use crate::store::query::{HistoryKind, HistoryQuery, InstanceQuery, Page, TenantFilter};
use crate::store::sql::SqlStore;
use crate::store::views::{DefinitionView, HistoryRow, StoredInstance};
use crate::store::{Caller, CommandOutcome, EngineStore, Error, InstanceJobs, NewDeployment, NewInstance, NewResource, Tenants};

pub const TWO_TASKS: &str = r#"<startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="first"/>
    <userTask id="first" name="First"/><sequenceFlow id="f2" sourceRef="first" targetRef="second"/>
    <userTask id="second" name="Second"/><sequenceFlow id="f3" sourceRef="second" targetRef="end"/><endEvent id="end"/>"#;
pub const ASYNC_TASK: &str = r#"<startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="first"/>
    <userTask id="first" camunda:asyncBefore="true"/><sequenceFlow id="f2" sourceRef="first" targetRef="end"/><endEvent id="end"/>"#;
pub const FAILING: &str = r#"<startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="fails"/>
    <serviceTask id="fails" camunda:asyncBefore="true" camunda:expression="${missing}"/>
    <sequenceFlow id="f2" sourceRef="fails" targetRef="end"/><endEvent id="end"/>"#;
pub const EXTERNAL: &str = r#"<startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="work"/>
    <serviceTask id="work" camunda:type="external" camunda:topic="herd"/>
    <sequenceFlow id="f2" sourceRef="work" targetRef="end"/><endEvent id="end"/>"#;
pub const RECEIVES: &str = r#"<startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="wait"/>
    <intermediateCatchEvent id="wait"><signalEventDefinition signalRef="sig"/></intermediateCatchEvent>
    <sequenceFlow id="f2" sourceRef="wait" targetRef="after"/><userTask id="after"/>"#;

/// A BPMN file with one process.
#[must_use]
pub fn bpmn(key: &str, body: &str) -> String {
    format!(
        r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="suite">
  <message id="msg" name="go"/><signal id="sig" name="all"/>
  <process id="{key}" isExecutable="true" camunda:historyTimeToLive="P30D">{body}</process>
</definitions>"#
    )
}

/// A deployment of these (file name, text), nothing filtered.
///
/// # Panics
/// When one is no BPMN.
#[must_use]
pub fn deployment(name: &str, files: &[(&str, String)]) -> NewDeployment {
    let resource = |(name, text): &(&str, String)| NewResource {
        name: (*name).to_owned(),
        bytes: text.clone().into_bytes(),
        definitions: parse(text).unwrap_or_else(|report| panic!("{name}: {}", report.message(name))),
    };
    NewDeployment {
        name: Some(name.to_owned()),
        source: None,
        tenant_id: None,
        duplicate_filtering: false,
        changed_only: false,
        resources: files.iter().map(resource).collect(),
    }
}

/// Deploys one process.
///
/// # Panics
/// When that fails.
pub async fn deploy(store: &SqlStore, key: &str, body: &str) -> DefinitionView {
    let new = deployment(key, &[("process.bpmn", bpmn(key, body))]);
    store.deploy(&anyone(), new).await.expect("a deployment").definitions.remove(0)
}

/// Starts an instance.
///
/// # Panics
/// When that fails.
pub async fn start(store: &SqlStore, definition: &str, variables: Vec<(String, TypedValue)>) -> CommandOutcome {
    store.start(&anyone(), new_instance(definition, None, variables)).await.expect("a start")
}

#[must_use]
pub fn new_instance(definition: &str, business_key: Option<&str>, variables: Vec<(String, TypedValue)>) -> NewInstance {
    let start =
        Command::Start { variables, instructions: vec![], start_event: None, skip_custom_listeners: false, skip_io_mappings: false };
    NewInstance { definition_id: definition.to_owned(), business_key: business_key.map(str::to_owned), start }
}

/// The document of an instance that is there.
///
/// # Panics
/// When it is not.
pub async fn document(store: &SqlStore, id: &str) -> StoredInstance {
    store.instance(&anyone(), id).await.expect("a read").unwrap_or_else(|| panic!("there is no instance {id}"))
}

/// Completes the only task of an instance.
///
/// # Panics
/// When there is none, or that fails.
pub async fn complete(store: &SqlStore, id: &str) -> CommandOutcome {
    let task = document(store, id).await.instance.tasks.first().expect("a task").id.clone();
    let outcome = store.command(&anyone(), id, Command::CompleteTask { task_id: task, variables: vec![] }).await;
    outcome.expect("a completion").expect("an instance")
}

/// Closed history of one kind of one instance.
///
/// # Panics
/// When it cannot be read.
pub async fn history(store: &SqlStore, kind: HistoryKind, instance: &str) -> Vec<HistoryRow> {
    let query = HistoryQuery {
        kind,
        instance_id: Some(instance.to_owned()),
        definition_id: None,
        definition_key: None,
        id: None,
        tenants: TenantFilter::default(),
    };
    store.history(&anyone(), &query, Page::default()).await.expect("history")
}

/// Ids of the instances that a query finds.
///
/// # Panics
/// When it fails.
pub async fn found(store: &SqlStore, query: &InstanceQuery) -> Vec<String> {
    let views = store.instances(&anyone(), query, &[], Page::default()).await.expect("a query");
    views.into_iter().map(|view| view.id).collect()
}

#[must_use]
pub fn of_definition(id: &str) -> InstanceQuery {
    InstanceQuery { definition_id: Some(id.to_owned()), ..InstanceQuery::default() }
}

#[must_use]
pub fn anyone() -> Caller {
    Caller::anonymous()
}

#[must_use]
pub fn of_tenant(tenant: &str) -> Caller {
    Caller { user: Some(format!("user of {tenant}")), tenants: Tenants::Of(vec![tenant.to_owned()]), read_only: false }
}

/// Why it was refused.
///
/// # Panics
/// When it was not.
pub fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

/// What is derived from documents is what the tables hold.
///
/// # Panics
/// When it is not, with every difference.
pub async fn derived_rows_agree(store: &SqlStore) {
    let differences = store.derived_differences().await.expect("documents and their derived rows");
    assert_eq!(differences, Vec::<String>::new());
}

/// Makes a test of every case of the suite; `$new` gives an empty [`crate::testing::database::TestDatabase`].
#[macro_export]
macro_rules! engine_suite {
    ($new:expr) => {
        $crate::engine_suite!(@cases $new,
            deployments::{versions_follow_each_other, duplicates_are_left_out, start_events_move_to_the_latest,
                definitions_are_found, a_deployment_goes_with_its_instances},
            lives::{an_instance_lives_and_ends, many_start_at_once, an_unknown_one_is_none, suspension},
            calls::{a_call_starts_and_goes_on, deleting_a_caller_deletes_the_called, incidents_go_up, a_signal_reaches_all},
            jobs::{a_due_job_runs, a_job_that_kills_its_workers_is_given_up, a_job_run_with_care_ends_the_care, a_failing_job_ends_in_an_incident, attempts_at_the_same_time_are_not_charged_beyond_the_retries, a_suspended_job_definition_suspends_new_jobs,
                a_timer_starts_instances},
            external_tasks::{a_task_is_taken_once, priority_goes_first},
            queries::{what_sql_finds_the_documents_say_too, pages_and_order, waiting_for_a_signal},
            histories::{what_closed_is_kept},
            migrations::{all_or_none, those_with_a_job_to_run_are_told, unknown_instances_are_refused},
            modifications::{all_or_none_are_modified, another_tenant_s_instance_is_not_there_to_modify},
            sessions::{commands_of_many_sessions_are_all_kept, external_tasks_go_to_one_worker_each, a_migration_and_commands_at_once,
                no_instance_is_left_without_its_definition},
            tasks::{subtasks_end_with_their_task, a_task_of_its_own_lives_and_ends, who_may_make_a_task},
            tenants::{tenants_do_not_see_each_other, who_may_only_read_changes_nothing});
    };
    (@cases $new:expr, $($module:ident::{$($case:ident),* $(,)?}),* $(,)?) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let database = $new.await;
                $crate::testing::engine_suite::$module::$case(&database.store).await;
                $crate::testing::engine_suite::derived_rows_agree(&database.store).await;
                database.remove().await;
            }
        )*)*
    };
}
