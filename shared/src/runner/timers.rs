//! Timers: made with the scope they belong to, as jobs; repeated if they are cycles.

use super::due;
use super::run::{Run, Step};
use crate::process::definition::{ActivityIx, ActivityKind, EventDefinition, ScopeRef, TimerDeclaration, TimerKind};
use crate::process::history::{Closed, JobEvent};
use crate::process::instance::{InstanceJob, JobHandler};

impl Run<'_, '_> {
    /// The timers that live on the scope of an activity.
    pub fn create_timers(&mut self, on: &str, activity: ActivityIx) -> Step {
        self.create_timers_of(on, ScopeRef::Activity(activity))
    }

    pub fn create_timers_of(&mut self, on: &str, scope: ScopeRef) -> Step {
        let model = self.model;
        for event in model.events_of(scope) {
            let a = self.activity(event);
            if let (Some(EventDefinition::Timer(timer)), false) = (&a.event, self.starts_process(event)) {
                self.create_timer(on, event, timer)?;
            }
        }
        Ok(())
    }

    pub fn create_timer(&mut self, on: &str, event: ActivityIx, timer: &TimerDeclaration) -> Step {
        let a = self.activity(event);
        let (handler, configuration, interrupts) = match (a.kind, a.flow_scope) {
            (ActivityKind::BoundaryEvent, _) => (JobHandler::TimerTransition, a.id.clone(), a.interrupting),
            (ActivityKind::EventSubProcessStartEvent, ScopeRef::Activity(sub)) => {
                (JobHandler::TimerStartEventSubprocess, self.activity(sub).id.clone(), a.interrupting)
            }
            _ => (JobHandler::TimerIntermediateTransition, a.id.clone(), true),
        };
        self.timer_job(on, event, handler, configuration, timer, interrupts)
    }

    /// One timer for each timeout listener of a task.
    pub fn create_timeouts(&mut self, execution: &str, activity: ActivityIx, task: &str) -> Step {
        for listener in self.activity(activity).timeout_listeners() {
            let configuration = format!("{task}$taskListener~{}", listener.id.as_deref().unwrap_or_default());
            if let Some(timer) = &listener.timer {
                self.timer_job(execution, activity, JobHandler::TimerTaskListener, configuration, timer, false)?;
            }
        }
        Ok(())
    }

    pub fn timer_job(
        &mut self,
        on: &str,
        activity: ActivityIx,
        handler: JobHandler,
        configuration: String,
        timer: &TimerDeclaration,
        interrupts: bool,
    ) -> Step {
        let value = self.evaluate(on, &timer.value)?;
        let due = due::first_due(timer.kind, &value, self.cx.now)?;
        let repeat = (timer.kind == TimerKind::Cycle && !interrupts).then(|| due::repeat_of(&value, self.cx.now));
        self.create_job(on, activity, handler, configuration, Some(due), repeat)
    }

    /// A repeating timer that runs leaves the next one behind.
    pub fn repeat_timer(&mut self, job: &InstanceJob) -> Step {
        let Some(repeat) = job.repeat.as_ref().filter(|_| self.i.execution(&job.execution_id).is_some()) else { return Ok(()) };
        if let Some(due) = due::next_due(repeat, self.cx.now)? {
            let next = InstanceJob {
                id: self.new_id(),
                due: Some(due),
                exception_message: None,
                exception_stacktrace: None,
                failed_activity_id: None,
                created: self.cx.now,
                ..job.clone()
            };
            self.closed.push(Closed::Job { record: next.clone(), event: JobEvent::Created, time: self.cx.now });
            self.i.jobs.push(next);
        }
        Ok(())
    }

    /// What a timer declared for `job` says now (`recalculate`): from its creation, or from now.
    pub fn due_again(&mut self, job: &InstanceJob, creation_based: bool) -> Step<Option<i64>> {
        let start = if creation_based { job.created } else { self.cx.now };
        let Some(activity) = self.model.find(&job.activity_id) else { return Ok(job.due) };
        let listener = job.configuration.split_once("$taskListener~").map(|(_, id)| id);
        let timer = match (listener, &self.activity(activity).event) {
            (Some(id), _) => {
                self.activity(activity).timeout_listeners().find(|l| l.id.as_deref() == Some(id)).and_then(|l| l.timer.as_ref())
            }
            (None, Some(EventDefinition::Timer(timer))) => Some(timer),
            _ => None,
        };
        let Some(timer) = timer else { return Ok(job.due) };
        let value = self.evaluate(&job.execution_id, &timer.value)?;
        due::first_due(timer.kind, &value, start).map(Some)
    }

    pub fn delete_timeouts(&mut self, task: &str) {
        let prefix = format!("{task}$taskListener~");
        self.delete_jobs(|job| job.handler == JobHandler::TimerTaskListener && job.configuration.starts_with(&prefix));
    }

    /// Is this a start event of the process itself? Its trigger belongs to the definition, never to an instance.
    pub fn starts_process(&self, event: ActivityIx) -> bool {
        let a = self.activity(event);
        a.flow_scope == ScopeRef::Process && a.kind == ActivityKind::NoneStartEvent
    }
}
