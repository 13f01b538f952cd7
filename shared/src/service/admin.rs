//! The admin endpoints that every process has: `/healthz` (is it alive, and its loops), `/readyz` (can it work now, by
//! check), `/metrics`. They take no input and name no secret.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{Health, Identity};
use crate::telemetry;

#[derive(Clone)]
pub struct Admin {
    pub identity: Identity,
    pub health: Health,
    /// Set once the process is stopping: it is then not ready.
    pub shutdown: CancellationToken,
}

/// The three routes: served on ADMIN_ADDR.
pub fn router(admin: Admin) -> Router {
    health_router(admin).merge(metrics_router())
}

/// `/healthz` and `/readyz`: open wherever they are served.
pub fn health_router(admin: Admin) -> Router {
    Router::new().route("/healthz", get(healthz)).route("/readyz", get(readyz)).with_state(admin)
}

/// `/metrics`: what the whole fleet does.
pub fn metrics_router() -> Router {
    Router::new().route("/metrics", get(metrics))
}

async fn healthz(State(admin): State<Admin>) -> Response {
    let Identity { role, worker_id, version, .. } = &admin.identity;
    Json(json!({"status": "ok", "role": role, "worker": worker_id, "version": version, "loops": admin.health.loops()})).into_response()
}

async fn readyz(State(admin): State<Admin>) -> Response {
    let checks = admin.health.checks().await;
    let stopping = admin.shutdown.is_cancelled();
    let ready = !stopping && checks.values().all(|check| check.ok);
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready, "stopping": stopping, "checks": checks}))).into_response()
}

async fn metrics() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], telemetry::render_metrics()).into_response()
}
