//! `/job`: lists and single reads (spec-batch-rest §2.3, §2.4). Jobs of batches come from rows, those of instances from
//! their documents.

use axum::Router;
use axum::extract::Path;
use axum::routing::{get, post, put};
use serde_json::Value;
use shared::id::{BATCH_JOB_DEFINITION, MONITOR_JOB_DEFINITION, SEED_JOB_DEFINITION};
use shared::job::WorkRef;
use shared::store::query::{InstanceQuery, JobQuery, JobSort, Order, Page};
use shared::store::views::JobView;

use super::job_command as command;
use crate::document;
use crate::dto::job::{self as dto, SORTS};
use crate::dto::trace;
use crate::error::{Answer, ApiError, count, ok, text};
use crate::extract::{Ask, Json};
use crate::input::Input;
use crate::paging;
use crate::scan;
use crate::state::ApiState;

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/job", get(list).post(post_list))
        .route("/job/count", get(count_jobs).post(post_count))
        .route("/job/retries", post(super::job_retries::by_batch))
        .route("/job/suspended", put(super::job_suspended::many))
        .route("/job/{id}", get(one).delete(command::delete))
        .route("/job/{id}/stacktrace", get(stacktrace))
        .route("/job/{id}/retries", put(command::set_retries))
        .route("/job/{id}/suspended", put(super::job_suspended::one))
        .route("/job/{id}/execute", post(command::execute))
        .route("/job/{id}/duedate", put(command::set_due))
        .route("/job/{id}/duedate/recalculate", post(command::recalculate))
        .route("/job/{id}/priority", put(command::set_priority))
}

async fn list(ask: Ask) -> Answer {
    answer_list(&ask, &ask.input()).await
}

async fn post_list(ask: Ask, body: Json) -> Answer {
    answer_list(&ask, &body.input()).await
}

async fn count_jobs(ask: Ask) -> Answer {
    answer_count(&ask, &ask.input()).await
}

async fn post_count(ask: Ask, body: Json) -> Answer {
    answer_count(&ask, &body.input()).await
}

async fn answer_list(ask: &Ask, input: &Input<'_>) -> Answer {
    let (query, sort, page) = (dto::query(input)?, paging::sorting(input, &SORTS)?, ask.page()?);
    let jobs = find(ask, &query, &sort, page).await?;
    ok(jobs.iter().map(dto::job).collect::<Value>())
}

async fn answer_count(ask: &Ask, input: &Input<'_>) -> Answer {
    let query = dto::query(input)?;
    let mut n = 0;
    if may_be_of_batch(&query) {
        n += ask.store().count_batch_jobs(&ask.caller, &query).await?;
    }
    if may_be_of_instance(&query) {
        let now = ask.state.clock.now();
        let narrowed = narrowed(&query);
        let counted = scan::each(ask, &narrowed, |stored| {
            let jobs = stored.instance.jobs.iter().map(|j| document::job(stored, j));
            n += jobs.filter(|j| dto::matches(j, &query, now)).count() as u64;
            Ok(())
        });
        counted.await?;
    }
    count(n)
}

/// Filters that jobs of batches never meet?
fn may_be_of_batch(q: &JobQuery) -> bool {
    let of_instance = [&q.execution_id, &q.process_definition_id, &q.process_definition_key, &q.activity_id, &q.failed_activity_id];
    q.process_instance_ids.is_none() && !q.timers && of_instance.iter().all(|f| f.is_none())
}

/// Filters that jobs of instances never meet?
fn may_be_of_instance(q: &JobQuery) -> bool {
    let batch_definition = |id: &String| shared::id::split(id).is_some_and(|(_, n)| is_batch_definition(n));
    q.batch_id.is_none() && !q.job_definition_id.as_ref().is_some_and(batch_definition)
}

pub(super) fn is_batch_definition(number: u32) -> bool {
    matches!(number, SEED_JOB_DEFINITION | MONITOR_JOB_DEFINITION | BATCH_JOB_DEFINITION)
}

/// What narrows the documents to be read.
fn narrowed(q: &JobQuery) -> InstanceQuery {
    let owners = q.ids.as_ref().map(|ids| ids.iter().map(|id| shared::id::base_of(id)).collect());
    InstanceQuery {
        ids: q.process_instance_ids.clone().or(owners),
        definition_id: q.process_definition_id.clone(),
        definition_key: q.process_definition_key.clone(),
        tenants: q.tenants.clone(),
        ..InstanceQuery::default()
    }
}

/// Jobs that match, ordered, by id when nothing else is asked for.
pub(super) async fn find(ask: &Ask, query: &JobQuery, sort: &[(JobSort, Order)], page: Page) -> Result<Vec<JobView>, ApiError> {
    let (of_batch, of_instance) = (may_be_of_batch(query), may_be_of_instance(query));
    if of_batch && !of_instance {
        return Ok(ask.store().batch_jobs(&ask.caller, query, sort, page).await?);
    }
    let now = ask.state.clock.now();
    let mut jobs = scan::collect(ask, &narrowed(query), |stored, found| {
        let jobs = stored.instance.jobs.iter().map(|j| document::job(stored, j));
        found.extend(jobs.filter(|j| dto::matches(j, query, now)));
    })
    .await?;
    if of_batch {
        let most = ask.state.limits.answer_rows as u64;
        let wanted = page.max.map_or(most + 1, |max| page.first.saturating_add(max).min(most + 1));
        jobs.extend(ask.store().batch_jobs(&ask.caller, query, sort, Page { first: 0, max: Some(wanted) }).await?);
        scan::bounded(jobs.len(), ask.state.limits.answer_rows)?;
    }
    jobs.sort_by(|a, b| a.id.cmp(&b.id));
    paging::sort_by(&mut jobs, sort, dto::sort_key);
    Ok(paging::slice(jobs, page))
}

/// Where a job is.
pub(super) enum Found {
    Batch(WorkRef, Box<JobView>),
    /// The instance's id, and the job.
    Instance(String, Box<JobView>),
}

impl Found {
    pub(super) fn view(&self) -> &JobView {
        match self {
            Self::Batch(_, view) | Self::Instance(_, view) => view,
        }
    }
}

/// The job with this id, if there is one for this caller.
pub(super) async fn locate(ask: &Ask, id: &str) -> Result<Option<Found>, ApiError> {
    let Some((base, number)) = shared::id::split(id) else { return Ok(None) };
    let work = WorkRef::new(base, number);
    if let Some(view) = ask.store().batch_job(&ask.caller, &work).await? {
        return Ok(Some(Found::Batch(work, Box::new(view))));
    }
    let Some(stored) = scan::owner(ask, id).await? else { return Ok(None) };
    let view = stored.instance.jobs.iter().find(|j| j.id == id).map(|j| document::job(&stored, j));
    Ok(view.map(|view| Found::Instance(stored.instance.id.clone(), Box::new(view))))
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    match locate(&ask, &id).await? {
        Some(found) => ok(dto::job(found.view())),
        None => Err(ApiError::not_found(format!("Job with id {id} does not exist"))),
    }
}

/// Always text/plain, whatever a client says it accepts (ecosystem rule 5).
async fn stacktrace(ask: Ask, Path(id): Path<String>) -> Answer {
    match locate(&ask, &id).await? {
        None => Err(ApiError::not_found(format!("No job found with id {id}: job is null"))),
        Some(Found::Batch(work, _)) => text(trace::show(ask.store().batch_job_stacktrace(&ask.caller, &work).await?.flatten())),
        Some(Found::Instance(..)) => {
            let stored = scan::owner(&ask, &id).await?;
            let job = stored.as_ref().and_then(|s| s.instance.jobs.iter().find(|j| j.id == id));
            text(trace::show(job.and_then(|j| j.exception_stacktrace.clone())))
        }
    }
}
