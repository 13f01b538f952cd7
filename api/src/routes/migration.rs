//! `/migration`: generate, validate, execute, executeAsync, each with the reference's order of checks
//! (spec-batch-rest §3.5, spec-migration §5).

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::routing::post;
use serde_json::{Value, json};
use shared::batch::{BatchConfiguration, NewBatch};
use shared::migration::{self, MigrationPlan, NotMigrated, Skip};
use shared::process::definition::ProcessDefinition;
use shared::queue::BatchEvent;
use shared::store::Items;
use shared::store::query::InstanceQuery;

use crate::dto::instance_query::{self, Texts};
use crate::dto::migration::{self as dto, GivenPlan};
use crate::dto::values;
use crate::error::{Answer, ApiError, done, ok};
use crate::extract::{Ask, Json, expect_json};
use crate::input::{Input, Object};
use crate::spool::{self, Ids};
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/migration/generate", post(generate))
        .route("/migration/validate", post(validate))
        .route("/migration/execute", post(execute))
        .route("/migration/executeAsync", post(execute_async))
}

/// A plan whose definitions are there.
struct Plan {
    source: Arc<ProcessDefinition>,
    target: Arc<ProcessDefinition>,
    plan: MigrationPlan,
}

/// Looks up the definitions: source null, source exists, target null, target exists, tenants (§3.5).
async fn resolve(ask: &Ask, given: GivenPlan) -> Result<Plan, ApiError> {
    let source = definition(ask, "Source", given.source).await?;
    let target = definition(ask, "Target", given.target).await?;
    if let (Some(a), Some(b)) = (&source.tenant_id, &target.tenant_id)
        && a != b
    {
        let message = format!("ENGINE-2309 Cannot migrate process instances between processes of different tenants ('{a}' != '{b}')");
        return Err(ApiError::engine("ProcessEngineException", message));
    }
    let plan = MigrationPlan {
        source_definition_id: source.id.clone(),
        target_definition_id: target.id.clone(),
        instructions: given.instructions,
        variables: given.variables,
    };
    Ok(Plan { source, target, plan })
}

async fn definition(ask: &Ask, which: &str, id: Option<String>) -> Result<Arc<ProcessDefinition>, ApiError> {
    let engine_code = |message: String| ApiError::invalid(message).with_code(Some(0));
    let id = id.ok_or_else(|| engine_code(format!("{which} process definition id is null")))?;
    let found = ask.store().model(&id).await?.filter(|d| ask.caller.sees(d.tenant_id.as_deref()));
    found.ok_or_else(|| engine_code(format!("ENGINE-23008 {which} process definition with id '{id}' does not exist")))
}

/// `instructions` in the request are ignored. A plan that comes out invalid (a forbidden variable, FINDINGS 2) is a 400
/// without a report.
async fn generate(ask: Ask, body: Json) -> Answer {
    let mut request = body.0;
    request.remove("instructions");
    let update = Input::body(&request).yes("updateEventTriggers")?;
    let Plan { source, target, plan } = resolve(&ask, dto::read(&request)?).await?;
    let invalid = |why: Box<migration::InvalidPlan>| ApiError::invalid(why.message()).with_code(Some(0));
    let plan = migration::generate(&source, &target, update, plan.variables).map_err(invalid)?;
    let given = Input::body(&request).object("variables")?;
    let variables = given.zip(plan.variables.as_ref()).map_or(Value::Null, |(given, read)| values::echo(given, read));
    ok(json!({
        "sourceProcessDefinitionId": plan.source_definition_id,
        "targetProcessDefinitionId": plan.target_definition_id,
        "instructions": plan.instructions.iter().map(dto::show_instruction).collect::<Vec<_>>(),
        "variables": variables,
    }))
}

/// What is wrong with a plan is a 200 with a report.
async fn validate(ask: Ask, body: Json) -> Answer {
    let Plan { source, target, plan } = resolve(&ask, dto::read(&body.0)?).await?;
    ok(dto::show_report(&migration::validate_plan(&plan, &source, &target)))
}

/// An execution, all checked but its ids.
struct Execution {
    plan: Plan,
    skip: Skip,
    ids: Option<Ids>,
    query: Option<InstanceQuery>,
}

async fn read_execution(ask: &Ask, request: Request) -> Result<Execution, ApiError> {
    expect_json(request.headers())?;
    let limits = ask.state.limits.clone();
    let spooled = spool::read(request.into_body(), limits.async_body_bytes, limits.body_bytes).await?;
    let input = Input::body(&spooled.rest);
    let skip = Skip { custom_listeners: input.yes("skipCustomListeners")?, io_mappings: input.yes("skipIoMappings")? };
    let plan: &Object = input.object("migrationPlan")?.ok_or_else(|| ApiError::invalid("migrationPlan is null"))?;
    let plan = resolve(ask, dto::read(plan)?).await?;
    let report = migration::validate_plan(&plan.plan, &plan.source, &plan.target);
    if !report.is_empty() {
        return Err(dto::invalid_plan(&plan.plan, &report));
    }
    let query = input.object("processInstanceQuery")?;
    let query = query.map(|q| instance_query::read(&Input::body(q), Texts::StayTexts)).transpose()?;
    Ok(Execution { plan, skip, ids: spooled.ids, query })
}

/// No ids at all; then nulls among them (§3.5).
async fn check_ids(ask: &Ask, ids: Option<&Ids>, query: Option<&InstanceQuery>) -> Result<(), ApiError> {
    let has_null = ids.is_some_and(|i| i.has_null);
    let mut any = has_null || ids.is_some_and(|i| i.count > 0);
    if let Some(query) = query.filter(|_| !any) {
        any = ask.store().count_instances(&ask.caller, query).await? > 0;
    }
    if !any {
        return Err(ApiError::bad_user("BadUserRequestException", "Process instance ids cannot empty: process instance ids is empty"));
    }
    if has_null {
        let message = "Process instance ids cannot be null: process instance ids contains null value";
        return Err(ApiError::bad_user("BadUserRequestException", message));
    }
    Ok(())
}

async fn execute(ask: Ask, request: Request) -> Answer {
    let Execution { plan, skip, ids, query } = read_execution(&ask, request).await?;
    check_ids(&ask, ids.as_ref(), query.as_ref()).await?;
    let most = ask.state.limits.sync_instances;
    let mut listed = vec![];
    if let Some(ids) = ids {
        if ids.count > most as u64 {
            let message = format!("{} instances are more than the {most} that one call migrates; use executeAsync", ids.count);
            return Err(ApiError::invalid(message));
        }
        for page in ids.pages() {
            listed.extend(page.map_err(|e| ApiError::engine("RestException", e.to_string()).with_code(None))?);
        }
    }
    match ask.store().migrate(&ask.caller, &listed, query.as_ref(), &plan.plan, skip).await? {
        Ok(due) => {
            ask.state.publish_instances(due);
            done()
        }
        Err((_, NotMigrated::Invalid(report))) => Err(dto::invalid_instance(&report)),
        Err((_, NotMigrated::Refused(refusal))) => Err(refusal.into()),
    }
}

async fn execute_async(ask: Ask, request: Request) -> Answer {
    let Execution { plan: Plan { source, plan, .. }, skip, ids, query } = read_execution(&ask, request).await?;
    check_ids(&ask, ids.as_ref(), query.as_ref()).await?;
    if let Some((name, _)) = plan.variables.iter().flatten().find(|(_, value)| value.transient) {
        let message = format!("ENGINE-13044 Setting transient variable '{name}' asynchronously is currently not supported.");
        return Err(ApiError::bad_user("BadUserRequestException", message));
    }
    if let Some(why) = plan.variables.iter().flatten().find_map(|(_, value)| value.without_serializer()) {
        return Err(ApiError::engine("ProcessEngineException", why));
    }
    let new = new_batch(&ask, BatchConfiguration::Migration { plan, skip }, source.tenant_id.clone(), Some(source.deployment_id.clone()));
    let nothing = || -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> { Box::new(std::iter::empty()) };
    let listed = || ids.as_ref().map_or_else(nothing, Ids::pages);
    submit(&ask, new, Items { listed: &listed, query: query.as_ref() }).await
}

/// A batch of these settings, with a new id.
pub(super) fn new_batch(
    ask: &Ask,
    configuration: BatchConfiguration,
    tenant_id: Option<String>,
    deployment_id: Option<String>,
) -> NewBatch {
    let limits = &ask.state.limits;
    let invocations_per_batch_job = limits.invocations_for(configuration.batch_type());
    NewBatch {
        id: shared::id::new_base(),
        configuration,
        batch_jobs_per_seed: limits.batch_jobs_per_seed,
        invocations_per_batch_job,
        tenant_id,
        deployment_id,
        retries: limits.retries,
    }
}

/// Writes the batch, answers with it, and tells the seeders.
pub(super) async fn submit(ask: &Ask, new: NewBatch, items: Items<'_>) -> Answer {
    let batch = ask.store().submit(&ask.caller, new, items).await?;
    ask.state.publisher.announce(BatchEvent::Created, &batch.id);
    ok(crate::dto::batch::batch(&batch))
}
