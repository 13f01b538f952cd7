//! The bench's model: a user task with a boundary message. Its instances carry one variable.

use shared::process::value::TypedValue;
use shared::runner::Command;
use shared::store::NewInstance;

/// Versions of a process; they differ in what comes after the task.
pub fn xml(key: &str, version: usize) -> String {
    format!(
        r#"<?xml version="1.0" encoding="UTF-8"?>
<bpmn:definitions xmlns:bpmn="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="bench">
  <bpmn:message id="Cancel" name="order-cancelled"/>
  <bpmn:process id="{key}" name="Version {version}" isExecutable="true" camunda:historyTimeToLive="30">
    <bpmn:startEvent id="start"/>
    <bpmn:sequenceFlow id="toApprove" sourceRef="start" targetRef="approve"/>
    <bpmn:userTask id="approve" name="Approve the order"/>
    <bpmn:boundaryEvent id="cancelled" attachedToRef="approve"><bpmn:messageEventDefinition messageRef="Cancel"/></bpmn:boundaryEvent>
    <bpmn:sequenceFlow id="toEnd" sourceRef="approve" targetRef="end"/>
    <bpmn:endEvent id="end" name="Done {version}"/>
    <bpmn:sequenceFlow id="toCancelled" sourceRef="cancelled" targetRef="endCancelled"/>
    <bpmn:endEvent id="endCancelled"/>
  </bpmn:process>
</bpmn:definitions>"#
    )
}

/// The `n`th instance to be started.
pub fn instance(definition: &str, n: u32) -> NewInstance {
    NewInstance {
        definition_id: definition.to_owned(),
        business_key: Some(format!("order-{n}")),
        start: Command::Start {
            variables: vec![("total".into(), TypedValue::integer(i64::from(n % 900)))],
            instructions: vec![],
            start_event: None,
            skip_custom_listeners: false,
            skip_io_mappings: false,
        },
    }
}
