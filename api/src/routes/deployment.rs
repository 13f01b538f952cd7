//! `/deployment` (spec-batch-rest §4.5).

use axum::Router;
use axum::extract::{FromRequest, Multipart, Path, Request};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use serde_json::{Value, json};
use shared::process::parse::{ParseReport, Problem, parse};
use shared::store::query::{DeploymentQuery, Page};
use shared::store::views::DeploymentView;
use shared::store::{NewDeployment, NewResource};

use crate::dto::definition as dto;
use crate::error::{Answer, ApiError, count, done, ok};
use crate::extract::{Ask, too_large};
use crate::paging;
use crate::state::ApiState;

/// Parts of one upload.
const MAX_PARTS: usize = 1_000;
/// Names of files that are BPMN.
const BPMN: [&str; 2] = [".bpmn", ".bpmn20.xml"];

pub(super) fn routes() -> Router<ApiState> {
    Router::new()
        .route("/deployment", get(list))
        .route("/deployment/count", get(count_deployments))
        .route("/deployment/create", post(create))
        .route("/deployment/{id}", get(one).delete(delete))
        .route("/deployment/{id}/resources", get(resources))
        .route("/deployment/{id}/resources/{resource}/data", get(data))
}

async fn create(ask: Ask, request: Request) -> Answer {
    let most = ask.state.limits.upload_bytes;
    let upload = Multipart::from_request(request, &()).await;
    let upload = upload.map_err(|_| ApiError::web(StatusCode::UNSUPPORTED_MEDIA_TYPE, "NotSupportedException"))?;
    let deployment = read_upload(upload, most).await?;
    let deployment = tokio::task::spawn_blocking(move || parsed(deployment)).await;
    let deployment = deployment.map_err(|e| ApiError::engine("RestException", e.to_string()).with_code(None))??;
    let deployed = ask.store().deploy(&ask.caller, deployment).await?;
    ok(dto::deployed(&ask.base, &deployed.deployment, &deployed.definitions))
}

/// The parts: reserved names are settings, all others are files.
async fn read_upload(mut upload: Multipart, most: usize) -> Result<NewDeployment, ApiError> {
    let mut deployment =
        NewDeployment { name: None, source: None, tenant_id: None, duplicate_filtering: false, changed_only: false, resources: vec![] };
    let (mut left, mut parts) = (most, 0);
    let broken = |e: axum::extract::multipart::MultipartError| ApiError::invalid(format!("The upload cannot be read: {}", e.body_text()));
    while let Some(mut field) = upload.next_field().await.map_err(broken)? {
        parts += 1;
        if parts > MAX_PARTS {
            return Err(ApiError::invalid(format!("The upload has more than {MAX_PARTS} parts")));
        }
        let (name, file) = (field.name().unwrap_or_default().to_owned(), field.file_name().map(str::to_owned));
        let mut bytes = vec![];
        while let Some(chunk) = field.chunk().await.map_err(broken)? {
            left = left.checked_sub(chunk.len()).ok_or_else(|| too_large(most as u64))?;
            bytes.extend_from_slice(&chunk);
        }
        let text = || Some(String::from_utf8_lossy(&bytes).trim().to_owned()).filter(|t| !t.is_empty());
        let yes = || text().is_some_and(|t| t.eq_ignore_ascii_case("true"));
        match name.as_str() {
            "deployment-name" => deployment.name = text(),
            "deployment-source" => deployment.source = text(),
            "tenant-id" => deployment.tenant_id = text(),
            "enable-duplicate-filtering" => deployment.duplicate_filtering = yes(),
            "deploy-changed-only" => deployment.changed_only = yes(),
            "deployment-activation-time" => {}
            _ => {
                let nameless = "No file name found in the deployment resource described by form parameter 'null'.";
                let name = file.filter(|f| !f.is_empty()).ok_or_else(|| ApiError::invalid(nameless))?;
                deployment.resources.push(NewResource { name, bytes, definitions: vec![] });
            }
        }
    }
    if deployment.resources.is_empty() {
        return Err(ApiError::invalid("No deployment resources contained in the form upload."));
    }
    Ok(deployment)
}

/// Reads the processes of all BPMN files; what is wrong in one refuses the deployment.
fn parsed(mut deployment: NewDeployment) -> Result<NewDeployment, ApiError> {
    for resource in &mut deployment.resources {
        if BPMN.iter().any(|end| resource.name.ends_with(end)) {
            let text = String::from_utf8_lossy(&resource.bytes);
            let text = text.trim_start_matches('\u{feff}');
            resource.definitions = parse(text).map_err(|report| refused(&resource.name, &report))?;
        }
    }
    Ok(deployment)
}

/// The 400 with every error's place. 7.24.0 spells a key with a Cyrillic е, Operaton does not: both are there (FINDINGS 10).
fn refused(resource: &str, report: &ParseReport) -> ApiError {
    let problem = |p: &Problem| {
        json!({"message": p.message, "line": p.line, "column": p.column, "mainElementId": p.main_element_id,
            "elementIds": p.element_ids, "\u{435}lementIds": p.element_ids})
    };
    let list = |problems: &[Problem]| problems.iter().map(problem).collect::<Vec<_>>();
    let details = json!({resource: {"errors": list(&report.errors), "warnings": list(&report.warnings)}});
    ApiError::bad_user("ParseException", report.message(resource)).with("details", details)
}

async fn list(ask: Ask) -> Answer {
    let mut query = dto::deployment_query(&ask.input())?;
    query.sort = paging::sorting(&ask.input(), &dto::DEPLOYMENT_SORTS)?.first().copied();
    let found = ask.store().deployments(&ask.caller, &query, ask.page()?).await?;
    ok(found.iter().map(|d| listed(&ask, d)).collect::<Value>())
}

/// Links are given by `create` only.
fn listed(ask: &Ask, deployment: &DeploymentView) -> Value {
    let mut body = dto::deployment(&ask.base, deployment);
    body["links"] = json!([]);
    body
}

async fn count_deployments(ask: Ask) -> Answer {
    count(ask.store().count_deployments(&ask.caller, &dto::deployment_query(&ask.input())?).await?)
}

async fn one(ask: Ask, Path(id): Path<String>) -> Answer {
    match find(&ask, &id).await? {
        Some(deployment) => ok(listed(&ask, &deployment)),
        None => Err(ApiError::not_found(format!("Deployment with id '{id}' does not exist"))),
    }
}

async fn find(ask: &Ask, id: &str) -> Result<Option<DeploymentView>, ApiError> {
    let query = DeploymentQuery { id: Some(id.to_owned()), ..DeploymentQuery::default() };
    Ok(ask.store().deployments(&ask.caller, &query, Page { first: 0, max: Some(1) }).await?.into_iter().next())
}

async fn delete(ask: Ask, Path(id): Path<String>) -> Answer {
    let cascade = ask.params.get("cascade").is_some_and(|c| c.eq_ignore_ascii_case("true"));
    if ask.store().delete_deployment(&ask.caller, &id, cascade).await? {
        return done();
    }
    Err(ApiError::not_found(format!("Deployment with id '{id}' do not exist")))
}

async fn resources(ask: Ask, Path(id): Path<String>) -> Answer {
    if find(&ask, &id).await?.is_none() {
        return Err(ApiError::not_found(format!("Deployment resources for deployment id '{id}' do not exist.")));
    }
    let found = ask.store().resources(&ask.caller, &id).await?;
    ok(found.iter().map(dto::resource).collect::<Value>())
}

async fn data(ask: Ask, Path((id, resource)): Path<(String, String)>) -> Answer {
    match ask.store().resource(&ask.caller, &id, &resource).await? {
        Some((_, bytes)) => Ok(([(header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response()),
        None => {
            let message = format!("Deployment resource '{resource}' for deployment id '{id}' does not exist.");
            Err(ApiError::not_found(message))
        }
    }
}
