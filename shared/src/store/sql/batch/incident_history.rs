//! Reading incidents of batch jobs that are over.

use crate::id;
use crate::store::sql::statement::Sql;
use crate::store::sql::{SqlStore, Verb};
use crate::store::views::{ClosedIncident, IncidentView};
use crate::store::{Caller, Error};

impl SqlStore {
    /// In the order of their ids.
    pub(super) async fn closed_incidents(&self, caller: &Caller, after: Option<&str>, limit: u32) -> Result<Vec<ClosedIncident>, Error> {
        let mut sql = Sql::new(
            self.dialect(),
            "SELECT h.id, h.batch_id, h.number, h.job_definition_id, h.message, h.annotation, h.tenant_id, h.created, h.ended, h.state
             FROM historic_batch_incident h",
        );
        sql.with(" WHERE h.id > ", after.unwrap_or_default()).seen_by("h.tenant_id", caller);
        sql.push(" ORDER BY h.id").with(" LIMIT ", limit);
        let mut tx = self.read(Verb::named("closed_batch_incidents")).await?;
        let rows = sql.all(&mut tx).await?;
        tx.commit().await?;
        let read = rows.iter().map(|row| {
            let id = row.text("id")?;
            let incident = IncidentView {
                incident_type: "failedJob".to_owned(),
                configuration: Some(id::numbered(&row.text("batch_id")?, row.number("number")?)),
                job_definition_id: Some(row.text("job_definition_id")?),
                cause_incident_id: Some(id.clone()),
                root_cause_incident_id: Some(id.clone()),
                message: row.optional_text("message")?,
                annotation: row.optional_text("annotation")?,
                time: row.int("created")?,
                tenant_id: row.optional_text("tenant_id")?,
                id,
                ..IncidentView::default()
            };
            Ok(ClosedIncident { incident, ended: row.int("ended")?, deleted: row.text("state")? == "deleted" })
        });
        read.collect()
    }
}
