//! The instances of a case, and the oracle over what became of them.

use std::collections::BTreeMap;

use shared::process::history::JobEvent;
use shared::process::instance::Instance;
use shared::process::parse::parse;
use shared::runner::Command;
use shared::store::query::{BatchQuery, HistoricBatchQuery, InstanceQuery, JobLogQuery, JobQuery, Page};
use shared::store::sql::{SqlStore, StoreOptions, open_sql};
use shared::store::{BatchStore, Caller, EngineStore, NewDeployment, NewInstance, NewResource, Store};

use crate::deeds::{Deed, MANY_JOBS, failing, many};
use crate::support::TWO_TASKS;

const HEAD: usize = 60;
const ALL: Page = Page { first: 0, max: Some(10_000) };

/// Where an instance stands: definition, revision, activity instances, suspended.
type Stand = (String, i64, Vec<String>, bool);

pub struct Herd {
    pub ids: Vec<String>,
    pub v1: String,
    pub v2: String,
    before: BTreeMap<String, Stand>,
}

async fn open(database: &str) -> SqlStore {
    open_sql(database, StoreOptions { max_connections: 2, ..StoreOptions::default() }).await.unwrap()
}

async fn deploy(store: &SqlStore, xml: &str) -> String {
    let definitions = parse(xml).unwrap();
    let resource = NewResource { name: "process.bpmn".into(), bytes: xml.as_bytes().to_vec(), definitions };
    let deployment = NewDeployment {
        name: None,
        source: None,
        tenant_id: None,
        duplicate_filtering: false,
        changed_only: false,
        resources: vec![resource],
    };
    let deployed = store.deploy(&Caller::anonymous(), deployment).await.unwrap();
    deployed.definitions[0].id.clone()
}

fn activities(instance: &Instance) -> Vec<String> {
    let mut all: Vec<String> =
        instance.executions.iter().filter_map(|execution| execution.at.as_ref()?.activity_instance_id.clone()).collect();
    all.sort();
    all
}

async fn stands(store: &SqlStore) -> BTreeMap<String, Stand> {
    let all = store.documents(&Caller::anonymous(), &InstanceQuery::default(), None, 500).await.unwrap();
    let stand = |s: &shared::store::views::StoredInstance| {
        (s.instance.definition_id.clone(), s.revision, activities(&s.instance), s.instance.suspended)
    };
    all.iter().map(|stored| (stored.instance.id.clone(), stand(stored))).collect()
}

impl Herd {
    pub async fn prepare(database: &str) -> Self {
        let store = open(database).await;
        let (v1, v2) = (deploy(&store, TWO_TASKS).await, deploy(&store, TWO_TASKS).await);
        deploy(&store, &many()).await;
        deploy(&store, &failing()).await;
        let start = || Command::Start {
            variables: vec![],
            instructions: vec![],
            start_event: None,
            skip_custom_listeners: false,
            skip_io_mappings: false,
        };
        let new = (0..HEAD).map(|_| NewInstance { definition_id: v1.clone(), business_key: None, start: start() }).collect();
        let mut ids = store.start_many(&Caller::anonymous(), new).await.unwrap();
        ids.sort();
        let before = stands(&store).await;
        store.close().await;
        Self { ids, v1, v2, before }
    }

    /// What is counted of a batch while all processes are dead equals what stands on the target.
    pub async fn recount(&self, database: &str, at_rest: bool) -> Result<(), String> {
        if !at_rest {
            return Ok(());
        }
        let store = open(database).await;
        for batch in store.batches(&Caller::anonymous(), &BatchQuery::default(), ALL).await.unwrap() {
            if batch.total_instances != HEAD as u64 {
                continue; // Not of this herd: its one item is a job.
            }
            let (counted, total) = (batch.statistics, batch.total_jobs);
            let moved = stands(&store).await.values().filter(|stand| stand.0 == self.v2 || stand.3).count() as u64;
            if counted.done_instances != moved || counted.completed_jobs + counted.remaining_jobs != total {
                return Err(format!("after the death {moved} instances are done, and the batch counts {counted:?} of {total} jobs"));
            }
        }
        Ok(())
    }

    /// # Errors
    /// Which invariant does not hold.
    pub async fn judge(&self, deed: Deed, database: &str) -> Result<(), String> {
        let store = open(database).await;
        let verdict = self.verdict(deed, &store).await;
        store.close().await;
        verdict
    }

    async fn verdict(&self, deed: Deed, store: &SqlStore) -> Result<(), String> {
        let differences = store.derived_differences().await.unwrap();
        ensure(differences.is_empty(), || format!("derived rows lag behind: {differences:?}"))?;
        let caller = Caller::anonymous();
        let batches = store.count_batches(&caller, &BatchQuery::default()).await.unwrap();
        let left = store.count_batch_jobs(&caller, &JobQuery::default()).await.unwrap();
        ensure(batches == 0 && left == 0, || format!("{batches} batches and {left} jobs are left"))?;
        let log = store.job_log(&caller, &JobLogQuery::default(), ALL).await.unwrap();
        match deed {
            Deed::ManyJobs | Deed::FailingJob | Deed::SetRetries | Deed::Timer => return self.of_instances(deed, store, &log).await,
            Deed::FailingTimer => return self.nothing_changed_but(&stands(store).await, &[], |_, _| false),
            Deed::CompleteTask => {
                let once = |before: &Stand, now: &Stand| now.1 == before.1 + 1 && now.2.len() == 1 && now.2 != before.2;
                return self.nothing_changed_but(&stands(store).await, &self.ids[..1], once);
            }
            Deed::SuspendOne => return self.nothing_changed_but(&stands(store).await, &self.ids[..1], |_, now| now.3),
            Deed::MigrateNow => {
                let once = |before: &Stand, now: &Stand| now.0 == self.v2 && now.1 == before.1 + 1 && now.2 == before.2;
                return self.nothing_changed_but(&stands(store).await, &self.ids, once);
            }
            _ => {}
        }
        let history = store.historic_batches(&caller, &HistoricBatchQuery::default(), ALL).await.unwrap();
        if deed == Deed::DeleteHistory {
            ensure(history.is_empty() && log.is_empty(), || format!("{} batches and {} rows of log are left", history.len(), log.len()))?;
            return self.each_is_done_once(deed, &stands(store).await, &self.ids.iter().map(|id| (id, 1)).collect());
        }
        let succeeded = log.iter().filter(|row| row.event == JobEvent::Succeeded);
        let mut done: BTreeMap<&String, u32> = BTreeMap::new();
        succeeded.clone().flat_map(|row| &row.instance_ids).for_each(|id| *done.entry(id).or_default() += 1);
        let twice: Vec<_> = done.iter().filter(|(_, times)| **times != 1).collect();
        ensure(twice.is_empty(), || format!("done more than once: {twice:?}"))?;
        self.each_is_done_once(deed, &stands(store).await, &done)?;
        let completions = succeeded.filter(|row| row.job_definition_type == "batch-monitor-job").count();
        let expected = usize::from(deed != Deed::Delete);
        ensure(completions == expected || (deed == Deed::Delete && completions <= 1), || format!("completed {completions} times"))?;
        ensure(history.len() == 1, || format!("{} batches were made of one request", history.len()))?;
        let (migrated, cancelled) = (history[0].migrated_instances, history[0].cancelled_instances.unwrap_or_default());
        ensure(migrated == Some(done.len() as u64) && done.len() as u64 + cancelled == HEAD as u64, || {
            format!("history says {migrated:?} migrated and {cancelled} cancelled; {} were", done.len())
        })
    }

    /// These instances, and no others, are as `changed` (before, now) wants them.
    fn nothing_changed_but(
        &self,
        now: &BTreeMap<String, Stand>,
        these: &[String],
        changed: impl Fn(&Stand, &Stand) -> bool,
    ) -> Result<(), String> {
        ensure(now.len() == HEAD, || format!("{} instances are left of {HEAD}", now.len()))?;
        for (id, before) in &self.before {
            let holds = if these.contains(id) { changed(before, &now[id]) } else { now[id] == *before };
            ensure(holds, || format!("instance {id} was {before:?} and is {:?}", now[id]))?;
        }
        Ok(())
    }

    /// Each instance is as its log says, and kept its tokens.
    fn each_is_done_once(&self, deed: Deed, now: &BTreeMap<String, Stand>, done: &BTreeMap<&String, u32>) -> Result<(), String> {
        ensure(now.len() == HEAD, || format!("{} instances are left of {HEAD}", now.len()))?;
        for (id, (_, revision, tokens, _)) in &self.before {
            let (definition, revised, kept, suspended) = &now[id];
            ensure(tokens == kept, || format!("instance {id} had {tokens:?} and has {kept:?}"))?;
            let moved = done.contains_key(id);
            ensure(moved || matches!(deed, Deed::Delete | Deed::DeleteJob), || format!("instance {id} was left behind"))?;
            if deed == Deed::SuspendInstances {
                ensure(*suspended, || format!("instance {id} is not suspended"))?;
                continue;
            }
            let expected = if moved { (&self.v2, revision + 1) } else { (&self.v1, *revision) };
            ensure((definition, *revised) == expected, || {
                format!("instance {id} stands on {definition}, written {revised} times; expected {expected:?}")
            })?;
        }
        Ok(())
    }

    async fn of_instances(&self, deed: Deed, store: &SqlStore, log: &[shared::store::views::JobLogRow]) -> Result<(), String> {
        let all = store.documents(&Caller::anonymous(), &InstanceQuery::default(), None, 500).await.unwrap();
        let new: Vec<_> = all.iter().filter(|stored| !self.before.contains_key(&stored.instance.id)).collect();
        ensure(new.len() == 1, || format!("{} instances were started instead of one", new.len()))?;
        let tasks = new[0].instance.tasks.len() as u64;
        let of = |event: JobEvent| {
            log.iter().filter(|row| row.event == event && row.process_instance_id.as_deref() == Some(new[0].instance.id.as_str())).count()
                as u64
        };
        match deed {
            Deed::ManyJobs => ensure(tasks == MANY_JOBS && of(JobEvent::Succeeded) == MANY_JOBS, || {
                format!("{MANY_JOBS} jobs made {tasks} tasks, {} successes are logged", of(JobEvent::Succeeded))
            }),
            Deed::FailingJob | Deed::SetRetries => {
                let (incidents, attempts) = (new[0].instance.incidents.len(), if deed == Deed::FailingJob { 3 } else { 4 });
                ensure(of(JobEvent::Failed) == attempts && incidents == 1, || {
                    format!("{attempts} attempts left {} failures and {incidents} incidents", of(JobEvent::Failed))
                })
            }
            _ => ensure(tasks == 1, || format!("the timer's instance has {tasks} tasks")),
        }
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}
