//! Closed history.

use super::*;
use crate::process::history::{Closed, InstanceEnd};

pub async fn what_closed_is_kept(store: &SqlStore) {
    let definition = deploy(store, "order", TWO_TASKS).await;
    let new = new_instance(&definition.id, Some("bk"), vec![("x".into(), TypedValue::integer(1))]);
    let id = store.start(&Caller { user: Some("anna".into()), ..anyone() }, new).await.expect("a start").instance_id;
    assert!(history(store, HistoryKind::Task, &id).await.is_empty(), "what is open is in the document");
    complete(store, &id).await;
    complete(store, &id).await;
    let tasks = history(store, HistoryKind::Task, &id).await;
    let keys = tasks.iter().map(|row| match &row.closed {
        Closed::Task { record, .. } => record.task_definition_key.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(keys.collect::<Vec<_>>(), ["first", "second"]);
    let ended = history(store, HistoryKind::Instance, &id).await.remove(0);
    assert!(matches!(ended.closed, Closed::Instance { state: InstanceEnd::Completed, .. }), "{:?}", ended.closed);
    assert_eq!(
        (ended.definition_key.as_str(), ended.start_user.as_deref(), ended.root_instance.as_str()),
        ("order", Some("anna"), id.as_str())
    );
    assert_eq!(history(store, HistoryKind::Variable, &id).await.len(), 1);
    let by_definition = HistoryQuery {
        kind: HistoryKind::Activity,
        instance_id: None,
        definition_id: Some(definition.id.clone()),
        definition_key: Some("order".into()),
        id: None,
        tenants: TenantFilter::default(),
    };
    let all = store.history(&anyone(), &by_definition, Page::default()).await.expect("history");
    assert_eq!(store.count_history(&anyone(), &by_definition).await.expect("a count"), all.len() as u64);
    let page = store.history(&anyone(), &by_definition, Page { first: 1, max: Some(2) }).await.expect("history");
    assert_eq!(page.iter().map(|row| &row.closed).collect::<Vec<_>>(), all[1..3].iter().map(|row| &row.closed).collect::<Vec<_>>());
}
