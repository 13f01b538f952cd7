//! Error bodies: `{"type", "message", "code"}` and the status that goes with them (spec-batch-rest §5.2).

use std::borrow::Cow;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};
use shared::runner::Refusal;
use shared::store;

/// What a handler gives back.
pub type Answer = Result<Response, ApiError>;

/// An error as callers see it. `code` is null for what is no exception of the engine.
#[derive(Clone, Debug, PartialEq)]
pub struct ApiError {
    pub status: StatusCode,
    pub kind: Cow<'static, str>,
    pub message: Option<String>,
    pub code: Option<i64>,
    /// Further keys: `validationReport`, `details`.
    pub extra: Option<Box<Map<String, Value>>>,
}

impl ApiError {
    #[must_use]
    pub fn new(status: StatusCode, kind: impl Into<Cow<'static, str>>, message: impl Into<String>, code: Option<i64>) -> Self {
        Self { status, kind: kind.into(), message: Some(message.into()), code, extra: None }
    }

    /// 400 `InvalidRequestException`, code null.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "InvalidRequestException", message, None)
    }

    /// 404 `InvalidRequestException`, code null.
    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "InvalidRequestException", message, None)
    }

    /// 400, code 0: a bad-request exception of the engine that passes through under its own name.
    #[must_use]
    pub fn bad_user(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, message, Some(0))
    }

    /// 500, code 0: an exception of the engine.
    #[must_use]
    pub fn engine(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, kind, message, Some(0))
    }

    /// What the web layer itself answers: 404, 405, 415.
    #[must_use]
    pub fn web(status: StatusCode, kind: &'static str) -> Self {
        let reason = status.canonical_reason().unwrap_or_default();
        Self::new(status, kind, format!("HTTP {} {reason}", status.as_u16()), None)
    }

    #[must_use]
    pub fn unknown_path() -> Self {
        Self::web(StatusCode::NOT_FOUND, "NotFoundException")
    }

    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    #[must_use]
    pub fn with_kind(mut self, kind: &'static str) -> Self {
        self.kind = kind.into();
        self
    }

    #[must_use]
    pub fn with_code(mut self, code: Option<i64>) -> Self {
        self.code = code;
        self
    }

    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.extra.get_or_insert_default().insert(key.to_owned(), value);
        self
    }

    /// Puts words before the message, as the reference does where a resource wraps what its engine threw.
    #[must_use]
    pub fn prefixed(mut self, prefix: &str) -> Self {
        self.message = self.message.map(|m| format!("{prefix}{m}"));
        self
    }

    /// As a resource that wraps every exception of its engine shows it: what the caller spelled badly stays a 400
    /// `InvalidRequestException`, all else is a 500 `RestException`; the words go before either.
    #[must_use]
    pub fn wrapped(self, prefix: &str) -> Self {
        let wrapped = self.prefixed(prefix);
        if wrapped.code.is_none() && wrapped.status == StatusCode::BAD_REQUEST {
            return wrapped.with_kind("InvalidRequestException");
        }
        if wrapped.status == StatusCode::SERVICE_UNAVAILABLE || wrapped.status == StatusCode::FORBIDDEN {
            return wrapped;
        }
        wrapped.with_kind("RestException").with_status(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let status = match refusal.kind {
            "BadUserRequestException"
            | "NotFoundException"
            | "NotValidException"
            | "NotAllowedException"
            | "MigrationPlanValidationException"
            | "MigratingProcessInstanceValidationException"
            | "SuspendedEntityInteractionException"
            | "InvalidRequestException"
            | "ParseException" => StatusCode::BAD_REQUEST,
            "AuthorizationException" => StatusCode::FORBIDDEN,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let code = i64::from(refusal.kind == "OptimisticLockingException");
        Self::new(status, refusal.kind, refusal.message, Some(code))
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        let text = error.to_string();
        match error {
            E::Refused(refusal) => refusal.into(),
            E::OptimisticLock { .. } => Self::engine("OptimisticLockingException", text).with_code(Some(1)),
            E::Forbidden(message) if message.starts_with("ENGINE-") => Self::engine("ProcessEngineException", message),
            E::Forbidden(message) => Self::new(StatusCode::FORBIDDEN, "AuthorizationException", message, Some(0)),
            E::Collision { .. } | E::Unavailable { .. } | E::TimedOut { .. } => {
                tracing::warn!(error = %text, "a request could not be served");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "RestException", format!("{text}; send the request again"), None)
            }
            E::Statement { .. } | E::Corrupt { .. } | E::Schema(_) => {
                tracing::error!(error = ?error, "a request failed in the database");
                Self::engine("ProcessEnginePersistenceException", text)
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = json!({"type": self.kind, "message": self.message, "code": self.code});
        if let Some(object) = body.as_object_mut() {
            object.extend(self.extra.into_iter().flat_map(|extra| *extra));
        }
        let mut response = (self.status, axum::Json(body)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(axum::http::header::RETRY_AFTER, axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}

/// 200 with JSON.
pub fn ok(body: Value) -> Answer {
    Ok(axum::Json(body).into_response())
}

/// 200 `{"count": n}`.
pub fn count(n: u64) -> Answer {
    ok(json!({ "count": n }))
}

/// 204.
pub fn done() -> Answer {
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// 200 text/plain, or 204 when there is nothing to say.
pub fn text(body: Option<String>) -> Answer {
    match body.filter(|b| !b.is_empty()) {
        Some(body) => Ok(([(axum::http::header::CONTENT_TYPE, "text/plain")], body).into_response()),
        None => done(),
    }
}
