//! Tasks that callers make: of no process instance, alone or below another task, with which they end.
//!
//! Pure like all of the runner. Who ends what lies below is the store: it knows all of them.

use serde::{Deserialize, Serialize};

use super::Refusal;
use super::command::{Command, Variables};
use super::tasks::apply;
use crate::process::Ids;
use crate::process::instance::{Task, Variable};
use crate::process::unknown::Unknown;

/// Why a task went that was completed, and one that a caller deleted.
const COMPLETED: &str = "completed";
const DELETED: &str = "deleted";

/// A task of no instance: execution, activity instance, key and definition of `task` are empty.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct StandaloneTask {
    pub task: Task,
    pub tenant_id: Option<String>,
    /// The instance of the topmost task above it.
    pub instance: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub variables: Vec<Variable>,
}

/// What becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    Stays,
    /// It ends, and all below it, for this reason.
    Ends(String),
}

/// Carries out one command: those on tasks, on variables, and [`Command::Delete`].
///
/// # Errors
/// A refusal, as the reference words it; the task is then to be taken as it was.
pub fn run(standalone: &mut StandaloneTask, command: Command, now: i64, ids: &mut dyn Ids) -> Result<Fate, Refusal> {
    match command {
        Command::CompleteTask { variables, .. } => {
            if standalone.task.delegation_state.as_deref() == Some("PENDING") {
                return Err(Refusal::engine("A delegated task cannot be completed, but should be resolved instead."));
            }
            set(standalone, variables, now, ids);
            return Ok(Fate::Ends(COMPLETED.to_owned()));
        }
        Command::Delete { reason, .. } => return Ok(Fate::Ends(reason.unwrap_or_else(|| DELETED.to_owned()))),
        Command::UpdateTask { change, .. } => {
            apply(&mut standalone.task, change);
            standalone.task.last_updated = Some(now);
        }
        Command::SetVariables { variables, .. } => set(standalone, variables, now, ids),
        Command::RemoveVariables { names, .. } => standalone.variables.retain(|v| !names.contains(&v.name)),
        _ => {
            let text = format!("The task '{}' belongs to no process instance: this cannot be done to it", standalone.task.id);
            return Err(Refusal::engine(text));
        }
    }
    Ok(Fate::Stays)
}

fn set(standalone: &mut StandaloneTask, variables: Variables, now: i64, ids: &mut dyn Ids) {
    for (name, value) in variables {
        if let Some(there) = standalone.variables.iter_mut().find(|v| v.name == name) {
            there.value = value;
            continue;
        }
        standalone.variables.push(Variable {
            id: ids.next(),
            name,
            execution_id: String::new(),
            task_id: Some(standalone.task.id.clone()),
            definition_id: String::new(),
            history_definition_id: String::new(),
            created: now,
            concurrent_local: false,
            value,
            other: Unknown::default(),
        });
    }
}
