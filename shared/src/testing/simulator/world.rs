//! One schedule, from its seed to its end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Waker};

use super::behaviour::Behaving;
use super::callers::{Ledger, Person, Planned};
use super::executor::{Executor, Job};
use super::fixture;
use super::limits::Limits;
use super::oracles::Oracles;
use super::roles::{self, Shared};
use super::scenario::Scenario;
use super::{Options, Report};
use crate::clock::{Clock, ManualClock, Millis};
use crate::id::{BATCH_JOB_DEFINITION, MONITOR_JOB, SEED_JOB};
use crate::job::WorkRef;
use crate::store::{BatchStore, Caller};
use crate::testing::model_queue::{Mischief, ModelQueue};
use crate::testing::model_store::rows::LogEvent;
use crate::testing::model_store::{Faults, ModelStore, Setup};
use crate::testing::schedule::Rng;
use crate::work::{MigrationDecide, Steps};

/// The time at which every schedule begins.
const BEGIN: Millis = 1_700_000_000_000;
/// Steps between two ends of a round of wake: more, and a handler runs for ever.
const STEPS_PER_ROUND: usize = 60_000;
/// How long nothing may happen until all is taken to be quiet: longer than any due date, lease or wake.
const QUIET_MS: Millis = 120_000;
/// Time after which all must be quiet once faults have stopped.
const CALM_MS: Millis = 3_600_000;
/// How far the clock goes from one look to the next, when nothing happens.
const IDLE_MS: Millis = 20_000;
/// People who do things to batches; the first ones submit them.
const CALLERS: usize = 3;
/// Lines of a trace that are kept.
const TRACE_LINES: usize = 400;

pub(super) struct World {
    rng: Rng,
    clock: Arc<ManualClock>,
    pub store: Arc<ModelStore>,
    queue: ModelQueue,
    pub shared: Shared,
    executor: Executor,
    behaving: Arc<Behaving>,
    pub ledger: Ledger,
    oracles: Oracles,
    pub batches: Vec<Planned>,
    monitors: u64,
    pub report: Report,
    limits: Limits,
}

impl World {
    pub fn drawn(options: &Options) -> Self {
        let mut rng = Rng::new(options.seed);
        let mut scenario = Scenario::drawn(&mut rng, &options.limits);
        scenario.semantics = options.semantics.unwrap_or(scenario.semantics);
        let instances = scenario.instances.clone();
        let mut world = Self::new(scenario, rng, options);
        let execs = world.rng.between(1, 3).min(options.limits.exec_workers);
        world.start_roles(execs);
        world.start_callers(&instances);
        world
    }

    pub(super) fn new(scenario: Scenario, mut rng: Rng, options: &Options) -> Self {
        let clock = Arc::new(ManualClock::at(BEGIN));
        let killed = Arc::new(AtomicBool::new(false));
        let misbehaving = scenario.behaviours.keys().chain(&scenario.refused).cloned().collect();
        let definitions = fixture::definitions();
        let store = Arc::new(ModelStore::new(Setup {
            clock: Arc::clone(&clock),
            semantics: scenario.semantics,
            rng: rng.fork(),
            broken: options.broken,
            definitions: definitions.clone(),
            refused: scenario.refused,
            jobs_per_run: Some(scenario.jobs_per_run),
            killed: Arc::clone(&killed),
            trace: options.trace.then_some(TRACE_LINES),
        }));
        for id in &scenario.instances {
            store.put_instance(fixture::instance(&definitions[0], id, BEGIN));
        }
        let timers: Vec<String> = (0..scenario.timers.len()).map(|n| fixture::base(4, n)).collect();
        for (id, (due, there)) in timers.iter().zip(scenario.timers) {
            store.put_timer(id.clone(), if there { fixture::SOURCE } else { "nowhere" }, BEGIN + due);
        }
        let queue = ModelQueue::new(rng.fork(), scenario.mischief, scenario.delivery_limit);
        let behaving = Arc::new(Behaving::new(Arc::new(MigrationDecide), scenario.behaviours, Arc::clone(&killed)));
        let steps = Steps { store: store.clone(), queue: Arc::new(queue.clone()), decide: behaving.clone() };
        let shared = Shared {
            steps,
            jobs: store.clone(),
            queue: queue.clone(),
            clock: Arc::clone(&clock),
            wake_limit: scenario.wake_limit,
            rounds: Arc::new(AtomicU64::new(0)),
            acks_first: options.acks_first,
            no_sweep: options.no_sweep,
            publisher: Arc::default(),
        };
        let (ledger, oracles, executor) = (Ledger::default(), Oracles::new(misbehaving, timers), Executor::new(killed));
        let (batches, report) = (scenario.batches, Report::default());
        let limits = options.limits.clone();
        Self { rng, clock, store, queue, shared, executor, behaving, ledger, oracles, batches, monitors: 0, report, limits }
    }

    fn start_roles(&mut self, execs: usize) {
        let shared = self.shared.clone();
        self.executor.process("seed", move || Box::pin(roles::seed(shared.clone())));
        for n in 0..execs {
            let (shared, name, prefetch) = (self.shared.clone(), format!("exec-{n}"), self.rng.between(1, 5) as u16);
            self.executor.process(&name.clone(), move || Box::pin(roles::execute(shared.clone(), name.clone(), prefetch)));
        }
        let shared = self.shared.clone();
        self.executor.process("publisher", move || Box::pin(roles::publish(shared.clone())));
        self.monitors = self.rng.between(1, 2).min(self.limits.monitors) as u64;
        for n in 0..self.monitors {
            let shared = self.shared.clone();
            self.executor.process(&format!("monitor-{n}"), move || Box::pin(roles::monitor(shared.clone())));
        }
    }

    fn start_callers(&mut self, instances: &[String]) {
        let thaws = self.rng.chance(700);
        for n in 0..CALLERS {
            let most = *self.rng.pick(&[6, 20, 60]);
            let (deeds, rng) = (self.rng.below(most).min(self.limits.deeds), self.rng.fork());
            let planned = self.batches.get(n).cloned();
            let person = self.person(rng, instances, planned, deeds, thaws);
            self.executor.errand(&format!("caller-{n}"), Box::pin(person.live()));
        }
        for n in 0..2 {
            let (deeds, rng) = (self.rng.below(40).min(self.limits.deeds), self.rng.fork());
            let person = self.person(rng, instances, None, deeds, thaws);
            self.executor.errand(&format!("user-{n}"), Box::pin(person.work()));
        }
    }

    fn person(&self, rng: Rng, instances: &[String], submits: Option<Planned>, deeds: usize, thaws: bool) -> Person {
        Person {
            shared: self.shared.clone(),
            store: Arc::clone(&self.store),
            ledger: self.ledger.clone(),
            rng,
            batches: self.batches.clone(),
            instances: instances.to_vec(),
            submits,
            deeds,
            thaws,
        }
    }

    pub fn live(&mut self) -> Result<(), String> {
        self.storm()?;
        self.end()?;
        self.tell();
        Ok(())
    }

    /// What it came to.
    fn tell(&mut self) {
        let report = &mut self.report;
        (report.schedules, report.queue) = (1, self.queue.deeds());
        report.commands = self.ledger.told().commands.values().sum();
        self.store.read(|db| {
            report.commits = db.commits;
            (report.failed_verbs, report.stalled, report.sessions_ended) = (db.failed_verbs, db.stalled, db.sessions_ended);
            report.met.clone_from(&db.met);
            for row in &db.journal {
                match row.event {
                    LogEvent::Succeeded => report.migrated += row.ids.len() as u64,
                    LogEvent::Failed | LogEvent::Refused | LogEvent::GaveUp => report.failures += 1,
                    LogEvent::Completed => report.batches_completed += 1,
                    LogEvent::Deleted => report.batches_deleted += 1,
                    LogEvent::Submitted | LogEvent::Created | LogEvent::JobDeleted => {}
                }
            }
        });
    }

    /// Faults stop, all comes to rest; then what a person held is let go, and every batch ends.
    fn end(&mut self) -> Result<(), String> {
        self.calm("after the storm")?;
        self.let_go()?;
        self.calm("when all was let go")?;
        self.oracles.all_over(&self.store)
    }

    /// The roles start over what is there, without faults, and all must end well.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        self.start_roles(2);
        self.end()
    }

    /// Polls what a process called `name` does, at most so often, oracles after each poll. False: it is not over yet, and
    /// whoever drops it now crashes it.
    pub(super) fn poll(&mut self, name: &str, most: usize, handling: &mut Job) -> Result<bool, String> {
        for _ in 0..most {
            self.store.tell(name);
            let polled = handling.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            self.oracles.look(&self.store, &self.ledger)?;
            if polled.is_ready() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// One who submits this batch, if there is one, and completes a few tasks, but does nothing unasked.
    pub(super) fn person_of(&mut self, planned: Option<Planned>, salt: u64) -> Person {
        let instances = self.batches.first().map(|batch| batch.ids.clone()).unwrap_or_default();
        let deeds = if planned.is_some() { 0 } else { 5 };
        self.person(Rng::new(salt), &instances, planned, deeds, true)
    }

    pub(super) fn advance(&self, by: Millis) {
        self.clock.advance(by);
    }

    fn step(&mut self) -> Result<(), String> {
        let at = self.executor.next(&mut self.rng);
        self.store.tell(&self.executor.tasks[at].name);
        if self.executor.poll(at) {
            self.report.crashes += 1;
            self.store.note("died");
            self.store.died(&self.executor.tasks[at].name);
        }
        self.report.steps += 1;
        self.oracles.look(&self.store, &self.ledger)
    }

    /// Faults of all kinds, until the callers have finished and a while longer.
    fn storm(&mut self) -> Result<(), String> {
        let limits = self.limits.clone();
        let mut share = |wanted: bool, most: usize| if wanted { self.rng.below(most) as u32 } else { 0 };
        let (unavailable, collision) = (share(limits.away, 12), share(limits.collisions, 20));
        let crashes = share(limits.crashes, 12);
        let stall = if limits.stalls { *self.rng.pick(&[0, 0, 1, 10]) } else { 0 };
        self.store.set_faults(Faults { unavailable, collision, stall, next_collide: 0 });
        if limits.paces {
            self.executor.draw_paces(&mut self.rng);
        }
        let mut rest = self.rng.below(600);
        for _ in 0..limits.storm_steps {
            if !self.executor.errands_left() {
                rest = rest.saturating_sub(1);
            }
            if rest == 0 {
                break;
            }
            self.step()?;
            if self.rng.chance(crashes) {
                let at = self.rng.below(self.executor.tasks.len());
                self.store.tell(&self.executor.tasks[at].name);
                self.store.note("crashes");
                self.store.died(&self.executor.tasks[at].name);
                self.executor.crash(at);
                self.report.crashes += 1;
            }
            if self.rng.chance(20) {
                let most = *self.rng.pick(&[100, 2_000, 20_000]);
                self.clock.advance(self.rng.below(most) as Millis);
            }
            match self.rng.below(2_000) {
                0 if limits.wipes => self.queue.wipe(),
                1..4 if limits.ended_sessions => self.store.kill_a_session(self.rng.below(3)),
                _ => {}
            }
        }
        Ok(())
    }

    /// No faults: all must come to rest, and then nothing is published any more.
    fn calm(&mut self, when: &str) -> Result<(), String> {
        self.store.set_faults(Faults::default());
        self.executor.hurry();
        self.queue.set_mischief(Mischief { reorder: true, ..Mischief::default() });
        let (begin, mut published, mut since) = (self.clock.now(), self.queue.published(), self.clock.now());
        while self.clock.now() - since < QUIET_MS {
            self.clock.advance(IDLE_MS);
            self.settle()?;
            if self.queue.published() != published {
                (published, since) = (self.queue.published(), self.clock.now());
            }
            if self.clock.now() - begin > CALM_MS {
                return Err(format!("{when} it never comes to rest: {:?} are still published", self.queue.recent()));
            }
        }
        self.oracles.at_the_end(&self.store, self.clock.now()).map_err(|what| format!("{when}, {what}"))
    }

    /// Until no message is left, callers have finished, and every monitor has looked again.
    fn settle(&mut self) -> Result<(), String> {
        let rounds = self.shared.rounds.load(Ordering::SeqCst);
        for _ in 0..STEPS_PER_ROUND {
            let looked = self.shared.rounds.load(Ordering::SeqCst) >= rounds + self.monitors;
            if looked && self.queue.outstanding() == 0 && !self.executor.errands_left() && self.store.read(|db| db.open_transactions() == 0)
            {
                return Ok(());
            }
            self.step()?;
        }
        Err(format!("{STEPS_PER_ROUND} steps at one moment were not enough: {:?}", self.queue.recent()))
    }

    /// A person activates all, and retries all that failed; what failed would now succeed, or fails for good and is deleted.
    fn let_go(&mut self) -> Result<(), String> {
        self.behaving.cure();
        self.store.cure();
        for batch in self.batches.clone() {
            let (store, shared) = (Arc::clone(&self.store), self.shared.clone());
            let rng = self.rng.fork();
            let person = self.person(rng, &[], None, 0, true);
            let errand = async move {
                let (caller, id) = (Caller::anonymous(), batch.id.clone());
                let _ = person.activate(&id).await;
                for number in [SEED_JOB, MONITOR_JOB] {
                    let _ = store.set_batch_job_retries(&caller, &WorkRef::new(id.clone(), number), 3, Some(None)).await;
                }
                let all = WorkRef::new(id.clone(), BATCH_JOB_DEFINITION);
                let works = store.set_definition_retries(&caller, &all, 1, Some(None)).await.ok().flatten();
                roles::after_verb(&shared, &id, works.unwrap_or_default()).await;
            };
            self.executor.errand("the one who lets go", Box::pin(errand));
        }
        self.calm("when all was activated and retried")?;
        for batch in self.batches.clone() {
            let (store, shared) = (Arc::clone(&self.store), self.shared.clone());
            self.executor.errand("the one who gives up", Box::pin(delete_failed(store, shared, batch)));
        }
        Ok(())
    }
}

/// What cannot succeed any more (a deleted instance, one migrated by another batch): its job is deleted.
async fn delete_failed(store: Arc<ModelStore>, shared: Shared, batch: Planned) {
    let failed: Vec<u32> = store.read(|db| db.failed_jobs(&batch.id));
    for number in failed {
        let works = store.delete_batch_job(&Caller::anonymous(), &WorkRef::new(batch.id.clone(), number)).await.ok().flatten();
        roles::after_verb(&shared, &batch.id, works.unwrap_or_default()).await;
    }
}
