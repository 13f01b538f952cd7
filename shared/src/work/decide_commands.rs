//! What becomes of one instance of a batch that runs a command on it (spec-batch-rest §4.7). Pure.

use std::sync::Arc;

use crate::batch::BatchConfiguration;
use crate::id::InstanceIds;
use crate::job::Failure;
use crate::process::definition::ProcessDefinition;
use crate::process::history::Closed;
use crate::process::instance::{Instance, SubscriptionKind};
use crate::runner::command::VariableScope;
use crate::runner::{self, Command, Cx, Refusal, Request};
use crate::store::{Item, ItemContext, ItemOutcome};

/// Decides the items of all types whose effect is a command on an instance.
pub(super) fn decide(cx: &ItemContext<'_>, item: Item) -> ItemOutcome {
    let Item { id, instance, definition } = item;
    let Some((instance, definition)) = instance.zip(definition) else {
        return missing(cx.configuration, &id).map_or(ItemOutcome::Nothing, ItemOutcome::Failed);
    };
    let commands = match commands(cx.configuration, &id, &instance) {
        Ok(commands) => commands,
        Err(refusal) => return ItemOutcome::Failed(failure(&refusal)),
    };
    if commands.is_empty() {
        return ItemOutcome::Nothing;
    }
    let mut changing = Changing { instance, ended: false, closed: vec![], requests: vec![] };
    for command in commands {
        if changing.is_past(&command) {
            continue;
        }
        changing = match changing.run(cx, &definition, command) {
            Ok(changed) => changed,
            Err(refusal) => return ItemOutcome::Failed(failure(&refusal)),
        };
    }
    let Changing { instance, ended, closed, mut requests } = changing;
    if matches!(cx.configuration, BatchConfiguration::Deletion { skip_subprocesses: true, .. }) {
        requests.retain(|request| !matches!(request, Request::DeleteCalled { .. }));
    }
    ItemOutcome::Changed { instance: Box::new(instance), closed, requests, ended }
}

/// What an item that is not there comes to: a failure, or (None) a success.
fn missing(configuration: &BatchConfiguration, id: &str) -> Option<Failure> {
    let refusal = match configuration {
        BatchConfiguration::Modification { .. } => Refusal::nothing_to_modify(id),
        BatchConfiguration::SetExternalTaskRetries { retries } if *retries < 0 => negative_retries(),
        BatchConfiguration::SetExternalTaskRetries { .. } => no_external_task(id),
        _ => return None,
    };
    Some(failure(&refusal))
}

fn no_external_task(id: &str) -> Refusal {
    Refusal::new("NotFoundException", format!("Cannot find external task with id {id}: externalTask is null"))
}

fn negative_retries() -> Refusal {
    let message = "The number of retries cannot be negative: retries is not greater than or equal to 0";
    Refusal::new("BadUserRequestException", message)
}

/// What to run on the instance, in order; nothing where it is not concerned.
fn commands(configuration: &BatchConfiguration, id: &str, instance: &Instance) -> Result<Vec<Command>, Refusal> {
    Ok(match configuration {
        BatchConfiguration::Deletion { reason, skip, .. } => vec![Command::Delete {
            reason: reason.clone(),
            skip_custom_listeners: skip.custom_listeners,
            skip_io_mappings: skip.io_mappings,
        }],
        BatchConfiguration::SetVariables { variables } => {
            let scope = VariableScope::Execution(instance.id.clone());
            vec![Command::SetVariables { scope, variables: variables.clone(), local: false }]
        }
        BatchConfiguration::Modification { definition_id, instructions, skip } => {
            if instance.definition_id != *definition_id {
                return Err(Refusal::modified_as_another(id, &instance.definition_id, definition_id));
            }
            vec![Command::Modify {
                instructions: instructions.clone(),
                skip_custom_listeners: skip.custom_listeners,
                skip_io_mappings: skip.io_mappings,
            }]
        }
        BatchConfiguration::SetExternalTaskRetries { retries } if *retries < 0 => return Err(negative_retries()),
        BatchConfiguration::SetExternalTaskRetries { retries } => {
            if !instance.external_tasks.iter().any(|task| task.id == id) {
                return Err(no_external_task(id));
            }
            vec![Command::SetExternalTaskRetries { id: id.to_owned(), retries: *retries }]
        }
        // Nobody who is suspended hears a message.
        BatchConfiguration::CorrelateMessage { .. } if instance.suspended => vec![],
        BatchConfiguration::CorrelateMessage { name, variables } => {
            let waits = instance.subscriptions.iter();
            let waits = waits.filter(|s| s.kind == SubscriptionKind::Message && s.event_name.as_ref() == Some(name));
            let deliver =
                |id: &String| Command::Deliver { subscription_id: id.clone(), variables: variables.clone(), local_variables: vec![] };
            waits.map(|s| deliver(&s.id)).collect()
        }
        // The store does these itself.
        BatchConfiguration::Migration { .. }
        | BatchConfiguration::SetJobRetries { .. }
        | BatchConfiguration::Restart { .. }
        | BatchConfiguration::Suspension { .. }
        | BatchConfiguration::HistoricDeletion
        | BatchConfiguration::HistoricDecisionDeletion
        | BatchConfiguration::SetRemovalTime { .. }
        | BatchConfiguration::BatchSetRemovalTime { .. } => {
            return Err(Refusal::engine(format!("item {id} is not to be decided by a command")));
        }
    })
}

/// An instance on its way through several commands.
struct Changing {
    instance: Instance,
    ended: bool,
    closed: Vec<Closed>,
    requests: Vec<Request>,
}

impl Changing {
    /// Has an earlier command ended what this one is for?
    fn is_past(&self, command: &Command) -> bool {
        let gone = |id: &String| !self.instance.subscriptions.iter().any(|s| s.id == *id);
        self.ended || matches!(command, Command::Deliver { subscription_id, .. } if gone(subscription_id))
    }

    fn run(mut self, cx: &ItemContext<'_>, definition: &Arc<ProcessDefinition>, command: Command) -> Result<Self, Refusal> {
        // The column's, which the core does not keep.
        let suspended = self.instance.suspended;
        let mut ids = InstanceIds::new(&self.instance.id, self.instance.ids);
        let mut run_cx =
            Cx { definition, now: cx.now, ids: &mut ids, job_definitions: cx.job_definitions, default_retries: cx.default_retries };
        let mut ran = runner::run(self.instance, command, &mut run_cx)?;
        ran.instance.ids = ids.given();
        ran.instance.suspended = suspended;
        self.closed.append(&mut ran.closed);
        self.requests.append(&mut ran.requests);
        Ok(Self { instance: ran.instance, ended: ran.ended, closed: self.closed, requests: self.requests })
    }
}

fn failure(refusal: &Refusal) -> Failure {
    Failure { reason: refusal.kind.to_owned(), details: refusal.to_string(), message: refusal.message.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::Skip;
    use crate::process::instance::{Execution, Subscription};
    use crate::process::parse::parse;
    use crate::process::value::TypedValue;
    use crate::runner::NoJobDefinitions;
    use crate::runner::command::Modification;

    const MODEL: &str = r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" targetNamespace="t">
        <process id="p" isExecutable="true"><startEvent id="s"/><sequenceFlow id="f1" sourceRef="s" targetRef="t1"/>
        <userTask id="t1"/><sequenceFlow id="f2" sourceRef="t1" targetRef="e"/><endEvent id="e"/></process></definitions>"#;

    fn cx(configuration: &BatchConfiguration) -> ItemContext<'_> {
        ItemContext {
            batch: "b",
            configuration,
            source: None,
            target: None,
            job_definitions: &NoJobDefinitions,
            default_retries: 3,
            now: 1,
        }
    }

    fn started() -> (Instance, Arc<ProcessDefinition>) {
        let mut definition = parse(MODEL).unwrap().remove(0);
        definition.id = "p:1:x".into();
        let id = crate::id::new_base();
        let blank = Instance { id: id.clone(), definition_id: definition.id.clone(), ..Instance::default() };
        let mut ids = InstanceIds::new(&id, 0);
        let mut run_cx = Cx { definition: &definition, now: 1, ids: &mut ids, job_definitions: &NoJobDefinitions, default_retries: 3 };
        let start = Command::Start {
            variables: vec![],
            instructions: vec![],
            start_event: None,
            skip_custom_listeners: false,
            skip_io_mappings: false,
        };
        let mut instance = runner::run(blank, start, &mut run_cx).unwrap().instance;
        instance.ids = ids.given();
        (instance, Arc::new(definition))
    }

    fn decided(configuration: &BatchConfiguration, item: Option<(Instance, Arc<ProcessDefinition>)>) -> ItemOutcome {
        let (instance, definition) = item.unzip();
        let id = instance.as_ref().map_or_else(|| "nope".to_owned(), |i| i.id.clone());
        decide(&cx(configuration), Item { id, instance, definition })
    }

    #[test]
    fn what_is_not_there_is_done_or_a_failure_by_the_type() {
        let deletion = BatchConfiguration::Deletion { reason: None, skip: Skip::default(), skip_subprocesses: false };
        assert!(matches!(decided(&deletion, None), ItemOutcome::Nothing));
        let message = BatchConfiguration::CorrelateMessage { name: "m".into(), variables: vec![] };
        assert!(matches!(decided(&message, None), ItemOutcome::Nothing));
        let modification = BatchConfiguration::Modification { definition_id: "p:1:x".into(), instructions: vec![], skip: Skip::default() };
        let ItemOutcome::Failed(failure) = decided(&modification, None) else { panic!("it fails") };
        assert!(failure.message.starts_with("ENGINE-13036 Process instance 'nope'"), "{}", failure.message);
        let retries = BatchConfiguration::SetExternalTaskRetries { retries: 1 };
        let ItemOutcome::Failed(failure) = decided(&retries, None) else { panic!("it fails") };
        assert_eq!(failure.message, "Cannot find external task with id nope: externalTask is null");
    }

    #[test]
    fn a_deletion_ends_the_instance() {
        let deletion = BatchConfiguration::Deletion { reason: Some("r".into()), skip: Skip::default(), skip_subprocesses: false };
        let ItemOutcome::Changed { ended, closed, .. } = decided(&deletion, Some(started())) else { panic!("it is deleted") };
        assert!(ended);
        assert!(closed.iter().any(|c| matches!(c, Closed::Instance { delete_reason: Some(r), .. } if r == "r")));
    }

    #[test]
    fn a_modification_of_another_definition_fails() {
        let instructions = vec![Modification::CancelAll { activity_id: "t1".into() }];
        let modification = BatchConfiguration::Modification { definition_id: "other".into(), instructions, skip: Skip::default() };
        let ItemOutcome::Failed(failure) = decided(&modification, Some(started())) else { panic!("it fails") };
        assert!(failure.message.starts_with("ENGINE-13037"), "{}", failure.message);
    }

    #[test]
    fn variables_are_set_on_the_instance_itself() {
        let value = TypedValue { kind: "String".into(), value: "x".into(), info: serde_json::Value::Null, transient: false };
        let set = BatchConfiguration::SetVariables { variables: vec![("v".into(), value)] };
        let ItemOutcome::Changed { instance, .. } = decided(&set, Some(started())) else { panic!("they are set") };
        assert!(instance.variables.iter().any(|v| v.name == "v" && v.execution_id == instance.id));
    }

    #[test]
    fn a_message_for_which_nobody_waits_or_that_is_suspended_changes_nothing() {
        let message = BatchConfiguration::CorrelateMessage { name: "m".into(), variables: vec![] };
        assert!(matches!(decided(&message, Some(started())), ItemOutcome::Nothing));
        let (mut instance, definition) = started();
        let waits = Subscription { kind: SubscriptionKind::Message, event_name: Some("m".into()), ..Subscription::default() };
        instance.subscriptions.push(waits);
        instance.executions.push(Execution::default());
        instance.suspended = true;
        assert!(matches!(decided(&message, Some((instance, definition))), ItemOutcome::Nothing));
    }
}
