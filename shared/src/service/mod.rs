//! What every process has: settings, logs, a store, a queue, the admin server, signals, a way to end.
//!
//! One bootstrap for all: `service::main("exec-worker", exec_worker::run)`; a role is a function of a [`Context`]. It must
//! never know what a role does. A database or broker that is away at the start is waited for (`/readyz` is false), since a
//! process that crashed instead would only be started again; settings that cannot work end it with a sentence.

pub mod admin;
mod backoff;
mod health;
pub mod open;
mod signals;
mod tasks;

pub use backoff::Backoff;
pub use health::{Checked, Health, LoopReport, LoopStatus};
pub use signals::{EXIT_AT_ONCE, Signals};
pub use tasks::{Tasks, panic_text};

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Command, FromArgMatches};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Millis, SystemClock};
use crate::config::{self, Settings};
use crate::queue::Queue;
use crate::store::Store;
use crate::telemetry;

/// How often what was measured is folded into the histograms.
const UPKEEP_PERIOD: Duration = Duration::from_secs(5);
/// What is left for closing connections when the grace time is over.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// Who a process, or one role of it, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub role: &'static str,
    /// `role@host:pid`.
    pub worker_id: String,
    pub host: String,
    pub version: &'static str,
    pub since: Millis,
}

impl Identity {
    #[must_use]
    pub fn new(role: &'static str) -> Self {
        let host = config::host();
        let worker_id = format!("{role}@{host}:{}", std::process::id());
        Self { role, worker_id, host, version: env!("CARGO_PKG_VERSION"), since: SystemClock.now() }
    }
}

/// What a role runs with. Clones share everything.
#[derive(Clone)]
pub struct Context {
    pub store: Arc<dyn Store>,
    pub queue: Arc<dyn Queue>,
    pub settings: Arc<Settings>,
    /// Cancelled when the process is to stop: take nothing new, finish what is in hand, return.
    pub shutdown: CancellationToken,
    pub tasks: Tasks,
    pub health: Health,
    pub identity: Identity,
}

impl Context {
    /// The same process in another role: for a process that runs several.
    #[must_use]
    pub fn for_role(&self, role: &'static str) -> Self {
        Self { identity: Identity { since: self.identity.since, ..Identity::new(role) }, ..self.clone() }
    }

    /// What the admin endpoints of this process need.
    #[must_use]
    pub fn admin(&self) -> admin::Admin {
        admin::Admin { identity: self.identity.clone(), health: self.health.clone(), shutdown: self.shutdown.clone() }
    }

    /// Waits so long, or until the process is to stop: then false.
    pub async fn pause(&self, time: Duration) -> bool {
        tokio::select! {
            () = tokio::time::sleep(time) => true,
            () = self.shutdown.cancelled() => false,
        }
    }
}

/// The main function of a role of a fleet. Exit codes: 0 stopped as asked, 1 failed, 2 settings that cannot be read,
/// [`EXIT_AT_ONCE`] (130) ended by a second signal.
pub fn main<F, R>(role: &'static str, run: F) -> ExitCode
where
    F: FnOnce(Context) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    let started = config::refuse_passwords_in_arguments(std::env::args()).and_then(|()| {
        let matches = command(role).get_matches();
        let settings = Settings::from_arg_matches(&matches)?.resolve()?;
        settings.require_fleet(role)?;
        Ok(settings)
    });
    match started.and_then(|settings| block_on(process(role, settings, run))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{role}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The command line of a role.
#[must_use]
pub fn command(role: &'static str) -> Command {
    let about = "Drover moves process instances to other process definitions. This is one role of a fleet; `drover serve` runs all of \
                 them in one process.";
    Settings::augment_args(Command::new(role).version(env!("CARGO_PKG_VERSION")).about(about))
}

/// Runs a future on a runtime of its own, to its end.
///
/// # Errors
/// The future's, or that no runtime can be had.
pub fn block_on(process: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("failed to start the runtime")?;
    let result = runtime.block_on(process);
    runtime.shutdown_timeout(Duration::from_millis(500));
    result
}

/// One process from start to end: what [`main`] runs, and `drover serve`.
///
/// # Errors
/// When it cannot start, when the role fails, or when what it had in hand was not finished within the grace time.
pub async fn process<F, R>(role: &'static str, settings: Settings, run: F) -> anyhow::Result<()>
where
    F: FnOnce(Context) -> R,
    R: Future<Output = anyhow::Result<()>>,
{
    telemetry::init(&settings)?;
    #[cfg(feature = "fail-points")]
    crate::fail_point::arm(settings.drover_fail_points.as_deref().unwrap_or_default())?;
    let settings = Arc::new(settings);
    let identity = Identity::new(role);
    let shutdown = CancellationToken::new();
    let (background, ended) = (Tasks::new(), CancellationToken::new());
    background.spawn("signals", Signals::install().context("failed to listen for signals")?.watch(shutdown.clone()));
    background.spawn("metrics", upkeep());
    let health = Health::new();
    let admin = admin::Admin { identity: identity.clone(), health: health.clone(), shutdown: shutdown.clone() };
    let address = serve_admin(&background, settings.admin_addr, admin, ended.clone()).await?;
    tracing::info!(role, version = identity.version, worker = identity.worker_id, admin = %address, "starting");

    let opened = open::open_store(&settings, &health, &shutdown).await.context("failed to open the database")?;
    let Some(store) = opened else { return Ok(()) };
    let queue = open::open_queue(&settings, &health);
    let cx = Context { store, queue, settings, shutdown, tasks: Tasks::new(), health, identity };
    let result = until_drained(&cx, run(cx.clone())).await;
    ended.cancel();
    tracing::info!(role, "stopped");
    result
}

/// Runs the role until it ends or is asked to; then waits for it and its tasks as long as the grace time lasts.
async fn until_drained(cx: &Context, run: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::pin!(run);
    let ended = tokio::select! {
        result = &mut run => Some(result),
        () = cx.shutdown.cancelled() => None,
    };
    cx.shutdown.cancel();
    let grace = cx.settings.shutdown_grace;
    let deadline = Instant::now() + grace;
    let drain = async {
        let result = match ended {
            Some(result) => result,
            None => run.await,
        };
        cx.tasks.finished().await;
        result
    };
    let drained = tokio::time::timeout_at(deadline, drain).await;
    // What was cut off may be what hung: the database is not closed then, so that it is no clean stop.
    let clean = drained.is_ok();
    let result = drained.unwrap_or_else(|_| {
        Err(anyhow::anyhow!("not finished within the grace time of {grace:?}; nothing is lost: what was in hand is handed out again"))
    });
    let close = async {
        cx.queue.close().await;
        if clean {
            cx.store.close().await;
        }
    };
    if tokio::time::timeout(CLOSE_TIMEOUT, close).await.is_err() {
        tracing::warn!("connections were not closed within {CLOSE_TIMEOUT:?}");
    }
    result
}

async fn upkeep() {
    let mut ticks = tokio::time::interval(UPKEEP_PERIOD);
    loop {
        ticks.tick().await;
        telemetry::upkeep();
    }
}

/// Serves the admin endpoints until `ended`; gives the address it got.
async fn serve_admin(
    tasks: &Tasks,
    address: Option<SocketAddr>,
    admin: admin::Admin,
    ended: CancellationToken,
) -> anyhow::Result<SocketAddr> {
    let address = address.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    let bound = tokio::net::TcpListener::bind(address).await;
    let listener = bound.with_context(|| format!("failed to listen on ADMIN_ADDR={address}; choose another address"))?;
    let address = listener.local_addr().context("failed to read the admin server's address")?;
    tasks.spawn("admin", async move {
        let served = axum::serve(listener, admin::router(admin)).with_graceful_shutdown(ended.cancelled_owned()).await;
        if let Err(error) = served {
            tracing::error!(%error, "the admin server failed");
        }
    });
    Ok(address)
}

/// An error with all its causes, in one line.
#[must_use]
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
