//! A client of the API: what a caller of Camunda's would send.

use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

const TIMEOUT: Duration = Duration::from_secs(320);

#[derive(Clone)]
pub struct Rest {
    http: reqwest::Client,
    root: String,
}

impl Rest {
    pub fn new(url: &str) -> Result<Self> {
        Ok(Self { http: reqwest::Client::builder().timeout(TIMEOUT).build()?, root: format!("{url}/engine-rest") })
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        answer(path, self.http.get(format!("{}{path}", self.root))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        answer(path, self.http.post(format!("{}{path}", self.root)).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Result<Value> {
        answer(path, self.http.delete(format!("{}{path}", self.root))).await
    }

    /// A body that is spelled already.
    pub async fn post_text(&self, path: &str, body: String) -> Result<Value> {
        let request = self.http.post(format!("{}{path}", self.root)).header("content-type", "application/json").body(body);
        answer(path, request).await
    }

    /// Deploys one file; gives the id of its process definition.
    pub async fn deploy(&self, name: &str, xml: &str) -> Result<String> {
        let file = Part::text(xml.to_owned()).file_name(format!("{name}.bpmn"));
        let form = Form::new().text("deployment-name", name.to_owned()).part("data", file);
        let deployed = answer("/deployment/create", self.http.post(format!("{}/deployment/create", self.root)).multipart(form)).await?;
        let definitions = deployed["deployedProcessDefinitions"].as_object().context("nothing was deployed")?;
        definitions.keys().next().cloned().context("nothing was deployed")
    }

    /// The generated plan.
    pub async fn plan(&self, source: &str, target: &str) -> Result<Value> {
        self.post("/migration/generate", &json!({ "sourceProcessDefinitionId": source, "targetProcessDefinitionId": target })).await
    }

    pub async fn count(&self, path: &str) -> Result<u64> {
        self.get(path).await?["count"].as_u64().with_context(|| format!("{path} gave no count"))
    }

    pub async fn is_finished(&self, batch: &str) -> Result<bool> {
        Ok(self.get(&format!("/history/batch/{batch}")).await?["endTime"].is_string())
    }
}

async fn answer(path: &str, request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await.with_context(|| format!("failed to reach {path}"))?;
    let status = response.status();
    let text = response.text().await.with_context(|| format!("failed to read the answer of {path}"))?;
    anyhow::ensure!(status.is_success(), "{path} answered {status}: {text}");
    if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).with_context(|| format!("{path} answered no JSON: {text}")) }
}

/// The text of the admin server's metrics.
pub async fn metrics(admin: &str) -> Result<String> {
    Ok(reqwest::get(format!("{admin}/metrics")).await?.text().await?)
}

/// The sum of a counter over its labels, of those lines that hold `label`.
pub fn counter(text: &str, name: &str, label: &str) -> f64 {
    let lines = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}
