//! `drover healthcheck`: is a process ready? For container health checks: exit status 0 or 1.

use std::time::Duration;

use anyhow::{Context as _, Result};

const TIMEOUT: Duration = Duration::from_secs(5);

#[derive(clap::Args, Clone, Debug)]
pub struct HealthcheckArgs {
    /// The address of its /readyz: ADMIN_ADDR of a worker, LISTEN_ADDR of an API
    #[arg(long, env = "HEALTHCHECK_URL", default_value = "http://127.0.0.1:8080/readyz")]
    pub url: String,
}

/// # Errors
/// When the process cannot be reached or is not ready; says which of its checks failed.
pub async fn run(args: &HealthcheckArgs) -> Result<()> {
    let url = &args.url;
    let client = reqwest::Client::builder().timeout(TIMEOUT).build().context("failed to make an HTTP client")?;
    let response = client.get(url).send().await.with_context(|| format!("{url} cannot be reached"))?;
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    anyhow::ensure!(status.is_success(), "{url} is not ready ({status}): {text}");
    println!("{url} is ready");
    Ok(())
}
