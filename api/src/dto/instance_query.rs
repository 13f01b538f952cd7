//! The query for process instances: `/process-instance` by URL or body, and every `processInstanceQuery`
//! (spec-batch-rest §4.1, §4.3).

use serde_json::Value;
use shared::process::value::TypedValue;
use shared::store::query::{InstanceQuery, InstanceSort, Operator, TenantFilter, VariableFilter};

use crate::dates;
use crate::error::ApiError;
use crate::input::{Input, Object, scalar};
use crate::paging;

/// Words to sort by.
const SORTS: [(&str, InstanceSort); 5] = [
    ("instanceId", InstanceSort::Id),
    ("definitionKey", InstanceSort::DefinitionKey),
    ("definitionId", InstanceSort::DefinitionId),
    ("tenantId", InstanceSort::TenantId),
    ("businessKey", InstanceSort::BusinessKey),
];

/// Is a text that reads as a date a date? Only at `/process-instance`, never within `orQueries` or `/migration/*`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Texts {
    MayBeDates,
    StayTexts,
}

/// Reads a query.
///
/// # Errors
/// What the reference refuses, in its words.
pub fn read(input: &Input<'_>, texts: Texts) -> Result<InstanceQuery, ApiError> {
    let sort = paging::sorting(input, &SORTS)?;
    let mut query = criteria(input, texts)?;
    query.sort = sort;
    for one in input.objects("orQueries")?.unwrap_or_default() {
        query.or_queries.push(criteria(&Input::body(one), Texts::StayTexts)?);
    }
    Ok(query)
}

fn criteria(input: &Input<'_>, texts: Texts) -> Result<InstanceQuery, ApiError> {
    let suspended = match (input.yes("suspended")?, input.yes("active")?) {
        (true, _) => Some(true),
        (false, true) => Some(false),
        (false, false) => None,
    };
    let query = InstanceQuery {
        ids: ids(input)?,
        root_instance: input.text("rootProcessInstanceId")?,
        super_instance: input.text("superProcessInstance")?,
        sub_instance: input.text("subProcessInstance")?,
        case: input.text("caseInstanceId")?.or(input.text("superCaseInstance")?).or(input.text("subCaseInstance")?),
        business_key: input.text("businessKey")?,
        business_key_like: input.text("businessKeyLike")?,
        definition_id: input.text("processDefinitionId")?,
        definition_key: input.text("processDefinitionKey")?,
        definition_key_in: input.filled_list("processDefinitionKeyIn")?,
        definition_key_not_in: input.filled_list("processDefinitionKeyNotIn")?,
        deployment_id: input.text("deploymentId")?,
        suspended,
        with_incident: input.yes("withIncident")?,
        incident_id: input.text("incidentId")?,
        incident_type: input.text("incidentType")?,
        incident_message: input.text("incidentMessage")?,
        incident_message_like: input.text("incidentMessageLike")?,
        tenants: tenants(input)?,
        definition_without_tenant: input.yes("processDefinitionWithoutTenantId")?,
        activity_id_in: input.filled_list("activityIdIn")?,
        root_only: input.yes("rootProcessInstances")?,
        leaf_only: input.yes("leafProcessInstances")?,
        variables: variables(input, "variables", texts)?,
        names_ignore_case: input.yes("variableNamesIgnoreCase")?,
        values_ignore_case: input.yes("variableValuesIgnoreCase")?,
        or_queries: vec![],
        sort: vec![],
    };
    let usage = |what: &str| ApiError::engine("ProcessEngineException", format!("Invalid query usage: cannot set both {what}"));
    if query.root_only && query.super_instance.is_some() {
        return Err(usage("rootProcessInstances and superProcessInstanceId"));
    }
    if query.leaf_only && query.sub_instance.is_some() {
        return Err(usage("leafProcessInstances and subProcessInstanceId"));
    }
    Ok(query)
}

fn ids(input: &Input<'_>) -> Result<Option<Vec<String>>, ApiError> {
    let ids = input.list("processInstanceIds")?;
    if ids.as_ref().is_some_and(Vec::is_empty) {
        return Err(ApiError::engine("ProcessEngineException", "Set of process instance ids is empty"));
    }
    Ok(ids)
}

/// Here `withoutTenantId` resets `tenantIdIn` (spec-batch-rest §4.1): it is applied later.
fn tenants(input: &Input<'_>) -> Result<TenantFilter, ApiError> {
    let mut tenants = input.tenants("")?;
    if tenants.without_tenant_id {
        tenants.tenant_id_in = None;
    }
    Ok(tenants)
}

/// `[{name, operator, value}]`, or `name_operator_value,…` in a URL.
///
/// # Errors
/// An unknown operator, or one that does not go with the value.
pub fn variables(input: &Input<'_>, name: &str, texts: Texts) -> Result<Vec<VariableFilter>, ApiError> {
    if input.is_body() {
        let entries = input.objects(name)?.unwrap_or_default();
        return entries.into_iter().map(|entry| one_of_body(entry, texts)).collect();
    }
    let Some(text) = input.text(name)?.filter(|t| !t.is_empty()) else { return Ok(vec![]) };
    let one = |part: &str| {
        let pieces: Vec<&str> = part.split('_').collect();
        let [key, operator, value] = pieces.as_slice() else {
            let why = "variable query parameter has to have format KEY_OPERATOR_VALUE.";
            return Err(input.cannot_set(name, &text, Some(why.to_owned())));
        };
        filter((*key).to_owned(), operator, &Value::String((*value).to_owned()), texts)
    };
    text.split(',').map(one).collect()
}

fn one_of_body(entry: &Object, texts: Texts) -> Result<VariableFilter, ApiError> {
    let input = Input::body(entry);
    let operator = input.text("operator")?.unwrap_or_else(|| "null".to_owned());
    let value = entry.get("value").cloned().unwrap_or_default();
    let known = operator_of(&operator).is_some();
    match input.text("name")? {
        None if known => Err(ApiError::bad_user("NotValidException", "name is null")),
        name => filter(name.unwrap_or_default(), &operator, &value, texts),
    }
}

fn operator_of(word: &str) -> Option<Operator> {
    Some(match word {
        "eq" => Operator::Equal,
        "neq" => Operator::NotEqual,
        "gt" => Operator::Greater,
        "gteq" => Operator::GreaterOrEqual,
        "lt" => Operator::Less,
        "lteq" => Operator::LessOrEqual,
        "like" => Operator::Like,
        _ => return None,
    })
}

fn filter(name: String, word: &str, value: &Value, texts: Texts) -> Result<VariableFilter, ApiError> {
    let operator = operator_of(word).ok_or_else(|| ApiError::invalid(format!("Invalid variable comparator specified: {word}")))?;
    let words = match operator {
        Operator::Greater => "greater than",
        Operator::GreaterOrEqual => "greater than or equal",
        Operator::Less => "less than",
        Operator::LessOrEqual => "less than or equal",
        _ => "",
    };
    if !words.is_empty() && (value.is_null() || value.is_boolean()) {
        let message = format!("Booleans and null cannot be used in '{words}' condition");
        return Err(ApiError::bad_user("NotValidException", message));
    }
    let value = if operator == Operator::Like {
        TypedValue::string(scalar(value).unwrap_or_else(|| "null".to_owned()))
    } else {
        typed(value, texts)
    };
    Ok(VariableFilter { name, operator, value })
}

fn typed(value: &Value, texts: Texts) -> TypedValue {
    match value {
        Value::Null => TypedValue::null(),
        Value::Bool(b) => TypedValue::boolean(*b),
        Value::Number(n) if n.is_f64() => TypedValue::new("Double", value.clone()),
        Value::Number(n) if n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()) => TypedValue::new("Integer", value.clone()),
        Value::Number(_) => TypedValue::new("Long", value.clone()),
        Value::String(text) => match dates::parse(text).filter(|_| texts == Texts::MayBeDates) {
            Some(at) => TypedValue::new("Date", Value::String(dates::format(at))),
            None => TypedValue::string(text.clone()),
        },
        other => TypedValue::string(other.to_string()),
    }
}
