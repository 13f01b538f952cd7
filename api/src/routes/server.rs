//! `/engine`, `/version`.

use axum::Router;
use axum::routing::get;
use serde_json::json;

use crate::error::ok;
use crate::state::ApiState;

/// The release whose API this is.
const VERSION: &str = "7.24.0";

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/engine", get(|| async { ok(json!([{"name": "default"}])) }))
        .route("/version", get(|| async { ok(json!({ "version": VERSION })) }))
}
