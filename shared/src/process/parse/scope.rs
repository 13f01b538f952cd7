//! One flow scope: its elements in the order of spec-migration §1.4, then its flows and associations.

use std::collections::HashMap;

use roxmltree::Node;

use super::{Builder, MAX_ACTIVITIES, xml};
use crate::process::definition::{ActivityIx, ActivityKind, ScopeRef};

/// What is looked up many times while one scope is read: by id, so that a scope costs time in proportion to its size.
pub(super) struct Siblings<'a, 'i> {
    by_id: HashMap<&'a str, Node<'a, 'i>>,
    /// Targets of flows by their source, in document order.
    flows_from: HashMap<&'a str, Vec<&'a str>>,
    /// Compensation handlers by id: read when an association names them, or at the end.
    pub handlers: HashMap<&'a str, Node<'a, 'i>>,
}

impl<'a, 'i> Siblings<'a, 'i> {
    fn of(parent: Node<'a, 'i>) -> Self {
        let mut siblings = Self { by_id: HashMap::new(), flows_from: HashMap::new(), handlers: HashMap::new() };
        for node in xml::elements(parent) {
            let Some(id) = xml::id(node) else { continue };
            siblings.by_id.insert(id, node);
            if is_handler(node) {
                siblings.handlers.insert(id, node);
            }
        }
        for flow in xml::named(parent, "sequenceFlow") {
            if let (Some(source), Some(target)) = (flow.attribute("sourceRef"), flow.attribute("targetRef")) {
                siblings.flows_from.entry(source).or_default().push(target);
            }
        }
        siblings
    }
}

impl Builder<'_> {
    /// Reads what is written in a process or subprocess.
    pub(super) fn scope(&mut self, node: Node<'_, '_>, scope: ScopeRef) {
        if self.definition.activities.len() > MAX_ACTIVITIES {
            return;
        }
        let mut siblings = Siblings::of(node);
        self.start_events(node, scope);
        for element in xml::elements(node).filter(|n| !is_handler(*n)) {
            if xml::tag(element) == "eventBasedGateway" {
                self.event_based_gateway(element, scope, &siblings);
            } else {
                self.flow_node(element, scope);
            }
        }
        for event in xml::named(node, "intermediateCatchEvent") {
            // Those behind a gateway have been read with it.
            if xml::id(event).is_none_or(|id| self.in_scope(id, scope).is_none()) {
                self.catch_event(event, scope, None);
            }
        }
        for event in xml::named(node, "endEvent") {
            self.end_event(event, scope);
        }
        for event in xml::named(node, "boundaryEvent") {
            self.boundary_event(event, scope);
        }
        self.sequence_flows(node, scope, &siblings);
        self.associations(node, scope, &mut siblings);
        for handler in xml::elements(node).filter(|n| is_handler(*n)) {
            if xml::id(handler).is_none_or(|id| siblings.handlers.contains_key(id)) {
                self.flow_node(handler, scope);
            }
        }
    }

    /// Tasks, gateways, subprocesses, call activities, throw events; everything else is not for here. A multi-instance
    /// element becomes two activities: its body first, the inner one as the body's child.
    pub(super) fn flow_node(&mut self, node: Node<'_, '_>, scope: ScopeRef) -> Option<ActivityIx> {
        if matches!(xml::tag(node), "adHocSubProcess" | "complexGateway") {
            self.report.warning("Ignoring unsupported activity type", node);
            return None;
        }
        if !is_activity(node)
            && !matches!(xml::tag(node), "exclusiveGateway" | "inclusiveGateway" | "parallelGateway" | "intermediateThrowEvent")
        {
            return None;
        }
        let body = if is_activity(node) { self.multi_instance_body(node, scope) } else { None };
        let inner_scope = body.map_or(scope, ScopeRef::Activity);
        let ix = match xml::tag(node) {
            "exclusiveGateway" => self.plain(node, ActivityKind::ExclusiveGateway, "exclusiveGateway", inner_scope),
            "inclusiveGateway" => self.plain(node, ActivityKind::InclusiveGateway, "inclusiveGateway", inner_scope),
            "parallelGateway" => self.plain(node, ActivityKind::ParallelGateway, "parallelGateway", inner_scope),
            "intermediateThrowEvent" => self.throw_event(node, inner_scope)?,
            "subProcess" => self.sub_process(node, inner_scope),
            "transaction" => self.transaction(node, inner_scope),
            _ => self.task(node, inner_scope, body.is_some()),
        };
        self.input_output(node, ix, body.is_some());
        if xml::child(node, "property").is_some() {
            self.at(ix).is_scope = true;
        }
        Some(ix)
    }

    /// The gateway, and right behind it the catch events that its flows lead to.
    fn event_based_gateway(&mut self, node: Node<'_, '_>, scope: ScopeRef, siblings: &Siblings<'_, '_>) {
        let ix = self.plain(node, ActivityKind::EventBasedGateway, "eventBasedGateway", scope);
        self.at(ix).is_scope = true;
        if self.at(ix).async_after {
            self.report.error("'asyncAfter' not supported for eventBasedGateway elements.", node);
        }
        let gateway_id = self.at(ix).id.clone();
        for target in siblings.flows_from.get(gateway_id.as_str()).into_iter().flatten() {
            let Some(sibling) = siblings.by_id.get(target) else { continue };
            if xml::tag(*sibling) != "intermediateCatchEvent" {
                let message = "Event based gateway can only be connected to elements of type intermediateCatchEvent";
                self.report.error_about(message, node, vec![gateway_id.clone(), (*target).to_owned()]);
            } else if self.in_scope(target, scope).is_none() {
                self.catch_event(*sibling, scope, Some(ix));
            }
        }
    }

    fn sub_process(&mut self, node: Node<'_, '_>, scope: ScopeRef) -> ActivityIx {
        let by_event = xml::boolean(node.attribute("triggeredByEvent"), false);
        let kind = if by_event { ActivityKind::EventSubProcess } else { ActivityKind::SubProcess };
        let ix = self.plain(node, kind, "subProcess", scope);
        let activity = self.at(ix);
        activity.is_scope = true;
        activity.triggered_by_event = by_event;
        if by_event {
            activity.event_scope = Some(scope);
        }
        self.scope(node, ScopeRef::Activity(ix));
        ix
    }

    fn transaction(&mut self, node: Node<'_, '_>, scope: ScopeRef) -> ActivityIx {
        let ix = self.plain(node, ActivityKind::SubProcess, "transaction", scope);
        self.at(ix).is_scope = true;
        self.scope(node, ScopeRef::Activity(ix));
        ix
    }

    /// An activity with what every flow node may have: async flags, listeners, priority, retries.
    pub(super) fn plain(&mut self, node: Node<'_, '_>, kind: ActivityKind, type_name: &'static str, scope: ScopeRef) -> ActivityIx {
        let ix = self.add(node, kind, type_name, scope);
        let in_body = self.definition.body_of(ix).is_some();
        // The flags on a multi-instance element are its body's; the inner activity's stand on the loop.
        let flags = if in_body { xml::child(node, "multiInstanceLoopCharacteristics").unwrap_or(node) } else { node };
        self.continuation(flags, ix);
        let listeners = self.execution_listeners(node);
        let activity = self.at(ix);
        activity.listeners = listeners;
        activity.is_for_compensation = xml::boolean(node.attribute("isForCompensation"), false);
        ix
    }
}

fn is_handler(node: Node<'_, '_>) -> bool {
    is_activity(node) && xml::boolean(node.attribute("isForCompensation"), false)
}

/// Everything that may be multi-instance and for compensation.
fn is_activity(node: Node<'_, '_>) -> bool {
    matches!(
        xml::tag(node),
        "task"
            | "manualTask"
            | "userTask"
            | "receiveTask"
            | "serviceTask"
            | "sendTask"
            | "businessRuleTask"
            | "scriptTask"
            | "callActivity"
            | "subProcess"
            | "transaction"
    )
}
