//! The API over a SQLite file and the in-process queue, with a worker of each kind in the background.

use std::sync::Arc;
use std::time::Duration;

use api::auth::{Authenticator, authenticate, hash_token};
use api::{ApiState, Limits};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, header};
use axum::middleware::from_fn_with_state;
use serde_json::{Value, json};
use shared::queue::{Address, Consumer, MemoryQueue, Message, Queue, QueueName};
use shared::store::sql::{StoreOptions, open_sql};
use shared::store::{RunDue, Store};
use shared::work::{Publisher, Steps};
use tower::ServiceExt;

/// How long a test waits for a state.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct TestApp {
    pub router: Router,
    directory: Arc<tempfile::TempDir>,
}

pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Reply {
    /// The body as JSON, null when it is empty.
    pub fn json(&self) -> Value {
        if self.text.is_empty() { Value::Null } else { serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text)) }
    }
}

impl TestApp {
    pub async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub async fn with(limits: Limits) -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let url = format!("sqlite:{}", directory.path().join("test.db").display());
        let store: Arc<dyn Store> = Arc::new(open_sql(&url, StoreOptions::default()).await.unwrap());
        let queue: Arc<dyn Queue> = Arc::new(MemoryQueue::new(10_000));
        let (publisher, publishing) = Publisher::new(queue.clone());
        spawn(publishing);
        let steps = Steps::new(store.clone(), queue.clone());
        for name in [QueueName::Seed, QueueName::Exec, QueueName::Monitor] {
            let consumer = queue.consume(name, 50).await.unwrap();
            spawn(work(consumer, steps.clone(), store.clone(), queue.clone()));
        }
        let router = api::router(ApiState::new(store, queue, publisher, limits));
        Self { router, directory }
    }

    /// The same server, asked by somebody who logs in: what he may touch is what his line says.
    pub fn of(&self, user: &str, tenants: &[&str]) -> Client {
        let tenants = if tenants.is_empty() { "none".to_owned() } else { tenants.join(",") };
        self.with_users(&format!("{user} {} tenants={tenants}", hash_token(user)), Some(user))
    }

    /// The same server with these users, asked with this token.
    pub fn with_users(&self, users: &str, token: Option<&str>) -> Client {
        let users = Arc::new(Authenticator::new(users).unwrap());
        let router = self.router.clone().layer(from_fn_with_state(users, authenticate));
        Client { router, token: token.map(str::to_owned), _directory: self.directory.clone() }
    }

    pub fn client(&self) -> Client {
        Client { router: self.router.clone(), token: None, _directory: self.directory.clone() }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test ends with its runtime, and its tasks with it")]
fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

async fn work(mut consumer: Box<dyn Consumer>, steps: Steps, store: Arc<dyn Store>, queue: Arc<dyn Queue>) {
    while let Some(delivery) = consumer.next().await {
        match delivery.message().address.clone() {
            Address::Seed { batch } => drop(steps.seed(&batch).await.unwrap()),
            Address::Execute { batch, number } => drop(steps.execute(vec![shared::job::WorkRef::new(batch, number)]).await.unwrap()),
            Address::Monitor { batch } => drop(steps.monitor(&batch).await.unwrap()),
            Address::Instance { instance } => {
                let again = match store.run_due_job(&instance).await.unwrap() {
                    RunDue::Ran { more } | RunDue::Failed { more, .. } => more,
                    RunDue::Idle | RunDue::Careful | RunDue::Gone => false,
                };
                if again {
                    queue.publish(&[Message::to(Address::Instance { instance })]).await;
                }
            }
            Address::Timer { .. } => {}
        }
        delivery.ack().await;
    }
}

/// Keeps the database's directory as long as it is there.
#[derive(Clone)]
pub struct Client {
    router: Router,
    token: Option<String>,
    _directory: Arc<tempfile::TempDir>,
}

impl Client {
    pub async fn send(&self, mut request: Request<Body>) -> Reply {
        if let Some(token) = &self.token {
            let value = format!("Bearer {token}").parse().unwrap();
            request.headers_mut().entry(header::AUTHORIZATION).or_insert(value);
        }
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
        Reply { status: parts.status.as_u16(), headers: parts.headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }

    /// `"GET /batch"`, below `/engine-rest`; a body that is not null goes as JSON.
    pub async fn call(&self, what: &str, body: Value) -> Reply {
        let raw = if body.is_null() { String::new() } else { body.to_string() };
        let kind = if body.is_null() { None } else { Some("application/json") };
        self.raw(what, kind, raw).await
    }

    pub async fn raw(&self, what: &str, content_type: Option<&str>, body: impl Into<Body>) -> Reply {
        let (method, path) = what.split_once(' ').unwrap();
        let mut request = Request::builder().method(method.parse::<Method>().unwrap()).uri(format!("/engine-rest{path}"));
        if let Some(kind) = content_type {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        self.send(request.body(body.into()).unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(&format!("GET {path}"), Value::Null).await
    }

    /// Asks again until the answer is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Reply) -> bool) -> Reply {
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let reply = self.get(path).await;
                if wanted(&reply) {
                    return reply;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        waited.await.unwrap_or_else(|_| panic!("waited in vain for {path}"))
    }

    /// Deploys one file; gives the id of its definition.
    pub async fn deploy(&self, xml: &str, tenant: Option<&str>) -> String {
        let reply = self.upload(&[("data", Some("process.bpmn"), xml), ("tenant-id", None, tenant.unwrap_or_default())]).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["deployedProcessDefinitions"].as_object().unwrap().keys().next().unwrap().clone()
    }

    /// Parts: (name, file name, content).
    pub async fn upload(&self, parts: &[(&str, Option<&str>, &str)]) -> Reply {
        let mut body = String::new();
        for (name, file, content) in parts {
            let file = file.map(|f| format!("; filename=\"{f}\"")).unwrap_or_default();
            body += &format!("--mark\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{content}\r\n");
        }
        body += "--mark--\r\n";
        self.raw("POST /deployment/create", Some("multipart/form-data; boundary=mark"), body).await
    }

    pub async fn start(&self, definition: &str) -> String {
        let reply = self.call(&format!("POST /process-definition/{definition}/start"), json!({})).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        reply.json()["id"].as_str().unwrap().to_owned()
    }
}

/// `task1` then `task2`; `key` is its own for each test.
pub fn two_tasks(key: &str) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="test">
  <process id="{key}" isExecutable="true" name="Two tasks">
    <startEvent id="start"/>
    <sequenceFlow id="f1" sourceRef="start" targetRef="task1"/>
    <userTask id="task1" name="First"/>
    <sequenceFlow id="f2" sourceRef="task1" targetRef="task2"/>
    <userTask id="task2" name="Second"/>
    <sequenceFlow id="f3" sourceRef="task2" targetRef="end"/>
    <endEvent id="end"/>
  </process>
</definitions>"#
    )
}

/// A plan that maps `from` to itself.
pub fn plan(source: &str, target: &str, from: &str) -> Value {
    json!({"sourceProcessDefinitionId": source, "targetProcessDefinitionId": target,
        "instructions": [{"sourceActivityIds": [from], "targetActivityIds": [from]}]})
}
