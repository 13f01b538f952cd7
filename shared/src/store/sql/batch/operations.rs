//! The user operation log: what a known user did to a batch (spec-batch-rest §2.7). Nobody known, nothing written.

use crate::clock::Millis;
use crate::id;
use crate::job::WorkRef;
use crate::store::sql::{Column, Columns, Tx};
use crate::store::{Caller, Error};

/// One operation, a row for each of its properties: (name, before, after).
pub(super) struct Operation {
    pub kind: &'static str,
    pub entity: &'static str,
    pub properties: Vec<(&'static str, Option<String>, Option<String>)>,
    pub batch: String,
    pub job: Option<WorkRef>,
    pub tenant: Option<String>,
}

pub(super) async fn write(tx: &mut Tx, caller: &Caller, now: Millis, operation: &Operation) -> Result<(), Error> {
    let Some(user) = &caller.user else { return Ok(()) };
    let n = operation.properties.len();
    let properties = || operation.properties.iter();
    let job = operation.job.as_ref().map(|job| id::numbered(&job.batch, job.number));
    let columns = Columns(vec![
        ("id", Column::texts(properties().map(|_| id::new_id()))),
        ("operation_id", Column::same(id::new_id(), n)),
        ("time", Column::same(now, n)),
        ("user_id", Column::same(user, n)),
        ("operation_type", Column::same(operation.kind, n)),
        ("entity_type", Column::same(operation.entity, n)),
        ("property", Column::texts(properties().map(|(name, ..)| *name))),
        ("original_value", Column::optional_texts(properties().map(|(_, before, _)| before.clone()))),
        ("new_value", Column::optional_texts(properties().map(|(.., after)| after.clone()))),
        ("batch_id", Column::same(&operation.batch, n)),
        ("job_id", Column::same(job.as_deref(), n)),
        ("tenant_id", Column::same(operation.tenant.as_deref(), n)),
    ]);
    tx.insert("operation_log", columns, "").await?;
    Ok(())
}
