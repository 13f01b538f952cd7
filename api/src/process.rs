//! The API as a role: the router on LISTEN_ADDR, with `/healthz`, `/readyz` and `/metrics` beside it.

use anyhow::{Context as _, Result};
use axum::Router;
use shared::batch::BatchType;
use shared::config::Settings;
use shared::service::{Context, admin};
use shared::work::Publisher;
use tokio::net::TcpListener;

use crate::{ApiState, Limits, router};

/// Runs the role until the process is to stop.
///
/// # Errors
/// When LISTEN_ADDR is taken, or the server fails.
pub async fn run(cx: Context) -> Result<()> {
    let address = cx.settings.listen_addr;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}; choose another LISTEN_ADDR"))?;
    serve(cx, listener).await
}

/// The same, on a listener that is there already. What was answered is published before it returns.
///
/// # Errors
/// When the server fails.
pub async fn serve(cx: Context, listener: TcpListener) -> Result<()> {
    let address = listener.local_addr().context("failed to read the API's address")?;
    let (publisher, publishing) = Publisher::new(cx.queue.clone());
    let publishing = cx.tasks.spawn("publisher", publishing);
    let app = app(&cx, publisher);
    tracing::info!(%address, "the API listens");
    axum::serve(listener, app).with_graceful_shutdown(cx.shutdown.clone().cancelled_owned()).await.context("the API's server failed")?;
    publishing.await.context("the publisher was cut off")?;
    Ok(())
}

fn app(cx: &Context, publisher: Publisher) -> Router {
    let state = ApiState::new(cx.store.clone(), cx.queue.clone(), publisher, limits(&cx.settings));
    router(state).merge(admin::router(cx.admin()))
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        batch_jobs_per_seed: settings.batch_jobs_per_seed,
        invocations_per_batch_job: BatchType::ALL.map(|of| (of, settings.invocations_for(of))),
        retries: settings.default_number_of_retries,
        ..Limits::default()
    }
}
