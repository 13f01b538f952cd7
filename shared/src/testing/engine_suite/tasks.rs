//! Tasks of no instance: subtasks of an instance's task, and tasks of their own.

use super::{TWO_TASKS, anyone, complete, deploy, document, history, of_tenant, refusal, start};
use crate::process::history::Closed;
use crate::process::instance::Task;
use crate::process::value::TypedValue;
use crate::runner::Command;
use crate::runner::command::{TaskChange, VariableScope};
use crate::runner::standalone::StandaloneTask;
use crate::store::query::HistoryKind;
use crate::store::sql::SqlStore;
use crate::store::{Caller, EngineStore, Error};

fn task(id: &str, parent: Option<&str>) -> StandaloneTask {
    let task = Task { id: id.to_owned(), parent_task: parent.map(str::to_owned), priority: 50, ..Task::default() };
    StandaloneTask { task, ..StandaloneTask::default() }
}

async fn made(store: &SqlStore, id: &str, parent: Option<&str>) {
    store.create_standalone_task(&anyone(), task(id, parent)).await.expect("a task");
}

async fn there(store: &SqlStore) -> Vec<String> {
    let page = store.standalone_tasks(&anyone(), None, 500).await.expect("tasks");
    page.into_iter().map(|t| t.task.id).collect()
}

fn delete() -> Command {
    Command::Delete { reason: None, skip_custom_listeners: false, skip_io_mappings: false }
}

/// The reason with which a task is in the history of what belongs to no instance.
async fn reason(store: &SqlStore, id: &str) -> Option<String> {
    let rows = history(store, HistoryKind::Task, "").await;
    rows.into_iter().find_map(|row| match row.closed {
        Closed::Task { record, delete_reason, .. } if record.id == id => delete_reason,
        _ => None,
    })
}

pub async fn subtasks_end_with_their_task(store: &SqlStore) {
    let definition = deploy(store, "tasks", TWO_TASKS).await.id;
    let instance = start(store, &definition, vec![]).await.instance_id;
    let first = document(store, &instance).await.instance.tasks[0].id.clone();
    made(store, "a", Some(&first)).await;
    made(store, "b", Some("a")).await;
    made(store, "alone", None).await;
    assert_eq!(there(store).await, ["a", "alone", "b"]);
    complete(store, &instance).await;
    assert_eq!(there(store).await, ["alone"]);
    assert_eq!(reason(store, "b").await.as_deref(), Some("completed"));

    let second = document(store, &instance).await.instance.tasks[0].id.clone();
    made(store, "c", Some(&second)).await;
    store.command(&anyone(), &instance, delete()).await.expect("a deletion");
    assert_eq!(there(store).await, ["alone"]);

    let instance = start(store, &definition, vec![]).await.instance_id;
    let first = document(store, &instance).await.instance.tasks[0].id.clone();
    made(store, "d", Some(&first)).await;
    made(store, "e", Some("d")).await;
    store.delete_definition(&anyone(), &definition, true).await.expect("a deletion");
    assert_eq!(there(store).await, ["alone"]);
}

pub async fn a_task_of_its_own_lives_and_ends(store: &SqlStore) {
    made(store, "t", None).await;
    made(store, "below", Some("t")).await;
    let who = anyone();
    let command = |command| store.command_standalone_task(&who, "t", command);
    let change =
        TaskChange { assignee: Some(Some("mary".into())), delegation_state: Some(Some("PENDING".into())), ..TaskChange::default() };
    command(Command::UpdateTask { task_id: "t".into(), change }).await.expect("a change").expect("a task");
    let scope = VariableScope::Task("t".into());
    let variables = vec![("v".to_owned(), TypedValue::integer(1)), ("w".to_owned(), TypedValue::integer(2))];
    command(Command::SetVariables { scope: scope.clone(), variables, local: true }).await.expect("a change").expect("a task");
    command(Command::RemoveVariables { scope, names: vec!["w".into()], local: true }).await.expect("a change").expect("a task");
    let read = store.standalone_task(&anyone(), "t").await.expect("a read").expect("a task");
    assert_eq!(read.task.assignee.as_deref(), Some("mary"));
    assert_eq!(read.variables.iter().map(|v| v.name.as_str()).collect::<Vec<_>>(), ["v"]);

    let done = || Command::CompleteTask { task_id: "t".into(), variables: vec![] };
    assert!(refusal(command(done()).await).message.contains("resolved"));
    let change = TaskChange { delegation_state: Some(None), ..TaskChange::default() };
    command(Command::UpdateTask { task_id: "t".into(), change }).await.expect("a change").expect("a task");
    command(done()).await.expect("a completion").expect("a task");
    assert_eq!(there(store).await, Vec::<String>::new());
    assert_eq!(reason(store, "below").await.as_deref(), Some("completed"));
    assert!(command(done()).await.expect("an answer").is_none());

    made(store, "u", None).await;
    store.command_standalone_task(&who, "u", delete()).await.expect("a deletion").expect("a task");
    assert_eq!(reason(store, "u").await.as_deref(), Some("deleted"));
}

async fn make(store: &SqlStore, caller: &Caller, new: StandaloneTask) -> Result<(), Error> {
    store.create_standalone_task(caller, new).await
}

pub async fn who_may_make_a_task(store: &SqlStore) {
    let definition = deploy(store, "tasks", TWO_TASKS).await.id;
    let instance = start(store, &definition, vec![]).await.instance_id;
    let first = document(store, &instance).await.instance.tasks[0].id.clone();
    assert_eq!(refusal(make(store, &anyone(), task("x", Some("nope"))).await).kind, "NotValidException");
    made(store, "x", None).await;
    for taken in ["x", &first] {
        assert_eq!(refusal(make(store, &anyone(), task(taken, None)).await).kind, "BadUserRequestException");
    }
    let of = |tenant: &str, id, parent| StandaloneTask { tenant_id: Some(tenant.to_owned()), ..task(id, parent) };
    make(store, &of_tenant("a"), of("a", "of-a", None)).await.expect("a task");
    assert!(matches!(make(store, &of_tenant("b"), of("a", "y", None)).await, Err(Error::Forbidden(_))));
    assert_eq!(refusal(make(store, &of_tenant("b"), task("y", Some("of-a"))).await).kind, "NotValidException");
    assert!(refusal(make(store, &anyone(), of("b", "y", Some("of-a"))).await).message.starts_with("ENGINE-03073"));
    make(store, &anyone(), task("below-a", Some("of-a"))).await.expect("a task");
    assert!(store.standalone_task(&of_tenant("b"), "below-a").await.expect("a read").is_none());
    assert!(store.standalone_task(&of_tenant("a"), "below-a").await.expect("a read").is_some());
    assert!(store.command_standalone_task(&of_tenant("b"), "of-a", delete()).await.expect("an answer").is_none());

    store.set_instance_suspended(&anyone(), &instance, true).await.expect("a suspension");
    assert_eq!(refusal(make(store, &anyone(), task("z", Some(&first))).await).kind, "SuspendedEntityInteractionException");
}
