//! What a later program wrote into a document is kept by this one; a document of a later version is refused and not lost.

use std::sync::Arc;

use serde_json::{Value, json};
use shared::batch::BatchConfiguration;
use shared::job::WorkRef;
use shared::migration::{MigrationInstruction, MigrationPlan, Skip};
use shared::process::instance::DOCUMENT_VERSION;
use shared::process::stored;
use shared::process::value::TypedValue;
use shared::queue::MemoryQueue;
use shared::runner::Command;
use shared::runner::command::{TaskChange, VariableScope};
use shared::store::query::{BatchQuery, InstanceQuery};
use shared::store::{Caller, EngineStore, Store};
use shared::testing::database::{Raw, TestDatabase};
use shared::testing::engine_suite::{anyone, deploy, start};
use shared::testing::store_suite::{self, Herder, herd, new_batch, submit};
use shared::work::Steps;

use crate::works;

/// All that a document may hold at once: a task with a timer, an external task, a message, a variable, an incident.
const EVERYTHING: &str = r#"<startEvent id="start"/><sequenceFlow id="f0" sourceRef="start" targetRef="fork"/><parallelGateway id="fork"/>
    <sequenceFlow id="f1" sourceRef="fork" targetRef="user"/><userTask id="user"/>
    <boundaryEvent id="late" attachedToRef="user"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></boundaryEvent>
    <sequenceFlow id="f2" sourceRef="fork" targetRef="outside"/><serviceTask id="outside" camunda:type="external" camunda:topic="work"/>
    <sequenceFlow id="f3" sourceRef="fork" targetRef="message"/>
    <intermediateCatchEvent id="message"><messageEventDefinition messageRef="msg"/></intermediateCatchEvent>"#;
/// The lists of a document.
const LISTS: [&str; 8] = ["executions", "tasks", "externalTasks", "jobs", "subscriptions", "variables", "incidents", "open"];

async fn stored(raw: &mut Raw, id: &str) -> Value {
    let state = raw.texts(&format!("SELECT state FROM process_instance WHERE id = '{id}'")).await;
    serde_json::from_str(&state[0]).unwrap()
}

async fn store_again(raw: &mut Raw, id: &str, document: &Value) {
    let text = document.to_string().replace('\'', "''");
    raw.execute(&format!("UPDATE process_instance SET state = '{text}' WHERE id = '{id}'")).await;
}

/// Writes what a later program would, at every level; gives the ids of what carries it.
fn mark(document: &mut Value) -> Vec<(&'static str, String)> {
    document["later"] = json!({"of": "the instance"});
    let mut marked = vec![];
    for list in LISTS {
        let entries = document[list].as_array_mut().unwrap_or_else(|| panic!("no {list}"));
        assert!(!entries.is_empty(), "no {list}");
        for entry in entries {
            let id = entry["id"].as_str().unwrap().to_owned();
            entry["later"] = json!({"of": id, "list": [1, null]});
            marked.push((list, id));
        }
    }
    marked
}

fn assert_kept(document: &Value, marked: &[(&'static str, String)], after: &str) {
    assert_eq!(document["later"], json!({"of": "the instance"}), "{after}");
    for (list, id) in marked {
        let entry = document[list].as_array().unwrap().iter().find(|entry| entry["id"] == **id);
        let entry = entry.unwrap_or_else(|| panic!("{after}: {list} has lost {id}"));
        assert_eq!(entry["later"], json!({"of": id, "list": [1, null]}), "{after}: {list}");
    }
}

async fn what_is_not_known_is_kept(database: TestDatabase) {
    let store = &database.store;
    let (v1, v2) = (deploy(store, "later", EVERYTHING).await, deploy(store, "later", EVERYTHING).await);
    let id = start(store, &v1.id, vec![("x".to_owned(), TypedValue::integer(1))]).await.instance_id;
    let ann = Caller { user: Some("ann".into()), ..anyone() };
    let command = |command| store.command(&ann, &id, command);
    let born = store.instance(&anyone(), &id).await.unwrap().unwrap().instance;
    let incident = Command::CreateIncident {
        execution_id: born.tasks[0].execution_id.clone(),
        incident_type: "odd".into(),
        configuration: None,
        message: None,
    };
    command(incident).await.unwrap();
    let mut raw = Raw::connect(&database.url).await;
    let mut document = stored(&mut raw, &id).await;
    let marked = mark(&mut document);
    store_again(&mut raw, &id, &document).await;

    let read = store.instance(&anyone(), &id).await.unwrap().unwrap().instance;
    let again: Value = serde_json::from_str(&stored::write(&read).unwrap()).unwrap();
    assert_eq!(again, document, "nothing is lost, added or changed by reading");

    let scope = VariableScope::Execution(id.clone());
    let variables = vec![("x".to_owned(), TypedValue::integer(2)), ("y".to_owned(), TypedValue::integer(3))];
    command(Command::SetVariables { scope, variables, local: true }).await.unwrap();
    let change = TaskChange { assignee: Some(Some("ann".into())), ..TaskChange::default() };
    command(Command::UpdateTask { task_id: read.tasks[0].id.clone(), change }).await.unwrap();
    let document = stored(&mut raw, &id).await;
    assert_eq!(document["tasks"][0]["assignee"], "ann");
    assert_kept(&document, &marked, "commands");

    let plan = MigrationPlan {
        source_definition_id: v1.id.clone(),
        target_definition_id: v2.id.clone(),
        instructions: ["user", "late", "outside", "message"].iter().map(|a| MigrationInstruction::new(*a, *a, false)).collect(),
        variables: None,
    };
    let batch = shared::batch::NewBatch {
        configuration: BatchConfiguration::Migration { plan, skip: Skip::default() },
        deployment_id: None,
        ..new_batch(100, 1)
    };
    let batch = submit(&database, batch, std::slice::from_ref(&id)).await.id;
    let steps = Steps::new(store.clone(), Arc::new(MemoryQueue::new(100)));
    steps.seed(&batch).await.unwrap();
    let done = steps.execute(vec![WorkRef::new(batch, 2)]).await.unwrap();
    assert_eq!(done.succeeded_instances, 1, "{done:?}");
    assert_kept(&stored(&mut raw, &id).await, &marked, "a migration");
    assert_eq!(store.instance(&anyone(), &id).await.unwrap().unwrap().instance.definition_id, v2.id);
    drop(raw);
    database.remove().await;
}

async fn a_document_of_the_first_version_is_read_and_written_as_this_one(database: TestDatabase) {
    let store = &database.store;
    let definition = deploy(store, "early", EVERYTHING).await;
    let id = start(store, &definition.id, vec![("x".to_owned(), TypedValue::string("~0 ~!"))]).await.instance_id;
    let born = store.instance(&anyone(), &id).await.unwrap().unwrap().instance;
    let mut raw = Raw::connect(&database.url).await;
    let mut early = serde_json::to_value(&born).unwrap();
    early["v"] = json!(1);
    store_again(&mut raw, &id, &early).await;

    assert_eq!(store.instance(&anyone(), &id).await.unwrap().unwrap().instance, born);
    let at = |activity: &str| InstanceQuery { activity_id_in: Some(vec![activity.to_owned()]), ..InstanceQuery::default() };
    let count = async |activity| store.count_instances(&anyone(), &at(activity)).await.unwrap();
    assert_eq!((count("user").await, count("elsewhere").await), (1, 0), "it is found by what its text names");
    let change = TaskChange { assignee: Some(Some("ann".into())), ..TaskChange::default() };
    let task_id = born.tasks[0].id.clone();
    store.command(&anyone(), &id, Command::UpdateTask { task_id, change }).await.unwrap();
    let document = stored(&mut raw, &id).await;
    assert_eq!((&document["v"], &document["id"], &document["definitionId"]), (&json!(DOCUMENT_VERSION), &json!("~0"), &json!("~!")));
    let read = store.instance(&anyone(), &id).await.unwrap().unwrap().instance;
    assert_eq!((read.variables, read.tasks[0].assignee.as_deref()), (born.variables, Some("ann")));
    drop(raw);
    database.remove().await;
}

async fn a_later_document_is_refused_by_name_and_its_job_is_not_lost(database: TestDatabase) {
    let ids = herd(&database, 3).await;
    let batch = submit(&database, new_batch(100, 1), &ids).await.id;
    let store: Arc<dyn Store> = database.store.clone();
    let steps = Steps { decide: Arc::new(Herder::default()), ..Steps::new(store.clone(), Arc::new(MemoryQueue::new(100))) };
    steps.seed(&batch).await.unwrap();
    let mut raw = Raw::connect(&database.url).await;
    let later = &ids[1];
    let mut document = stored(&mut raw, later).await;
    document["v"] = json!(DOCUMENT_VERSION + 1);
    document["later"] = json!("kept");
    store_again(&mut raw, later, &document).await;

    let error = store.instance(&anyone(), later).await.unwrap_err().to_string();
    assert!(error.contains(later) && error.contains("is newer than this program's"), "{error}");
    let (mut migrated, mut failed) = (0, vec![]);
    for _ in 0..10 {
        let done = steps.execute(works(&mut raw, &batch).await).await.unwrap();
        migrated += done.succeeded_instances;
        failed.extend(done.failed);
    }
    assert_eq!((migrated, failed.len()), (2, 3), "its neighbours are migrated, it has three attempts: {failed:?}");
    let (culprit, failure) = failed.remove(0);
    assert!(failure.message.contains(later) && failure.message.contains("is newer than this program's"), "{failure:?}");
    let job = store_suite::job(&database, &batch, culprit.number).await;
    assert_eq!(job.retries, 0, "{job:?}");
    assert_eq!(stored(&mut raw, later).await, document, "not touched");

    // A later program comes, and a person tries it again.
    document["v"] = json!(DOCUMENT_VERSION);
    store_again(&mut raw, later, &document).await;
    store.set_batch_job_retries(&Caller::anonymous(), &culprit, 1, None).await.unwrap().unwrap();
    assert_eq!(steps.execute(vec![culprit]).await.unwrap().succeeded_instances, 1);
    steps.monitor(&batch).await.unwrap();
    assert_eq!(store.count_batches(&Caller::anonymous(), &BatchQuery::default()).await.unwrap(), 0, "the batch is complete");
    assert_eq!(stored(&mut raw, later).await["later"], "kept");
    drop(raw);
    database.remove().await;
}

mod sqlite {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_not_known_is_kept() {
        super::what_is_not_known_is_kept(TestDatabase::sqlite().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_later_document_is_refused_by_name_and_its_job_is_not_lost() {
        super::a_later_document_is_refused_by_name_and_its_job_is_not_lost(TestDatabase::sqlite().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_document_of_the_first_version_is_read_and_written_as_this_one() {
        super::a_document_of_the_first_version_is_read_and_written_as_this_one(TestDatabase::sqlite().await).await;
    }
}

mod postgres {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_not_known_is_kept() {
        super::what_is_not_known_is_kept(TestDatabase::postgres().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_later_document_is_refused_by_name_and_its_job_is_not_lost() {
        super::a_later_document_is_refused_by_name_and_its_job_is_not_lost(TestDatabase::postgres().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_document_of_the_first_version_is_read_and_written_as_this_one() {
        super::a_document_of_the_first_version_is_read_and_written_as_this_one(TestDatabase::postgres().await).await;
    }
}
