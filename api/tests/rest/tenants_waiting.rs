//! Two tenants on one server: what waits for a message, a signal or a worker is out of the other's reach.

use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp};

/// A task with a time limit, an external task, a message catch and a signal catch at once; a message and a signal start beside them.
pub const WAITING: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
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
    <boundaryEvent id="late" attachedToRef="user"><timerEventDefinition><timeDuration>PT1H</timeDuration></timerEventDefinition></boundaryEvent>
    <serviceTask id="outside" camunda:type="external" camunda:topic="work"/>
    <intermediateCatchEvent id="message"><messageEventDefinition messageRef="m"/></intermediateCatchEvent>
    <intermediateCatchEvent id="signal"><signalEventDefinition signalRef="s"/></intermediateCatchEvent>
  </process>
</definitions>"#;

/// Lists of running things and of history; each has a count beside it.
const LISTS: [&str; 14] = [
    "/process-instance",
    "/task",
    "/job",
    "/job-definition",
    "/external-task",
    "/execution",
    "/event-subscription",
    "/variable-instance",
    "/history/variable-instance",
    "/history/detail",
    "/history/activity-instance",
    "/history/process-instance",
    "/history/task",
    "/history/incident",
];

/// Those that may be asked by POST, too.
const POSTED: [&str; 13] = [
    "/process-instance",
    "/task",
    "/job",
    "/job-definition",
    "/external-task",
    "/execution",
    "/variable-instance",
    "/history/variable-instance",
    "/history/detail",
    "/history/activity-instance",
    "/history/process-instance",
    "/history/task",
    "/history/incident",
];

struct Waiting {
    deployment: String,
    definition: String,
    instance: String,
    task: String,
    external: String,
    execution: String,
    variable: String,
    job: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

async fn waiting(c: &Client, tenant: &str) -> Waiting {
    let definition = c.deploy(WAITING, Some(tenant)).await;
    let body = json!({"businessKey": "b", "variables": {"secret": {"value": "hidden"}}});
    let instance = text(&c.call(&format!("POST /process-definition/{definition}/start"), body).await.json()["id"]);
    let of = format!("processInstanceId={instance}");
    let execution = text(&c.get(&format!("/event-subscription?{of}&eventType=message")).await.json()[0]["executionId"]);
    let incident = json!({"incidentType": "odd", "configuration": "hidden"});
    assert_eq!(c.call(&format!("POST /execution/{execution}/create-incident"), incident).await.status, 200);
    Waiting {
        deployment: text(&c.get("/deployment").await.json()[0]["id"]),
        task: text(&c.get(&format!("/task?{of}")).await.json()[0]["id"]),
        external: text(&c.get(&format!("/external-task?{of}")).await.json()[0]["id"]),
        variable: text(&c.get(&format!("/variable-instance?processInstanceIdIn={instance}")).await.json()[0]["id"]),
        job: text(&c.get(&format!("/job?{of}")).await.json()[0]["id"]),
        execution,
        definition,
        instance,
    }
}

/// All that the owner sees, as text.
async fn seen(c: &Client) -> Vec<String> {
    let mut all = vec![];
    for path in LISTS.iter().chain(&["/process-definition", "/deployment"]) {
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
    for path in POSTED {
        for path in [format!("POST {path}"), format!("POST {path}/count")] {
            shows_nothing(&path, &two.call(&path, json!({})).await);
            let own = one.call(&path, json!({})).await;
            assert!(
                own.status == 200 && own.text.len() > r#"{"count":0}"#.len() - 1 && own.json() != json!({"count": 0}),
                "{path}: {}",
                own.text
            );
        }
    }
    for path in ["/process-definition/statistics", "/history/batch/cleanable-batch-report", "/history/batch/cleanable-batch-report/count"] {
        shows_nothing(path, &two.get(path).await);
    }
}

/// What another asks of the owner's things.
fn requests(own: &Waiting) -> Vec<(String, Value)> {
    [of_external_tasks(own), of_running(own), of_definitions(own), of_tasks(own)].concat()
}

fn of_external_tasks(own: &Waiting) -> Vec<(String, Value)> {
    let Waiting { external, .. } = own;
    let topics = json!([{"topicName": "work", "lockDuration": 60_000}]);
    let worker = json!({"workerId": "w"});
    vec![
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
    ]
}

fn of_running(own: &Waiting) -> Vec<(String, Value)> {
    let Waiting { definition, instance, execution, variable, job, .. } = own;
    let value = json!({"value": 1});
    let cancel = json!({"instructions": [{"type": "cancel", "activityId": "user"}]});
    let mut many = cancel.clone();
    many["processDefinitionId"] = json!(definition);
    many["processInstanceIds"] = json!([instance]);
    let modify = json!({"modifications": {"x": {"value": 1}}});
    vec![
        (format!("GET /execution/{execution}"), Value::Null),
        (format!("GET /execution/{execution}/localVariables"), Value::Null),
        (format!("PUT /execution/{execution}/localVariables/x"), value.clone()),
        (format!("GET /execution/{execution}/messageSubscriptions/paid"), Value::Null),
        (format!("POST /execution/{execution}/messageSubscriptions/paid/trigger"), json!({})),
        (format!("POST /execution/{execution}/signal"), json!({})),
        (format!("POST /execution/{execution}/create-incident"), json!({"incidentType": "x", "configuration": "y"})),
        (format!("POST /execution/{execution}/localVariables"), modify.clone()),
        (format!("GET /execution/{instance}/localVariables/secret"), Value::Null),
        (format!("DELETE /execution/{instance}/localVariables/secret"), Value::Null),
        (format!("GET /variable-instance/{variable}"), Value::Null),
        (format!("POST /job/{job}/duedate/recalculate"), Value::Null),
        (format!("POST /job/{job}/execute"), Value::Null),
        ("PUT /job/suspended".to_owned(), json!({"suspended": true, "processInstanceId": instance})),
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
        (format!("GET /history/variable-instance?processInstanceId={instance}"), Value::Null),
    ]
}

fn of_definitions(own: &Waiting) -> Vec<(String, Value)> {
    let Waiting { deployment, definition, .. } = own;
    let by_key = "key/waiting/tenant-id/one";
    let suspend = json!({"suspended": true, "includeProcessInstances": true});
    vec![
        ("GET /process-definition/key/waiting".to_owned(), Value::Null),
        ("GET /process-definition/key/waiting/xml".to_owned(), Value::Null),
        ("GET /process-definition/key/waiting/statistics".to_owned(), Value::Null),
        ("POST /process-definition/key/waiting/start".to_owned(), json!({})),
        ("PUT /process-definition/key/waiting/suspended".to_owned(), suspend.clone()),
        ("DELETE /process-definition/key/waiting?cascade=true".to_owned(), Value::Null),
        (format!("GET /process-definition/{by_key}"), Value::Null),
        (format!("GET /process-definition/{by_key}/xml"), Value::Null),
        (format!("GET /process-definition/{by_key}/statistics"), Value::Null),
        (format!("POST /process-definition/{by_key}/start"), json!({})),
        (format!("PUT /process-definition/{by_key}/suspended"), suspend),
        (format!("DELETE /process-definition/{by_key}?cascade=true"), Value::Null),
        (format!("GET /deployment/{deployment}/resources"), Value::Null),
        (format!("GET /process-definition/{definition}/statistics"), Value::Null),
        (format!("GET /history/process-definition/{definition}/statistics"), Value::Null),
    ]
}

fn of_tasks(own: &Waiting) -> Vec<(String, Value)> {
    let Waiting { task, .. } = own;
    let link = json!({"userId": "bob", "type": "candidate"});
    let modify = json!({"modifications": {"x": {"value": 1}}});
    vec![
        (format!("GET /task/{task}/form"), Value::Null),
        (format!("GET /task/{task}/identity-links"), Value::Null),
        (format!("POST /task/{task}/identity-links"), link.clone()),
        (format!("POST /task/{task}/identity-links/delete"), link),
        (format!("GET /task/{task}/variables"), Value::Null),
        (format!("PUT /task/{task}/variables/x"), json!({"value": 1})),
        (format!("GET /task/{task}/localVariables"), Value::Null),
        (format!("POST /task/{task}/variables"), modify.clone()),
        (format!("GET /task/{task}/variables/secret"), Value::Null),
        (format!("DELETE /task/{task}/variables/secret"), Value::Null),
        (format!("POST /task/{task}/localVariables"), modify),
        (format!("GET /task/{task}/localVariables/secret"), Value::Null),
        (format!("PUT /task/{task}/localVariables/x"), json!({"value": 1})),
        (format!("DELETE /task/{task}/localVariables/secret"), Value::Null),
        (format!("POST /task/{task}/delegate"), json!({"userId": "bob"})),
        (format!("POST /task/{task}/submit-form"), json!({})),
        (format!("POST /task/{task}/complete"), json!({})),
        (format!("POST /task/{task}/assignee"), json!({"userId": "bob"})),
        (format!("POST /task/{task}/unclaim"), Value::Null),
        (format!("POST /task/{task}/resolve"), json!({})),
        (format!("PUT /task/{task}"), json!({"name": "mine"})),
        ("POST /task/create".to_owned(), json!({"id": "mine", "parentTaskId": task})),
        (format!("DELETE /task/{task}"), Value::Null),
    ]
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

/// Whoever names the worker that holds it: the lock is the owner's.
#[tokio::test]
async fn a_locked_external_task_is_held_against_another_s_workers() {
    let app = TestApp::new().await;
    let (one, two) = (app.of("ann", &["one"]), app.of("bob", &["two"]));
    let own = waiting(&one, "one").await;
    let fetch = |ms: u64| json!({"workerId": "w", "maxTasks": 9, "topics": [{"topicName": "work", "lockDuration": ms}]});
    assert_eq!(one.call("POST /external-task/fetchAndLock", fetch(600_000)).await.json()[0]["id"], json!(own.external));
    let before = seen(&one).await;
    let id = &own.external;
    let mut narrowed = fetch(1_000);
    narrowed["topics"][0]["processDefinitionKey"] = json!("waiting");
    let unheard = json!({"workerId": "w", "retries": 0, "retryTimeout": 0, "errorMessage": "hidden"});
    let unknown = shared::id::new_base();
    for (what, body) in [
        ("complete", json!({"workerId": "w"})),
        ("complete", json!({"workerId": "v"})),
        ("failure", unheard),
        ("bpmnError", json!({"workerId": "w", "errorCode": "e"})),
        ("extendLock", json!({"workerId": "w", "newDuration": 1000})),
        ("lock", json!({"workerId": "w", "lockDuration": 1000})),
        ("unlock", Value::Null),
    ] {
        let (theirs, nobody) = (
            two.call(&format!("POST /external-task/{id}/{what}"), body.clone()).await,
            two.call(&format!("POST /external-task/{unknown}/{what}"), body).await,
        );
        assert!(theirs.status >= 400, "{what}: {} {}", theirs.status, theirs.text);
        assert_eq!((theirs.status, theirs.text.replace(id, "id")), (nobody.status, nobody.text.replace(&unknown, "id")), "{what}");
        assert_eq!(seen(&one).await, before, "{what}");
    }
    for body in [fetch(1_000), narrowed] {
        assert_eq!(two.call("POST /external-task/fetchAndLock", body).await.json(), json!([]));
    }
    assert_eq!(seen(&one).await, before);
    let extended = one.call(&format!("POST /external-task/{id}/extendLock"), json!({"workerId": "w", "newDuration": 900_000})).await;
    assert_eq!(extended.status, 204, "{}", extended.text);
    let completed = one.call(&format!("POST /external-task/{id}/complete"), json!({"workerId": "w"})).await;
    assert_eq!(completed.status, 204, "{}", completed.text);
}

/// Whether a definition is there is not told: its refusal is that of an unknown one.
#[tokio::test]
async fn another_s_definition_is_as_unknown_as_any() {
    let app = TestApp::new().await;
    let (one, two) = (app.of("ann", &["one"]), app.of("bob", &["two"]));
    let own = waiting(&one, "one").await;
    let unknown = "waiting:9:00000000-0000-7000-8000-000000000009";
    let cancel = json!([{"type": "cancel", "activityId": "user"}]);
    let begin = json!([{"type": "startBeforeActivity", "activityId": "user"}]);
    let plan = |id: &str| json!({"sourceProcessDefinitionId": id, "targetProcessDefinitionId": id, "instructions": []});
    let ask = |id: &str| {
        let many = json!({"processDefinitionId": id, "instructions": cancel, "processInstanceIds": [own.instance]});
        vec![
            ("POST /modification/execute".to_owned(), many.clone()),
            ("POST /modification/executeAsync".to_owned(), many),
            (format!("POST /process-definition/{id}/restart-async"), json!({"instructions": begin, "processInstanceIds": [own.instance]})),
            (format!("POST /process-definition/{id}/start"), json!({})),
            (format!("GET /process-definition/{id}"), Value::Null),
            (format!("GET /process-definition/{id}/xml"), Value::Null),
            (format!("GET /process-definition/{id}/statistics"), Value::Null),
            (format!("PUT /process-definition/{id}/suspended"), json!({"suspended": true})),
            (format!("DELETE /process-definition/{id}"), Value::Null),
            ("POST /migration/generate".to_owned(), plan(id)),
            ("POST /migration/validate".to_owned(), plan(id)),
            ("POST /migration/execute".to_owned(), json!({"migrationPlan": plan(id), "processInstanceIds": [own.instance]})),
            ("POST /migration/executeAsync".to_owned(), json!({"migrationPlan": plan(id), "processInstanceIds": [own.instance]})),
        ]
    };
    for ((what, body), (unknown_what, unknown_body)) in ask(&own.definition).into_iter().zip(ask(unknown)) {
        let (theirs, nobody) = (two.call(&what, body).await, two.call(&unknown_what, unknown_body).await);
        let told = (theirs.status, theirs.text.replace(&own.definition, "id"));
        assert_eq!(told, (nobody.status, nobody.text.replace(unknown, "id")), "{what}");
    }
}

/// All requests of these tests, with ids that stand for any.
pub fn walked() -> Vec<String> {
    let any = || "any".to_owned();
    let own = Waiting {
        deployment: any(),
        definition: any(),
        instance: any(),
        task: any(),
        external: any(),
        execution: any(),
        variable: any(),
        job: any(),
    };
    let mut walked: Vec<String> = requests(&own).into_iter().map(|(what, _)| what).collect();
    walked.extend(LISTS.iter().flat_map(|path| [format!("GET {path}"), format!("GET {path}/count")]));
    walked.extend(POSTED.iter().flat_map(|path| [format!("POST {path}"), format!("POST {path}/count")]));
    walked.extend(
        [
            "GET /deployment/any/resources/any/data",
            "GET /process-definition/statistics",
            "GET /history/batch/cleanable-batch-report",
            "GET /history/batch/cleanable-batch-report/count",
        ]
        .map(str::to_owned),
    );
    walked
}
