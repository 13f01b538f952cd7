//! Two tenants on one server: what waits for a message, a signal or a worker is out of the other's reach.

use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp};

/// A task, an external task, a message catch and a signal catch at once; a message and a signal start beside them.
const WAITING: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="test">
  <message id="m" name="paid"/>
  <message id="ms" name="ordered"/>
  <signal id="s" name="alarm"/>
  <process id="waiting" isExecutable="true">
    <startEvent id="start"/>
    <startEvent id="byMessage"><messageEventDefinition messageRef="ms"/></startEvent>
    <startEvent id="bySignal"><signalEventDefinition signalRef="s"/></startEvent>
    <sequenceFlow id="f0" sourceRef="start" targetRef="merge"/>
    <sequenceFlow id="f8" sourceRef="byMessage" targetRef="merge"/>
    <sequenceFlow id="f9" sourceRef="bySignal" targetRef="merge"/>
    <exclusiveGateway id="merge"/>
    <sequenceFlow id="f7" sourceRef="merge" targetRef="fork"/>
    <parallelGateway id="fork"/>
    <sequenceFlow id="f1" sourceRef="fork" targetRef="user"/>
    <sequenceFlow id="f2" sourceRef="fork" targetRef="outside"/>
    <sequenceFlow id="f3" sourceRef="fork" targetRef="message"/>
    <sequenceFlow id="f4" sourceRef="fork" targetRef="signal"/>
    <userTask id="user"/>
    <serviceTask id="outside" camunda:type="external" camunda:topic="work"/>
    <intermediateCatchEvent id="message"><messageEventDefinition messageRef="m"/></intermediateCatchEvent>
    <intermediateCatchEvent id="signal"><signalEventDefinition signalRef="s"/></intermediateCatchEvent>
  </process>
</definitions>"#;

/// Lists of running things; each has a count beside it.
const LISTS: [&str; 8] = [
    "/external-task",
    "/execution",
    "/event-subscription",
    "/variable-instance",
    "/history/variable-instance",
    "/history/detail",
    "/history/activity-instance",
    "/history/process-instance",
];

struct Waiting {
    deployment: String,
    definition: String,
    instance: String,
    task: String,
    external: String,
    execution: String,
    variable: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

async fn waiting(c: &Client, tenant: &str) -> Waiting {
    let definition = c.deploy(WAITING, Some(tenant)).await;
    let body = json!({"businessKey": "b", "variables": {"secret": {"value": "hidden"}}});
    let instance = text(&c.call(&format!("POST /process-definition/{definition}/start"), body).await.json()["id"]);
    let of = format!("processInstanceId={instance}");
    Waiting {
        deployment: text(&c.get("/deployment").await.json()[0]["id"]),
        task: text(&c.get(&format!("/task?{of}")).await.json()[0]["id"]),
        external: text(&c.get(&format!("/external-task?{of}")).await.json()[0]["id"]),
        execution: text(&c.get(&format!("/event-subscription?{of}&eventType=message")).await.json()[0]["executionId"]),
        variable: text(&c.get(&format!("/variable-instance?processInstanceIdIn={instance}")).await.json()[0]["id"]),
        definition,
        instance,
    }
}

/// All that the owner sees, as text.
async fn seen(c: &Client) -> Vec<String> {
    let mut all = vec![];
    for path in LISTS.iter().chain(&["/task", "/process-instance", "/job", "/deployment"]) {
        let mut rows: Vec<String> = c.get(path).await.json().as_array().unwrap().iter().map(Value::to_string).collect();
        rows.sort();
        all.push(format!("{path}: {rows:?}"));
    }
    for task in c.get("/task").await.json().as_array().unwrap() {
        all.push(c.get(&format!("/task/{}/identity-links", text(&task["id"]))).await.text);
    }
    all
}

/// Refused, or nothing in it.
fn shows_nothing(what: &str, reply: &Reply) {
    let empty = matches!(reply.text.as_str(), "" | "[]" | "{}" | r#"{"count":0}"#);
    assert!(reply.status >= 400 || empty, "{what} answered {} {}", reply.status, reply.text);
    assert!(!reply.text.contains("hidden"), "{what} shows {}", reply.text);
}

#[tokio::test]
async fn nothing_is_listed_or_counted_for_another() {
    let app = TestApp::new().await;
    let (one, two) = (app.of("ann", &["one"]), app.of("bob", &["two"]));
    waiting(&one, "one").await;
    for path in LISTS {
        shows_nothing(path, &two.get(path).await);
        let count = format!("{path}/count");
        shows_nothing(&count, &two.get(&count).await);
        assert!(!one.get(path).await.json().as_array().unwrap().is_empty(), "{path} has nothing to hide");
    }
}

fn requests(own: &Waiting) -> Vec<(String, Value)> {
    let Waiting { deployment, definition, instance, task, external, execution, variable } = own;
    let worker = json!({"workerId": "w"});
    let value = json!({"value": 1});
    let cancel = json!({"instructions": [{"type": "cancel", "activityId": "user"}]});
    let mut many = cancel.clone();
    many["processDefinitionId"] = json!(definition);
    many["processInstanceIds"] = json!([instance]);
    let topics = json!([{"topicName": "work", "lockDuration": 60_000}]);
    let link = json!({"userId": "bob", "type": "candidate"});
    [
        (format!("GET /external-task/{external}"), Value::Null),
        (format!("GET /external-task/{external}/errorDetails"), Value::Null),
        (format!("POST /external-task/{external}/lock"), json!({"workerId": "w", "lockDuration": 1000})),
        (format!("POST /external-task/{external}/complete"), worker),
        (format!("POST /external-task/{external}/failure"), json!({"workerId": "w", "retries": 0, "retryTimeout": 0})),
        (format!("POST /external-task/{external}/bpmnError"), json!({"workerId": "w", "errorCode": "e"})),
        (format!("POST /external-task/{external}/extendLock"), json!({"workerId": "w", "newDuration": 1000})),
        (format!("POST /external-task/{external}/unlock"), Value::Null),
        (format!("PUT /external-task/{external}/retries"), json!({"retries": 0})),
        (format!("PUT /external-task/{external}/priority"), json!({"priority": 7})),
        ("PUT /external-task/retries".to_owned(), json!({"retries": 0, "externalTaskIds": [external]})),
        ("POST /external-task/fetchAndLock".to_owned(), json!({"workerId": "w", "maxTasks": 9, "topics": topics})),
        (format!("GET /execution/{execution}"), Value::Null),
        (format!("GET /execution/{execution}/localVariables"), Value::Null),
        (format!("PUT /execution/{execution}/localVariables/x"), value.clone()),
        (format!("GET /execution/{execution}/messageSubscriptions/paid"), Value::Null),
        (format!("POST /execution/{execution}/messageSubscriptions/paid/trigger"), json!({})),
        (format!("POST /execution/{execution}/signal"), json!({})),
        (format!("POST /execution/{execution}/create-incident"), json!({"incidentType": "x", "configuration": "y"})),
        (format!("GET /variable-instance/{variable}"), Value::Null),
        (format!("GET /process-instance/{instance}/variables/secret"), Value::Null),
        (format!("POST /process-instance/{instance}/variables"), json!({"modifications": {"x": value}})),
        (format!("DELETE /process-instance/{instance}/variables/secret"), Value::Null),
        (format!("POST /process-instance/{instance}/modification"), cancel),
        ("POST /modification/execute".to_owned(), many),
        ("POST /message".to_owned(), json!({"messageName": "paid", "businessKey": "b"})),
        ("POST /message".to_owned(), json!({"messageName": "paid", "processInstanceId": instance})),
        ("POST /message".to_owned(), json!({"messageName": "paid", "tenantId": "one"})),
        ("POST /message".to_owned(), json!({"messageName": "paid", "all": true})),
        ("POST /message".to_owned(), json!({"messageName": "ordered"})),
        ("POST /signal".to_owned(), json!({"name": "alarm"})),
        ("POST /signal".to_owned(), json!({"name": "alarm", "tenantId": "one"})),
        ("POST /signal".to_owned(), json!({"name": "alarm", "executionId": execution})),
        (format!("GET /deployment/{deployment}/resources"), Value::Null),
        (format!("GET /process-definition/{definition}/statistics"), Value::Null),
        (format!("GET /history/process-definition/{definition}/statistics"), Value::Null),
        (format!("GET /history/variable-instance?processInstanceId={instance}"), Value::Null),
        (format!("GET /task/{task}/form"), Value::Null),
        (format!("GET /task/{task}/identity-links"), Value::Null),
        (format!("POST /task/{task}/identity-links"), link.clone()),
        (format!("POST /task/{task}/identity-links/delete"), link),
        (format!("GET /task/{task}/variables"), Value::Null),
        (format!("PUT /task/{task}/variables/x"), value),
        (format!("GET /task/{task}/localVariables"), Value::Null),
        (format!("POST /task/{task}/assignee"), json!({"userId": "bob"})),
        (format!("POST /task/{task}/unclaim"), Value::Null),
        (format!("POST /task/{task}/resolve"), json!({})),
        (format!("PUT /task/{task}"), json!({"name": "mine"})),
    ]
    .to_vec()
}

#[tokio::test]
async fn another_can_neither_read_nor_move_what_waits() {
    let app = TestApp::new().await;
    let (one, two) = (app.of("ann", &["one"]), app.of("bob", &["two"]));
    let own = waiting(&one, "one").await;
    let resource = text(&one.get(&format!("/deployment/{}/resources", own.deployment)).await.json()[0]["id"]);
    let before = seen(&one).await;
    let mut all = requests(&own);
    all.push((format!("GET /deployment/{}/resources/{resource}/data", own.deployment), Value::Null));
    let mut leaks = vec![];
    for (what, body) in all {
        let reply = two.call(&what, body.clone()).await;
        let empty = matches!(reply.text.as_str(), "" | "[]" | "{}");
        if (reply.status < 400 && !empty) || reply.text.contains("hidden") || seen(&one).await != before {
            leaks.push(format!("{what} {body}: {} {}", reply.status, reply.text));
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
    // The same reaches the owner's: there was something to reach.
    for (what, body) in [
        (format!("POST /execution/{}/messageSubscriptions/paid/trigger", own.execution), json!({})),
        ("POST /message".to_owned(), json!({"messageName": "ordered"})),
        ("POST /signal".to_owned(), json!({"name": "alarm"})),
    ] {
        let before = seen(&one).await;
        let reply = one.call(&what, body).await;
        assert!(reply.status < 300 && seen(&one).await != before, "{what} answered {} {}", reply.status, reply.text);
    }
}
