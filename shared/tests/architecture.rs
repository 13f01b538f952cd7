//! The arrows between the crates, and what may stand where (ARCHITECTURE.md, invariants 10 to 13).

#![expect(clippy::unwrap_used, reason = "tests: a failure is a panic")]

use std::fs;
use std::path::{Path, PathBuf};

const ROLES: [&str; 4] = ["api", "seed-worker", "exec-worker", "monitor-worker"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The workspace crates among the dependencies of a crate (tests' own excepted).
fn arrows(krate: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(krate).join("Cargo.toml")).unwrap();
    let wanted = text.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap().to_owned();
    let names = ROLES.into_iter().chain(["shared", "drover", "cli"]);
    names.filter(|name| wanted.lines().any(|line| line.split(['.', ' ', '=']).next() == Some(name))).map(str::to_owned).collect()
}

fn sources(under: &Path) -> Vec<PathBuf> {
    if under.is_file() {
        return vec![under.to_path_buf()];
    }
    let mut found = vec![];
    for entry in fs::read_dir(under).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The code of a file: without comments, and without its tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let text = text.split("#[cfg(test)]\nmod").next().unwrap();
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn offenders(under: &[PathBuf], forbidden: &[&str]) -> Vec<String> {
    let files = under.iter().flat_map(|dir| sources(dir));
    files
        .flat_map(|file| {
            let code = code(&file);
            forbidden
                .iter()
                .filter(move |word| code.contains(**word))
                .map(move |word| format!("{}: {word}", file.display()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn no_role_imports_another() {
    assert_eq!(arrows("shared"), Vec::<String>::new());
    for role in ROLES {
        assert_eq!(arrows(role), ["shared"], "{role}");
    }
    let mut expected: Vec<String> = ROLES.into_iter().map(str::to_owned).collect();
    expected.push("shared".into());
    assert_eq!(arrows("cli"), expected);
}

#[test]
fn the_pure_modules_do_no_io_read_no_clock_and_are_not_async() {
    let pure: Vec<PathBuf> =
        ["process", "runner", "migration", "batch.rs", "job.rs"].iter().map(|m| root().join("shared/src").join(m)).collect();
    assert!(pure.iter().all(|p| p.exists()));
    let forbidden = [
        "async fn",
        ".await",
        "tokio",
        "sqlx",
        "lapin",
        "axum",
        "std::fs",
        "std::io",
        "std::net",
        "std::env",
        "std::thread",
        "SystemTime",
        "Instant::now",
        "Utc::now",
        "Local::now",
        "now_v7",
        "new_v4",
        "rand::",
        "crate::store",
        "crate::queue",
        "crate::work",
        "crate::config",
        "crate::service",
    ];
    assert_eq!(offenders(&pure, &forbidden), Vec::<String>::new());
}

#[test]
fn sql_and_amqp_stand_in_one_place_each() {
    let all: Vec<PathBuf> = ["api/src", "seed-worker/src", "exec-worker/src", "monitor-worker/src", "cli/src", "shared/src"]
        .iter()
        .flat_map(|dir| sources(&root().join(dir)))
        .filter(|path| !path.to_string_lossy().contains("/testing/"))
        .collect();
    let outside = |home: &str| all.iter().filter(|p| !p.to_string_lossy().contains(home)).cloned().collect::<Vec<_>>();
    assert_eq!(offenders(&outside("/shared/src/store/"), &["sqlx::", "SELECT ", "INSERT INTO "]), Vec::<String>::new());
    assert_eq!(offenders(&outside("/shared/src/queue/"), &["lapin::", "deadpool_lapin", "basic_publish"]), Vec::<String>::new());
}

#[test]
fn only_the_api_spells_camundas_json() {
    let elsewhere: Vec<PathBuf> = ["seed-worker/src", "exec-worker/src", "monitor-worker/src"].iter().map(|d| root().join(d)).collect();
    assert_eq!(offenders(&elsewhere, &["Dto", "processInstanceId", "invocationsPerBatchJob"]), Vec::<String>::new());
}
