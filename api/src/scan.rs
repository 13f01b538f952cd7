//! Reading what lives in instance documents: page by page, so that memory does not depend on their number.

use shared::store::query::InstanceQuery;
use shared::store::views::StoredInstance;

use crate::error::ApiError;
use crate::extract::Ask;

/// Documents read at once.
const PAGE: u32 = 500;

/// The next page of the documents that match; None at the end. `after` is where the last one stopped, None to begin.
///
/// # Errors
/// The store's.
pub async fn page(ask: &Ask, query: &InstanceQuery, after: &mut Option<String>) -> Result<Option<Vec<StoredInstance>>, ApiError> {
    let page = ask.store().documents(&ask.caller, query, after.as_deref(), PAGE).await?;
    let Some(last) = page.last() else { return Ok(None) };
    *after = Some(last.instance.id.clone());
    Ok(Some(page))
}

/// Shows each document that matches, in the order of ids. `visit` may stop it with an error.
///
/// # Errors
/// The store's, and those of `visit`.
pub async fn each(
    ask: &Ask,
    query: &InstanceQuery,
    mut visit: impl FnMut(&StoredInstance) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let mut after = None;
    while let Some(page) = page(ask, query, &mut after).await? {
        page.iter().try_for_each(&mut visit)?;
        if page.len() < PAGE as usize {
            break;
        }
    }
    Ok(())
}

/// How many `tally` finds in the documents that match, all together.
///
/// # Errors
/// The store's.
pub async fn count(ask: &Ask, query: &InstanceQuery, tally: impl Fn(&StoredInstance) -> usize) -> Result<u64, ApiError> {
    let mut n = 0;
    each(ask, query, |stored| {
        n += tally(stored) as u64;
        Ok(())
    })
    .await?;
    Ok(n)
}

/// All that `pick` finds in the documents that match.
///
/// # Errors
/// The store's, and a 400 when there is more than the server puts into one answer.
pub async fn collect<T>(ask: &Ask, query: &InstanceQuery, mut pick: impl FnMut(&StoredInstance, &mut Vec<T>)) -> Result<Vec<T>, ApiError> {
    let (mut found, most) = (vec![], ask.state.limits.answer_rows);
    each(ask, query, |stored| {
        pick(stored, &mut found);
        bounded(found.len(), most)
    })
    .await?;
    Ok(found)
}

/// # Errors
/// 400 when `rows` are more than the server puts into one answer.
pub fn bounded(rows: usize, most: usize) -> Result<(), ApiError> {
    if rows <= most {
        return Ok(());
    }
    Err(ApiError::invalid(format!("More than {most} rows match; narrow the query, or page through ids with firstResult and maxResults")))
}

/// The document that an id lives in, whatever it names in it.
///
/// # Errors
/// The store's.
pub async fn owner(ask: &Ask, id: &str) -> Result<Option<StoredInstance>, ApiError> {
    Ok(ask.store().instance(&ask.caller, &shared::id::base_of(id)).await?)
}

/// A definition's key: its id begins with it.
#[must_use]
pub fn key_of(definition_id: &str) -> &str {
    definition_id.split(':').next().unwrap_or(definition_id)
}
