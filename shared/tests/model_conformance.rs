//! The model store of the simulator does what the SQL stores do: the same verbs, drawn from a seed and called one after the
//! other, are answered alike and leave the same counts. What others do between two statements is the simulator's own part.

#![expect(clippy::unwrap_used, reason = "tests: a failure is a panic")]

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use shared::clock::{Clock, ManualClock, Millis};
use shared::id::BATCH_JOB_DEFINITION;
use shared::job::{Failure, WorkRef};
use shared::store::query::{BatchQuery, Page};
use shared::store::{BatchStore, Caller, Executed, Items, Lease, Mode, Portion, SeedRoom, Store, SuspendScope, WakeLimits};
use shared::testing::database::TestDatabase;
use shared::testing::figures::show;
use shared::testing::model_store::{ModelStore, Semantics, Setup};
use shared::testing::schedule::Rng;
use shared::testing::store_suite::{Bench, Herder, instance, new_batch};

const BEGIN: Millis = 1_700_000_000_000;
const VERBS: usize = 60;

/// One call, with all that both stores need to make the same of it.
#[derive(Clone, Debug)]
enum Verb {
    Seed(SeedRoom),
    Execute { works: Vec<u32>, jobs: Option<u32>, mode: How, failing: Vec<usize> },
    Lease { work: u32, token: u32 },
    FailFront(u32),
    Wake,
    Complete,
    Look,
    Suspend(bool),
    SuspendJob(u32, bool),
    SuspendDefinition(u32, bool, SuspendScope),
    Retries { work: u32, retries: i32, due: Option<Option<Millis>> },
    RetryAll { retries: i32, due: Option<Option<Millis>> },
    Due(u32, Option<Millis>),
    Priority(u32),
    DeleteJob(u32),
    Delete,
    Pass(Millis),
}

#[derive(Clone, Debug)]
enum How {
    Normal,
    Careful(u32),
    ByHand,
}

/// Never near the time of another: the database's clock goes on by itself.
fn due(rng: &mut Rng) -> Option<Millis> {
    rng.chance(500).then(|| 10_000 * rng.below(12) as Millis - 5_000)
}

fn drawn(rng: &mut Rng, jobs: u32, instances: usize) -> Verb {
    let work = |rng: &mut Rng| 2 + rng.below(jobs as usize + 1) as u32;
    let any = |rng: &mut Rng| rng.below(jobs as usize + 3) as u32;
    match rng.below(100) {
        0..14 => Verb::Seed(*rng.pick(&[SeedRoom::Window, SeedRoom::OneChunk])),
        14..36 => {
            let mode = match rng.below(10) {
                0..6 => How::Normal,
                6..8 => How::Careful(rng.below(3) as u32),
                _ => How::ByHand,
            };
            let most = if matches!(mode, How::Normal) { 6 } else { 1 };
            let works = (0..rng.between(1, most)).map(|_| work(rng)).collect();
            let failing = if rng.chance(400) { (0..instances).filter(|_| rng.chance(300)).collect() } else { vec![] };
            Verb::Execute { works, jobs: rng.chance(300).then_some(1), mode, failing }
        }
        36..46 => Verb::Lease { work: work(rng), token: rng.below(3) as u32 },
        46..49 => Verb::FailFront(work(rng)),
        49..56 => Verb::Wake,
        56..60 => Verb::Complete,
        60..64 => Verb::Look,
        64..68 => Verb::Suspend(rng.chance(300)),
        68..71 => Verb::SuspendJob(any(rng), rng.chance(400)),
        71..73 => {
            let scope = *rng.pick(&[SuspendScope::DefinitionOnly, SuspendScope::DefinitionAndJobs]);
            Verb::SuspendDefinition(BATCH_JOB_DEFINITION - rng.below(3) as u32, rng.chance(300), scope)
        }
        73..79 => {
            let due = rng.chance(400).then(|| due(rng));
            Verb::Retries { work: any(rng), retries: rng.below(3) as i32, due }
        }
        79..83 => {
            let due = rng.chance(400).then(|| due(rng));
            Verb::RetryAll { retries: 1 + rng.below(2) as i32, due }
        }
        83..85 => Verb::Due(work(rng), due(rng)),
        85..86 => Verb::Priority(work(rng)),
        86..89 => Verb::DeleteJob(work(rng)),
        89..90 if rng.chance(200) => Verb::Delete,
        _ => Verb::Pass(10_000 * (1 + rng.below(3) as Millis)),
    }
}

fn numbers(works: Vec<WorkRef>) -> Vec<u32> {
    let mut numbers: Vec<u32> = works.into_iter().map(|work| work.number).collect();
    numbers.sort_unstable();
    numbers
}

fn told(executed: Executed) -> String {
    let mut failed: Vec<_> = executed.failed.iter().map(|(work, failure)| (work.number, failure.message.clone())).collect();
    failed.sort();
    format!(
        "succeeded {} failed {} {failed:?} next {:?} not now {:?} careful {:?} gone {:?}",
        executed.succeeded_instances,
        executed.failed_instances,
        numbers(executed.next),
        numbers(executed.not_now),
        numbers(executed.careful),
        numbers(executed.gone)
    )
}

/// The answer, in words that both stores should use.
async fn answer(store: &dyn BatchStore, batch: &str, ids: &[String], now: Millis, verb: &Verb) -> String {
    let (caller, of) = (Caller::anonymous(), |number: u32| WorkRef::new(batch, number));
    let at = |due: &Option<Millis>| due.map(|offset| now + offset);
    // What is given to be published only buys time, so it is not compared.
    let works = |works: Result<Option<Vec<WorkRef>>, shared::store::Error>| format!("there: {}", works.unwrap().is_some());
    match verb {
        Verb::Seed(room) => format!("{:?}", store.seed(batch, *room).await.unwrap()),
        Verb::Execute { works, jobs, mode, failing } => {
            let portions: Vec<_> = works.iter().map(|number| Portion { work: of(*number), jobs: *jobs }).collect();
            let mode = match mode {
                How::Normal => Mode::Normal,
                How::Careful(token) => Mode::Careful { token: format!("t{token}") },
                How::ByHand => Mode::ByHand,
            };
            let failing: Vec<String> = failing.iter().map(|n| ids[*n].clone()).collect();
            told(store.execute(&portions, &mode, &Herder::failing(&failing, "told to")).await.unwrap())
        }
        Verb::Lease { work, token } => match store.lease(&of(*work), &format!("t{token}")).await.unwrap() {
            Lease::GaveUp { executed } => told(executed),
            other => format!("{other:?}"),
        },
        Verb::FailFront(work) => {
            let failure = Failure { reason: "database".into(), message: "refused".into(), details: "refused".into() };
            told(store.fail_front(&of(*work), &failure).await.unwrap())
        }
        Verb::Wake => format!("{:?}", numbers(store.wake(WakeLimits { work: 100, instances: 100 }).await.unwrap().work)),
        Verb::Complete => format!("{:?}", store.complete(batch).await.unwrap()),
        Verb::Look => format!("{:?}", store.look(&[batch.to_owned()]).await.unwrap()),
        Verb::Suspend(suspended) => works(store.set_batch_suspended(&caller, batch, *suspended).await),
        Verb::SuspendJob(work, suspended) => works(store.set_batch_job_suspended(&caller, &of(*work), *suspended).await),
        Verb::SuspendDefinition(number, suspended, scope) => {
            works(store.set_definition_suspended(&caller, &of(*number), *suspended, *scope).await)
        }
        Verb::Retries { work, retries, due } => {
            works(store.set_batch_job_retries(&caller, &of(*work), *retries, due.as_ref().map(at)).await)
        }
        Verb::RetryAll { retries, due } => {
            works(store.set_definition_retries(&caller, &of(BATCH_JOB_DEFINITION), *retries, due.as_ref().map(at)).await)
        }
        Verb::Due(work, due) => works(store.set_batch_job_due(&caller, &of(*work), at(due)).await),
        Verb::Priority(work) => works(store.set_batch_job_priority(&caller, &of(*work), 7).await),
        Verb::DeleteJob(work) => works(store.delete_batch_job(&caller, &of(*work)).await),
        Verb::Delete => format!("{:?}", store.delete_batch(&caller, batch, false).await.unwrap()),
        Verb::Pass(_) => String::new(),
    }
}

/// The counts of the batch, and whether it and its own jobs are suspended.
async fn counts(store: &dyn BatchStore, batch: &str) -> String {
    let query = BatchQuery { id: Some(batch.to_owned()), ..BatchQuery::default() };
    let found = store.batches(&Caller::anonymous(), &query, Page::default()).await.unwrap();
    let told = found.iter().map(|b| (b.statistics, b.total_jobs, b.jobs_created, b.suspended, b.seed_job.suspended, b.seed_job.retries));
    format!("{:?}", told.collect::<Vec<_>>())
}

/// One batch in both stores, verb by verb.
async fn compare(seed: u64, database: &TestDatabase) -> Result<usize, String> {
    let mut rng = Rng::new(seed);
    let clock = Arc::new(ManualClock::at(BEGIN));
    let model = ModelStore::new(Setup {
        clock: Arc::clone(&clock),
        semantics: Semantics::Sqlite,
        rng: rng.fork(),
        broken: None,
        definitions: vec![],
        refused: std::collections::BTreeSet::new(),
        jobs_per_run: None,
        killed: Arc::new(AtomicBool::new(false)),
        trace: None,
    });
    let mut ids: Vec<String> = (0..rng.between(3, 30)).map(|_| shared::id::new_base()).collect();
    ids.sort();
    database.plant(ids.iter().map(|id| instance(id)).collect()).await;
    ids.iter().for_each(|id| model.put_instance(instance(id)));
    let k = rng.between(1, 3) as u32;
    let new = shared::batch::NewBatch { deployment_id: None, ..new_batch(rng.between(1, 6) as u32, k) };
    let listed = || -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> { Box::new(std::iter::once(Ok(ids.clone()))) };
    let sql: Arc<dyn Store> = database.store();
    for store in [&*sql as &dyn BatchStore, &model] {
        store.submit(&Caller::anonymous(), new.clone(), Items { listed: &listed, query: None }).await.unwrap();
    }
    let jobs = ids.len().div_ceil(k as usize) as u32;
    let mut story = vec![];
    for nth in 0..VERBS {
        let verb = drawn(&mut rng, jobs, ids.len());
        if let Verb::Pass(ms) = verb {
            database.age(ms).await;
            clock.advance(ms);
        }
        let expected = answer(&*sql, &new.id, &ids, sql.now().await.unwrap(), &verb).await;
        let modelled = answer(&model, &new.id, &ids, clock.now(), &verb).await;
        story.push(format!("{verb:?}: {expected}"));
        if modelled != expected {
            return Err(format!("seed {seed}, verb {nth}, the model answers {modelled}\n{}", story.join("\n")));
        }
        let (expected, modelled) = (counts(&*sql, &new.id).await, counts(&model, &new.id).await);
        if modelled != expected {
            return Err(format!("seed {seed}, after verb {nth} the model counts {modelled} instead of {expected}\n{}", story.join("\n")));
        }
    }
    Ok(story.len())
}

async fn compare_all(what: &str, database: TestDatabase, batches: u64) {
    let (mut verbs, mut unlike) = (0, vec![]);
    for seed in 0..batches {
        match compare(seed, &database).await {
            Ok(compared) => verbs += compared,
            Err(why) => unlike.push(why),
        }
        // Windows are shared by the batches that are there.
        for id in database.store().batch_ids(None, 100).await.unwrap() {
            database.store().delete_batch(&Caller::anonymous(), &id, true).await.unwrap();
        }
    }
    database.remove().await;
    assert!(unlike.is_empty(), "{} of {batches} batches are not as in {what}:\n{}", unlike.len(), unlike.join("\n\n"));
    show(&format!("model store: {verbs} verbs on {batches} batches answered as {what} does"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_answers_as_sqlite_does() {
    compare_all("SQLite", TestDatabase::sqlite().await, 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_model_answers_as_postgresql_does() {
    compare_all("PostgreSQL", TestDatabase::postgres().await, 20).await;
}
