//! Who may only read, may only ask: one place for all routes, so that none can forget it.

use axum::extract::Request;
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use shared::store::Caller;

use crate::error::ApiError;

/// Lists that are asked for by a body too; each has a count beside it.
const LISTS: [&str; 14] = [
    "/job",
    "/job-definition",
    "/process-instance",
    "/task",
    "/external-task",
    "/variable-instance",
    "/execution",
    "/history/job-log",
    "/history/process-instance",
    "/history/activity-instance",
    "/history/variable-instance",
    "/history/detail",
    "/history/incident",
    "/history/task",
];
/// POSTs that answer something about a plan.
const PLANS: [&str; 2] = ["/migration/generate", "/migration/validate"];

/// The middleware: 403 for who may only read, on every request that is not known to change nothing.
pub async fn only_who_may(request: Request, next: Next) -> Response {
    if let Some(caller) = request.extensions().get::<Caller>()
        && caller.read_only
        && !only_asks(request.method(), request.uri().path())
    {
        return forbidden(caller).into_response();
    }
    next.run(request).await
}

/// Does a request to this path, below `/engine-rest`, change nothing?
fn only_asks(method: &Method, path: &str) -> bool {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return true;
    }
    let list = path.strip_suffix("/count").unwrap_or(path);
    *method == Method::POST && (LISTS.contains(&list) || PLANS.contains(&path))
}

/// As the reference's: who lacks what, as far as it can be said of somebody who lacks everything that changes.
fn forbidden(caller: &Caller) -> ApiError {
    let user = caller.user.as_deref().unwrap_or("anonymous");
    let message = format!("The user with id '{user}' may only read; ask with a user whose line does not say read-only");
    ApiError::new(StatusCode::FORBIDDEN, "AuthorizationException", message, Some(0))
        .with("userId", json!(user))
        .with("resourceName", Value::Null)
        .with("resourceId", Value::Null)
        .with("permissionName", Value::Null)
        .with("missingAuthorizations", json!([]))
}
