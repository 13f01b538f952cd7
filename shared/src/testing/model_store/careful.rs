//! Careful mode: the lease, giving up, and failing a front job untried.

use super::claim::{job_key, run_key};
use super::rows::{Key, LeaseRow, LogEvent, Row, WorkState};
use super::tx::Tx;
use super::wake::state_of;
use super::{Broken, ModelStore};
use crate::clock::Millis;
use crate::job::{Failure, LEASE_MS, MAX_ATTEMPTS, ONE_BY_ONE_ATTEMPTS, WorkRef, worker_died};
use crate::store::{Error, Executed, Lease};

/// A row found by its address, tried to be locked.
enum Found {
    Locked(Key, WorkState),
    Busy,
    Gone,
}

impl ModelStore {
    pub(super) async fn take_lease(&self, work: &WorkRef, token: &str) -> Result<Lease, Error> {
        let mut tx = self.begin("lease").await?;
        let holds = |state: &WorkState| state.lease.as_ref().is_some_and(|lease| lease.token == token);
        let (key, mut state) = match find(&mut tx, work, |state, now| state.may_run(now) && (holds(state) || !state.is_leased(now))).await?
        {
            Found::Locked(key, state) => (key, state),
            Found::Busy => {
                self.met("lease: not now");
                return Ok(Lease::NotNow);
            }
            Found::Gone => return Ok(Lease::Gone),
        };
        state.attempts += i32::from(!holds(&state) && !self.is_broken(Broken::NeverCountsAttempts));
        if state.attempts >= MAX_ATTEMPTS {
            self.met("lease: gave up");
            let executed = self.fail_untried(&mut tx, work, key, &worker_died(), LogEvent::GaveUp).await?;
            tx.commit().await?;
            return Ok(Lease::GaveUp { executed });
        }
        self.met(if state.attempts >= ONE_BY_ONE_ATTEMPTS { "lease: one by one" } else { "lease" });
        let one_by_one = state.attempts >= ONE_BY_ONE_ATTEMPTS;
        state.lease = Some(LeaseRow { token: token.to_owned(), until: tx.now + LEASE_MS });
        tx.step().await;
        let last = tx.run(&key)?.filter(|_| !one_by_one).map_or(work.number, |run| run.last);
        set_state(&mut tx, key, state).await?;
        self.in_hand(Some((work, last)));
        if let Err(error) = tx.commit().await {
            // The lease may stand, and its answer was lost: as good as a death.
            self.died(&self.who());
            return Err(error);
        }
        Ok(Lease::Taken { one_by_one })
    }

    pub(super) async fn fail_the_front(&self, work: &WorkRef, failure: &Failure) -> Result<Executed, Error> {
        let mut tx = self.begin("fail_front").await?;
        let executed = match find(&mut tx, work, WorkState::may_run).await? {
            Found::Locked(key, _) => self.fail_untried(&mut tx, work, key, failure, LogEvent::Refused).await?,
            Found::Busy => Executed { not_now: vec![work.clone()], ..Executed::default() },
            Found::Gone => Executed { gone: vec![work.clone()], ..Executed::default() },
        };
        tx.commit().await?;
        Ok(executed)
    }
}

/// `FOR UPDATE SKIP LOCKED` of the row, if it meets the conditions: what does not is never locked.
async fn find(tx: &mut Tx<'_>, work: &WorkRef, may: impl Fn(&WorkState, Millis) -> bool + Send) -> Result<Found, Error> {
    for jobs in [false, true] {
        tx.step().await;
        let found = if jobs { job_key(tx, work)? } else { run_key(tx, work)? };
        let Some(key) = found else { continue };
        let meets = |tx: &Tx<'_>| Ok::<_, Error>(state_of(tx, &key)?.map(|(_, state, _)| state).filter(|state| may(state, tx.now)));
        if meets(tx)?.is_some() && tx.try_lock(&key)? {
            // Again under its lock.
            return Ok(meets(tx)?.map_or(Found::Busy, |state| Found::Locked(key, state)));
        }
    }
    tx.step().await;
    let there = run_key(tx, work)?.is_some() || job_key(tx, work)?.is_some();
    Ok(if there { Found::Busy } else { Found::Gone })
}

/// Writes the state of a run or job row that is locked.
pub(super) async fn set_state(tx: &mut Tx<'_>, key: Key, state: WorkState) -> Result<(), Error> {
    if let Some(mut run) = tx.run(&key)? {
        run.state = state;
        return tx.put(key, Row::Run(run)).await;
    }
    if let Some(mut job) = tx.job(&key)? {
        job.state = state;
        return tx.put(key, Row::Job(job)).await;
    }
    Ok(())
}
