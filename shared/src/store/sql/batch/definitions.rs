//! Verbs about all jobs of one of a batch's three job definitions (design §5).

use crate::id;
use crate::job::WorkRef;
use crate::store::sql::{LONG_TIMEOUT, SqlStore, Verb, params};
use crate::store::{Caller, Error, SuspendScope};

use super::one_job::{Change, Retries, change_control};
use super::operations::{self, Operation};
use super::suspend::{lock_batch, publishable, suspend_work};

const SET_RETRIES: Verb = Verb::named("set_definition_retries").lasting(LONG_TIMEOUT).durable();
const SET_SUSPENDED: Verb = Verb::named("set_definition_suspended").lasting(LONG_TIMEOUT).durable();
const SET_PRIORITY: Verb = Verb::named("set_definition_priority").lasting(LONG_TIMEOUT).durable();

/// The job definitions of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Seed,
    Monitor,
    Execution,
}

impl Kind {
    fn of(definition: &WorkRef) -> Option<Self> {
        match definition.number {
            id::SEED_JOB_DEFINITION => Some(Self::Seed),
            id::MONITOR_JOB_DEFINITION => Some(Self::Monitor),
            id::BATCH_JOB_DEFINITION => Some(Self::Execution),
            _ => None,
        }
    }

    /// Prefix of the columns in the batch row, and number, of its one job.
    fn control(self) -> Option<(&'static str, u32)> {
        match self {
            Self::Seed => Some(("seed", id::SEED_JOB)),
            Self::Monitor => Some(("monitor", id::MONITOR_JOB)),
            Self::Execution => None,
        }
    }
}

fn operation(kind: &'static str, definition: &WorkRef, tenant: Option<String>, property: &'static str, value: Option<String>) -> Operation {
    Operation {
        kind,
        entity: "JobDefinition",
        properties: vec![(property, None, value)],
        batch: definition.batch.clone(),
        job: None,
        tenant,
    }
}

impl SqlStore {
    /// Only jobs with no retries left take the new ones; their incidents stay until they succeed (spec-batch-rest §1.6).
    pub(super) async fn set_retries_of_definition(
        &self,
        caller: &Caller,
        definition: &WorkRef,
        retries: Retries,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        let Retries { retries, due } = retries.check()?;
        let Some(kind) = Kind::of(definition) else { return Ok(None) };
        let mut tx = self.write(SET_RETRIES).await?;
        let batch = &definition.batch;
        let Some((row, fixed)) = lock_batch(&mut tx, caller, batch).await? else { return Ok(None) };
        let works = if let Some((prefix, _)) = kind.control() {
            let sql = format!(
                "UPDATE batch SET {prefix}_retries = $2, {prefix}_due = CASE WHEN $3 THEN $4 ELSE {prefix}_due END
                 WHERE id = $1 AND {prefix}_retries = 0"
            );
            tx.execute(&sql, params![batch, retries, due.is_some(), due.flatten()]).await?;
            vec![]
        } else if retries == 0 {
            vec![]
        } else {
            for table in ["run", "job"] {
                let sql = format!(
                    "UPDATE {table} SET retries = $2, due = CASE WHEN $3 THEN $4 ELSE due END, wake_at = {{now}}, wakes = 0, attempts = 0,
                            lease_token = NULL, lease_until = NULL
                     WHERE batch = $1 AND retries = 0"
                );
                tx.execute(&sql, params![batch, retries, due.is_some(), due.flatten()]).await?;
            }
            publishable(&mut tx, batch).await?
        };
        let entry = operation("SetJobRetries", definition, fixed.tenant_id, "retries", Some(retries.to_string()));
        operations::write(&mut tx, caller, row.int("now")?, &entry).await?;
        tx.commit().await?;
        Ok(Some(works))
    }

    /// With only the execution job definition suspended, seeding goes on: its runs are born suspended.
    pub(super) async fn suspend_batch_definition(
        &self,
        caller: &Caller,
        definition: &WorkRef,
        suspended: bool,
        scope: SuspendScope,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        let Some(kind) = Kind::of(definition) else { return Ok(None) };
        let mut tx = self.write(SET_SUSPENDED).await?;
        let batch = &definition.batch;
        let Some((row, fixed)) = lock_batch(&mut tx, caller, batch).await? else { return Ok(None) };
        let own_id = id::numbered(batch, definition.number);
        tx.execute("UPDATE job_definition SET suspended = $2 WHERE id = $1", params![own_id, suspended]).await?;
        let mut works = vec![];
        match (scope, kind.control()) {
            (SuspendScope::DefinitionOnly, _) => {}
            (SuspendScope::DefinitionAndJobs, Some((prefix, number))) => {
                change_control(&mut tx, &WorkRef::new(batch, number), prefix, Change::Suspended(suspended)).await?;
            }
            (SuspendScope::DefinitionAndJobs, None) => {
                suspend_work(&mut tx, batch, suspended).await?;
                if !suspended {
                    works = publishable(&mut tx, batch).await?;
                }
            }
        }
        let (verb, value) = if suspended { ("SuspendJobDefinition", "suspended") } else { ("ActivateJobDefinition", "active") };
        let entry = operation(verb, definition, fixed.tenant_id, "suspensionState", Some(value.to_owned()));
        operations::write(&mut tx, caller, row.int("now")?, &entry).await?;
        tx.commit().await?;
        Ok(Some(works))
    }

    pub(super) async fn set_priority_of_definition(
        &self,
        caller: &Caller,
        definition: &WorkRef,
        priority: Option<i64>,
    ) -> Result<Option<Vec<WorkRef>>, Error> {
        let Some(kind) = Kind::of(definition) else { return Ok(None) };
        let mut tx = self.write(SET_PRIORITY).await?;
        let batch = &definition.batch;
        let Some((row, fixed)) = lock_batch(&mut tx, caller, batch).await? else { return Ok(None) };
        let own_id = id::numbered(batch, definition.number);
        tx.execute("UPDATE job_definition SET overriding_priority = $2 WHERE id = $1", params![own_id, priority]).await?;
        if let Some(priority) = priority {
            match kind.control() {
                Some((prefix, number)) => {
                    change_control(&mut tx, &WorkRef::new(batch, number), prefix, Change::Priority(priority)).await?;
                }
                None => {
                    for table in ["run", "job"] {
                        tx.execute(&format!("UPDATE {table} SET priority = $2 WHERE batch = $1"), params![batch, priority]).await?;
                    }
                }
            }
        }
        let entry = operation("SetPriority", definition, fixed.tenant_id, "overridingPriority", priority.map(|p| p.to_string()));
        operations::write(&mut tx, caller, row.int("now")?, &entry).await?;
        tx.commit().await?;
        // Nothing became runnable by it.
        Ok(Some(vec![]))
    }
}
