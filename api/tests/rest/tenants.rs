//! Two tenants on one server: neither sees, changes or counts what is the other's.

use serde_json::{Value, json};

use crate::support::{Client, TestApp, plan, two_tasks};

/// Lists whose rows name their tenant; each has a count beside it.
const LISTS: [&str; 13] = [
    "/batch",
    "/batch/statistics",
    "/history/batch",
    "/job",
    "/job-definition",
    "/incident",
    "/deployment",
    "/process-definition",
    "/process-instance",
    "/task",
    "/history/process-instance",
    "/history/task",
    "/history/incident",
];

/// What one tenant has: its deployment, definition, instance, task, failed job, batch, incident.
struct Things {
    deployment: String,
    definition: String,
    instance: String,
    task: String,
    batch: String,
    job: String,
    incident: String,
    job_definition: String,
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

async fn things(c: &Client, tenant: &str) -> Things {
    let definition = c.deploy(&two_tasks("walk"), Some(tenant)).await;
    let instance = c.start(&definition).await;
    let body = json!({"migrationPlan": plan(&definition, &definition, "task2"), "processInstanceIds": [instance]});
    let batch = c.call("POST /migration/executeAsync", body).await.json();
    let (batch, job_definition) = (text(&batch["id"]), text(&batch["batchJobDefinitionId"]));
    c.until(&format!("/batch/statistics?batchId={batch}"), |reply| reply.json()[0]["failedJobs"] == 1).await;
    Things {
        deployment: text(&c.get("/deployment").await.json()[0]["id"]),
        task: text(&c.get(&format!("/task?processInstanceId={instance}")).await.json()[0]["id"]),
        job: text(&c.get(&format!("/job?jobDefinitionId={job_definition}")).await.json()[0]["id"]),
        incident: text(&c.get("/incident").await.json()[0]["id"]),
        definition,
        instance,
        batch,
        job_definition,
    }
}

#[tokio::test]
async fn lists_and_counts_show_only_one_s_own() {
    let app = TestApp::new().await;
    let (one, two) = (app.of("ann", &["one"]), app.of("bob", &["two"]));
    things(&one, "one").await;
    things(&two, "two").await;
    for path in LISTS {
        for (c, tenant) in [(&one, "one"), (&two, "two")] {
            let rows = c.get(path).await.json();
            let of: Vec<&Value> = rows.as_array().unwrap_or_else(|| panic!("{path}: {rows}")).iter().map(|row| &row["tenantId"]).collect();
            assert!(!of.is_empty() && of.iter().all(|t| **t == tenant), "{path} of {tenant}: {of:?}");
            assert_eq!(c.get(&format!("{path}/count")).await.json()["count"], json!(of.len()), "{path} of {tenant}");
        }
    }
    assert_eq!(app.client().get("/batch/count").await.json(), json!({"count": 2}), "who has no tenants set sees all");
}

#[tokio::test]
async fn another_s_things_are_not_there() {
    let app = TestApp::new().await;
    let (one, two) = (app.of("ann", &["one"]), app.of("bob", &["two"]));
    let own = things(&one, "one").await;
    for (what, body) in refused(&own) {
        let reply = two.call(&what, body).await;
        assert!(reply.status >= 400, "{what} answered {} {}", reply.status, reply.text);
        assert!(!reply.text.contains("Two tasks"), "{what} shows {}", reply.text);
    }
    for (what, body) in without_effect(&own) {
        assert_eq!(two.call(&what, body).await.status, 204, "{what}");
    }
    unharmed(&one, &own).await;
}

/// What is an error where there is nothing.
fn refused(own: &Things) -> Vec<(String, Value)> {
    let Things { deployment, definition, instance, task, batch, job, incident, job_definition } = own;
    let suspend = json!({"suspended": true});
    vec![
        (format!("GET /batch/{batch}"), Value::Null),
        (format!("PUT /batch/{batch}/suspended"), suspend.clone()),
        (format!("DELETE /batch/{batch}?cascade=true"), Value::Null),
        (format!("GET /history/batch/{batch}"), Value::Null),
        (format!("DELETE /history/batch/{batch}"), Value::Null),
        (format!("GET /job/{job}"), Value::Null),
        (format!("GET /job/{job}/stacktrace"), Value::Null),
        (format!("POST /job/{job}/execute"), Value::Null),
        (format!("PUT /job/{job}/retries"), json!({"retries": 1})),
        (format!("PUT /job/{job}/priority"), json!({"priority": 1})),
        (format!("PUT /job/{job}/duedate"), json!({"duedate": null})),
        (format!("DELETE /job/{job}"), Value::Null),
        (format!("GET /job-definition/{job_definition}"), Value::Null),
        (format!("PUT /job-definition/{job_definition}/jobPriority"), json!({"priority": 1})),
        (format!("GET /incident/{incident}"), Value::Null),
        (format!("PUT /incident/{incident}/annotation"), json!({"annotation": "x"})),
        (format!("DELETE /incident/{incident}/annotation"), Value::Null),
        (format!("DELETE /incident/{incident}"), Value::Null),
        (format!("GET /deployment/{deployment}"), Value::Null),
        (format!("DELETE /deployment/{deployment}?cascade=true"), Value::Null),
        (format!("GET /process-definition/{definition}"), Value::Null),
        (format!("GET /process-definition/{definition}/xml"), Value::Null),
        (format!("POST /process-definition/{definition}/start"), json!({})),
        (format!("DELETE /process-definition/{definition}?cascade=true"), Value::Null),
        (format!("GET /process-instance/{instance}"), Value::Null),
        (format!("GET /process-instance/{instance}/activity-instances"), Value::Null),
        (format!("GET /process-instance/{instance}/variables"), Value::Null),
        (format!("PUT /process-instance/{instance}/variables/x"), json!({"value": 1})),
        (format!("DELETE /process-instance/{instance}"), Value::Null),
        (format!("GET /task/{task}"), Value::Null),
        (format!("POST /task/{task}/complete"), json!({})),
        (format!("POST /task/{task}/claim"), json!({"userId": "bob"})),
        (format!("GET /history/process-instance/{instance}"), Value::Null),
        ("POST /migration/validate".to_owned(), plan(definition, definition, "task1")),
        ("POST /migration/generate".to_owned(), plan(definition, definition, "task1")),
        (
            "POST /migration/execute".to_owned(),
            json!({"migrationPlan": plan(definition, definition, "task1"), "processInstanceIds": [instance]}),
        ),
    ]
}

/// What is no error where there is nothing: nothing happens.
fn without_effect(own: &Things) -> Vec<(String, Value)> {
    let Things { definition, instance, job, job_definition, .. } = own;
    let suspend = json!({"suspended": true});
    vec![
        (format!("PUT /job/{job}/suspended"), suspend.clone()),
        (format!("PUT /process-instance/{instance}/suspended"), suspend.clone()),
        (format!("PUT /process-definition/{definition}/suspended"), suspend.clone()),
        (format!("PUT /job-definition/{job_definition}/suspended"), suspend),
        (format!("PUT /job-definition/{job_definition}/retries"), json!({"retries": 5})),
        ("PUT /process-instance/suspended".to_owned(), json!({"suspended": true, "processInstanceIds": [instance]})),
        ("PUT /process-definition/suspended".to_owned(), json!({"suspended": true, "processDefinitionKey": "walk"})),
        ("PUT /job/suspended".to_owned(), json!({"suspended": true, "processDefinitionKey": "walk"})),
        ("PUT /job/suspended".to_owned(), json!({"suspended": true, "jobDefinitionId": job_definition})),
        ("PUT /job-definition/suspended".to_owned(), json!({"suspended": true, "processDefinitionKey": "walk", "includeJobs": true})),
    ]
}

/// All requests of these tests, with ids that stand for any.
pub fn walked() -> Vec<String> {
    let any = || "any".to_owned();
    let own = Things {
        deployment: any(),
        definition: any(),
        instance: any(),
        task: any(),
        batch: any(),
        job: any(),
        incident: any(),
        job_definition: any(),
    };
    let mut walked: Vec<String> = refused(&own).into_iter().chain(without_effect(&own)).map(|(what, _)| what).collect();
    walked.extend(LISTS.iter().flat_map(|path| [format!("GET {path}"), format!("GET {path}/count")]));
    walked.extend(LOGS.map(str::to_owned));
    walked
}

/// What is asked in [`the_log_of_another_s_jobs_is_empty`].
const LOGS: [&str; 6] = [
    "GET /history/job-log",
    "GET /history/job-log/count",
    "POST /history/job-log",
    "POST /history/job-log/count",
    "GET /history/job-log/any",
    "GET /history/job-log/any/stacktrace",
];

#[tokio::test]
async fn the_log_of_another_s_jobs_is_empty() {
    let app = TestApp::new().await;
    let (one, two) = (app.of("ann", &["one"]), app.of("bob", &["two"]));
    let own = things(&one, "one").await;
    let row = text(&one.get(&format!("/history/job-log?jobId={}&failureLog=true", own.job)).await.json()[0]["id"]);
    assert_eq!(one.get(&format!("/history/job-log/{row}")).await.status, 200);
    assert_eq!(two.get("/history/job-log").await.json(), json!([]));
    assert_eq!(two.get("/history/job-log/count").await.json(), json!({"count": 0}));
    assert_eq!(two.call("POST /history/job-log", json!({})).await.json(), json!([]));
    assert_eq!(two.call("POST /history/job-log/count", json!({})).await.json(), json!({"count": 0}));
    for path in [format!("/history/job-log/{row}"), format!("/history/job-log/{row}/stacktrace")] {
        assert!(two.get(&path).await.status >= 400, "{path}");
    }
}

#[tokio::test]
async fn nothing_is_deployed_for_another() {
    let app = TestApp::new().await;
    let (one, two) = (app.of("ann", &["one"]), app.of("bob", &["two"]));
    let model = two_tasks("walk");
    let reply = two.upload(&[("data", Some("process.bpmn"), &model), ("tenant-id", None, "one")]).await;
    assert!(reply.status >= 400, "{} {}", reply.status, reply.text);
    assert_eq!(one.get("/process-definition").await.json(), json!([]));
    two.deploy(&model, Some("two")).await;
    assert_eq!(one.get("/process-definition").await.json(), json!([]));
}

/// All is as it was.
async fn unharmed(c: &Client, own: &Things) {
    assert_eq!(c.get(&format!("/batch/{}", own.batch)).await.json()["suspended"], json!(false));
    let job = c.get(&format!("/job/{}", own.job)).await.json();
    assert_eq!((&job["retries"], &job["suspended"], &job["priority"]), (&json!(0), &json!(false), &json!(0)));
    assert_eq!(c.get(&format!("/job-definition/{}", own.job_definition)).await.json()["suspended"], json!(false));
    let instance = c.get(&format!("/process-instance/{}", own.instance)).await.json();
    assert_eq!((&instance["suspended"], &instance["definitionId"]), (&json!(false), &json!(own.definition)));
    assert_eq!(c.get(&format!("/process-definition/{}", own.definition)).await.json()["suspended"], json!(false));
    assert_eq!(c.get(&format!("/task/{}", own.task)).await.json()["assignee"], Value::Null);
    assert_eq!(c.get(&format!("/incident/{}", own.incident)).await.json()["annotation"], Value::Null);
}
