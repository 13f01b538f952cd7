//! `/process-instance` (spec-batch-rest §4.1 to §4.4).

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post, put};
use serde_json::Value;
use shared::process::tree::activity_tree;
use shared::runner::Command;
use shared::store::query::{InstanceQuery, InstanceSort, Order, Page};

use super::{instance_batches, instance_many, modification, variables};
use crate::command::run;
use crate::dto::instance as dto;
use crate::dto::instance_query::{self, Texts};
use crate::error::{Answer, ApiError, count, done, ok};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/process-instance", get(list).post(post_list))
        .route("/process-instance/count", get(count_instances).post(post_count))
        .route("/process-instance/suspended", put(instance_many::suspend))
        .route("/process-instance/job-retries", post(instance_many::job_retries))
        .route("/process-instance/job-retries-historic-query-based", post(instance_many::job_retries))
        .route("/process-instance/delete", post(instance_batches::delete))
        .route("/process-instance/delete-historic-query-based", post(instance_batches::delete))
        .route("/process-instance/suspended-async", post(instance_batches::suspend))
        .route("/process-instance/variables-async", post(instance_batches::set_variables))
        .route("/process-instance/message-async", post(instance_batches::correlate))
        .route("/process-instance/{id}", get(one).delete(delete))
        .route("/process-instance/{id}/activity-instances", get(tree))
        .route("/process-instance/{id}/suspended", put(suspend))
        .route("/process-instance/{id}/modification", post(modification::of_instance))
        .route("/process-instance/{id}/modification-async", post(modification::of_instance_async))
        .merge(variables::routes("/process-instance/{id}/variables", variables::Kind::Instance))
}

async fn list(ask: Ask) -> Answer {
    answer_list(&ask, &ask.input()).await
}

async fn post_list(ask: Ask, body: Json) -> Answer {
    answer_list(&ask, &body.input()).await
}

async fn answer_list(ask: &Ask, input: &Input<'_>) -> Answer {
    let mut query = instance_query::read(input, Texts::MayBeDates)?;
    let sort: Vec<(InstanceSort, Order)> = std::mem::take(&mut query.sort);
    let found = ask.store().instances(&ask.caller, &query, &sort, ask.page()?).await?;
    ok(found.iter().map(dto::show).collect::<Value>())
}

async fn count_instances(ask: Ask) -> Answer {
    let query = instance_query::read(&ask.input(), Texts::MayBeDates)?;
    count(ask.store().count_instances(&ask.caller, &query).await?)
}

async fn post_count(ask: Ask, body: Json) -> Answer {
    let query = instance_query::read(&body.input(), Texts::MayBeDates)?;
    count(ask.store().count_instances(&ask.caller, &query).await?)
}

fn unknown(id: &str) -> ApiError {
    ApiError::not_found(format!("Process instance with id {id} does not exist"))
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    let query = InstanceQuery { ids: Some(vec![id.clone()]), ..InstanceQuery::default() };
    let found = ask.store().instances(&ask.caller, &query, &[], Page { first: 0, max: Some(1) }).await?;
    found.first().map_or_else(|| Err(unknown(&id)), |instance| ok(dto::show(instance)))
}

async fn tree(ask: Ask, Path(id): Path<String>) -> Answer {
    let stored = ask.store().instance(&ask.caller, &id).await?.ok_or_else(|| unknown(&id))?;
    let definition = ask.store().model(&stored.instance.definition_id).await?.ok_or_else(|| unknown(&id))?;
    ok(dto::tree(&stored.instance, &activity_tree(&stored.instance, &definition)))
}

async fn delete(ask: Ask, Path(id): Path<String>) -> Answer {
    let input = ask.input();
    let must_exist = input.flag("failIfNotExists")?.unwrap_or(true);
    let command = Command::Delete {
        reason: None,
        skip_custom_listeners: input.yes("skipCustomListeners")?,
        skip_io_mappings: input.yes("skipIoMappings")?,
    };
    if run(&ask, &id, command).await?.is_none() && must_exist {
        let message = format!("No process instance found for id '{id}': processInstance is null");
        return Err(ApiError::not_found(message).with_code(Some(0)));
    }
    done()
}

/// What is not there is no error.
async fn suspend(ask: Ask, Path(id): Path<String>, body: Json) -> Answer {
    instance_many::suspend_one(&ask, &id, body.input().yes("suspended")?).await?;
    done()
}
