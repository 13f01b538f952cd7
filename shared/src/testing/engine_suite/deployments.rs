//! Deploying, definitions, deleting both.

use super::*;
use crate::process::instance::SubscriptionKind;
use crate::store::query::{DefinitionQuery, DefinitionSort, DeploymentQuery, JobDefinitionQuery, Order};

const BY_MESSAGE: &str = r#"<startEvent id="start"><messageEventDefinition messageRef="msg"/></startEvent>
    <sequenceFlow id="f1" sourceRef="start" targetRef="first"/><userTask id="first"/>"#;

pub async fn versions_follow_each_other(store: &SqlStore) {
    let first = deploy(store, "order", TWO_TASKS).await;
    let second = deploy(store, "order", ASYNC_TASK).await;
    assert_eq!((first.version, second.version), (1, 2));
    assert!(first.id.starts_with("order:1:") && second.id.starts_with("order:2:"), "{} {}", first.id, second.id);
    assert_eq!(first.category.as_deref(), Some("suite"));
    let of_tenant = NewDeployment { tenant_id: Some("t".into()), ..deployment("d", &[("process.bpmn", bpmn("order", TWO_TASKS))]) };
    assert_eq!(store.deploy(&anyone(), of_tenant).await.expect("a deployment").definitions[0].version, 1);
    let long = deploy(store, &"k".repeat(40), TWO_TASKS).await;
    assert!(!long.id.contains(':'), "{}", long.id);
    // Jobs have definitions of their own, and the model knows their ids.
    let model = store.model(&second.id).await.expect("a read").expect("a model");
    let query = JobDefinitionQuery { process_definition_id: Some(second.id.clone()), ..JobDefinitionQuery::default() };
    let stored = store.job_definitions(&anyone(), &query, Page::default()).await.expect("a query");
    assert_eq!(stored.len(), 1);
    assert_eq!((stored[0].id.as_str(), stored[0].job_type.as_str()), (model.job_definitions[0].id.as_str(), "async-continuation"));
    assert_eq!((model.version, model.deployment_id.as_str()), (2, second.deployment_id.as_str()));
    assert_eq!(store.definition_xml(&anyone(), &first.id).await.expect("a read"), Some(bpmn("order", TWO_TASKS)));
    assert!(store.model("order:9:nope").await.expect("a read").is_none());
}

pub async fn duplicates_are_left_out(store: &SqlStore) {
    let files = |second: &str| [("a.bpmn", bpmn("a", TWO_TASKS)), ("b.bpmn", bpmn("b", second))];
    let filtered = |second: &str| NewDeployment { duplicate_filtering: true, ..deployment("d", &files(second)) };
    let first = store.deploy(&anyone(), filtered(TWO_TASKS)).await.expect("a deployment");
    let again = store.deploy(&anyone(), filtered(TWO_TASKS)).await.expect("a deployment");
    assert_eq!((again.deployment.id.as_str(), again.definitions.len()), (first.deployment.id.as_str(), 0));
    let changed = store.deploy(&anyone(), filtered(ASYNC_TASK)).await.expect("a deployment");
    assert_eq!(changed.definitions.len(), 2, "one change deploys all of it");
    let only = NewDeployment { changed_only: true, ..filtered(EXTERNAL) };
    let only = store.deploy(&anyone(), only).await.expect("a deployment");
    assert_eq!(only.definitions.iter().map(|d| (d.key.as_str(), d.version)).collect::<Vec<_>>(), [("b", 3)]);
    let resources = store.resources(&anyone(), &only.deployment.id).await.expect("a read");
    assert_eq!(resources.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["b.bpmn"]);
    let (name, bytes) = store.resource(&anyone(), &only.deployment.id, &resources[0].id).await.expect("a read").expect("a resource");
    assert_eq!((name.as_str(), bytes), ("b.bpmn", bpmn("b", EXTERNAL).into_bytes()));
    assert_eq!(store.count_deployments(&anyone(), &DeploymentQuery::default()).await.expect("a count"), 3);
}

pub async fn start_events_move_to_the_latest(store: &SqlStore) {
    let first = deploy(store, "m", BY_MESSAGE).await;
    let second = deploy(store, "m", BY_MESSAGE).await;
    let waiting = || async {
        let waiting = store.waiting_for(&anyone(), SubscriptionKind::Message, "go", 10).await.expect("a query");
        waiting.into_iter().map(|(owner, _)| owner).collect::<Vec<_>>()
    };
    assert_eq!(waiting().await, std::slice::from_ref(&second.id));
    let query = DefinitionQuery { message_event_subscription_name: Some("go".into()), ..DefinitionQuery::default() };
    assert_eq!(store.count_definitions(&anyone(), &query).await.expect("a count"), 1);
    let other = deployment("other", &[("process.bpmn", bpmn("other", BY_MESSAGE))]);
    let taken = refusal(store.deploy(&anyone(), other).await);
    assert!(taken.message.contains("there already is a message event subscription"), "{taken}");
    assert!(store.delete_definition(&anyone(), &second.id, false).await.expect("a deletion"));
    assert_eq!(waiting().await, [first.id]);
}

pub async fn definitions_are_found(store: &SqlStore) {
    for _ in 0..3 {
        deploy(store, "order", TWO_TASKS).await;
    }
    deploy(store, "Order_b", TWO_TASKS).await;
    let versions = |query: DefinitionQuery, sort: Vec<(DefinitionSort, Order)>, page: Page| async move {
        let found = store.definitions(&anyone(), &query, &sort, page).await.expect("a query");
        assert!(page.max.is_some() || store.count_definitions(&anyone(), &query).await.expect("a count") == found.len() as u64);
        found.into_iter().map(|d| (d.key, d.version)).collect::<Vec<_>>()
    };
    let like = |pattern: &str| DefinitionQuery { key_like: Some(pattern.into()), ..DefinitionQuery::default() };
    let order = |version| ("order".to_owned(), version);
    let descending = vec![(DefinitionSort::Version, Order::Descending)];
    assert_eq!(versions(like("order"), descending.clone(), Page::default()).await, [order(3), order(2), order(1)]);
    assert_eq!(versions(like("o%"), descending, Page { first: 1, max: Some(1) }).await, [order(2)]);
    assert_eq!(versions(like("Order\\_b"), vec![], Page::default()).await, [("Order_b".to_owned(), 1)]);
    assert!(versions(like("order\\"), vec![], Page::default()).await.is_empty());
    let latest = DefinitionQuery { latest: true, key: Some("order".into()), ..DefinitionQuery::default() };
    assert_eq!(versions(latest, vec![], Page::default()).await, [order(3)]);
    let deployed = DefinitionQuery { resource_name: Some("process.bpmn".into()), version: Some(1), ..DefinitionQuery::default() };
    let by_key = vec![(DefinitionSort::Key, Order::Ascending)];
    // By bytes: upper case comes first, on both databases.
    assert_eq!(versions(deployed, by_key, Page::default()).await, [("Order_b".to_owned(), 1), order(1)]);
}

pub async fn a_deployment_goes_with_its_instances(store: &SqlStore) {
    let definition = deploy(store, "order", TWO_TASKS).await;
    let ended = start(store, &definition.id, vec![]).await.instance_id;
    complete(store, &ended).await;
    complete(store, &ended).await;
    let running = start(store, &definition.id, vec![("x".into(), TypedValue::integer(1))]).await.instance_id;
    let refused = refusal(store.delete_deployment(&anyone(), &definition.deployment_id, false).await);
    assert_eq!(
        refused.message,
        format!(
            "ENGINE-03076 Deletion of process definition without cascading failed. Process definition with id: {} can't be deleted, because there are 1 dependent process instances.",
            definition.id
        )
    );
    assert!(store.delete_deployment(&anyone(), &definition.deployment_id, true).await.expect("a deletion"));
    assert!(store.instance(&anyone(), &running).await.expect("a read").is_none());
    assert!(history(store, HistoryKind::Instance, &ended).await.is_empty());
    assert!(history(store, HistoryKind::Activity, &ended).await.is_empty());
    assert!(store.model(&definition.id).await.expect("a read").is_none(), "also one that was cached");
    assert!(!store.delete_deployment(&anyone(), &definition.deployment_id, true).await.expect("a deletion"));
}
