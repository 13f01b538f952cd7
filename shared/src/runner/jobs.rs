//! The instance's own jobs: made, run, failed, changed, deleted.

use super::Refusal;
use super::due;
use super::run::{Entry, Op, Run, Step};
use crate::job::MAX_MESSAGE_CHARS;
use crate::process::definition::{ActivityIx, ActivityKind};
use crate::process::history::{Closed, JobEvent};
use crate::process::instance::{InstanceJob, JobHandler};

const TRANSITION: &str = "transition-create-scope";
const DIRECT: &str = "activity-start-create-scope";
const PROCESS_START: &str = "process-start";
const ACTIVITY_END: &str = "activity-end";
const TAKE: &str = "transition-notify-listener-take";

impl Run<'_, '_> {
    /// Parks the token before the activity.
    pub fn park_before(&mut self, execution: &str, activity: ActivityIx, entry: Entry) -> Step {
        let configuration = match entry {
            Entry::ProcessStart => PROCESS_START,
            Entry::Transition => TRANSITION,
            Entry::Direct => DIRECT,
        };
        self.create_job(execution, activity, JobHandler::AsyncContinuation, configuration.to_owned(), None, None)
    }

    /// Parks it behind, on its way along a flow.
    pub fn park_after(&mut self, execution: &str, flow: usize) -> Step {
        let flow_id = self.model.flows[flow].id.clone();
        let configuration = format!("{TAKE}${flow_id}");
        self.execution_mut(execution)?.flow = Some(flow_id);
        self.create_job(execution, self.model.flows[flow].source, JobHandler::AsyncContinuation, configuration, None, None)
    }

    /// Parks it behind an activity without flows.
    pub fn park_end(&mut self, execution: &str, activity: ActivityIx) -> Step {
        self.create_job(execution, activity, JobHandler::AsyncContinuation, ACTIVITY_END.to_owned(), None, None)
    }

    pub fn create_job(
        &mut self,
        execution: &str,
        activity: ActivityIx,
        handler: JobHandler,
        configuration: String,
        due: Option<i64>,
        repeat: Option<String>,
    ) -> Step {
        let a = self.activity(activity);
        let after = configuration == ACTIVITY_END || configuration.starts_with(TAKE);
        let declared = match handler {
            JobHandler::AsyncContinuation => Some(if after { "async-after" } else { "async-before" }),
            _ => None,
        };
        let declaration = self.model.job_definition(&a.id, handler.job_type(), declared);
        let job_definition_id = declaration.map(|d| d.id.clone()).filter(|id| !id.is_empty());
        let setting = job_definition_id.as_deref().map(|id| self.cx.job_definitions.setting(id)).unwrap_or_default();
        let priority = match (setting.overriding_priority, a.job_priority.as_ref().or(self.model.job_priority.as_ref())) {
            (Some(priority), _) => priority,
            (None, Some(expression)) => self.number(execution, expression)?.unwrap_or(0),
            (None, None) => 0,
        };
        let job = InstanceJob {
            id: self.new_id(),
            execution_id: execution.to_owned(),
            handler,
            configuration,
            activity_id: a.id.clone(),
            definition_id: self.model.id.clone(),
            deployment_id: self.model.deployment_id.clone(),
            job_definition_id,
            due,
            repeat,
            retries: self.cx.default_retries,
            priority,
            suspended: self.i.suspended || setting.suspended,
            exclusive: a.exclusive,
            created: self.cx.now,
            ..InstanceJob::default()
        };
        self.closed.push(Closed::Job { record: job.clone(), event: JobEvent::Created, time: self.cx.now });
        self.i.jobs.push(job);
        Ok(())
    }

    fn job_mut(&mut self, id: &str) -> Step<&mut InstanceJob> {
        let missing = || Refusal::new("NullValueException", format!("No job found with id '{id}': job is null"));
        self.i.jobs.iter_mut().find(|j| j.id == id).ok_or_else(missing)
    }

    pub fn execute_job(&mut self, id: &str) -> Step {
        let job = self.job_mut(id)?.clone();
        if self.i.suspended {
            return Err(super::tasks::suspended("Execution", &job.execution_id));
        }
        self.i.jobs.retain(|j| j.id != id);
        self.end_incidents_of(id, true);
        self.closed.push(Closed::Job { record: job.clone(), event: JobEvent::Succeeded, time: self.cx.now });
        self.repeat_timer(&job)?;
        let memory = self.i.execution(&job.execution_id).is_some_and(|e| e.is_event_scope);
        let done = match job.handler {
            _ if memory => Ok(()),
            JobHandler::AsyncContinuation => self.go_on(&job),
            JobHandler::TimerTaskListener => self.run_timeout(&job),
            JobHandler::TimerTransition | JobHandler::TimerIntermediateTransition | JobHandler::TimerStartEventSubprocess => {
                self.named(&job.activity_id).and_then(|activity| self.trigger(&job.execution_id, activity))
            }
        };
        done.and_then(|()| self.work()).map_err(|mut refusal| {
            refusal.failed_activity = refusal.failed_activity.take().or(Some(job.activity_id));
            refusal
        })
    }

    fn go_on(&mut self, job: &InstanceJob) -> Step {
        let execution = job.execution_id.clone();
        let activity = self.named(&job.activity_id)?;
        let op = match job.configuration.as_str() {
            ACTIVITY_END => Op::Ended { execution, activity },
            PROCESS_START => Op::Enter { execution, activity, entry: Entry::ProcessStart, resumed: true },
            TRANSITION => Op::Enter { execution, activity, entry: Entry::Transition, resumed: true },
            DIRECT => Op::Enter { execution, activity, entry: Entry::Direct, resumed: true },
            take => {
                let id = take.split_once('$').map(|(_, id)| id);
                let a = self.activity(activity);
                let flow = a.outgoing.iter().copied().find(|f| id.is_none_or(|id| self.model.flows[*f].id == id));
                let missing = || Refusal::engine(format!("The activity '{}' has no sequence flow '{}'", a.id, id.unwrap_or_default()));
                Op::Take { execution, flow: flow.ok_or_else(missing)?, resumed: true }
            }
        };
        self.push(op);
        Ok(())
    }

    fn run_timeout(&mut self, job: &InstanceJob) -> Step {
        let Some((task, id)) = job.configuration.split_once("$taskListener~") else { return Ok(()) };
        let activity = self.named(&job.activity_id)?;
        let listener = self.activity(activity).timeout_listeners().find(|l| l.id.as_deref() == Some(id));
        match listener {
            Some(listener) if !self.skip_listeners => self.run_task_action(&job.execution_id, task, "timeout", &listener.action),
            _ => Ok(()),
        }
    }

    /// Bookkeeping after a failed attempt: the model's retry cycle, or one retry less; an incident when none is left.
    pub fn job_failed(&mut self, id: &str, message: &str, details: &str, failed_activity: Option<String>) -> Step {
        let now = self.cx.now;
        let job = self.job_mut(id)?;
        let first = job.exception_message.is_none() && job.exception_stacktrace.is_none();
        job.exception_message = Some(message.chars().take(MAX_MESSAGE_CHARS).collect());
        job.exception_stacktrace = Some(details.to_owned());
        job.failed_activity_id = failed_activity;
        let activity_id = job.activity_id.clone();
        let cycle = self.model.get(&activity_id).and_then(|a| a.retry_time_cycle.clone());
        let job = self.job_mut(id)?;
        match cycle.as_deref().map(retry_cycle) {
            Some(Some((times, intervals))) => {
                if first {
                    job.retries = times;
                }
                let last = intervals.len().saturating_sub(1);
                let index = (intervals.len() as i64 - (i64::from(job.retries) - 1)).clamp(0, last as i64) as usize;
                job.due = intervals.get(index).and_then(|i| i.after(now)).or(job.due);
                job.retries = (job.retries - 1).max(0);
            }
            _ => job.retries = (job.retries - 1).max(0),
        }
        let record = job.clone();
        self.closed.push(Closed::Job { record: record.clone(), event: JobEvent::Failed, time: now });
        if record.retries == 0 { self.job_incident(&record) } else { Ok(()) }
    }

    pub fn set_job_definition_retries(&mut self, definition: &str, retries: i32, due: Option<Option<i64>>) -> Step {
        check_retries(retries)?;
        let of_definition = |job: &&mut InstanceJob| job.retries == 0 && job.job_definition_id.as_deref() == Some(definition);
        for job in self.i.jobs.iter_mut().filter(of_definition) {
            job.retries = retries;
            job.due = due.unwrap_or(job.due);
        }
        Ok(())
    }

    pub fn set_job_retries(&mut self, id: &str, retries: i32, due: Option<Option<i64>>) -> Step {
        check_retries(retries)?;
        let job = self.job_mut(id)?;
        let before = std::mem::replace(&mut job.retries, retries);
        if let Some(due) = due {
            job.due = due;
        }
        let record = job.clone();
        match (before, retries) {
            (1.., 0) => self.job_incident(&record),
            (0, 1..) => {
                self.end_incidents_of(id, true);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// With `cascade` the repetitions after this one move by as much.
    pub fn set_job_due(&mut self, id: &str, due: Option<i64>, cascade: bool) -> Step {
        let job = self.job_mut(id)?;
        if let (true, Some(repeat), Some(new), Some(old)) = (cascade, job.repeat.as_deref(), due, job.due) {
            job.repeat = Some(due::shifted(repeat, new - old));
        }
        job.due = due;
        Ok(())
    }

    pub fn recalculate(&mut self, id: &str, creation_based: bool) -> Step {
        let job = self.job_mut(id)?.clone();
        let due = self.due_again(&job, creation_based)?;
        self.job_mut(id)?.due = due;
        Ok(())
    }

    pub fn change_job(&mut self, id: &str, change: impl FnOnce(&mut InstanceJob)) -> Step {
        change(self.job_mut(id)?);
        Ok(())
    }

    pub fn suspend_jobs(&mut self, of: &[(String, String)], suspended: bool) {
        let meant =
            |j: &InstanceJob| of.is_empty() || of.iter().any(|(activity, kind)| j.activity_id == *activity && j.handler.job_type() == kind);
        for job in self.i.jobs.iter_mut().filter(|j| meant(j)) {
            job.suspended = suspended;
        }
    }

    pub fn delete_job(&mut self, id: &str) -> Step {
        self.job_mut(id)?;
        self.delete_jobs(|job| job.id == id);
        Ok(())
    }

    pub fn delete_jobs_on(&mut self, execution: &str) {
        self.delete_jobs(|job| job.execution_id == execution);
    }

    pub fn delete_jobs(&mut self, gone: impl Fn(&InstanceJob) -> bool) {
        while let Some(index) = self.i.jobs.iter().position(&gone) {
            let record = self.i.jobs.remove(index);
            self.end_incidents_of(&record.id, false);
            self.closed.push(Closed::Job { record, event: JobEvent::Deleted, time: self.cx.now });
        }
    }

    pub fn is_parallel_body(&self, e: &crate::process::instance::Execution) -> bool {
        let activity = e.scope.as_ref().and_then(|p| self.model.get(&p.activity_id));
        activity.is_some_and(|a| a.kind == ActivityKind::ParallelMultiInstance)
    }
}

fn check_retries(retries: i32) -> Step {
    if retries >= 0 {
        return Ok(());
    }
    let text = format!("ENGINE-13054 The number of job retries must be a non-negative Integer, but '{retries}' has been provided.");
    Err(Refusal::new("BadUserRequestException", text))
}

/// `R3/PT10M`, or a comma-separated list of durations: (attempts, intervals).
fn retry_cycle(text: &str) -> Option<(i32, Vec<due::Period>)> {
    if let Some((times, interval)) = text.split_once('/').filter(|(times, _)| times.starts_with('R')) {
        let times = times.get(1..)?.parse().ok()?;
        return Some((times, vec![due::period(interval).ok()?]));
    }
    let intervals: Option<Vec<_>> = text.split(',').map(|i| due::period(i.trim()).ok()).collect();
    intervals.map(|i| (i32::try_from(i.len()).unwrap_or(i32::MAX).saturating_add(1), i))
}
