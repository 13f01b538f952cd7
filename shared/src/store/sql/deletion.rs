//! Deleting definitions: first no more starts, then the instances in pages, then the rows. Every step may be done again.

use super::models::Models;
use super::{LONG_TIMEOUT, SqlStore, Tx, Verb, instance_rows, params, start_events};
use crate::runner::Refusal;
use crate::store::Error;

/// Instances deleted in one transaction.
const PAGE: i64 = 500;
/// Call hierarchies are followed down at most this far.
const MAX_DEPTH: usize = 1_000;

/// Suspends the definition, then removes its instances with those that they called, and the history of all that it ever had.
pub(crate) async fn delete_instances(store: &SqlStore, definition: &str) -> Result<(), Error> {
    let verb = Verb::named("delete_definition").lasting(LONG_TIMEOUT);
    let mut tx = store.write(verb).await?;
    tx.execute("UPDATE process_definition SET suspended = TRUE WHERE id = $1", params![definition]).await?;
    tx.commit().await?;
    loop {
        let mut tx = store.write(verb).await?;
        let sql = "SELECT id FROM process_instance WHERE definition_id = $1 ORDER BY id LIMIT $2 {for update}";
        let rows = tx.all(sql, params![definition, PAGE]).await?;
        let ids = rows.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            break;
        }
        let all = with_called(&mut tx, ids).await?;
        instance_rows::erase(&mut tx, &all).await?;
        forget(&mut tx, &all).await?;
        tx.commit().await?;
    }
    loop {
        let mut tx = store.write(verb).await?;
        let sql = "SELECT instance_id AS id FROM historic WHERE kind = 'instance' AND definition_id = $1 ORDER BY number LIMIT $2";
        let rows = tx.all(sql, params![definition, PAGE]).await?;
        let ids = rows.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, _>>()?;
        if ids.is_empty() {
            return Ok(());
        }
        forget(&mut tx, &ids).await?;
        tx.commit().await?;
    }
}

/// These and all that they called, directly or not.
async fn with_called(tx: &mut Tx, ids: Vec<String>) -> Result<Vec<String>, Error> {
    let mut all = ids.clone();
    let mut callers = ids;
    for _ in 0..MAX_DEPTH {
        let rows = tx.all("SELECT id FROM process_instance WHERE super_instance {in $1} ORDER BY id", params![&callers]).await?;
        callers = rows.iter().map(|row| row.text("id")).collect::<Result<Vec<_>, _>>()?;
        if callers.is_empty() {
            break;
        }
        all.extend(callers.iter().cloned());
    }
    Ok(all)
}

/// Removes the closed history of these instances.
pub(crate) async fn forget(tx: &mut Tx, ids: &[String]) -> Result<(), Error> {
    tx.execute("DELETE FROM historic WHERE instance_id {in $1}", params![ids]).await?;
    tx.execute("DELETE FROM job_log WHERE batch_id IS NULL AND process_instance_id {in $1}", params![ids]).await?;
    Ok(())
}

/// Removes the row of a definition, its job definitions and start events; the version before starts from now on.
///
/// # Errors
/// Without `cascade`, as long as it has instances; with it, if one was started or migrated to it meanwhile.
pub(crate) async fn delete_row(tx: &mut Tx, models: &Models, definition: &str, cascade: bool) -> Result<(), Error> {
    let sql = "SELECT key, tenant_id FROM process_definition WHERE id = $1 {for update}";
    let Some(row) = tx.optional(sql, params![definition]).await? else { return Ok(()) };
    let (key, tenant) = (row.text("key")?, row.optional_text("tenant_id")?);
    let running = "SELECT count(*) AS n FROM process_instance WHERE definition_id = $1";
    let running = tx.one(running, params![definition]).await?.uint("n")?;
    if running > 0 && cascade {
        return Err(Error::Collision { verb: tx.verb(), source: None });
    }
    if running > 0 {
        return Err(Refusal::engine(format!(
            "ENGINE-03076 Deletion of process definition without cascading failed. Process definition with id: {definition} can't be deleted, because there are {running} dependent process instances."
        ))
        .into());
    }
    tx.execute("DELETE FROM job_definition WHERE process_definition_id = $1", params![definition]).await?;
    let timers = tx.execute("DELETE FROM timer WHERE process_definition_id = $1", params![definition]).await?;
    let started = tx.execute("DELETE FROM waiting WHERE owner = $1", params![definition]).await? + timers > 0;
    tx.execute("DELETE FROM process_definition WHERE id = $1", params![definition]).await?;
    if started {
        let sql = "SELECT id FROM process_definition WHERE key = $1 AND COALESCE(tenant_id, '') = COALESCE($2, '')
                   ORDER BY version DESC LIMIT 1";
        if let Some(row) = tx.optional(sql, params![&key, tenant.as_ref()]).await?
            && let Some(model) = models.get(tx, &row.text("id")?).await?
        {
            let now = tx.now().await?;
            start_events::replace(tx, &model, now).await?;
        }
    }
    Ok(())
}
