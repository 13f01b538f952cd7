//! Real processes in tests: started, asked, signalled, waited for; and rows held against them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::config::Settings;
use crate::queue::{AmqpBounds, AmqpQueue, Message, Queue, QueueName};
use crate::testing::broker::{Client, shared_url};
use crate::testing::database::TestDatabase;
use crate::testing::queue_suite::{publish, until};

/// Whatever is to happen has happened by then.
const SOON: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// A process under test, killed when dropped.
pub struct RunningProcess {
    child: Child,
    admin: SocketAddr,
    log: NamedTempFile,
}

impl RunningProcess {
    /// Starts a binary with nothing in its environment but this.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(binary: &str, environment: &[(&str, &str)]) -> Self {
        let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr()).expect("a free port");
        let log = NamedTempFile::new().expect("a file for the log");
        let mut command = Command::new(binary);
        command.env_clear().envs(environment.iter().copied()).env("ADMIN_ADDR", free.to_string()).env("LOG_FORMAT", "json");
        let output = || Stdio::from(log.reopen().expect("the log file"));
        let child = command.stdin(Stdio::null()).stdout(output()).stderr(output()).spawn().expect("the binary starts");
        Self { child, admin: free, log }
    }

    /// Status and body of one of its admin endpoints; None while it does not answer.
    pub async fn get(&self, path: &str) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(self.admin).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1;
        Some((status, serde_json::from_str(body).unwrap_or_else(|_| Value::from(body))))
    }

    /// Waits until an endpoint answers so.
    ///
    /// # Panics
    /// When it does not in time; with the process's log.
    pub async fn until(&self, path: &str, what: &str, holds: impl Fn(u16, &Value) -> bool) {
        let deadline = Instant::now() + SOON;
        loop {
            let answer = self.get(path).await;
            if answer.as_ref().is_some_and(|(status, body)| holds(*status, body)) {
                return;
            }
            assert!(Instant::now() < deadline, "not in time: {what}; {path} answers {answer:?}\n{}", self.log());
            sleep(POLL).await;
        }
    }

    /// Sends a signal: `TERM`, `INT`, `KILL`, `STOP`, `CONT`.
    ///
    /// # Panics
    /// When the process is gone.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success(), "the process is gone\n{}", self.log());
    }

    /// Its exit code; None when a signal ended it.
    ///
    /// # Panics
    /// When it does not end in time.
    pub async fn exit_code(&mut self, within: Duration) -> Option<i32> {
        let deadline = Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process can be waited for") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it did not end within {within:?}\n{}", self.log());
            sleep(POLL).await;
        }
    }

    /// What it has logged.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log.path()).unwrap_or_default()
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Holds all rows of batches' work, so that whoever works on them waits; until dropped.
///
/// # Panics
/// When the database cannot be reached.
pub async fn hold_work(url: &str) -> PgConnection {
    let mut connection = PgConnection::connect(url).await.expect("the test's database");
    connection.execute("BEGIN; LOCK TABLE batch, chunk, run, job IN ACCESS EXCLUSIVE MODE").await.expect("the lock");
    connection
}

/// A worker stops when it is asked to (exit code 0), and at once when it is asked twice (130), whatever it has in hand.
/// `message` is what it waits over when the rows are held.
///
/// # Panics
/// When it does not.
pub async fn a_worker_stops_as_asked(binary: &str, queue: QueueName, message: Message) {
    let (database, broker) = (TestDatabase::postgres().await, shared_url());
    let environment = [("DATABASE_URL", database.url.as_str()), ("AMQP_URL", broker.expose())];

    let mut worker = RunningProcess::start(binary, &environment);
    worker.until("/readyz", "it is ready", |status, _| status == 200).await;
    worker.until("/metrics", "its loops are told", |_, body| body.as_str().is_some_and(|text| text.contains("drover_loop"))).await;
    worker.signal("TERM");
    assert_eq!(worker.exit_code(SOON).await, Some(0), "{}", worker.log());

    let mut worker = RunningProcess::start(binary, &environment);
    worker.until("/readyz", "it is ready", |status, _| status == 200).await;
    let held = hold_work(&database.url).await;
    let publisher = AmqpQueue::open(&broker, &AmqpBounds::from(&Settings::defaults()));
    until("the broker is reached", || std::future::ready(publisher.ready())).await;
    publish(&publisher, &[message]).await;
    worker.until("/healthz", "it works on the message", |_, body| is_running(body, queue.name())).await;
    worker.signal("TERM");
    worker.until("/readyz", "it is stopping", |status, body| status == 503 && body["stopping"] == true).await;
    worker.signal("TERM");
    assert_eq!(worker.exit_code(Duration::from_secs(2)).await, Some(130), "{}", worker.log());
    drop(held);
    publisher.close().await;
    let client = Client::connect(&broker).await.expect("the test's broker");
    client.purge(queue).await.expect("purged");
    client.close().await;
}

/// A worker whose database and broker are away is alive and not ready, says why, and stops when it is asked to.
///
/// # Panics
/// When it does not.
pub async fn a_worker_waits_for_what_is_away(binary: &str) {
    let environment = [("DATABASE_URL", "postgres://127.0.0.1:1/drover"), ("AMQP_URL", "amqp://127.0.0.1:1")];
    let mut worker = RunningProcess::start(binary, &environment);
    worker.until("/healthz", "it is alive", |status, _| status == 200).await;
    worker.until("/readyz", "it says what is away", |status, body| status == 503 && body["checks"]["store"]["ok"] == false).await;
    worker.signal("INT");
    assert_eq!(worker.exit_code(SOON).await, Some(0), "{}", worker.log());
}

fn is_running(health: &Value, name: &str) -> bool {
    health["loops"].as_array().is_some_and(|loops| loops.iter().any(|l| l["name"] == name && l["running"] == true))
}
