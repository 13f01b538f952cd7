//! Callers' commands: read, run, write `WHERE revision = …`; on a miss all of it again (design §4).

use std::collections::BTreeSet;

use super::requests::startable;
use super::working_set::{Surroundings, WorkingSet};
use super::{LONG_TIMEOUT, SqlStore, Tx, Verb, may_write};
use crate::id;
use crate::process::instance::Instance;
use crate::runner::{Answer, Command, Refusal};
use crate::store::{Caller, CommandOutcome, Error, NewInstance};

/// Times that a command is begun anew because somebody else wrote first.
const MAX_MISSES: u32 = 3;
/// Times that it is begun anew because it reaches further instances, which must be locked first.
const MAX_WIDENINGS: u32 = 20;
/// Instances that one modification may hold in memory; more are for a batch.
const MAX_MODIFIED: usize = 10_000;
/// Instances that one transaction of [`SqlStore::start_instances`] starts.
const STARTS_PER_TRANSACTION: usize = 500;

/// How one try at a command went.
enum Tried<T> {
    Done(T),
    /// Somebody else wrote first.
    Missed,
    /// To be tried again with all of these locked.
    Wider(BTreeSet<String>),
}

/// The tries of one command so far, and what the next one locks first.
struct Tries {
    verb: Verb,
    reach: BTreeSet<String>,
    misses: u32,
    widenings: u32,
}

impl Tries {
    fn new(verb: Verb, reach: BTreeSet<String>) -> Self {
        Self { verb, reach, misses: 0, widenings: 0 }
    }

    /// What was done; None: to be tried again.
    fn judge<T>(&mut self, tried: Result<Tried<T>, Error>) -> Result<Option<T>, Error> {
        match tried {
            Ok(Tried::Done(done)) => return Ok(Some(done)),
            Ok(Tried::Wider(wider)) if self.widenings < MAX_WIDENINGS => {
                self.widenings += 1;
                self.reach = wider;
            }
            Ok(Tried::Missed | Tried::Wider(_)) | Err(Error::Collision { .. }) => {
                self.misses += 1;
                if self.misses >= MAX_MISSES {
                    return Err(Error::OptimisticLock { verb: self.verb.name });
                }
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }
}

impl SqlStore {
    pub(crate) async fn surroundings(&self, tx: &mut Tx, user: Option<String>) -> Result<Surroundings<'_>, Error> {
        Ok(Surroundings { models: self.models(), now: tx.now().await?, user, default_retries: self.options().default_retries })
    }

    pub(crate) async fn run_command(&self, caller: &Caller, id: &str, command: Command) -> Result<Option<CommandOutcome>, Error> {
        may_write(caller)?;
        self.run_with(Verb::named("command").durable(), caller, id, |_| Some(command.clone())).await
    }

    /// Runs what `choose` gives for the instance as it is; None from it: nothing is done, as if there were no such instance.
    pub(crate) async fn run_with(
        &self,
        verb: Verb,
        caller: &Caller,
        id: &str,
        choose: impl Fn(&Instance) -> Option<Command> + Send + Sync,
    ) -> Result<Option<CommandOutcome>, Error> {
        let mut tries = Tries::new(verb, BTreeSet::from([id.to_owned()]));
        loop {
            let tried = self.try_command(verb, caller, id, &tries.reach, &choose).await;
            if let Some(outcome) = tries.judge(tried)? {
                return Ok(outcome);
            }
        }
    }

    async fn try_command(
        &self,
        verb: Verb,
        caller: &Caller,
        id: &str,
        reach: &BTreeSet<String>,
        choose: &(impl Fn(&Instance) -> Option<Command> + Send + Sync),
    ) -> Result<Tried<Option<CommandOutcome>>, Error> {
        let mut tx = self.write(verb).await?;
        let mut set = WorkingSet::new(self.surroundings(&mut tx, caller.user.clone()).await?);
        set.read(&mut tx, reach).await?;
        let Some(member) = set.members.get(id).filter(|m| caller.sees(m.instance.tenant_id.as_deref())) else {
            return Ok(Tried::Done(None));
        };
        let Some(command) = choose(&member.instance) else { return Ok(Tried::Done(None)) };
        let answer = set.run(&mut tx, id, command).await?;
        set.carry_out(&mut tx).await?;
        if let Some(wider) = set.wider() {
            return Ok(Tried::Wider(wider));
        }
        if !set.write(&mut tx).await? {
            return Ok(Tried::Missed);
        }
        tx.commit().await?;
        Ok(Tried::Done(Some(outcome(&set, id, answer))))
    }

    /// All in one transaction, in this order; again where others that they reach must be locked first.
    pub(crate) async fn modify_all(
        &self,
        caller: &Caller,
        definition: &str,
        ids: &[String],
        command: &Command,
    ) -> Result<Vec<String>, Error> {
        may_write(caller)?;
        if ids.len() > MAX_MODIFIED {
            let text = format!("{} instances are more than the {MAX_MODIFIED} that one call modifies; use executeAsync", ids.len());
            return Err(Refusal::new("BadUserRequestException", text).into());
        }
        let verb = Verb::named("modify").lasting(LONG_TIMEOUT).durable();
        let mut tries = Tries::new(verb, ids.iter().cloned().collect());
        loop {
            let tried = self.try_modify(verb, caller, definition, (ids, &tries.reach), command).await;
            if let Some(due) = tries.judge(tried)? {
                return Ok(due);
            }
        }
    }

    async fn try_modify(
        &self,
        verb: Verb,
        caller: &Caller,
        definition: &str,
        (ids, reach): (&[String], &BTreeSet<String>),
        command: &Command,
    ) -> Result<Tried<Vec<String>>, Error> {
        let mut tx = self.write(verb).await?;
        let mut set = WorkingSet::new(self.surroundings(&mut tx, caller.user.clone()).await?);
        set.read_locked(&mut tx, reach).await?;
        for id in ids {
            let member = set.members.get(id).filter(|m| !m.ended && caller.sees(m.instance.tenant_id.as_deref()));
            modifiable(id, member.map(|m| m.instance.definition_id.as_str()), definition)?;
            set.next_command();
            set.run(&mut tx, id, command.clone()).await?;
            set.carry_out(&mut tx).await?;
        }
        if let Some(wider) = set.wider() {
            return Ok(Tried::Wider(wider.into_iter().chain(ids.iter().cloned()).collect()));
        }
        if !set.write(&mut tx).await? {
            return Ok(Tried::Missed);
        }
        tx.commit().await?;
        Ok(Tried::Done(set.due()))
    }

    pub(crate) async fn start_instance(&self, caller: &Caller, new: NewInstance) -> Result<CommandOutcome, Error> {
        may_write(caller)?;
        let verb = Verb::named("start").durable();
        let mut outcomes = self.start_all(verb, caller, std::slice::from_ref(&new)).await?;
        outcomes.pop().ok_or(Error::OptimisticLock { verb: verb.name })
    }

    pub(crate) async fn start_instances(&self, caller: &Caller, new: &[NewInstance]) -> Result<Vec<String>, Error> {
        may_write(caller)?;
        let mut ids = vec![];
        for new in new.chunks(STARTS_PER_TRANSACTION) {
            let started = self.start_all(Verb::named("start_many"), caller, new).await?;
            ids.extend(started.into_iter().map(|outcome| outcome.instance_id));
        }
        Ok(ids)
    }

    /// All in one transaction; again with new ids where one is taken, or where others that they reach must be locked first.
    async fn start_all(&self, verb: Verb, caller: &Caller, new: &[NewInstance]) -> Result<Vec<CommandOutcome>, Error> {
        let mut tries = Tries::new(verb, BTreeSet::new());
        loop {
            let tried = self.try_start(verb, caller, new, &tries.reach).await;
            if let Some(outcomes) = tries.judge(tried)? {
                return Ok(outcomes);
            }
        }
    }

    async fn try_start(
        &self,
        verb: Verb,
        caller: &Caller,
        new: &[NewInstance],
        reach: &BTreeSet<String>,
    ) -> Result<Tried<Vec<CommandOutcome>>, Error> {
        let mut tx = self.write(verb).await?;
        let mut set = WorkingSet::new(self.surroundings(&mut tx, caller.user.clone()).await?);
        if !reach.is_empty() {
            set.read_locked(&mut tx, reach).await?;
        }
        let mut definition = None;
        let mut started = vec![];
        for new in new {
            let model = match definition.take().filter(|(id, _)| *id == new.definition_id) {
                Some((_, model)) => model,
                None => startable(&mut tx, &set, &new.definition_id).await?,
            };
            if !caller.sees(model.tenant_id.as_deref()) {
                return Err(Error::Forbidden(format!(
                    "Cannot create an instance of the process definition '{}' because it belongs to no authenticated tenant.",
                    model.id
                )));
            }
            let mut instance = set.blank(&model, id::new_base());
            instance.business_key.clone_from(&new.business_key);
            let id = instance.id.clone();
            set.add_new(model.clone(), instance);
            let answer = set.run(&mut tx, &id, new.start.clone()).await?;
            set.carry_out(&mut tx).await?;
            started.push((id, answer));
            definition = Some((new.definition_id.clone(), model));
        }
        if let Some(wider) = set.wider() {
            return Ok(Tried::Wider(wider));
        }
        if !set.write(&mut tx).await? {
            return Ok(Tried::Missed);
        }
        tx.commit().await?;
        Ok(Tried::Done(started.into_iter().map(|(id, answer)| outcome(&set, &id, answer)).collect()))
    }
}

/// Is the instance there, and of the definition that was named?
fn modifiable(id: &str, found: Option<&str>, wanted: &str) -> Result<(), Refusal> {
    match found {
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(Refusal::modified_as_another(id, found, wanted)),
        None => Err(Refusal::nothing_to_modify(id)),
    }
}

fn outcome(set: &WorkingSet<'_>, id: &str, answer: Answer) -> CommandOutcome {
    CommandOutcome { instance_id: id.to_owned(), instance: set.view(id), answer, due: set.due() }
}
