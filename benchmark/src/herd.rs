//! Instances that are driven to and fro between two versions of their process, so that they are loaded only once.

use anyhow::Result;
use serde_json::{Value, json};
use shared::batch::BatchConfiguration;
use shared::migration::{MigrationPlan, Skip};
use shared::store::sql::SqlStore;
use shared::store::{Caller, EngineStore};

use crate::model;
use crate::rest::Rest;

/// Instances started in one call of the store.
const PAGE: u32 = 2_000;
/// Calls at once.
const AT_ONCE: usize = 2;

pub struct Herd {
    /// The two versions.
    definitions: [String; 2],
    plans: [Value; 2],
    /// Where it is: at the first or the second version.
    at: usize,
    pub size: u32,
    /// In order.
    pub ids: Vec<String>,
}

impl Herd {
    /// Deploys both versions. The instances come with [`Herd::load`].
    pub async fn deploy(rest: &Rest, key: &str) -> Result<Self> {
        let first = rest.deploy(key, &model::xml(key, 1)).await?;
        let second = rest.deploy(key, &model::xml(key, 2)).await?;
        let plans = [rest.plan(&first, &second).await?, rest.plan(&second, &first).await?];
        Ok(Self { definitions: [first, second], plans, at: 0, size: 0, ids: vec![] })
    }

    /// Starts instances through the store, many in a transaction: what the product itself writes.
    pub async fn load(&mut self, store: &SqlStore, size: u32) -> Result<()> {
        use futures::stream::{StreamExt, TryStreamExt};
        let (caller, definition) = (Caller::anonymous(), self.source().to_owned());
        let pages: Vec<u32> = (self.size..self.size + size).step_by(PAGE as usize).collect();
        let end = self.size + size;
        let started: Vec<Vec<String>> = futures::stream::iter(pages)
            .map(|from| {
                let new = (from..end.min(from + PAGE)).map(|n| model::instance(&definition, n)).collect();
                store.start_many(&caller, new)
            })
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        self.ids.extend(started.into_iter().flatten());
        self.ids.sort_unstable();
        self.size = end;
        Ok(())
    }

    pub fn source(&self) -> &str {
        &self.definitions[self.at]
    }

    pub fn target(&self) -> &str {
        &self.definitions[1 - self.at]
    }

    pub fn plan(&self) -> &Value {
        &self.plans[self.at]
    }

    /// It has been driven to the other version.
    pub fn moved(&mut self) {
        self.at = 1 - self.at;
    }

    /// The body of a migration of all of it, by query.
    pub fn by_query(&self) -> Value {
        json!({ "migrationPlan": self.plan(), "processInstanceQuery": { "processDefinitionId": self.source() } })
    }

    /// The same with these ids, as text: a body of a million is 38 MB.
    pub fn by_ids(&self, ids: &[String]) -> String {
        format!(r#"{{"migrationPlan":{},"processInstanceIds":{}}}"#, self.plan(), json!(ids))
    }

    /// The same as the store's configuration.
    pub fn configuration(&self) -> BatchConfiguration {
        let instruction = |activity: &str| shared::migration::MigrationInstruction {
            source_activity_id: Some(activity.to_owned()),
            target_activity_id: Some(activity.to_owned()),
            update_event_trigger: false,
        };
        let plan = MigrationPlan {
            source_definition_id: self.source().to_owned(),
            target_definition_id: self.target().to_owned(),
            instructions: vec![instruction("approve"), instruction("cancelled")],
            variables: None,
        };
        BatchConfiguration::Migration { plan, skip: Skip::default() }
    }

    /// Has all of it arrived?
    pub async fn check(&self, rest: &Rest) -> Result<()> {
        let there = rest.count(&format!("/process-instance/count?processDefinitionId={}", self.source())).await?;
        anyhow::ensure!(there == u64::from(self.size), "{there} of {} instances are where all should be", self.size);
        Ok(())
    }
}
