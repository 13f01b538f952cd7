//! From a command to what carries it out.

use super::Refusal;
use super::command::Command;
use super::run::{Run, Step};
use crate::process::history::InstanceEnd;

impl Run<'_, '_> {
    pub fn command(&mut self, command: Command) -> Step {
        match command {
            Command::Start { variables, instructions, start_event, skip_custom_listeners, skip_io_mappings } => {
                (self.skip_listeners, self.skip_mappings) = (skip_custom_listeners, skip_io_mappings);
                self.start(variables, instructions, start_event.as_deref())
            }
            Command::Modify { instructions, skip_custom_listeners, skip_io_mappings } => {
                (self.skip_listeners, self.skip_mappings) = (skip_custom_listeners, skip_io_mappings);
                self.modify(instructions, false)
            }
            Command::Delete { reason, skip_custom_listeners, skip_io_mappings } => {
                (self.skip_listeners, self.skip_mappings) = (skip_custom_listeners, skip_io_mappings);
                self.delete_instance(reason, InstanceEnd::ExternallyTerminated)
            }
            Command::CompleteTask { task_id, variables } => self.complete_task(&task_id, variables),
            Command::UpdateTask { task_id, change } => self.update_task(&task_id, change),
            Command::Deliver { subscription_id, variables, local_variables } => self.deliver(&subscription_id, variables, local_variables),
            Command::SignalExecution { execution_id, variables } => self.signal_execution(&execution_id, variables),
            Command::SetVariables { scope, variables, local } => self.command_set(&scope, variables, local),
            Command::RemoveVariables { scope, names, local } => self.command_remove(&scope, &names, local),
            Command::CalledEnded { called_instance, variables } => self.called_ended(&called_instance, &variables),
            Command::CalledDeleted { called_instance } => self.called_deleted(&called_instance),
            Command::CalledUncaught { called_instance, escalation, code } => self.called_uncaught(&called_instance, escalation, &code),
            other => self.job_command(other),
        }
    }

    fn job_command(&mut self, command: Command) -> Step {
        match command {
            Command::ExecuteJob { job_id } => self.execute_job(&job_id),
            Command::JobFailed { job_id, message, details, failed_activity } => {
                self.job_failed(&job_id, &message, &details, failed_activity)
            }
            Command::SetJobRetries { job_id, retries, due } => self.set_job_retries(&job_id, retries, due),
            Command::SetJobDefinitionRetries { job_definition_id, retries, due } => {
                self.set_job_definition_retries(&job_definition_id, retries, due)
            }
            Command::SetJobDue { job_id, due, cascade } => self.set_job_due(&job_id, due, cascade),
            Command::RecalculateDue { job_id, creation_based } => self.recalculate(&job_id, creation_based),
            Command::SetJobPriority { job_id, priority } => self.change_job(&job_id, |j| j.priority = priority),
            Command::SuspendJob { job_id, suspended } => self.change_job(&job_id, |j| j.suspended = suspended),
            Command::DeleteJob { job_id } => self.delete_job(&job_id),
            Command::SuspendJobs { of, suspended } => {
                self.suspend_jobs(&of, suspended);
                Ok(())
            }
            other => self.other_command(other),
        }
    }

    fn other_command(&mut self, command: Command) -> Step {
        match command {
            Command::LockExternalTask { id, worker_id, until } => {
                self.change_external(&id, |t| (t.worker_id, t.lock_expires) = (Some(worker_id), Some(until)))
            }
            Command::CompleteExternalTask { id, variables, local_variables } => self.complete_external(&id, variables, local_variables),
            Command::FailExternalTask { id, message, details, retries, retry_at, variables, local_variables } => {
                self.fail_external(&id, message, details, retries, retry_at, variables, local_variables)
            }
            Command::ExternalTaskError { id, code, message, variables } => self.external_error(&id, &code, message, variables),
            Command::SetExternalTaskRetries { id, retries } => self.set_external_retries(&id, retries),
            Command::SetExternalTaskPriority { id, priority } => self.change_external(&id, |t| t.priority = priority),
            Command::UnlockExternalTask { id } => self.change_external(&id, |t| (t.worker_id, t.lock_expires) = (None, None)),
            Command::ExtendExternalTaskLock { id, until } => self.change_external(&id, |t| t.lock_expires = Some(until)),
            Command::CreateIncident { execution_id, incident_type, configuration, message } => {
                self.create_incident(&execution_id, incident_type, configuration, message)
            }
            Command::ResolveIncident { id } => self.resolve_incident(&id),
            Command::AnnotateIncident { id, annotation } => self.annotate_incident(&id, annotation),
            Command::IncidentUp { called_instance, incident_id, root_incident_id, incident_type } => {
                self.incident_up(&called_instance, incident_id, root_incident_id, incident_type)
            }
            Command::IncidentGone { incident_id } => {
                self.incident_gone(&incident_id);
                Ok(())
            }
            other => Err(Refusal::engine(format!("The runner does not know the command {other:?}"))),
        }
    }
}
