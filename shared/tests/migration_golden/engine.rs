//! An engine in memory: definitions, instances, job definitions, and a clock that moves with every command. It is what
//! the store's verbs are, without a store.

use std::collections::BTreeMap;
use std::collections::HashMap;

use shared::id::{InstanceIds, new_base, new_id};
use shared::migration::{Migrated, MigrationCx, MigrationPlan, NotMigrated, Skip, migrate};
use shared::process::definition::ProcessDefinition;
use shared::process::history::Closed;
use shared::process::instance::{DOCUMENT_VERSION, Instance, InstanceJob, SubscriptionKind};
use shared::process::{parse, tree};
use shared::runner::command::Variables;
use shared::runner::{Answer, Command, Cx, JobDefinitionSetting, JobDefinitions, Refusal, Request, run};

/// The most instances that one command may reach.
const MAX_REQUESTS: usize = 200;

#[derive(Default)]
pub struct Settings(pub HashMap<String, JobDefinitionSetting>);

impl JobDefinitions for Settings {
    fn setting(&self, id: &str) -> JobDefinitionSetting {
        self.0.get(id).cloned().unwrap_or_default()
    }
}

pub struct Engine {
    pub definitions: Vec<ProcessDefinition>,
    pub instances: BTreeMap<String, Instance>,
    pub settings: Settings,
    /// Closed history, by instance.
    pub closed: BTreeMap<String, Vec<Closed>>,
    pub now: i64,
}

pub struct NewInstance {
    pub definition: usize,
    pub business_key: Option<String>,
    pub super_instance: Option<String>,
    pub root_instance: Option<String>,
    pub id: String,
    pub command: Command,
}

pub fn plain_start(variables: Variables) -> Command {
    Command::Start { variables, instructions: vec![], start_event: None, skip_custom_listeners: false, skip_io_mappings: false }
}

impl Engine {
    pub fn new() -> Self {
        Self {
            definitions: vec![],
            instances: BTreeMap::new(),
            settings: Settings::default(),
            closed: BTreeMap::new(),
            now: 1_800_000_000_123,
        }
    }

    /// Deploys a file; returns the deployment's id and the definitions' places.
    pub fn deploy(&mut self, xml: &str, tenant: Option<&str>) -> Result<(String, Vec<usize>), String> {
        let parsed = parse::parse(xml).map_err(|report| format!("{report:?}"))?;
        let deployment = new_id();
        let mut places = vec![];
        for mut definition in parsed {
            let same = self.definitions.iter().filter(|d| d.key == definition.key && d.tenant_id.as_deref() == tenant).count();
            definition.version = same as i32 + 1;
            definition.id = format!("{}:{}:{}", definition.key, definition.version, new_id());
            definition.tenant_id = tenant.map(str::to_owned);
            definition.deployment_id.clone_from(&deployment);
            for job_definition in &mut definition.job_definitions {
                job_definition.id = new_id();
            }
            places.push(self.definitions.len());
            self.definitions.push(definition);
        }
        Ok((deployment, places))
    }

    pub fn definition(&self, id: &str) -> Option<&ProcessDefinition> {
        self.definitions.iter().find(|d| d.id == id)
    }

    pub fn start(&mut self, definition: usize, business_key: Option<String>, command: Command) -> Result<String, Refusal> {
        let id = new_base();
        self.begin(NewInstance { definition, business_key, super_instance: None, root_instance: None, id: id.clone(), command })?;
        Ok(id)
    }

    fn begin(&mut self, new: NewInstance) -> Result<(), Refusal> {
        let definition = &self.definitions[new.definition];
        let instance = Instance {
            v: DOCUMENT_VERSION,
            id: new.id.clone(),
            definition_id: definition.id.clone(),
            business_key: new.business_key,
            tenant_id: definition.tenant_id.clone(),
            super_instance: new.super_instance,
            root_instance: Some(new.root_instance.unwrap_or_else(|| new.id.clone())),
            started_at: self.now,
            ..Instance::default()
        };
        self.instances.insert(new.id.clone(), instance);
        self.run(&new.id, new.command).map(drop).inspect_err(|_| {
            self.instances.remove(&new.id);
        })
    }

    /// One command, with all that it asks of other instances.
    pub fn run(&mut self, id: &str, command: Command) -> Result<Answer, Refusal> {
        self.now += 1000;
        let before = self.instances.clone();
        let done = self.run_all(id, command);
        if done.is_err() {
            self.instances = before;
        }
        done
    }

    fn run_all(&mut self, id: &str, command: Command) -> Result<Answer, Refusal> {
        let (answer, requests) = self.run_one(id, command)?;
        self.serve(id, requests)?;
        Ok(answer)
    }

    fn serve(&mut self, id: &str, requests: Vec<Request>) -> Result<(), Refusal> {
        let mut waiting: std::collections::VecDeque<(String, Request)> = requests.into_iter().map(|r| (id.to_owned(), r)).collect();
        for _ in 0..MAX_REQUESTS {
            let Some((from, request)) = waiting.pop_front() else { return Ok(()) };
            for (to, command) in self.commands_for(&from, request)? {
                let (_, more) = self.run_one(&to, command)?;
                waiting.extend(more.into_iter().map(|r| (to.clone(), r)));
            }
        }
        Err(Refusal::engine("the instances ask each other without an end"))
    }

    fn run_one(&mut self, id: &str, command: Command) -> Result<(Answer, Vec<Request>), Refusal> {
        let missing = || Refusal::new("NullValueException", format!("process instance {id} is not there"));
        let instance = self.instances.get(id).cloned().ok_or_else(missing)?;
        let definition = self.definition(&instance.definition_id).ok_or_else(missing)?;
        let mut ids = InstanceIds::new(&instance.id, instance.ids);
        let mut cx = Cx { definition, now: self.now, ids: &mut ids, job_definitions: &self.settings, default_retries: 3 };
        let mut ran = run(instance, command, &mut cx)?;
        ran.instance.ids = ids.given();
        self.closed.entry(id.to_owned()).or_default().append(&mut ran.closed);
        self.keep(ran.instance, ran.ended);
        Ok((ran.answer, ran.requests))
    }

    fn keep(&mut self, instance: Instance, ended: bool) {
        if ended {
            self.instances.remove(&instance.id);
        } else {
            self.instances.insert(instance.id.clone(), instance);
        }
    }

    fn commands_for(&mut self, from: &str, request: Request) -> Result<Vec<(String, Command)>, Refusal> {
        Ok(match request {
            Request::StartCalled { instance_id, called, business_key, variables, binding, version, .. } => {
                let caller = self.instances.get(from).cloned().unwrap_or_default();
                let deployment = self.definition(&caller.definition_id).map(|d| d.deployment_id.clone()).unwrap_or_default();
                let matching = |d: &ProcessDefinition| {
                    d.key == called
                        && (binding.as_deref() != Some("version") || version.as_deref() == Some(d.version.to_string().as_str()))
                        && (binding.as_deref() != Some("deployment") || d.deployment_id == deployment)
                };
                let found = self.definitions.iter().rposition(matching);
                let missing = || Refusal::engine(format!("no processes deployed with key '{called}': processDefinition is null"));
                let new = NewInstance {
                    definition: found.ok_or_else(missing)?,
                    business_key,
                    super_instance: Some(from.to_owned()),
                    root_instance: caller.root_instance,
                    id: instance_id,
                    command: plain_start(variables),
                };
                self.begin(new)?;
                vec![]
            }
            Request::CalledEnded { super_instance, called_instance, variables } => {
                vec![(super_instance, Command::CalledEnded { called_instance, variables })]
            }
            Request::CalledDeleted { super_instance, called_instance } => {
                vec![(super_instance, Command::CalledDeleted { called_instance })]
            }
            Request::DeleteCalled { instance_id, reason } => {
                vec![(instance_id, Command::Delete { reason, skip_custom_listeners: false, skip_io_mappings: false })]
            }
            Request::Signal { name, variables, .. } => self.signal(&name, &variables),
            Request::IncidentUp { super_instance, called_instance, incident_id, root_incident_id, incident_type } => {
                vec![(super_instance, Command::IncidentUp { called_instance, incident_id, root_incident_id, incident_type })]
            }
            Request::IncidentGone { super_instance, incident_id } => vec![(super_instance, Command::IncidentGone { incident_id })],
            Request::Uncaught { super_instance, called_instance, escalation, code } => {
                vec![(super_instance, Command::CalledUncaught { called_instance, escalation, code })]
            }
        })
    }

    /// What the job executor would do by now: due jobs, until none is left.
    pub fn run_due_jobs(&mut self) {
        for _ in 0..MAX_REQUESTS {
            let due = |i: &Instance| {
                let runs = |j: &&InstanceJob| !j.suspended && j.retries > 0 && j.due.is_none_or(|due| due <= self.now);
                if i.suspended { None } else { i.jobs.iter().find(runs).map(|j| (i.id.clone(), j.id.clone())) }
            };
            let Some((instance, job_id)) = self.instances.values().find_map(due) else { return };
            if let Err(refusal) = self.run(&instance, Command::ExecuteJob { job_id: job_id.clone() }) {
                let Refusal { kind, message, failed_activity } = refusal;
                let details = format!("{kind}: {message}");
                let failed = self.run(&instance, Command::JobFailed { job_id, message, details, failed_activity });
                assert!(failed.is_ok(), "{failed:?}");
            }
        }
    }

    /// The deliveries of a signal.
    pub fn signal(&self, name: &str, variables: &Variables) -> Vec<(String, Command)> {
        let waits = |i: &Instance| {
            let of = i.subscriptions.iter().filter(|s| s.kind == SubscriptionKind::Signal && s.event_name.as_deref() == Some(name));
            of.map(|s| (i.id.clone(), s.id.clone())).collect::<Vec<_>>()
        };
        let deliver = |(instance, subscription_id)| {
            (instance, Command::Deliver { subscription_id, variables: variables.clone(), local_variables: vec![] })
        };
        self.instances.values().flat_map(waits).map(deliver).collect()
    }

    /// # Errors
    /// Why not; the instance is then as it was.
    pub fn migrate(&mut self, id: &str, plan: &MigrationPlan, skip: Skip) -> Result<(), NotMigrated> {
        self.now += 1000;
        let Some(instance) = self.instances.get(id).cloned() else {
            return Err(NotMigrated::Refused(shared::migration::missing(id)));
        };
        let missing = |id: &str| NotMigrated::Refused(Refusal::engine(format!("no definition {id}")));
        let source = self.definition(&plan.source_definition_id).ok_or_else(|| missing(&plan.source_definition_id))?;
        let target = self.definition(&plan.target_definition_id).ok_or_else(|| missing(&plan.target_definition_id))?;
        let mut ids = InstanceIds::new(&instance.id, instance.ids);
        let (now, job_definitions) = (self.now, &self.settings);
        let mut cx = MigrationCx { source, target, plan, skip, now, ids: &mut ids, job_definitions, default_retries: 3 };
        let Migrated { mut instance, requests, ended, mut closed } = migrate(instance, &mut cx)?;
        instance.ids = ids.given();
        if !ended {
            let breaches = tree::check(&instance, target);
            assert!(breaches.is_empty(), "after a migration: {breaches:#?}\n{:#?}", instance.executions);
            assert_only_target(&instance, target);
        }
        self.closed.entry(id.to_owned()).or_default().append(&mut closed);
        self.keep(instance, ended);
        self.serve(id, requests).map_err(NotMigrated::Refused)
    }
}

/// A migrated instance refers only to what the target has.
fn assert_only_target(instance: &Instance, target: &ProcessDefinition) {
    let mut named: Vec<&str> = vec![];
    named.extend(instance.external_tasks.iter().map(|t| t.activity_id.as_str()));
    named.extend(instance.jobs.iter().map(|j| j.activity_id.as_str()));
    named.extend(instance.subscriptions.iter().map(|s| s.activity_id.as_str()));
    named.extend(instance.open.iter().filter(|o| o.id != instance.id).map(|o| o.activity_id.as_str()));
    let unknown: Vec<&&str> = named.iter().filter(|id| target.find(id).is_none()).collect();
    assert!(unknown.is_empty(), "activities that the target does not have: {unknown:?}");
    let of_others = instance.tasks.iter().filter(|t| !t.execution_id.is_empty() && t.definition_id != target.id).count()
        + instance.jobs.iter().filter(|j| j.definition_id != target.id || j.deployment_id != target.deployment_id).count()
        + instance.external_tasks.iter().filter(|t| t.definition_id != target.id).count()
        + instance.open.iter().filter(|o| o.definition_id != target.id).count();
    assert_eq!((of_others, instance.definition_id.as_str()), (0, target.id.as_str()), "something still is of another definition");
}
