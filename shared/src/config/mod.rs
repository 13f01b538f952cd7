//! Settings: flags and environment only, one struct for all processes, so that `--help` is the reference.
//!
//! The door for the environment: nothing else reads it. Secrets come from the environment or from files, never from
//! the command line, which every user of the machine can read.

mod duration;
mod login;
mod secret;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::builder::FalseyValueParser;
use clap::{Args, ValueEnum};

use crate::batch::{
    BatchType, DEFAULT_BATCH_JOBS_PER_SEED, DEFAULT_INVOCATIONS_PER_BATCH_JOB, MAX_IDS_PER_SEED, MAX_INVOCATIONS_PER_BATCH_JOB,
};

use duration::parse_duration;
pub use login::Login;
pub use secret::{Secret, SecretUrl};

const PLACES: &str = "Where things are";
const SECURITY: &str = "Who may come in, and whom to trust";
const BATCHES: &str = "Batches";
const WORKING: &str = "Bounds of the workers";
const QUEUES: &str = "Bounds of the queue";
const RUNNING: &str = "The process";

/// Which database and queue a process has when nothing is said: one file, and none outside the process.
pub const DEFAULT_DATABASE_URL: &str = "sqlite:drover.db";
/// The largest file that is read for a secret.
const MAX_SECRET_BYTES: u64 = 8 * 1024;
/// The largest file of users, and of certificates.
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;

#[derive(Args, Clone, Debug)]
pub struct Settings {
    /// The database: postgres://user@host/name?sslmode=verify-full&sslrootcert=ca.pem, or sqlite:file (drover serve only). A URL
    /// with a password belongs in the environment or in a file [default of drover serve: sqlite:drover.db]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", help_heading = PLACES)]
    pub database_url: Option<SecretUrl>,
    /// A file that holds the database's URL
    #[arg(long, env = "DATABASE_URL_FILE", value_name = "FILE", help_heading = PLACES)]
    pub database_url_file: Option<PathBuf>,
    /// RabbitMQ: amqp://user@host:5672/vhost, with TLS amqps://user@host:5671/vhost; RABBITMQ_URL and CLOUDAMQP_URL are read too. Without it drover serve keeps its
    /// queue in the process
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_name = "URL", help_heading = PLACES)]
    pub amqp_url: Option<SecretUrl>,
    /// A file that holds RabbitMQ's URL
    #[arg(long, env = "AMQP_URL_FILE", value_name = "FILE", help_heading = PLACES)]
    pub amqp_url_file: Option<PathBuf>,
    #[arg(long, env = "RABBITMQ_URL", hide = true)]
    pub rabbitmq_url: Option<SecretUrl>,
    #[arg(long, env = "CLOUDAMQP_URL", hide = true)]
    pub cloudamqp_url: Option<SecretUrl>,
    /// Where the API listens
    #[arg(long, env = "LISTEN_ADDR", default_value = "127.0.0.1:8080", value_name = "ADDR", help_heading = PLACES)]
    pub listen_addr: SocketAddr,
    /// Where /healthz, /readyz and /metrics are served [default: a free port of 127.0.0.1, told in the log]
    #[arg(long, env = "ADMIN_ADDR", value_name = "ADDR", help_heading = PLACES)]
    pub admin_addr: Option<SocketAddr>,
    /// A running engine (…/engine-rest) that owns the instances (not supported yet)
    #[arg(long, env = "DROVER_ENGINE", hide_env_values = true, value_name = "URL", help_heading = PLACES)]
    pub drover_engine: Option<SecretUrl>,

    /// The users of the API, one a line: NAME HASH tenants=a,b|*|none [read-only]; `drover user hash` and `drover user token` make
    /// the hashes. Required when LISTEN_ADDR is beyond loopback
    #[arg(long, env = "AUTH_FILE", value_name = "FILE", help_heading = SECURITY)]
    pub auth_file: Option<PathBuf>,
    /// The same lines in the environment (not as an argument), separated by ;
    #[arg(long, env = "AUTH_USERS", hide_env_values = true, value_name = "LINES", help_heading = SECURITY)]
    pub auth_users: Option<Secret>,
    /// Let an API beyond loopback serve anybody who reaches it: only where something in front decides who may
    #[arg(long, env = "ALLOW_UNAUTHENTICATED", value_parser = FalseyValueParser::new(), help_heading = SECURITY)]
    pub allow_unauthenticated: bool,
    /// Certificates (PEM) of an authority of your own that vouches for an amqps:// broker, beside the public ones. For the
    /// database: sslrootcert in its URL
    #[arg(long, env = "AMQP_CA_FILE", value_name = "FILE", help_heading = SECURITY)]
    pub amqp_ca_file: Option<PathBuf>,
    /// What AMQP_CA_FILE holds, once it is read.
    #[arg(skip)]
    pub amqp_ca: Option<String>,

    /// batchJobsPerSeed: execution jobs that one seed step makes
    #[arg(long, env = "BATCH_JOBS_PER_SEED", default_value_t = DEFAULT_BATCH_JOBS_PER_SEED, value_name = "N", help_heading = BATCHES,
        value_parser = clap::value_parser!(u32).range(1..=MAX_IDS_PER_SEED as i64))]
    pub batch_jobs_per_seed: u32,
    /// invocationsPerBatchJob: instances of one execution job (1 to 10,000)
    #[arg(long, env = "INVOCATIONS_PER_BATCH_JOB", default_value_t = DEFAULT_INVOCATIONS_PER_BATCH_JOB, value_name = "N", help_heading = BATCHES,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_INVOCATIONS_PER_BATCH_JOB)))]
    pub invocations_per_batch_job: u32,
    /// The same by batch type: instance-migration=10,set-job-retries=100
    #[arg(long, env = "INVOCATIONS_PER_BATCH_JOB_BY_TYPE", value_delimiter = ',', value_parser = parse_by_type,
        value_name = "TYPE=N", help_heading = BATCHES)]
    pub invocations_per_batch_job_by_type: Vec<ByType>,
    /// batchPollTime: how far a monitor job's due date moves, and the longest a stalled completion goes unseen
    #[arg(long, env = "BATCH_POLL_TIME", default_value = "30s", value_parser = parse_duration, value_name = "TIME", help_heading = BATCHES)]
    pub batch_poll_time: Duration,
    /// defaultNumberOfRetries: attempts of a job before its incident
    #[arg(long, env = "DEFAULT_NUMBER_OF_RETRIES", default_value_t = 3, value_name = "N", help_heading = BATCHES,
        value_parser = clap::value_parser!(i32).range(1..=1000))]
    pub default_number_of_retries: i32,
    /// How much history is kept (only full is supported yet)
    #[arg(long, env = "HISTORY_LEVEL", default_value = "full", value_name = "LEVEL", help_heading = BATCHES)]
    pub history_level: HistoryLevel,

    /// Micro-batches that one exec-worker has in transactions at once
    #[arg(long, env = "EXEC_CONCURRENCY", default_value_t = 3, value_name = "N", help_heading = WORKING, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub exec_concurrency: u16,
    /// Unsettled messages of one exec-worker: a few transactions' worth for each that it has at once
    #[arg(long, env = "EXEC_PREFETCH", default_value_t = 64, value_name = "N", help_heading = WORKING, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub exec_prefetch: u16,
    /// Instances that one exec transaction takes together, about
    #[arg(long, env = "MICRO_BATCH_INSTANCES", default_value_t = 500, value_name = "N", help_heading = WORKING, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub micro_batch_instances: u32,
    /// How long an exec-worker waits for more to take together
    #[arg(long, env = "MICRO_BATCH_WAIT", default_value = "5ms", value_parser = parse_duration, value_name = "TIME", help_heading = WORKING)]
    pub micro_batch_wait: Duration,
    /// Unsettled messages of one seed-worker
    #[arg(long, env = "SEED_PREFETCH", default_value_t = 4, value_name = "N", help_heading = WORKING, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub seed_prefetch: u16,
    /// Unsettled messages of one monitor-worker, of each of its two queues
    #[arg(long, env = "MONITOR_PREFETCH", default_value_t = 20, value_name = "N", help_heading = WORKING, value_parser = clap::value_parser!(u16).range(1..=2000))]
    pub monitor_prefetch: u16,
    /// For ./bench alone: how much longer each transaction takes for each of its instances, as on a slower database. The worker
    /// sleeps after the commit, when nothing is locked
    #[arg(long, env = "BENCH_SLOW_INSTANCE", hide = true, default_value = "0ms", value_parser = parse_duration, value_name = "TIME")]
    pub bench_slow_instance: Duration,
    /// How often rows that are due are looked for: the delay that a lost message can cost beyond its wake_at
    #[arg(long, env = "WAKE_PERIOD", default_value = "1s", value_parser = parse_duration, value_name = "TIME", help_heading = WORKING)]
    pub wake_period: Duration,
    /// How often every batch is looked at: one that could go on at two looks in a row is told to
    #[arg(long, env = "SWEEP_PERIOD", default_value = "5s", value_parser = parse_duration, value_name = "TIME", help_heading = WORKING)]
    pub sweep_period: Duration,
    /// Rows of runs and jobs woken in one round
    #[arg(long, env = "WAKE_WORK", default_value_t = 2000, value_name = "N", help_heading = WORKING, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub wake_work: u32,
    /// Instances and timers woken in one round
    #[arg(long, env = "WAKE_INSTANCES", default_value_t = 2000, value_name = "N", help_heading = WORKING, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub wake_instances: u32,
    /// How often the service metrics (batches, jobs, queues, workers) are counted
    #[arg(long, env = "METRICS_PERIOD", default_value = "10s", value_parser = parse_duration, value_name = "TIME", help_heading = WORKING)]
    pub metrics_period: Duration,

    /// Connections to PostgreSQL of one process
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 10, value_name = "N", help_heading = WORKING, value_parser = clap::value_parser!(u16).range(2..=1000))]
    pub database_connections: u16,

    /// Messages that each in-process queue holds
    #[arg(long, env = "QUEUE_CAPACITY", default_value_t = 10_000, value_name = "N", help_heading = QUEUES, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    pub queue_capacity: u32,
    /// Connections for publishing
    #[arg(long, env = "PUBLISH_CONNECTIONS", default_value_t = 1, value_name = "N", help_heading = QUEUES, value_parser = clap::value_parser!(u16).range(1..=8))]
    pub publish_connections: u16,
    /// Confirm channels over them: publishes at once
    #[arg(long, env = "PUBLISH_CHANNELS", default_value_t = 4, value_name = "N", help_heading = QUEUES, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub publish_channels: u16,
    /// Messages pipelined before their confirms are awaited
    #[arg(long, env = "PUBLISH_WINDOW", default_value_t = 256, value_name = "N", help_heading = QUEUES, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub publish_window: u16,
    /// How long writing one window of messages may take
    #[arg(long, env = "PUBLISH_TIMEOUT", default_value = "5s", value_parser = parse_duration, value_name = "TIME", help_heading = QUEUES)]
    pub publish_timeout: Duration,
    /// How long the broker's confirms may take
    #[arg(long, env = "CONFIRM_TIMEOUT", default_value = "5s", value_parser = parse_duration, value_name = "TIME", help_heading = QUEUES)]
    pub confirm_timeout: Duration,

    /// What is logged, as tracing filters
    #[arg(long, env = "RUST_LOG", default_value = "info,lapin=error,lapin::channel=off", value_name = "FILTER", help_heading = RUNNING)]
    pub rust_log: String,
    /// auto: pretty on a terminal, else json
    #[arg(long, env = "LOG_FORMAT", default_value = "auto", value_name = "FORMAT", help_heading = RUNNING)]
    pub log_format: LogFormat,
    /// How long a process may finish what it has in hand after SIGTERM or SIGINT; a second signal ends it at once (exit code 130)
    #[arg(long, env = "SHUTDOWN_GRACE", default_value = "25s", value_parser = parse_duration, value_name = "TIME", help_heading = RUNNING)]
    pub shutdown_grace: Duration,
    /// What a build for tests does at its fail points (see `shared::fail_point`)
    #[cfg(feature = "fail-points")]
    #[arg(long, env = "DROVER_FAIL_POINTS", hide = true)]
    pub drover_fail_points: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum HistoryLevel {
    None,
    Activity,
    Audit,
    #[default]
    Full,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Auto,
    Json,
    Pretty,
}

/// `invocationsPerBatchJob` of one batch type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByType {
    pub batch_type: BatchType,
    pub invocations: u32,
}

impl Settings {
    /// All defaults, the environment not looked at: for tests, and for programs that set the rest themselves.
    #[must_use]
    pub fn defaults() -> Self {
        use clap::FromArgMatches;
        let command = Self::augment_args(clap::Command::new("defaults")).mut_args(|arg| arg.env(None::<&str>));
        // The defaults are constants of this file, and a test parses them.
        let matches = command.try_get_matches_from(["defaults"]).expect("the defaults are valid");
        Self::from_arg_matches(&matches).expect("the defaults are valid")
    }

    /// Reads the `…_FILE`s and refuses what cannot run.
    ///
    /// # Errors
    /// A file that cannot be read, an engine (not supported yet), a URL that is none of ours.
    pub fn resolve(mut self) -> anyhow::Result<Self> {
        if let Some(engine) = &self.drover_engine {
            anyhow::bail!(
                "DROVER_ENGINE={engine}: running in front of another engine is not supported yet; unset it to use Drover's own store"
            );
        }
        let level = self.history_level;
        anyhow::ensure!(level == HistoryLevel::Full, "HISTORY_LEVEL={level:?}: only full is supported yet; unset it");
        self.database_url = either("DATABASE_URL", self.database_url.take(), self.database_url_file.as_deref(), SecretUrl::new)?;
        let amqp = self.amqp_url.take().or_else(|| self.rabbitmq_url.take()).or_else(|| self.cloudamqp_url.take());
        self.amqp_url = either("AMQP_URL", amqp, self.amqp_url_file.as_deref(), SecretUrl::new)?;
        if let Some(url) = &self.amqp_url {
            let known = url.has_scheme(&["amqp", "amqps"]);
            anyhow::ensure!(known, "AMQP_URL={url}: it must begin with amqp://, or with amqps:// for TLS");
            let plain = url.has_scheme(&["amqp"]) && self.amqp_ca_file.is_some();
            anyhow::ensure!(!plain, "AMQP_CA_FILE is set, but AMQP_URL={url} is without TLS: begin it with amqps://");
        }
        self.amqp_ca = self.amqp_ca_file.as_deref().map(|path| certificates("AMQP_CA_FILE", path)).transpose()?;
        if let Some(url) = &self.database_url {
            let known = url.has_scheme(&["postgres", "postgresql", "sqlite"]);
            anyhow::ensure!(known, "DATABASE_URL={url}: it must begin with postgres:// or sqlite:");
            if let Some(path) = url.parameter("sslrootcert") {
                certificates("sslrootcert of DATABASE_URL", Path::new(&path))?;
            }
        }
        Ok(self)
    }

    /// A process that is one role of a fleet shares its database and its broker with others.
    ///
    /// # Errors
    /// When one of the two is missing, or is nothing that two processes can share.
    pub fn require_fleet(&self, role: &str) -> anyhow::Result<()> {
        let hint = "drover serve runs all roles in one process and needs neither";
        let Some(database) = &self.database_url else {
            anyhow::bail!("{role} needs a PostgreSQL database: set DATABASE_URL or DATABASE_URL_FILE ({hint})");
        };
        if database.has_scheme(&["sqlite"]) {
            anyhow::bail!("{role} cannot work on {database}: several processes cannot share SQLite; use postgres://… ({hint})");
        }
        anyhow::ensure!(self.amqp_url.is_some(), "{role} needs RabbitMQ: set AMQP_URL or AMQP_URL_FILE ({hint})");
        Ok(())
    }

    /// `invocationsPerBatchJob` for a batch of this type.
    #[must_use]
    pub fn invocations_for(&self, batch_type: BatchType) -> u32 {
        let by_type = self.invocations_per_batch_job_by_type.iter().rev().find(|by| by.batch_type == batch_type);
        by_type.map_or(self.invocations_per_batch_job, |by| by.invocations)
    }

    /// The lines of the API's users, if any are named.
    ///
    /// # Errors
    /// A file that cannot be read, or both ways at once.
    pub fn users(&self) -> anyhow::Result<Option<String>> {
        let Some(path) = &self.auth_file else {
            return Ok(self.auth_users.as_ref().map(|users| users.expose().to_owned()).filter(|users| !users.trim().is_empty()));
        };
        anyhow::ensure!(self.auth_users.is_none(), "AUTH_FILE and AUTH_USERS are both set; unset one of them");
        read("AUTH_FILE", path, MAX_FILE_BYTES).map(Some)
    }

    /// The database's URL, the embedded default if none was given. Contains the password.
    #[must_use]
    pub fn database(&self) -> &str {
        self.database_url.as_ref().map_or(DEFAULT_DATABASE_URL, SecretUrl::expose)
    }
}

/// Refuses a command line that carries a password: whoever may list processes reads it.
///
/// # Errors
/// Names the argument's beginning, never the password.
pub fn refuse_passwords_in_arguments(arguments: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    for argument in arguments {
        let users = argument == "--auth-users" || argument.starts_with("--auth-users=");
        anyhow::ensure!(
            !users,
            "--auth-users holds secrets, and every user of this machine can read arguments; set AUTH_USERS or AUTH_FILE"
        );
        if secret::has_password(&argument) {
            let flag = argument.split_once("://").map_or("", |(before, _)| before);
            anyhow::bail!(
                "the argument {flag}://… holds a password, which every user of this machine can read; set DATABASE_URL or AMQP_URL in \
                 the environment instead, or name a file with DATABASE_URL_FILE or AMQP_URL_FILE"
            );
        }
    }
    Ok(())
}

/// Is this variable set to something? (`NO_COLOR`.)
#[must_use]
pub fn is_set(name: &str) -> bool {
    variable(name).is_some()
}

/// The name of this machine, for workers' rows.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the door for the environment")]
pub fn host() -> String {
    let from_kernel = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = if from_kernel.trim().is_empty() { std::env::var("HOSTNAME").unwrap_or_default() } else { from_kernel };
    if name.trim().is_empty() { "localhost".into() } else { name.trim().to_owned() }
}

/// A secret that is given itself, or in a file.
fn either<T>(name: &str, given: Option<T>, file: Option<&Path>, secret: fn(String) -> T) -> anyhow::Result<Option<T>> {
    let Some(path) = file else { return Ok(given) };
    anyhow::ensure!(given.is_none(), "{name} and {name}_FILE are both set; unset one of them");
    let text = read(&format!("{name}_FILE"), path, MAX_SECRET_BYTES)?;
    anyhow::ensure!(!text.trim().is_empty(), "{} ({name}_FILE) is empty", path.display());
    Ok(Some(secret(text.trim().to_owned())))
}

/// A file of PEM certificates.
fn certificates(name: &str, path: &Path) -> anyhow::Result<String> {
    let text = read(name, path, MAX_FILE_BYTES)?;
    anyhow::ensure!(text.contains("-----BEGIN CERTIFICATE-----"), "{} ({name}) holds no PEM certificate", path.display());
    Ok(text)
}

fn read(name: &str, path: &Path, most: u64) -> anyhow::Result<String> {
    use anyhow::Context;
    use std::io::Read;
    let mut text = String::new();
    let opened = std::fs::File::open(path).with_context(|| format!("failed to open {} ({name})", path.display()))?;
    let read = opened.take(most + 1).read_to_string(&mut text).with_context(|| format!("failed to read {} ({name})", path.display()))?;
    anyhow::ensure!(read as u64 <= most, "{} ({name}) is larger than {most} bytes", path.display());
    Ok(text)
}

/// A variable that is set to something.
#[expect(clippy::disallowed_methods, reason = "this is the door for the environment")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn parse_by_type(text: &str) -> Result<ByType, String> {
    let (name, number) = text.split_once('=').ok_or_else(|| format!("{text:?} is not TYPE=N"))?;
    let known = || BatchType::ALL.map(BatchType::name).join(", ");
    let batch_type = BatchType::parse(name.trim()).ok_or_else(|| format!("unknown batch type {name:?}; known are {}", known()))?;
    let invocations = number.trim().parse::<u32>().map_err(|_| format!("{number:?} is not a number"))?;
    if (1..=MAX_INVOCATIONS_PER_BATCH_JOB).contains(&invocations) {
        Ok(ByType { batch_type, invocations })
    } else {
        Err(format!("{invocations} is not in 1..={MAX_INVOCATIONS_PER_BATCH_JOB}"))
    }
}
