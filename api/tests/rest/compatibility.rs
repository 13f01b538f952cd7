//! What only real clients show (ecosystem §1.3), one test a rule.

use axum::body::Body;
use axum::http::{Request, header};
use serde_json::{Value, json};

use crate::support::{TestApp, plan, two_tasks};

#[tokio::test]
async fn booleans_are_read_in_any_case() {
    let c = TestApp::new().await.client();
    assert_eq!(c.get("/batch/count?suspended=True").await.json(), json!({"count": 0}));
    assert_eq!(c.get("/process-definition?latestVersion=FALSE&active=True").await.status, 200);
    let reply = c.get("/batch?suspended=maybe").await;
    let message = "Cannot set query parameter 'suspended' to value 'maybe': Cannot convert value maybe to java type java.lang.Boolean";
    assert_eq!((reply.status, reply.json()), (400, json!({"type": "InvalidRequestException", "message": message, "code": null})));
    let upload = [("enable-duplicate-filtering", None, "True"), ("data", Some("a.bpmn"), &*two_tasks("rule1"))];
    let first = c.upload(&upload).await.json();
    let again = c.upload(&upload).await.json();
    assert_eq!((&again["id"], &again["deployedProcessDefinitions"]), (&first["id"], &Value::Null), "the file was a duplicate");
}

#[tokio::test]
async fn every_resource_exists_below_its_engine_too() {
    let c = TestApp::new().await.client();
    assert_eq!(c.get("/engine").await.json(), json!([{"name": "default"}]));
    assert_eq!(c.get("/engine/default/version").await.json(), json!({"version": "7.24.0"}));
    assert_eq!(c.get("/engine/default/batch/count").await.json(), json!({"count": 0}));
    let reply = c.get("/engine/other/batch").await;
    let body = json!({"type": "InvalidRequestException", "message": "No process engine available", "code": null});
    assert_eq!((reply.status, reply.json()), (400, body));
}

#[tokio::test]
async fn a_trailing_slash_does_not_matter() {
    let c = TestApp::new().await.client();
    for path in ["/batch/statistics/", "/engine/default/batch/statistics/", "/batch/statistics/?maxResults=1"] {
        assert_eq!((c.get(path).await.status, c.get(path).await.json()), (200, json!([])), "{path}");
    }
}

#[tokio::test]
async fn plain_json_answers_those_who_would_like_hal() {
    let c = TestApp::new().await.client();
    for accept in ["application/hal+json, application/json; q=0.5", "application/hal+json", "application/json"] {
        let request = Request::get("/engine-rest/batch").header(header::ACCEPT, accept).body(Body::empty()).unwrap();
        let reply = c.send(request).await;
        assert_eq!((reply.status, &reply.headers[header::CONTENT_TYPE]), (200, &"application/json".parse().unwrap()), "{accept}");
    }
}

#[tokio::test]
async fn a_stack_trace_is_text_whatever_is_accepted() {
    let app = TestApp::new().await;
    let c = app.client();
    let job = failed_job(&app, "rule5").await;
    let path = format!("/engine-rest/job/{job}/stacktrace");
    let request = Request::get(path).header(header::ACCEPT, "application/json").body(Body::empty()).unwrap();
    let reply = c.send(request).await;
    assert_eq!((reply.status, &reply.headers[header::CONTENT_TYPE]), (200, &"text/plain".parse().unwrap()));
    let begins = "org.camunda.bpm.engine.migration.MigratingProcessInstanceValidationException: ENGINE-23004 Cannot migrate";
    assert!(reply.text.starts_with(begins), "{}", reply.text);
}

#[tokio::test]
async fn a_body_of_a_get_or_delete_is_ignored() {
    let c = TestApp::new().await.client();
    assert_eq!(c.raw("GET /batch", Some("application/json"), "{}").await.json(), json!([]));
    assert_eq!(c.raw("GET /batch", Some("text/plain"), "no json").await.status, 200);
    let reply = c.raw("DELETE /batch/nope?cascade=true", Some("application/json"), "{}").await;
    assert_eq!(reply.json()["message"], "Unable to delete batch with id 'nope'");
}

#[tokio::test]
async fn unknown_fields_and_parameters_are_ignored() {
    let c = TestApp::new().await.client();
    let v1 = c.deploy(&two_tasks("rule7"), None).await;
    let mut body = plan(&v1, &v1, "task1");
    body["foo"] = json!([1]);
    body["instructions"][0]["bar"] = json!({});
    assert_eq!(c.call("POST /migration/validate", body).await.json(), json!({"instructionReports": [], "variableReports": {}}));
    assert_eq!(c.get("/batch/count?sortBy=nonsense&nothing=1").await.json(), json!({"count": 0}));
    assert_eq!(c.call("POST /job/count", json!({"retries": [], "jobDefinitionId": "x"})).await.json(), json!({"count": 0}));
}

#[tokio::test]
async fn an_explicit_null_is_nothing() {
    let c = TestApp::new().await.client();
    let v1 = c.deploy(&two_tasks("rule8"), None).await;
    let pi = c.start(&v1).await;
    let body = json!({"migrationPlan": plan(&v1, &v1, "task1"), "processInstanceIds": [pi], "processInstanceQuery": null,
        "skipCustomListeners": null, "skipIoMappings": null});
    assert_eq!(c.call("POST /migration/execute", body).await.status, 204);
    let query = json!({"processDefinitionId": v1, "businessKey": null, "active": null, "variables": null, "sorting": null});
    assert_eq!(c.call("POST /process-instance/count", query).await.json(), json!({"count": 1}));
}

#[tokio::test]
async fn every_key_is_there_null_when_empty() {
    let app = TestApp::new().await;
    let c = app.client();
    let batch = batch_of_one(&app, "rule9", "task2").await;
    let keys = |v: &Value| v.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let own = [
        "id",
        "type",
        "totalJobs",
        "size",
        "jobsCreated",
        "batchJobsPerSeed",
        "invocationsPerBatchJob",
        "seedJobDefinitionId",
        "monitorJobDefinitionId",
        "batchJobDefinitionId",
        "suspended",
        "tenantId",
        "createUserId",
        "startTime",
        "executionStartTime",
    ];
    assert_eq!(keys(&batch), own);
    let statistics = c.get("/batch/statistics").await.json();
    assert_eq!(keys(&statistics[0])[own.len()..], ["remainingJobs", "completedJobs", "failedJobs"]);
    let v1 = c.get("/process-definition?key=rule9").await.json()[0]["id"].as_str().unwrap().to_owned();
    let generated = c.call("POST /migration/generate", json!({"sourceProcessDefinitionId": v1, "targetProcessDefinitionId": v1})).await;
    assert_eq!(keys(&generated.json()), ["sourceProcessDefinitionId", "targetProcessDefinitionId", "instructions", "variables"]);
}

#[tokio::test]
async fn dates_have_milliseconds_and_a_zone_without_a_colon() {
    let app = TestApp::new().await;
    let batch = batch_of_one(&app, "rule10", "task2").await;
    let start = batch["startTime"].as_str().unwrap();
    assert_eq!((start.len(), &start[10..11], &start[23..]), (28, "T", "+0000"), "{start}");
    assert!(api::dates::parse(start).is_some());
}

#[tokio::test]
async fn commands_answer_an_empty_204() {
    let app = TestApp::new().await;
    let c = app.client();
    let job = failed_job(&app, "rule11").await;
    let batch = c.get("/batch").await.json()[0].clone();
    let (id, exec) = (batch["id"].as_str().unwrap(), batch["batchJobDefinitionId"].as_str().unwrap());
    for (what, body) in [
        (format!("PUT /batch/{id}/suspended"), json!({"suspended": true})),
        (format!("PUT /job/{job}/retries"), json!({"id": job, "retries": 1})),
        (format!("PUT /job-definition/{exec}/retries"), json!({"retries": 1})),
        (format!("DELETE /batch/{id}?cascade=true"), Value::Null),
    ] {
        let reply = c.call(&what, body).await;
        assert_eq!((reply.status, reply.text.as_str()), (204, ""), "{what}");
    }
}

#[tokio::test]
async fn a_file_part_may_have_a_content_type_that_is_none() {
    let c = TestApp::new().await.client();
    let body = format!(
        "--m\r\nContent-Disposition: form-data; name=\"any\"; filename=\"a.bpmn\"\r\nContent-Type: false\r\n\r\n{}\r\n--m--\r\n",
        two_tasks("rule12")
    );
    assert_eq!(c.raw("POST /deployment/create", Some("multipart/form-data; boundary=m"), body).await.status, 200);
}

#[tokio::test]
async fn what_a_plan_may_leave_out_is_false() {
    let c = TestApp::new().await.client();
    let v1 = c.deploy(&two_tasks("rule13"), None).await;
    let pi = c.start(&v1).await;
    let mut plan = plan(&v1, &v1, "task1");
    plan["updateEventTriggers"] = json!(true);
    let reply = c.call("POST /migration/execute", json!({"migrationPlan": plan, "processInstanceIds": [pi]})).await;
    assert_eq!((reply.status, reply.text.as_str()), (204, ""));
}

/// A batch of one instance, which stands at `task1`; the plan maps `from`.
async fn batch_of_one(app: &TestApp, key: &str, from: &str) -> Value {
    let c = app.client();
    let (v1, v2) = (c.deploy(&two_tasks(key), None).await, c.deploy(&two_tasks(key), None).await);
    let pi = c.start(&v1).await;
    let body = json!({"migrationPlan": plan(&v1, &v2, from), "processInstanceIds": [pi]});
    let reply = c.call("POST /migration/executeAsync", body).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json()
}

/// The job of such a batch, out of retries.
async fn failed_job(app: &TestApp, key: &str) -> String {
    let batch = batch_of_one(app, key, "task2").await;
    let path = format!("/job?jobDefinitionId={}&noRetriesLeft=true", batch["batchJobDefinitionId"].as_str().unwrap());
    let jobs = app.client().until(&path, |reply| reply.json().as_array().is_some_and(|jobs| jobs.len() == 1)).await.json();
    jobs[0]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_object_that_nobody_could_read_again_is_set_by_no_plan() {
    let app = TestApp::new().await;
    let c = app.client();
    let v1 = c.deploy(&two_tasks("findings3"), None).await;
    let instance = c.start(&v1).await;
    let mut body = plan(&v1, &v1, "task1");
    body["variables"] = json!({"o": {"type": "Object", "value": "text", "valueInfo": {"objectTypeName": "a.B"}}});
    let report = c.call("POST /migration/validate", body.clone()).await.json();
    assert_eq!(report, json!({"instructionReports": [], "variableReports": {}}), "a plan does not tell");
    for path in ["POST /migration/execute", "POST /migration/executeAsync"] {
        let reply = c.call(path, json!({"migrationPlan": body, "processInstanceIds": [instance]})).await;
        let message = "Cannot find serializer for value 'ObjectValue [value=null, isDeserialized=false, serializationDataFormat=null, \
                       objectTypeName=a.B, serializedValue=4 chars, isTransient=false]'.";
        assert_eq!((reply.status, reply.json()), (500, json!({"type": "ProcessEngineException", "message": message, "code": 0})), "{path}");
    }
    assert_eq!(c.get("/batch/count").await.json(), json!({"count": 0}));
    body["variables"]["o"]["valueInfo"]["serializationDataFormat"] = json!("application/json");
    assert_eq!(c.call("POST /migration/execute", json!({"migrationPlan": body, "processInstanceIds": [instance]})).await.status, 204);
}
