//! What every handler takes: who asks, the URL's parameters, and a JSON body with a bound.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use shared::store::Caller;

use crate::error::ApiError;
use crate::input::{Input, Object};
use crate::state::ApiState;

/// The parameters of a URL, decoded. Of a repeated one the first counts (spec-batch-rest §5.4).
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    #[must_use]
    pub fn parse(query: &str) -> Self {
        let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
        let pairs = query.split('&').filter(|p| !p.is_empty());
        Self(pairs.map(|p| p.split_once('=').unwrap_or((p, ""))).map(|(k, v)| (decode(k), decode(v))).collect())
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// One request: the state, who asks (the router's extension, else nobody in particular), the parameters.
pub struct Ask {
    pub state: ApiState,
    pub caller: Caller,
    pub params: Params,
    /// `http://host/engine-rest`, for links.
    pub base: String,
}

impl Ask {
    #[must_use]
    pub fn input(&self) -> Input<'_> {
        Input::url(&self.params)
    }

    /// # Errors
    /// As [`crate::paging::page`].
    pub fn page(&self) -> Result<shared::store::query::Page, ApiError> {
        crate::paging::page(&self.params)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &dyn shared::store::Store {
        &*self.state.store
    }
}

impl FromRequestParts<ApiState> for Ask {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Self, ApiError> {
        let caller = parts.extensions.get::<Caller>().cloned().unwrap_or_else(Caller::anonymous);
        let host = parts.headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("localhost");
        Ok(Self {
            state: state.clone(),
            caller,
            params: Params::parse(parts.uri.query().unwrap_or_default()),
            base: format!("http://{host}/engine-rest"),
        })
    }
}

/// A JSON object as body. An empty one counts as `{}`; null, arrays and scalars are refused.
pub struct Json(pub Object);

impl Json {
    #[must_use]
    pub fn input(&self) -> Input<'_> {
        Input::body(&self.0)
    }
}

impl FromRequest<ApiState> for Json {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &ApiState) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = json_bytes(&parts.headers, body, state.limits.body_bytes).await?;
        object(&bytes).map(Self)
    }
}

/// Is the body said to be JSON? 415 otherwise.
///
/// # Errors
/// `NotSupportedException`.
pub fn expect_json(headers: &HeaderMap) -> Result<(), ApiError> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    // A request without a body need not say what its body is.
    let nothing = essence.is_empty() && headers.get(header::CONTENT_LENGTH).is_none_or(|l| l == "0");
    if nothing || essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(ApiError::web(StatusCode::UNSUPPORTED_MEDIA_TYPE, "NotSupportedException"))
}

async fn json_bytes(headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, ApiError> {
    expect_json(headers)?;
    let bytes = axum::body::to_bytes(body, most).await.map_err(|_| too_large(most as u64))?;
    Ok(bytes.to_vec())
}

/// The 413 for a body beyond its bound.
#[must_use]
pub fn too_large(most: u64) -> ApiError {
    let message = format!("The body is larger than {most} bytes; send less at once, or raise the server's bound");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "InvalidRequestException", message, None)
}

/// Reads an object; the last of a doubled key wins, text after the document is refused.
///
/// # Errors
/// 400 naming the place.
pub fn object(bytes: &[u8]) -> Result<Object, ApiError> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Ok(Object::new());
    }
    match serde_json::from_slice::<Value>(bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(crate::input::misfit("", &other, "an object")),
        Err(error) => Err(malformed(&error)),
    }
}

/// The 400 for what is no JSON.
#[must_use]
pub fn malformed(error: &serde_json::Error) -> ApiError {
    ApiError::invalid(format!("The body is not the JSON expected: {error}"))
}
