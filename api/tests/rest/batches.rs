//! A batch as a caller lives through it: accepted, refused, done, failed, retried, deleted.

use serde_json::{Value, json};

use crate::support::{Client, TestApp, plan, two_tasks};

async fn two_versions(c: &Client, key: &str) -> (String, String) {
    (c.deploy(&two_tasks(key), None).await, c.deploy(&two_tasks(key), None).await)
}

#[tokio::test]
async fn a_batch_migrates_its_instances_and_is_history() {
    let c = TestApp::new().await.client();
    let (v1, v2) = two_versions(&c, "order").await;
    let mut ids = vec![];
    for _ in 0..5 {
        ids.push(c.start(&v1).await);
    }
    let body = json!({"migrationPlan": plan(&v1, &v2, "task1"), "processInstanceIds": [ids[0], ids[0], ids[1]],
        "processInstanceQuery": {"processDefinitionId": v1}});
    let reply = c.call("POST /migration/executeAsync", body).await;
    let batch = reply.json();
    assert_eq!((reply.status, &batch["totalJobs"], &batch["size"], &batch["jobsCreated"]), (200, &json!(5), &json!(5), &json!(0)));
    let path = format!("/batch/{}", batch["id"].as_str().unwrap());
    let gone = c.until(&path, |reply| reply.status == 404).await.json();
    let message = format!("Batch with id '{}' does not exist", batch["id"].as_str().unwrap());
    assert_eq!(gone, json!({"type": "InvalidRequestException", "message": message, "code": null}));
    let history = c.get(&format!("/history{path}")).await.json();
    assert_eq!((&history["totalJobs"], history["endTime"].is_string()), (&json!(5), true));
    assert_eq!(c.get(&format!("/process-instance/count?processDefinitionId={v2}")).await.json(), json!({"count": 5}));
}

#[tokio::test]
async fn a_failed_job_can_be_looked_at_retried_and_deleted() {
    let c = TestApp::new().await.client();
    let (v1, v2) = two_versions(&c, "failing").await;
    let pi = c.start(&v1).await;
    let body = json!({"migrationPlan": plan(&v1, &v2, "task2"), "processInstanceIds": [pi]});
    let batch = c.call("POST /migration/executeAsync", body).await.json();
    let (id, exec) = (batch["id"].as_str().unwrap(), batch["batchJobDefinitionId"].as_str().unwrap());
    let statistics = format!("/batch/statistics?batchId={id}");
    c.until(&statistics, |reply| reply.json()[0]["failedJobs"] == 1).await;
    let job = c.get(&format!("/job?jobDefinitionId={exec}")).await.json()[0].clone();
    let job_id = job["id"].as_str().unwrap();
    assert_eq!((&job["retries"], &job["batchId"], &job["processInstanceId"]), (&json!(0), &json!(id), &Value::Null));
    let incident = c.get(&format!("/incident?configuration={job_id}")).await.json();
    assert_eq!((&incident[0]["incidentType"], &incident[0]["incidentMessage"]), (&json!("failedJob"), &job["exceptionMessage"]));
    assert_eq!(c.get(&format!("/history/job-log/count?jobId={job_id}&failureLog=true")).await.json(), json!({"count": 3}));

    let by_hand = c.call(&format!("POST /job/{job_id}/execute"), Value::Null).await;
    assert_eq!((by_hand.status, &by_hand.json()["message"]), (404, &job["exceptionMessage"]), "what it fails with is what the caller gets");

    c.call(
        &format!("POST /process-instance/{pi}/modification"),
        json!({"instructions": [
        {"type": "cancel", "activityId": "task1"}, {"type": "startBeforeActivity", "activityId": "task2"}]}),
    )
    .await;
    assert_eq!(c.call(&format!("PUT /job/{job_id}/retries"), json!({"retries": 1})).await.status, 204);
    c.until(&format!("/batch/{id}"), |reply| reply.status == 404).await;
    assert_eq!(c.get(&format!("/process-instance/{pi}")).await.json()["definitionId"], json!(v2));
    let history = c.get(&format!("/history/incident?configuration={job_id}")).await.json();
    assert_eq!((&history[0]["resolved"], &history[0]["open"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn a_suspended_batch_waits_and_a_deleted_one_is_gone() {
    let c = TestApp::new().await.client();
    let (v1, v2) = two_versions(&c, "waiting").await;
    let pi = c.start(&v1).await;
    let body = json!({"migrationPlan": plan(&v1, &v2, "task2"), "processInstanceIds": [pi]});
    let batch = c.call("POST /migration/executeAsync", body).await.json();
    let id = batch["id"].as_str().unwrap();
    assert_eq!(c.call(&format!("PUT /batch/{id}/suspended"), json!({"suspended": true})).await.status, 204);
    assert_eq!(c.get(&format!("/batch/{id}")).await.json()["suspended"], json!(true));
    let definitions = c.get(&format!("/job-definition?jobConfiguration={id}")).await.json();
    assert_eq!(definitions.as_array().unwrap().iter().filter(|d| d["suspended"] == true).count(), 3);
    assert_eq!(c.call(&format!("DELETE /batch/{id}"), Value::Null).await.status, 204);
    assert_eq!(c.get(&format!("/batch/{id}")).await.status, 404);
    assert!(c.get(&format!("/history/batch/{id}")).await.json()["endTime"].is_string());
    assert_eq!(c.call(&format!("DELETE /history/batch/{id}"), Value::Null).await.status, 204);
    assert_eq!(c.get("/history/batch/count").await.json(), json!({"count": 0}));
}

/// Each body has every mistake that comes after its own in the order of checks (spec-batch-rest §3.5).
#[tokio::test]
async fn mistakes_are_told_in_the_reference_s_order() {
    let c = TestApp::new().await.client();
    let (v1, v2) = two_versions(&c, "order-of-checks").await;
    let nonsense = json!({"variables": [{"name": "n", "operator": "nonsense"}]});
    let cases = [
        (json!({}), "InvalidRequestException", json!(null), "migrationPlan is null"),
        (
            json!({"migrationPlan": {"variables": {"a": {"type": "Nonsense"}}, "instructions": [{}]}}),
            "RestException",
            json!(null),
            "Unsupported value type 'Nonsense'",
        ),
        (
            json!({"migrationPlan": {"instructions": [{}]}}),
            "InvalidRequestException",
            json!(null),
            "The value at 'instructions[0].sourceActivityIds' of the body must be an array of one activity id, and is null",
        ),
        (json!({"migrationPlan": {}}), "InvalidRequestException", json!(0), "Source process definition id is null"),
        (
            json!({"migrationPlan": {"sourceProcessDefinitionId": "nope"}}),
            "InvalidRequestException",
            json!(0),
            "ENGINE-23008 Source process definition with id 'nope' does not exist",
        ),
        (
            json!({"migrationPlan": {"sourceProcessDefinitionId": v1}}),
            "InvalidRequestException",
            json!(0),
            "Target process definition id is null",
        ),
        (
            json!({"migrationPlan": plan(&v1, "nope", "x")}),
            "InvalidRequestException",
            json!(0),
            "ENGINE-23008 Target process definition with id 'nope' does not exist",
        ),
        (
            json!({"migrationPlan": plan(&v1, &v2, "task1"), "processInstanceQuery": nonsense, "processInstanceIds": [null]}),
            "InvalidRequestException",
            json!(null),
            "Invalid variable comparator specified: nonsense",
        ),
        (
            json!({"migrationPlan": plan(&v1, &v2, "task1"), "processInstanceIds": []}),
            "BadUserRequestException",
            json!(0),
            "Process instance ids cannot empty: process instance ids is empty",
        ),
        (
            json!({"migrationPlan": plan(&v1, &v2, "task1"), "processInstanceIds": ["x", null]}),
            "BadUserRequestException",
            json!(0),
            "Process instance ids cannot be null: process instance ids contains null value",
        ),
    ];
    for (body, kind, code, message) in cases {
        let reply = c.call("POST /migration/executeAsync", body.clone()).await;
        assert_eq!((reply.status, reply.json()), (400, json!({"type": kind, "message": message, "code": code})), "{body}");
    }
    assert_eq!(c.get("/batch/count").await.json(), json!({"count": 0}), "nothing was stored");
}

#[tokio::test]
async fn an_invalid_plan_is_refused_with_its_report() {
    let c = TestApp::new().await.client();
    let (v1, v2) = two_versions(&c, "invalid").await;
    let reply = c.call("POST /migration/executeAsync", json!({"migrationPlan": plan(&v1, &v2, "nope"), "processInstanceIds": []})).await;
    let message = format!(
        "ENGINE-23001 Migration plan for process definition '{v1}' to '{v2}' is not valid:\n\t Migration instruction \
         MigrationInstructionImpl{{sourceActivityId='nope', targetActivityId='nope', updateEventTrigger='false'}} is not valid:\n\
         \t\tSource activity 'nope' does not exist\n\t\tTarget activity 'nope' does not exist\n"
    );
    let instruction = json!({"sourceActivityIds": ["nope"], "targetActivityIds": ["nope"], "updateEventTrigger": false});
    let failures = json!(["Source activity 'nope' does not exist", "Target activity 'nope' does not exist"]);
    let report = json!({"instructionReports": [{"instruction": instruction, "failures": failures}], "variableReports": {}});
    let body = json!({"type": "MigrationPlanValidationException", "message": message, "code": 0, "validationReport": report});
    assert_eq!((reply.status, reply.json()), (400, body));
}
