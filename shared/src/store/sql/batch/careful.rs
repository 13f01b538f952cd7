//! Careful mode (design §7.3): only on evidence of a death; one row at a time, under a lease, so that copies of one message
//! count once.

use crate::job::{Failure, LEASE_MS, MAX_ATTEMPTS, ONE_BY_ONE_ATTEMPTS, WorkRef, worker_died};
use crate::store::sql::{SqlStore, Tx, Verb, params};
use crate::store::{Error, Executed, Lease};

use super::attempt::Attempt;
use super::execute::Done;
use super::work_rows::{Leases, WorkRow, lock_free, present};

const LEASE: Verb = Verb::named("lease").by_key();
const FAIL_FRONT: Verb = Verb::named("fail_front").by_key();

/// A row that is free, or why there is none.
enum Free {
    Row(Box<WorkRow>),
    Locked,
    Gone,
}

async fn free(tx: &mut Tx, work: &WorkRef, leases: Leases<'_>) -> Result<Free, Error> {
    let wanted = std::slice::from_ref(work);
    if let Some(row) = lock_free(tx, wanted, leases).await?.pop() {
        return Ok(Free::Row(Box::new(row)));
    }
    Ok(if present(tx, wanted).await?.is_empty() { Free::Gone } else { Free::Locked })
}

impl SqlStore {
    pub(super) async fn lease_work(&self, work: &WorkRef, token: &str) -> Result<Lease, Error> {
        let mut tx = self.write(LEASE).await?;
        let leased = self.lease_in(&mut tx, work, token).await;
        tx.end(leased).await
    }

    async fn lease_in(&self, tx: &mut Tx, work: &WorkRef, token: &str) -> Result<Lease, Error> {
        let row = match free(tx, work, Leases::Count(Some(token))).await? {
            Free::Row(row) => *row,
            Free::Locked => return Ok(Lease::NotNow),
            Free::Gone => return Ok(Lease::Gone),
        };
        if row.rests() || (row.is_leased() && row.lease_token.as_deref() != Some(token)) {
            return Ok(Lease::NotNow);
        }
        // The worker that holds it lives, and tries again: no death.
        let again = row.lease_token.as_deref() == Some(token);
        let attempts = if again { row.attempts } else { row.attempts + 1 };
        if attempts >= MAX_ATTEMPTS {
            let executed = self.charge_front(tx, row, &worker_died(), true).await?.executed;
            return Ok(Lease::GaveUp { executed });
        }
        let (table, number) = if row.is_job_row { ("job", "number") } else { ("run", "first") };
        let sql = format!("UPDATE {table} SET attempts = $3, lease_token = $4, lease_until = $5 WHERE batch = $1 AND {number} = $2");
        tx.execute(&sql, params![&work.batch, work.number, attempts, token, row.now + LEASE_MS]).await?;
        Ok(Lease::Taken { one_by_one: attempts >= ONE_BY_ONE_ATTEMPTS })
    }

    pub(super) async fn fail_front_job(&self, work: &WorkRef, failure: &Failure) -> Result<Executed, Error> {
        let mut tx = self.write(FAIL_FRONT).await?;
        let done = self.fail_front_in(&mut tx, work, failure).await;
        self.ended(tx, done).await
    }

    async fn fail_front_in(&self, tx: &mut Tx, work: &WorkRef, failure: &Failure) -> Result<Done, Error> {
        let mut executed = Executed::default();
        match free(tx, work, Leases::Ignored).await? {
            Free::Row(row) if !row.rests() => return self.charge_front(tx, *row, failure, false).await,
            Free::Row(_) | Free::Locked => executed.not_now.push(work.clone()),
            Free::Gone => executed.gone.push(work.clone()),
        }
        Ok(Done::nothing(executed))
    }

    async fn charge_front(&self, tx: &mut Tx, row: WorkRow, failure: &Failure, untried: bool) -> Result<Done, Error> {
        let now = row.now;
        let mut attempts = self.attempts(tx, vec![(row, Some(1))]).await?;
        if let Some(attempt) = attempts.pop() {
            attempts.push(Attempt::failed_front(attempt.row, attempt.fixed, failure, untried));
        }
        // Nothing succeeded, so no batch has begun by it.
        self.finish(tx, now, &attempts, Executed::default()).await
    }
}
