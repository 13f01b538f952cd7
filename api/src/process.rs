//! The API as a role: the router on LISTEN_ADDR, with `/healthz`, `/readyz` and `/metrics` beside it.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::{Router, middleware};
use shared::batch::BatchType;
use shared::config::Settings;
use shared::service::{Context, admin};
use shared::work::Publisher;
use shared::worker;
use tokio::net::TcpListener;

use crate::auth::{Authenticator, authenticate, is_loopback};
use crate::{ApiState, Limits, router};

/// Runs the role until the process is to stop.
///
/// # Errors
/// When LISTEN_ADDR is taken, or beyond loopback with nobody to log in, or the server fails.
pub async fn run(cx: Context) -> Result<()> {
    let address = cx.settings.listen_addr;
    let users = Authenticator::of(&cx.settings, address)?;
    let listener =
        TcpListener::bind(address).await.with_context(|| format!("failed to listen on {address}; choose another LISTEN_ADDR"))?;
    serve(cx, listener, users).await
}

/// The same, on a listener that is there already, for these users (of [`Authenticator::of`], which says whether there may be none).
/// What was answered is published before it returns.
///
/// # Errors
/// When the server fails.
pub async fn serve(cx: Context, listener: TcpListener, users: Option<Arc<Authenticator>>) -> Result<()> {
    let address = listener.local_addr().context("failed to read the API's address")?;
    if users.is_none() && !is_loopback(address) {
        tracing::warn!(%address, "ALLOW_UNAUTHENTICATED: the API serves anybody who reaches it, without a login");
    }
    let (publisher, publishing) = Publisher::new(cx.queue.clone());
    let publishing = cx.tasks.spawn("publisher", publishing);
    let state = ApiState::new(cx.store.clone(), cx.queue.clone(), publisher, limits(&cx.settings));
    cx.tasks.spawn("publish again", worker::publish_again(cx.clone(), state.steps.clone()));
    let app = app(&cx, state, users);
    tracing::info!(%address, "the API listens");
    axum::serve(listener, app).with_graceful_shutdown(cx.shutdown.clone().cancelled_owned()).await.context("the API's server failed")?;
    publishing.await.context("the publisher was cut off")?;
    Ok(())
}

/// With users, all but `/healthz` and `/readyz` asks who is there: those are asked by what runs the process, and `/metrics` is
/// on ADMIN_ADDR too.
fn app(cx: &Context, state: ApiState, users: Option<Arc<Authenticator>>) -> Router {
    let asked = router(state).merge(admin::metrics_router());
    let asked = match users {
        Some(users) => asked.layer(middleware::from_fn_with_state(users, authenticate)),
        None => asked,
    };
    asked.merge(admin::health_router(cx.admin()))
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        batch_jobs_per_seed: settings.batch_jobs_per_seed,
        invocations_per_batch_job: BatchType::ALL.map(|of| (of, settings.invocations_for(of))),
        retries: settings.default_number_of_retries,
        ..Limits::default()
    }
}
