//! A fleet under pressure: a thousand callers at once, a small batch among giants, a body of a million ids, a million failed
//! jobs retried in one call, a blocked broker, full disks. Each with a bound on time and memory.

#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests: a failure is a panic")]

mod support;

use std::fmt::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use serde_json::{Value, json};
use shared::store::query::InstanceQuery;
use shared::store::sql::StoreOptions;
use shared::store::{Caller, Store};
use support::fleet::{Fleet, all_migrated_exactly_once, each_of, in_the_middle, start_herd};
use support::{Http, TWO_TASKS, order, until};
use tokio::sync::Mutex;

/// One at a time: each of them wants the whole machine, and measures.
static ALONE: Mutex<()> = Mutex::const_new(());
const ACTIVITIES: [&str; 2] = ["first", "second"];
/// What a worker may ever hold, whatever the batch: the same bound at ten instances and at a million.
const WORKER_MB: u64 = 150;

struct Ground {
    fleet: Fleet,
    http: Http,
    store: Arc<dyn Store>,
    database: String,
}

impl Ground {
    async fn of(fleet: Fleet) -> Self {
        let status = fleet.status();
        let database = status["postgres"]["url"].as_str().unwrap().to_owned();
        let store = shared::store::sql::open(&database, StoreOptions::default()).await.unwrap();
        Self { http: Http::new(status["url"].as_str().unwrap()), store, database, fleet }
    }

    /// The most that processes of a role have held, in MB.
    fn peak_mb(&self, role: &str) -> u64 {
        self.fleet.pids(role).into_iter().map(peak_mb).max().unwrap()
    }

    fn workers_stayed_small(&self) {
        for role in ["seed-worker", "exec-worker", "monitor-worker"] {
            let peak = self.peak_mb(role);
            println!("{role}: at most {peak} MB");
            assert!(peak <= WORKER_MB, "{role} held {peak} MB");
        }
    }

    /// Runs SQL as its owner would by hand; gives the first column of each row.
    fn sql(&self, sql: &str) -> Vec<String> {
        let output = Command::new("psql").args([&self.database, "-qAt", "-v", "ON_ERROR_STOP=1", "-c", sql]).output().unwrap();
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
    }

    /// Messages that wait, over all queues.
    fn messages(&self) -> u64 {
        let listed = self.fleet.run(&["broker", "ctl", "list_queues", "-s", "messages"]);
        listed.lines().filter_map(|n| n.trim().parse::<u64>().ok()).sum()
    }
}

fn peak_mb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn by_ids(source: &str, target: &str, ids: &[String]) -> Value {
    let mut body = order(source, target, &ACTIVITIES);
    body.as_object_mut().unwrap().remove("processInstanceQuery");
    body["processInstanceIds"] = json!(ids);
    body
}

async fn ids_of(store: &dyn Store, definition: &str) -> Vec<String> {
    let mut ids = vec![];
    each_of(store, definition, |stored| ids.push(stored.instance.id.clone())).await;
    ids
}

/// Two giants, then a thousand batches of 1 to 20 instances from a thousand callers at once, over a pool of four connections; and in
/// the middle of all that a batch of ten, which must be over within [`SMALL_BATCH`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_at_once_and_a_small_batch_among_giants() {
    const GIANT: usize = 20_000;
    const CALLERS: usize = 1_000;
    const SMALL_BATCH: Duration = Duration::from_secs(20);
    let _alone = ALONE.lock().await;
    let ground = Ground::of(Fleet::up(2, &[("DATABASE_CONNECTIONS", "4")])).await;
    let (http, store) = (&ground.http, &*ground.store);
    let definitions: Vec<String> = futures::stream::iter(0..5).then(|_| http.deploy(TWO_TASKS)).collect().await;
    let [giant_a, giant_b, many, small, target] = &definitions[..] else { unreachable!() };
    let sizes: Vec<usize> = (0..CALLERS).map(|n| n % 20 + 1).collect();
    let all = 2 * GIANT + sizes.iter().sum::<usize>() + 10;
    start_herd(store, giant_a, GIANT).await;
    start_herd(store, giant_b, GIANT).await;
    start_herd(store, many, all - 2 * GIANT - 10).await;
    start_herd(store, small, 10).await;
    let born = store.documents(&Caller::anonymous(), &InstanceQuery::default(), None, 1).await.unwrap()[0].revision;

    let giants = [http.migrate_all(giant_a, target, &ACTIVITIES).await, http.migrate_all(giant_b, target, &ACTIVITIES).await];
    let mut ids = ids_of(store, many).await;
    let bodies: Vec<Value> = sizes.iter().map(|size| by_ids(many, target, &ids.split_off(ids.len() - size))).collect();
    let calls = bodies.into_iter().map(|body| async move {
        let begun = Instant::now();
        (http.post("/migration/executeAsync", body).await, begun.elapsed())
    });
    let answers: Vec<_> = futures::future::join_all(calls).await;
    let slowest = answers.iter().map(|(_, took)| *took).max().unwrap();
    println!("{CALLERS} submissions at once: the slowest was answered after {slowest:?}");
    for ((status, body), _) in &answers {
        assert_eq!(*status, 200, "{body}");
    }
    let begun = Instant::now();
    let batch = http.migrate_all(small, target, &ACTIVITIES).await;
    let still = http.get(&format!("/batch/{}", giants[1]["id"].as_str().unwrap())).await.0;
    http.until_completed(&batch).await;
    let took = begun.elapsed();
    println!(
        "a batch of 10 among {} others: {took:?}; the second giant was {}",
        CALLERS + 2,
        if still == 200 { "at work" } else { "done" }
    );
    assert!(took <= SMALL_BATCH, "{took:?}");
    until("all batches complete", || async { http.count("/batch/count").await == 0 }).await;
    all_migrated_exactly_once(store, target, born + 1, all).await;
    assert_eq!(http.count("/history/batch/count?completed=true").await, CALLERS as u64 + 3);
    ground.workers_stayed_small();
}

/// 38 MB of ids go through the API in bounded memory; a million failed jobs are retried by one call; and a batch of a million is
/// deleted while it runs. Nobody has these instances: their jobs fail.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_ids_in_a_body_and_a_million_failed_jobs_retried_in_one_call() {
    const MILLION: usize = 1_000_000;
    const API_GROWS_MB: u64 = 150;
    /// What may be outstanding at once, and with it what may wait in queues: the window and a chunk.
    const WINDOW: u64 = 110_000;
    let _alone = ALONE.lock().await;
    let ground = Ground::of(Fleet::up(2, &[("INVOCATIONS_PER_BATCH_JOB", "1")])).await;
    let http = &ground.http;
    let (v1, v2) = (http.deploy(TWO_TASKS).await, http.deploy(TWO_TASKS).await);
    let before = ground.peak_mb("api");
    let mut body = by_ids(&v1, &v2, &[]).to_string();
    let at = body.find("\"processInstanceIds\":[").unwrap() + "\"processInstanceIds\":[".len();
    let mut ids = String::with_capacity(MILLION * 39);
    for n in 0..MILLION {
        write!(ids, "{}\"0192f0c0-{:04x}-7000-8000-{:08x}0000\"", if n == 0 { "" } else { "," }, n % 65_536, n).unwrap();
    }
    body.insert_str(at, &ids);
    drop(ids);
    println!("a body of {} MB", body.len() / 1_000_000);
    let begun = Instant::now();
    let (status, batch) = http.post_text("/migration/executeAsync", body).await;
    assert_eq!((status, &batch["size"], &batch["totalJobs"]), (200, &json!(MILLION), &json!(MILLION)), "{batch}");
    let grown = ground.peak_mb("api") - before;
    println!("accepted after {:?}; the API grew by {grown} MB", begun.elapsed());
    assert!(grown <= API_GROWS_MB, "the API grew by {grown} MB");

    // All jobs as they stand when each has failed for good; that they come to stand so is tested elsewhere.
    let id = batch["id"].as_str().unwrap();
    assert_eq!(http.put(&format!("/batch/{id}/suspended"), json!({"suspended": true})).await.0, 204);
    ground.sql(&format!(
        "WITH gone AS (DELETE FROM chunk WHERE batch = '{id}'), run AS (DELETE FROM run WHERE batch = '{id}'), job AS (DELETE FROM job WHERE batch = '{id}'), \
              failures AS (DELETE FROM failure WHERE batch = '{id}') SELECT 1"
    ));
    ground.sql(&format!(
        "INSERT INTO job (batch, number, items, ids, created, retries, suspended, message, incident_id, incident_message, incident_time)
         SELECT '{id}', n + 2, 1, '[\"0192f0c0-' || lpad(to_hex(n % 65536), 4, '0') || '-7000-8000-' || lpad(to_hex(n), 8, '0') || '0000\"]',
                0, 0, TRUE, 'of old', 'incident-' || n, 'of old', 0 FROM generate_series(0, {MILLION} - 1) n; ANALYZE job"
    ));
    let statistics = format!("/batch/statistics?batchId={id}");
    assert_eq!(http.ok(&statistics).await[0]["failedJobs"], json!(MILLION));
    let begun = Instant::now();
    let definition = batch["batchJobDefinitionId"].as_str().unwrap();
    let (status, answer) = http.put(&format!("/job-definition/{definition}/retries"), json!({"retries": 1})).await;
    println!("{MILLION} failed jobs retried in one call: {:?}", begun.elapsed());
    assert_eq!(status, 204, "{answer}");
    assert_eq!(http.ok(&statistics).await[0]["failedJobs"], json!(0));
    assert_eq!(http.put(&format!("/batch/{id}/suspended"), json!({"suspended": false})).await.0, 204);
    let mut deepest = 0;
    while http.ok(&statistics).await[0]["failedJobs"].as_u64().unwrap() < 5_000 {
        deepest = deepest.max(ground.messages());
    }
    println!("while they ran at most {deepest} messages waited");
    assert!(deepest <= WINDOW, "{deepest} messages");

    let begun = Instant::now();
    let (status, answer) = http.delete(&format!("/batch/{id}?cascade=true")).await;
    println!("a batch of {MILLION} deleted while it ran: {:?}", begun.elapsed());
    assert_eq!(status, 204, "{answer}");
    for table in ["chunk", "run", "job", "failure"] {
        assert_eq!(ground.sql(&format!("SELECT count(*) FROM {table} WHERE batch = '{id}'")), ["0"], "{table}");
    }
    until("what was in the queues has found nothing", || std::future::ready(ground.messages() == 0)).await;
    ground.workers_stayed_small();
    let grown = ground.peak_mb("api") - before;
    assert!(grown <= API_GROWS_MB, "the API grew by {grown} MB");
}

/// A broker that takes no messages, because its memory or its disk is short, holds up no submission; once it takes some again,
/// what was submitted begins by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_broker_holds_up_no_submission() {
    const HERD: usize = 500;
    const AT_ONCE: Duration = Duration::from_secs(2);
    let _alone = ALONE.lock().await;
    let ground = Ground::of(Fleet::up(1, &[])).await;
    let http = &ground.http;
    let definitions: Vec<String> = futures::stream::iter(0..3).then(|_| http.deploy(TWO_TASKS)).collect().await;
    start_herd(&*ground.store, &definitions[0], HERD).await;
    let alarms = [
        (["set_vm_memory_high_watermark", "absolute", "1"], ["set_vm_memory_high_watermark", "absolute", "1000000000"]),
        (["set_disk_free_limit", "mem_relative", "1000"], ["set_disk_free_limit", "mem_relative", "0.001"]),
    ];
    for (n, (block, lift)) in alarms.iter().enumerate() {
        let ctl = |arguments: &[&str]| ground.fleet.run(&[&["broker", "ctl"], arguments].concat());
        ctl(block);
        until("the alarm is raised", || std::future::ready(ctl(&["eval", "rabbit_alarm:get_alarms()."]).contains("resource_limit"))).await;
        let begun = Instant::now();
        let batch = http.migrate_all(&definitions[n], &definitions[n + 1], &ACTIVITIES).await;
        let took = begun.elapsed();
        assert!(took < AT_ONCE, "a submission took {took:?} while the broker was blocked");
        assert_eq!(http.get("/../readyz").await.0 / 100, 2, "the API stays in service");
        ctl(lift);
        let begun = Instant::now();
        http.until_completed(&batch).await;
        println!("{}: accepted after {took:?}, done {:?} after the broker took messages again", block[0], begun.elapsed());
        assert_eq!(http.count(&format!("/process-instance/count?processDefinitionId={}", definitions[n + 1])).await, HERD as u64);
    }
}

/// A file system of its own for a folder, with an end. Needs root.
struct SmallDisk(std::path::PathBuf);

impl SmallDisk {
    fn mount(at: &Path, mb: u32) -> Self {
        std::fs::create_dir_all(at).unwrap();
        let options = format!("size={mb}m,mode=0755");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(at).status().unwrap();
        assert!(mounted.success(), "mount of a tmpfs at {}", at.display());
        Self(at.to_path_buf())
    }

    /// Leaves about so many MB free; none: not a byte, whoever writes meanwhile.
    fn fill_up_to(&self, left: u64) {
        let output = Command::new("df").args(["--output=avail", "-m"]).arg(&self.0).output().unwrap();
        let free: u64 = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap();
        let mut fill = Command::new("dd");
        fill.args(["if=/dev/zero", "bs=64k", "status=none"]).arg(format!("of={}", self.0.join("filler").display()));
        if left > 0 {
            fill.arg(format!("count={}", free.saturating_sub(left) * 16));
        }
        assert_eq!(fill.stderr(Stdio::null()).status().unwrap().success(), left > 0, "dd ends when the disk is full, not before");
    }

    fn clear(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        // What lies around the place where it was could not be removed before.
        for folder in self.0.ancestors().take(3) {
            let _ = std::fs::remove_dir(folder);
        }
    }
}

/// The database's disk fills up in the middle of a batch, and the broker's too: callers get an error and leave nothing half done;
/// when there is room again everything finishes, each instance once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disks_leave_nothing_half_done() {
    const HERD: usize = 20_000;
    const SMALL: usize = 10;
    const MOST_SMALL_BATCHES: usize = 2_000;
    let _alone = ALONE.lock().await;
    if !Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n") {
        eprintln!("NOT RUN: only root can give the servers disks that fill up; run ./test as root for this one");
        return;
    }
    let folder = tempfile::Builder::new().prefix("drover-disk-test").tempdir_in("/var/tmp").unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let database = SmallDisk::mount(&folder.path().join("fleet/pg"), 700);
    let broker = SmallDisk::mount(&folder.path().join("fleet/rabbit"), 400);
    let ground = Ground::of(Fleet::up_in(folder, 2, &[])).await;
    let (http, store) = (&ground.http, &*ground.store);
    let definitions: Vec<String> = futures::stream::iter(0..4).then(|_| http.deploy(TWO_TASKS)).collect().await;
    let [v1, v2, w1, w2] = &definitions[..] else { unreachable!() };
    start_herd(store, v1, HERD).await;
    start_herd(store, w1, SMALL).await;
    let born = store.documents(&Caller::anonymous(), &InstanceQuery::default(), None, 1).await.unwrap()[0].revision;
    let small = ids_of(store, w1).await;

    let giant = http.migrate_all(v1, v2, &ACTIVITIES).await;
    in_the_middle(http, &giant, HERD).await;
    broker.fill_up_to(20);
    database.fill_up_to(0);
    // Callers go on meanwhile, there and back again, until one of them is refused.
    let (mut accepted, mut refused) = (0, None);
    for n in 0..MOST_SMALL_BATCHES {
        let (from, to) = if n % 2 == 0 { (w1, w2) } else { (w2, w1) };
        let (status, body) = http.post("/migration/executeAsync", by_ids(from, to, &small)).await;
        if status != 200 {
            refused = Some((status, body));
            break;
        }
        accepted += 1;
    }
    let (status, body) = refused.expect("the disk is full, and yet all is accepted");
    println!("on a full disk, after {accepted} small batches: {status} {body}");
    assert!(status == 500 || status == 503, "{status} {body}");
    database.clear();
    broker.clear();
    ground.fleet.run(&["up", "--exec-workers", "2"]);
    until("the API answers again", || async { http.get("/batch/count").await.0 == 200 }).await;
    http.until_completed(&giant).await;
    // A batch of the small ones may hold instances that the one before it had not moved yet: their jobs have failed for good.
    until("nothing is left to do", || async {
        let all = http.ok("/batch/statistics").await;
        all.as_array().unwrap().iter().all(|b| b["remainingJobs"] == b["failedJobs"])
    })
    .await;
    assert_eq!(http.count("/history/batch/count").await, accepted + 1, "what was answered with a batch is there, and nothing else");
    all_migrated_exactly_once(store, v2, born + 1, HERD).await;
}
