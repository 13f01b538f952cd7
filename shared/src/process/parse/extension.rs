//! What extensions say of any flow node: async flags, listeners, input and output mappings.

use roxmltree::Node;

use super::{Builder, xml};
use crate::process::definition::{ActivityIx, ExecutionListener, ListenerAction, Mapping, MappingValue};
use crate::process::expression::Expression;

/// Lists and maps inside of lists and maps. The XML's own depth bounds them too.
const MAX_VALUE_DEPTH: usize = 50;

impl Builder<'_> {
    /// Async flags, exclusive, priority and retries of an activity's jobs.
    pub(super) fn continuation(&mut self, node: Node<'_, '_>, ix: ActivityIx) {
        let activity = self.at(ix);
        // `async` is the old name of `asyncBefore`.
        activity.async_before = xml::ext(node, "asyncBefore") == Some("true") || xml::ext(node, "async") == Some("true");
        activity.async_after = xml::ext(node, "asyncAfter") == Some("true");
        activity.exclusive = xml::ext(node, "exclusive") != Some("false");
        activity.job_priority = xml::ext_text(node, "jobPriority").map(Expression);
        activity.retry_time_cycle = xml::extensions(node, "failedJobRetryTimeCycle").next().map(xml::text).filter(|t| !t.is_empty());
    }

    /// Execution listeners of an activity, a process or a flow.
    pub(super) fn execution_listeners(&mut self, node: Node<'_, '_>) -> Vec<ExecutionListener> {
        let mut listeners = Vec::new();
        let on_flow = xml::tag(node) == "sequenceFlow";
        for listener in xml::extensions(node, "executionListener") {
            let event = if on_flow { "take" } else { listener.attribute("event").unwrap_or_default() };
            if on_flow || matches!(event, "start" | "end") {
                let action = self.listener_action(listener, "executionListener");
                listeners.push(ExecutionListener { event: event.to_owned(), action });
            } else {
                self.report.error("Attribute 'event' must be one of {start|end}.", listener);
            }
        }
        listeners
    }

    pub(super) fn listener_action(&mut self, node: Node<'_, '_>, what: &str) -> ListenerAction {
        if let Some(expression) = node.attribute("expression").filter(|e| !e.is_empty()) {
            return ListenerAction::Expression(Expression::new(expression));
        }
        for name in ["class", "delegateExpression"] {
            if let Some(value) = node.attribute(name).filter(|v| !v.is_empty()) {
                return ListenerAction::Unsupported(format!("{name} {value}"));
            }
        }
        if xml::extension_children(node, "script").next().is_none() {
            let message = format!("Element 'class', 'expression', 'delegateExpression' or 'script' is mandatory on {what}");
            self.report.error(message, node);
        }
        ListenerAction::Unsupported("script".to_owned())
    }

    /// `camunda:inputOutput`, which makes an activity a scope unless it is the inner one of a multi-instance body.
    pub(super) fn input_output(&mut self, node: Node<'_, '_>, ix: ActivityIx, in_body: bool) {
        let Some(mapping) = xml::extensions(node, "inputOutput").next() else { return };
        if !self.may_map(node, mapping, in_body) {
            return;
        }
        let inputs = self.mappings(mapping, "inputParameter");
        let outputs = self.mappings(mapping, "outputParameter");
        let activity = self.at(ix);
        activity.inputs = inputs;
        activity.outputs = outputs;
        activity.is_scope |= !in_body;
    }

    fn may_map(&mut self, node: Node<'_, '_>, mapping: Node<'_, '_>, in_body: bool) -> bool {
        let tag = xml::tag(node);
        let lower = tag.to_lowercase();
        if !(lower.contains("task") || lower.contains("event") || matches!(tag, "transaction" | "subProcess" | "callActivity")) {
            self.report.error(format!("camunda:inputOutput mapping unsupported for element type '{tag}'."), node);
            return false;
        }
        if tag == "subProcess" && xml::boolean(node.attribute("triggeredByEvent"), false) {
            let message =
                format!("camunda:inputOutput mapping unsupported for element type '{tag}' with attribute 'triggeredByEvent = true'.");
            self.report.error(message, node);
            return false;
        }
        if xml::extension_children(mapping, "outputParameter").next().is_some() {
            if tag == "endEvent" {
                self.report.error("camunda:outputParameter not allowed for element type 'endEvent'.", node);
                return false;
            }
            if in_body {
                self.report.error("camunda:outputParameter not allowed for multi-instance constructs", node);
                return false;
            }
        }
        true
    }

    fn mappings(&mut self, node: Node<'_, '_>, name: &str) -> Vec<Mapping> {
        let mut mappings = Vec::new();
        for parameter in xml::extension_children(node, name) {
            match parameter.attribute("name").filter(|n| !n.is_empty()) {
                Some(name) => {
                    let value = self.mapping_value(parameter, 0);
                    mappings.push(Mapping { name: name.to_owned(), value });
                }
                None => self.report.error(format!("Missing attribute 'name' on {name}"), parameter),
            }
        }
        mappings
    }

    /// The value inside of a parameter or map entry: text, a list, a map or a script.
    fn mapping_value(&mut self, node: Node<'_, '_>, depth: usize) -> MappingValue {
        let mut children = node.children().filter(|c| !xml::extension_tag(*c).is_empty());
        let Some(child) = children.next() else { return text_value(node) };
        if children.next().is_some() {
            self.report.error("Nested parameter can at most have one child element", node);
        }
        self.mapping_element(child, depth)
    }

    fn mapping_element(&mut self, node: Node<'_, '_>, depth: usize) -> MappingValue {
        if depth >= MAX_VALUE_DEPTH {
            self.report.error(format!("Lists and maps are nested more than {MAX_VALUE_DEPTH} deep"), node);
            return MappingValue::Null;
        }
        match xml::extension_tag(node) {
            "list" => {
                let items = node.children().filter(|c| !xml::extension_tag(*c).is_empty());
                MappingValue::List(items.map(|item| self.mapping_element(item, depth + 1)).collect())
            }
            "map" => {
                let mut entries = Vec::new();
                for entry in xml::extension_children(node, "entry") {
                    match entry.attribute("key").filter(|k| !k.is_empty()) {
                        Some(key) => {
                            let value = self.mapping_value(entry, depth + 1);
                            entries.push((key.to_owned(), value));
                        }
                        None => self.report.error("Missing attribute 'key' on 'entry' element", entry),
                    }
                }
                MappingValue::Map(entries)
            }
            "script" => MappingValue::Script,
            _ => text_value(node),
        }
    }
}

fn text_value(node: Node<'_, '_>) -> MappingValue {
    let text = xml::text(node);
    if text.is_empty() { MappingValue::Null } else { MappingValue::Text(Expression(text)) }
}
