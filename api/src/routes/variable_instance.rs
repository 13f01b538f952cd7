//! `/variable-instance`: the variables of running instances, each with its scope.

use axum::Router;
use axum::extract::Path;
use axum::routing::get;
use serde_json::{Value, json};
use shared::process::instance::Variable;
use shared::process::tree::variable_scope;
use shared::store::predicate::{like, value_matches};
use shared::store::query::{InstanceQuery, VariableFilter};
use shared::store::views::StoredInstance;

use crate::dto::instance_query::{Texts, variables};
use crate::dto::values;
use crate::error::{Answer, ApiError, count, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::scan;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/variable-instance", get(list).post(post_list))
        .route("/variable-instance/count", get(count_variables).post(post_count))
        .route("/variable-instance/{id}", get(one))
}

fn show(stored: &StoredInstance, v: &Variable, scope: Option<&str>) -> Value {
    let mut body = values::show(&v.value);
    if v.value.kind == "Bytes" {
        body["value"] = Value::Null;
    }
    let rest = json!({
        "id": v.id,
        "name": v.name,
        "processDefinitionId": v.definition_id,
        "processInstanceId": stored.instance.id,
        "executionId": v.execution_id,
        "caseInstanceId": null,
        "caseExecutionId": null,
        "taskId": v.task_id,
        "batchId": null,
        "activityInstanceId": scope,
        "errorMessage": null,
        "tenantId": stored.instance.tenant_id,
    });
    if let (Some(body), Value::Object(rest)) = (body.as_object_mut(), rest) {
        body.extend(rest);
    }
    body
}

struct Query {
    narrowed: InstanceQuery,
    name: Option<String>,
    name_like: Option<String>,
    executions: Option<Vec<String>>,
    tasks: Option<Vec<String>>,
    scopes: Option<Vec<String>>,
    values: Vec<VariableFilter>,
    nothing: bool,
}

fn query(input: &Input<'_>) -> Result<Query, ApiError> {
    let of_cases = ["caseInstanceIdIn", "caseExecutionIdIn", "batchIdIn"];
    let nothing = of_cases.iter().try_fold(false, |any, name| Ok::<_, ApiError>(any || input.filled_list(name)?.is_some()))?;
    let scopes = match input.filled_list("activityInstanceIdIn")? {
        Some(scopes) => Some(scopes),
        None => input.filled_list("variableScopeIdIn")?,
    };
    Ok(Query {
        narrowed: InstanceQuery { ids: input.filled_list("processInstanceIdIn")?, tenants: input.tenants("")?, ..InstanceQuery::default() },
        name: input.text("variableName")?,
        name_like: input.text("variableNameLike")?,
        executions: input.filled_list("executionIdIn")?,
        tasks: input.filled_list("taskIdIn")?,
        scopes,
        values: variables(input, "variableValues", Texts::MayBeDates)?,
        nothing,
    })
}

impl Query {
    fn takes(&self, v: &Variable, scope: Option<&str>) -> bool {
        let one_of = |wanted: &Option<Vec<String>>, found: Option<&str>| {
            wanted.as_ref().is_none_or(|w| found.is_some_and(|f| w.iter().any(|w| w == f)))
        };
        let value = |f: &VariableFilter| f.name == v.name && value_matches(&v.value, f.operator, &f.value, false);
        self.name.as_ref().is_none_or(|n| *n == v.name)
            && self.name_like.as_ref().is_none_or(|p| like(&v.name, p))
            && one_of(&self.executions, Some(&v.execution_id))
            && one_of(&self.tasks, v.task_id.as_deref())
            && one_of(&self.scopes, scope)
            && self.values.iter().all(value)
            && !self.nothing
    }
}

async fn find(ask: &Ask, query: &Query) -> Result<Vec<Value>, ApiError> {
    let (mut found, mut after) = (vec![], None);
    while let Some(page) = scan::page(ask, &query.narrowed, &mut after).await? {
        for stored in page {
            let Some(model) = ask.store().model(&stored.instance.definition_id).await? else { continue };
            for v in &stored.instance.variables {
                let scope = variable_scope(&stored.instance, &model, v);
                if query.takes(v, scope.as_deref()) {
                    found.push(show(&stored, v, scope.as_deref()));
                }
            }
        }
        scan::bounded(found.len(), ask.state.limits.answer_rows)?;
    }
    Ok(found)
}

const SORTS: [(&str, &str); 4] =
    [("variableName", "name"), ("variableType", "type"), ("activityInstanceId", "activityInstanceId"), ("tenantId", "tenantId")];

async fn answer_list(ask: &Ask, input: &Input<'_>) -> Answer {
    let (query, sort, page) = (query(input)?, paging::sorting(input, &SORTS)?, ask.page()?);
    let mut found = find(ask, &query).await?;
    paging::sort_by(&mut found, &sort, |row, key| row[key].as_str().map(str::to_owned));
    ok(paging::slice(found, page).into())
}

async fn list(ask: Ask) -> Answer {
    answer_list(&ask, &ask.input()).await
}

async fn post_list(ask: Ask, body: Json) -> Answer {
    answer_list(&ask, &body.input()).await
}

async fn count_variables(ask: Ask) -> Answer {
    count(find(&ask, &query(&ask.input())?).await?.len() as u64)
}

async fn post_count(ask: Ask, body: Json) -> Answer {
    count(find(&ask, &query(&body.input())?).await?.len() as u64)
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    let none = || ApiError::not_found(format!("Variable instance with Id '{id}' does not exist."));
    let stored = scan::owner(&ask, &id).await?.ok_or_else(none)?;
    let model = ask.store().model(&stored.instance.definition_id).await?.ok_or_else(none)?;
    let variable = stored.instance.variables.iter().find(|v| v.id == id).ok_or_else(none)?;
    ok(show(&stored, variable, variable_scope(&stored.instance, &model, variable).as_deref()))
}
