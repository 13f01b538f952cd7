//! Commands that reach other instances, in one transaction.

use super::*;
use crate::process::instance::SubscriptionKind;

const CALLS: &str = r#"<startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="call"/>
    <callActivity id="call" calledElement="called"/><sequenceFlow id="f2" sourceRef="call" targetRef="after"/>
    <userTask id="after"/><sequenceFlow id="f3" sourceRef="after" targetRef="end"/><endEvent id="end"/>"#;
const THROWS: &str = r#"<startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="before"/>
    <userTask id="before"/><sequenceFlow id="f2" sourceRef="before" targetRef="throw"/>
    <intermediateThrowEvent id="throw"><signalEventDefinition signalRef="sig"/></intermediateThrowEvent>
    <sequenceFlow id="f3" sourceRef="throw" targetRef="last"/><userTask id="last"/>"#;
const STARTS_BY_SIGNAL: &str = r#"<startEvent id="start"><signalEventDefinition signalRef="sig"/></startEvent>
    <sequenceFlow id="f1" sourceRef="start" targetRef="first"/><userTask id="first"/>"#;

/// The caller and the instance that it called.
async fn call(store: &SqlStore, called: &str) -> (String, String) {
    deploy(store, "called", called).await;
    let calls = deploy(store, "calls", CALLS).await;
    let caller = start(store, &calls.id, vec![]).await.instance_id;
    let called = found(store, &InstanceQuery { super_instance: Some(caller.clone()), ..InstanceQuery::default() }).await;
    assert_eq!(called.len(), 1);
    (caller, called[0].clone())
}

pub async fn a_call_starts_and_goes_on(store: &SqlStore) {
    let (caller, called) = call(store, TWO_TASKS).await;
    assert_eq!(document(store, &called).await.instance.root_instance.as_ref(), Some(&caller));
    let rooted = InstanceQuery { root_instance: Some(caller.clone()), ..InstanceQuery::default() };
    assert_eq!(found(store, &rooted).await.len(), 2);
    derived_rows_agree(store).await;
    complete(store, &called).await;
    complete(store, &called).await;
    assert!(store.instance(&anyone(), &called).await.expect("a read").is_none());
    assert_eq!(document(store, &caller).await.instance.tasks[0].task_definition_key, "after");
    // One that ends at once is over before its caller's command is.
    let at_once = r#"<startEvent id="start"/><sequenceFlow id="f1" sourceRef="start" targetRef="end"/><endEvent id="end"/>"#;
    deploy(store, "called", at_once).await;
    let calls = deploy(store, "calls", CALLS).await;
    let outcome = start(store, &calls.id, vec![]).await;
    assert_eq!(document(store, &outcome.instance_id).await.instance.tasks[0].task_definition_key, "after");
    let unknown = CALLS.replace("\"called\"", "\"nobody\"");
    let calls = deploy(store, "lost", &unknown).await;
    let refused = refusal(store.start(&anyone(), new_instance(&calls.id, None, vec![])).await);
    assert!(refused.message.contains("no processes deployed with key 'nobody'"), "{refused}");
    assert!(found(store, &of_definition(&calls.id)).await.is_empty(), "nothing of it is left");
}

pub async fn deleting_a_caller_deletes_the_called(store: &SqlStore) {
    let (caller, called) = call(store, TWO_TASKS).await;
    let delete = Command::Delete { reason: Some("enough".into()), skip_custom_listeners: false, skip_io_mappings: false };
    store.command(&anyone(), &caller, delete).await.expect("a deletion").expect("an instance");
    for id in [caller, called] {
        assert!(store.instance(&anyone(), &id).await.expect("a read").is_none());
        assert_eq!(history(store, HistoryKind::Instance, &id).await.len(), 1);
    }
}

pub async fn incidents_go_up(store: &SqlStore) {
    let (caller, called) = call(store, FAILING).await;
    for _ in 0..3 {
        store.run_due_job(&called).await.expect("a run");
    }
    let with_incident = InstanceQuery { with_incident: true, ..InstanceQuery::default() };
    let mut expected = vec![caller.clone(), called.clone()];
    expected.sort();
    assert_eq!(found(store, &with_incident).await, expected);
    let of_caller = document(store, &caller).await.instance.incidents.remove(0);
    assert_eq!(of_caller.root_cause_incident.as_ref(), Some(&document(store, &called).await.instance.incidents[0].id));
    let job = document(store, &called).await.instance.jobs[0].id.clone();
    let retries = Command::SetJobRetries { job_id: job, retries: 1, due: None };
    store.command(&anyone(), &called, retries).await.expect("a command");
    assert!(found(store, &with_incident).await.is_empty(), "both are resolved");
}

pub async fn a_signal_reaches_all(store: &SqlStore) {
    let receives = deploy(store, "receives", RECEIVES).await;
    let starts = deploy(store, "starts", STARTS_BY_SIGNAL).await;
    let throws = deploy(store, "throws", THROWS).await;
    let mut receivers = vec![];
    for _ in 0..3 {
        receivers.push(start(store, &receives.id, vec![]).await.instance_id);
    }
    store.set_instance_suspended(&anyone(), &receivers[2], true).await.expect("a suspension");
    let waiting = store.waiting_for(&anyone(), SubscriptionKind::Signal, "all", 10).await.expect("a query");
    assert_eq!(waiting.len(), 3, "two instances and a start event");
    let thrower = start(store, &throws.id, vec![]).await.instance_id;
    complete(store, &thrower).await;
    for receiver in &receivers[..2] {
        assert_eq!(document(store, receiver).await.instance.tasks[0].task_definition_key, "after");
    }
    assert!(document(store, &receivers[2]).await.instance.tasks.is_empty(), "a suspended one hears nothing");
    assert_eq!(found(store, &of_definition(&starts.id)).await.len(), 1);
}
