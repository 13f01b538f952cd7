//! `POST /external-task/retries-async` (spec-batch-rest §4.7). Negative retries are taken; the job then fails (FINDINGS 12).

use shared::batch::BatchConfiguration;

use super::external_task::selected;
use super::selection::submit_listed;
use crate::error::{Answer, ApiError};
use crate::extract::{Ask, Json};

pub(super) async fn set_retries(ask: Ask, body: Json) -> Answer {
    let input = body.input();
    let retries = input.int("retries")?.ok_or_else(|| ApiError::invalid("The number of retries cannot be null."))?;
    let ids = selected(&ask, &input).await?;
    submit_listed(&ask, BatchConfiguration::SetExternalTaskRetries { retries }, &ids).await
}
