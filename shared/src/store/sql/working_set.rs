//! The instances that one transaction works on: read, run through the core, written together at the end.
//!
//! A command that reaches other instances gives [`Request`]s; they are carried out here, on the same set. An instance that is
//! met on the way is read without a lock and noted: the caller then begins again with all of them locked in the order of ids
//! (design §4), so that nothing is written before everything is locked.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

use super::instance_rows::{Head, Lock, New, insert_instances, load_instances};
use super::instance_writes::{Change, write_instances};
use super::models::{Models, Settings};
use super::{Dialect, Tx, corrupt};
use crate::clock::Millis;
use crate::id::{self, InstanceIds};
use crate::process::definition::ProcessDefinition;
use crate::process::derived;
use crate::process::history::Closed;
use crate::process::instance::{DOCUMENT_VERSION, Instance};
use crate::runner::{self, Answer, Command, Cx, Request};
use crate::store::Error;
use crate::store::views::{InstanceView, StoredInstance};

/// Commands that one caller's command may lead to: a call that calls itself, a signal that throws itself.
const MAX_COMMANDS: usize = 10_000;

/// What runs a set of commands: the same for all of a transaction.
pub(crate) struct Surroundings<'a> {
    pub(crate) models: &'a Models,
    pub(crate) now: Millis,
    pub(crate) user: Option<String>,
    pub(crate) default_retries: i32,
}

/// One instance of the set.
pub(crate) struct Member {
    /// None: it is new.
    pub(crate) head: Option<Head>,
    pub(crate) definition: Arc<ProcessDefinition>,
    pub(crate) instance: Instance,
    pub(crate) closed: Vec<Closed>,
    pub(crate) ended: bool,
    /// A command has run on it: it is to be written.
    pub(crate) touched: bool,
}

pub(crate) struct WorkingSet<'a> {
    pub(crate) around: Surroundings<'a>,
    pub(crate) members: BTreeMap<String, Member>,
    /// Read on the way, without the lock that they need.
    unlocked: BTreeSet<String>,
    settings: Settings,
    known_settings: BTreeSet<String>,
    /// With the instance that asks.
    pub(super) requests: VecDeque<(String, Request)>,
    /// Ids that the core gave to called instances, and the bases that they have instead.
    bases: HashMap<String, String>,
    commands: usize,
}

impl<'a> WorkingSet<'a> {
    pub(crate) fn new(around: Surroundings<'a>) -> Self {
        Self {
            around,
            members: BTreeMap::new(),
            unlocked: BTreeSet::new(),
            settings: Settings::default(),
            known_settings: BTreeSet::new(),
            requests: VecDeque::new(),
            bases: HashMap::new(),
            commands: 0,
        }
    }

    /// Reads these, where they are there. One alone needs no lock: its revision decides.
    pub(crate) async fn read(&mut self, tx: &mut Tx, ids: &BTreeSet<String>) -> Result<(), Error> {
        let lock = if ids.len() > 1 { Lock::Update } else { Lock::None };
        self.read_with(tx, ids, lock).await
    }

    pub(crate) async fn read_locked(&mut self, tx: &mut Tx, ids: &BTreeSet<String>) -> Result<(), Error> {
        self.read_with(tx, ids, Lock::Update).await
    }

    async fn read_with(&mut self, tx: &mut Tx, ids: &BTreeSet<String>, lock: Lock) -> Result<(), Error> {
        let ids: Vec<String> = ids.iter().cloned().collect();
        for stored in load_instances(tx, ids, lock).await? {
            self.admit(tx, stored).await?;
        }
        Ok(())
    }

    pub(crate) async fn admit(&mut self, tx: &mut Tx, stored: StoredInstance) -> Result<(), Error> {
        let (id, definition) = (&stored.instance.id, &stored.instance.definition_id);
        let definition = self.around.models.of_instance(tx, id, definition).await?;
        let head = Some(Head::of(&stored.instance, stored.revision));
        let member = Member { head, definition, instance: stored.instance, closed: vec![], ended: false, touched: false };
        self.members.insert(member.instance.id.clone(), member);
        Ok(())
    }

    /// The member with this id, read now if it is not yet one; None: it is not there, or has ended.
    pub(crate) async fn reach(&mut self, tx: &mut Tx, id: &str) -> Result<bool, Error> {
        if let Some(member) = self.members.get(id) {
            return Ok(!member.ended);
        }
        let Some(stored) = load_instances(tx, vec![id.to_owned()], Lock::None).await?.pop() else { return Ok(false) };
        if tx.dialect() == Dialect::Postgres {
            self.unlocked.insert(id.to_owned());
        }
        self.admit(tx, stored).await?;
        Ok(true)
    }

    /// All that must be locked before the first write, if not all of it is.
    pub(crate) fn wider(&self) -> Option<BTreeSet<String>> {
        if self.unlocked.is_empty() {
            return None;
        }
        Some(self.members.values().filter_map(|m| m.head.as_ref()).map(|head| head.id.clone()).collect())
    }

    /// A new, empty instance of this definition; its start is the next command on it.
    pub(crate) fn add_new(&mut self, definition: Arc<ProcessDefinition>, instance: Instance) {
        let member = Member { head: None, definition, instance, closed: vec![], ended: false, touched: false };
        self.members.insert(member.instance.id.clone(), member);
    }

    /// An instance that something else than a command has changed, a migration, with what that asks of others.
    pub(crate) fn adopt(&mut self, member: Member, requests: Vec<Request>) {
        let id = member.instance.id.clone();
        self.requests.extend(requests.into_iter().map(|request| (id.clone(), request)));
        self.members.insert(id, member);
    }

    pub(crate) fn blank(&self, definition: &ProcessDefinition, id: String) -> Instance {
        Instance {
            v: DOCUMENT_VERSION,
            id,
            definition_id: definition.id.clone(),
            tenant_id: definition.tenant_id.clone(),
            started_at: self.around.now,
            start_user: self.around.user.clone(),
            ..Instance::default()
        }
    }

    /// What follows is the next of many callers' commands of one transaction: each may lead to as many others.
    pub(crate) fn next_command(&mut self) {
        self.commands = 0;
    }

    /// Runs one command on a member; what it asks of others is queued.
    ///
    /// # Errors
    /// A refusal of the core: the transaction is to be given up.
    pub(crate) async fn run(&mut self, tx: &mut Tx, id: &str, command: Command) -> Result<Answer, Error> {
        self.commands += 1;
        if self.commands > MAX_COMMANDS {
            let text = format!("the command reaches more than {MAX_COMMANDS} instances or steps; split the process or end its loop");
            return Err(runner::Refusal::engine(text).into());
        }
        let missing = || corrupt("process instance", id, &"it is not part of this transaction");
        let definition = self.members.get(id).ok_or_else(missing)?.definition.clone();
        if self.known_settings.insert(definition.id.clone()) {
            self.settings.load(tx, &definition).await?;
        }
        let member = self.members.get_mut(id).ok_or_else(missing)?;
        let instance = std::mem::take(&mut member.instance);
        let suspended = instance.suspended;
        let mut ids = InstanceIds::new(&instance.id, instance.ids);
        let mut cx = Cx {
            definition: &definition,
            now: self.around.now,
            ids: &mut ids,
            job_definitions: &self.settings,
            default_retries: self.around.default_retries,
        };
        let mut ran = runner::run(instance, command, &mut cx)?;
        ran.instance.ids = ids.given();
        ran.instance.suspended = suspended;
        rebase(&mut ran.instance, &mut ran.closed, &mut ran.requests, &mut self.bases);
        member.instance = ran.instance;
        member.closed.append(&mut ran.closed);
        member.ended = ran.ended;
        member.touched = true;
        self.requests.extend(ran.requests.into_iter().map(|request| (id.to_owned(), request)));
        Ok(ran.answer)
    }

    /// Writes all that was touched. False: one was changed meanwhile, and the transaction is to be begun again.
    pub(crate) async fn write(&self, tx: &mut Tx) -> Result<bool, Error> {
        let touched = || self.members.values().filter(|m| m.touched);
        let new: Vec<New<'_>> = touched()
            .filter(|m| m.head.is_none())
            .map(|m| New { instance: &m.instance, ended: m.ended, definition_key: &m.definition.key, closed: &m.closed })
            .collect();
        let changes: Vec<Change<'_>> = touched()
            .filter_map(|m| {
                let head = m.head.as_ref()?;
                let definition_key = m.definition.key.as_str();
                Some(Change { head, before: None, instance: &m.instance, ended: m.ended, definition_key, closed: &m.closed })
            })
            .collect();
        Ok(write_instances(tx, &changes).await?.is_empty() && insert_instances(tx, &new).await?)
    }

    /// Members that were touched and have a job that may run now.
    pub(crate) fn due(&self) -> Vec<String> {
        let now = self.around.now;
        let is_due =
            |m: &&Member| m.touched && !m.ended && !m.instance.suspended && derived::wake_at(&m.instance).is_some_and(|at| at <= now);
        self.members.values().filter(is_due).map(|m| m.instance.id.clone()).collect()
    }

    /// As it is after the commands; None: it has ended.
    pub(crate) fn view(&self, id: &str) -> Option<InstanceView> {
        self.members.get(id).filter(|m| !m.ended).map(|m| view(&m.instance, &m.definition.key))
    }
}

pub(crate) fn view(instance: &Instance, definition_key: &str) -> InstanceView {
    InstanceView {
        id: instance.id.clone(),
        definition_id: instance.definition_id.clone(),
        definition_key: definition_key.to_owned(),
        business_key: instance.business_key.clone(),
        suspended: instance.suspended,
        tenant_id: instance.tenant_id.clone(),
        super_instance: instance.super_instance.clone(),
        root_instance: instance.root_instance.clone().unwrap_or_else(|| instance.id.clone()),
    }
}

/// The core draws the id of a called instance like any other, under its caller's base; an instance needs a base of its own.
/// Puts new bases in their place, everywhere that the caller and its requests name them.
fn rebase(instance: &mut Instance, closed: &mut [Closed], requests: &mut [Request], bases: &mut HashMap<String, String>) {
    for request in requests.iter() {
        if let Request::StartCalled { instance_id, .. } = request
            && id::split(instance_id).is_none_or(|(_, number)| number != 0)
        {
            bases.insert(instance_id.clone(), id::new_base());
        }
    }
    if bases.is_empty() {
        return;
    }
    let replace = |id: &mut String| {
        if let Some(base) = bases.get(id.as_str()) {
            base.clone_into(id);
        }
    };
    instance.executions.iter_mut().filter_map(|e| e.called_instance.as_mut()).for_each(replace);
    instance.open.iter_mut().filter_map(|o| o.called_instance.as_mut()).for_each(replace);
    for record in closed {
        if let Closed::Activity { record, .. } = record {
            record.called_instance.as_mut().map(replace);
        }
    }
    for request in requests {
        match request {
            Request::StartCalled { instance_id, .. } | Request::DeleteCalled { instance_id, .. } => replace(instance_id),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::instance::Execution;

    #[test]
    fn a_called_instance_gets_a_base_of_its_own() {
        let caller = id::new_base();
        let drawn = id::numbered(&caller, 7);
        let execution = Execution { id: id::numbered(&caller, 3), called_instance: Some(drawn.clone()), ..Execution::default() };
        let mut instance = Instance { id: caller.clone(), executions: vec![execution], ..Instance::default() };
        let mut requests = vec![Request::StartCalled {
            instance_id: drawn,
            called: "sub".into(),
            binding: None,
            version: None,
            version_tag: None,
            tenant_id: None,
            business_key: None,
            variables: vec![],
        }];
        let mut bases = HashMap::new();
        rebase(&mut instance, &mut [], &mut requests, &mut bases);
        let Request::StartCalled { instance_id, .. } = &requests[0] else { panic!("the request stays what it was") };
        assert_eq!(id::split(instance_id), Some((instance_id.clone(), 0)));
        assert_ne!(*instance_id, caller);
        assert_eq!(instance.executions[0].called_instance.as_ref(), Some(instance_id));
    }
}
