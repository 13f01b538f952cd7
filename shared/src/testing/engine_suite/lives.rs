//! Starting, commanding, ending, suspending instances.

use super::*;
use crate::id;
use crate::runner::command::VariableScope;

pub async fn an_instance_lives_and_ends(store: &SqlStore) {
    let definition = deploy(store, "order", TWO_TASKS).await;
    let new = new_instance(&definition.id, Some("bk"), vec![("x".into(), TypedValue::string("a"))]);
    let started = store.start(&Caller { user: Some("anna".into()), ..anyone() }, new).await.expect("a start");
    let view = started.instance.expect("a view");
    assert_eq!(
        (view.definition_key.as_str(), view.business_key.as_deref(), view.root_instance.as_str()),
        ("order", Some("bk"), view.id.as_str())
    );
    assert_eq!(id::split(&view.id), Some((view.id.clone(), 0)));
    let stored = document(store, &view.id).await;
    assert_eq!((stored.revision, stored.instance.start_user.as_deref()), (1, Some("anna")));
    assert!(stored.instance.tasks.iter().all(|task| id::base_of(&task.id) == view.id), "a task's id tells its instance");
    derived_rows_agree(store).await;
    let outcome = complete(store, &view.id).await;
    assert!(outcome.instance.is_some());
    assert_eq!(document(store, &view.id).await.instance.tasks[0].task_definition_key, "second");
    assert!(complete(store, &view.id).await.instance.is_none(), "it has ended");
    assert!(store.instance(&anyone(), &view.id).await.expect("a read").is_none());
    assert_eq!(history(store, HistoryKind::Instance, &view.id).await[0].business_key.as_deref(), Some("bk"));
}

pub async fn many_start_at_once(store: &SqlStore) {
    let definition = deploy(store, "order", TWO_TASKS).await;
    let new = (0..1_001).map(|n| new_instance(&definition.id, Some(&format!("k{n}")), vec![])).collect();
    let ids = store.start_many(&anyone(), new).await.expect("a start");
    assert_eq!(ids.len(), 1_001);
    assert_eq!(store.count_instances(&anyone(), &of_definition(&definition.id)).await.expect("a count"), 1_001);
    assert_eq!(document(store, &ids[777]).await.instance.business_key.as_deref(), Some("k777"));
}

pub async fn an_unknown_one_is_none(store: &SqlStore) {
    let nobody = id::new_base();
    let delete = Command::Delete { reason: None, skip_custom_listeners: false, skip_io_mappings: false };
    assert!(store.command(&anyone(), &nobody, delete).await.expect("a command").is_none());
    assert!(!store.set_instance_suspended(&anyone(), &nobody, true).await.expect("a suspension"));
    let unknown = refusal(store.start(&anyone(), new_instance("nope", None, vec![])).await);
    assert_eq!(unknown.message, "no deployed process definition found with id 'nope': processDefinition is null");
}

pub async fn suspension(store: &SqlStore) {
    let definition = deploy(store, "order", TWO_TASKS).await;
    let one = start(store, &definition.id, vec![]).await.instance_id;
    let other = start(store, &definition.id, vec![]).await.instance_id;
    assert!(store.set_instance_suspended(&anyone(), &one, true).await.expect("a suspension"));
    let suspended = |suspended| InstanceQuery { suspended: Some(suspended), ..InstanceQuery::default() };
    assert_eq!(found(store, &suspended(true)).await, std::slice::from_ref(&one));
    assert!(document(store, &one).await.instance.suspended);
    // A command keeps the column as it is.
    let set = Command::SetVariables { scope: VariableScope::Execution(one.clone()), variables: vec![], local: false };
    store.command(&anyone(), &one, set).await.expect("a command");
    assert!(document(store, &one).await.instance.suspended);
    assert!(store.set_definition_suspended_state(&anyone(), &definition.id, true, false).await.expect("a suspension"));
    assert_eq!(found(store, &suspended(false)).await, std::slice::from_ref(&other), "instances are left alone");
    let refused = refusal(store.start(&anyone(), new_instance(&definition.id, None, vec![])).await);
    assert_eq!(refused.message, format!("ENGINE-03043 Process Definition with id '{}' is suspended.", definition.id));
    assert!(store.set_definition_suspended_state(&anyone(), &definition.id, true, true).await.expect("a suspension"));
    assert!(found(store, &suspended(false)).await.is_empty());
    assert!(store.set_definition_suspended_state(&anyone(), &definition.id, false, true).await.expect("an activation"));
    assert_eq!(found(store, &suspended(false)).await.len(), 2);
    assert!(!store.set_definition_suspended_state(&anyone(), "nope", true, false).await.expect("no definition"));
}
