//! Timer start events: a row of `timer` starts an instance when it is due, with the reference's retries.

use super::requests::{start_at, startable};
use super::working_set::WorkingSet;
use super::{SqlStore, Tx, Verb, params};
use crate::clock::Millis;
use crate::id;
use crate::process::definition::{Activity, EventDefinition, ProcessDefinition, TimerDeclaration, TimerKind};
use crate::process::value::TypedValue;
use crate::runner::{Refusal, due};
use crate::store::{Error, RunDue};

/// `jobType` of a start event's job definition, and `timer.kind` of its row.
const TIMER_START: &str = "timer-start-event";
const FIRST_RETRIES: i64 = 3;

/// A timer that is due, as read.
struct Due {
    definition: String,
    activity: String,
    repeat: Option<String>,
}

/// Writes the timers of these start events.
///
/// # Errors
/// One is not due at any time that could be told, or its time is an expression.
pub(super) async fn insert<'a>(
    tx: &mut Tx,
    model: &ProcessDefinition,
    start_events: impl Iterator<Item = &'a Activity> + Send,
    now: Millis,
) -> Result<(), Error> {
    let timers = start_events.filter_map(|activity| match &activity.event {
        Some(EventDefinition::Timer(timer)) => Some((activity, timer)),
        _ => None,
    });
    for (activity, timer) in timers.collect::<Vec<_>>() {
        let (due, repeat) = first_due(activity, timer, now)?;
        let declaration = model.job_definition(&activity.id, TIMER_START, None).map(|d| d.id.as_str());
        let values = params![
            id::new_base(),
            TIMER_START,
            &activity.id,
            &model.id,
            declaration,
            model.tenant_id.as_ref(),
            now,
            due,
            repeat,
            FIRST_RETRIES
        ];
        tx.execute(
            "INSERT INTO timer (id, kind, configuration, process_definition_id, job_definition_id, tenant_id, created, due, repeat,
                                retries, wake_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8)",
            values,
        )
        .await?;
    }
    Ok(())
}

fn first_due(activity: &Activity, timer: &TimerDeclaration, now: Millis) -> Result<(Millis, Option<String>), Refusal> {
    if !timer.value.is_constant() {
        let text = format!("The timer of the start event '{}' is the expression '{}'; give it a constant", activity.id, timer.value);
        return Err(Refusal::engine(text));
    }
    let value = TypedValue::string(&timer.value.0);
    let repeat = (timer.kind == TimerKind::Cycle).then(|| due::repeat_of(&value, now));
    Ok((due::first_due(timer.kind, &value, now)?, repeat))
}

impl SqlStore {
    pub(crate) async fn run_start_timer(&self, timer: &str) -> Result<RunDue, Error> {
        let verb = Verb::named("run_timer");
        let mut tx = self.write(verb).await?;
        let mut set = WorkingSet::new(self.surroundings(&mut tx, None).await?);
        let now = set.around.now;
        let Some(due) = claim(&mut tx, timer, now).await? else { return Ok(RunDue::Idle) };
        match start(&mut tx, &mut set, &due).await {
            Ok(true) => {}
            Ok(false) => return Err(Error::OptimisticLock { verb: verb.name }),
            Err(Error::Refused(refusal)) => {
                drop(tx);
                return self.charge_timer(timer, &refusal).await;
            }
            Err(error) => return Err(error),
        }
        let next = due.repeat.as_deref().map(|repeat| due::next_due(repeat, now)).transpose()?.flatten();
        match next {
            Some(next) => {
                let sql = "UPDATE timer SET due = $2, wake_at = $2, wakes = 0, retries = $3, message = NULL WHERE id = $1";
                tx.execute(sql, params![timer, next, FIRST_RETRIES]).await?
            }
            None => tx.execute("DELETE FROM timer WHERE id = $1", params![timer]).await?,
        };
        tx.commit().await?;
        Ok(RunDue::Ran { more: next.is_some_and(|next| next <= now) })
    }

    async fn charge_timer(&self, timer: &str, refusal: &Refusal) -> Result<RunDue, Error> {
        let mut tx = self.write(Verb::named("timer_failed")).await?;
        let sql = "UPDATE timer SET retries = retries - 1, message = $2, wakes = 0,
                                    wake_at = CASE WHEN retries > 1 THEN {now} ELSE NULL END
                   WHERE id = $1 AND retries > 0";
        tx.execute(sql, params![timer, crate::job::cut(&refusal.message)]).await?;
        let left = tx.optional("SELECT retries FROM timer WHERE id = $1", params![timer]).await?;
        let more = left.map_or(Ok(0), |row| row.int("retries"))? > 0;
        tx.commit().await?;
        Ok(RunDue::Failed { message: refusal.message.clone(), more })
    }
}

/// Locks the row, if it is due and neither it, its definition nor its job definition is suspended.
async fn claim(tx: &mut Tx, timer: &str, now: Millis) -> Result<Option<Due>, Error> {
    let sql = "SELECT t.process_definition_id, t.configuration, t.repeat FROM timer t
               WHERE t.id = $1 AND t.kind = 'timer-start-event' AND t.retries > 0 AND NOT t.suspended AND t.due <= $2
                 AND EXISTS (SELECT 1 FROM process_definition d WHERE d.id = t.process_definition_id AND NOT d.suspended)
                 AND NOT EXISTS (SELECT 1 FROM job_definition j WHERE j.id = t.job_definition_id AND j.suspended)
               {for update}";
    let Some(row) = tx.optional(sql, params![timer, now]).await? else { return Ok(None) };
    let (definition, activity) = (row.text("process_definition_id")?, row.text("configuration")?);
    Ok(Some(Due { definition, activity, repeat: row.optional_text("repeat")? }))
}

/// False: an id was taken, or something that the start reaches was changed meanwhile.
async fn start(tx: &mut Tx, set: &mut WorkingSet<'_>, due: &Due) -> Result<bool, Error> {
    let definition = startable(tx, set, &due.definition).await?;
    let instance = set.blank(&definition, id::new_base());
    let instance_id = instance.id.clone();
    set.add_new(definition, instance);
    set.run(tx, &instance_id, start_at(Some(due.activity.clone()), vec![])).await?;
    set.carry_out(tx).await?;
    set.write(tx).await
}
