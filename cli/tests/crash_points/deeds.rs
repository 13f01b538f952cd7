//! What a caller does. One whose connection breaks does not know what came of its request: it looks, and asks again.

use std::time::Duration;

use serde_json::{Value, json};
use shared::testing::database::Raw;

use crate::support::{Http, until};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Migrate,
    Suspend,
    Delete,
    DeleteHistory,
    RetryJob,
    RetryAll,
    DeleteJob,
    ByHand,
    SuspendInstances,
    ManyJobs,
    FailingJob,
    Timer,
    FailingTimer,
    SetRetries,
    MoveJob,
    SuspendDefinition,
    PrioritiseDefinition,
    CompleteTask,
    MigrateNow,
    SuspendOne,
}

/// Jobs that one instance of [`MANY`] has at once: more than an exec-worker runs in a row.
pub const MANY_JOBS: u64 = 70;

const HEAD: &str = r#"<definitions xmlns="http://www.omg.org/spec/BPMN/20100524/MODEL" xmlns:camunda="http://camunda.org/schema/1.0/bpmn" targetNamespace="test">"#;

pub fn many() -> String {
    format!(
        r#"{HEAD}<process id="many" isExecutable="true" camunda:historyTimeToLive="P30D"><startEvent id="start"/>
        <sequenceFlow id="f1" sourceRef="start" targetRef="each"/><userTask id="each">
        <multiInstanceLoopCharacteristics isSequential="false" camunda:asyncBefore="true"><loopCardinality>{MANY_JOBS}</loopCardinality>
        </multiInstanceLoopCharacteristics></userTask><sequenceFlow id="f2" sourceRef="each" targetRef="end"/><endEvent id="end"/>
        </process></definitions>"#
    )
}

pub fn failing() -> String {
    format!(
        r#"{HEAD}<process id="failing" isExecutable="true" camunda:historyTimeToLive="P30D"><startEvent id="start"/>
        <sequenceFlow id="f1" sourceRef="start" targetRef="fails"/>
        <serviceTask id="fails" camunda:asyncBefore="true" camunda:expression="${{nobody.knows}}"/>
        <sequenceFlow id="f2" sourceRef="fails" targetRef="end"/><endEvent id="end"/></process></definitions>"#
    )
}

/// Started by its timer at once; what it comes to then decides whether that can be.
fn timed(key: &str, first: &str) -> String {
    format!(
        r#"{HEAD}<process id="{key}" isExecutable="true" camunda:historyTimeToLive="P30D">
        <startEvent id="start"><timerEventDefinition><timeDuration>PT0S</timeDuration></timerEventDefinition></startEvent>
        <sequenceFlow id="f1" sourceRef="start" targetRef="first"/>{first}
        <sequenceFlow id="f2" sourceRef="first" targetRef="end"/><endEvent id="end"/></process></definitions>"#
    )
}

pub struct Caller {
    pub http: Http,
    pub deed: Deed,
    pub ids: Vec<String>,
    pub v1: String,
    pub v2: String,
    pub database: String,
}

impl Caller {
    pub async fn act(&self) -> Result<(), String> {
        until("the API answers", || async { self.http.get("/engine").await.0 == 200 }).await;
        match self.deed {
            Deed::Migrate => {
                let batch = self.submitted("/migration/executeAsync", self.order()).await?;
                self.completed(&batch).await;
            }
            Deed::SuspendInstances => {
                let body = json!({"suspended": true, "processInstanceIds": self.ids});
                let batch = self.submitted("/process-instance/suspended-async", body).await?;
                self.completed(&batch).await;
            }
            Deed::ManyJobs => self.started("many", "/task/count?processDefinitionKey=many", MANY_JOBS).await?,
            Deed::FailingJob => self.started("failing", "/incident/count", 1).await?,
            Deed::SetRetries => self.set_retries().await?,
            Deed::Timer => {
                self.timer("timed", r#"<userTask id="first"/>"#).await;
                until("the timer started one", || async {
                    self.count("/process-instance/count?processDefinitionKey=timed").await == Some(1)
                        && self.count("/job/count?timers=true").await == Some(0)
                })
                .await;
            }
            Deed::FailingTimer => {
                self.timer("doomed", r#"<serviceTask id="first" camunda:expression="${nobody.knows}"/>"#).await;
                // No endpoint lists start timers.
                let mut raw = Raw::connect(&self.database).await;
                while !raw.texts("SELECT id FROM timer WHERE retries > 0").await.is_empty() {
                    pause().await;
                }
            }
            Deed::CompleteTask | Deed::MigrateNow | Deed::SuspendOne => self.at_once().await?,
            Deed::DeleteHistory => {
                let batch = self.submitted("/migration/executeAsync", self.order()).await?;
                self.completed(&batch).await;
                let path = format!("/history/batch/{batch}");
                self.asked(|| self.http.delete(&path)).await;
            }
            Deed::Suspend
            | Deed::Delete
            | Deed::RetryJob
            | Deed::RetryAll
            | Deed::DeleteJob
            | Deed::ByHand
            | Deed::MoveJob
            | Deed::SuspendDefinition
            | Deed::PrioritiseDefinition => self.verb().await?,
        }
        Ok(())
    }

    fn order(&self) -> Value {
        let mut order = crate::support::order(&self.v1, &self.v2, &["first", "second"]);
        order.as_object_mut().unwrap().remove("processInstanceQuery");
        order["processInstanceIds"] = json!(self.ids);
        order
    }

    /// The batch's id. Submitted once only: where the answer was lost, it is there or it is not.
    async fn submitted(&self, path: &str, order: Value) -> Result<String, String> {
        loop {
            // History too: it may be over by now.
            let (status, there) = self.http.get("/history/batch").await;
            if status == 200 {
                if let Some(batch) = there.as_array().and_then(|all| all.first()) {
                    return Ok(batch["id"].as_str().unwrap_or_default().to_owned());
                }
                let (status, answer) = self.http.post(path, order.clone()).await;
                if status != 200 && status != 0 {
                    return Err(format!("POST {path}: {status} {answer}"));
                }
            }
            pause().await;
        }
    }

    async fn completed(&self, batch: &str) {
        until("the batch is over", || async {
            self.http.get(&format!("/batch/{batch}")).await.0 == 404
                && self.http.get(&format!("/history/batch/{batch}")).await.1["endTime"].is_string()
        })
        .await;
    }

    async fn started(&self, key: &str, counts: &str, expected: u64) -> Result<(), String> {
        loop {
            match self.count(&format!("/process-instance/count?processDefinitionKey={key}")).await {
                Some(0) => drop(self.http.post(&format!("/process-definition/key/{key}/start"), json!({})).await),
                Some(1) => break,
                Some(more) => return Err(format!("{more} instances were started")),
                None => pause().await,
            }
        }
        until("its jobs are done", || async { self.count(counts).await == Some(expected) }).await;
        Ok(())
    }

    async fn timer(&self, key: &str, first: &str) {
        loop {
            match self.count(&format!("/process-definition/count?key={key}")).await {
                Some(0) => drop(self.http.try_deploy(&timed(key, first)).await),
                Some(_) => break,
                None => pause().await,
            }
        }
    }

    /// A failed job gets another retry, by a batch; it fails again.
    async fn set_retries(&self) -> Result<(), String> {
        self.started("failing", "/incident/count", 1).await?;
        let jobs = loop {
            let (status, jobs) = self.http.get("/job?processDefinitionKey=failing").await;
            if status == 200 {
                break jobs;
            }
            pause().await;
        };
        let order = json!({"retries": 1, "jobIds": [jobs[0]["id"]]});
        let batch = self.submitted("/job/retries", order).await?;
        self.completed(&batch).await;
        until("it has failed again", || async { self.count("/history/job-log/count?failureLog=true").await == Some(4) }).await;
        Ok(())
    }

    /// Changes that are over with their answer.
    async fn at_once(&self) -> Result<(), String> {
        let one = &self.ids[0];
        match self.deed {
            Deed::SuspendOne => {
                let path = format!("/process-instance/{one}/suspended");
                self.asked(|| async { self.http.put(&path, json!({"suspended": true})).await }).await;
            }
            Deed::MigrateNow => self.asked(|| async { self.http.post("/migration/execute", self.order()).await }).await,
            _ => {
                let task = loop {
                    let (status, tasks) = self.http.get(&format!("/task?processInstanceId={one}")).await;
                    if status == 200 {
                        break tasks[0]["id"].as_str().unwrap_or_default().to_owned();
                    }
                    pause().await;
                };
                self.asked(|| async { self.http.post(&format!("/task/{task}/complete"), json!({})).await }).await;
            }
        }
        Ok(())
    }

    async fn count(&self, path: &str) -> Option<u64> {
        self.http.get(path).await.1["count"].as_u64()
    }

    /// A verb on a batch that is seeded and waits; asked for until it is answered.
    async fn verb(&self) -> Result<(), String> {
        let id = self.submitted("/migration/executeAsync", self.order()).await?;
        let (batch, job) = loop {
            let (_, batch) = self.http.get(&format!("/batch/{id}")).await;
            let definition = batch["batchJobDefinitionId"].as_str().unwrap_or_default();
            let (_, jobs) = self.http.get(&format!("/job?jobDefinitionId={definition}&sortBy=jobId&sortOrder=asc")).await;
            if let Some(job) = jobs.as_array().filter(|_| !definition.is_empty()).and_then(|jobs| jobs.get(1)) {
                break (batch.clone(), job["id"].as_str().unwrap_or_default().to_owned());
            }
            pause().await;
        };
        let suspended = |suspended: bool| json!({ "suspended": suspended });
        let one = format!("/batch/{id}");
        match self.deed {
            Deed::Delete => self.asked(|| self.http.delete(&one)).await,
            Deed::RetryJob => {
                self.asked(|| async { self.http.put(&format!("/job/{job}/retries"), json!({"retries": 2})).await }).await;
            }
            Deed::RetryAll => {
                let path = format!("/job-definition/{}/retries", batch["batchJobDefinitionId"].as_str().unwrap_or_default());
                self.asked(|| async { self.http.put(&path, json!({"retries": 2})).await }).await;
            }
            Deed::MoveJob => {
                let path = format!("/job/{job}/duedate");
                self.asked(|| async { self.http.put(&path, json!({"duedate": "2020-01-01T00:00:00.000+0000"})).await }).await;
            }
            Deed::SuspendDefinition => {
                let path = format!("/job-definition/{}/suspended", batch["batchJobDefinitionId"].as_str().unwrap_or_default());
                for now in [true, false] {
                    self.asked(|| async { self.http.put(&path, json!({"suspended": now, "includeJobs": true})).await }).await;
                }
            }
            Deed::PrioritiseDefinition => {
                let path = format!("/job-definition/{}/jobPriority", batch["batchJobDefinitionId"].as_str().unwrap_or_default());
                self.asked(|| async { self.http.put(&path, json!({"priority": 7, "includeJobs": true})).await }).await;
            }
            Deed::DeleteJob => self.asked(|| async { self.http.delete(&format!("/job/{job}")).await }).await,
            Deed::ByHand => self.asked(|| async { self.http.post(&format!("/job/{job}/execute"), json!({})).await }).await,
            _ => {
                self.asked(|| async { self.http.put(&format!("{one}/suspended"), suspended(true)).await }).await;
                let (status, now) = self.http.get(&one).await;
                if status == 200 && now["suspended"] != json!(true) {
                    return Err(format!("its suspension was answered, and yet: {now}"));
                }
                self.asked(|| async { self.http.put(&format!("{one}/suspended"), suspended(false)).await }).await;
            }
        }
        self.completed(&id).await;
        Ok(())
    }

    /// Until somebody answers, whatever: what it was for may be over by now.
    async fn asked<F: Future<Output = (u16, Value)>>(&self, ask: impl Fn() -> F) {
        while ask().await.0 == 0 {
            pause().await;
        }
    }
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}
