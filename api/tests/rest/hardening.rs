//! Hostile or clumsy requests: a clear 4xx each, and nothing stored.

use axum::http::header;
use serde_json::{Value, json};

use crate::support::{TestApp, plan, two_tasks};

const JSON: Option<&str> = Some("application/json");

#[tokio::test]
async fn what_is_no_json_or_of_another_shape_is_a_400_that_names_the_place() {
    let c = TestApp::new().await.client();
    let v1 = c.deploy(&two_tasks("shapes"), None).await;
    let deep = format!("{{\"migrationPlan\":{}}}", "[".repeat(5000));
    for (body, says) in [
        ("{\"migrationPlan\":", "EOF"),
        ("{} trailing", "trailing"),
        ("[]", "object"),
        ("null", "object"),
        ("\"\"", "object"),
        ("{\"processInstanceIds\":\"x\"}", "processInstanceIds"),
        ("{\"processInstanceIds\":[{}]}", "processInstanceIds[0]"),
        ("{\"migrationPlan\":7}", "migrationPlan"),
        ("{\"migrationPlan\":{\"instructions\":[null]}}", "instructions[0]"),
        ("{\"migrationPlan\":{\"sourceProcessDefinitionId\":{}}}", "sourceProcessDefinitionId"),
        ("{\"skipIoMappings\":\"perhaps\"}", "skipIoMappings"),
        (deep.as_str(), "recursion limit"),
    ] {
        let reply = c.raw("POST /migration/executeAsync", JSON, body.to_owned()).await;
        let shown = reply.json();
        assert_eq!((reply.status, &shown["type"]), (400, &json!("InvalidRequestException")), "{}", &body[..body.len().min(80)]);
        assert!(shown["message"].as_str().unwrap().contains(says), "{shown} should name {says}");
    }
    for body in ["null", "[1]", "{\"variables\":[{\"name\":\"n\",\"value\":1}]}", "{\"processInstanceIds\":[[]]}"] {
        assert_eq!(c.raw("POST /process-instance", JSON, body).await.status, 400, "{body}");
    }
    assert_eq!(c.call("POST /migration/validate", json!({"sourceProcessDefinitionId": v1, "instructions": "x"})).await.status, 400);
    assert_eq!(c.get("/history/batch/count").await.json(), json!({"count": 0}));
}

#[tokio::test]
async fn the_json_library_of_the_reference_is_lenient_and_so_is_this_one() {
    let c = TestApp::new().await.client();
    for (suspended, verb) in [("\"TRUE\"", "suspend"), ("5", "suspend"), ("0", "activate"), ("\"\"", "activate"), ("null", "activate")] {
        let reply = c.raw("PUT /batch/nope/suspended", JSON, format!("{{\"suspended\":false,\"suspended\":{suspended}}}")).await;
        assert_eq!(reply.json()["message"], format!("Unable to {verb} batch with id 'nope'"), "{suspended}");
    }
    let reply = c.raw("POST /migration/validate", JSON, "").await;
    assert_eq!(reply.json()["message"], "Source process definition id is null", "an empty body is {{}}");
    assert_eq!(c.call("PUT /job-definition/nope/retries", json!({"retries": "1.7"})).await.status, 400);
    assert_eq!(c.call("PUT /job-definition/nope/retries", json!({"retries": 1.7})).await.status, 204, "1.7 is 1");
}

#[tokio::test]
async fn bodies_beyond_their_bounds_are_a_413() {
    let limits = api::Limits { async_body_bytes: 1 << 20, upload_bytes: 1 << 20, ..api::Limits::default() };
    let c = TestApp::with(limits).await.client();
    let large = vec![b' '; 100 << 20];
    for what in ["POST /migration/validate", "POST /migration/executeAsync", "POST /process-instance"] {
        let reply = c.raw(what, JSON, large.clone()).await;
        assert_eq!((reply.status, &reply.json()["type"]), (413, &json!("InvalidRequestException")), "{what}");
    }
    let file = "x".repeat(2 << 20);
    assert_eq!(c.upload(&[("data", Some("notes.txt"), &file)]).await.status, 413);
    assert_eq!(c.get("/deployment/count").await.json(), json!({"count": 0}));
}

#[tokio::test]
async fn a_body_of_many_ids_is_one_batch() {
    let c = TestApp::new().await.client();
    let v1 = c.deploy(&two_tasks("many"), None).await;
    let ids: Vec<String> = (0..150_000).map(|i| format!("nobody-{i}")).collect();
    let body = json!({"migrationPlan": plan(&v1, &v1, "task1"), "processInstanceIds": ids}).to_string();
    assert!(body.len() > 2 << 20, "more than other bodies may have: {}", body.len());
    let reply = c.raw("POST /migration/executeAsync", JSON, body).await;
    assert_eq!((reply.status, &reply.json()["totalJobs"]), (200, &json!(150_000)), "{}", reply.text);
}

#[tokio::test]
async fn hostile_models_are_refused_and_nothing_is_deployed() {
    let c = TestApp::new().await.client();
    let laughs = "<?xml version=\"1.0\"?><!DOCTYPE l [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]><definitions>&b;</definitions>";
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    for xml in [laughs, deep.as_str(), "this is no XML", "<definitions", ""] {
        let reply = c.upload(&[("data", Some("a.bpmn"), xml)]).await;
        let body = reply.json();
        assert_eq!(
            (reply.status, &body["type"], &body["code"]),
            (400, &json!("ParseException"), &json!(0)),
            "{}",
            &xml[..xml.len().min(60)]
        );
        assert!(body["details"]["a.bpmn"]["errors"][0]["message"].is_string(), "{body}");
    }
    assert_eq!(c.get("/deployment/count").await.json(), json!({"count": 0}));
    assert_eq!(c.get("/process-definition/count").await.json(), json!({"count": 0}));
}

#[tokio::test]
async fn what_the_web_layer_refuses_has_the_same_shape() {
    let c = TestApp::new().await.client();
    let shape = |kind: &str, message: &str| json!({"type": kind, "message": message, "code": null});
    let reply = c.get("/nonsense").await;
    assert_eq!((reply.status, reply.json()), (404, shape("NotFoundException", "HTTP 404 Not Found")));
    let reply = c.call("POST /batch", json!({})).await;
    assert_eq!((reply.status, reply.json()), (405, shape("NotAllowedException", "HTTP 405 Method Not Allowed")));
    let reply = c.raw("POST /migration/validate", Some("text/plain"), "{}").await;
    assert_eq!((reply.status, reply.json()), (415, shape("NotSupportedException", "HTTP 415 Unsupported Media Type")));
    let reply = c.get("/batch?firstResult=x").await;
    assert_eq!((reply.status, reply.json()), (404, shape("QueryParamException", "HTTP 404 Not Found")));
    assert_eq!(c.get("/batch?maxResults=-1").await.json(), json!([]));
    let head = c.call("HEAD /batch", Value::Null).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(c.get("/batch").await.headers[header::CACHE_CONTROL], "no-cache");
}

/// Routes that read no body.
const NO_BODY: [&str; 4] =
    ["POST /external-task/{id}/unlock", "POST /job/{id}/duedate/recalculate", "POST /job/{id}/execute", "POST /task/{id}/unclaim"];

#[tokio::test]
async fn the_body_of_every_route_is_bounded_in_depth_and_size() {
    let limits = api::Limits { async_body_bytes: 1 << 20, upload_bytes: 1 << 20, ..api::Limits::default() };
    let c = TestApp::with(limits).await.client();
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100_000), "]".repeat(100_000));
    let large = format!("{{\"a\":\"{}\"}}", "x".repeat(3 << 20));
    let mut unbounded = vec![];
    for route in crate::tenants_routes::table() {
        let form = route == "POST /deployment/create";
        if route.starts_with("GET") || route.starts_with("DELETE") || form || NO_BODY.contains(&route.as_str()) {
            continue;
        }
        let parts: Vec<&str> = route.split('/').map(|part| if part.starts_with('{') { "none" } else { part }).collect();
        for (body, wanted) in [(&deep, [400, 413]), (&large, [413, 413])] {
            let reply = c.raw(&parts.join("/"), JSON, body.clone()).await;
            if !wanted.contains(&reply.status) || reply.json()["type"] != "InvalidRequestException" {
                unbounded.push(format!("{route} answers {} {} to {} bytes", reply.status, reply.text, body.len()));
            }
        }
    }
    assert!(unbounded.is_empty(), "{unbounded:#?}");
}
