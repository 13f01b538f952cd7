//! Batches whose effect is on columns and on closed history: suspension, restart, deletion of history, removal times; and how
//! the items of such a batch are spread over deployments.

use super::{Bench, checked, execute, herd, job, new_batch, numbers, seed_all, submit, whole, work};
use crate::batch::{Batch, BatchConfiguration, NewBatch, RemovalTime};
use crate::id;
use crate::migration::Skip;
use crate::process::history::JobEvent;
use crate::process::value::TypedValue;
use crate::runner::Command;
use crate::runner::command::{StartInstruction, StartKind};
use crate::store::query::{BatchQuery, HistoricBatchQuery, HistoryKind, HistoryQuery, InstanceQuery, JobLogQuery, Page, TenantFilter};
use crate::store::views::{DefinitionView, HistoryRow};
use crate::store::{Caller, Executed, Items, Mode, Tenants};
use crate::testing::engine_suite::{TWO_TASKS, bpmn, deployment, new_instance};

const FAR: i64 = 4_000_000_000_000;

fn anyone() -> Caller {
    Caller::anonymous()
}

async fn deploy(bench: &dyn Bench, tenant: Option<&str>) -> DefinitionView {
    let mut new = deployment("suite", &[("process.bpmn", bpmn("order", TWO_TASKS))]);
    new.tenant_id = tenant.map(str::to_owned);
    bench.store().deploy(&anyone(), new).await.unwrap().definitions.remove(0)
}

/// An instance with a business key and a variable.
async fn running(bench: &dyn Bench, definition: &str) -> String {
    let new = new_instance(definition, Some("key"), vec![("x".into(), TypedValue::integer(1))]);
    bench.store().start(&anyone(), new).await.unwrap().instance_id
}

async fn end(bench: &dyn Bench, id: &str) {
    let delete = Command::Delete { reason: None, skip_custom_listeners: false, skip_io_mappings: false };
    bench.store().command(&anyone(), id, delete).await.unwrap().unwrap();
}

async fn over(bench: &dyn Bench, definition: &str) -> String {
    let id = running(bench, definition).await;
    end(bench, &id).await;
    id
}

/// What history has of the instance itself.
async fn past(bench: &dyn Bench, id: &str) -> Option<HistoryRow> {
    let query = HistoryQuery {
        kind: HistoryKind::Instance,
        instance_id: Some(id.to_owned()),
        definition_id: None,
        definition_key: None,
        id: None,
        tenants: TenantFilter::default(),
    };
    bench.store().history(&anyone(), &query, Page::default()).await.unwrap().pop()
}

async fn of_definition(bench: &dyn Bench, definition: &str) -> Vec<String> {
    let query = InstanceQuery { definition_id: Some(definition.to_owned()), ..InstanceQuery::default() };
    let found = bench.store().instances(&anyone(), &query, &[], Page::default()).await.unwrap();
    found.into_iter().map(|view| view.id).collect()
}

fn batch(configuration: BatchConfiguration, jobs_per_seed: u32, k: u32) -> NewBatch {
    NewBatch { configuration, deployment_id: None, ..new_batch(jobs_per_seed, k) }
}

async fn seeded(bench: &dyn Bench, configuration: BatchConfiguration, k: u32, ids: &[String]) -> Batch {
    let submitted = submit(bench, batch(configuration, 100, k), ids).await;
    seed_all(bench, &submitted.id).await;
    submitted
}

fn counts(executed: &Executed) -> (u64, u64) {
    (executed.succeeded_instances, executed.failed_instances)
}

async fn revisions(bench: &dyn Bench, ids: &[String]) -> Vec<(bool, i64)> {
    let mut all = vec![];
    for id in ids {
        let stored = bench.store().instance(&anyone(), id).await.unwrap().unwrap();
        all.push((stored.instance.suspended, stored.revision));
    }
    all
}

pub async fn suspending_what_is_there_and_what_is_not(bench: &dyn Bench) {
    let mut ids = herd(bench, 5).await;
    let untouched = ids.pop().unwrap();
    let listed = [ids.clone(), vec![id::new_base()]].concat();
    let suspend = BatchConfiguration::Suspension { suspended: true };
    let first = seeded(bench, suspend.clone(), 10, &listed).await.id;
    // Two workers have the same message.
    let all = [whole(&first, 2)];
    let (a, b) = tokio::join!(execute(bench, &all), execute(bench, &all));
    assert_eq!((counts(&a).0 + counts(&b).0, counts(&a).1 + counts(&b).1), (5, 0), "what is gone is no failure");
    assert_eq!(a.gone.len() + b.gone.len() + a.not_now.len() + b.not_now.len(), 1);
    assert_eq!(revisions(bench, &ids).await, [(true, 2); 4]);
    assert_eq!(revisions(bench, std::slice::from_ref(&untouched)).await, [(false, 1)]);
    assert_eq!(execute(bench, &all).await.gone, [work(&first, 2)]);
    assert_eq!(checked(bench, &first).await.statistics.done_instances, 5);
    // Once more changes nothing, and back again does.
    let again = seeded(bench, suspend, 10, &ids).await.id;
    assert_eq!(counts(&execute(bench, &[whole(&again, 2)]).await), (4, 0));
    assert_eq!(revisions(bench, &ids).await, [(true, 2); 4]);
    let back = seeded(bench, BatchConfiguration::Suspension { suspended: false }, 1, &ids).await.id;
    let by_hand = bench.store().execute(&[whole(&back, 3)], &Mode::ByHand, &super::Herder::default()).await.unwrap();
    assert_eq!(counts(&by_hand), (1, 0));
    assert_eq!(revisions(bench, &ids).await.iter().filter(|r| **r == (false, 3)).count(), 1, "one job, by hand");
    assert_eq!(numbers(bench, &back).await, [2, 4, 5]);
    assert!(bench.store().complete(&first).await.unwrap());
}

pub async fn history_is_deleted_but_not_of_what_runs(bench: &dyn Bench) {
    let definition = deploy(bench, None).await;
    let (one, two) = (over(bench, &definition.id).await, over(bench, &definition.id).await);
    let (kept, alive) = (over(bench, &definition.id).await, running(bench, &definition.id).await);
    let listed = [one.clone(), alive.clone(), two.clone(), id::new_base()];
    let batch = seeded(bench, BatchConfiguration::HistoricDeletion, 10, &listed).await;
    // What is not there is of no deployment: a job of its own.
    assert_eq!((batch.total_instances, batch.total_jobs), (4, 2));
    let executed = execute(bench, &[whole(&batch.id, 2), whole(&batch.id, 3)]).await;
    assert_eq!(counts(&executed), (3, 1), "the one that runs holds back nobody");
    for id in [&one, &two] {
        assert!(past(bench, id).await.is_none(), "{id}");
    }
    assert!(past(bench, &kept).await.is_some());
    let failed = job(bench, &batch.id, 3).await;
    assert_eq!((failed.retries, failed.exception_message.unwrap().contains(&alive)), (2, true));
    assert_eq!(execute(bench, &[whole(&batch.id, 2)]).await.gone, [work(&batch.id, 2)], "a doubled message finds nothing");
    assert_eq!(bench.store().instance(&anyone(), &alive).await.unwrap().unwrap().revision, 1, "it goes on");
    end(bench, &alive).await;
    assert_eq!(counts(&execute(bench, &[whole(&batch.id, 3)]).await), (1, 0));
    assert!(past(bench, &alive).await.is_none());
    assert_eq!(checked(bench, &batch.id).await.statistics.done_instances, 4);
    assert!(bench.store().complete(&batch.id).await.unwrap());
}

pub async fn removal_times_are_set_on_what_is_over(bench: &dyn Bench) {
    let definition = deploy(bench, None).await;
    let (one, alive) = (over(bench, &definition.id).await, running(bench, &definition.id).await);
    let listed = [one.clone(), alive.clone()];
    for (removal, expected) in [
        (RemovalTime::At(FAR), Some(RemovalTime::At(FAR))),
        (RemovalTime::At(FAR), Some(RemovalTime::At(FAR))),
        (RemovalTime::Cleared, Some(RemovalTime::Cleared)),
        (RemovalTime::Calculated, None),
    ] {
        let batch = seeded(bench, BatchConfiguration::SetRemovalTime { removal }, 10, &listed).await.id;
        assert_eq!(counts(&execute(bench, &[whole(&batch, 2)]).await), (2, 0));
        assert_eq!(execute(bench, &[whole(&batch, 2)]).await.gone, [work(&batch, 2)]);
        assert_eq!(past(bench, &one).await.unwrap().removal, expected);
        checked(bench, &batch).await;
    }
    assert!(past(bench, &alive).await.is_none());
    end(bench, &alive).await;
    assert_eq!(past(bench, &alive).await.unwrap().removal, None, "what ran then has its definition's");
}

pub async fn removal_times_of_batches_are_set(bench: &dyn Bench) {
    let suspend = BatchConfiguration::Suspension { suspended: true };
    let ids = herd(bench, 1).await;
    let (one, other) = (seeded(bench, suspend.clone(), 1, &ids).await.id, seeded(bench, suspend, 1, &ids).await.id);
    let of = async |id: &str| {
        let query = HistoricBatchQuery { id: Some(id.to_owned()), ..HistoricBatchQuery::default() };
        bench.store().historic_batches(&anyone(), &query, Page::default()).await.unwrap().remove(0).removal_time
    };
    for (removal, expected) in [(RemovalTime::At(FAR), Some(FAR)), (RemovalTime::Calculated, None)] {
        let listed = [one.clone(), id::new_base()];
        let batch = seeded(bench, BatchConfiguration::BatchSetRemovalTime { removal }, 10, &listed).await.id;
        assert_eq!(counts(&execute(bench, &[whole(&batch, 2)]).await), (2, 0));
        assert_eq!((of(&one).await, of(&other).await), (expected, None));
        assert_eq!(execute(bench, &[whole(&batch, 2)]).await.gone, [work(&batch, 2)]);
    }
}

fn restart(definition: &str, without_business_key: bool) -> BatchConfiguration {
    let at_second =
        StartInstruction { kind: StartKind::BeforeActivity, target: "second".into(), ancestor_activity_instance: None, variables: vec![] };
    BatchConfiguration::Restart {
        definition_id: definition.to_owned(),
        instructions: vec![at_second],
        initial_variables: false,
        without_business_key,
        skip: Skip::default(),
    }
}

pub async fn what_is_over_starts_again_once(bench: &dyn Bench) {
    let (v1, v2) = (deploy(bench, None).await, deploy(bench, None).await);
    let (mine, of_other) = (over(bench, &v1.id).await, over(bench, &v2.id).await);
    let alive = running(bench, &v1.id).await;
    let listed = [mine.clone(), of_other.clone(), alive.clone(), id::new_base()];
    let batch = seeded(bench, restart(&v1.id, false), 10, &listed).await;
    assert_eq!(batch.total_jobs, 1, "all of one definition: not grouped");
    // Two workers have the same message.
    let all = [whole(&batch.id, 2)];
    let (a, b) = tokio::join!(execute(bench, &all), execute(bench, &all));
    // Where the second one comes after the first, it tries the three that failed again.
    assert_eq!(counts(&a).0 + counts(&b).0, 1, "three that fail hold back nobody, and the one starts once");
    let mut there = of_definition(bench, &v1.id).await;
    there.retain(|id| *id != alive);
    assert_eq!(there.len(), 1, "{there:?}");
    let started = bench.store().instance(&anyone(), &there[0]).await.unwrap().unwrap().instance;
    assert_eq!(started.business_key.as_deref(), Some("key"));
    assert_eq!(started.tasks.iter().map(|t| t.task_definition_key.as_str()).collect::<Vec<_>>(), ["second"]);
    assert_eq!(started.variables.iter().map(|v| (v.name.as_str(), &v.value)).collect::<Vec<_>>(), [("x", &TypedValue::integer(1))]);
    assert!(past(bench, &mine).await.is_some(), "its history stays");
    let failures = bench.store().failures(&anyone(), &batch.id, None, Page::default()).await.unwrap();
    let mut failed: Vec<&str> = failures.iter().map(|f| f.instance_id.as_str()).collect();
    failed.sort_unstable();
    let mut expected: Vec<&str> = listed[1..].iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(failed, expected);
    assert_eq!(checked(bench, &batch.id).await.statistics.done_instances, 1);
    // What only ran too long may start at the next attempt; the rest does not.
    end(bench, &alive).await;
    let executed = execute(bench, &all).await;
    assert_eq!(counts(&executed), (1, 2));
    assert_eq!(of_definition(bench, &v1.id).await.len(), 2);
    let without = seeded(bench, restart(&v1.id, true), 10, &[mine]).await.id;
    assert_eq!(counts(&execute(bench, &[whole(&without, 2)]).await), (1, 0));
    let with_key = InstanceQuery { business_key: Some("key".into()), ..InstanceQuery::default() };
    let with_key = bench.store().count_instances(&anyone(), &with_key).await.unwrap();
    assert_eq!((with_key, of_definition(bench, &v1.id).await.len()), (2, 3));
}

pub async fn a_restart_without_its_definition_fails_all_and_starts_none(bench: &dyn Bench) {
    let definition = deploy(bench, None).await;
    let listed = [over(bench, &definition.id).await, over(bench, &definition.id).await];
    let batch = seeded(bench, restart("order:9:00000000-0000-7000-8000-000000000009", false), 1, &listed).await.id;
    let executed = execute(bench, &[whole(&batch, 2)]).await;
    assert_eq!((counts(&executed), executed.next.len()), ((0, 2), 2));
    assert!(of_definition(bench, &definition.id).await.is_empty());
    checked(bench, &batch).await;
}

/// (number, deployment) of the execution jobs, as the log has them from their creation.
async fn deployments(bench: &dyn Bench, batch: &str) -> Vec<(u32, Option<String>)> {
    let definition = id::numbered(batch, id::BATCH_JOB_DEFINITION);
    let query = JobLogQuery { job_definition_id: Some(definition), kinds: vec![JobEvent::Created], ..JobLogQuery::default() };
    let rows = bench.store().job_log(&anyone(), &query, Page::default()).await.unwrap();
    let mut found: Vec<_> = rows.into_iter().filter_map(|row| Some((id::split(&row.job_id)?.1, row.deployment_id))).collect();
    found.sort();
    found
}

pub async fn items_are_spread_over_deployments(bench: &dyn Bench) {
    let (v1, v2) = (deploy(bench, None).await, deploy(bench, None).await);
    let mut ids = vec![id::new_base()];
    for definition in [&v1, &v1, &v1, &v2, &v2] {
        ids.push(running(bench, &definition.id).await);
    }
    // History knows the deployment of what is over.
    ids.extend([over(bench, &v1.id).await, over(bench, &v1.id).await]);
    let configuration = BatchConfiguration::Suspension { suspended: true };
    let new = batch(configuration, 1, 2);
    let submitted = submit(bench, new, &ids).await;
    assert_eq!((submitted.total_instances, submitted.total_jobs), (8, 5), "⌈1/2⌉ + ⌈5/2⌉ + ⌈2/2⌉");
    assert_eq!(seed_all(bench, &submitted.id).await, [2, 3, 4, 5, 6], "a chunk is of one deployment");
    let mut sizes = vec![(v1.deployment_id.clone(), 3), (v2.deployment_id.clone(), 1)];
    sizes.sort();
    let expected: Vec<Option<String>> = std::iter::once(None).chain(sizes.into_iter().flat_map(|(d, n)| vec![Some(d); n])).collect();
    let found = deployments(bench, &submitted.id).await;
    assert_eq!(found.iter().map(|(number, _)| *number).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    assert_eq!(found.into_iter().map(|(_, deployment)| deployment).collect::<Vec<_>>(), expected);
    let all: Vec<_> = (2..=6).map(|n| whole(&submitted.id, n)).collect();
    assert_eq!(counts(&execute(bench, &all).await), (8, 0));
    assert_eq!(revisions(bench, &ids[1..6]).await, [(true, 2); 5]);
    assert_eq!(checked(bench, &submitted.id).await.statistics.completed_jobs, 5);
}

pub async fn what_its_submitter_may_not_see_is_not_there(bench: &dyn Bench) {
    let (of_a, of_b) = (deploy(bench, Some("a")).await, deploy(bench, Some("b")).await);
    let (theirs, mine) = (running(bench, &of_a.id).await, running(bench, &of_b.id).await);
    let ended = over(bench, &of_a.id).await;
    let caller = Caller { tenants: Tenants::Of(vec!["b".into()]), ..anyone() };
    let ids = vec![theirs.clone(), mine.clone(), ended.clone()];
    let listed = || -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> { Box::new(std::iter::once(Ok(ids.clone()))) };
    for configuration in [
        BatchConfiguration::Suspension { suspended: true },
        BatchConfiguration::HistoricDeletion,
        BatchConfiguration::SetRemovalTime { removal: RemovalTime::Cleared },
    ] {
        let new = batch(configuration, 100, 10);
        let submitted = bench.store().submit(&caller, new, Items { listed: &listed, query: None }).await.unwrap();
        seed_all(bench, &submitted.id).await;
        let found: Vec<_> = deployments(bench, &submitted.id).await.into_iter().map(|(_, deployment)| deployment).collect();
        assert_eq!(found, [None, Some(of_b.deployment_id.clone())], "their deployment is not told");
        execute(bench, &[whole(&submitted.id, 2)]).await;
        execute(bench, &[whole(&submitted.id, 3)]).await;
        let failures = bench.store().failures(&anyone(), &submitted.id, None, Page::default()).await.unwrap();
        assert!(failures.iter().all(|f| f.instance_id == mine), "{failures:?}");
    }
    assert_eq!(revisions(bench, &[theirs, mine]).await, [(false, 1), (true, 2)]);
    assert_eq!(past(bench, &ended).await.map(|row| row.removal), Some(None));
    let query = BatchQuery::default();
    assert_eq!(bench.store().count_batches(&caller, &query).await.unwrap(), 3);
}

pub async fn a_due_date_is_taken_away_by_a_batch(bench: &dyn Bench) {
    let (of, _) = super::seeded(bench, 2, 1).await;
    let due = async |number| job(bench, &of, number).await.due;
    for number in [2, 3] {
        bench.store().set_batch_job_due(&anyone(), &work(&of, number), Some(FAR)).await.unwrap().unwrap();
    }
    assert_eq!((due(2).await, due(3).await), (Some(FAR), Some(FAR)));
    for (number, given) in [(2, Some(None)), (3, None)] {
        let configuration = BatchConfiguration::SetJobRetries { retries: 2, due: given };
        let setter = seeded(bench, configuration, 1, &[id::numbered(&of, number)]).await.id;
        assert_eq!(counts(&execute(bench, &[whole(&setter, 2)]).await), (1, 0));
    }
    assert_eq!((due(2).await, due(3).await), (None, Some(FAR)), "a null is not the same as nothing");
}
