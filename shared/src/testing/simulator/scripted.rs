//! One handler at a time, by hand: run twice, dropped after each of its steps, met by a fault on purpose.

use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use super::behaviour::Behaviour;
use super::callers::Planned;
use super::executor::Job;
use super::fixture;
use super::scenario::Scenario;
use super::world::World;
use crate::job::{ONE_BY_ONE_ATTEMPTS, WorkRef};
use crate::store::{BatchStore, SeedRoom, WakeLimits};
use crate::testing::model_queue::Mischief;
use crate::testing::model_store::rows::{Key, LogEvent, Row};
use crate::testing::model_store::{Broken, Faults, Semantics};
use crate::testing::schedule::Rng;
use crate::work::{Steps, Sweep};

/// More polls than any handler needs.
const ALL: usize = 10_000;
/// The process that runs the handlers of a script.
const HAND: &str = "by hand";

/// Every handler and every verb that moves rows, each begun where it has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handler {
    Submit,
    Seed,
    Execute,
    ExecuteCareful,
    Monitor,
    Wake,
    Sweep,
    JobByHand,
    SeedByHand,
    MonitorByHand,
    Suspend,
    Activate,
    Delete,
    SetJobRetries,
    SuspendJob,
    DeleteJob,
    SetAllRetries,
    Command,
}

impl Handler {
    pub const ALL: [Self; 18] = [
        Self::Submit,
        Self::Seed,
        Self::Execute,
        Self::ExecuteCareful,
        Self::Monitor,
        Self::Wake,
        Self::Sweep,
        Self::JobByHand,
        Self::SeedByHand,
        Self::MonitorByHand,
        Self::Suspend,
        Self::Activate,
        Self::Delete,
        Self::SetJobRetries,
        Self::SuspendJob,
        Self::DeleteJob,
        Self::SetAllRetries,
        Self::Command,
    ];
}

/// One batch of nine instances, two to a job, three jobs to a run and to a chunk.
pub struct Script {
    world: World,
    batch: Planned,
}

impl Script {
    #[must_use]
    pub fn new(semantics: Semantics, behaviours: &[(usize, Behaviour)], refused: &[usize], broken: Option<Broken>) -> Self {
        let instances: Vec<String> = (0..9).map(|n| fixture::base(1, n)).collect();
        let id = fixture::base(0xb, 0);
        let batch = Planned { id, ids: instances.clone(), batch_jobs_per_seed: 3, k: 2, retries: 3, plan: fixture::plan() };
        let scenario = Scenario {
            timers: vec![],
            semantics,
            behaviours: behaviours.iter().map(|(n, behaviour)| (instances[*n].clone(), *behaviour)).collect::<BTreeMap<_, _>>(),
            refused: refused.iter().map(|n| instances[*n].clone()).collect::<BTreeSet<_>>(),
            batches: vec![batch.clone()],
            jobs_per_run: 3,
            wake_limit: 10,
            mischief: Mischief::default(),
            delivery_limit: 20,
            instances,
        };
        Self { world: World::new(scenario, Rng::new(7), &Options { broken, ..Options::default() }), batch }
    }

    /// Brings the batch to where `handler` has something to do.
    ///
    /// # Errors
    /// The invariant that did not hold.
    pub fn prepare(&mut self, handler: Handler) -> Result<(), String> {
        if handler == Handler::Submit {
            return Ok(());
        }
        self.run(Handler::Submit, ALL)?;
        match handler {
            Handler::Submit | Handler::Seed | Handler::SeedByHand | Handler::Sweep => Ok(()),
            Handler::Monitor | Handler::MonitorByHand => self.work_all(),
            Handler::Wake => {
                self.seed()?;
                self.world.advance(20_000);
                Ok(())
            }
            _ => self.seed(),
        }
    }

    /// The next collisions that executions meet.
    pub fn collide(&self, times: u32) {
        self.world.store.set_faults(Faults { next_collide: times, ..Faults::default() });
    }

    /// Processes die over the run until it is tried job by job.
    ///
    /// # Errors
    /// The invariant that did not hold.
    pub fn die_over_it(&mut self) -> Result<(), String> {
        for polls in 1..ALL {
            self.run(Handler::ExecuteCareful, polls)?;
            self.world.advance(20_000);
            let attempts = self.world.store.read(|db| {
                let runs = db.rows.values().filter_map(|row| if let Row::Run(run) = row { Some(run.state.attempts) } else { None });
                runs.max()
            });
            match attempts {
                None => return Err("the run is gone before anybody died over it twice".into()),
                // The next lease is the second.
                Some(attempts) if attempts + 1 >= ONE_BY_ONE_ATTEMPTS => return Ok(()),
                Some(_) => {}
            }
        }
        Err("nobody ever died over it".into())
    }

    /// Runs `handler` for at most so many polls, then it is dropped. True: it came to its end.
    ///
    /// # Errors
    /// The invariant that did not hold.
    pub fn run(&mut self, handler: Handler, polls: usize) -> Result<bool, String> {
        let mut handling = self.handling(handler, 0);
        self.world.poll(HAND, polls, &mut handling)
    }

    /// Two handlers at once, each going on when the seed says so.
    ///
    /// # Errors
    /// The invariant that did not hold.
    pub fn race(&mut self, one: Handler, other: Handler, seed: u64) -> Result<(), String> {
        let mut rng = Rng::new(seed);
        let mut both = [("one", self.handling(one, 1)), ("other", self.handling(other, 2))];
        let mut over = [false; 2];
        // The pace of one against the other.
        let pace = *rng.pick(&[150, 500, 850]);
        for _ in 0..ALL {
            let at = usize::from(rng.chance(pace));
            let at = if over[at] { 1 - at } else { at };
            if over[at] {
                return Ok(());
            }
            let (name, handling) = &mut both[at];
            over[at] = self.world.poll(name, 1, handling)?;
        }
        Err(format!("{one:?} and {other:?} do not end"))
    }

    fn handling(&mut self, handler: Handler, salt: u64) -> Job {
        let shared = self.world.shared.clone();
        let (steps, id, works) = (shared.steps.clone(), self.batch.id.clone(), self.works());
        let person = self.world.person_of((handler == Handler::Submit).then(|| self.batch.clone()), salt);
        let job = move |number| WorkRef::new(id.clone(), number);
        let id = self.batch.id.clone();
        match handler {
            Handler::Submit => Box::pin(person.live()),
            Handler::Seed => Box::pin(async move { drop(steps.seed(&id).await) }),
            Handler::Execute => Box::pin(async move { drop(steps.execute(works).await) }),
            Handler::ExecuteCareful => Box::pin(async move { drop(careful(&steps, works).await) }),
            Handler::Monitor => Box::pin(async move { drop(steps.monitor(&id).await) }),
            Handler::Wake => Box::pin(async move { drop(steps.wake(WakeLimits { work: 10, instances: 10 }).await) }),
            Handler::Sweep => Box::pin(async move {
                let mut sweep = Sweep::default();
                for _ in 0..2 {
                    drop(steps.sweep(&mut sweep).await);
                }
            }),
            Handler::JobByHand => Box::pin(async move { drop(person.by_hand(&job(3)).await) }),
            Handler::SeedByHand => Box::pin(async move { drop(person.by_hand(&job(0)).await) }),
            Handler::MonitorByHand => Box::pin(async move { drop(person.by_hand(&job(1)).await) }),
            Handler::Suspend => Box::pin(async move { drop(person.suspend(&id).await) }),
            Handler::Activate => Box::pin(async move { drop(person.activate(&id).await) }),
            Handler::Delete => Box::pin(async move { drop(person.delete(&id, false).await) }),
            Handler::SetJobRetries => Box::pin(async move { drop(person.set_retries(&job(3), 2, None).await) }),
            Handler::SuspendJob => Box::pin(async move { drop(person.suspend_job(&job(3), true).await) }),
            Handler::DeleteJob => Box::pin(async move { drop(person.delete_job(&job(3)).await) }),
            Handler::SetAllRetries => Box::pin(async move { drop(person.retry_all(&id, None).await) }),
            Handler::Command => Box::pin(person.work()),
        }
    }

    /// The roles start, without faults: all must come to rest, and the batch must end.
    ///
    /// # Errors
    /// The invariant that did not hold.
    pub fn finish(&mut self) -> Result<(), String> {
        self.world.finish()
    }

    /// Instances that failed for good or for now, and those that succeeded, in order of their numbers.
    #[must_use]
    pub fn outcome(&self) -> (Vec<usize>, Vec<usize>) {
        let of = |events: &[LogEvent]| {
            self.world.store.read(|db| {
                let rows = db.journal.iter().filter(|row| events.contains(&row.event));
                let numbers = rows.flat_map(|row| &row.ids).filter_map(|id| self.batch.ids.iter().position(|own| own == id));
                numbers.collect::<BTreeSet<_>>().into_iter().collect()
            })
        };
        (of(&[LogEvent::Failed, LogEvent::Refused, LogEvent::GaveUp]), of(&[LogEvent::Succeeded]))
    }

    /// Addresses of the runs and jobs that are there.
    fn works(&self) -> Vec<WorkRef> {
        let number = |(key, row): (&Key, &Row)| match (key, row) {
            (Key::Run(batch, _), Row::Run(run)) => Some(WorkRef::new(batch.clone(), run.first)),
            (Key::Job(batch, number), _) => Some(WorkRef::new(batch.clone(), *number)),
            _ => None,
        };
        self.world.store.read(|db| db.rows.iter().filter_map(number).collect())
    }

    fn seed(&mut self) -> Result<(), String> {
        let (store, id) = (self.world.store.clone(), self.batch.id.clone());
        let mut seeding: Job = Box::pin(async move { drop(store.seed(&id, SeedRoom::OneChunk).await) });
        self.world.poll(HAND, ALL, &mut seeding).map(|_| ())
    }

    fn work_all(&mut self) -> Result<(), String> {
        for _ in 0..5 {
            self.seed()?;
            self.run(Handler::Execute, ALL)?;
        }
        Ok(())
    }
}

async fn careful(steps: &Steps, works: Vec<WorkRef>) -> Result<(), crate::store::Error> {
    for work in works {
        steps.execute_careful(&work, &crate::id::new_id()).await?;
    }
    Ok(())
}
