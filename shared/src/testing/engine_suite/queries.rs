//! Queries on instances: what SQL narrows and what the pure predicate says is one thing.

use super::*;
use crate::process::instance::SubscriptionKind;
use crate::store::predicate::{Criteria, Subject};
use crate::store::query::{InstanceSort, Operator, Order, VariableFilter};

fn by_variable(name: &str, operator: Operator, value: TypedValue) -> InstanceQuery {
    InstanceQuery { variables: vec![VariableFilter { name: name.into(), operator, value }], ..InstanceQuery::default() }
}

/// Many questions; each finds something but not all, or is there for its odd form.
fn questions(ids: &[String]) -> Vec<InstanceQuery> {
    let q = InstanceQuery::default;
    let text = |s: &str| Some(s.to_owned());
    let mut all = vec![
        q(),
        InstanceQuery { ids: Some(vec![ids[0].clone(), "nope".into()]), ..q() },
        InstanceQuery { ids: Some(vec![]), ..q() },
        InstanceQuery { business_key: text("a_1"), ..q() },
        InstanceQuery { business_key_like: text("a\\_%"), ..q() },
        InstanceQuery { business_key_like: text("A%"), ..q() },
        InstanceQuery { business_key_like: text("%[1]"), ..q() },
        InstanceQuery { definition_key_in: Some(vec!["two".into(), "none".into()]), ..q() },
        InstanceQuery { definition_key_not_in: Some(vec!["two".into()]), ..q() },
        InstanceQuery { case: text("c"), ..q() },
        InstanceQuery { suspended: Some(true), ..q() },
        InstanceQuery { with_incident: true, ..q() },
        InstanceQuery { incident_message_like: text("%missing%"), incident_type: text("failedJob"), ..q() },
        InstanceQuery { incident_type: text("other"), ..q() },
        InstanceQuery { activity_id_in: Some(vec!["second".into(), "fails".into()]), ..q() },
        InstanceQuery { activity_id_in: Some(vec!["sec\"ond".into()]), ..q() },
        InstanceQuery { root_only: true, leaf_only: true, definition_without_tenant: true, ..q() },
        InstanceQuery { root_instance: Some(ids[1].clone()), ..q() },
        InstanceQuery { names_ignore_case: true, ..by_variable("S", Operator::Equal, TypedValue::string("Beta")) },
        InstanceQuery { values_ignore_case: true, ..by_variable("s", Operator::Like, TypedValue::string("bE%")) },
        by_variable("d", Operator::Greater, TypedValue::new("Date", "2030-01-01T00:30:00.000+0100".into())),
    ];
    let value = |n: i64| TypedValue::new("Long", n.into());
    for operator in [
        Operator::Equal,
        Operator::NotEqual,
        Operator::Greater,
        Operator::GreaterOrEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Like,
        Operator::NotLike,
    ] {
        all.push(by_variable("n", operator, value(1)));
        all.push(by_variable("s", operator, TypedValue::string("Beta")));
        all.push(by_variable("b", operator, TypedValue::boolean(true)));
    }
    all.push(by_variable("z", Operator::Equal, TypedValue::null()));
    all.push(by_variable("s", Operator::NotEqual, TypedValue::null()));
    let either = vec![
        InstanceQuery { business_key: text("a_1"), activity_id_in: Some(vec!["second".into()]), ..q() },
        InstanceQuery { with_incident: true, ..by_variable("n", Operator::GreaterOrEqual, value(1)) },
        InstanceQuery::default(),
    ];
    all.push(InstanceQuery { or_queries: either, with_incident: true, ..q() });
    all
}

/// Instances of three definitions in many states.
async fn population(store: &SqlStore) -> Vec<String> {
    let two = deploy(store, "two", TWO_TASKS).await.id;
    let waits = deploy(store, "waits", ASYNC_TASK).await.id;
    let fails = deploy(store, "failing", FAILING).await.id;
    let mut ids = vec![];
    for (n, definition) in [&two, &two, &two, &waits, &fails, &fails].into_iter().enumerate() {
        let mut variables = vec![
            ("n".to_owned(), TypedValue::new(if n % 2 == 0 { "Integer" } else { "Double" }, (n as i64).into())),
            ("b".to_owned(), TypedValue::boolean(n == 2)),
            ("s".to_owned(), TypedValue::string(["Beta", "beta", "alpha", "", "Be%ta", "Gamma"][n])),
            ("d".to_owned(), TypedValue::new("Date", format!("203{n}-01-01T00:00:00.000+0000").into())),
        ];
        if n == 3 {
            variables.push(("z".to_owned(), TypedValue::null()));
            variables[2].1 = TypedValue::null();
        }
        let key = ["a_1", "ab1", "A_1", "x[1]", "y", ""][n];
        let started = store.start(&anyone(), new_instance(definition, Some(key), variables)).await.expect("a start");
        ids.push(started.instance_id);
    }
    complete(store, &ids[1]).await;
    for _ in 0..3 {
        store.run_due_job(&ids[4]).await.expect("a run");
    }
    store.set_instance_suspended(&anyone(), &ids[2], true).await.expect("a suspension");
    ids
}

pub async fn what_sql_finds_the_documents_say_too(store: &SqlStore) {
    let ids = population(store).await;
    let all = store.documents(&anyone(), &InstanceQuery::default(), None, 500).await.expect("documents");
    assert_eq!(all.len(), ids.len());
    for query in questions(&ids) {
        let criteria = Criteria::of(&query);
        let holds = |stored: &&StoredInstance| {
            let subject =
                Subject { instance: &stored.instance, definition_key: &stored.definition_key, deployment_id: "", definition_tenant: None };
            criteria.hold(&subject)
        };
        let expected: Vec<String> = all.iter().filter(holds).map(|stored| stored.instance.id.clone()).collect();
        assert_eq!(found(store, &query).await, expected, "{query:?}");
        assert_eq!(store.count_instances(&anyone(), &query).await.expect("a count"), expected.len() as u64, "{query:?}");
        let documents = store.documents(&anyone(), &query, None, 500).await.expect("documents");
        assert_eq!(documents.into_iter().map(|d| d.instance.id).collect::<Vec<_>>(), expected, "{query:?}");
    }
    let deployment = store.definitions(&anyone(), &Default::default(), &[], Page::default()).await.expect("a query").remove(0);
    let of_deployment = InstanceQuery { deployment_id: Some(deployment.deployment_id), ..InstanceQuery::default() };
    assert_eq!(found(store, &of_deployment).await, found(store, &of_definition(&deployment.id)).await);
}

pub async fn pages_and_order(store: &SqlStore) {
    let definition = deploy(store, "order", TWO_TASKS).await;
    let keys = [Some("b"), None, Some("B"), Some("c"), Some("a")];
    let new = keys.iter().map(|key| new_instance(&definition.id, *key, vec![])).collect();
    let mut ids = store.start_many(&anyone(), new).await.expect("a start");
    ids.sort();
    let by_column = of_definition(&definition.id);
    let by_document = InstanceQuery { activity_id_in: Some(vec!["first".into()]), ..by_column.clone() };
    for query in [by_column, by_document] {
        let page = |sort: Vec<(InstanceSort, Order)>, first, max| {
            let query = query.clone();
            async move { store.instances(&anyone(), &query, &sort, Page { first, max }).await.expect("a query") }
        };
        let keys = |views: Vec<crate::store::views::InstanceView>| views.into_iter().map(|v| v.business_key).collect::<Vec<_>>();
        let some = |key: &str| Some(key.to_owned());
        let sorted = page(vec![(InstanceSort::BusinessKey, Order::Ascending)], 0, None).await;
        assert_eq!(keys(sorted), [some("B"), some("a"), some("b"), some("c"), None]);
        let slice = page(vec![(InstanceSort::BusinessKey, Order::Descending)], 1, Some(2)).await;
        assert_eq!(keys(slice), [some("c"), some("b")]);
        assert_eq!(page(vec![], 3, Some(1)).await[0].id, ids[3]);
        assert!(page(vec![], 5, None).await.is_empty() && page(vec![], 0, Some(0)).await.is_empty());
        let after = store.documents(&anyone(), &query, Some(&ids[1]), 2).await.expect("documents");
        assert_eq!(after.into_iter().map(|d| d.instance.id).collect::<Vec<_>>(), ids[2..4]);
    }
}

pub async fn waiting_for_a_signal(store: &SqlStore) {
    let definition = deploy(store, "receives", RECEIVES).await;
    let id = start(store, &definition.id, vec![]).await.instance_id;
    let subscription = document(store, &id).await.instance.subscriptions[0].id.clone();
    let waiting = |kind| async move { store.waiting_for(&anyone(), kind, "all", 10).await.expect("a query") };
    assert_eq!(waiting(SubscriptionKind::Signal).await, [(id.clone(), subscription.clone())]);
    assert!(waiting(SubscriptionKind::Message).await.is_empty());
    let deliver = Command::Deliver { subscription_id: subscription, variables: vec![], local_variables: vec![] };
    store.command(&anyone(), &id, deliver).await.expect("a command");
    assert!(waiting(SubscriptionKind::Signal).await.is_empty());
}
