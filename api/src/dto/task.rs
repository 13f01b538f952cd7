//! Tasks as JSON, and the query for them (spec-batch-rest §4.5).

use serde_json::{Value, json};
use shared::process::definition::FormRef;
use shared::process::instance::{Instance, Task};
use shared::runner::standalone::StandaloneTask;
use shared::store::query::InstanceQuery;
use shared::store::views::StoredInstance;

use super::instance_query::{Texts, variables};
use crate::criteria::Criteria;
use crate::dates;
use crate::error::ApiError;
use crate::input::Input;
use crate::scan::key_of;

/// What a task of no instance lacks is empty in the document and null in the answer.
#[must_use]
pub fn filled(text: &str) -> Option<&str> {
    Some(text).filter(|t| !t.is_empty())
}

/// A task of no instance, in the shape of all others: the only one of a document without an id.
#[must_use]
pub fn standalone(standalone: StandaloneTask) -> (StoredInstance, Task) {
    let StandaloneTask { task, tenant_id, variables, .. } = standalone;
    let instance = Instance { tenant_id, variables, tasks: vec![task.clone()], ..Instance::default() };
    (StoredInstance { instance, revision: 0, definition_key: String::new() }, task)
}

/// The form of a task, as its model declares it.
#[derive(Clone, Debug, Default)]
pub struct Form {
    pub key: Option<String>,
    pub reference: Option<FormRef>,
}

impl Form {
    /// `camundaFormRef`: key, binding and version of the form that is meant; null for none.
    #[must_use]
    pub fn reference(&self) -> Value {
        let version = |r: &FormRef| r.version.as_ref().and_then(|v| v.0.parse::<i64>().ok());
        self.reference.as_ref().map_or(Value::Null, |r| json!({"key": r.key.0, "binding": r.binding, "version": version(r)}))
    }
}

#[must_use]
pub fn show(stored: &StoredInstance, t: &Task, form: &Form) -> Value {
    json!({
        "id": t.id,
        "name": t.name,
        "assignee": t.assignee,
        "created": dates::format(t.created),
        "due": dates::json(t.due),
        "followUp": dates::json(t.follow_up),
        "lastUpdated": dates::json(t.last_updated),
        "delegationState": t.delegation_state,
        "description": t.description,
        "executionId": filled(&t.execution_id),
        "owner": t.owner,
        "parentTaskId": t.parent_task,
        "priority": t.priority,
        "processDefinitionId": filled(&t.definition_id),
        "processInstanceId": filled(&stored.instance.id),
        "taskDefinitionKey": filled(&t.task_definition_key),
        "caseExecutionId": null,
        "caseInstanceId": null,
        "caseDefinitionId": null,
        "suspended": stored.instance.suspended,
        "formKey": form.key,
        "camundaFormRef": form.reference(),
        "operatonFormRef": form.reference(),
        "tenantId": stored.instance.tenant_id,
        "taskState": if t.last_updated.is_some() { "Updated" } else { "Created" },
    })
}

/// What to order tasks by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Id,
    Name,
    NameIgnoringCase,
    Priority,
    Assignee,
    Owner,
    Created,
    Due,
    FollowUp,
    Updated,
    Description,
    Execution,
    Instance,
    Tenant,
}

pub const SORTS: [(&str, Sort); 14] = [
    ("id", Sort::Id),
    ("name", Sort::Name),
    ("nameCaseInsensitive", Sort::NameIgnoringCase),
    ("priority", Sort::Priority),
    ("assignee", Sort::Assignee),
    ("owner", Sort::Owner),
    ("created", Sort::Created),
    ("dueDate", Sort::Due),
    ("followUpDate", Sort::FollowUp),
    ("lastUpdated", Sort::Updated),
    ("description", Sort::Description),
    ("executionId", Sort::Execution),
    ("instanceId", Sort::Instance),
    ("tenantId", Sort::Tenant),
];

#[must_use]
pub fn sort_key((stored, t): &(StoredInstance, Task), by: Sort) -> Option<super::job::SortKey> {
    use super::job::SortKey::{Number, Text};
    match by {
        Sort::Id => Some(Text(t.id.clone())),
        Sort::Name => t.name.clone().map(Text),
        Sort::NameIgnoringCase => t.name.as_ref().map(|n| Text(n.to_lowercase())),
        Sort::Priority => Some(Number(t.priority)),
        Sort::Assignee => t.assignee.clone().map(Text),
        Sort::Owner => t.owner.clone().map(Text),
        Sort::Created => Some(Number(t.created)),
        Sort::Due => t.due.map(Number),
        Sort::FollowUp => t.follow_up.map(Number),
        Sort::Updated => t.last_updated.or(Some(t.created)).map(Number),
        Sort::Description => t.description.clone().map(Text),
        Sort::Execution => Some(Text(t.execution_id.clone())),
        Sort::Instance => Some(Text(stored.instance.id.clone())),
        Sort::Tenant => stored.instance.tenant_id.clone().map(Text),
    }
}

type Of = Criteria<StoredInstance, Task>;

/// Reads a query: what narrows the documents, and the tests.
///
/// # Errors
/// As the getters of [`Input`].
pub fn query(input: &Input<'_>) -> Result<(InstanceQuery, Of), ApiError> {
    let by_id = match input.text("taskId")? {
        Some(id) => Some(vec![id]),
        None => input.filled_list("taskIdIn")?,
    };
    let owners = by_id.map(|ids| ids.iter().map(|id| shared::id::base_of(id)).collect());
    let instances = input.text("processInstanceId")?.map(|id| vec![id]);
    let narrowed = InstanceQuery {
        ids: instances.or(input.filled_list("processInstanceIdIn")?).or(owners),
        definition_id: input.text("processDefinitionId")?,
        definition_key: input.text("processDefinitionKey")?,
        business_key: input.text("processInstanceBusinessKey")?,
        business_key_like: input.text("processInstanceBusinessKeyLike")?,
        ..InstanceQuery::default()
    };
    let mut tests = criteria(input)?;
    for one in input.objects("orQueries")?.unwrap_or_default() {
        tests.any_of(criteria(&Input::body(one))?);
    }
    Ok((narrowed, tests))
}

/// Could a task of no instance match? Not where the query names instances or definitions.
///
/// # Errors
/// As the getters of [`Input`].
pub fn may_be_standalone(input: &Input<'_>) -> Result<bool, ApiError> {
    for one in ["processInstanceId", "processDefinitionId", "processDefinitionKey", "processInstanceBusinessKey", "taskDefinitionKey"] {
        if input.text(one)?.is_some() {
            return Ok(false);
        }
    }
    Ok(input.filled_list("processInstanceIdIn")?.is_none())
}

fn criteria(input: &Input<'_>) -> Result<Of, ApiError> {
    let mut c = Of::default();
    c.text(input, "taskId", |_, t| Some(&t.id))?;
    c.one_of(input, "taskIdIn", |_, t| Some(&t.id))?;
    c.text(input, "processInstanceId", |s, _| Some(&s.instance.id))?;
    c.one_of(input, "processInstanceIdIn", |s, _| Some(&s.instance.id))?;
    c.text(input, "processInstanceBusinessKey", |s, _| s.instance.business_key.as_deref())?;
    c.like(input, "processInstanceBusinessKeyLike", |s, _| s.instance.business_key.as_deref())?;
    c.one_of(input, "processInstanceBusinessKeyIn", |s, _| s.instance.business_key.as_deref())?;
    c.text(input, "processDefinitionId", |_, t| Some(&t.definition_id))?;
    c.text(input, "processDefinitionKey", |_, t| Some(key_of(&t.definition_id)))?;
    c.one_of(input, "processDefinitionKeyIn", |_, t| Some(key_of(&t.definition_id)))?;
    c.text(input, "executionId", |_, t| Some(&t.execution_id))?;
    c.one_of(input, "activityInstanceIdIn", |_, t| Some(&t.activity_instance_id))?;
    c.text(input, "taskDefinitionKey", |_, t| Some(&t.task_definition_key))?;
    c.one_of(input, "taskDefinitionKeyIn", |_, t| Some(&t.task_definition_key))?;
    c.none_of(input, "taskDefinitionKeyNotIn", |_, t| Some(&t.task_definition_key))?;
    c.like(input, "taskDefinitionKeyLike", |_, t| Some(&t.task_definition_key))?;
    c.text(input, "name", |_, t| t.name.as_deref())?;
    c.not_text(input, "nameNotEqual", |_, t| t.name.as_deref())?;
    c.like(input, "nameLike", |_, t| t.name.as_deref())?;
    c.text(input, "description", |_, t| t.description.as_deref())?;
    c.like(input, "descriptionLike", |_, t| t.description.as_deref())?;
    c.text(input, "parentTaskId", |_, t| t.parent_task.as_deref())?;
    c.text(input, "delegationState", |_, t| t.delegation_state.as_deref())?;
    c.number(input, "priority", |_, t| Some(t.priority), |found, given| found == given)?;
    c.number(input, "minPriority", |_, t| Some(t.priority), |found, given| found >= given)?;
    c.number(input, "maxPriority", |_, t| Some(t.priority), |found, given| found <= given)?;
    c.yes(input, "active", |s, _| !s.instance.suspended)?;
    c.yes(input, "suspended", |s, _| s.instance.suspended)?;
    c.tenants(input.tenants("")?, |s, _| s.instance.tenant_id.as_deref());
    people(input, &mut c)?;
    times(input, &mut c)?;
    for filter in variables(input, "processVariables", Texts::MayBeDates)? {
        c.variable(filter, |s, _| visible(s, None));
    }
    for filter in variables(input, "taskVariables", Texts::MayBeDates)? {
        c.variable(filter, |s, t| visible(s, Some(&t.id)));
    }
    Ok(c)
}

fn people(input: &Input<'_>, c: &mut Of) -> Result<(), ApiError> {
    c.text(input, "assignee", |_, t| t.assignee.as_deref())?;
    c.like(input, "assigneeLike", |_, t| t.assignee.as_deref())?;
    c.one_of(input, "assigneeIn", |_, t| t.assignee.as_deref())?;
    c.none_of(input, "assigneeNotIn", |_, t| t.assignee.as_deref())?;
    c.text(input, "owner", |_, t| t.owner.as_deref())?;
    c.yes(input, "assigned", |_, t| t.assignee.is_some())?;
    c.yes(input, "unassigned", |_, t| t.assignee.is_none())?;
    c.yes(input, "withCandidateGroups", |_, t| !t.candidate_groups.is_empty())?;
    c.yes(input, "withoutCandidateGroups", |_, t| t.candidate_groups.is_empty())?;
    c.yes(input, "withCandidateUsers", |_, t| !t.candidate_users.is_empty())?;
    c.yes(input, "withoutCandidateUsers", |_, t| t.candidate_users.is_empty())?;
    // Asked for by candidates, tasks that somebody has taken are left out, unless they are asked for too.
    let taken = input.yes("includeAssignedTasks")?;
    if let Some(group) = input.text("candidateGroup")? {
        c.test(move |_, t| (taken || t.assignee.is_none()) && t.candidate_groups.contains(&group));
    }
    if let Some(groups) = input.filled_list("candidateGroups")? {
        c.test(move |_, t| (taken || t.assignee.is_none()) && t.candidate_groups.iter().any(|g| groups.contains(g)));
    }
    if let Some(user) = input.text("candidateUser")? {
        c.test(move |_, t| (taken || t.assignee.is_none()) && t.candidate_users.contains(&user));
    }
    if let Some(user) = input.text("involvedUser")? {
        let is = |who: &Option<String>, user: &str| who.as_deref() == Some(user);
        c.test(move |_, t| is(&t.assignee, &user) || is(&t.owner, &user) || t.candidate_users.contains(&user));
    }
    Ok(())
}

fn times(input: &Input<'_>, c: &mut Of) -> Result<(), ApiError> {
    c.time(input, "dueDate", |_, t| t.due, |found, given| found == given)?;
    c.before(input, "dueBefore", |_, t| t.due)?;
    c.after(input, "dueAfter", |_, t| t.due)?;
    c.yes(input, "withoutDueDate", |_, t| t.due.is_none())?;
    c.time(input, "followUpDate", |_, t| t.follow_up, |found, given| found == given)?;
    c.before(input, "followUpBefore", |_, t| t.follow_up)?;
    c.after(input, "followUpAfter", |_, t| t.follow_up)?;
    if let Some(given) = input.date("followUpBeforeOrNotExistent")? {
        c.test(move |_, t| t.follow_up.is_none_or(|found| found < given));
    }
    c.time(input, "createdOn", |_, t| Some(t.created), |found, given| found == given)?;
    c.before(input, "createdBefore", |_, t| Some(t.created))?;
    c.after(input, "createdAfter", |_, t| Some(t.created))?;
    c.after(input, "updatedAfter", |_, t| t.last_updated.or(Some(t.created)))
}

/// Variables of the instance that a filter looks at: those of the outermost scope, or those of one task.
fn visible<'a>(stored: &'a StoredInstance, task: Option<&str>) -> Vec<(&'a str, &'a shared::process::value::TypedValue)> {
    let of = |v: &&shared::process::instance::Variable| match task {
        None => v.execution_id == stored.instance.id,
        Some(task) => v.task_id.as_deref() == Some(task),
    };
    stored.instance.variables.iter().filter(of).map(|v| (v.name.as_str(), &v.value)).collect()
}
