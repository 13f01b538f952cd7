//! Submitting a batch.

use super::{Bench, checked, herd, new_batch, submit};
use crate::batch::total_jobs;
use crate::id;
use crate::store::query::{BatchQuery, HistoricBatchQuery, InstanceQuery, JobDefinitionQuery, JobLogQuery, Page};
use crate::store::{Caller, Error, Items, Tenants};

pub async fn a_batch_is_there_with_all_that_belongs_to_it(bench: &dyn Bench) {
    let ids = herd(bench, 25).await;
    let mut doubled = ids.clone();
    doubled.extend(ids.clone());
    let batch = submit(bench, new_batch(2, 10), &doubled).await;
    assert_eq!((batch.total_instances, batch.total_jobs, batch.jobs_created), (25, 3, 0));
    assert_eq!(batch.statistics.remaining_jobs, 3);
    assert_eq!(batch.seed_job.retries, 3);
    assert_eq!(checked(bench, &batch.id).await, batch);
    let (store, caller) = (bench.store(), Caller::anonymous());
    let query = JobDefinitionQuery { job_configuration: Some(batch.id.clone()), ..JobDefinitionQuery::default() };
    let definitions = store.job_definitions(&caller, &query, Page::default()).await.unwrap();
    let found: Vec<_> = definitions.iter().map(|d| (d.id.clone(), d.job_type.as_str(), d.deployment_id.is_some())).collect();
    assert_eq!(
        found,
        [
            (id::numbered(&batch.id, id::SEED_JOB_DEFINITION), "batch-seed-job", true),
            (id::numbered(&batch.id, id::MONITOR_JOB_DEFINITION), "batch-monitor-job", false),
            (id::numbered(&batch.id, id::BATCH_JOB_DEFINITION), "instance-migration", false),
        ]
    );
    let query = HistoricBatchQuery { id: Some(batch.id.clone()), completed: Some(false), ..HistoricBatchQuery::default() };
    let historic = store.historic_batches(&caller, &query, Page::default()).await.unwrap();
    assert_eq!(historic.iter().map(|h| (h.total_jobs, h.end_time)).collect::<Vec<_>>(), [(3, None)]);
    let query = JobLogQuery { job_definition_configuration: Some(batch.id.clone()), ..JobLogQuery::default() };
    assert_eq!(store.count_job_log(&caller, &query).await.unwrap(), 1, "the seed job was created");
}

pub async fn many_ids_are_sorted_in_the_database(bench: &dyn Bench) {
    let mut ids: Vec<String> = (0..12_000).map(|n| format!("unknown-{n}")).collect();
    ids.extend((0..50).map(|n| format!("unknown-{n}")));
    let batch = submit(bench, new_batch(1_000, 3), &ids).await;
    assert_eq!((batch.total_instances, batch.total_jobs), (12_000, 4_000));
    let runs = super::seed_all(bench, &batch.id).await;
    assert_eq!(runs.first(), Some(&2));
    assert_eq!(super::numbers(bench, &batch.id).await, (2..4_002).collect::<Vec<_>>());
    checked(bench, &batch.id).await;
}

pub async fn a_query_is_evaluated_when_the_batch_is_submitted(bench: &dyn Bench) {
    let ids = herd(bench, 30).await;
    let query = InstanceQuery { ids: Some(ids[..20].to_vec()), ..InstanceQuery::default() };
    let listed = ids[15..25].to_vec();
    let pages = move || -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> { Box::new(std::iter::once(Ok(listed.clone()))) };
    let items = Items { listed: &pages, query: Some(&query) };
    let batch = bench.store().submit(&Caller::anonymous(), new_batch(100, 1), items).await.unwrap();
    assert_eq!((batch.total_instances, batch.total_jobs), (25, 25), "the union, each once");
    super::seed_all(bench, &batch.id).await;
    let runs = super::execute(bench, &[super::whole(&batch.id, 2)]).await;
    assert_eq!(runs.succeeded_instances, 25);
    assert_eq!(super::migrated(bench, &ids[..25]).await, 25);
}

pub async fn no_ids_are_refused_and_nothing_is_written(bench: &dyn Bench) {
    let pages = || -> Box<dyn Iterator<Item = std::io::Result<Vec<String>>> + Send> { Box::new(std::iter::empty()) };
    let items = Items { listed: &pages, query: None };
    let refused = bench.store().submit(&Caller::anonymous(), new_batch(100, 1), items).await;
    assert!(matches!(refused, Err(Error::Refused(refusal)) if refusal.kind == "BadUserRequestException"));
    assert_eq!(bench.store().count_batches(&Caller::anonymous(), &BatchQuery::default()).await.unwrap(), 0);
}

pub async fn an_id_that_is_taken_is_drawn_again(bench: &dyn Bench) {
    let ids = herd(bench, 3).await;
    let first = submit(bench, new_batch(100, 1), &ids).await;
    let second = submit(bench, crate::batch::NewBatch { id: first.id.clone(), ..new_batch(100, 1) }, &ids).await;
    assert_ne!(first.id, second.id);
    assert_eq!(id::base_of(&second.id), second.id);
    assert_eq!(second.total_jobs, total_jobs(3, 1));
    checked(bench, &first.id).await;
}

pub async fn a_caller_sees_its_own_tenants_and_what_has_none(bench: &dyn Bench) {
    let ids = herd(bench, 2).await;
    let own = submit(bench, crate::batch::NewBatch { tenant_id: Some("a".into()), ..new_batch(100, 1) }, &ids).await;
    submit(bench, new_batch(100, 1), &ids).await;
    let of = |tenant: &str| Caller { tenants: Tenants::Of(vec![tenant.to_owned()]), ..Caller::anonymous() };
    let store = bench.store();
    assert_eq!(store.count_batches(&of("a"), &BatchQuery::default()).await.unwrap(), 2);
    assert_eq!(store.count_batches(&of("b"), &BatchQuery::default()).await.unwrap(), 1);
    assert_eq!(store.set_batch_suspended(&of("b"), &own.id, true).await.unwrap(), None);
    assert!(!store.delete_batch(&of("b"), &own.id, true).await.unwrap());
    assert!(store.set_batch_suspended(&of("a"), &own.id, true).await.unwrap().is_some());
    let reader = Caller { read_only: true, ..Caller::anonymous() };
    assert!(matches!(store.delete_batch(&reader, &own.id, false).await, Err(Error::Forbidden(_))));
    checked(bench, &own.id).await;
}
