//! What an instance's document holds, as the rows that queries show.

use shared::process::instance::{Incident, InstanceJob, JobHandler};
use shared::store::views::{IncidentView, JobView, StoredInstance};

use crate::scan::key_of;

/// An instance's own job. It is suspended when it or its instance is.
#[must_use]
pub fn job(stored: &StoredInstance, job: &InstanceJob) -> JobView {
    let instance = &stored.instance;
    JobView {
        id: job.id.clone(),
        job_definition_id: job.job_definition_id.clone(),
        process_instance_id: Some(instance.id.clone()),
        process_definition_id: Some(job.definition_id.clone()),
        process_definition_key: Some(key_of(&job.definition_id).to_owned()),
        execution_id: Some(job.execution_id.clone()),
        exception_message: job.exception_message.clone(),
        failed_activity_id: job.failed_activity_id.clone(),
        activity_id: Some(job.activity_id.clone()),
        retries: job.retries,
        due: job.due,
        suspended: job.suspended || instance.suspended,
        priority: job.priority,
        tenant_id: instance.tenant_id.clone(),
        created: job.created,
        batch_id: None,
        is_timer: job.handler != JobHandler::AsyncContinuation,
    }
}

#[must_use]
pub fn incident(stored: &StoredInstance, incident: &Incident) -> IncidentView {
    let instance = &stored.instance;
    IncidentView {
        id: incident.id.clone(),
        process_definition_id: Some(incident.definition_id.clone()),
        process_definition_key: Some(key_of(&incident.definition_id).to_owned()),
        process_instance_id: Some(instance.id.clone()),
        execution_id: Some(incident.execution_id.clone()),
        time: incident.created,
        incident_type: incident.incident_type.clone(),
        activity_id: incident.activity_id.clone(),
        failed_activity_id: incident.failed_activity_id.clone(),
        cause_incident_id: incident.cause_incident.clone().or_else(|| Some(incident.id.clone())),
        root_cause_incident_id: incident.root_cause_incident.clone().or_else(|| Some(incident.id.clone())),
        configuration: incident.configuration.clone(),
        message: incident.message.clone(),
        tenant_id: instance.tenant_id.clone(),
        job_definition_id: incident.job_definition_id.clone(),
        annotation: incident.annotation.clone(),
    }
}
