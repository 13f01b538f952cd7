//! The router: every resource under `/engine-rest` and `/engine-rest/engine/{name}`, trailing slashes allowed, and the
//! reference's bodies for what it does not know (spec-batch-rest §5.1).

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;

use crate::access;
use crate::error::ApiError;
use crate::routes;
use crate::state::ApiState;

/// The whole API below `/engine-rest`; to be merged into a server's router. Who asks is the request's extension
/// [`shared::store::Caller`], and nobody in particular without one.
pub fn router(state: ApiState) -> Router {
    let resources = routes::all()
        .fallback(|| async { ApiError::unknown_path() })
        .method_not_allowed_fallback(|| async { ApiError::web(StatusCode::METHOD_NOT_ALLOWED, "NotAllowedException") })
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(CatchPanicLayer::custom(panicked))
        .with_state(state);
    let service = ServiceBuilder::new()
        .layer(middleware::from_fn(plain_path))
        .layer(middleware::from_fn(no_cache))
        .layer(middleware::from_fn(access::only_who_may))
        .service(resources);
    Router::new().nest_service("/engine-rest", service)
}

/// `/engine/default/batch/` is `/batch`.
async fn plain_path(mut request: Request, next: Next) -> Response {
    match resource_path(request.uri().path()) {
        Ok(path) => {
            let path_and_query = request.uri().query().map_or_else(|| path.clone(), |q| format!("{path}?{q}"));
            if let Ok(uri) = path_and_query.parse::<Uri>() {
                *request.uri_mut() = uri;
            }
            next.run(request).await
        }
        Err(error) => error.into_response(),
    }
}

fn resource_path(path: &str) -> Result<String, ApiError> {
    let path = path.trim_end_matches('/');
    let plain = match path.strip_prefix("/engine/").map(|rest| rest.split_once('/').unwrap_or((rest, ""))) {
        None => path.to_owned(),
        Some(("default", "")) => "/nothing-here".to_owned(),
        Some(("default", rest)) => format!("/{}", rest.trim_start_matches('/')),
        Some(_) => return Err(ApiError::invalid("No process engine available")),
    };
    Ok(if plain.is_empty() { "/".to_owned() } else { plain })
}

async fn no_cache(request: Request, next: Next) -> Response {
    let cached = request.method() != Method::GET || request.uri().path().ends_with("xml");
    let mut response = next.run(request).await;
    if !cached {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    }
    response
}

/// A bug of ours is one caller's 500, not a broken connection.
fn panicked(panic: Box<dyn std::any::Any + Send>) -> Response {
    let text = panic.downcast_ref::<String>().cloned().or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
    tracing::error!(panic = text.unwrap_or_default(), "a request hit a bug");
    ApiError::engine("RestException", "The server hit a bug; its log says more").with_code(None).into_response()
}
