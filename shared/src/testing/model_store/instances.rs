//! Instances: put there before, changed and deleted by other commands meanwhile.

use std::sync::Arc;

use super::ModelStore;
use super::rows::{InstanceRow, Key, Row};
use crate::process::instance::Instance;
use crate::store::Error;

impl ModelStore {
    /// An instance that was there before all else.
    pub fn put_instance(&self, instance: Instance) {
        let key = Key::Instance(instance.id.clone());
        self.db().rows.insert(key, Row::Instance(Arc::new(InstanceRow::written(instance, 1))));
    }

    /// A command of a caller: reads, runs, writes `WHERE revision = …`. None: it ended the instance. False: missed, or no such one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn command(&self, id: &str, run: impl FnOnce(Instance) -> Option<Instance> + Send) -> Result<bool, Error> {
        let mut tx = self.begin("command").await?;
        let Some(row) = tx.instance(id)? else { return Ok(false) };
        let after = run(row.instance.clone());
        tx.step().await;
        let key = Key::Instance(id.into());
        tx.lock(&key).await?;
        if tx.instance(id)?.map(|stored| stored.revision) != Some(row.revision) {
            return Ok(false);
        }
        match after {
            Some(instance) => tx.put(key, Row::Instance(Arc::new(InstanceRow::written(instance, row.revision + 1)))).await?,
            None => tx.delete(key).await?,
        }
        tx.commit().await?;
        Ok(true)
    }
}
