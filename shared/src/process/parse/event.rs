//! Events: start, catch, throw, end, boundary; and their definitions.

use roxmltree::Node;

use super::report::ParseReport;
use super::{Builder, xml};
use crate::process::definition::{Activity, ActivityIx, ActivityKind, EventDefinition, ScopeRef, TimerDeclaration, TimerKind, Work};
use crate::process::expression::Expression;

/// The element that says what sort of event it is.
fn definition<'a, 'i>(node: Node<'a, 'i>) -> Option<Node<'a, 'i>> {
    xml::elements(node).find(|n| xml::tag(*n).ends_with("EventDefinition"))
}

impl Builder<'_> {
    /// Start events of a scope; for the process also where a plain start begins.
    pub(super) fn start_events(&mut self, node: Node<'_, '_>, scope: ScopeRef) {
        let by_event = matches!(scope, ScopeRef::Activity(ix) if self.definition.activity(ix).triggered_by_event);
        let mut started = Vec::new();
        for event in xml::named(node, "startEvent") {
            let ix = self.plain(event, ActivityKind::NoneStartEvent, "startEvent", scope);
            match (by_event, scope) {
                (true, ScopeRef::Activity(sub)) => self.event_sub_process_start(event, ix, sub),
                (_, ScopeRef::Process) => self.process_start(event, ix),
                (false, ScopeRef::Activity(_)) => self.plain_sub_process_start(event),
            }
            self.input_output(event, ix, false);
            started.push((event, ix));
        }
        if scope == ScopeRef::Process {
            self.choose_initial(&started);
        } else {
            for (event, _) in started.iter().skip(1) {
                self.report.error("multiple start events not supported for subprocess", *event);
            }
        }
    }

    /// A subprocess that nothing triggers begins without an event.
    fn plain_sub_process_start(&mut self, node: Node<'_, '_>) {
        let Some(definition) = definition(node) else { return };
        let name = xml::tag(definition);
        let rule = match name {
            "errorEventDefinition" | "messageEventDefinition" | "signalEventDefinition" => {
                "only allowed on start event if subprocess is an event subprocess"
            }
            _ => "is not allowed on start event within a subprocess",
        };
        self.report.error(format!("{name} {rule}"), definition);
    }

    fn choose_initial(&mut self, started: &[(Node<'_, '_>, ActivityIx)]) {
        let mut initial = None;
        for (node, ix) in started {
            if matches!(self.definition.activity(*ix).type_name, "startEvent" | "startTimerEvent") {
                if initial.is_some() {
                    let message = "multiple none start events or timer start events not supported on process definition";
                    self.report.error(message, *node);
                }
                initial = initial.or(Some(*ix));
            }
        }
        if let ([(_, only)], None) = (started, initial) {
            initial = Some(*only);
        }
        self.definition.initial = initial;
    }

    fn process_start(&mut self, node: Node<'_, '_>, ix: ActivityIx) {
        if let Some(variable) = xml::ext_text(node, "initiator") {
            self.definition.initiator = Some(variable);
        }
        let Some(definition) = definition(node) else { return };
        let type_name = match xml::tag(definition) {
            "timerEventDefinition" => "startTimerEvent",
            "messageEventDefinition" => "messageStartEvent",
            "signalEventDefinition" => "signalStartEvent",
            "conditionalEventDefinition" => "conditionalStartEvent",
            // The reference takes any other as a plain start.
            _ => return,
        };
        let event = self.event_definition(definition, true);
        let activity = self.at(ix);
        activity.type_name = type_name;
        activity.event = event;
        if type_name == "signalStartEvent" {
            activity.event_scope = Some(ScopeRef::Process);
        }
    }

    fn event_sub_process_start(&mut self, node: Node<'_, '_>, ix: ActivityIx, sub: ActivityIx) {
        let surrounding = self.definition.activity(sub).flow_scope;
        let Some(definition) = definition(node) else {
            let message =
                "start event of event subprocess must be of type 'error', 'message', 'timer', 'signal', 'compensation' or 'escalation'";
            self.report.error(message, node);
            return;
        };
        let (type_name, kind) = match xml::tag(definition) {
            "timerEventDefinition" => ("startTimerEvent", ActivityKind::EventSubProcessStartEvent),
            "messageEventDefinition" => ("messageStartEvent", ActivityKind::EventSubProcessStartEvent),
            "signalEventDefinition" => ("signalStartEvent", ActivityKind::EventSubProcessStartEvent),
            "errorEventDefinition" => ("errorStartEvent", ActivityKind::EventSubProcessStartEvent),
            "escalationEventDefinition" => ("escalationStartEvent", ActivityKind::EventSubProcessStartEvent),
            "compensateEventDefinition" => ("compensationStartEvent", ActivityKind::EventSubProcessStartEvent),
            "conditionalEventDefinition" => ("conditionalStartEvent", ActivityKind::EventSubProcessStartConditionalEvent),
            other => {
                self.report.error(format!("{other} is not allowed on the start event of an event subprocess"), node);
                return;
            }
        };
        let event = self.event_definition(definition, true);
        let activity = self.at(ix);
        activity.type_name = type_name;
        activity.kind = kind;
        activity.event = event;
        activity.event_scope = Some(surrounding);
        activity.interrupting = xml::boolean(node.attribute("isInterrupting"), true);
        if type_name == "compensationStartEvent" {
            self.compensation_sub_process(node, sub, surrounding);
        }
    }

    /// An event subprocess that undoes the scope around it.
    fn compensation_sub_process(&mut self, node: Node<'_, '_>, sub: ActivityIx, surrounding: ScopeRef) {
        self.at(sub).is_for_compensation = true;
        if surrounding == ScopeRef::Process {
            let message = "event subprocess with compensation start event is only supported for embedded subprocess (since throwing \
                           compensation through a call activity-induced process hierarchy is not supported)";
            self.report.error(message, node);
        } else if let Some(other) = self.compensated.insert(surrounding, sub) {
            let both = self.definition.activity(other).triggered_by_event;
            self.report.error(
                if both {
                    "multiple event subprocesses with compensation start event are not supported on the same scope"
                } else {
                    "compensation boundary event and event subprocess with compensation start event are not supported on the same scope"
                },
                node,
            );
        }
    }

    /// An intermediate catch event; its trigger lives on itself, or on the event-based gateway before it.
    pub(super) fn catch_event(&mut self, node: Node<'_, '_>, scope: ScopeRef, gateway: Option<ActivityIx>) {
        let ix = self.plain(node, ActivityKind::IntermediateCatchEvent, "intermediateCatchEvent", scope);
        let activity = self.at(ix);
        activity.is_scope = gateway.is_none();
        activity.event_scope = Some(ScopeRef::Activity(gateway.unwrap_or(ix)));
        let Some(definition) = definition(node) else {
            self.report.error("Unsupported intermediate catch event type", node);
            return;
        };
        let (type_name, kind) = match xml::tag(definition) {
            "timerEventDefinition" => ("intermediateTimer", ActivityKind::IntermediateCatchEvent),
            "messageEventDefinition" => ("intermediateMessageCatch", ActivityKind::IntermediateCatchEvent),
            "signalEventDefinition" => ("intermediateSignalCatch", ActivityKind::IntermediateCatchEvent),
            "conditionalEventDefinition" => ("intermediateConditional", ActivityKind::IntermediateConditionalEvent),
            "linkEventDefinition" => ("intermediateLinkCatch", ActivityKind::IntermediateCatchLinkEvent),
            _ => {
                self.report.error("Unsupported intermediate catch event type", node);
                return;
            }
        };
        let event = self.event_definition(definition, true);
        if let Some(EventDefinition::Link { name }) = &event {
            self.link_target(node, name, gateway.is_some());
        }
        let activity = self.at(ix);
        activity.type_name = type_name;
        activity.kind = kind;
        activity.event = event;
        self.input_output(node, ix, false);
    }

    fn link_target(&mut self, node: Node<'_, '_>, name: &str, behind_gateway: bool) {
        if behind_gateway {
            self.report.error("IntermediateCatchLinkEvent is not allowed after an EventBasedGateway.", node);
        }
        let id = xml::id(node).unwrap_or_default().to_owned();
        if self.link_targets.insert(name.to_owned(), id).is_some() {
            let message = format!("Multiple Intermediate Catch Events with the same link event name ('{name}') are not allowed.");
            self.report.error(message, node);
        }
    }

    /// A throw event; a link is none but a name for where flows to it lead.
    pub(super) fn throw_event(&mut self, node: Node<'_, '_>, scope: ScopeRef) -> Option<ActivityIx> {
        let definition = definition(node);
        if let Some(link) = definition.filter(|d| xml::tag(*d) == "linkEventDefinition") {
            let name = link.attribute("name").unwrap_or_default().to_owned();
            self.link_sources.insert(xml::id(node).unwrap_or_default().to_owned(), name);
            return None;
        }
        let ix = self.plain(node, ActivityKind::IntermediateThrowNoneEvent, "intermediateNoneThrowEvent", scope);
        let Some(definition) = definition else { return Some(ix) };
        let (type_name, kind) = match xml::tag(definition) {
            "messageEventDefinition" => ("intermediateMessageThrowEvent", ActivityKind::IntermediateThrowNoneEvent),
            "signalEventDefinition" => ("intermediateSignalThrow", ActivityKind::ThrowSignalEvent),
            "escalationEventDefinition" => ("intermediateEscalationThrowEvent", ActivityKind::ThrowEscalationEvent),
            "compensateEventDefinition" => ("intermediateCompensationThrowEvent", ActivityKind::CompensationEvent),
            _ => {
                self.report.error("Unsupported intermediate throw event type", node);
                return Some(ix);
            }
        };
        self.thrown(definition, ix, type_name, kind);
        Some(ix)
    }

    pub(super) fn end_event(&mut self, node: Node<'_, '_>, scope: ScopeRef) {
        let ix = self.plain(node, ActivityKind::NoneEndEvent, "noneEndEvent", scope);
        if let Some(definition) = definition(node) {
            let (type_name, kind) = match xml::tag(definition) {
                "errorEventDefinition" => ("errorEndEvent", ActivityKind::ErrorEndEvent),
                "cancelEventDefinition" => ("cancelEndEvent", ActivityKind::CancelEndEvent),
                "terminateEventDefinition" => ("terminateEndEvent", ActivityKind::TerminateEndEvent),
                "messageEventDefinition" => ("messageEndEvent", ActivityKind::IntermediateThrowNoneEvent),
                "signalEventDefinition" => ("signalEndEvent", ActivityKind::ThrowSignalEvent),
                "escalationEventDefinition" => ("escalationEndEvent", ActivityKind::ThrowEscalationEvent),
                "compensateEventDefinition" => ("compensationEndEvent", ActivityKind::CompensationEvent),
                _ => ("noneEndEvent", ActivityKind::NoneEndEvent),
            };
            self.thrown(definition, ix, type_name, kind);
            if kind == ActivityKind::CancelEndEvent {
                self.check_cancel_end(node, scope);
                self.at(ix).is_scope = true;
            }
        }
        self.input_output(node, ix, false);
    }

    fn check_cancel_end(&mut self, node: Node<'_, '_>, scope: ScopeRef) {
        let in_transaction = matches!(scope, ScopeRef::Activity(ix) if self.definition.activity(ix).type_name == "transaction");
        if !in_transaction {
            self.report.error("end event with cancelEventDefinition only supported inside transaction subprocess", node);
        }
    }

    /// What throw and end events share: a definition, and for messages maybe a service behind it.
    fn thrown(&mut self, definition: Node<'_, '_>, ix: ActivityIx, type_name: &'static str, kind: ActivityKind) {
        let event = self.event_definition(definition, false);
        let service = if xml::tag(definition) == "messageEventDefinition" { self.service_like(definition) } else { None };
        let (kind, work) = service.unwrap_or((kind, Work::None));
        let activity = self.at(ix);
        activity.type_name = type_name;
        activity.kind = kind;
        activity.event = event;
        activity.work = work;
        activity.is_scope |= matches!(kind, ActivityKind::ExternalTask | ActivityKind::CompensationEvent);
    }

    /// A boundary event, on an activity of the same scope.
    pub(super) fn boundary_event(&mut self, node: Node<'_, '_>, scope: ScopeRef) {
        let host_id = node.attribute("attachedToRef").unwrap_or_default();
        if host_id.is_empty() {
            self.report.error("AttachedToRef is required when using a timerEventDefinition", node);
            return;
        }
        let Some(host) = self.in_scope(host_id, scope) else {
            let message = "Invalid reference in boundary event. Make sure that the referenced activity is defined in the same scope as the \
                           boundary event";
            self.report.error(message, node);
            return;
        };
        let ix = self.plain(node, ActivityKind::BoundaryEvent, "boundaryEvent", scope);
        let Some(definition) = definition(node) else {
            self.report.error("Unsupported boundary event type", node);
            return;
        };
        let (type_name, kind) = match xml::tag(definition) {
            "timerEventDefinition" => ("boundaryTimer", ActivityKind::BoundaryEvent),
            "messageEventDefinition" => ("boundaryMessage", ActivityKind::BoundaryEvent),
            "signalEventDefinition" => ("boundarySignal", ActivityKind::BoundaryEvent),
            "errorEventDefinition" => ("boundaryError", ActivityKind::BoundaryEvent),
            "escalationEventDefinition" => ("boundaryEscalation", ActivityKind::BoundaryEvent),
            "compensateEventDefinition" => ("compensationBoundaryCatch", ActivityKind::BoundaryEvent),
            "conditionalEventDefinition" => ("boundaryConditional", ActivityKind::BoundaryConditionalEvent),
            "cancelEventDefinition" => ("cancelBoundaryCatch", ActivityKind::CancelBoundaryEvent),
            _ => {
                self.report.error("Unsupported boundary event type", node);
                return;
            }
        };
        let event = self.event_definition(definition, true);
        let body = self.definition.body_of(host);
        let compensates = type_name == "compensationBoundaryCatch";
        // The trigger of a boundary event makes its host a scope; of a multi-instance host the body is one already.
        if !compensates && body.is_none() {
            self.at(host).is_scope = true;
        }
        if type_name == "cancelBoundaryCatch" && self.definition.activity(host).type_name != "transaction" {
            self.report.error("boundary event with cancelEventDefinition only supported on transaction subprocesses", node);
        }
        let activity = self.at(ix);
        activity.type_name = type_name;
        activity.kind = kind;
        activity.event = event;
        activity.attached_to = Some(body.unwrap_or(host));
        activity.event_scope = Some(ScopeRef::Activity(if compensates { host } else { body.unwrap_or(host) }));
        let always = matches!(type_name, "boundaryError" | "cancelBoundaryCatch");
        activity.interrupting = always || xml::boolean(node.attribute("cancelActivity"), true);
        self.input_output(node, ix, false);
    }

    /// The definition of an event. Only for those that catch must a message have a name.
    fn event_definition(&mut self, node: Node<'_, '_>, catches: bool) -> Option<EventDefinition> {
        match xml::tag(node) {
            "messageEventDefinition" => self.message(node, catches),
            "signalEventDefinition" => self.signal(node),
            "timerEventDefinition" => timer(node, self.report).map(EventDefinition::Timer),
            "conditionalEventDefinition" => self.conditional(node),
            "errorEventDefinition" => self.error_event(node, catches),
            "escalationEventDefinition" => self.escalation(node, catches),
            "compensateEventDefinition" => {
                Some(EventDefinition::Compensation { activity: node.attribute("activityRef").filter(|a| !a.is_empty()).map(str::to_owned) })
            }
            "cancelEventDefinition" => Some(EventDefinition::Cancel),
            "terminateEventDefinition" => Some(EventDefinition::Terminate),
            "linkEventDefinition" => Some(EventDefinition::Link { name: node.attribute("name").unwrap_or_default().to_owned() }),
            _ => None,
        }
    }

    /// The message that `messageRef` names.
    pub(super) fn message(&mut self, node: Node<'_, '_>, catches: bool) -> Option<EventDefinition> {
        let reference = node.attribute("messageRef").unwrap_or_default();
        if reference.is_empty() {
            if catches {
                self.report.error("attribute 'messageRef' is required", node);
                self.report.error("Invalid 'messageRef': no message with id 'null' found.", node);
            }
            return Some(EventDefinition::Message { name: None });
        }
        let Some(name) = self.roots.messages.get(local(reference)) else {
            self.report.error(format!("Invalid 'messageRef': no message with id '{reference}' found."), node);
            return None;
        };
        if catches && name.is_none() {
            self.report.error("Cannot have a message event subscription with an empty or missing name", node);
        }
        Some(EventDefinition::Message { name: name.clone().map(Expression) })
    }

    fn signal(&mut self, node: Node<'_, '_>) -> Option<EventDefinition> {
        let Some(reference) = node.attribute("signalRef").filter(|r| !r.is_empty()) else {
            self.report.error("signalEventDefinition does not have required property 'signalRef'", node);
            return None;
        };
        let Some(name) = self.roots.signals.get(local(reference)) else {
            self.report.error(format!("Could not find signal with id '{reference}'"), node);
            return None;
        };
        let name = Expression::new(name.as_str());
        Some(EventDefinition::Signal { name, payload: self.call_mappings(node, "in") })
    }

    fn conditional(&mut self, node: Node<'_, '_>) -> Option<EventDefinition> {
        let Some(condition) = xml::child(node, "condition").map(xml::text).filter(|t| !t.is_empty()) else {
            self.report.error("Conditional event must contain an expression for evaluation.", node);
            return None;
        };
        let events = xml::ext(node, "variableEvents").unwrap_or_default();
        let variable_events: Vec<String> = events.split(',').map(str::trim).filter(|e| !e.is_empty()).map(str::to_owned).collect();
        for event in variable_events.iter().filter(|e| !matches!(e.as_str(), "create" | "update" | "delete")) {
            self.report.error(
                format!("Variable event: {event} is not valid. Possible variable change events are: [create, update, delete]"),
                node,
            );
        }
        Some(EventDefinition::Conditional {
            condition: Expression(condition),
            variable_name: xml::ext_text(node, "variableName"),
            variable_events,
        })
    }

    /// An error that is not declared is its own code.
    fn error_event(&mut self, node: Node<'_, '_>, catches: bool) -> Option<EventDefinition> {
        let reference = node.attribute("errorRef").filter(|r| !r.is_empty());
        if reference.is_none() && !catches {
            self.report.error("'errorRef' attribute is mandatory on error end event", node);
        }
        let code = match reference.map(|r| (r, self.roots.errors.get(local(r)))) {
            None => None,
            Some((reference, None)) => Some(reference.to_owned()),
            Some((reference, Some(None))) if !catches => {
                self.report.error(
                    format!(
                        "'errorCode' is mandatory on errors referenced by throwing error event definitions, but the error '{reference}' does \
                         not define one."
                    ),
                    node,
                );
                None
            }
            Some((_, Some(code))) => code.clone(),
        };
        let (code_variable, message_variable) = (xml::ext_text(node, "errorCodeVariable"), xml::ext_text(node, "errorMessageVariable"));
        Some(EventDefinition::Error { code, code_variable, message_variable })
    }

    fn escalation(&mut self, node: Node<'_, '_>, catches: bool) -> Option<EventDefinition> {
        let code = match node.attribute("escalationRef").filter(|r| !r.is_empty()) {
            Some(reference) => match self.roots.escalations.get(local(reference)) {
                Some(code) => code.clone(),
                None => {
                    self.report.error(format!("could not find escalation with id '{reference}'"), node);
                    return None;
                }
            },
            None if catches => None,
            None => {
                self.report.error("escalationEventDefinition does not have required attribute 'escalationRef'", node);
                return None;
            }
        };
        if !catches && code.is_none() {
            self.report.error("throwing escalation event must have an 'escalationCode'", node);
        }
        Some(EventDefinition::Escalation { code, code_variable: xml::ext_text(node, "escalationCodeVariable") })
    }
}

/// References may carry a prefix, which the reference drops when it is the file's own.
fn local(reference: &str) -> &str {
    reference.rsplit(':').next().unwrap_or(reference)
}

/// The timer that a `timerEventDefinition` declares.
pub(super) fn timer(node: Node<'_, '_>, report: &mut ParseReport) -> Option<TimerDeclaration> {
    let kinds = [("timeDate", TimerKind::Date), ("timeCycle", TimerKind::Cycle), ("timeDuration", TimerKind::Duration)];
    let found = kinds.iter().find_map(|(name, kind)| xml::child(node, name).map(|n| (*kind, xml::text(n))));
    match found {
        Some((kind, text)) if !text.is_empty() => Some(TimerDeclaration { kind, value: Expression(text) }),
        _ => {
            report.error("Timer needs configuration (either timeDate, timeCycle or timeDuration is needed).", node);
            None
        }
    }
}

/// `jobType` of the job definition that a timer event has.
pub(super) fn timer_job_type(activity: &Activity) -> &'static str {
    match activity.kind {
        ActivityKind::BoundaryEvent => "timer-transition",
        ActivityKind::EventSubProcessStartEvent => "timer-start-event-subprocess",
        ActivityKind::NoneStartEvent => "timer-start-event",
        _ => "timer-intermediate-transition",
    }
}

/// `jobConfiguration` of the same: the timer as the reference prints it.
pub(super) fn timer_configuration(timer: &TimerDeclaration) -> String {
    let kind = match timer.kind {
        TimerKind::Date => "DATE",
        TimerKind::Duration => "DURATION",
        TimerKind::Cycle => "CYCLE",
    };
    format!("{kind}: {}", timer.value)
}
