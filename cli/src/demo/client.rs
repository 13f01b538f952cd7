//! A small client of the server's own interface.

use anyhow::{Context as _, Result};
use reqwest::multipart::{Form, Part};
use serde_json::Value;

pub struct Client {
    http: reqwest::Client,
    root: String,
}

impl Client {
    pub fn new(url: &str) -> Self {
        Self { http: reqwest::Client::new(), root: format!("{url}/engine-rest") }
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        answer(path, self.http.get(format!("{}{path}", self.root))).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        answer(path, self.http.post(format!("{}{path}", self.root)).json(body)).await
    }

    /// Deploys one BPMN file; gives the id of its process definition.
    pub async fn deploy(&self, name: &str, xml: &str) -> Result<String> {
        let file = Part::text(xml.to_owned()).file_name(name.to_owned());
        let form = Form::new().text("deployment-name", "demo").part("data", file);
        let deployed = answer("/deployment/create", self.http.post(format!("{}/deployment/create", self.root)).multipart(form)).await?;
        let definitions = deployed["deployedProcessDefinitions"].as_object().context("nothing was deployed")?;
        definitions.keys().next().cloned().context("nothing was deployed")
    }
}

async fn answer(path: &str, request: reqwest::RequestBuilder) -> Result<Value> {
    let response = request.send().await.with_context(|| format!("failed to reach {path}"))?;
    let status = response.status();
    let text = response.text().await.with_context(|| format!("failed to read the answer of {path}"))?;
    anyhow::ensure!(status.is_success(), "{path} answered {status}: {text}");
    if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).with_context(|| format!("{path} answered no JSON: {text}")) }
}
