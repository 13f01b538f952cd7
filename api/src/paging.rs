//! Paging, sorting, counting (spec-batch-rest §5.4).

use axum::http::StatusCode;
use shared::store::query::{Order, Page};

use crate::error::ApiError;
use crate::extract::Params;
use crate::input::Input;

/// `firstResult` and `maxResults`, always from the URL. What is no integer is a 404; negative ones find nothing (FINDINGS 8).
///
/// # Errors
/// [`ApiError`] `QueryParamException`.
pub fn page(params: &Params) -> Result<Page, ApiError> {
    let read = |name| match params.get(name).filter(|v| !v.is_empty()) {
        None => Ok(None),
        Some(text) => {
            let bad = |_| ApiError::new(StatusCode::NOT_FOUND, "QueryParamException", "HTTP 404 Not Found", None);
            text.parse::<i32>().map(Some).map_err(bad)
        }
    };
    let (first, max) = (read("firstResult")?, read("maxResults")?);
    if first.is_some_and(|n| n < 0) || max.is_some_and(|n| n < 0) {
        return Ok(Page { first: 0, max: Some(0) });
    }
    let unsigned = |n: i32| u64::from(n.unsigned_abs());
    Ok(Page { first: first.map_or(0, unsigned), max: max.map(unsigned) })
}

/// A page of what is in memory already.
pub fn slice<T>(mut all: Vec<T>, page: Page) -> Vec<T> {
    let first = usize::try_from(page.first).unwrap_or(usize::MAX).min(all.len());
    let mut rest = all.split_off(first);
    if let Some(max) = page.max {
        rest.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    }
    rest
}

/// `sortBy` and `sortOrder`, or (in a body) `sorting`.
///
/// # Errors
/// A name that is not in `words`, an order other than `asc` and `desc`, or only one of the two.
pub fn sorting<T: Copy>(input: &Input<'_>, words: &[(&str, T)]) -> Result<Vec<(T, Order)>, ApiError> {
    let by = input.text("sortBy")?.filter(|t| !t.is_empty());
    let order = input.text("sortOrder")?.filter(|t| !t.is_empty());
    let find = |name: &str| words.iter().find(|(word, _)| *word == name).map(|(_, value)| *value);
    let key = by.as_deref().map(|name| find(name).ok_or_else(|| input.cannot_set("sortBy", name, None))).transpose()?;
    let order = order.as_deref().map(|name| direction(name).ok_or_else(|| input.cannot_set("sortOrder", name, None))).transpose()?;
    let mut sorting = vec![];
    match (key, order) {
        (Some(key), Some(order)) => sorting.push((key, order)),
        (None, None) => {}
        _ => return Err(ApiError::invalid("Only a single sorting parameter specified. sortBy and sortOrder required")),
    }
    for entry in input.objects("sorting")?.unwrap_or_default() {
        let entry = Input::body(entry);
        let by = entry.text("sortBy")?;
        let key = by.as_deref().and_then(find);
        let order = entry.text("sortOrder")?;
        let direction = order.as_deref().and_then(direction);
        match (key, direction) {
            (Some(key), Some(order)) => sorting.push((key, order)),
            (Some(_), None) => {
                let message = "Invalid query: call asc() or desc() after using orderByXX(): direction is null";
                return Err(ApiError::bad_user("NotValidException", message));
            }
            (None, Some(_)) => {
                let message =
                    "You should call any of the orderBy methods first before specifying a direction: currentOrderingProperty is null";
                return Err(ApiError::bad_user("NotValidException", message));
            }
            (None, None) => {}
        }
    }
    Ok(sorting)
}

fn direction(word: &str) -> Option<Order> {
    match word {
        "asc" => Some(Order::Ascending),
        "desc" => Some(Order::Descending),
        _ => None,
    }
}

/// Orders by several keys; equal ones stay as they are. None comes last, as in PostgreSQL.
pub fn sort_by<T, K: Copy, V: Ord>(all: &mut [T], sorting: &[(K, Order)], value: impl Fn(&T, K) -> Option<V>) {
    all.sort_by(|a, b| {
        for (key, order) in sorting {
            let by = match (value(a, *key), value(b, *key)) {
                (Some(a), Some(b)) => a.cmp(&b),
                (None, Some(_)) => std::cmp::Ordering::Greater,
                (Some(_), None) => std::cmp::Ordering::Less,
                (None, None) => std::cmp::Ordering::Equal,
            };
            let by = if *order == Order::Descending { by.reverse() } else { by };
            if by.is_ne() {
                return by;
            }
        }
        std::cmp::Ordering::Equal
    });
}
