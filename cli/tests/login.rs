//! A server with users, over HTTP: who comes in, what stays open, what is refused at the start; the commands that make users.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests: a failure is a panic")]

mod support;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};
use support::{Server, TWO_TASKS, order};

const DROVER: &str = env!("CARGO_BIN_EXE_drover");

fn run(arguments: &[&str], environment: &[(&str, &str)], input: &str) -> Output {
    let mut child = Command::new(DROVER)
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn hash(password: &str) -> String {
    let output = run(&["user", "hash"], &[], &format!("{password}\n"));
    assert!(output.status.success() && !text(&output.stderr).contains(password), "{output:?}");
    text(&output.stdout).trim().to_owned()
}

/// A token and its hash.
fn token() -> (String, String) {
    let shown = text(&run(&["user", "token"], &[], "").stdout);
    let word = |name: &str| shown.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    (word("token "), word("hash "))
}

/// One user's way in.
struct Who<'a> {
    server: &'a Server,
    user: &'a str,
    secret: &'a str,
}

impl Who<'_> {
    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = reqwest::Client::new().request(method.parse().unwrap(), format!("{}/engine-rest{path}", self.server.url));
        let request = if body.is_null() { request } else { request.json(&body) };
        let request =
            if self.user.is_empty() { request.bearer_auth(self.secret) } else { request.basic_auth(self.user, Some(self.secret)) };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    async fn deploy(&self, tenant: &str) -> String {
        let file = reqwest::multipart::Part::text(TWO_TASKS).file_name("process.bpmn");
        let form = reqwest::multipart::Form::new().text("deployment-name", "test").text("tenant-id", tenant.to_owned()).part("data", file);
        let url = format!("{}/engine-rest/deployment/create", self.server.url);
        let response = reqwest::Client::new().post(url).basic_auth(self.user, Some(self.secret)).multipart(form).send().await.unwrap();
        let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        body["deployedProcessDefinitions"].as_object().unwrap().keys().next().unwrap().clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_of_two_tenants_and_a_reader_share_a_server() {
    let data = tempfile::tempdir().unwrap();
    let (secret, token_hash) = token();
    let file = data.path().join("users");
    let lines = format!(
        "# made by a test\nann {} tenants=one\nbob {} tenants=two\nrita {token_hash} tenants=one,two read-only\n",
        hash("ann's password"),
        hash("bob's: password")
    );
    std::fs::write(&file, lines).unwrap();
    let server = Server::start(data.path(), &[("AUTH_FILE", file.to_str().unwrap())]).await;
    let who = |user, secret| Who { server: &server, user, secret };
    let (ann, bob, rita) = (who("ann", "ann's password"), who("bob", "bob's: password"), who("", secret.as_str()));

    let nobody = reqwest::get(format!("{}/engine-rest/batch", server.url)).await.unwrap();
    assert_eq!((nobody.status().as_u16(), &nobody.headers()["www-authenticate"]), (401, &"Basic realm=\"default\"".parse().unwrap()));
    for (path, status) in [("/healthz", 200), ("/readyz", 200), ("/metrics", 401)] {
        assert_eq!(reqwest::get(format!("{}{path}", server.url)).await.unwrap().status().as_u16(), status, "{path}");
    }
    assert_eq!(who("ann", "guess").send("GET", "/batch", Value::Null).await.0, 401);

    let definition = ann.deploy("one").await;
    let (status, instance) = ann.send("POST", &format!("/process-definition/{definition}/start"), json!({})).await;
    assert_eq!(status, 200, "{instance}");
    let mut plan = order(&definition, &definition, &["second"]);
    plan["processInstanceIds"] = json!([instance["id"]]);
    let (status, batch) = ann.send("POST", "/migration/executeAsync", plan.clone()).await;
    assert_eq!((status, &batch["createUserId"], &batch["tenantId"]), (200, &json!("ann"), &json!("one")), "{batch}");

    let of_batch = format!("/batch/{}", batch["id"].as_str().unwrap());
    let of_instance = format!("/process-instance/{}", instance["id"].as_str().unwrap());
    for path in [&of_batch, &of_instance, &format!("/process-definition/{definition}")] {
        assert_eq!(bob.send("GET", path, Value::Null).await.0, 404, "{path}");
        assert_eq!(rita.send("GET", path, Value::Null).await.0, 200, "{path}");
        assert!(bob.send("DELETE", path, Value::Null).await.0 >= 400, "{path}");
        assert_eq!(rita.send("DELETE", path, Value::Null).await.0, 403, "{path}");
    }
    assert_eq!(rita.send("POST", "/migration/executeAsync", plan).await.0, 403);
    assert_eq!(rita.send("POST", "/process-instance/count", json!({})).await, (200, json!({"count": 1})));
    assert_eq!(bob.send("POST", "/process-instance/count", json!({})).await, (200, json!({"count": 0})));
    assert_eq!(ann.send("GET", &of_batch, Value::Null).await.0, 200, "nobody has touched it");
}

#[test]
fn an_api_beyond_loopback_does_not_start_without_users() {
    let data = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", data.path().join("drover.db").display());
    let environment = [("DATABASE_URL", database.as_str()), ("LISTEN_ADDR", "0.0.0.0:0")];
    let output = run(&["serve"], &environment, "");
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for wanted in ["0.0.0.0:0", "AUTH_FILE", "AUTH_USERS", "ALLOW_UNAUTHENTICATED=true", "drover user hash"] {
        assert!(said.contains(wanted), "{wanted} in {said}");
    }
    let broken = [environment.as_slice(), &[("AUTH_USERS", "ann s3cret tenants=*")]].concat();
    let said = text(&run(&["serve"], &broken, "").stderr);
    assert!(said.contains("line 1") && !said.contains("s3cret"), "{said}");
}

#[test]
fn the_demo_logs_in_as_it_is_told() {
    let data = tempfile::tempdir().unwrap();
    let (secret, hash) = token();
    let users = format!("ann {hash} tenants=*");
    let demo = ["demo", "--exit", "--instances", "20", "--listen-addr", "127.0.0.1:0"];
    let home = data.path().to_str().unwrap();
    let output = run(&demo, &[("AUTH_USERS", &users), ("TMPDIR", home)], "");
    let said = text(&output.stderr);
    assert!(!output.status.success() && said.contains("DROVER_TOKEN"), "{said}");
    let file = data.path().join("token");
    std::fs::write(&file, &secret).unwrap();
    let output = run(&demo, &[("AUTH_USERS", &users), ("TMPDIR", home), ("DROVER_TOKEN_FILE", file.to_str().unwrap())], "");
    assert!(output.status.success() && text(&output.stdout).contains("17 migrated, 3 failed"), "{output:?}");
}
