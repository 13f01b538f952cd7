//! What never changes about a batch: read once, kept in memory.
//!
//! Safe without a lock on the batch row: who holds a run or job of a batch knows that the batch is there, since deleting
//! it waits for that row.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::batch::{BatchConfiguration, BatchType};
use crate::store::sql::{Row, SqlStore, Tx, Verb, corrupt, params};
use crate::store::{Caller, Error, Tenants};

/// Batches remembered; above that all are forgotten.
const REMEMBERED: usize = 1_000;

#[derive(Clone, Debug)]
pub(crate) struct Fixed {
    pub configuration: BatchConfiguration,
    pub tenant_id: Option<String>,
    /// Those of who submitted it.
    pub tenants: Tenants,
    pub default_retries: i32,
    pub batch_jobs_per_seed: u32,
    pub invocations_per_batch_job: u32,
}

impl Fixed {
    pub(super) fn batch_type(&self) -> BatchType {
        self.configuration.batch_type()
    }

    /// May this batch's jobs touch what belongs to `tenant`?
    pub(super) fn reaches(&self, tenant: Option<&str>) -> bool {
        let own = match (&self.tenant_id, tenant) {
            (None, _) | (_, None) => true,
            (Some(own), Some(tenant)) => own == tenant,
        };
        own && self.tenants.see(tenant)
    }

    pub(super) const COLUMNS: &str =
        "id, configuration, tenant_id, tenants, default_retries, batch_jobs_per_seed, invocations_per_batch_job";

    pub(super) fn read(row: &Row) -> Result<Self, Error> {
        let id = row.text("id")?;
        let configuration = serde_json::from_str(&row.text("configuration")?).map_err(|e| corrupt("configuration of batch", &id, &e))?;
        Ok(Self {
            configuration,
            tenant_id: row.optional_text("tenant_id")?,
            tenants: read_tenants(&id, row.optional_text("tenants")?)?,
            default_retries: row.int32("default_retries")?,
            batch_jobs_per_seed: row.number("batch_jobs_per_seed")?,
            invocations_per_batch_job: row.number("invocations_per_batch_job")?,
        })
    }
}

/// How the tenants of who submits a batch are stored; None: all of them.
pub(super) fn stored_tenants(caller: &Caller) -> Option<String> {
    match &caller.tenants {
        Tenants::All => None,
        Tenants::Of(tenants) => Some(super::work_rows::json(tenants)),
    }
}

fn read_tenants(batch: &str, stored: Option<String>) -> Result<Tenants, Error> {
    let Some(stored) = stored else { return Ok(Tenants::All) };
    serde_json::from_str(&stored).map(Tenants::Of).map_err(|e| corrupt("tenants of batch", batch, &e))
}

/// Batches by id, bounded.
#[derive(Default)]
pub(crate) struct FixedCache(Mutex<HashMap<String, Arc<Fixed>>>);

impl FixedCache {
    fn get(&self, id: &str) -> Option<Arc<Fixed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn put(&self, id: String, fixed: Arc<Fixed>) {
        let mut map = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if map.len() >= REMEMBERED {
            map.clear();
        }
        map.insert(id, fixed);
    }
}

impl SqlStore {
    /// What the batch does; None: there is no such batch.
    pub(super) async fn type_of(&self, batch: &str) -> Result<Option<BatchType>, Error> {
        if let Some(fixed) = self.fixed.get(batch) {
            return Ok(Some(fixed.batch_type()));
        }
        let mut tx = self.read(Verb::named("batch_type")).await?;
        let found = self.fixed(&mut tx, [batch]).await?;
        tx.commit().await?;
        Ok(found.get(batch).map(|fixed| fixed.batch_type()))
    }

    /// What is fixed about these batches, of those that there are.
    pub(super) async fn fixed(&self, tx: &mut Tx, ids: impl IntoIterator<Item = &str>) -> Result<HashMap<String, Arc<Fixed>>, Error> {
        let mut found = HashMap::new();
        let mut missing: Vec<String> = vec![];
        for id in ids {
            match self.fixed.get(id) {
                Some(fixed) => {
                    found.insert(id.to_owned(), fixed);
                }
                None if !missing.iter().any(|m| m == id) => missing.push(id.to_owned()),
                None => {}
            }
        }
        if missing.is_empty() {
            return Ok(found);
        }
        for row in tx.all(&format!("SELECT {} FROM batch WHERE id {{in $1}}", Fixed::COLUMNS), params![&missing]).await? {
            let (id, fixed) = (row.text("id")?, Arc::new(Fixed::read(&row)?));
            self.fixed.put(id.clone(), Arc::clone(&fixed));
            found.insert(id, fixed);
        }
        Ok(found)
    }
}
