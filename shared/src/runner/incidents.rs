//! Incidents: made when retries run out, resolved when they are back, told to the calling instances.

use super::run::{Run, Step};
use super::{Refusal, Request};
use crate::process::history::{Closed, IncidentEnd};
use crate::process::instance::{Incident, InstanceJob};

impl Run<'_, '_> {
    pub fn job_incident(&mut self, job: &InstanceJob) -> Step {
        let there = self.i.incidents.iter().any(|i| i.incident_type == "failedJob" && i.configuration.as_ref() == Some(&job.id));
        if there {
            return Ok(());
        }
        self.add_incident(Incident {
            execution_id: job.execution_id.clone(),
            incident_type: "failedJob".into(),
            activity_id: Some(job.activity_id.clone()),
            failed_activity_id: job.failed_activity_id.clone(),
            job_definition_id: job.job_definition_id.clone(),
            configuration: Some(job.id.clone()),
            message: job.exception_message.clone(),
            ..Incident::default()
        });
        Ok(())
    }

    /// Adds an incident (id, definition and time are given here), and tells the caller's instance.
    pub fn add_incident(&mut self, incident: Incident) {
        let id = self.new_id();
        let cause = incident.cause_incident.clone().unwrap_or_else(|| id.clone());
        let root = incident.root_cause_incident.clone().unwrap_or_else(|| id.clone());
        let incident_type = incident.incident_type.clone();
        let (definition_id, created) = (self.model.id.clone(), self.cx.now);
        self.i.incidents.push(Incident {
            id: id.clone(),
            definition_id,
            created,
            cause_incident: Some(cause),
            root_cause_incident: Some(root.clone()),
            ..incident
        });
        if let Some(super_instance) = self.i.super_instance.clone() {
            let called_instance = self.i.id.clone();
            self.requests.push(Request::IncidentUp {
                super_instance,
                called_instance,
                incident_id: id,
                root_incident_id: root,
                incident_type,
            });
        }
    }

    /// The incidents of a job or external task.
    pub fn end_incidents_of(&mut self, configuration: &str, resolved: bool) {
        self.end_incidents(resolved, |i| i.configuration.as_deref() == Some(configuration));
    }

    pub fn end_incidents_on(&mut self, execution: &str) {
        self.end_incidents(false, |i| i.execution_id == execution);
    }

    fn end_incidents(&mut self, resolved: bool, gone: impl Fn(&Incident) -> bool) {
        let state = if resolved { IncidentEnd::Resolved } else { IncidentEnd::Deleted };
        while let Some(index) = self.i.incidents.iter().position(&gone) {
            let record = self.i.incidents.remove(index);
            if let Some(super_instance) = self.i.super_instance.clone() {
                self.requests.push(Request::IncidentGone { super_instance, incident_id: record.id.clone() });
            }
            self.closed.push(Closed::Incident { record, ended: self.cx.now, state });
        }
    }

    // --- commands ------------------------------------------------------------------------------------------

    pub fn create_incident(
        &mut self,
        execution: &str,
        incident_type: String,
        configuration: Option<String>,
        message: Option<String>,
    ) -> Step {
        let missing = || {
            let text = format!("Cannot find an execution with executionId '{execution}': execution is null");
            Refusal::new("BadUserRequestException", text)
        };
        let e = self.i.execution(execution).ok_or_else(missing)?;
        let activity_id = e.at.as_ref().or(e.scope.as_ref()).map(|p| p.activity_id.clone());
        let missing = || {
            let text = format!("Execution with executionId '{execution}' is at no activity: activity is null");
            Refusal::new("BadUserRequestException", text)
        };
        let activity_id = Some(activity_id.ok_or_else(missing)?);
        let execution_id = execution.to_owned();
        self.add_incident(Incident { execution_id, incident_type, activity_id, configuration, message, ..Incident::default() });
        Ok(())
    }

    fn incident(&self, id: &str) -> Step<&Incident> {
        self.i.incidents.iter().find(|i| i.id == id).ok_or_else(|| Refusal::new("BadUserRequestException", "incident is null"))
    }

    /// A caller's own incident goes, with all of the same type and configuration (FINDINGS 38).
    pub fn resolve_incident(&mut self, id: &str) -> Step {
        let missing = |_| Refusal::new("NotFoundException", format!("Cannot find an incident with id '{id}': incident is null"));
        let Incident { incident_type, configuration, .. } = self.incident(id).map_err(missing)?.clone();
        if matches!(incident_type.as_str(), "failedJob" | "failedExternalTask") {
            let text = format!("Cannot resolve an incident of type {incident_type}");
            return Err(Refusal::new("BadUserRequestException", text));
        }
        self.end_incidents(true, |i| i.incident_type == incident_type && i.configuration == configuration);
        Ok(())
    }

    pub fn annotate_incident(&mut self, id: &str, annotation: Option<String>) -> Step {
        self.incident(id)?;
        if let Some(incident) = self.i.incidents.iter_mut().find(|i| i.id == id) {
            incident.annotation = annotation;
        }
        Ok(())
    }

    /// An incident of a called instance shows on the call activity too.
    pub fn incident_up(&mut self, called: &str, incident: String, root: String, incident_type: String) -> Step {
        let Some(e) = self.i.executions.iter().find(|e| e.called_instance.as_deref() == Some(called)) else { return Ok(()) };
        let activity_id = e.at.as_ref().map(|p| p.activity_id.clone());
        self.add_incident(Incident {
            execution_id: e.id.clone(),
            incident_type,
            failed_activity_id: activity_id.clone(),
            activity_id,
            cause_incident: Some(incident),
            root_cause_incident: Some(root),
            ..Incident::default()
        });
        Ok(())
    }

    pub fn incident_gone(&mut self, incident: &str) {
        self.end_incidents(true, |i| i.cause_incident.as_deref() == Some(incident) && i.id != incident);
    }
}
