//! A RabbitMQ of a test's own, to be restarted and wiped, beside any other on the machine: the distribution's package with
//! a node name, ports, cookie and folders of its own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use rand::RngExt;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::config::SecretUrl;
use crate::queue::QueueName;

/// Where the package keeps its scripts; the wrappers in `/usr/sbin` would switch user and folder.
const SCRIPTS: &str = "/usr/lib/rabbitmq/bin";
const START_TIMEOUT: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(200);
/// Free of the ephemeral range, where a client's port could take the place of a broker that restarts.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// The broker that the test command started. Shared: a test begins by emptying its queues, and runs alone.
///
/// # Panics
/// When there is none, with the command that starts one.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "only the test command knows where its broker is")]
pub fn shared_url() -> SecretUrl {
    let url = std::env::var("DROVER_TEST_AMQP");
    SecretUrl::new(url.expect("DROVER_TEST_AMQP is not set: run this test by ./test, which starts a RabbitMQ for it"))
}

/// A running node; ended, with its port mapper, when dropped.
pub struct PrivateBroker {
    folder: TempDir,
    node: String,
    port: u16,
    distribution_port: u16,
    mapper_port: u16,
    /// Where it also listens with TLS.
    tls_port: Option<u16>,
    process: Child,
}

/// What a broker shows to who connects with TLS: PEM texts.
pub struct BrokerCertificate {
    pub certificate: String,
    pub key: String,
}

impl PrivateBroker {
    /// Starts a node and waits until it takes connections: some 5 to 10 s.
    ///
    /// # Errors
    /// When RabbitMQ is not installed or does not start in time; its log is told.
    pub async fn start() -> anyhow::Result<Self> {
        Self::start_with(None).await
    }

    /// The same; with a certificate it listens with TLS too.
    ///
    /// # Errors
    /// As [`PrivateBroker::start`].
    pub async fn start_with(certificate: Option<&BrokerCertificate>) -> anyhow::Result<Self> {
        ensure!(Path::new(SCRIPTS).is_dir(), "{SCRIPTS} is missing: install the package rabbitmq-server");
        let folder = tempfile::Builder::new().prefix("drover-broker-").tempdir()?;
        std::fs::write(folder.path().join("plugins"), "[].\n")?;
        let [port, distribution_port, mapper_port] = [free_port()?, free_port()?, free_port()?];
        let tls_port = certificate.map(|certificate| listen_with_tls(folder.path(), certificate)).transpose()?;
        let node = format!("drover{port}@localhost");
        let process = server(folder.path(), &node, port, distribution_port, mapper_port)?;
        let mut broker = Self { folder, node, port, distribution_port, mapper_port, tls_port, process };
        broker.wait().await?;
        Ok(broker)
    }

    #[must_use]
    pub fn url(&self) -> SecretUrl {
        SecretUrl::new(format!("amqp://127.0.0.1:{}/%2f", self.port))
    }

    /// Its address with TLS, by this name of the machine.
    ///
    /// # Panics
    /// When it was started without a certificate.
    #[must_use]
    pub fn tls_url(&self, host: &str, password: &str) -> SecretUrl {
        let port = self.tls_port.expect("it was started with a certificate");
        SecretUrl::new(format!("amqps://guest:{password}@{host}:{port}/%2f"))
    }

    /// Kills the node (as `kill -9` does), and starts it again with what is on its disk.
    ///
    /// # Errors
    /// When it does not come back.
    pub async fn restart(&mut self) -> anyhow::Result<()> {
        self.kill();
        self.process = server(self.folder.path(), &self.node, self.port, self.distribution_port, self.mapper_port)?;
        self.wait().await
    }

    /// Empties the node: no queue, exchange or message is left.
    ///
    /// # Errors
    /// When one of the steps fails.
    pub async fn wipe(&mut self) -> anyhow::Result<()> {
        for step in ["stop_app", "reset", "start_app"] {
            let mut command = Command::new(format!("{SCRIPTS}/rabbitmqctl"));
            environment(&mut command, self.folder.path(), &self.node, self.port, self.distribution_port, self.mapper_port);
            let ended = tokio::task::spawn_blocking(move || command.args(["-q", step]).output()).await??;
            ensure!(ended.status.success(), "rabbitmqctl {step}: {}", String::from_utf8_lossy(&ended.stderr));
        }
        self.wait().await
    }

    /// Makes so many virtual hosts, each empty; their URLs.
    ///
    /// # Errors
    /// When `rabbitmqctl` fails.
    pub async fn virtual_hosts(&self, count: usize) -> anyhow::Result<Vec<SecretUrl>> {
        let all = r#"<<".*">>, <<".*">>, <<".*">>, <<"test">>"#;
        let each = format!(
            r#"V = list_to_binary("v" ++ integer_to_list(N)), rabbit_vhost:add(V, <<"test">>),
            rabbit_auth_backend_internal:set_permissions(<<"guest">>, V, {all})"#
        );
        let program = format!("lists:foreach(fun(N) -> {each} end, lists:seq(1, {count})).");
        let mut command = Command::new(format!("{SCRIPTS}/rabbitmqctl"));
        environment(&mut command, self.folder.path(), &self.node, self.port, self.distribution_port, self.mapper_port);
        let ended = tokio::task::spawn_blocking(move || command.args(["-q", "eval", &program]).output()).await??;
        ensure!(ended.status.success(), "rabbitmqctl eval: {}", String::from_utf8_lossy(&ended.stderr));
        Ok((1..=count).map(|n| SecretUrl::new(format!("amqp://127.0.0.1:{}/v{n}", self.port))).collect())
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if let Ok(client) = Client::connect(&self.url()).await {
                client.close().await;
                return Ok(());
            }
            if let Some(status) = self.process.try_wait()? {
                anyhow::bail!("RabbitMQ ended with {status}: {}", self.log());
            }
            sleep(POLL).await;
        }
        anyhow::bail!("RabbitMQ did not start within {START_TIMEOUT:?}: {}", self.log())
    }

    fn log(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("output")).unwrap_or_default();
        text.lines().rev().take(20).collect::<Vec<_>>().join(" | ")
    }

    /// Ends the node's process group.
    fn kill(&mut self) {
        let _ = Command::new("kill").args(["-9", "--", &format!("-{}", self.process.id())]).stderr(Stdio::null()).status();
        let _ = self.process.wait();
    }
}

impl Drop for PrivateBroker {
    fn drop(&mut self) {
        self.kill();
        let mut mapper = Command::new("epmd");
        mapper.args(["-port", &self.mapper_port.to_string(), "-kill"]).env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let _ = mapper.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Writes the node's configuration; the port it will listen on.
fn listen_with_tls(folder: &Path, certificate: &BrokerCertificate) -> anyhow::Result<u16> {
    let port = free_port()?;
    let path = |name: &str| folder.join(name);
    std::fs::write(path("cert.pem"), &certificate.certificate)?;
    std::fs::write(path("key.pem"), &certificate.key)?;
    let conf = format!(
        "listeners.ssl.1 = 127.0.0.1:{port}\nssl_options.certfile = {}\nssl_options.keyfile = {}\nssl_options.verify = verify_none\n\
         ssl_options.fail_if_no_peer_cert = false\n",
        path("cert.pem").display(),
        path("key.pem").display()
    );
    std::fs::write(path("rabbitmq.conf"), conf)?;
    Ok(port)
}

fn free_port() -> anyhow::Result<u16> {
    for _ in 0..200 {
        let port = rand::rng().random_range(PORTS);
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no free port in {PORTS:?}")
}

fn server(folder: &Path, node: &str, port: u16, distribution_port: u16, mapper_port: u16) -> anyhow::Result<Child> {
    use std::os::unix::process::CommandExt;
    let output = std::fs::File::create(folder.join("output"))?;
    let mut command = Command::new(format!("{SCRIPTS}/rabbitmq-server"));
    environment(&mut command, folder, node, port, distribution_port, mapper_port);
    // A group of its own, so that the Erlang node ends with the script that started it.
    command.process_group(0).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
    command.spawn().context("failed to start rabbitmq-server")
}

fn environment(command: &mut Command, folder: &Path, node: &str, port: u16, distribution_port: u16, mapper_port: u16) {
    let path = |name: &str| -> PathBuf { folder.join(name) };
    command
        .env("HOME", folder)
        .env("RABBITMQ_CONF_ENV_FILE", "/dev/null")
        .env("RABBITMQ_NODENAME", node)
        .env("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_NODE_PORT", port.to_string())
        .env("RABBITMQ_DIST_PORT", distribution_port.to_string())
        .env("ERL_EPMD_PORT", mapper_port.to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1")
        .env("RABBITMQ_BASE", folder)
        .env("RABBITMQ_MNESIA_BASE", path("mnesia"))
        .env("RABBITMQ_LOG_BASE", path("log"))
        .env("RABBITMQ_PID_FILE", path("pid"))
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", path("plugins"))
        .env("RABBITMQ_CONFIG_FILE", path("rabbitmq.conf"))
        .env("RABBITMQ_ADVANCED_CONFIG_FILE", path("advanced"))
        .env("RABBITMQ_GENERATED_CONFIG_DIR", path("generated"))
        .env("RABBITMQ_SCHEMA_DIR", path("schema"))
        .env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-kernel inet_dist_use_interface {127,0,0,1}");
}

/// A client of a test: what Drover itself never does to a broker.
pub struct Client {
    connection: Connection,
    channel: Channel,
}

impl Client {
    /// # Errors
    /// When the broker cannot be reached.
    pub async fn connect(url: &SecretUrl) -> lapin::Result<Self> {
        let runtime = async_rs::Runtime::tokio_current();
        let connection = Connection::connect_with_runtime(url.expose(), ConnectionProperties::default(), runtime).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self { connection, channel })
    }

    /// The channel, for what else a test does.
    #[must_use]
    pub fn channel(&self) -> &Channel {
        &self.channel
    }

    /// Deletes a queue, whatever is in it and whoever consumes it.
    ///
    /// # Errors
    /// The broker's.
    pub async fn delete(&self, queue: QueueName) -> lapin::Result<()> {
        self.channel.queue_delete(queue.name().into(), QueueDeleteOptions::default()).await.map(drop)
    }

    /// Empties a queue.
    ///
    /// # Errors
    /// The broker's; also when there is no such queue.
    pub async fn purge(&self, queue: QueueName) -> lapin::Result<()> {
        self.channel.queue_purge(queue.name().into(), QueuePurgeOptions::default()).await.map(drop)
    }

    /// Puts any bytes into a queue.
    ///
    /// # Errors
    /// The broker's.
    pub async fn put(&self, queue: QueueName, body: &[u8]) -> lapin::Result<()> {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        self.channel.basic_publish("".into(), queue.name().into(), options, body, properties).await?.await.map(drop)
    }

    /// Declares a queue with arguments that are not Drover's.
    ///
    /// # Errors
    /// The broker's.
    pub async fn declare_otherwise(&self, queue: QueueName, arguments: FieldTable) -> lapin::Result<()> {
        let options = lapin::options::QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(queue.name().into(), options, arguments).await.map(drop)
    }

    pub async fn close(self) {
        let _ = self.connection.close(200, "done".into()).await;
    }
}
