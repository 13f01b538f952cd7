//! Batches whose effect is on columns and on closed history, not on documents: suspension, restart, deletion of history,
//! removal times (spec-batch-rest §4.7). One row of work to a transaction.

use std::collections::{BTreeSet, HashSet};

use crate::batch::{BatchConfiguration, RemovalTime};
use crate::job::Failure;
use crate::store::sql::statement::Sql;
use crate::store::sql::{Row, SqlStore, Tx, Verb, corrupt, deletion, history_rows, params};
use crate::store::{Error, Executed, Mode, Portion};

use super::attempt::Attempt;
use super::execute::{Done, claim_one};

const EFFECTS: Verb = Verb::named("execute_effects").by_key();

impl SqlStore {
    pub(super) async fn affect_items(&self, portion: &Portion, mode: &Mode) -> Result<Executed, Error> {
        let mut tx = self.write(EFFECTS).await?;
        let done = self.affect_items_in(&mut tx, portion, mode).await;
        self.ended(tx, done).await
    }

    async fn affect_items_in(&self, tx: &mut Tx, portion: &Portion, mode: &Mode) -> Result<Done, Error> {
        let mut executed = Executed::default();
        let Some((row, jobs)) = claim_one(tx, portion, mode, &mut executed).await? else { return Ok(Done::nothing(executed)) };
        let now = row.now;
        let mut attempts = self.attempts(tx, vec![(row, jobs)]).await?;
        for attempt in &mut attempts {
            self.affect(tx, attempt).await?;
        }
        self.finish(tx, now, &attempts, executed).await
    }

    async fn affect(&self, tx: &mut Tx, attempt: &mut Attempt) -> Result<(), Error> {
        match &attempt.fixed.configuration {
            BatchConfiguration::Suspension { suspended } => suspend(tx, attempt, *suspended).await,
            BatchConfiguration::Restart { .. } => self.restart_items(tx, attempt).await,
            BatchConfiguration::HistoricDeletion => {
                let (running, over) = sort_out(tx, attempt).await?;
                deletion::forget(tx, &over).await?;
                fail(attempt, &running);
                Ok(())
            }
            // There are no decisions here, so none is left to delete.
            BatchConfiguration::HistoricDecisionDeletion => Ok(()),
            BatchConfiguration::SetRemovalTime { removal } => {
                let removal = *removal;
                let (_, over) = sort_out(tx, attempt).await?;
                history_rows::set_removal(tx, &over, removal).await
            }
            BatchConfiguration::BatchSetRemovalTime { removal } => {
                // Batches have no time to live here: a calculated time is none.
                let at = match removal {
                    RemovalTime::At(at) => Some(*at),
                    RemovalTime::Cleared | RemovalTime::Calculated => None,
                };
                let mut sql = Sql::new(tx.dialect(), "SELECT id, tenant_id FROM historic_batch WHERE ");
                sql.one_of("id", &attempt.claimed.ids).push(" ORDER BY id {for update}");
                let there = reached(&sql.all(tx).await?, attempt)?;
                tx.execute("UPDATE historic_batch SET removal_time = $2 WHERE id {in $1}", params![&there, at]).await?;
                Ok(())
            }
            _ => Err(corrupt("batch", &attempt.row.work.batch, &"its type has no effect of its own")),
        }
    }
}

/// The column alone; those that are gone are no failure.
async fn suspend(tx: &mut Tx, attempt: &Attempt, suspended: bool) -> Result<(), Error> {
    let mut sql = Sql::new(tx.dialect(), "SELECT id, tenant_id FROM process_instance WHERE ");
    sql.one_of("id", &attempt.claimed.ids).push(" ORDER BY id {for update}");
    let there = reached(&sql.all(tx).await?, attempt)?;
    let sql = "UPDATE process_instance SET revision = revision + 1, suspended = $2 WHERE id {in $1} AND suspended <> $2";
    tx.execute(sql, params![&there, suspended]).await?;
    Ok(())
}

/// Ids of the rows that the batch may touch.
fn reached(rows: &[Row], attempt: &Attempt) -> Result<Vec<String>, Error> {
    let mut ids = vec![];
    for row in rows {
        if attempt.fixed.reaches(row.optional_text("tenant_id")?.as_deref()) {
            ids.push(row.text("id")?);
        }
    }
    Ok(ids)
}

/// The items that still run, and those that are over and may be reached; what is neither is not there.
async fn sort_out(tx: &mut Tx, attempt: &Attempt) -> Result<(HashSet<String>, Vec<String>), Error> {
    let ids = &attempt.claimed.ids;
    let running = tx.all("SELECT id, tenant_id FROM process_instance WHERE id {in $1}", params![ids]).await?;
    let running: HashSet<String> = reached(&running, attempt)?.into_iter().collect();
    let rows = tx.all("SELECT instance_id, tenant_id FROM historic WHERE kind = 'instance' AND instance_id {in $1}", params![ids]).await?;
    let mut over = BTreeSet::new();
    for row in &rows {
        let id = row.text("instance_id")?;
        if attempt.fixed.reaches(row.optional_text("tenant_id")?.as_deref()) && !running.contains(&id) {
            over.insert(id);
        }
    }
    Ok((running, over.into_iter().collect()))
}

fn fail(attempt: &mut Attempt, running: &HashSet<String>) {
    for (id, outcome) in attempt.claimed.ids.iter().zip(attempt.outcomes.iter_mut()).filter(|(id, _)| running.contains(*id)) {
        let message =
            format!("Process instance is still running, cannot delete historic process instance: {id}: instance.getEndTime() is null");
        *outcome = Some(Failure { reason: "BadUserRequestException".to_owned(), details: message.clone(), message });
    }
}
