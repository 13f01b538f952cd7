//! `drover serve`: the four roles in one process, on one file and a queue inside the process; or on what the settings name.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use shared::config::DEFAULT_DATABASE_URL;
use shared::service::Context;
use shared::store::Store;
use tokio::net::TcpListener;

use crate::demo::{self, DemoArgs};

/// What runs in this process, for what wants to talk to it.
pub struct Serving {
    /// `http://host:port`, without `/engine-rest`.
    pub url: String,
    pub store: Arc<dyn Store>,
}

/// Runs all roles until the process is to stop; with a demo, that too.
///
/// # Errors
/// When the address is taken, or a role or the demo fails.
pub async fn run(cx: Context, demo: Option<DemoArgs>) -> Result<()> {
    let address = cx.settings.listen_addr;
    let users = api::auth::Authenticator::of(&cx.settings, address)?;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("failed to listen on {address}; choose another address with --listen-addr (port 0: any free one)"))?;
    let serving =
        Serving { url: format!("http://{}", listener.local_addr().context("failed to read the address")?), store: cx.store.clone() };
    if demo.is_none() {
        greet(&serving.url, cx.settings.database_url.as_ref().map_or(DEFAULT_DATABASE_URL.to_owned(), ToString::to_string));
    }

    let api = listener;
    let roles = [
        cx.tasks.spawn("api", role(cx.for_role("api"), |cx| api::serve(cx, api, users))),
        cx.tasks.spawn("seed-worker", role(cx.for_role("seed-worker"), seed_worker::run)),
        cx.tasks.spawn("exec-worker", role(cx.for_role("exec-worker"), exec_worker::run)),
        cx.tasks.spawn("monitor-worker", role(cx.for_role("monitor-worker"), monitor_worker::run)),
    ];
    let shown = match demo {
        Some(args) => show(&cx, &serving, &args).await,
        None => Ok(()),
    };
    for role in roles {
        role.await.context("a role was cut off")?.context("a role panicked")??;
    }
    shown
}

/// A role that ends, ends the process.
async fn role<R>(cx: Context, run: impl FnOnce(Context) -> R) -> Result<()>
where
    R: Future<Output = Result<()>>,
{
    let (name, shutdown) = (cx.identity.role, cx.shutdown.clone());
    let result = run(cx).await.with_context(|| format!("the role {name} failed"));
    shutdown.cancel();
    result
}

async fn show(cx: &Context, serving: &Serving, args: &DemoArgs) -> Result<()> {
    let shown = tokio::select! {
        shown = demo::run(serving, args) => shown.map(|_| ()),
        () = cx.shutdown.cancelled() => Ok(()),
    };
    if shown.is_err() || args.exit {
        cx.shutdown.cancel();
    } else {
        println!("\nStill serving {}/engine-rest; Ctrl-C ends it.", serving.url);
    }
    shown
}

/// The first lines: what this is, and what to try next.
fn greet(url: &str, database: impl std::fmt::Display) {
    println!("Drover {} serves {url}/engine-rest (data in {database}). Try next:", env!("CARGO_PKG_VERSION"));
    println!("  cargo run --release -- demo               # a whole migration of 1,000 instances, with live progress");
    println!("  curl {url}/engine-rest/engine     # the API, as Camunda 7's: see README.md for a first migration with curl");
    println!("  curl {url}/readyz                 # is it ready? also /healthz and /metrics");
}
