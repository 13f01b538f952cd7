//! `/metrics`: the reference's counters. Drover does not keep them by interval: lists are empty and sums are 0; its own
//! numbers are at the admin address, in Prometheus' form.

use axum::Router;
use axum::routing::get;
use serde_json::json;

use crate::dates;
use crate::error::{Answer, ApiError, ok};
use crate::extract::Ask;
use crate::input::not_a_date;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new().route("/metrics", get(list)).route("/metrics/{name}/sum", get(sum))
}

/// Here the reference says only why a value is none.
fn check(ask: &Ask) -> Result<(), ApiError> {
    for name in ["startDate", "endDate"] {
        if let Some(text) = ask.params.get(name).filter(|t| !t.is_empty() && dates::parse(t).is_none()) {
            return Err(ApiError::invalid(not_a_date(text)));
        }
    }
    match ask.params.get("interval").filter(|t| !t.is_empty() && t.parse::<i64>().is_err()) {
        Some(text) => Err(ApiError::invalid(format!("Cannot convert value {text} to java type java.lang.Long"))),
        None => Ok(()),
    }
}

async fn list(ask: Ask) -> Answer {
    check(&ask)?;
    ask.page()?;
    ok(json!([]))
}

async fn sum(ask: Ask) -> Answer {
    check(&ask)?;
    ok(json!({"result": 0}))
}
