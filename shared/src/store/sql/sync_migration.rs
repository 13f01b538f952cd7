//! `POST /migration/execute`: all instances or none, in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use super::instance_query::matching_ids;
use super::models::Settings;
use super::working_set::{Member, WorkingSet};
use super::{LONG_TIMEOUT, SqlStore, Tx, Verb, may_write, params};
use crate::id::InstanceIds;
use crate::migration::{self, MigrationCx, MigrationPlan, NotMigrated, Skip};
use crate::process::definition::ProcessDefinition;
use crate::runner::Refusal;
use crate::store::query::InstanceQuery;
use crate::store::{Caller, Error};

/// Instances that one synchronous migration may hold in memory; more are for a batch.
const MAX_INSTANCES: usize = 50_000;
/// Ids read at once from a query.
const IDS_PER_PAGE: u32 = 5_000;
/// Times that it is begun anew because it reaches instances that must be locked first.
const MAX_WIDENINGS: u32 = 20;

/// Those that have a job to run now, or the first instance that could not be migrated.
type Outcome = Result<Vec<String>, (String, NotMigrated)>;

impl SqlStore {
    pub(crate) async fn migrate_all(
        &self,
        caller: &Caller,
        listed: &[String],
        query: Option<&InstanceQuery>,
        plan: &MigrationPlan,
        skip: Skip,
    ) -> Result<Outcome, Error> {
        may_write(caller)?;
        let verb = Verb::named("migrate").lasting(LONG_TIMEOUT).durable();
        let mut more = BTreeSet::new();
        for _ in 0..MAX_WIDENINGS {
            let mut tx = self.write(verb).await?;
            let ids = union(&mut tx, caller, listed, query).await?;
            let mut set = WorkingSet::new(self.surroundings(&mut tx, caller.user.clone()).await?);
            let reach = ids.iter().cloned().chain(more.iter().cloned()).collect();
            set.read_locked(&mut tx, &reach).await?;
            if let Err(refused) = migrate_each(&mut tx, &mut set, caller, &ids, plan, skip).await? {
                return Ok(Err(refused));
            }
            set.carry_out(&mut tx).await?;
            if let Some(wider) = set.wider() {
                more = wider;
                continue;
            }
            if !set.write(&mut tx).await? {
                continue;
            }
            tx.commit().await?;
            return Ok(Ok(set.due()));
        }
        Err(Error::OptimisticLock { verb: verb.name })
    }
}

/// What is listed, in that order, then what the query finds, each once.
async fn union(tx: &mut Tx, caller: &Caller, listed: &[String], query: Option<&InstanceQuery>) -> Result<Vec<String>, Error> {
    let mut seen = HashSet::new();
    let mut ids: Vec<String> = listed.iter().filter(|id| seen.insert((*id).clone())).cloned().collect();
    let mut after: Option<String> = None;
    while let Some(query) = query {
        let found = matching_ids(tx, caller, query, after.as_deref(), IDS_PER_PAGE).await?;
        after = found.last().cloned();
        let last_page = found.len() < IDS_PER_PAGE as usize;
        ids.extend(found.into_iter().filter(|id| seen.insert(id.clone())));
        if last_page || ids.len() > MAX_INSTANCES {
            break;
        }
    }
    if ids.len() > MAX_INSTANCES {
        let text = format!("{} or more instances are too many for one synchronous migration; use executeAsync", ids.len());
        return Err(Refusal::new("BadUserRequestException", text).into());
    }
    Ok(ids)
}

async fn definition(tx: &mut Tx, set: &WorkingSet<'_>, id: &str) -> Result<Arc<ProcessDefinition>, Error> {
    tx.optional("SELECT id FROM process_definition WHERE id = $1 {key share}", params![id]).await?;
    let missing =
        || Refusal::new("NotFoundException", format!("no deployed process definition found with id '{id}': processDefinition is null"));
    set.around.models.get(tx, id).await?.ok_or_else(|| missing().into())
}

async fn migrate_each(
    tx: &mut Tx,
    set: &mut WorkingSet<'_>,
    caller: &Caller,
    ids: &[String],
    plan: &MigrationPlan,
    skip: Skip,
) -> Result<Result<(), (String, NotMigrated)>, Error> {
    let source = definition(tx, set, &plan.source_definition_id).await?;
    let target = definition(tx, set, &plan.target_definition_id).await?;
    let mut settings = Settings::default();
    settings.load(tx, &target).await?;
    let mut members = std::mem::take(&mut set.members);
    for id in ids {
        let refuse = |text: String| Ok(Err((id.clone(), NotMigrated::Refused(Refusal::engine(text)))));
        let Some(member) = members.remove(id) else {
            return refuse(format!("ENGINE-23003 Process instance '{id}' cannot be migrated. The process instance does not exist"));
        };
        if !caller.sees(member.instance.tenant_id.as_deref()) {
            return refuse(format!("ENGINE-13034 Cannot migrate process instance '{id}' because it belongs to no authenticated tenant."));
        }
        let mut given = InstanceIds::new(id, member.instance.ids);
        let suspended = member.instance.suspended;
        let mut cx = MigrationCx {
            source: &source,
            target: &target,
            plan,
            skip,
            now: set.around.now,
            ids: &mut given,
            job_definitions: &settings,
            default_retries: set.around.default_retries,
        };
        let mut migrated = match migration::migrate(member.instance, &mut cx) {
            Ok(migrated) => migrated,
            Err(not_migrated) => return Ok(Err((id.clone(), not_migrated))),
        };
        migrated.instance.ids = given.given();
        migrated.instance.suspended = suspended;
        let migrated_member = Member {
            head: member.head,
            definition: target.clone(),
            instance: migrated.instance,
            closed: migrated.closed,
            ended: migrated.ended,
            touched: true,
        };
        set.adopt(migrated_member, migrated.requests);
    }
    // Those that were only locked for what migrated ones ask of them.
    let rest: BTreeMap<String, Member> = members;
    set.members.extend(rest);
    Ok(Ok(()))
}
