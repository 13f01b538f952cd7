//! The static model of a deployed process: what a BPMN file says, compiled once and never changed.
//!
//! Source: spec-migration §1 and §9.1. Activities are kept in one flat list and point at each other by
//! index; a multi-instance activity is two entries, the body `{id}#multiInstanceBody` and the inner one.

use std::collections::HashMap;

use super::expression::Expression;

/// Place of an activity in [`ProcessDefinition::activities`].
pub type ActivityIx = usize;

/// What is added to an activity's id to name its multi-instance body.
pub const MULTI_INSTANCE_BODY: &str = "#multiInstanceBody";

/// A scope of the process: the process itself or an activity in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeRef {
    Process,
    Activity(ActivityIx),
}

/// A deployed process definition. Ids are `key:version:uuid`.
#[derive(Clone, Debug, Default)]
pub struct ProcessDefinition {
    pub id: String,
    pub key: String,
    pub name: Option<String>,
    pub version: i32,
    pub version_tag: Option<String>,
    pub tenant_id: Option<String>,
    pub deployment_id: String,
    /// Days, as `camunda:historyTimeToLive` says (`P30D` or `30`).
    pub history_time_to_live: Option<i32>,
    pub startable_in_tasklist: bool,
    pub job_priority: Option<Expression>,
    /// The variable that takes the user who starts an instance: of the last start event that names one.
    pub initiator: Option<String>,
    /// Who may start it from a task list: kept, not enforced.
    pub candidate_starter_users: Vec<Expression>,
    pub candidate_starter_groups: Vec<Expression>,
    pub activities: Vec<Activity>,
    pub flows: Vec<SequenceFlow>,
    /// Children of the process scope, in the order of spec-migration §1.4.
    pub children: Vec<ActivityIx>,
    /// Where a plain start begins: the process-level none start event (or the only start event).
    pub initial: Option<ActivityIx>,
    /// In the order of the activities; the store gives them their ids at deployment.
    pub job_definitions: Vec<JobDefinitionDeclaration>,
    /// Execution listeners of the process itself.
    pub listeners: Vec<ExecutionListener>,
    pub(crate) by_id: HashMap<String, ActivityIx>,
}

/// A kind of job that instances of the definition may have (spec-migration §9.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobDefinitionDeclaration {
    /// Empty until deployed.
    pub id: String,
    pub activity_id: String,
    /// `async-continuation`, `timer-transition`, `timer-intermediate-transition`, `timer-start-event-subprocess`,
    /// `timer-task-listener`, `timer-start-event`.
    pub job_type: &'static str,
    /// `async-before`, `async-after`, or what the timer says.
    pub configuration: String,
}

#[derive(Clone, Debug)]
pub struct SequenceFlow {
    pub id: String,
    pub source: ActivityIx,
    pub target: ActivityIx,
    pub condition: Option<Expression>,
    /// Run when a token takes the flow.
    pub listeners: Vec<ExecutionListener>,
}

/// One flow node, or the synthetic body of a multi-instance one.
#[derive(Clone, Debug)]
pub struct Activity {
    pub id: String,
    /// As written: may be an expression.
    pub name: Option<String>,
    /// The reference's `activityType`: the XML tag, or the event's own word (spec-migration §1.1).
    pub type_name: &'static str,
    pub kind: ActivityKind,
    pub flow_scope: ScopeRef,
    /// Where the trigger of this event lives (§1.3); none for all that is no event.
    pub event_scope: Option<ScopeRef>,
    /// Flow children, in the order of §1.4. A body's only child is its inner activity.
    pub children: Vec<ActivityIx>,
    /// Indexes into [`ProcessDefinition::flows`], document order. Flows of a multi-instance activity sit at its body.
    pub incoming: Vec<usize>,
    pub outgoing: Vec<usize>,
    pub default_flow: Option<usize>,
    pub is_scope: bool,
    pub async_before: bool,
    pub async_after: bool,
    pub exclusive: bool,
    pub job_priority: Option<Expression>,
    pub retry_time_cycle: Option<String>,
    pub is_for_compensation: bool,
    /// On a compensation boundary event: the handler that its association names.
    pub compensation_handler: Option<ActivityIx>,
    pub triggered_by_event: bool,
    /// `cancelActivity` of a boundary event, `isInterrupting` of an event subprocess' start event.
    pub interrupting: bool,
    /// Host of a boundary event, as written (for a multi-instance host: its body).
    pub attached_to: Option<ActivityIx>,
    /// The message, signal, timer, … of an event, of a receive task with a message.
    pub event: Option<EventDefinition>,
    /// What the activity does when a token arrives.
    pub work: Work,
    pub multi_instance: Option<MultiInstance>,
    pub inputs: Vec<Mapping>,
    pub outputs: Vec<Mapping>,
    pub listeners: Vec<ExecutionListener>,
}

/// What an activity does, with what it needs for it. Events keep theirs in [`Activity::event`].
#[derive(Clone, Debug, PartialEq)]
pub enum Work {
    /// Nothing of its own: events, gateways, subprocesses, none and manual tasks, bodies.
    None,
    UserTask(Box<UserTask>),
    External(ExternalTaskDeclaration),
    Call(CallActivity),
    /// `camunda:class`, `delegateExpression`: not to be had here; refused by name when a token arrives.
    Delegate(String),
    /// `camunda:expression` of a service, send or rule task; with a result variable.
    Expression {
        expression: Expression,
        result_variable: Option<String>,
    },
    /// Scripts, mail, shell, decisions, cases: refused by name when a token arrives.
    Unsupported(&'static str),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserTask {
    pub assignee: Option<Expression>,
    pub owner: Option<Expression>,
    pub candidate_users: Vec<Expression>,
    pub candidate_groups: Vec<Expression>,
    pub due_date: Option<Expression>,
    pub follow_up_date: Option<Expression>,
    pub priority: Option<Expression>,
    pub form_key: Option<Expression>,
    pub form_ref: Option<FormRef>,
    pub description: Option<Expression>,
    pub listeners: Vec<TaskListener>,
}

/// `camunda:formRef`: a form deployed under this key.
#[derive(Clone, Debug, PartialEq)]
pub struct FormRef {
    pub key: Expression,
    /// `latest`, `deployment` or `version`.
    pub binding: Option<String>,
    pub version: Option<Expression>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct TaskListener {
    pub id: Option<String>,
    /// create, assignment, update, complete, delete, timeout
    pub event: String,
    pub action: ListenerAction,
    /// Only of `timeout` listeners.
    pub timer: Option<TimerDeclaration>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExecutionListener {
    /// start, end, take
    pub event: String,
    pub action: ListenerAction,
}

#[derive(Clone, Debug, PartialEq)]
pub enum ListenerAction {
    Expression(Expression),
    /// A class, delegate expression or script: refused by name when it would run.
    Unsupported(String),
}

#[derive(Clone, Debug, PartialEq)]
pub struct ExternalTaskDeclaration {
    pub topic: Expression,
    pub priority: Option<Expression>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct CallActivity {
    /// `calledElement`, or `caseRef` when `is_case`.
    pub called: Expression,
    pub is_case: bool,
    pub binding: Option<String>,
    pub version: Option<Expression>,
    pub version_tag: Option<Expression>,
    pub tenant_id: Option<Expression>,
    /// `camunda:in` and `camunda:out`.
    pub inputs: Vec<CallMapping>,
    pub outputs: Vec<CallMapping>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum CallMapping {
    All {
        local: bool,
    },
    BusinessKey(Expression),
    /// A plain `source` is a variable's name; anything else is an expression.
    Variable {
        source: Expression,
        target: String,
        local: bool,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct MultiInstance {
    pub sequential: bool,
    pub cardinality: Option<Expression>,
    pub collection: Option<String>,
    pub element_variable: Option<String>,
    pub completion_condition: Option<Expression>,
}

/// One `camunda:inputParameter` or `camunda:outputParameter`.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    pub name: String,
    pub value: MappingValue,
}

#[derive(Clone, Debug, PartialEq)]
pub enum MappingValue {
    Text(Expression),
    List(Vec<MappingValue>),
    Map(Vec<(String, MappingValue)>),
    Null,
    /// A script: refused by name when it would run.
    Script,
}

#[derive(Clone, Debug, PartialEq)]
pub enum EventDefinition {
    None,
    Message {
        name: Option<Expression>,
    },
    /// What is thrown carries variables along: `camunda:in`.
    Signal {
        name: Expression,
        payload: Vec<CallMapping>,
    },
    Timer(TimerDeclaration),
    Conditional {
        condition: Expression,
        variable_name: Option<String>,
        variable_events: Vec<String>,
    },
    Error {
        code: Option<String>,
        code_variable: Option<String>,
        message_variable: Option<String>,
    },
    Escalation {
        code: Option<String>,
        code_variable: Option<String>,
    },
    Compensation {
        activity: Option<String>,
    },
    Cancel,
    Terminate,
    Link {
        name: String,
    },
}

#[derive(Clone, Debug, PartialEq)]
pub struct TimerDeclaration {
    pub kind: TimerKind,
    pub value: Expression,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    Date,
    Duration,
    Cycle,
}

/// The reference's behaviour classes, by which it tells kinds of activities apart (spec-migration §1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivityKind {
    NoneStartEvent,
    EventSubProcessStartEvent,
    EventSubProcessStartConditionalEvent,
    UserTask,
    ReceiveTask,
    ExternalTask,
    ClassDelegate,
    ServiceTaskDelegateExpression,
    ServiceTaskExpression,
    Mail,
    Shell,
    DmnBusinessRuleTask,
    ScriptTask,
    Task,
    ManualTask,
    SubProcess,
    EventSubProcess,
    CallActivity,
    CaseCallActivity,
    ExclusiveGateway,
    ParallelGateway,
    InclusiveGateway,
    EventBasedGateway,
    IntermediateCatchEvent,
    IntermediateConditionalEvent,
    IntermediateCatchLinkEvent,
    IntermediateThrowNoneEvent,
    ThrowSignalEvent,
    ThrowEscalationEvent,
    CompensationEvent,
    NoneEndEvent,
    ErrorEndEvent,
    CancelEndEvent,
    TerminateEndEvent,
    BoundaryEvent,
    BoundaryConditionalEvent,
    CancelBoundaryEvent,
    ParallelMultiInstance,
    SequentialMultiInstance,
}

impl ActivityKind {
    /// The name that the reference's messages print.
    #[must_use]
    pub fn behavior_name(self) -> &'static str {
        match self {
            Self::NoneStartEvent => "NoneStartEventActivityBehavior",
            Self::EventSubProcessStartEvent => "EventSubProcessStartEventActivityBehavior",
            Self::EventSubProcessStartConditionalEvent => "EventSubProcessStartConditionalEventActivityBehavior",
            Self::UserTask => "UserTaskActivityBehavior",
            Self::ReceiveTask => "ReceiveTaskActivityBehavior",
            Self::ExternalTask => "ExternalTaskActivityBehavior",
            Self::ClassDelegate => "ClassDelegateActivityBehavior",
            Self::ServiceTaskDelegateExpression => "ServiceTaskDelegateExpressionActivityBehavior",
            Self::ServiceTaskExpression => "ServiceTaskExpressionActivityBehavior",
            Self::Mail => "MailActivityBehavior",
            Self::Shell => "ShellActivityBehavior",
            Self::DmnBusinessRuleTask => "DmnBusinessRuleTaskActivityBehavior",
            Self::ScriptTask => "ScriptTaskActivityBehavior",
            Self::Task => "TaskActivityBehavior",
            Self::ManualTask => "ManualTaskActivityBehavior",
            Self::SubProcess => "SubProcessActivityBehavior",
            Self::EventSubProcess => "EventSubProcessActivityBehavior",
            Self::CallActivity => "CallActivityBehavior",
            Self::CaseCallActivity => "CaseCallActivityBehavior",
            Self::ExclusiveGateway => "ExclusiveGatewayActivityBehavior",
            Self::ParallelGateway => "ParallelGatewayActivityBehavior",
            Self::InclusiveGateway => "InclusiveGatewayActivityBehavior",
            Self::EventBasedGateway => "EventBasedGatewayActivityBehavior",
            Self::IntermediateCatchEvent => "IntermediateCatchEventActivityBehavior",
            Self::IntermediateConditionalEvent => "IntermediateConditionalEventBehavior",
            Self::IntermediateCatchLinkEvent => "IntermediateCatchLinkEventActivityBehavior",
            Self::IntermediateThrowNoneEvent => "IntermediateThrowNoneEventActivityBehavior",
            Self::ThrowSignalEvent => "ThrowSignalEventActivityBehavior",
            Self::ThrowEscalationEvent => "ThrowEscalationEventActivityBehavior",
            Self::CompensationEvent => "CompensationEventActivityBehavior",
            Self::NoneEndEvent => "NoneEndEventActivityBehavior",
            Self::ErrorEndEvent => "ErrorEndEventActivityBehavior",
            Self::CancelEndEvent => "CancelEndEventActivityBehavior",
            Self::TerminateEndEvent => "TerminateEndEventActivityBehavior",
            Self::BoundaryEvent => "BoundaryEventActivityBehavior",
            Self::BoundaryConditionalEvent => "BoundaryConditionalEventActivityBehavior",
            Self::CancelBoundaryEvent => "CancelBoundaryEventActivityBehavior",
            Self::ParallelMultiInstance => "ParallelMultiInstanceActivityBehavior",
            Self::SequentialMultiInstance => "SequentialMultiInstanceActivityBehavior",
        }
    }

    #[must_use]
    pub fn is_multi_instance_body(self) -> bool {
        matches!(self, Self::ParallelMultiInstance | Self::SequentialMultiInstance)
    }

    #[must_use]
    pub fn is_conditional(self) -> bool {
        matches!(self, Self::IntermediateConditionalEvent | Self::BoundaryConditionalEvent | Self::EventSubProcessStartConditionalEvent)
    }
}

impl ProcessDefinition {
    #[must_use]
    pub fn find(&self, activity_id: &str) -> Option<ActivityIx> {
        self.by_id.get(activity_id).copied()
    }

    #[must_use]
    pub fn activity(&self, ix: ActivityIx) -> &Activity {
        &self.activities[ix]
    }

    #[must_use]
    pub fn get(&self, activity_id: &str) -> Option<&Activity> {
        self.find(activity_id).map(|ix| &self.activities[ix])
    }

    /// The id that messages print for a scope: the activity's, or the definition's own.
    #[must_use]
    pub fn scope_id(&self, scope: ScopeRef) -> &str {
        match scope {
            ScopeRef::Process => &self.id,
            ScopeRef::Activity(ix) => &self.activities[ix].id,
        }
    }

    #[must_use]
    pub fn scope_children(&self, scope: ScopeRef) -> &[ActivityIx] {
        match scope {
            ScopeRef::Process => &self.children,
            ScopeRef::Activity(ix) => &self.activities[ix].children,
        }
    }

    /// Flow scopes of `scope` from the inside out, without itself; ends with [`ScopeRef::Process`].
    pub fn ancestors(&self, scope: ScopeRef) -> impl Iterator<Item = ScopeRef> + '_ {
        let above = |s: ScopeRef| match s {
            ScopeRef::Process => None,
            ScopeRef::Activity(ix) => Some(self.activities[ix].flow_scope),
        };
        std::iter::successors(above(scope), move |s| above(*s))
    }

    /// Activities whose trigger lives on `scope` (§1.3), in document order.
    pub fn events_of(&self, scope: ScopeRef) -> impl Iterator<Item = ActivityIx> + '_ {
        (0..self.activities.len()).filter(move |ix| self.activities[*ix].event_scope == Some(scope))
    }

    /// The host activity that boundary events, variables and mappings of `ix` belong to: its body, if it has one.
    #[must_use]
    pub fn body_of(&self, ix: ActivityIx) -> Option<ActivityIx> {
        match self.activities[ix].flow_scope {
            ScopeRef::Activity(up) if self.activities[up].kind.is_multi_instance_body() => Some(up),
            _ => None,
        }
    }

    /// The scope that instances of an activity are part of: its flow scope or, for the handler of a multi-instance activity,
    /// the body of that activity.
    #[must_use]
    pub fn home_of(&self, ix: ActivityIx) -> ScopeRef {
        let activity = &self.activities[ix];
        if !activity.is_for_compensation {
            return activity.flow_scope;
        }
        let boundary = self.activities.iter().find(|a| a.compensation_handler == Some(ix));
        let host = boundary.and_then(|b| b.attached_to);
        let body = host.and_then(|h| if self.activities[h].kind.is_multi_instance_body() { Some(h) } else { self.body_of(h) });
        body.map_or(activity.flow_scope, ScopeRef::Activity)
    }

    /// The job definition of an activity's jobs of one type (and, for async ones, of one configuration).
    #[must_use]
    pub fn job_definition(&self, activity_id: &str, job_type: &str, configuration: Option<&str>) -> Option<&JobDefinitionDeclaration> {
        self.job_definitions
            .iter()
            .find(|d| d.activity_id == activity_id && d.job_type == job_type && configuration.is_none_or(|c| c == d.configuration))
    }

    /// To be called once the list of activities is complete.
    pub fn index(&mut self) {
        self.by_id = self.activities.iter().enumerate().map(|(ix, a)| (a.id.clone(), ix)).collect();
    }
}

impl Activity {
    /// A bare activity: everything off or empty but what is given.
    #[must_use]
    pub fn new(id: impl Into<String>, kind: ActivityKind, type_name: &'static str, flow_scope: ScopeRef) -> Self {
        Self {
            id: id.into(),
            name: None,
            type_name,
            kind,
            flow_scope,
            event_scope: None,
            children: vec![],
            incoming: vec![],
            outgoing: vec![],
            default_flow: None,
            is_scope: false,
            async_before: false,
            async_after: false,
            exclusive: true,
            job_priority: None,
            retry_time_cycle: None,
            is_for_compensation: false,
            compensation_handler: None,
            triggered_by_event: false,
            interrupting: true,
            attached_to: None,
            event: None,
            work: Work::None,
            multi_instance: None,
            inputs: vec![],
            outputs: vec![],
            listeners: vec![],
        }
    }

    /// Has it an event scope and a timer or a message, signal or conditional subscription there? (§1.3)
    #[must_use]
    pub fn has_persistent_trigger(&self) -> bool {
        let waits = matches!(
            self.event,
            Some(
                EventDefinition::Message { .. }
                    | EventDefinition::Signal { .. }
                    | EventDefinition::Timer(_)
                    | EventDefinition::Conditional { .. }
            )
        );
        self.event_scope.is_some() && (waits || self.timeout_listeners().next().is_some())
    }

    /// Timeout listeners of a user task, with their timers.
    pub fn timeout_listeners(&self) -> impl Iterator<Item = &TaskListener> {
        let listeners = match &self.work {
            Work::UserTask(task) => task.listeners.as_slice(),
            _ => &[],
        };
        listeners.iter().filter(|l| l.timer.is_some())
    }
}
