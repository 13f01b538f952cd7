//! Executing (design §7.3): many rows in one transaction; careful, one row, on evidence of a death.

use super::Steps;
use crate::fail_point::{Boundary, passes};
use crate::job::{Failure, WorkRef};
use crate::queue::Message;
use crate::service::chain;
use crate::store::{Error, Executed, Lease, Mode, Portion};

/// Collisions with other transactions that one micro-batch bears before it is given back.
const MAX_COLLISIONS: u32 = 12;
/// Of a run whose number of jobs is not known: where halving begins.
const HALVING_FROM: u32 = 64;

/// What a micro-batch came to, over all of its transactions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    pub succeeded_instances: u64,
    pub failed_instances: u64,
    /// Jobs whose attempt failed, with the first failure of each.
    pub failed: Vec<(WorkRef, Failure)>,
}

impl Done {
    pub(super) fn add(&mut self, executed: &Executed) {
        self.succeeded_instances += executed.succeeded_instances;
        self.failed_instances += executed.failed_instances;
        self.failed.extend(executed.failed.iter().cloned());
    }
}

impl Steps {
    /// Executes what these addresses name, together. Afterwards all may be acked: what was not done is covered by `wake_at`.
    ///
    /// # Errors
    /// When the database is away, or others kept colliding: nothing may be acked then. What was committed before stays so.
    pub async fn execute(&self, works: Vec<WorkRef>) -> Result<Done, Error> {
        let mut done = Done::default();
        let mut collisions = 0;
        let whole: Vec<Portion> = works.into_iter().map(|work| Portion { work, jobs: None }).collect();
        let mut todo = vec![whole];
        while let Some(portions) = todo.pop() {
            if portions.is_empty() {
                continue;
            }
            match self.store.execute(&portions, &Mode::Normal, &*self.decide).await {
                Ok(executed) => {
                    done.add(&executed);
                    let careful = executed.careful.clone();
                    self.after(&portions, &executed).await?;
                    for work in careful {
                        done.add(&self.careful_once(&work, &crate::id::new_id()).await?);
                    }
                }
                Err(error @ Error::Unavailable { .. }) => return Err(error),
                Err(error) if error.is_transient() => {
                    collisions += 1;
                    if collisions > MAX_COLLISIONS {
                        return Err(error);
                    }
                    todo.extend(halves(portions));
                }
                Err(error) => match refused_alone(&portions) {
                    Some(work) => done.add(&self.charge(&work, &error).await?),
                    None => todo.extend(halves(portions)),
                },
            }
        }
        Ok(done)
    }

    /// Executes one row on evidence that a worker died over it: under a lease taken in a transaction before. `token` is the
    /// attempt's own (`id::new_id`), and the same when the attempt is made again because the database was away.
    ///
    /// # Errors
    /// As [`Steps::execute`].
    pub async fn execute_careful(&self, work: &WorkRef, token: &str) -> Result<Done, Error> {
        let mut done = Done::default();
        done.add(&self.careful_once(work, token).await?);
        Ok(done)
    }

    async fn careful_once(&self, work: &WorkRef, token: &str) -> Result<Executed, Error> {
        let whole = Portion { work: work.clone(), jobs: None };
        let (portion, executed) = match self.store.lease(work, token).await? {
            Lease::Taken { one_by_one } => {
                return self.under_lease(Portion { jobs: one_by_one.then_some(1), ..whole }, token.to_owned()).await;
            }
            Lease::GaveUp { executed } => (whole, executed),
            Lease::NotNow | Lease::Gone => (whole, Executed::default()),
        };
        self.after(&[portion], &executed).await?;
        Ok(executed)
    }

    /// A collision is nobody's death: the same lease is tried again, or its row would be charged for what it did not do.
    /// A statement that is refused is halved down to the culprit, here too.
    async fn under_lease(&self, mut portion: Portion, token: String) -> Result<Executed, Error> {
        let mode = Mode::Careful { token };
        let mut collisions = 0;
        loop {
            match self.store.execute(std::slice::from_ref(&portion), &mode, &*self.decide).await {
                Ok(executed) => {
                    self.after(&[portion], &executed).await?;
                    return Ok(executed);
                }
                Err(error) if error.is_transient() => {
                    collisions += 1;
                    if error.is_unavailable() || collisions > MAX_COLLISIONS {
                        return Err(error);
                    }
                }
                Err(error) if portion.jobs == Some(1) => return self.charge(&portion.work, &error).await,
                Err(_) => portion.jobs = Some(half(portion.jobs)),
            }
        }
    }

    /// The statement itself was refused, and it is this job's doing: an attempt that failed.
    async fn charge(&self, work: &WorkRef, error: &Error) -> Result<Executed, Error> {
        let message = chain(error);
        tracing::error!(batch = work.batch, job = work.number, error = %message, "the database refused a job");
        let failure = Failure { reason: "database".into(), details: message.clone(), message };
        let executed = self.store.fail_front(work, &failure).await?;
        self.after(&[Portion { work: work.clone(), jobs: Some(1) }], &executed).await?;
        Ok(executed)
    }

    /// What follows a commit: next attempts, then the look at each batch touched.
    async fn after(&self, portions: &[Portion], executed: &Executed) -> Result<(), Error> {
        let next: Vec<Message> = executed.next.iter().cloned().map(Message::to).collect();
        if passes("execute", Boundary::BeforePublish) {
            self.publish(&next).await;
        }
        let looked = self.look(portions.iter().map(|p| p.work.batch.clone())).await;
        let _ = passes("execute", Boundary::AfterPublish);
        looked
    }
}

/// The job that must be the culprit: nothing else was in the transaction.
fn refused_alone(portions: &[Portion]) -> Option<WorkRef> {
    match portions {
        [Portion { work, jobs: Some(1) }] => Some(work.clone()),
        _ => None,
    }
}

/// Half the jobs of a run's front.
fn half(jobs: Option<u32>) -> u32 {
    jobs.map_or(HALVING_FROM, |jobs| (jobs / 2).max(1))
}

/// Half the micro-batch, then the other half; of a single run, its front half.
fn halves(mut portions: Vec<Portion>) -> Vec<Vec<Portion>> {
    if let [portion] = portions.as_mut_slice() {
        portion.jobs = Some(half(portion.jobs));
        return vec![portions];
    }
    let second = portions.split_off(portions.len() / 2);
    vec![second, portions]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portions(n: u32) -> Vec<Portion> {
        (0..n).map(|i| Portion { work: WorkRef::new("b", 2 + i), jobs: None }).collect()
    }

    #[test]
    fn halving_ends_at_one_job() {
        let mut parts = halves(portions(3));
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let mut one = parts.pop().unwrap();
        let mut rounds = 0;
        while refused_alone(&one).is_none() {
            one = halves(one).pop().unwrap();
            rounds += 1;
        }
        assert!(rounds <= 8, "{rounds}");
    }
}
