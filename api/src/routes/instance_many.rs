//! Commands on many process instances at once (spec-batch-rest §4.4, §4.7).

use shared::store::query::{InstanceQuery, JobQuery, Page};

use super::job::find as find_jobs;
use super::job_retries::submit_retries;
use crate::dto::instance_query::{self, Texts};
use crate::error::{Answer, ApiError, done};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::spool::{IdWriter, disk};

/// Instances read at once.
const PAGE: u64 = 500;

/// Suspends or activates one, and wakes it. False: there is none.
pub(super) async fn suspend_one(ask: &Ask, id: &str, suspended: bool) -> Result<bool, ApiError> {
    let there = ask.store().set_instance_suspended(&ask.caller, id, suspended).await?;
    if there && !suspended {
        ask.state.publish_instances(vec![id.to_owned()]);
    }
    Ok(there)
}

/// Ids of the instances that match, at most as many as one answer's rows.
pub(super) async fn matching(ask: &Ask, query: &InstanceQuery) -> Result<Vec<String>, ApiError> {
    let mut ids: Vec<String> = vec![];
    loop {
        let page = Page { first: ids.len() as u64, max: Some(PAGE) };
        let found = ask.store().instances(&ask.caller, query, &[], page).await?;
        let last = (found.len() as u64) < PAGE;
        ids.extend(found.into_iter().map(|i| i.id));
        crate::scan::bounded(ids.len(), ask.state.limits.answer_rows)?;
        if last {
            return Ok(ids);
        }
    }
}

/// The union of the ids and the queries of a body, each id once.
pub(super) async fn selected(ask: &Ask, input: &Input<'_>, ids: &str) -> Result<Vec<String>, ApiError> {
    let mut all = input.filled_list(ids)?.unwrap_or_default();
    if let Some(query) = input.object("processInstanceQuery")? {
        all.extend(matching(ask, &instance_query::read(&Input::body(query), Texts::StayTexts)?).await?);
    }
    if let Some(query) = input.object("historicProcessInstanceQuery")? {
        all.extend(super::history::instance_ids(ask, query).await?);
    }
    let mut seen = std::collections::HashSet::new();
    all.retain(|id| seen.insert(id.clone()));
    Ok(all)
}

pub(super) async fn suspend(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let suspended = input.yes("suspended")?;
    let (definition, key) = (input.text("processDefinitionId")?, input.text("processDefinitionKey")?);
    let ids = match (definition, key) {
        (Some(_), Some(_)) => {
            let message =
                "Only one of processInstanceId, processDefinitionId or processDefinitionKey should be set to update the suspension state.";
            return Err(ApiError::invalid(message));
        }
        (None, None) => {
            let selectors = ["processInstanceIds", "processInstanceQuery", "historicProcessInstanceQuery"];
            let given = selectors.iter().any(|name| input.has_key(name));
            if !given {
                let message = "Either processDefinitionId or processDefinitionKey should be set to update the suspension state.";
                return Err(ApiError::invalid(message));
            }
            selected(&ask, &input, "processInstanceIds").await?
        }
        (definition_id, definition_key) => {
            let mut query = InstanceQuery { definition_id, definition_key, ..InstanceQuery::default() };
            query.tenants.tenant_id_in = input.text("processDefinitionTenantId")?.map(|t| vec![t]);
            query.definition_without_tenant = input.yes("processDefinitionWithoutTenantId")?;
            matching(&ask, &query).await?
        }
    };
    for id in ids {
        suspend_one(&ask, &id, suspended).await?;
    }
    done()
}

/// Sets retries of all jobs of the instances, by a batch. The ids are called `processInstances` here.
pub(super) async fn job_retries(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let retries = input.int("retries")?.ok_or_else(|| ApiError::invalid("retries is null"))?;
    if retries < 0 {
        return Err(ApiError::engine("ProcessEngineException", "Retries count is not greater than or equal to 0"));
    }
    let due = if input.has_key("dueDate") { Some(input.date("dueDate")?) } else { None };
    let instances = selected(&ask, &input, "processInstances").await?;
    if instances.is_empty() && !input.has_key("processInstanceQuery") && !input.has_key("historicProcessInstanceQuery") {
        let which = "processInstanceIds, processInstanceQuery, or historicProcessInstanceQuery";
        let message = format!("ENGINE-13051 You must specify at least one of or one of {which}.");
        return Err(ApiError::engine("ProcessEngineException", message));
    }
    let mut ids = IdWriter::new().map_err(|e| disk(&e))?;
    for page in instances.chunks(PAGE as usize) {
        let query = JobQuery { process_instance_ids: Some(page.to_vec()), ..JobQuery::default() };
        for job in find_jobs(&ask, &query, &[], Page::default()).await? {
            ids.push(&job.id).map_err(|e| disk(&e))?;
        }
    }
    submit_retries(&ask, &ids.finish().map_err(|e| disk(&e))?, retries, due).await
}
