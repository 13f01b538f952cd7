//! What the tests of whole processes share: starting them, talking to them, waiting for a state.

#![expect(dead_code, reason = "each test file uses a part of it")]

pub mod fleet;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long a state is waited for before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(180);

pub const TWO_TASKS: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="test">
  <process id="twoTasks" isExecutable="true" camunda:historyTimeToLive="P30D">
    <startEvent id="start"/>
    <sequenceFlow id="f1" sourceRef="start" targetRef="first"/>
    <userTask id="first"/>
    <sequenceFlow id="f2" sourceRef="first" targetRef="second"/>
    <userTask id="second"/>
    <sequenceFlow id="f3" sourceRef="second" targetRef="end"/>
    <endEvent id="end"/>
  </process>
</definitions>"#;

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Where the built binaries are.
pub fn binaries() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_drover")).parent().unwrap().to_path_buf()
}

/// A `drover serve` of this test alone; ended when dropped.
pub struct Server {
    pub child: Child,
    pub url: String,
    data: PathBuf,
    settings: Vec<(String, String)>,
}

impl Server {
    /// Starts on data in `folder`, on a free port, with these environment variables.
    pub async fn start(folder: &Path, settings: &[(&str, &str)]) -> Self {
        let settings: Vec<_> = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self::start_on(folder.to_path_buf(), settings, free_port()).await
    }

    async fn start_on(data: PathBuf, settings: Vec<(String, String)>, port: u16) -> Self {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_drover"))
            .arg("serve")
            .env("DATABASE_URL", format!("sqlite:{}", data.join("drover.db").display()))
            .env("LISTEN_ADDR", format!("127.0.0.1:{port}"))
            .envs(settings.iter().cloned())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let server = Self { child, url: format!("http://127.0.0.1:{port}"), data, settings };
        let http = Http::new(&server.url);
        until("the server is ready", || async { http.get("/../readyz").await.0 == 200 }).await;
        server
    }

    pub fn http(&self) -> Http {
        Http::new(&self.url)
    }

    /// Kills it without a word, and starts it again on the same data and address.
    pub async fn kill_and_restart(mut self) -> Self {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let port = self.url.rsplit(':').next().unwrap().parse().unwrap();
        Self::start_on(self.data.clone(), std::mem::take(&mut self.settings), port).await
    }

    /// Sends SIGTERM; gives the exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.data.join("log")).unwrap_or_default();
            let lines: Vec<_> = log.lines().collect();
            eprintln!("the server's last words:\n{}", lines[lines.len().saturating_sub(40)..].join("\n"));
        }
    }
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(status.success(), "kill -{name} {pid}");
}

/// A port that nobody listens on now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Waits until it holds.
pub async fn until<F>(what: &str, holds: impl Fn() -> F)
where
    F: Future<Output = bool>,
{
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The API of a server.
#[derive(Clone)]
pub struct Http {
    client: reqwest::Client,
    root: String,
}

impl Http {
    pub fn new(url: &str) -> Self {
        Self { client: reqwest::Client::new(), root: format!("{url}/engine-rest") }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        match request.send().await {
            Ok(response) => {
                let status = response.status().as_u16();
                let text = response.text().await.unwrap_or_default();
                (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
            }
            Err(_) => (0, Value::Null),
        }
    }

    /// Status (0: not reached) and body.
    pub async fn get(&self, path: &str) -> (u16, Value) {
        self.send(self.client.get(format!("{}{path}", self.root))).await
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(self.client.post(format!("{}{path}", self.root)).json(&body)).await
    }

    /// Posts a body that stands already.
    pub async fn post_text(&self, path: &str, body: String) -> (u16, Value) {
        self.send(self.client.post(format!("{}{path}", self.root)).header("Content-Type", "application/json").body(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(self.client.put(format!("{}{path}", self.root)).json(&body)).await
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(self.client.delete(format!("{}{path}", self.root))).await
    }

    /// The body of a call that must succeed.
    pub async fn ok(&self, path: &str) -> Value {
        let (status, body) = self.get(path).await;
        assert_eq!(status, 200, "GET {path}: {body}");
        body
    }

    pub async fn count(&self, path: &str) -> u64 {
        self.ok(path).await["count"].as_u64().unwrap()
    }

    /// Deploys a process; gives status and body.
    pub async fn try_deploy(&self, xml: &str) -> (u16, Value) {
        let file = reqwest::multipart::Part::text(xml.to_owned()).file_name("process.bpmn");
        let form = reqwest::multipart::Form::new().text("deployment-name", "test").part("data", file);
        self.send(self.client.post(format!("{}/deployment/create", self.root)).multipart(form)).await
    }

    /// Deploys a process; gives its definition's id.
    pub async fn deploy(&self, xml: &str) -> String {
        let (status, body) = self.try_deploy(xml).await;
        assert_eq!(status, 200, "{body}");
        body["deployedProcessDefinitions"].as_object().unwrap().keys().next().unwrap().clone()
    }

    pub async fn start(&self, definition: &str) -> String {
        let (status, body) = self.post(&format!("/process-definition/{definition}/start"), json!({})).await;
        assert_eq!(status, 200, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Submits a migration of all instances of `source` that maps activities to themselves; gives the batch.
    pub async fn migrate_all(&self, source: &str, target: &str, activities: &[&str]) -> Value {
        let (status, batch) = self.post("/migration/executeAsync", order(source, target, activities)).await;
        assert_eq!(status, 200, "{batch}");
        batch
    }

    /// Waits until the batch is gone, as a completed one is.
    pub async fn until_completed(&self, batch: &Value) {
        let path = format!("/batch/{}", batch["id"].as_str().unwrap());
        until("the batch completes", || async { self.get(&path).await.0 == 404 }).await;
    }
}

/// The body of an executeAsync by query.
pub fn order(source: &str, target: &str, activities: &[&str]) -> Value {
    let instructions: Vec<_> = activities.iter().map(|a| json!({"sourceActivityIds": [a], "targetActivityIds": [a]})).collect();
    json!({
        "migrationPlan": {"sourceProcessDefinitionId": source, "targetProcessDefinitionId": target, "instructions": instructions},
        "processInstanceQuery": {"processDefinitionId": source}
    })
}
