//! History as JSON: what is open comes from documents, what is closed from rows; both look alike.

use serde_json::{Value, json};
use shared::process::history::{Closed, IncidentEnd, InstanceEnd};
use shared::process::instance::{ExternalTask, Incident, OpenActivityInstance, Task, Variable};
use shared::store::views::{HistoryRow, IncidentView, StoredInstance};

use super::task::filled;
use super::values;
use crate::dates;
use crate::scan::key_of;

/// Whose record it is: what all records of an instance have in common.
#[derive(Clone, Debug, Default)]
pub struct Owner {
    pub instance: String,
    pub root: String,
    pub super_instance: Option<String>,
    pub tenant: Option<String>,
    pub business_key: Option<String>,
    pub definition: String,
    pub started: i64,
    pub start_user: Option<String>,
    pub start_activity: Option<String>,
}

impl Owner {
    #[must_use]
    pub fn open(stored: &StoredInstance) -> Self {
        let i = &stored.instance;
        Self {
            instance: i.id.clone(),
            root: i.root_instance.clone().unwrap_or_else(|| i.id.clone()),
            super_instance: i.super_instance.clone(),
            tenant: i.tenant_id.clone(),
            business_key: i.business_key.clone(),
            definition: i.definition_id.clone(),
            started: i.started_at,
            start_user: i.start_user.clone(),
            start_activity: i.start_activity.clone(),
        }
    }

    #[must_use]
    pub fn closed(row: &HistoryRow) -> Self {
        Self {
            instance: row.instance_id.clone(),
            root: row.root_instance.clone(),
            super_instance: row.super_instance.clone(),
            tenant: row.tenant_id.clone(),
            business_key: row.business_key.clone(),
            definition: row.definition_id.clone(),
            started: row.started,
            start_user: row.start_user.clone(),
            start_activity: row.start_activity.clone(),
        }
    }
}

/// A closed record as a row of its kind.
#[must_use]
pub fn closed(owner: &Owner, record: &Closed) -> Value {
    match record {
        Closed::Instance { ended, delete_reason, state, .. } => {
            let state = match state {
                InstanceEnd::Completed => "COMPLETED",
                InstanceEnd::ExternallyTerminated => "EXTERNALLY_TERMINATED",
                InstanceEnd::InternallyTerminated => "INTERNALLY_TERMINATED",
            };
            instance(owner, state, Some(*ended), delete_reason.as_deref())
        }
        Closed::Activity { record, ended, canceled, complete_scope } => {
            activity(owner, record, None, Some(*ended), *canceled, *complete_scope)
        }
        Closed::Task { record, ended, delete_reason } => task(owner, record, Some(*ended), delete_reason.as_deref()),
        Closed::Variable { record, scope, deleted, .. } => variable(owner, record, scope.as_deref(), *deleted),
        Closed::Detail { record, activity_instance_id, task_id, revision, initial, time } => {
            let mut row = variable(owner, record, activity_instance_id.as_deref(), false);
            row["type"] = json!("variableUpdate");
            row["variableType"] = json!(record.value.kind);
            row["variableName"] = json!(record.name);
            row["variableInstanceId"] = json!(record.id);
            row["taskId"] = json!(task_id);
            row["time"] = json!(dates::format(*time));
            row["revision"] = json!(revision);
            row["initial"] = json!(initial);
            row["userOperationId"] = Value::Null;
            row
        }
        Closed::Incident { record, ended, state } => incident(owner, record, Some((*ended, *state))),
        Closed::ExternalTask { record, event, time } => external_task(owner, record, event, *time),
        Closed::Job { record, time, .. } => json!({"id": record.id, "time": dates::format(*time)}),
    }
}

/// Name, version and removal time are the definition's: [`named`] fills them in.
#[must_use]
pub fn instance(o: &Owner, state: &str, ended: Option<i64>, delete_reason: Option<&str>) -> Value {
    json!({
        "id": o.instance,
        "businessKey": o.business_key,
        "processDefinitionId": o.definition,
        "processDefinitionKey": key_of(&o.definition),
        "processDefinitionName": null,
        "processDefinitionVersion": o.definition.split(':').nth(1).and_then(|v| v.parse::<i64>().ok()),
        "startTime": dates::format(o.started),
        "endTime": dates::json(ended),
        "removalTime": null,
        "durationInMillis": ended.map(|e| e - o.started),
        "startUserId": o.start_user,
        "startActivityId": o.start_activity,
        "deleteReason": delete_reason,
        "rootProcessInstanceId": o.root,
        "superProcessInstanceId": o.super_instance,
        "superCaseInstanceId": null,
        "caseInstanceId": null,
        "tenantId": o.tenant,
        "state": state,
        "restartedProcessInstanceId": null,
    })
}

#[must_use]
pub fn activity(
    o: &Owner,
    a: &OpenActivityInstance,
    assignee: Option<&str>,
    ended: Option<i64>,
    canceled: bool,
    complete_scope: bool,
) -> Value {
    json!({
        "id": a.id,
        "parentActivityInstanceId": a.parent,
        "activityId": a.activity_id,
        "activityName": a.activity_name,
        "activityType": a.activity_type,
        "processDefinitionKey": key_of(&a.definition_id),
        "processDefinitionId": a.definition_id,
        "processInstanceId": o.instance,
        "executionId": a.execution_id,
        "taskId": a.task_id,
        "assignee": assignee,
        "calledProcessInstanceId": a.called_instance,
        "calledCaseInstanceId": null,
        "startTime": dates::format(a.started_at),
        "endTime": dates::json(ended),
        "durationInMillis": ended.map(|e| e - a.started_at),
        "canceled": canceled,
        "completeScope": complete_scope,
        "tenantId": o.tenant,
        "removalTime": null,
        "rootProcessInstanceId": o.root,
    })
}

#[must_use]
pub fn task(o: &Owner, t: &Task, ended: Option<i64>, delete_reason: Option<&str>) -> Value {
    let delete_reason = delete_reason.or(ended.map(|_| "deleted"));
    let state = match (ended, delete_reason) {
        (None, _) if t.last_updated.is_some() => "Updated",
        (None, _) => "Created",
        (Some(_), Some("completed")) => "Completed",
        (Some(_), _) => "Deleted",
    };
    json!({
        "id": t.id,
        "processDefinitionKey": filled(key_of(&t.definition_id)),
        "processDefinitionId": filled(&t.definition_id),
        "processInstanceId": filled(&o.instance),
        "executionId": filled(&t.execution_id),
        "caseDefinitionKey": null,
        "caseDefinitionId": null,
        "caseInstanceId": null,
        "caseExecutionId": null,
        "activityInstanceId": filled(&t.activity_instance_id),
        "name": t.name,
        "description": t.description,
        "deleteReason": delete_reason,
        "owner": t.owner,
        "assignee": t.assignee,
        "startTime": dates::format(t.created),
        "endTime": dates::json(ended),
        "duration": ended.map(|e| e - t.created),
        "taskDefinitionKey": filled(&t.task_definition_key),
        "priority": t.priority,
        "due": dates::json(t.due),
        "parentTaskId": t.parent_task,
        "followUp": dates::json(t.follow_up),
        "tenantId": o.tenant,
        "removalTime": null,
        "rootProcessInstanceId": filled(&o.root),
        "taskState": state,
    })
}

#[must_use]
pub fn variable(o: &Owner, v: &Variable, scope: Option<&str>, deleted: bool) -> Value {
    let mut row = values::show(&v.value);
    let rest = json!({
        "id": v.id,
        "name": v.name,
        "processDefinitionKey": key_of(&v.history_definition_id),
        "processDefinitionId": v.history_definition_id,
        "processInstanceId": o.instance,
        "executionId": v.execution_id,
        "activityInstanceId": scope,
        "caseDefinitionKey": null,
        "caseDefinitionId": null,
        "caseInstanceId": null,
        "caseExecutionId": null,
        "taskId": v.task_id,
        "errorMessage": null,
        "tenantId": o.tenant,
        "state": if deleted { "DELETED" } else { "CREATED" },
        "createTime": dates::format(v.created),
        "removalTime": null,
        "rootProcessInstanceId": o.root,
    });
    if let (Some(row), Value::Object(rest)) = (row.as_object_mut(), rest) {
        row.extend(rest);
    }
    row
}

#[must_use]
pub fn incident(o: &Owner, i: &Incident, ended: Option<(i64, IncidentEnd)>) -> Value {
    let of_instance = !o.instance.is_empty() && !i.definition_id.is_empty();
    let some = |text: &str| of_instance.then(|| text.to_owned());
    json!({
        "id": i.id,
        "processDefinitionKey": some(key_of(&i.definition_id)),
        "processDefinitionId": some(&i.definition_id),
        "processInstanceId": some(&o.instance),
        "executionId": some(&i.execution_id),
        "rootProcessInstanceId": some(&o.root),
        "createTime": dates::format(i.created),
        "endTime": dates::json(ended.map(|(at, _)| at)),
        "removalTime": null,
        "incidentType": i.incident_type,
        "activityId": i.activity_id,
        "failedActivityId": i.failed_activity_id,
        "causeIncidentId": i.cause_incident.as_ref().unwrap_or(&i.id),
        "rootCauseIncidentId": i.root_cause_incident.as_ref().unwrap_or(&i.id),
        "configuration": i.configuration,
        "historyConfiguration": null,
        "incidentMessage": i.message,
        "tenantId": o.tenant,
        "jobDefinitionId": i.job_definition_id,
        "open": ended.is_none(),
        "deleted": matches!(ended, Some((_, IncidentEnd::Deleted))),
        "resolved": matches!(ended, Some((_, IncidentEnd::Resolved))),
        "annotation": i.annotation,
    })
}

/// An incident of a batch job.
#[must_use]
pub fn batch_incident(i: &IncidentView, ended: Option<(i64, IncidentEnd)>) -> Value {
    let record = Incident {
        id: i.id.clone(),
        incident_type: i.incident_type.clone(),
        job_definition_id: i.job_definition_id.clone(),
        configuration: i.configuration.clone(),
        message: i.message.clone(),
        annotation: i.annotation.clone(),
        created: i.time,
        ..Incident::default()
    };
    incident(&Owner { tenant: i.tenant_id.clone(), ..Owner::default() }, &record, ended)
}

fn external_task(o: &Owner, e: &ExternalTask, event: &str, time: i64) -> Value {
    json!({
        "id": format!("{}-{event}", e.id),
        "timestamp": dates::format(time),
        "externalTaskId": e.id,
        "topicName": e.topic,
        "workerId": e.worker_id,
        "priority": e.priority,
        "retries": e.retries,
        "errorMessage": e.error_message,
        "activityId": e.activity_id,
        "activityInstanceId": e.activity_instance_id,
        "executionId": e.execution_id,
        "processInstanceId": o.instance,
        "processDefinitionId": e.definition_id,
        "processDefinitionKey": key_of(&e.definition_id),
        "tenantId": o.tenant,
        "creationLog": event == "created",
        "failureLog": event == "failed",
        "successLog": matches!(event, "succeeded" | "successful" | "completed"),
        "deletionLog": event == "deleted",
        "removalTime": null,
        "rootProcessInstanceId": o.root,
    })
}
