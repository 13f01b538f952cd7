//! Claiming rows for an execution: by their locks alone, under a lease, or one job for a person.

use std::collections::BTreeSet;

use super::rows::{Key, WorkState};
use super::tx::Tx;
use super::{Broken, ModelStore};
use crate::job::{Claimed, WorkRef};
use crate::store::{Error, Executed, Mode, Portion};

/// A claimed row: its key, and what of it is to be tried.
pub(super) struct Hold {
    pub key: Key,
    pub claimed: Claimed,
    pub state: WorkState,
}

impl ModelStore {
    /// Runs first, then job rows, then what is there at all: one statement each.
    pub(super) async fn claim(&self, tx: &mut Tx<'_>, portions: &[Portion], mode: &Mode, out: &mut Executed) -> Result<Vec<Hold>, Error> {
        let mut holds = vec![];
        let mut seen = BTreeSet::new();
        let mut open: Vec<&Portion> = portions.iter().filter(|p| seen.insert(p.work.clone())).collect();
        for jobs in [false, true] {
            tx.step().await;
            let mut rest = vec![];
            for portion in open {
                let found = if jobs { job_key(tx, &portion.work)? } else { run_key(tx, &portion.work)? };
                let Some(key) = found else {
                    rest.push(portion);
                    continue;
                };
                // What the locking statement's conditions leave out is never locked: its owner would find it so.
                if self.may_claim(tx, portion, &key, mode, out)? {
                    if tx.try_lock(&key)? {
                        self.take(tx, portion, key, mode, &mut holds, out)?;
                    } else {
                        self.locked_by_another(&key, mode);
                        rest.push(portion);
                    }
                }
            }
            open = rest;
        }
        tx.step().await;
        for portion in open {
            let there = run_key(tx, &portion.work)?.is_some() || job_key(tx, &portion.work)?.is_some();
            let list = if there { &mut out.not_now } else { &mut out.gone };
            list.push(portion.work.clone());
        }
        Ok(holds)
    }

    /// The conditions of a claim; what does not meet them is told where it belongs.
    fn may_claim(&self, tx: &Tx<'_>, portion: &Portion, key: &Key, mode: &Mode, out: &mut Executed) -> Result<bool, Error> {
        let Some((_, mut state)) = claimed(tx, &portion.work, key, portion.jobs)? else { return Ok(false) };
        state.suspended &= !self.is_broken(Broken::IgnoresSuspension);
        let free = match mode {
            Mode::Careful { token } => state.holds(token),
            Mode::Normal | Mode::ByHand => !state.is_leased(tx.now),
        };
        if !state.may_run(tx.now) || !free {
            self.met(if free { "claim: not to be run" } else { "claim: leased" });
            self.excuse(mode);
            out.not_now.push(portion.work.clone());
            return Ok(false);
        }
        if *mode == Mode::Normal && state.attempts > 0 {
            out.careful.push(portion.work.clone());
            return Ok(false);
        }
        Ok(true)
    }

    /// The re-check under the lock.
    fn take(&self, tx: &Tx<'_>, portion: &Portion, key: Key, mode: &Mode, holds: &mut Vec<Hold>, out: &mut Executed) -> Result<(), Error> {
        if self.may_claim(tx, portion, &key, mode, out)?
            && let Some((claimed, state)) = claimed(tx, &portion.work, &key, portion.jobs)?
        {
            holds.push(Hold { key, claimed, state });
        }
        Ok(())
    }

    fn locked_by_another(&self, key: &Key, mode: &Mode) {
        self.met("claim: locked");
        let holder = self.read(|db| db.holder_of(key));
        if !matches!(holder, Some("execute" | "lease" | "wake")) {
            self.excuse(mode);
        }
    }

    /// A person came between a lease and its use: nobody died, and the row was charged all the same.
    fn excuse(&self, mode: &Mode) {
        if matches!(mode, Mode::Careful { .. }) {
            self.died(&self.who());
        }
    }
}

/// The run whose first job is the one addressed.
pub(super) fn run_key(tx: &Tx<'_>, work: &WorkRef) -> Result<Option<Key>, Error> {
    Ok(tx.runs(&work.batch)?.into_iter().find(|(_, run)| run.first == work.number).map(|(key, _)| key))
}

pub(super) fn job_key(tx: &Tx<'_>, work: &WorkRef) -> Result<Option<Key>, Error> {
    let key = Key::Job(work.batch.clone(), work.number);
    Ok(tx.job(&key)?.map(|_| key))
}

/// The row at `key` as a claim; of a run only its first `jobs` jobs.
pub(super) fn claimed(tx: &Tx<'_>, work: &WorkRef, key: &Key, jobs: Option<u32>) -> Result<Option<(Claimed, WorkState)>, Error> {
    if let Some(run) = tx.run(key)? {
        let count = jobs.unwrap_or(u32::MAX).clamp(1, run.last - run.first + 1);
        let ids = run.ids.iter().take((count * run.k) as usize).cloned().collect();
        let retries = run.state.retries;
        let claimed = Claimed { work: work.clone(), last: run.first + count - 1, ids, k: run.k, is_job_row: false, retries };
        return Ok(Some((claimed, run.state)));
    }
    let Some(job) = tx.job(key)? else { return Ok(None) };
    let retries = job.state.retries;
    Ok(Some((Claimed { work: work.clone(), last: job.number, ids: job.ids, k: u32::MAX, is_job_row: true, retries }, job.state)))
}
