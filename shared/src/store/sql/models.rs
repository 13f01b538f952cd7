//! Compiled models: read from the deployed XML once, kept in a bounded cache. Definitions never change once deployed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Tx, corrupt, params};
use crate::id;
use crate::process::definition::ProcessDefinition;
use crate::process::parse::parse;
use crate::runner::{JobDefinitionSetting, JobDefinitions};
use crate::store::Error;

/// Models kept in memory; the one not used for the longest time goes first.
const CACHED: usize = 256;

#[derive(Default)]
pub(crate) struct Models(Mutex<Cache>);

#[derive(Default)]
struct Cache {
    models: HashMap<String, (u64, Arc<ProcessDefinition>)>,
    uses: u64,
}

impl Models {
    /// The model of this definition, from the cache or the database; None: no such definition. A cached one may have been
    /// deleted meanwhile: who needs to know asks the table.
    pub(crate) async fn get(&self, tx: &mut Tx, definition: &str) -> Result<Option<Arc<ProcessDefinition>>, Error> {
        if let Some(model) = self.cached(definition) {
            return Ok(Some(model));
        }
        let Some(model) = load(tx, definition).await? else { return Ok(None) };
        let model = Arc::new(model);
        self.keep(model.clone());
        Ok(Some(model))
    }

    /// As [`Self::get`], for a definition that instances have.
    pub(crate) async fn of_instance(&self, tx: &mut Tx, instance: &str, definition: &str) -> Result<Arc<ProcessDefinition>, Error> {
        let model = self.get(tx, definition).await?;
        model.ok_or_else(|| corrupt("process instance", instance, &format!("its definition {definition} is not there")))
    }

    fn cached(&self, definition: &str) -> Option<Arc<ProcessDefinition>> {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        cache.uses += 1;
        let now = cache.uses;
        let (used, model) = cache.models.get_mut(definition)?;
        *used = now;
        Some(model.clone())
    }

    fn keep(&self, model: Arc<ProcessDefinition>) {
        let mut cache = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.models.len() >= CACHED {
            let oldest = cache.models.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| id.clone());
            oldest.map(|id| cache.models.remove(&id));
        }
        cache.uses += 1;
        let now = cache.uses;
        cache.models.insert(model.id.clone(), (now, model));
    }
}

async fn load(tx: &mut Tx, definition: &str) -> Result<Option<ProcessDefinition>, Error> {
    let sql = "SELECT d.key, d.version, d.tenant_id, d.deployment_id, r.bytes
               FROM process_definition d JOIN resource r ON r.deployment_id = d.deployment_id AND r.name = d.resource
               WHERE d.id = $1";
    let Some(row) = tx.optional(sql, params![definition]).await? else { return Ok(None) };
    let key = row.text("key")?;
    let xml = row.bytes("bytes")?;
    let parsed = parse(&String::from_utf8_lossy(&xml));
    let parsed = parsed.map_err(|e| corrupt("process definition", definition, &format!("{e:?}")))?;
    let mut model = parsed
        .into_iter()
        .find(|model| model.key == key)
        .ok_or_else(|| corrupt("process definition", definition, &format!("its file has no process {key}")))?;
    model.version = row.int32("version")?;
    identify(&mut model, definition, row.optional_text("tenant_id")?, &row.text("deployment_id")?);
    Ok(Some(model))
}

/// Gives a parsed model what only the store knows.
pub(crate) fn identify(model: &mut ProcessDefinition, id: &str, tenant: Option<String>, deployment: &str) {
    id.clone_into(&mut model.id);
    deployment.clone_into(&mut model.deployment_id);
    model.tenant_id = tenant;
    let base = base_of(id).to_owned();
    for (declaration, number) in model.job_definitions.iter_mut().zip(1..) {
        declaration.id = id::numbered(&base, number);
    }
}

/// The uuid in a definition's id: what belongs to the definition is numbered under it.
pub(crate) fn base_of(definition: &str) -> &str {
    definition.rsplit(':').next().unwrap_or(definition)
}

/// Settings of the job definitions of some process definitions: only those that say anything.
#[derive(Debug, Default)]
pub(crate) struct Settings(HashMap<String, JobDefinitionSetting>);

impl Settings {
    pub(crate) async fn load(&mut self, tx: &mut Tx, model: &ProcessDefinition) -> Result<(), Error> {
        if model.job_definitions.is_empty() {
            return Ok(());
        }
        let sql = "SELECT id, suspended, overriding_priority FROM job_definition
                   WHERE process_definition_id = $1 AND (suspended OR overriding_priority IS NOT NULL)";
        for row in tx.all(sql, params![&model.id]).await? {
            let setting =
                JobDefinitionSetting { suspended: row.bool("suspended")?, overriding_priority: row.optional_int("overriding_priority")? };
            self.0.insert(row.text("id")?, setting);
        }
        Ok(())
    }
}

impl JobDefinitions for Settings {
    fn setting(&self, job_definition_id: &str) -> JobDefinitionSetting {
        self.0.get(job_definition_id).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_forgets_what_is_not_used() {
        let models = Models::default();
        let model = |n: usize| Arc::new(ProcessDefinition { id: format!("d{n}"), ..ProcessDefinition::default() });
        for n in 0..CACHED {
            models.keep(model(n));
        }
        assert!(models.cached("d0").is_some());
        models.keep(model(CACHED));
        assert!(models.cached("d0").is_some() && models.cached("d1").is_none());
    }
}
