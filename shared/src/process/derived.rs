//! Rows derived from a document: what an instance waits for, its indexed variables, when it is to be woken (design §4).
//!
//! Pure functions of the document, which the store writes as differences. They must not depend on anything that is not in it: the
//! suspension of an instance is a column of its own, so that whoever reads these rows filters by it, and suspending writes none.

use super::instance::{ExternalTask, Instance, InstanceJob, SubscriptionKind, Variable};

/// Kinds of variables that can be searched by value.
const SIMPLE: [&str; 8] = ["String", "Integer", "Short", "Long", "Double", "Boolean", "Date", "Null"];

/// What sort of thing is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WaitingKind {
    Message,
    Signal,
    ExternalTask,
}

impl WaitingKind {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Message => "message",
            Self::Signal => "signal",
            Self::ExternalTask => "external-task",
        }
    }
}

/// Something from outside that an instance waits for: a message, a signal, a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Id of the subscription or external task.
    pub element_id: String,
    pub kind: WaitingKind,
    /// Of the message or signal; the topic of an external task.
    pub name: String,
    pub activity_id: String,
    /// Of an external task; 0 for others.
    pub priority: i64,
    /// From when a worker may take an external task, in milliseconds since the epoch; none: never, or it is none.
    pub available_at: Option<i64>,
}

/// A variable that instances are found by.
#[derive(Clone, Debug, PartialEq)]
pub struct IndexedVariable {
    pub id: String,
    pub name: String,
    /// Its type, as `TypedValue::kind`.
    pub kind: String,
    /// Of texts, and of dates as they are printed (which sort as they are).
    pub text: Option<String>,
    /// Of numbers; 1 and 0 of booleans.
    pub number: Option<f64>,
}

/// Message and signal subscriptions with a name, and external tasks, in the order of the document.
#[must_use]
pub fn waiting(instance: &Instance) -> Vec<Waiting> {
    let subscriptions = instance.subscriptions.iter().filter_map(|subscription| {
        let kind = match subscription.kind {
            SubscriptionKind::Message => WaitingKind::Message,
            SubscriptionKind::Signal => WaitingKind::Signal,
            SubscriptionKind::Conditional | SubscriptionKind::Compensate => return None,
        };
        Some(Waiting {
            element_id: subscription.id.clone(),
            kind,
            name: subscription.event_name.clone()?,
            activity_id: subscription.activity_id.clone(),
            priority: 0,
            available_at: None,
        })
    });
    let external_tasks = instance.external_tasks.iter().map(|task| Waiting {
        element_id: task.id.clone(),
        kind: WaitingKind::ExternalTask,
        name: task.topic.clone(),
        activity_id: task.activity_id.clone(),
        priority: task.priority,
        available_at: available_at(task),
    });
    subscriptions.chain(external_tasks).collect()
}

/// A task without retries is never available; a locked one once its lock has run out.
fn available_at(task: &ExternalTask) -> Option<i64> {
    task.retries.is_none_or(|left| left > 0).then(|| task.lock_expires.unwrap_or(task.created))
}

/// Simple variables on the root execution, and those local to a task that sits on it (FINDINGS 11).
#[must_use]
pub fn variable_index(instance: &Instance) -> Vec<IndexedVariable> {
    let on_root = |variable: &&Variable| {
        let task = variable.task_id.as_ref().and_then(|id| instance.tasks.iter().find(|t| t.id == *id));
        task.map_or(variable.execution_id.as_str(), |t| t.execution_id.as_str()) == instance.id
    };
    let simple = instance.variables.iter().filter(|v| SIMPLE.contains(&v.value.kind.as_str()));
    simple
        .filter(on_root)
        .map(|variable| {
            let value = &variable.value.value;
            IndexedVariable {
                id: variable.id.clone(),
                name: variable.name.clone(),
                kind: variable.value.kind.clone(),
                text: value.as_str().map(str::to_owned),
                number: value.as_f64().or_else(|| value.as_bool().map(|holds| f64::from(u8::from(holds)))),
            }
        })
        .collect()
}

/// The earliest time at which a job of the instance may run; a job without a due date may from its creation on. None when no job has
/// retries left and is not itself suspended.
#[must_use]
pub fn wake_at(instance: &Instance) -> Option<i64> {
    let runnable = instance.jobs.iter().filter(|job| job.retries > 0 && !job.suspended);
    runnable.map(|job| job.due.unwrap_or(job.created)).min()
}

#[must_use]
pub fn has_incident(instance: &Instance) -> bool {
    !instance.incidents.is_empty()
}

/// The job that runs next: the one that has been due for the longest time.
#[must_use]
pub fn next_due(instance: &Instance, now: i64) -> Option<&InstanceJob> {
    let due = |job: &InstanceJob| job.due.unwrap_or(job.created);
    let may_run = |job: &&InstanceJob| job.retries > 0 && !job.suspended && due(job) <= now;
    if instance.suspended {
        return None;
    }
    instance.jobs.iter().filter(may_run).min_by(|a, b| due(a).cmp(&due(b)).then(b.priority.cmp(&a.priority)).then(a.id.cmp(&b.id)))
}

#[cfg(test)]
mod tests {
    use super::super::instance::{Incident, InstanceJob, Subscription, Task};
    use super::super::value::TypedValue;
    use super::*;

    #[test]
    fn the_job_due_for_the_longest_time_runs_first() {
        let job = |id: &str, due, retries| InstanceJob { id: id.into(), due, created: 50, retries, ..InstanceJob::default() };
        let jobs = vec![job("late", Some(200), 3), job("spent", Some(1), 0), job("async", None, 3), job("timer", Some(40), 3)];
        let mut instance = Instance { jobs, ..Instance::default() };
        assert_eq!(next_due(&instance, 100).map(|j| j.id.as_str()), Some("timer"));
        assert_eq!(next_due(&instance, 39), None);
        instance.suspended = true;
        assert_eq!(next_due(&instance, 100), None);
    }

    fn variable(id: &str, execution: &str, task: Option<&str>, value: TypedValue) -> Variable {
        Variable {
            id: id.into(),
            name: id.into(),
            execution_id: execution.into(),
            task_id: task.map(str::to_owned),
            definition_id: String::new(),
            history_definition_id: String::new(),
            concurrent_local: false,
            created: 0,
            value,
            other: Default::default(),
        }
    }

    #[test]
    fn messages_signals_and_external_tasks_are_waited_for() {
        let subscription = |id: &str, kind, name: Option<&str>| Subscription {
            id: id.into(),
            kind,
            event_name: name.map(str::to_owned),
            ..Subscription::default()
        };
        let external = |id: &str, retries, lock_expires| ExternalTask {
            id: id.into(),
            topic: "t".into(),
            retries,
            lock_expires,
            created: 5,
            ..ExternalTask::default()
        };
        let instance = Instance {
            subscriptions: vec![
                subscription("m", SubscriptionKind::Message, Some("go")),
                subscription("s", SubscriptionKind::Signal, Some("all")),
                subscription("c", SubscriptionKind::Conditional, None),
                subscription("x", SubscriptionKind::Compensate, None),
            ],
            external_tasks: vec![external("free", None, None), external("locked", Some(2), Some(9)), external("dead", Some(0), None)],
            ..Instance::default()
        };
        let found: Vec<_> = waiting(&instance).into_iter().map(|w| (w.element_id, w.kind.as_str(), w.name, w.available_at)).collect();
        let expected = [
            ("m", "message", "go", None),
            ("s", "signal", "all", None),
            ("free", "external-task", "t", Some(5)),
            ("locked", "external-task", "t", Some(9)),
            ("dead", "external-task", "t", None),
        ];
        assert_eq!(found, expected.map(|(id, kind, name, at)| (id.to_owned(), kind, name.to_owned(), at)));
    }

    #[test]
    fn only_simple_variables_of_the_outermost_scope_are_indexed() {
        let task = |id: &str, execution: &str| Task { id: id.into(), execution_id: execution.into(), ..Task::default() };
        let instance = Instance {
            id: "root".into(),
            tasks: vec![task("outer", "root"), task("inner", "child")],
            variables: vec![
                variable("process", "root", None, TypedValue::integer(3)),
                variable("flag", "root", None, TypedValue::boolean(true)),
                variable("object", "root", None, TypedValue::new("Object", "{}".into())),
                variable("local", "child", None, TypedValue::string("x")),
                variable("outerTask", "root", Some("outer"), TypedValue::string("y")),
                variable("innerTask", "root", Some("inner"), TypedValue::string("z")),
            ],
            ..Instance::default()
        };
        let found: Vec<_> = variable_index(&instance).into_iter().map(|v| (v.id, v.text, v.number)).collect();
        let expected = [
            ("process".to_owned(), None, Some(3.0)),
            ("flag".to_owned(), None, Some(1.0)),
            ("outerTask".to_owned(), Some("y".to_owned()), None),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn the_earliest_job_that_may_run_wakes() {
        let job = |due, created, retries, suspended| InstanceJob { due, created, retries, suspended, ..InstanceJob::default() };
        let mut instance = Instance { jobs: vec![job(Some(90), 1, 3, false), job(Some(10), 1, 0, false)], ..Instance::default() };
        assert_eq!(wake_at(&instance), Some(90));
        instance.jobs.extend([job(Some(20), 1, 1, true), job(None, 40, 1, false)]);
        assert_eq!(wake_at(&instance), Some(40));
        // Whoever wakes looks at the column of the instance's suspension.
        instance.suspended = true;
        assert_eq!(wake_at(&instance), Some(40));
        instance.jobs.clear();
        assert_eq!(wake_at(&instance), None);
        assert!(!has_incident(&instance));
        instance.incidents.push(Incident::default());
        assert!(has_incident(&instance));
    }
}
