//! Upgrades as an operator does them: a role refuses a schema that it does not know, `drover schema migrate` migrates it.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests: a failure is a panic")]

mod support;

use std::process::{Command, Output};

use shared::store::sql::{migrate_schema_to, schema_status};
use shared::testing::database::EmptyDatabase;
use shared::testing::process::RunningProcess;
use support::binaries;

const ROLES: [&str; 4] = ["api", "seed-worker", "exec-worker", "monitor-worker"];

fn run(binary: &str, arguments: &[&str], database: &str) -> Output {
    let environment =
        [("DATABASE_URL", database), ("AMQP_URL", "amqp://127.0.0.1:1"), ("LISTEN_ADDR", "127.0.0.1:0"), ("LOG_FORMAT", "json")];
    Command::new(binaries().join(binary)).args(arguments).env_clear().envs(environment).output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_refuse_a_schema_that_they_do_not_know_until_it_is_migrated() {
    let database = EmptyDatabase::postgres().await;
    let url = database.url.as_str();
    let known = schema_status(url).await.unwrap().known;
    for version in [0, 2] {
        if version > 0 {
            migrate_schema_to(url, version).await.unwrap();
        }
        for role in ROLES.into_iter().chain(["drover"]) {
            let output = run(role, &[], url);
            let text = said(&output);
            assert_eq!(output.status.code(), Some(1), "{role}: {text}");
            assert!(text.contains("run `drover schema migrate`") && text.contains(&format!("version {known}")), "{role}: {text}");
            let logged =
                text.lines().any(|line| line.starts_with('{') && line.contains("\"ERROR\"") && line.contains("drover schema migrate"));
            assert!(logged, "it is in the log too: {text}");
        }
        let status = run("drover", &["schema", "status"], url);
        assert_eq!(status.status.code(), Some(1), "{}", said(&status));
    }
    let migrated = run("drover", &["schema", "migrate"], url);
    assert!(migrated.status.success() && said(&migrated).contains(&format!("from schema version 2 to {known}")), "{}", said(&migrated));
    let again = run("drover", &["schema", "migrate"], url);
    assert!(again.status.success() && said(&again).contains("up to date"), "{}", said(&again));
    let status = run("drover", &["schema", "status"], url);
    assert!(status.status.success() && said(&status).contains(&format!("at version {known}")), "{}", said(&status));

    let binary = binaries().join("seed-worker");
    let worker = RunningProcess::start(binary.to_str().unwrap(), &[("DATABASE_URL", url), ("AMQP_URL", "amqp://127.0.0.1:1")]);
    worker.until("/readyz", "its database is ready", |_, body| body["checks"]["store"]["ok"] == true).await;
    drop(worker);

    let sql = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (1000, 'later', TRUE, 'x', 1)";
    database.raw().await.execute(sql).await;
    for (role, arguments) in [("exec-worker", &[][..]), ("drover", &["schema", "migrate"]), ("drover", &["schema", "status"])] {
        let output = run(role, arguments, url);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(1), "{role}: {text}");
        assert!(text.contains("at version 1000") && text.contains(&format!("knows it up to version {known}")), "{role}: {text}");
    }
    database.remove().await;
}
