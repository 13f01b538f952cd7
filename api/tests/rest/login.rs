//! Who must log in, who may only read, and whose name stands on what was done.

use std::collections::BTreeSet;

use api::auth::{hash_password, hash_token};
use axum::body::Body;
use axum::http::{Request, header};
use base64::Engine as _;
use serde_json::{Value, json};

use crate::support::{Client, Reply, TestApp, plan, two_tasks};
use crate::tenants_routes::table;

/// POSTs that change nothing; each of the lists has a count beside it.
const ONLY_ASKED: [&str; 14] = [
    "/job",
    "/job-definition",
    "/process-instance",
    "/task",
    "/external-task",
    "/variable-instance",
    "/execution",
    "/history/job-log",
    "/history/process-instance",
    "/history/activity-instance",
    "/history/variable-instance",
    "/history/detail",
    "/history/incident",
    "/history/task",
];

/// The request of a route, with an id that nothing has.
fn request(route: &str) -> String {
    let parts = route.split('/').map(|part| if part.starts_with('{') { "none" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

async fn ask(c: &Client, route: &str) -> Reply {
    let body = if route.starts_with("GET") || route.starts_with("DELETE") { Value::Null } else { json!({}) };
    c.call(&request(route), body).await
}

#[tokio::test]
async fn no_route_answers_who_has_not_logged_in() {
    let app = TestApp::new().await;
    let users = format!("ann {} tenants=*", hash_token("t0ken"));
    let (nobody, wrong) = (app.with_users(&users, None), app.with_users(&users, Some("guess")));
    for (n, route) in table().iter().map(String::as_str).chain(["GET /nonsense", "GET /engine/default/batch", "POST /batch"]).enumerate() {
        // Wrong tokens are slowed down; a few will do.
        for c in [Some(&nobody), Some(&wrong).filter(|_| n < 50)].into_iter().flatten() {
            let reply = ask(c, route).await;
            assert_eq!(reply.status, 401, "{route}: {}", reply.text);
            assert_eq!(reply.headers[header::WWW_AUTHENTICATE], "Basic realm=\"default\"", "{route}");
            assert_eq!((&reply.json()["type"], &reply.json()["code"]), (&json!("NotAuthorizedException"), &Value::Null), "{route}");
        }
    }
    assert_eq!(app.with_users(&users, Some("t0ken")).get("/engine").await.status, 200);
}

#[tokio::test]
async fn who_may_only_read_can_ask_everything_and_change_nothing() {
    let app = TestApp::new().await;
    let users = format!("rita {} tenants=* read-only", hash_token("rita"));
    let reader = app.with_users(&users, Some("rita"));
    let asked: BTreeSet<String> = ONLY_ASKED
        .iter()
        .flat_map(|list| [format!("POST {list}"), format!("POST {list}/count")])
        .chain(["POST /migration/generate".to_owned(), "POST /migration/validate".to_owned()])
        .collect();
    let table = table();
    let (mut allowed, mut forbidden) = (0, 0);
    for route in &table {
        let reply = ask(&reader, route).await;
        if route.starts_with("GET") || asked.contains(route) {
            assert!(reply.status != 403 && reply.status != 401, "{route}: {}", reply.text);
            allowed += 1;
            continue;
        }
        let body = reply.json();
        assert_eq!((reply.status, &body["type"], &body["code"]), (403, &json!("AuthorizationException"), &json!(0)), "{route}: {body}");
        assert_eq!((&body["userId"], &body["missingAuthorizations"]), (&json!("rita"), &json!([])), "{route}: {body}");
        forbidden += 1;
    }
    assert!(allowed > 80 && forbidden > 60, "{allowed} {forbidden}");
    assert!(asked.iter().all(|route| table.contains(route)), "a list is no route any more");
    for disguised in ["DELETE /engine/default/batch/none", "DELETE /batch/none/", "PUT /batch/none/suspended/", "POST /history/batch/none"]
    {
        assert_eq!(ask(&reader, disguised).await.status, 403, "{disguised}");
    }
}

#[tokio::test]
async fn what_is_done_bears_the_name_of_who_did_it() {
    let app = TestApp::new().await;
    let ann = app.of("ann", &["one"]);
    let v1 = ann.deploy(&two_tasks("named"), Some("one")).await;
    let v2 = ann.deploy(&two_tasks("named"), Some("one")).await;
    let pi = ann.start(&v1).await;
    let body = json!({"migrationPlan": plan(&v1, &v2, "task1"), "processInstanceIds": [pi]});
    let batch = ann.call("POST /migration/executeAsync", body).await.json();
    assert_eq!(batch["createUserId"], "ann");
    let history = format!("/history/batch/{}", batch["id"].as_str().unwrap());
    assert_eq!(ann.get(&history).await.json()["createUserId"], "ann");
    let started = ann.get(&format!("/history/process-instance/{pi}")).await.json();
    assert_eq!(started["startUserId"], "ann");
    assert_eq!(ann.get(&format!("/task?processInstanceId={pi}")).await.json()[0]["assignee"], Value::Null);
    assert_eq!(app.client().get(&history).await.json()["createUserId"], "ann");
}

#[tokio::test]
async fn a_password_is_taken_and_guessing_is_slowed_down() {
    let app = TestApp::new().await;
    let users = format!("ann {} tenants=*", hash_password("correct horse").unwrap());
    let c = app.with_users(&users, None);
    let basic = |password: &str| {
        let login = base64::engine::general_purpose::STANDARD.encode(format!("ann:{password}"));
        let request = Request::builder().uri("/engine-rest/engine").header(header::AUTHORIZATION, format!("Basic {login}"));
        c.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(basic("correct horse").await.status, 200);
    let mut answers = vec![];
    for n in 0..6 {
        let reply = basic(&format!("guess {n}")).await;
        answers.push(reply.status);
        if reply.status == 429 {
            assert!(reply.headers[header::RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() <= 31);
            assert_eq!(reply.json()["type"], "NotAuthorizedException");
            break;
        }
    }
    assert_eq!(answers.last(), Some(&429), "{answers:?}");
    assert_eq!(basic("correct horse").await.status, 200, "who is at work is not slowed down");
}
