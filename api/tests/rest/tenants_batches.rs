//! Batches over listed ids, one of each type: ids of another tenant's things do to them, and tell of them, as much as ids of nothing.

use serde_json::{Value, json};

use crate::support::{Client, TestApp};
use crate::tenants_waiting::WAITING;

/// What may be listed.
struct Listed {
    /// Of an instance that runs, and of one that is over.
    instance: String,
    over: String,
    external: String,
    job: String,
    /// A batch, and its failed job.
    batch: String,
    batch_job: String,
}

impl Listed {
    /// As many ids that nothing has.
    fn of_nothing(&self) -> Self {
        let other = |id: &String| {
            let flipped = if id.as_bytes()[27] == b'0' { "1" } else { "0" };
            format!("{}{flipped}{}", &id[..27], &id[28..])
        };
        Self {
            instance: other(&self.instance),
            over: other(&self.over),
            external: other(&self.external),
            job: other(&self.job),
            batch: other(&self.batch),
            batch_job: other(&self.batch_job),
        }
    }

    /// The text without these ids, nor what belongs to the request itself.
    fn without_ids(&self, text: &str) -> String {
        let ids = [&self.instance, &self.over, &self.external, &self.job, &self.batch, &self.batch_job];
        ids.iter().fold(text.to_owned(), |text, id| text.replace(id.as_str(), "<id>"))
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

async fn start(c: &Client, definition: &str) -> String {
    let variables = json!({"variables": {"secret": {"value": "hidden"}}});
    text(&c.call(&format!("POST /process-definition/{definition}/start"), variables).await.json()["id"])
}

fn migration(definition: &str, ids: &[&String]) -> Value {
    let instructions: Vec<Value> = ["user", "outside", "message", "signal"]
        .iter()
        .map(|a| json!({"sourceActivityIds": [a], "targetActivityIds": [a], "updateEventTrigger": false}))
        .collect();
    json!({"processInstanceIds": ids, "migrationPlan": {"sourceProcessDefinitionId": definition, "targetProcessDefinitionId": definition,
        "instructions": instructions, "variables": {"migrated": {"value": 1}}}})
}

async fn things(c: &Client, definition: &str) -> Listed {
    let (instance, over) = (start(c, definition).await, start(c, definition).await);
    assert_eq!(c.call(&format!("DELETE /process-instance/{over}"), Value::Null).await.status, 204);
    let of = format!("processInstanceId={instance}");
    let nobody = shared::id::new_base();
    let batch = c.call("POST /migration/executeAsync", migration(definition, &[&nobody])).await.json();
    let (batch, jobs) = (text(&batch["id"]), text(&batch["batchJobDefinitionId"]));
    c.until(&format!("/batch/statistics?batchId={batch}"), |reply| reply.json()[0]["failedJobs"] == 1).await;
    Listed {
        external: text(&c.get(&format!("/external-task?{of}")).await.json()[0]["id"]),
        job: text(&c.get(&format!("/job?{of}")).await.json()[0]["id"]),
        batch_job: text(&c.get(&format!("/job?jobDefinitionId={jobs}")).await.json()[0]["id"]),
        instance,
        over,
        batch,
    }
}

/// One request: what, its body, and whether it changes something when it is the owner's.
struct Case(String, Value, bool);

fn cases(listed: &Listed, definition: &str) -> Vec<Case> {
    let Listed { instance, over, external, job, batch, batch_job } = listed;
    let begin = json!([{"type": "startBeforeActivity", "activityId": "user"}]);
    let case = |what: &str, body: Value| Case(format!("POST {what}"), body, true);
    let without_effect = |what: &str, body: Value| Case(format!("POST {what}"), body, false);
    let restart = format!("/process-definition/{definition}/restart-async");
    let never = json!("2100-01-01T00:00:00.000+0000");
    vec![
        case("/migration/executeAsync", migration(definition, &[instance])),
        without_effect("/migration/executeAsync", migration(definition, &[over])),
        case(
            "/modification/executeAsync",
            json!({"processDefinitionId": definition, "instructions": begin, "processInstanceIds": [instance]}),
        ),
        case(&format!("/process-instance/{instance}/modification-async"), json!({"instructions": begin})),
        case(&restart, json!({"instructions": begin, "processInstanceIds": [over]})),
        without_effect(&restart, json!({"instructions": begin, "processInstanceIds": [instance]})),
        case("/process-instance/suspended-async", json!({"suspended": true, "processInstanceIds": [instance]})),
        case("/process-instance/variables-async", json!({"variables": {"x": {"value": 1}}, "processInstanceIds": [instance]})),
        case("/process-instance/message-async", json!({"messageName": "paid", "processInstanceIds": [instance]})),
        case("/process-instance/job-retries", json!({"retries": 7, "processInstances": [instance]})),
        case("/process-instance/job-retries-historic-query-based", json!({"retries": 7, "processInstances": [instance]})),
        case("/job/retries", json!({"retries": 7, "jobIds": [job]})),
        case("/job/retries", json!({"retries": 0, "jobIds": [job], "dueDate": null})),
        case("/job/retries", json!({"retries": 7, "jobIds": [batch_job], "dueDate": never})),
        case("/external-task/retries-async", json!({"retries": 7, "externalTaskIds": [external]})),
        case("/external-task/retries-async", json!({"retries": 7, "processInstanceIds": [instance]})),
        case("/history/process-instance/delete", json!({"historicProcessInstanceIds": [over]})),
        without_effect("/history/process-instance/delete", json!({"historicProcessInstanceIds": [instance]})),
        case("/history/process-instance/set-removal-time", json!({"historicProcessInstanceIds": [over], "absoluteRemovalTime": never})),
        case("/history/batch/set-removal-time", json!({"historicBatchIds": [batch], "absoluteRemovalTime": never})),
        case("/process-instance/delete", json!({"processInstanceIds": [instance]})),
        case("/process-instance/delete-historic-query-based", json!({"processInstanceIds": [instance]})),
    ]
}

/// The requests of these tests, with ids that stand for any.
pub fn walked() -> Vec<String> {
    let any = || "any".to_owned();
    let listed = Listed { instance: any(), over: any(), external: any(), job: any(), batch: any(), batch_job: any() };
    cases(&listed, "any").into_iter().map(|Case(what, ..)| what).collect()
}

/// All that its owner sees of these.
async fn seen(c: &Client, listed: &Listed) -> Vec<String> {
    let mut all = vec![];
    for path in [
        "/process-instance",
        "/task",
        "/external-task",
        "/variable-instance",
        "/event-subscription",
        "/history/process-instance",
        "/history/variable-instance",
    ] {
        let mut rows: Vec<String> = c.get(path).await.json().as_array().unwrap().iter().map(Value::to_string).collect();
        rows.sort();
        all.push(format!("{path}: {rows:?}"));
    }
    for path in [format!("/history/batch/{}", listed.batch), format!("/job/{}", listed.job), format!("/job/{}", listed.batch_job)] {
        all.push(c.get(&path).await.text);
    }
    all
}

/// What the caller is told of it: at once, and by the batch when its jobs have run.
async fn told(c: &Client, Case(what, body, _): &Case) -> Vec<String> {
    let reply = c.call(what, body.clone()).await;
    if reply.status != 200 {
        return vec![format!("{} {}", reply.status, reply.text)];
    }
    let batch = reply.json();
    let id = text(&batch["id"]);
    c.until(&format!("/batch/statistics?batchId={id}"), |reply| {
        let found = reply.json();
        found == json!([]) || (found[0]["remainingJobs"] == found[0]["failedJobs"] && found[0]["jobsCreated"] == found[0]["totalJobs"])
    })
    .await;
    let mut all = vec![format!("{} jobs", batch["totalJobs"])];
    let jobs = c.get(&format!("/job?jobDefinitionId={}", text(&batch["batchJobDefinitionId"]))).await.json();
    for job in jobs.as_array().unwrap() {
        all.push(format!("{} {} {}", job["retries"], job["exceptionMessage"], job["deploymentId"]));
        all.push(c.get(&format!("/job/{}/stacktrace", text(&job["id"]))).await.text);
    }
    let log = c.get(&format!("/history/job-log?jobDefinitionConfiguration={id}&successLog=false")).await.json();
    let mut rows: Vec<String> = log
        .as_array()
        .unwrap()
        .iter()
        // Whether it has run already is a matter of time.
        .filter(|row| row["jobDefinitionType"] != "batch-monitor-job")
        .map(|row| {
            format!("{} {} {} {}", row["jobDefinitionType"], row["deploymentId"], row["processInstanceId"], row["jobExceptionMessage"])
        })
        .collect();
    rows.sort();
    all.extend(rows);
    all
}

#[tokio::test]
async fn ids_of_another_s_things_are_as_good_as_ids_of_nothing() {
    let app = TestApp::new().await;
    let (one, two) = (app.of("ann", &["one"]), app.of("bob", &["two"]));
    let theirs = one.deploy(WAITING, Some("one")).await;
    let definitions = [two.deploy(WAITING, Some("two")).await, app.client().deploy(WAITING, None).await];
    let listed = things(&one, &theirs).await;
    let nothing = listed.of_nothing();
    let before = seen(&one, &listed).await;
    let mut leaks = vec![];
    for definition in &definitions {
        for (of_theirs, of_nothing) in cases(&listed, definition).iter().zip(&cases(&nothing, definition)) {
            let (a, b) = (told(&two, of_theirs).await, told(&two, of_nothing).await);
            let plain = |told: Vec<String>, listed: &Listed| told.iter().map(|line| listed.without_ids(line)).collect::<Vec<_>>();
            let (a, b) = (plain(a, &listed), plain(b, &nothing));
            if a != b {
                leaks.push(format!("{} {} tells {a:#?}, of nothing {b:#?}", of_theirs.0, of_theirs.1));
            }
            if seen(&one, &listed).await != before {
                panic!("{} {} changed another's; before that: {leaks:#?}", of_theirs.0, of_theirs.1);
            }
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}

/// So that the test above is about something.
#[tokio::test]
async fn the_same_batches_do_what_they_say_for_the_owner() {
    let app = TestApp::new().await;
    let one = app.of("ann", &["one"]);
    let definition = one.deploy(WAITING, Some("one")).await;
    let count = cases(&things(&one, &definition).await, &definition).len();
    for n in 0..count {
        let listed = things(&one, &definition).await;
        let case = cases(&listed, &definition).remove(n);
        let before = seen(&one, &listed).await;
        let told = told(&one, &case).await;
        let Case(what, body, effect) = case;
        assert_eq!(seen(&one, &listed).await != before, effect, "{what} {body}: {told:#?}");
    }
}
