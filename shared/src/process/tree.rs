//! The execution tree read: the activity-instance tree that callers see, whose scope a variable is in.
//!
//! Source: spec/execution-tree.md. [`ops`] changes the tree, [`check`] holds it against the rules. Never
//! decides what an activity does: that is the runner's and the migration's part.

mod check;
mod ops;

use super::definition::{ProcessDefinition, ScopeRef};
use super::instance::{Execution, Instance, Place, Variable};

pub use check::check;
pub use ops::{
    activity_instance_id, compensates, create_child, create_concurrent, live_children, move_leaf, move_variable, prune, remove_execution,
    scope_execution, scope_of,
};

/// One activity instance, as `GET /process-instance/{id}/activity-instances` shows it (spec-batch-rest §4.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActivityNode {
    /// The instance's id for the root.
    pub id: String,
    pub parent: Option<String>,
    /// The definition's id for the root.
    pub activity_id: String,
    pub activity_name: Option<String>,
    /// `processDefinition` for the root.
    pub activity_type: String,
    pub definition_id: String,
    pub children: Vec<ActivityNode>,
    pub transitions: Vec<TransitionNode>,
    pub execution_ids: Vec<String>,
    pub incident_ids: Vec<String>,
}

/// A token parked at a job, or finished in a parallel multi-instance body. Its id is its execution's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransitionNode {
    pub id: String,
    pub parent: String,
    pub activity_id: String,
    pub activity_name: Option<String>,
    pub activity_type: String,
    pub execution_id: String,
    pub incident_ids: Vec<String>,
}

impl ActivityNode {
    /// This node and all below it, parents first.
    pub fn walk(&self) -> impl Iterator<Item = &ActivityNode> {
        let mut stack = vec![self];
        std::iter::from_fn(move || {
            let node = stack.pop()?;
            stack.extend(node.children.iter().rev());
            Some(node)
        })
    }

    #[must_use]
    pub fn find(&self, id: &str) -> Option<&ActivityNode> {
        self.walk().find(|node| node.id == id)
    }
}

/// The tree of activity instances, derived from the executions.
#[must_use]
pub fn activity_tree(instance: &Instance, definition: &ProcessDefinition) -> ActivityNode {
    let reader = Reader { instance, definition };
    let root = instance.root();
    let mut nodes = vec![ActivityNode {
        id: instance.id.clone(),
        parent: None,
        activity_id: definition.id.clone(),
        activity_name: definition.name.clone(),
        activity_type: "processDefinition".into(),
        definition_id: instance.definition_id.clone(),
        execution_ids: vec![root.id.clone()],
        incident_ids: if root.at.is_none() { reader.incidents(&root.id) } else { vec![] },
        ..ActivityNode::default()
    }];
    reader.read(root, &mut nodes);
    assemble(nodes)
}

/// Hangs nodes, parents first, below each other.
fn assemble(mut nodes: Vec<ActivityNode>) -> ActivityNode {
    while nodes.len() > 1 {
        let Some(node) = nodes.pop() else { break };
        let parent = nodes.iter().rposition(|n| Some(&n.id) == node.parent.as_ref()).unwrap_or(0);
        nodes[parent].children.insert(0, node);
    }
    nodes.pop().unwrap_or_default()
}

struct Reader<'a> {
    instance: &'a Instance,
    definition: &'a ProcessDefinition,
}

impl Reader<'_> {
    fn incidents(&self, execution: &str) -> Vec<String> {
        self.instance.incidents.iter().filter(|i| i.execution_id == execution).map(|i| i.id.clone()).collect()
    }

    fn words(&self, activity_id: &str) -> (Option<String>, String) {
        self.definition.get(activity_id).map_or((None, String::new()), |a| (a.name.clone(), a.type_name.to_owned()))
    }

    fn node(&self, place: &Place, id: &str, execution: &Execution) -> ActivityNode {
        let (activity_name, activity_type) = self.words(&place.activity_id);
        let bears_incidents = execution.at.as_ref().is_none_or(|at| at == place);
        ActivityNode {
            id: id.to_owned(),
            parent: Some(parent_instance_id(self.instance, self.definition, &execution.id, &place.activity_id)),
            activity_id: place.activity_id.clone(),
            activity_name,
            activity_type,
            definition_id: self.instance.definition_id.clone(),
            execution_ids: vec![execution.id.clone()],
            incident_ids: if bears_incidents { self.incidents(&execution.id) } else { vec![] },
            ..ActivityNode::default()
        }
    }

    /// The scope that an execution is, the leaf that sits on it, and all below it.
    fn read(&self, execution: &Execution, nodes: &mut Vec<ActivityNode>) {
        if let Some((place, id)) = execution.scope.as_ref().and_then(|p| p.activity_instance_id.as_ref().map(|id| (p, id))) {
            nodes.push(self.node(place, id, execution));
        }
        if let Some(at) = execution.at.as_ref().filter(|at| execution.scope.as_ref() != Some(*at)) {
            match &at.activity_instance_id {
                Some(id) => nodes.push(self.node(at, id, execution)),
                None => self.read_parked(at, execution, nodes),
            }
        } else if execution.is_concurrent && !execution.is_scope {
            let around = enclosing_instance_id(self.instance, &execution.id);
            if let Some(node) = nodes.iter_mut().find(|n| n.id == around) {
                node.execution_ids.push(execution.id.clone());
                node.incident_ids.extend(self.incidents(&execution.id));
            }
        }
        for child in self.instance.children_of(&execution.id).filter(|e| !e.is_event_scope) {
            self.read(child, nodes);
        }
    }

    fn read_parked(&self, at: &Place, execution: &Execution, nodes: &mut [ActivityNode]) {
        let (activity_name, activity_type) = self.words(&at.activity_id);
        let parent = enclosing_instance_id(self.instance, &execution.id);
        if let Some(node) = nodes.iter_mut().find(|n| n.id == parent) {
            node.transitions.push(TransitionNode {
                id: execution.id.clone(),
                parent,
                activity_id: at.activity_id.clone(),
                activity_name,
                activity_type,
                execution_id: execution.id.clone(),
                incident_ids: self.incidents(&execution.id),
            });
        }
    }
}

/// The activity instance that one of `activity_id` on `execution` is part of: that of the activity's flow scope. It is not
/// always the next one above: handlers run below the event that throws compensation, but are shown beside it, or in the
/// multi-instance body whose instances they undo.
#[must_use]
pub fn parent_instance_id(instance: &Instance, definition: &ProcessDefinition, execution: &str, activity_id: &str) -> String {
    let activity = definition.get(activity_id);
    let of_body = |scope: ScopeRef| match (activity, scope) {
        (Some(a), ScopeRef::Activity(ix)) => a.is_for_compensation && definition.activity(ix).kind.is_multi_instance_body(),
        _ => false,
    };
    let is_around = |scope: ScopeRef| activity.is_some_and(|a| a.flow_scope == scope) || of_body(scope);
    let mut at = instance.execution(execution);
    while let Some(e) = at {
        if e.is_scope && model_scope(definition, e).is_some_and(is_around) {
            return e.scope.as_ref().and_then(|p| p.activity_instance_id.clone()).unwrap_or_else(|| instance.id.clone());
        }
        at = e.parent.as_deref().and_then(|p| instance.execution(p));
    }
    instance.id.clone()
}

/// The activity instance that an execution's scope is: its own or, for a concurrent execution, that around it.
#[must_use]
pub fn enclosing_instance_id(instance: &Instance, execution: &str) -> String {
    let mut at = instance.execution(execution);
    while let Some(e) = at {
        if e.parent.is_none() {
            break;
        }
        if let Some(id) = e.scope.as_ref().and_then(|p| p.activity_instance_id.as_ref()) {
            return id.clone();
        }
        at = e.parent.as_deref().and_then(|p| instance.execution(p));
    }
    instance.id.clone()
}

/// The id that the reference's row of this execution would hold: of what runs *on* it (rule 5). A scope that is
/// a leaf of its own does not count for the execution above it, a composite one does. None for a token that is parked
/// there, or has finished.
#[must_use]
pub fn running_on(instance: &Instance, definition: &ProcessDefinition, execution: &str) -> Option<String> {
    let Some(e) = instance.execution(execution) else { return Some(instance.id.clone()) };
    if let Some(at) = &e.at {
        return at.activity_instance_id.clone();
    }
    let mut below = instance.children_of(execution).filter(|c| !c.is_event_scope && !c.is_concurrent);
    if let Some(place) = below.next().and_then(|c| c.scope.as_ref()) {
        let composite = definition.get(&place.activity_id).is_some_and(|a| !a.children.is_empty());
        let left = e.shown_instance.is_some() && e.shown_instance == place.activity_instance_id;
        if let (true, Some(id)) = (composite || left, &place.activity_instance_id) {
            return Some(id.clone());
        }
    }
    Some(enclosing_instance_id(instance, execution))
}

/// The activity instance that a variable is shown with (`activityInstanceId` of `/variable-instance`; FINDINGS 32, 42).
#[must_use]
pub fn variable_scope(instance: &Instance, definition: &ProcessDefinition, variable: &Variable) -> Option<String> {
    if let Some(task) = variable.task_id.as_ref().and_then(|id| instance.tasks.iter().find(|t| t.id == *id)) {
        return Some(task.activity_instance_id.clone());
    }
    let Some(e) = instance.execution(&variable.execution_id) else { return Some(instance.id.clone()) };
    match &e.parent {
        Some(parent) if e.is_event_scope => running_on(instance, definition, parent),
        _ if e.is_scope && !variable.concurrent_local => Some(enclosing_instance_id(instance, &e.id)),
        _ => running_on(instance, definition, &e.id),
    }
}

/// The scope of the model that a scope execution stands for.
#[must_use]
pub fn model_scope(definition: &ProcessDefinition, execution: &Execution) -> Option<ScopeRef> {
    match (&execution.scope, &execution.parent) {
        (Some(place), _) => definition.find(&place.activity_id).map(ScopeRef::Activity),
        (None, None) => Some(ScopeRef::Process),
        (None, Some(_)) => None,
    }
}
