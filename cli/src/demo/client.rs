//! A small client of the server's own interface.

use anyhow::{Context as _, Result};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;
use shared::config::Login;

pub struct Client {
    http: reqwest::Client,
    root: String,
    login: Option<Login>,
}

impl Client {
    /// `login`: for a server whose users must log in.
    pub fn new(url: &str, login: Option<Login>) -> Self {
        Self { http: reqwest::Client::new(), root: format!("{url}/engine-rest"), login }
    }

    pub async fn get(&self, path: &str) -> Result<Value> {
        answer(path, self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        answer(path, self.request(Method::POST, path).json(body)).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.root));
        match &self.login {
            None => request,
            Some(Login::Password { user, password }) => request.basic_auth(user, Some(password.expose())),
            Some(Login::Token(token)) => request.bearer_auth(token.expose()),
        }
    }

    /// Deploys one BPMN file; gives the id of its process definition.
    pub async fn deploy(&self, name: &str, xml: &str) -> Result<String> {
        let file = Part::text(xml.to_owned()).file_name(name.to_owned());
        let form = Form::new().text("deployment-name", "demo").part("data", file);
        let deployed = answer("/deployment/create", self.request(Method::POST, "/deployment/create").multipart(form)).await?;
        let definitions = deployed["deployedProcessDefinitions"].as_object().context("nothing was deployed")?;
        definitions.keys().next().cloned().context("nothing was deployed")
    }
}

async fn answer(path: &str, request: RequestBuilder) -> Result<Value> {
    let response = request.send().await.with_context(|| format!("failed to reach {path}"))?;
    let status = response.status();
    let text = response.text().await.with_context(|| format!("failed to read the answer of {path}"))?;
    anyhow::ensure!(
        status != StatusCode::UNAUTHORIZED,
        "{path} asks for a login: set DROVER_USER and DROVER_PASSWORD (or DROVER_PASSWORD_FILE), or DROVER_TOKEN (or DROVER_TOKEN_FILE)"
    );
    anyhow::ensure!(status.is_success(), "{path} answered {status}: {text}");
    if text.is_empty() { Ok(Value::Null) } else { serde_json::from_str(&text).with_context(|| format!("{path} answered no JSON: {text}")) }
}
