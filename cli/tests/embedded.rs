//! The embedded product as a process: the demo, a restart in mid-batch, users at work meanwhile.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests: a failure is a panic")]

mod support;

use std::process::Command;

use serde_json::json;
use support::{Server, TWO_TASKS, until};

#[test]
fn the_demo_migrates_a_thousand_and_shows_why_three_failed() {
    let data = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_drover"))
        .args(["demo", "--exit", "--listen-addr", "127.0.0.1:0"])
        .current_dir(data.path())
        .output()
        .unwrap();
    let shown = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{shown}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(shown.contains("997 migrated, 3 failed"), "{shown}");
    assert!(shown.contains("2 × ") && shown.contains("1 × "), "failures are grouped by reason: {shown}");
    assert!(shown.contains("There is no migration instruction for this instance's activity"), "{shown}");
    assert!(shown.contains("curl"), "the next commands are said: {shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_in_mid_batch_goes_on_and_completes() {
    let data = tempfile::tempdir().unwrap();
    // Small seed steps, so that there is a middle.
    let server = Server::start(data.path(), &[("BATCH_JOBS_PER_SEED", "10")]).await;
    let http = server.http();
    let (v1, v2) = (http.deploy(TWO_TASKS).await, http.deploy(TWO_TASKS).await);
    for _ in 0..600 {
        http.start(&v1).await;
    }
    let batch = http.migrate_all(&v1, &v2, &["first", "second"]).await;
    let server = server.kill_and_restart().await;
    let http = server.http();
    http.until_completed(&batch).await;
    assert_eq!(http.count(&format!("/process-instance/count?processDefinitionId={v2}")).await, 600);
    assert_eq!(http.count(&format!("/process-instance/count?processDefinitionId={v1}")).await, 0);
    let log = format!("/history/job-log/count?jobDefinitionId={}&successLog=true", batch["batchJobDefinitionId"].as_str().unwrap());
    assert_eq!(http.count(&log).await, 600, "each job succeeded exactly once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_are_completed_during_a_batch() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]).await;
    let http = server.http();
    let (v1, v2) = (http.deploy(TWO_TASKS).await, http.deploy(TWO_TASKS).await);
    for _ in 0..1000 {
        http.start(&v1).await;
    }
    let tasks = http.ok(&format!("/task?processDefinitionId={v1}")).await;
    let tasks: Vec<String> = tasks.as_array().unwrap().iter().map(|t| t["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(tasks.len(), 1000);
    let batch = http.migrate_all(&v1, &v2, &["first", "second"]).await;
    let completing = tasks.chunks(250).map(|part| {
        let (http, part) = (http.clone(), part.to_vec());
        tokio::spawn(async move {
            for task in part {
                let (status, body) = http.post(&format!("/task/{task}/complete"), json!({})).await;
                assert_eq!(status, 204, "task {task}: {body}");
            }
        })
    });
    for done in completing.collect::<Vec<_>>() {
        done.await.unwrap();
    }
    http.until_completed(&batch).await;
    let seconds = format!("/task/count?processDefinitionId={v2}&taskDefinitionKey=second");
    assert_eq!(http.count(&seconds).await, 1000, "every completion moved its token on, on the target");
    assert_eq!(http.count(&format!("/task/count?processDefinitionId={v2}")).await, 1000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_page_is_answered_to_the_letter() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path(), &[]).await;
    let http = server.http();
    let (v1, v2) = (http.deploy(TWO_TASKS).await, http.deploy(TWO_TASKS).await);
    let one = http.start(&v1).await;
    let mut order = support::order(&v1, &v2, &["first"]);
    order["processInstanceIds"] = json!([one]);
    let (status, batch) = http.post("/migration/executeAsync", order.clone()).await;
    assert_eq!(status, 200, "{batch}");
    let names = "id type size batchJobsPerSeed invocationsPerBatchJob seedJobDefinitionId monitorJobDefinitionId batchJobDefinitionId tenantId totalJobs";
    for name in names.split(' ') {
        assert!(batch.get(name).is_some(), "{name} in {batch}");
    }
    assert_eq!((&batch["size"], &batch["totalJobs"], &batch["type"]), (&json!(1), &json!(1), &json!("instance-migration")));

    order["migrationPlan"]["instructions"] = json!([{"sourceActivityIds": ["first"], "targetActivityIds": ["nope"]}]);
    let (status, refused) = http.post("/migration/executeAsync", order).await;
    assert_eq!((status, &refused["type"]), (400, &json!("MigrationPlanValidationException")), "{refused}");
    assert_eq!(refused["validationReport"]["instructionReports"][0]["failures"], json!(["Target activity 'nope' does not exist"]));
    let unknown = support::order("nope", &v2, &["first"]);
    let (status, refused) = http.post("/migration/executeAsync", unknown).await;
    assert_eq!((status, &refused["type"]), (400, &json!("InvalidRequestException")), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_as_asked_and_keeps_its_data() {
    let data = tempfile::tempdir().unwrap();
    let mut server = Server::start(data.path(), &[]).await;
    let v1 = server.http().deploy(TWO_TASKS).await;
    server.http().start(&v1).await;
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(data.path(), &[]).await;
    assert_eq!(server.http().count("/process-instance/count").await, 1);
    until("it is alive", || async { server.http().get("/../healthz").await.0 == 200 }).await;
}
