//! Rows of work: runs and jobs, locked, looked for, split (design §5).
//!
//! Jobs move only chunk → run → job → gone, so whoever looks for one asks run and then job, one statement each.

use std::collections::{BTreeMap, HashSet};

use crate::clock::Millis;
use crate::job::{Claimed, ONE_BY_ONE_ATTEMPTS, WorkRef};
use crate::store::Error;
use crate::store::sql::unclean::OUTSTANDING;
use crate::store::sql::{Column, Columns, Row, Tx, Value, corrupt, params};

/// A run or a job row, as the locking statement returned it.
#[derive(Clone, Debug)]
pub(super) struct WorkRow {
    pub work: WorkRef,
    pub last: u32,
    pub ids: Vec<String>,
    pub k: u32,
    pub is_job_row: bool,
    pub deployment_id: Option<String>,
    pub created: Millis,
    pub retries: i32,
    pub due: Option<Millis>,
    pub priority: i64,
    pub suspended: bool,
    pub wake_at: Option<Millis>,
    pub attempts: i32,
    pub lease_token: Option<String>,
    pub lease_until: Option<Millis>,
    pub message: Option<String>,
    /// Written with a failure; not read by a claim.
    pub details: Option<String>,
    pub incident: Option<Incident>,
    /// The database's time at the lock.
    pub now: Millis,
}

/// The open incident of a job.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub(super) struct Incident {
    pub id: String,
    pub message: Option<String>,
    pub time: Millis,
    pub annotation: Option<String>,
}

const RUN: &str = "SELECT r.batch, r.first, r.last, r.ids, r.k, r.deployment_id, r.created, r.retries, r.due, r.priority,
       r.suspended, r.wake_at, r.attempts, r.lease_token, r.lease_until, {now} AS now
    FROM run AS r";
const JOB: &str = "SELECT j.batch, j.number AS first, j.number AS last, j.ids, j.items AS k, j.deployment_id, j.created, j.retries,
       j.due, j.priority, j.suspended, j.wake_at, j.attempts, j.lease_token, j.lease_until, {now} AS now,
       j.message, j.incident_id, j.incident_message, j.incident_time, j.incident_annotation
    FROM job AS j";

fn read(row: &Row, is_job_row: bool) -> Result<WorkRow, Error> {
    let batch = row.text("batch")?;
    let number = row.number("first")?;
    let ids = serde_json::from_str(&row.text("ids")?).map_err(|e| corrupt("ids of a job", &format!("{batch} {number}"), &e))?;
    Ok(WorkRow {
        work: WorkRef { batch, number },
        last: row.number("last")?,
        ids,
        k: row.number("k")?,
        is_job_row,
        deployment_id: row.optional_text("deployment_id")?,
        created: row.int("created")?,
        retries: row.int32("retries")?,
        due: row.optional_int("due")?,
        priority: row.int("priority")?,
        suspended: row.bool("suspended")?,
        wake_at: row.optional_int("wake_at")?,
        attempts: row.int32("attempts")?,
        lease_token: row.optional_text("lease_token")?,
        lease_until: row.optional_int("lease_until")?,
        message: if is_job_row { row.optional_text("message")? } else { None },
        details: None,
        incident: if is_job_row { incident_of(row)? } else { None },
        now: row.int("now")?,
    })
}

/// From the four columns that jobs have for it.
pub(super) fn incident_of(row: &Row) -> Result<Option<Incident>, Error> {
    let (Some(id), Some(time)) = (row.optional_text("incident_id")?, row.optional_int("incident_time")?) else { return Ok(None) };
    Ok(Some(Incident { id, message: row.optional_text("incident_message")?, time, annotation: row.optional_text("incident_annotation")? }))
}

impl WorkRow {
    /// What an attempt at the whole row, or at the first `jobs` jobs of a run, takes.
    pub(super) fn claimed(&self, jobs: Option<u32>) -> Claimed {
        let all = self.last - self.work.number + 1;
        let jobs = if self.is_job_row { 1 } else { jobs.unwrap_or(all).clamp(1, all) };
        let items = if self.is_job_row { self.ids.len() } else { (jobs as usize * self.k as usize).min(self.ids.len()) };
        Claimed {
            work: self.work.clone(),
            last: self.work.number + jobs - 1,
            ids: self.ids[..items].to_vec(),
            k: self.k,
            is_job_row: self.is_job_row,
            retries: self.retries,
        }
    }

    /// Suspended, without retries, held or not yet due: not to be run now, whatever a message says.
    pub(super) fn rests(&self) -> bool {
        self.suspended || self.retries <= 0 || self.wake_at.is_none() || self.due.is_some_and(|due| due > self.now)
    }

    /// A worker died over it, or may have.
    pub(super) fn is_suspect(&self) -> bool {
        self.attempts > 0 || self.lease_token.as_deref() == Some(OUTSTANDING)
    }

    pub(super) fn is_leased(&self) -> bool {
        self.lease_until.is_some_and(|until| until > self.now)
    }
}

/// Which leases keep a row from being locked.
#[derive(Clone, Copy, Debug)]
pub(super) enum Leases<'a> {
    /// All that have not passed, save the one with this token. A row that is leased is not even locked: its owner, who
    /// comes a moment later and skips what is locked, would find it so, and the row would be charged with a death.
    Count(Option<&'a str>),
    Ignored,
}

/// Locks those of these rows that nobody else holds: runs first, then jobs.
pub(super) async fn lock_free(tx: &mut Tx, wanted: &[WorkRef], leases: Leases<'_>) -> Result<Vec<WorkRow>, Error> {
    let (free, token) = match leases {
        Leases::Count(token) => ("AND (lease_until IS NULL OR lease_until <= {now} OR lease_token = $3)", token.unwrap_or_default()),
        // The same parameters for both.
        Leases::Ignored => ("AND $3 = ''", ""),
    };
    let token = params![token];
    let runs = format!("{RUN} WHERE r.batch = $1 AND r.first {{in $2}} {free} {{skip locked}}");
    let runs = by_batch(tx, &runs, wanted, &token).await?;
    let mut rows = runs.iter().map(|row| read(row, false)).collect::<Result<Vec<_>, _>>()?;
    if rows.len() == wanted.len() {
        return Ok(rows);
    }
    let found: HashSet<&WorkRef> = rows.iter().map(|r| &r.work).collect();
    let left: Vec<WorkRef> = wanted.iter().filter(|w| !found.contains(w)).cloned().collect();
    let jobs = format!("{JOB} WHERE j.batch = $1 AND j.number {{in $2}} {free} {{skip locked}}");
    for row in &by_batch(tx, &jobs, &left, &token).await? {
        rows.push(read(row, true)?);
    }
    Ok(rows)
}

/// One statement for each batch, in their order: $1 is the batch, $2 the list of numbers, `further` what comes after. So every row
/// is found by its key; with a list of pairs the planner may read the whole table instead. A micro-batch holds few batches.
pub(super) async fn by_batch(tx: &mut Tx, sql: &str, works: &[WorkRef], further: &[Value]) -> Result<Vec<Row>, Error> {
    let mut numbers: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for work in works {
        numbers.entry(&work.batch).or_default().push(work.number.into());
    }
    let mut rows = vec![];
    for (batch, numbers) in numbers {
        let mut values = params![batch, numbers];
        values.extend(further.iter().cloned());
        rows.extend(tx.all(sql, values).await?);
    }
    Ok(rows)
}

/// Which of these are there, locked or not.
pub(super) async fn present(tx: &mut Tx, wanted: &[WorkRef]) -> Result<HashSet<WorkRef>, Error> {
    let mut found = HashSet::new();
    for sql in [
        "SELECT batch, first AS number FROM run WHERE batch = $1 AND first {in $2}",
        "SELECT batch, number FROM job WHERE batch = $1 AND number {in $2}",
    ] {
        for row in by_batch(tx, sql, wanted, &[]).await? {
            found.insert(WorkRef { batch: row.text("batch")?, number: row.number("number")? });
        }
    }
    Ok(found)
}

/// The run or job row that the job is in, locked; waits for whoever holds it. The batch's lock is held.
pub(super) async fn find_job(tx: &mut Tx, job: &WorkRef) -> Result<Option<WorkRow>, Error> {
    let values = || params![&job.batch, job.number];
    let run = format!("{RUN} WHERE r.batch = $1 AND r.first <= $2 AND r.last >= $2 {{for update}}");
    if let Some(row) = tx.optional(&run, values()).await? {
        return read(&row, false).map(Some);
    }
    let row = tx.optional(&format!("{JOB} WHERE j.batch = $1 AND j.number = $2 {{for update}}"), values()).await?;
    row.as_ref().map(|row| read(row, true)).transpose()
}

/// Takes one job out of its run, into a row of its own. Gives that row and the firsts of the pieces that are left.
/// A job that has its own row already is given back as it is. Only under the batch's lock. Of a run in careful mode all that
/// leave it are tried one by one; a lease stays with the front piece alone.
pub(super) async fn take_out(tx: &mut Tx, row: WorkRow, number: u32) -> Result<(WorkRow, Vec<WorkRef>), Error> {
    if row.is_job_row {
        return Ok((row, vec![]));
    }
    let at = ((number - row.work.number) as usize * row.k as usize).min(row.ids.len());
    let end = (at + row.k as usize).min(row.ids.len());
    let (front, own, back) = (&row.ids[..at], &row.ids[at..end], &row.ids[end..]);
    let calmed = row.attempts.min(ONE_BY_ONE_ATTEMPTS);
    let mut pieces = vec![];
    if front.is_empty() && back.is_empty() {
        tx.execute("DELETE FROM run WHERE batch = $1 AND first = $2", params![&row.work.batch, row.work.number]).await?;
    } else if front.is_empty() {
        // In place, so that whoever waits for the row sees what it has become.
        tx.execute(
            "UPDATE run SET first = $3, items = $4, ids = $5, attempts = $6, lease_token = NULL, lease_until = NULL
             WHERE batch = $1 AND first = $2",
            params![&row.work.batch, row.work.number, number + 1, back.len(), json(back), calmed],
        )
        .await?;
        pieces.push(number + 1);
    } else {
        tx.execute(
            "UPDATE run SET last = $3, items = $4, ids = $5 WHERE batch = $1 AND first = $2",
            params![&row.work.batch, row.work.number, number - 1, front.len(), json(front)],
        )
        .await?;
        pieces.push(row.work.number);
        if !back.is_empty() {
            insert_piece(tx, &row, number + 1, back, calmed).await?;
            pieces.push(number + 1);
        }
    }
    let job = WorkRow {
        work: WorkRef::new(row.work.batch.clone(), number),
        last: number,
        k: own.len() as u32,
        ids: own.to_vec(),
        is_job_row: true,
        attempts: if front.is_empty() { row.attempts } else { calmed },
        lease_token: None,
        lease_until: None,
        wake_at: if row.retries > 0 { row.wake_at } else { None },
        ..row.clone()
    };
    insert_jobs(tx, std::slice::from_ref(&job)).await?;
    Ok((job, pieces.into_iter().map(|first| WorkRef::new(row.work.batch.clone(), first)).collect()))
}

/// What lies behind a job that was taken out of the middle of a run.
async fn insert_piece(tx: &mut Tx, row: &WorkRow, first: u32, ids: &[String], attempts: i32) -> Result<(), Error> {
    tx.execute(
        "INSERT INTO run (batch, first, last, items, ids, k, deployment_id, created, retries, due, priority, suspended, wake_at, attempts)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        params![
            &row.work.batch,
            first,
            row.last,
            ids.len(),
            json(ids),
            row.k,
            row.deployment_id.as_deref(),
            row.created,
            row.retries,
            row.due,
            row.priority,
            row.suspended,
            row.wake_at,
            attempts,
        ],
    )
    .await?;
    Ok(())
}

/// New job rows, just as these values say.
pub(super) async fn insert_jobs(tx: &mut Tx, jobs: &[WorkRow]) -> Result<(), Error> {
    let mut columns = changing_columns(jobs);
    columns.extend([
        ("deployment_id", Column::optional_texts(jobs.iter().map(|j| j.deployment_id.clone()))),
        ("created", Column::ints(jobs.iter().map(|j| j.created))),
        ("due", Column::optional_ints(jobs.iter().map(|j| j.due))),
        ("priority", Column::ints(jobs.iter().map(|j| j.priority))),
        ("suspended", Column::bools(jobs.iter().map(|j| j.suspended))),
    ]);
    tx.insert("job", Columns(columns), "").await?;
    Ok(())
}

/// What an attempt changes about job rows; their leases are over.
pub(super) async fn update_jobs(tx: &mut Tx, jobs: &[WorkRow]) -> Result<(), Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let (source, values) = Columns(changing_columns(jobs)).source(tx.dialect(), 1);
    tx.execute(
        &format!(
            "UPDATE job SET items = u.items, ids = u.ids, retries = u.retries, wake_at = u.wake_at, wakes = 0, attempts = u.attempts,
                    lease_token = NULL, lease_until = NULL, message = u.message, details = u.details, incident_id = u.incident_id,
                    incident_message = u.incident_message, incident_time = u.incident_time, incident_annotation = u.incident_annotation
             FROM {source} AS u WHERE job.batch = u.batch AND job.number = u.number"
        ),
        values,
    )
    .await?;
    Ok(())
}

fn changing_columns(jobs: &[WorkRow]) -> Vec<(&'static str, Column)> {
    let incidents = || jobs.iter().map(|j| j.incident.as_ref());
    vec![
        ("batch", Column::texts(jobs.iter().map(|j| &j.work.batch))),
        ("number", Column::ints(jobs.iter().map(|j| j.work.number))),
        ("items", Column::ints(jobs.iter().map(|j| j.ids.len()))),
        ("ids", Column::texts(jobs.iter().map(|j| json(&j.ids)))),
        ("retries", Column::ints(jobs.iter().map(|j| j.retries))),
        ("wake_at", Column::optional_ints(jobs.iter().map(|j| j.wake_at))),
        ("attempts", Column::ints(jobs.iter().map(|j| j.attempts))),
        ("message", Column::optional_texts(jobs.iter().map(|j| j.message.clone()))),
        ("details", Column::optional_texts(jobs.iter().map(|j| j.details.clone()))),
        ("incident_id", Column::optional_texts(incidents().map(|i| i.map(|i| i.id.clone())))),
        ("incident_message", Column::optional_texts(incidents().map(|i| i.and_then(|i| i.message.clone())))),
        ("incident_time", Column::optional_ints(incidents().map(|i| i.map(|i| i.time)))),
        ("incident_annotation", Column::optional_texts(incidents().map(|i| i.and_then(|i| i.annotation.clone())))),
    ]
}

pub(super) fn json(ids: &[String]) -> String {
    serde_json::to_string(ids).unwrap_or_default()
}
