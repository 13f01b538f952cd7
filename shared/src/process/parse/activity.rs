//! Tasks and call activities, and the body of a multi-instance activity.

use roxmltree::Node;

use super::{Builder, event, xml};
use crate::process::definition::{
    ActivityIx, ActivityKind, CallActivity, CallMapping, ExternalTaskDeclaration, FormRef, MULTI_INSTANCE_BODY, MultiInstance, ScopeRef,
    TaskListener, UserTask, Work,
};
use crate::process::expression::Expression;

impl Builder<'_> {
    /// A task of any sort, or a call activity.
    pub(super) fn task(&mut self, node: Node<'_, '_>, scope: ScopeRef, in_body: bool) -> ActivityIx {
        match xml::tag(node) {
            "userTask" => self.user_task(node, scope),
            "receiveTask" => self.receive_task(node, scope),
            "callActivity" => self.call_activity(node, scope, in_body),
            "manualTask" => self.plain(node, ActivityKind::ManualTask, "manualTask", scope),
            "scriptTask" => {
                let ix = self.plain(node, ActivityKind::ScriptTask, "scriptTask", scope);
                self.at(ix).work = Work::Unsupported("script");
                ix
            }
            "businessRuleTask" if xml::ext(node, "decisionRef").is_some() => {
                let ix = self.plain(node, ActivityKind::DmnBusinessRuleTask, "businessRuleTask", scope);
                let activity = self.at(ix);
                activity.is_scope = true;
                activity.work = Work::Unsupported("decision");
                ix
            }
            "serviceTask" => self.service(node, "serviceTask", scope),
            "sendTask" => self.service(node, "sendTask", scope),
            "businessRuleTask" => self.service(node, "businessRuleTask", scope),
            _ => self.plain(node, ActivityKind::Task, "task", scope),
        }
    }

    fn service(&mut self, node: Node<'_, '_>, type_name: &'static str, scope: ScopeRef) -> ActivityIx {
        let ix = self.plain(node, ActivityKind::Task, type_name, scope);
        match self.service_like(node) {
            Some((kind, work)) => {
                let activity = self.at(ix);
                activity.is_scope |= kind == ActivityKind::ExternalTask;
                activity.kind = kind;
                activity.work = work;
            }
            None => self.report.error(
                format!(
                    "One of the attributes 'class', 'delegateExpression', 'type', or 'expression' is mandatory on {type_name}. If you are \
                     using a connector, make sure the connect process engine plugin is registered with the process engine."
                ),
                node,
            ),
        }
        ix
    }

    /// What a service task, or the message definition of a throw event, does; none if it does not say.
    pub(super) fn service_like(&mut self, node: Node<'_, '_>) -> Option<(ActivityKind, Work)> {
        if let Some(kind) = xml::ext(node, "type") {
            return Some(match kind {
                "external" => (ActivityKind::ExternalTask, self.external(node)),
                "mail" => (ActivityKind::Mail, Work::Unsupported("mail")),
                "shell" => (ActivityKind::Shell, Work::Unsupported("shell")),
                other => {
                    self.report.error(format!("Invalid usage of type attribute on {}: '{other}'", node.tag_name().name()), node);
                    (ActivityKind::Task, Work::None)
                }
            });
        }
        if let Some(class) = xml::ext_text(node, "class") {
            return Some((ActivityKind::ClassDelegate, Work::Delegate(class)));
        }
        if let Some(delegate) = xml::ext_text(node, "delegateExpression") {
            return Some((ActivityKind::ServiceTaskDelegateExpression, Work::Delegate(delegate)));
        }
        if let Some(expression) = xml::ext_text(node, "expression") {
            let result_variable = xml::ext_text(node, "resultVariable").or_else(|| xml::ext_text(node, "resultVariableName"));
            return Some((ActivityKind::ServiceTaskExpression, Work::Expression { expression: Expression(expression), result_variable }));
        }
        xml::extensions(node, "connector").next().map(|_| (ActivityKind::ClassDelegate, Work::Unsupported("connector")))
    }

    fn external(&mut self, node: Node<'_, '_>) -> Work {
        let topic = xml::ext_text(node, "topic").unwrap_or_else(|| {
            self.report.error("External tasks must specify a 'topic' attribute in the camunda namespace", node);
            String::new()
        });
        let priority = xml::ext_text(node, "taskPriority").map(Expression).or_else(|| self.task_priority.clone());
        Work::External(ExternalTaskDeclaration { topic: Expression(topic), priority })
    }

    fn receive_task(&mut self, node: Node<'_, '_>, scope: ScopeRef) -> ActivityIx {
        let ix = self.plain(node, ActivityKind::ReceiveTask, "receiveTask", scope);
        if node.attribute("messageRef").is_some() {
            let message = self.message(node, true);
            let activity = self.at(ix);
            activity.event = message;
            activity.is_scope = true;
            activity.event_scope = Some(ScopeRef::Activity(ix));
        }
        ix
    }

    fn call_activity(&mut self, node: Node<'_, '_>, scope: ScopeRef, in_body: bool) -> ActivityIx {
        let called = node.attribute("calledElement").filter(|c| !c.is_empty());
        let case = xml::ext(node, "caseRef").filter(|c| !c.is_empty());
        match (called, case) {
            (None, None) if xml::ext(node, "calledElementBinding").is_none() => {
                self.report.error("Missing attribute 'calledElement' or 'caseRef'", node);
            }
            (Some(_), Some(_)) => {
                let message =
                    "The attributes 'calledElement' or 'caseRef' cannot be used together: Use either 'calledElement' or 'caseRef'";
                self.report.error(message, node);
            }
            _ => {}
        }
        let is_case = case.is_some();
        let kind = if is_case { ActivityKind::CaseCallActivity } else { ActivityKind::CallActivity };
        let ix = self.plain(node, kind, "callActivity", scope);
        let attribute = |of_case, of_process| xml::ext_text(node, if is_case { of_case } else { of_process });
        let call = CallActivity {
            called: Expression::new(called.or(case).unwrap_or_default()),
            is_case,
            binding: attribute("caseBinding", "calledElementBinding"),
            version: attribute("caseVersion", "calledElementVersion").map(Expression),
            version_tag: attribute("caseVersionTag", "calledElementVersionTag").map(Expression),
            tenant_id: attribute("caseTenantId", "calledElementTenantId").map(Expression),
            inputs: self.call_mappings(node, "in"),
            outputs: self.call_mappings(node, "out"),
        };
        self.check_binding(node, &call);
        let activity = self.at(ix);
        activity.is_scope = !in_body;
        activity.work = Work::Call(call);
        ix
    }

    fn check_binding(&mut self, node: Node<'_, '_>, call: &CallActivity) {
        match call.binding.as_deref() {
            Some("version") if call.version.is_none() => {
                self.report.error("Missing attribute 'calledElementVersion' when 'calledElementBinding' has value 'version'", node);
            }
            Some("versionTag") if call.version_tag.is_none() => {
                self.report.error("Missing attribute 'calledElementVersionTag' when 'calledElementBinding' has value 'versionTag'", node);
            }
            _ => {}
        }
    }

    /// `camunda:in` or `camunda:out`, of a call activity or of a thrown signal. A `source` is kept as its name, a constant `sourceExpression` as a literal.
    pub(super) fn call_mappings(&mut self, node: Node<'_, '_>, direction: &str) -> Vec<CallMapping> {
        let mut mappings = Vec::new();
        for mapping in xml::extensions(node, direction) {
            let local = xml::boolean(mapping.attribute("local"), false);
            if let Some(key) = mapping.attribute("businessKey").filter(|k| !k.is_empty()) {
                mappings.push(CallMapping::BusinessKey(Expression::new(key)));
                continue;
            }
            if mapping.attribute("variables") == Some("all") {
                mappings.push(CallMapping::All { local });
                continue;
            }
            let source = match (mapping.attribute("source"), mapping.attribute("sourceExpression")) {
                (Some(name), _) if !name.is_empty() => Expression::new(name),
                (_, Some(text)) if !text.is_empty() => Expression::new(text).or_literal(),
                _ => {
                    self.report.error("Missing parameter 'source' or 'sourceExpression' when passing variables", mapping);
                    continue;
                }
            };
            match mapping.attribute("target").filter(|t| !t.is_empty()) {
                Some(target) => mappings.push(CallMapping::Variable { source, target: target.to_owned(), local }),
                None => self.report.error("Missing attribute 'target' when attribute 'source' or 'sourceExpression' is set", mapping),
            }
        }
        mappings
    }

    fn user_task(&mut self, node: Node<'_, '_>, scope: ScopeRef) -> ActivityIx {
        let ix = self.plain(node, ActivityKind::UserTask, "userTask", scope);
        let attribute = |name| xml::ext_text(node, name).map(Expression);
        let list = |name| xml::ext(node, name).map(split_list).unwrap_or_default();
        let mut task = UserTask {
            assignee: attribute("assignee"),
            owner: attribute("owner"),
            candidate_users: list("candidateUsers"),
            candidate_groups: list("candidateGroups"),
            due_date: attribute("dueDate"),
            follow_up_date: attribute("followUpDate"),
            priority: attribute("priority"),
            form_key: attribute("formKey"),
            form_ref: attribute("formRef").map(|key| FormRef {
                key,
                binding: xml::ext_text(node, "formRefBinding"),
                version: attribute("formRefVersion"),
            }),
            description: xml::child(node, "documentation").map(xml::text).filter(|t| !t.is_empty()).map(Expression),
            listeners: self.task_listeners(node),
        };
        resources(node, &mut task);
        let has_timeout = task.listeners.iter().any(|l| l.timer.is_some());
        let activity = self.at(ix);
        activity.work = Work::UserTask(Box::new(task));
        if has_timeout {
            activity.is_scope = true;
            activity.event_scope = Some(ScopeRef::Activity(ix));
        }
        ix
    }

    fn task_listeners(&mut self, node: Node<'_, '_>) -> Vec<TaskListener> {
        let mut listeners = Vec::new();
        for listener in xml::extensions(node, "taskListener") {
            let event = listener.attribute("event").unwrap_or_default();
            if !matches!(event, "create" | "assignment" | "update" | "complete" | "delete" | "timeout") {
                let message = "Attribute 'event' must be one of {create|assignment|complete|update|delete|timeout}.";
                let known = if event.is_empty() {
                    format!("Element 'taskListener' is missing attribute 'event'. {message}")
                } else {
                    format!(
                        "Invalid eventName for taskListener: choose one of create |assignment |complete |update |delete |timeout. Found: '{event}'"
                    )
                };
                self.report.error(known, listener);
                continue;
            }
            let action = self.listener_action(listener, "taskListener");
            let timer = if event == "timeout" { self.timeout(listener) } else { None };
            listeners.push(TaskListener { id: xml::id(listener).map(str::to_owned), event: event.to_owned(), action, timer });
        }
        listeners
    }

    fn timeout(&mut self, listener: Node<'_, '_>) -> Option<crate::process::definition::TimerDeclaration> {
        if xml::id(listener).is_none() {
            self.report.error("Element 'taskListener' of event 'timeout' is missing attribute 'id'.", listener);
        }
        let Some(definition) = xml::child(listener, "timerEventDefinition") else {
            self.report.error("Element 'timerEventDefinition' is mandatory for taskListener of event 'timeout'.", listener);
            return None;
        };
        event::timer(definition, self.report)
    }

    /// The body of a multi-instance element, which takes its async flags and, later, its flows.
    pub(super) fn multi_instance_body(&mut self, node: Node<'_, '_>, scope: ScopeRef) -> Option<ActivityIx> {
        let characteristics = xml::child(node, "multiInstanceLoopCharacteristics")?;
        let sequential = xml::boolean(characteristics.attribute("isSequential"), false);
        let kind = if sequential { ActivityKind::SequentialMultiInstance } else { ActivityKind::ParallelMultiInstance };
        let loops = self.multi_instance(characteristics, sequential);
        let ix = self.add(node, kind, "multiInstanceBody", scope);
        let inner_id = self.at(ix).id.clone();
        let body_id = format!("{inner_id}{MULTI_INSTANCE_BODY}");
        // The plain id is the inner activity's, which follows.
        self.definition.by_id.remove(&inner_id);
        self.definition.by_id.insert(body_id.clone(), ix);
        let activity = self.at(ix);
        activity.id = body_id;
        activity.is_scope = true;
        // The name is the inner activity's alone.
        activity.name = None;
        activity.multi_instance = Some(loops);
        activity.is_for_compensation = xml::boolean(node.attribute("isForCompensation"), false);
        self.continuation(node, ix);
        Some(ix)
    }

    fn multi_instance(&mut self, node: Node<'_, '_>, sequential: bool) -> MultiInstance {
        let expression = |name| xml::child(node, name).map(xml::text).filter(|t| !t.is_empty()).map(Expression);
        let collection =
            xml::ext_text(node, "collection").or_else(|| xml::child(node, "loopDataInputRef").map(xml::text).filter(|t| !t.is_empty()));
        let element_variable = xml::ext_text(node, "elementVariable")
            .or_else(|| xml::child(node, "inputDataItem").and_then(|i| i.attribute("name")).map(str::to_owned));
        let loops = MultiInstance {
            sequential,
            cardinality: expression("loopCardinality"),
            collection,
            element_variable,
            completion_condition: expression("completionCondition"),
        };
        if loops.cardinality.is_none() && loops.collection.is_none() {
            self.report.error("Either loopCardinality or loopDataInputRef/activiti:collection must been set", node);
        }
        if loops.collection.is_none() && loops.element_variable.is_some() {
            self.report
                .error("LoopDataInputRef/activiti:collection must be set when using inputDataItem or activiti:elementVariable", node);
        }
        loops
    }
}

/// Standard BPMN's way to say who: `humanPerformer` and `potentialOwner` with `user(a), group(b)`.
fn resources(node: Node<'_, '_>, task: &mut UserTask) {
    let formal = |n| xml::child(n, "resourceAssignmentExpression").and_then(|r| xml::child(r, "formalExpression")).map(xml::text);
    for performer in xml::named(node, "humanPerformer") {
        task.assignee = task.assignee.take().or_else(|| formal(performer).map(Expression));
    }
    for owner in xml::named(node, "potentialOwner") {
        for entry in formal(owner).map(|t| split_list(&t)).unwrap_or_default() {
            let inside = |prefix| entry.0.strip_prefix(prefix).and_then(|t: &str| t.strip_suffix(')')).map(|t| Expression::new(t.trim()));
            if let Some(user) = inside("user(") {
                task.candidate_users.push(user);
            } else {
                task.candidate_groups.push(inside("group(").unwrap_or(entry));
            }
        }
    }
}

/// A list with commas, but not those inside of `${…}`.
pub(super) fn split_list(text: &str) -> Vec<Expression> {
    let mut parts = vec![String::new()];
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.iter().map(|p| p.trim()).filter(|p| !p.is_empty()).map(Expression::new).collect()
}
