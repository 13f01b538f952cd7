//! Sequence flows, associations of compensation, and what the reference checks of exclusive gateways.

use std::collections::HashMap;

use roxmltree::Node;

use super::scope::Siblings;
use super::{Builder, xml};
use crate::process::definition::{ActivityIx, ActivityKind, ScopeRef, SequenceFlow};
use crate::process::expression::Expression;

impl Builder<'_> {
    /// Flows of one scope. They cannot cross its border; those of a multi-instance activity sit at its body.
    pub(super) fn sequence_flows(&mut self, node: Node<'_, '_>, scope: ScopeRef, siblings: &Siblings<'_, '_>) {
        for flow in xml::named(node, "sequenceFlow") {
            let id = xml::id(flow).unwrap_or_default().to_owned();
            let source_ref = flow.attribute("sourceRef").unwrap_or_default();
            let mut target_ref = flow.attribute("targetRef").unwrap_or_default().to_owned();
            if let Some(link) = self.link_sources.get(&target_ref) {
                let Some(target) = self.link_targets.get(link) else {
                    let message = format!(
                        "sequence flow points to link event source with name '{link}' but no event target with that name exists. Most \
                         probably your link events are not configured correctly."
                    );
                    self.report.error(message, flow);
                    continue;
                };
                target_ref.clone_from(target);
            }
            let Some((source, target)) = self.flow_ends(flow, scope, &id, source_ref, &target_ref, siblings) else { continue };
            let source = self.definition.body_of(source).unwrap_or(source);
            let target = self.definition.body_of(target).unwrap_or(target);
            if id.is_empty() && self.definition.activity(source).async_after {
                let message = format!(
                    "Sequence flow with sourceRef='{source_ref}' must have an id, activity with id '{source_ref}' uses 'asyncAfter'."
                );
                self.report.error_about(message, flow, vec![source_ref.to_owned()]);
            }
            let ix = self.definition.flows.len();
            let condition = xml::child(flow, "conditionExpression").map(xml::text).filter(|t| !t.is_empty()).map(Expression);
            let listeners = self.execution_listeners(flow);
            self.definition.flows.push(SequenceFlow { id, source, target, condition, listeners });
            self.at(source).outgoing.push(ix);
            self.at(target).incoming.push(ix);
        }
        for element in xml::elements(node).filter(|n| n.attribute("default").is_some()) {
            self.default_flow(element, scope);
        }
    }

    fn flow_ends(
        &mut self,
        flow: Node<'_, '_>,
        scope: ScopeRef,
        id: &str,
        source_ref: &str,
        target_ref: &str,
        siblings: &Siblings<'_, '_>,
    ) -> Option<(ActivityIx, ActivityIx)> {
        let is_handler = |reference: &str| siblings.handlers.contains_key(reference);
        let rule = "A compensation activity should not have an incoming or outgoing sequence flow.";
        let (source, target) = (self.in_scope(source_ref, scope), self.in_scope(target_ref, scope));
        let message = if is_handler(source_ref) {
            format!("Invalid outgoing sequence flow of compensation activity '{source_ref}'. {rule}")
        } else if is_handler(target_ref) {
            format!("Invalid incoming sequence flow of compensation activity '{target_ref}'. {rule}")
        } else {
            match (source, target) {
                (None, _) => format!("Invalid source '{source_ref}' of sequence flow '{id}'"),
                (_, None) => format!("Invalid destination '{target_ref}' of sequence flow '{id}'"),
                (Some(source), Some(target)) => match self.flow_rule(source, target) {
                    None => return Some((source, target)),
                    Some(message) => message,
                },
            }
        };
        self.report.error_about(message, flow, vec![id.to_owned()]);
        None
    }

    /// Why these two may not be connected.
    fn flow_rule(&self, source: ActivityIx, target: ActivityIx) -> Option<String> {
        let (from, to) = (self.definition.activity(source), self.definition.activity(target));
        let behind_gateway = match to.event_scope {
            Some(ScopeRef::Activity(ix)) => self.definition.activity(ix).kind == ActivityKind::EventBasedGateway,
            _ => false,
        };
        if from.kind != ActivityKind::EventBasedGateway && behind_gateway {
            let id = &to.id;
            return Some(format!(
                "Invalid incoming sequenceflow for intermediateCatchEvent with id '{id}' connected to an event-based gateway."
            ));
        }
        if from.triggered_by_event {
            return Some("Invalid outgoing sequence flow of event subprocess".to_owned());
        }
        to.triggered_by_event.then(|| "Invalid incoming sequence flow of event subprocess".to_owned())
    }

    fn default_flow(&mut self, node: Node<'_, '_>, scope: ScopeRef) {
        let Some(ix) = xml::id(node).and_then(|id| self.in_scope(id, scope)) else { return };
        let ix = self.definition.body_of(ix).unwrap_or(ix);
        let named = node.attribute("default").unwrap_or_default();
        let found = self.definition.activity(ix).outgoing.iter().copied().find(|f| self.definition.flows[*f].id == named);
        self.at(ix).default_flow = found;
    }

    /// Associations from compensation boundary events to their handlers, which are read here; what was read leaves `siblings`.
    pub(super) fn associations(&mut self, node: Node<'_, '_>, scope: ScopeRef, siblings: &mut Siblings<'_, '_>) {
        for association in xml::named(node, "association") {
            let (Some(source_ref), Some(target_ref)) = (association.attribute("sourceRef"), association.attribute("targetRef")) else {
                let missing = if association.attribute("sourceRef").is_none() { "sourceRef" } else { "targetRef" };
                self.report.error(format!("association element missing attribute '{missing}'"), association);
                continue;
            };
            for (name, reference) in [("sourceRef", source_ref), ("targetRef", target_ref)] {
                // Notes and the like are no activities, but may be named.
                if self.definition.find(reference).is_none() && !self.roots.ids.contains(reference) {
                    self.report.error(format!("Invalid reference {name} '{reference}' of association element "), association);
                }
            }
            let Some(boundary) = self.in_scope(source_ref, scope) else { continue };
            if self.definition.activity(boundary).type_name != "compensationBoundaryCatch" {
                continue;
            }
            let handler = match siblings.handlers.remove(target_ref) {
                Some(node) => self.flow_node(node, scope),
                None => self.in_scope(target_ref, scope),
            };
            if let Some(handler) = handler {
                self.connect_handler(association, boundary, handler);
            }
        }
    }

    fn connect_handler(&mut self, association: Node<'_, '_>, boundary: ActivityIx, handler: ActivityIx) {
        if !self.definition.activity(handler).is_for_compensation {
            self.report.error("compensation boundary catch must be connected to element with isForCompensation=true", association);
            return;
        }
        let Some(host) = self.definition.activity(boundary).event_scope else { return };
        let taken = self.compensated.get(&host).is_some_and(|h| self.definition.activity(*h).triggered_by_event);
        if taken {
            let message =
                "compensation boundary event and event subprocess with compensation start event are not supported on the same scope";
            self.report.error(message, association);
            return;
        }
        self.compensated.insert(host, handler);
        self.at(boundary).compensation_handler = Some(handler);
    }

    /// What an exclusive gateway may not have.
    pub(super) fn check_gateways(&mut self, node: Node<'_, '_>) {
        let gateways = self.definition.activities.iter().filter(|a| a.kind == ActivityKind::ExclusiveGateway);
        let mut problems = Vec::new();
        for gateway in gateways {
            let id = &gateway.id;
            let flows: Vec<&SequenceFlow> = gateway.outgoing.iter().map(|f| &self.definition.flows[*f]).collect();
            let default = gateway.default_flow.map(|f| &self.definition.flows[f].id);
            match flows.as_slice() {
                [] => problems.push((id.clone(), None, format!("Exclusive Gateway '{id}' has no outgoing sequence flows."))),
                [one] if one.condition.is_some() => {
                    let flow = &one.id;
                    let message = format!(
                        "Exclusive Gateway '{id}' has only one outgoing sequence flow ('{flow}'). This is not allowed to have a condition."
                    );
                    problems.push((id.clone(), Some(flow.clone()), message));
                }
                [_] => {}
                many => {
                    let open: Vec<_> = many.iter().filter(|f| f.condition.is_none() && Some(&f.id) != default).collect();
                    for flow in many.iter().filter(|f| f.condition.is_some() && Some(&f.id) == default) {
                        let flow = &flow.id;
                        let message = format!(
                            "Exclusive Gateway '{id}' has outgoing sequence flow '{flow}' which is the default flow but has a condition too."
                        );
                        problems.push((id.clone(), Some(flow.clone()), message));
                    }
                    if default.is_some() || open.len() > 1 {
                        for flow in open {
                            let flow = &flow.id;
                            let message = format!(
                                "Exclusive Gateway '{id}' has outgoing sequence flow '{flow}' without condition which is not the default flow."
                            );
                            problems.push((id.clone(), Some(flow.clone()), message));
                        }
                    }
                }
            }
        }
        if problems.is_empty() {
            return;
        }
        let places: HashMap<&str, Node<'_, '_>> = node.descendants().filter_map(|n| Some((xml::id(n)?, n))).collect();
        for (gateway, flow, message) in problems {
            let place = places.get(gateway.as_str()).copied().unwrap_or(node);
            self.report.error_about(message, place, std::iter::once(gateway).chain(flow).collect());
        }
    }
}
