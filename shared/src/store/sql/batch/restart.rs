//! Executing a batch of type `instance-restart`: new instances from the history of those that are over (spec-batch-rest §4.7).

use std::collections::HashMap;
use std::sync::Arc;

use crate::batch::BatchConfiguration;
use crate::id;
use crate::job::Failure;
use crate::process::definition::ProcessDefinition;
use crate::process::history::Closed;
use crate::runner::command::Variables;
use crate::runner::{Command, Refusal};
use crate::store::Error;
use crate::store::sql::requests::startable;
use crate::store::sql::working_set::WorkingSet;
use crate::store::sql::{SqlStore, Tx, corrupt, history_rows, params};
use crate::store::views::HistoryRow;

use super::attempt::Attempt;

/// Closed records of one kind that are read of one instance.
const MAX_RECORDS: i64 = 10_000;

impl SqlStore {
    /// Each item for itself: one that cannot be started again fails, and leaves nothing.
    pub(super) async fn restart_items(&self, tx: &mut Tx, attempt: &mut Attempt) -> Result<(), Error> {
        let fixed = Arc::clone(&attempt.fixed);
        let BatchConfiguration::Restart { definition_id, .. } = &fixed.configuration else {
            return Err(corrupt("batch", &attempt.row.work.batch, &"it does not restart"));
        };
        let mut set = WorkingSet::new(self.surroundings(tx, None).await?);
        let definition = match startable(tx, &set, definition_id).await {
            Ok(definition) => definition,
            Err(Error::Refused(refusal)) => {
                let failed = failure(&refusal);
                attempt.outcomes.iter_mut().for_each(|outcome| *outcome = Some(failed.clone()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        for (id, outcome) in attempt.claimed.ids.iter().zip(attempt.outcomes.iter_mut()) {
            let past = history(tx, id, "instance").await?.pop().filter(|row| fixed.reaches(row.tenant_id.as_deref()));
            let running = match tx.optional("SELECT tenant_id FROM process_instance WHERE id = $1", params![id]).await? {
                Some(row) => fixed.reaches(row.optional_text("tenant_id")?.as_deref()),
                None => false,
            };
            let past = match check(id, definition_id, past, running) {
                Ok(past) => past,
                Err(refusal) => {
                    *outcome = Some(failure(&refusal));
                    continue;
                }
            };
            match start(tx, &mut set, &definition, &fixed.configuration, &past).await {
                Ok(()) => {}
                Err(Error::Refused(refusal)) => *outcome = Some(failure(&refusal)),
                Err(error) => return Err(error),
            }
        }
        set.carry_out(tx).await?;
        // An id was taken, or somebody else wrote first: all of it again, uncharged.
        if set.write(tx).await? { Ok(()) } else { Err(Error::Collision { verb: tx.verb(), source: None }) }
    }
}

/// The instance as it ended, if it did and is of this definition.
fn check(id: &str, definition: &str, past: Option<HistoryRow>, running: bool) -> Result<HistoryRow, Refusal> {
    if running {
        let text = format!("ENGINE-13040 Historic process instance '{id}' cannot be restarted. It is not completed or terminated.");
        return Err(Refusal::engine(text));
    }
    let missing =
        || Refusal::new("BadUserRequestException", "Historic process instance cannot be found: historicProcessInstanceId is null");
    let past = past.ok_or_else(missing)?;
    if past.definition_id != definition {
        return Err(Refusal::engine(format!(
            "ENGINE-13039 Historic process instance '{id}' cannot be restarted. Its process definition '{}' does not match given process definition '{definition}'",
            past.definition_id
        )));
    }
    Ok(past)
}

async fn start(
    tx: &mut Tx,
    set: &mut WorkingSet<'_>,
    definition: &Arc<ProcessDefinition>,
    configuration: &BatchConfiguration,
    past: &HistoryRow,
) -> Result<(), Error> {
    let BatchConfiguration::Restart { instructions, initial_variables, without_business_key, skip, .. } = configuration else {
        return Ok(());
    };
    let kind = if *initial_variables { "detail" } else { "variable" };
    let variables = variables_of(&past.instance_id, history(tx, &past.instance_id, kind).await?);
    let mut instance = set.blank(definition, id::new_base());
    if !without_business_key {
        instance.business_key.clone_from(&past.business_key);
    }
    let id = instance.id.clone();
    set.add_new(Arc::clone(definition), instance);
    let command = Command::Start {
        variables,
        instructions: instructions.clone(),
        start_event: None,
        skip_custom_listeners: skip.custom_listeners,
        skip_io_mappings: skip.io_mappings,
    };
    let started = set.run(tx, &id, command).await;
    if started.is_err() {
        set.members.remove(&id);
    }
    started.map(|_| ())
}

/// The variables of the instance itself, each as it last was; or, from details, as it first was.
fn variables_of(instance: &str, rows: Vec<HistoryRow>) -> Variables {
    let mut found: HashMap<String, usize> = HashMap::new();
    let mut variables = Variables::new();
    for row in rows {
        let record = match row.closed {
            Closed::Variable { record, deleted: false, .. } => record,
            Closed::Detail { record, initial: true, .. } => record,
            _ => continue,
        };
        if record.execution_id != instance || record.task_id.is_some() {
            continue;
        }
        match found.get(&record.name) {
            Some(at) => variables[*at].1 = record.value,
            None => {
                found.insert(record.name.clone(), variables.len());
                variables.push((record.name, record.value));
            }
        }
    }
    variables
}

async fn history(tx: &mut Tx, instance: &str, kind: &str) -> Result<Vec<HistoryRow>, Error> {
    let sql = format!("{} WHERE instance_id = $1 AND kind = $2 ORDER BY number LIMIT $3", history_rows::SELECT_COLUMNS);
    tx.all(&sql, params![instance, kind, MAX_RECORDS]).await?.iter().map(history_rows::read).collect()
}

fn failure(refusal: &Refusal) -> Failure {
    Failure { reason: refusal.kind.to_owned(), details: refusal.to_string(), message: refusal.message.clone() }
}
