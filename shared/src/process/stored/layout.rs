//! The parts of a stored document: their fields in the order in which they are written.
//!
//! A field that was added to a part must be added here: in debug builds every document that is written or read is compared with
//! what serde makes of it.

use serde_json::{Map, Value as Json};

use super::text::{In, Out, Stored};
use crate::process::instance::{
    DOCUMENT_VERSION, Execution, ExternalTask, Incident, Instance, InstanceJob, JobHandler, OpenActivityInstance, Place, Subscription,
    SubscriptionKind, Task, Variable,
};
use crate::process::unknown::Unknown;
use crate::process::value::TypedValue;

/// Fields of an object, which may be those of another one too.
trait Fields: Sized {
    fn put(&self, out: &mut Out<'_>);
    fn take(input: &mut In<'_>) -> Option<Self>;
}

/// `version` is that of this program, whatever the value says. `all` are always written, `some` only where they are not none, empty or
/// false. `in_full` is always written, and never as a reference: what stays when the row's definition changes. `of` are the fields of
/// a value that lie among the others, `other` what a later version wrote: whoever finds that in a text reads it the general way.
macro_rules! layout {
    ($type:ident { $($rule:ident $field:ident $($name:literal)?),* $(,)? }) => {
        impl Fields for $type {
            fn put(&self, out: &mut Out<'_>) {
                $( layout!(put $rule self.$field, out, $($name)?); )*
            }

            fn take(input: &mut In<'_>) -> Option<Self> {
                Some(Self { $( $field: layout!(take $rule input, $($name)?) ),* })
            }
        }

        impl Stored for $type {
            fn put(&self, out: &mut Out<'_>) {
                out.push("{");
                Fields::put(self, out);
                out.close(b'}');
            }

            fn take(input: &mut In<'_>) -> Option<Self> {
                input.open("{")?;
                let fields = Fields::take(input)?;
                input.close("}").then_some(fields)
            }
        }
    };
    (put all $value:expr, $out:ident, $name:literal) => {
        $out.push(concat!("\"", $name, "\":"));
        Stored::put(&$value, $out);
        $out.push(",");
    };
    (put version $value:expr, $out:ident, $name:literal) => { layout!(put all DOCUMENT_VERSION, $out, $name); };
    (put some $value:expr, $out:ident, $name:literal) => {
        if !is_blank(&$value) {
            layout!(put all $value, $out, $name);
        }
    };
    (put in_full $value:expr, $out:ident, $name:literal) => {
        $out.push(concat!("\"", $name, "\":"));
        $out.literal(&$value);
        $out.push(",");
    };
    (put none $value:expr, $out:ident,) => {};
    (put of $value:expr, $out:ident,) => { Fields::put(&$value, $out); };
    (put other $value:expr, $out:ident,) => { put_other(&$value, $out); };
    (take all $input:ident, $name:literal) => {
        if $input.name(concat!("\"", $name, "\":")) { $input.value()? } else { return None }
    };
    (take version $input:ident, $name:literal) => { layout!(take all $input, $name) };
    (take in_full $input:ident, $name:literal) => { layout!(take all $input, $name) };
    (take some $input:ident, $name:literal) => {
        if $input.name(concat!("\"", $name, "\":")) { $input.value()? } else { Default::default() }
    };
    (take none $input:ident,) => { Default::default() };
    (take of $input:ident,) => { Fields::take($input)? };
    (take other $input:ident,) => { Default::default() };
}

layout!(Instance {
    version v "v", all id "id", all definition_id "definitionId", some business_key "businessKey", some tenant_id "tenantId",
    some super_instance "superInstance", some root_instance "rootInstance", all started_at "startedAt", some start_user "startUser",
    some start_activity "startActivity", all ids "ids", none suspended, all executions "executions", some tasks "tasks",
    some external_tasks "externalTasks", some jobs "jobs", some subscriptions "subscriptions", some variables "variables",
    some incidents "incidents", all open "open", other other,
});

layout!(Place { all activity_id "activityId", some activity_instance_id "activityInstanceId" });

layout!(Execution {
    all id "id", some parent "parent", some scope "scope", some at "at", some is_scope "isScope", some is_concurrent "isConcurrent",
    some is_active "isActive", some is_event_scope "isEventScope", some called_instance "calledInstance",
    some shown_instance "shownInstance", some flow "flow", other other,
});

layout!(Task {
    all id "id", all execution_id "executionId", all activity_instance_id "activityInstanceId",
    all task_definition_key "taskDefinitionKey", all definition_id "definitionId", some name "name", some description "description",
    some assignee "assignee", some owner "owner", some delegation_state "delegationState", all priority "priority",
    all created "created", some due "due", some follow_up "followUp", some last_updated "lastUpdated", some parent_task "parentTask",
    some candidate_users "candidateUsers", some candidate_groups "candidateGroups", other other,
});

layout!(ExternalTask {
    all id "id", all execution_id "executionId", all activity_instance_id "activityInstanceId", all activity_id "activityId",
    all definition_id "definitionId", all topic "topic", some worker_id "workerId", some lock_expires "lockExpires",
    some retries "retries", all priority "priority", some error_message "errorMessage", some error_details "errorDetails",
    all created "created", other other,
});

layout!(InstanceJob {
    all id "id", all execution_id "executionId", all handler "handler", all configuration "configuration", all activity_id "activityId",
    all definition_id "definitionId", all deployment_id "deploymentId", some job_definition_id "jobDefinitionId", some due "due",
    some repeat "repeat", all retries "retries", all priority "priority", some suspended "suspended", all exclusive "exclusive",
    some exception_message "exceptionMessage", some exception_stacktrace "exceptionStacktrace",
    some failed_activity_id "failedActivityId", all created "created", other other,
});

layout!(Subscription {
    all id "id", all execution_id "executionId", all kind "kind", some event_name "eventName", all activity_id "activityId",
    all created "created", some configuration "configuration", other other,
});

layout!(Variable {
    all id "id", all name "name", all execution_id "executionId", some task_id "taskId", in_full definition_id "definitionId",
    all history_definition_id "historyDefinitionId", all created "created", some concurrent_local "concurrentLocal", of value,
    other other,
});

layout!(Incident {
    all id "id", all execution_id "executionId", all incident_type "incidentType", some activity_id "activityId",
    some failed_activity_id "failedActivityId", all definition_id "definitionId", some job_definition_id "jobDefinitionId",
    some configuration "configuration", some message "message", some annotation "annotation", some cause_incident "causeIncident",
    some root_cause_incident "rootCauseIncident", all created "created", other other,
});

layout!(OpenActivityInstance {
    all id "id", some parent "parent", all activity_id "activityId", some activity_name "activityName",
    all activity_type "activityType", all definition_id "definitionId", all execution_id "executionId", all started_at "startedAt",
    some task_id "taskId", some called_instance "calledInstance", other other,
});

impl Fields for TypedValue {
    fn put(&self, out: &mut Out<'_>) {
        layout!(put all self.kind, out, "type");
        layout!(put all self.value, out, "value");
        if self.info.as_object().is_some_and(|info| !info.is_empty()) {
            layout!(put all self.info, out, "info");
        }
    }

    fn take(input: &mut In<'_>) -> Option<Self> {
        Some(Self {
            kind: layout!(take all input, "type"),
            value: layout!(take all input, "value"),
            info: layout!(take some input, "info"),
            transient: false,
        })
    }
}

/// Each by its one name.
macro_rules! words {
    ($type:ident { $($variant:ident $name:literal),* $(,)? }) => {
        impl Stored for $type {
            fn put(&self, out: &mut Out<'_>) {
                out.push(match self { $( Self::$variant => concat!("\"", $name, "\"") ),* });
            }

            fn take(input: &mut In<'_>) -> Option<Self> {
                $( if input.skip(concat!("\"", $name, "\"")) { return Some(Self::$variant) } )*
                None
            }
        }
    };
}

words!(JobHandler {
    AsyncContinuation "async-continuation", TimerTransition "timer-transition",
    TimerIntermediateTransition "timer-intermediate-transition", TimerStartEventSubprocess "timer-start-event-subprocess",
    TimerTaskListener "timer-task-listener",
});

words!(SubscriptionKind { Message "message", Signal "signal", Conditional "conditional", Compensate "compensate" });

fn is_blank<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What this program does not know.
trait Other {
    fn fields(&self) -> Option<&Map<String, Json>>;
}

impl Other for Unknown {
    fn fields(&self) -> Option<&Map<String, Json>> {
        self.all()
    }
}

impl Other for Map<String, Json> {
    fn fields(&self) -> Option<&Map<String, Json>> {
        Some(self)
    }
}

fn put_other(other: &impl Other, out: &mut Out<'_>) {
    for (name, value) in other.fields().into_iter().flatten() {
        out.field(name, value);
    }
}
