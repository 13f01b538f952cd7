//! No process shows a secret: not in what it prints, logs or answers, at any log level, whatever fails.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests: a failure is a panic")]

mod support;

use std::process::{Command, Stdio};

use shared::testing::broker::shared_url;
use shared::testing::database::TestDatabase;
use shared::testing::process::RunningProcess;
use support::binaries;

/// Part of every secret in these tests, as it is and as URLs spell it.
const MARK: &str = "m4rked";
const ROLES: [&str; 4] = ["api", "seed-worker", "exec-worker", "monitor-worker"];

fn assert_silent(what: &str, text: &str) {
    if let Some(line) = text.lines().find(|line| line.contains(MARK)) {
        panic!("{what} shows a secret: {line}");
    }
}

/// Runs to its end, which must come by itself.
fn run(binary: &str, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let mut command = Command::new(binaries().join(binary));
    command.args(arguments).env_clear().envs(environment.iter().copied()).env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1");
    let output = command.stdin(Stdio::null()).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// `host:port` of a URL.
fn authority(url: &str) -> &str {
    url.rsplit('@').next().unwrap().split('/').next().unwrap()
}

#[test]
fn what_cannot_start_says_why_without_its_secrets() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "mysql://u:m4rked@db/x").unwrap();
    let file = file.path().to_str().unwrap();
    let good = ("AMQP_URL", "amqp://u:m4rked@127.0.0.1:1");
    let cases: [&[(&str, &str)]; 11] = [
        &[("DATABASE_URL", "postgres://u:m4rked@127.0.0.1:notaport/x"), good],
        &[("DATABASE_URL", "postgres://u:m4rked@[::1/x"), good],
        &[("DATABASE_URL", "postgres://u:m4rked@h/x?sslmode=nonsense&password=m4rked"), good],
        &[("DATABASE_URL", "postgres://u:m4r%6Bed m4rked@h/x?sslrootcert=/nowhere"), good],
        &[("DATABASE_URL", "mysql://u:m4rked@h/x"), good],
        &[("DATABASE_URL", "m4rked"), good],
        &[("DATABASE_URL_FILE", file), good],
        &[("DATABASE_URL", "sqlite:x?password=m4rked"), good],
        &[("DATABASE_URL", "postgres://u:m4rked@h/x"), ("AMQP_URL", "http://u:m4rked@h")],
        &[("DATABASE_URL", "postgres://u:m4rked@h/x"), ("DATABASE_URL_FILE", file)],
        &[("DATABASE_URL", "postgres://u:m4rked@h/x"), good, ("DROVER_ENGINE", "http://u:m4rked@h/engine-rest")],
    ];
    for environment in cases {
        for role in ROLES {
            let shown = run(role, &[], environment);
            assert!(!shown.is_empty());
            assert_silent(&format!("{role} with {environment:?}"), &shown);
        }
        for arguments in [&["schema", "migrate"][..], &["schema", "status"]] {
            assert_silent(&format!("drover {arguments:?} with {environment:?}"), &run("drover", arguments, environment));
        }
    }
    for users in ["ann m4rked tenants=*", "ann $argon2id$v=19$m4rked tenants=*", "ann sha256:m4rked tenants=*"] {
        let directory = tempfile::tempdir().unwrap();
        let database = format!("sqlite:{}", directory.path().join("x.db").display());
        assert_silent(
            users,
            &run("drover", &["serve"], &[("AUTH_USERS", users), ("DATABASE_URL", &database), ("LISTEN_ADDR", "127.0.0.1:0")]),
        );
    }
    let url = ["--database-url=postgres://u:m4rked@h/x", "--database-url", "postgres://u:m4rked@h/x", "--auth-users=m4rked"];
    for binary in ROLES.into_iter().chain(["drover"]) {
        for arguments in [&url[..1], &url[1..3], &url[3..]] {
            assert_silent(binary, &run(binary, arguments, &[]));
        }
    }
}

#[test]
fn help_shows_no_secret_of_the_environment() {
    let secrets = [
        ("DATABASE_URL", "postgres://u:m4rked@h/x"),
        ("AMQP_URL", "amqp://u:m4rked@h"),
        ("RABBITMQ_URL", "amqp://u:m4rked@h"),
        ("CLOUDAMQP_URL", "amqp://u:m4rked@h"),
        ("AUTH_USERS", "ann m4rked tenants=*"),
        ("DROVER_ENGINE", "http://u:m4rked@h"),
        ("DROVER_PASSWORD", "m4rked"),
        ("DROVER_TOKEN", "m4rked"),
    ];
    for binary in ROLES.into_iter().chain(["drover"]) {
        let shown = run(binary, &["--help"], &secrets);
        assert!(shown.contains("--database-url"), "{shown}");
        assert_silent(binary, &shown);
        assert_silent(binary, &run(binary, &["--nonsense"], &secrets));
    }
    for command in ["serve", "demo", "healthcheck", "schema", "user"] {
        assert_silent(command, &run("drover", &[command, "--help"], &secrets));
    }
}

/// A role with this database and broker; what it has printed and answered.
async fn lives(role: &str, database: &str, broker: &str, ready: bool) {
    let binary = binaries().join(role);
    let environment =
        [("DATABASE_URL", database), ("AMQP_URL", broker), ("RUST_LOG", "trace"), ("LISTEN_ADDR", "127.0.0.1:0"), ("AUTH_USERS", USERS)];
    let mut process = RunningProcess::start(binary.to_str().unwrap(), &environment);
    let mut told = String::new();
    process
        .until("/readyz", "it says how its servers are", |_, body| {
            let (store, queue) = (&body["checks"]["store"], &body["checks"]["queue"]);
            let reason = |check: &serde_json::Value| check["reason"].as_str().is_some_and(|reason| !reason.ends_with("yet"));
            if ready { store["ok"] == true } else { reason(store) || reason(queue) }
        })
        .await;
    // The broker's refusal takes a moment longer than the database's answer.
    if ready {
        process.until("/readyz", "the broker refuses it", |_, body| body["checks"]["queue"]["ok"] == false).await;
    }
    for path in ["/readyz", "/healthz", "/metrics"] {
        told += &format!("{:?}\n", process.get(path).await);
    }
    process.signal("TERM");
    process.exit_code(std::time::Duration::from_secs(30)).await;
    assert!(process.log().len() > 500, "at this level it says a lot: {}", process.log());
    assert_silent(role, &told);
    assert_silent(role, &process.log());
}

const USERS: &str = "ann sha256:0000000000000000000000000000000000000000000000000000000000000000 tenants=*";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_away_or_refuse_are_told_of_without_secrets() {
    let database = TestDatabase::postgres().await;
    let (server, broker) = (database.url.clone(), shared_url());
    // It trusts everybody, and so takes this password; the broker refuses it.
    let taken = server.replacen("drover@", "drover:m4rked@", 1);
    assert!(taken.contains(MARK), "{taken}");
    let refused = format!("amqp://guest:m4rked@{}/%2f", authority(broker.expose()));
    let (no_database, no_broker) = ("postgres://u:m4rked@127.0.0.1:1/x?application_name=m4rked", "amqp://u:m4rked@127.0.0.1:1/v");
    for role in ROLES {
        lives(role, no_database, no_broker, false).await;
        lives(role, &taken, &refused, true).await;
    }
    let missing = taken.replacen("/drover?", "/nowhere?", 1);
    for role in ROLES {
        let shown = run(role, &[], &[("DATABASE_URL", missing.as_str()), ("AMQP_URL", no_broker)]);
        assert!(shown.contains("nowhere"), "{shown}");
        assert_silent(role, &shown);
    }
    database.remove().await;
}
