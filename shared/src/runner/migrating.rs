//! What a migration has the runner do, one deed at a time. Nothing is worked off afterwards: no token moves, and no
//! conditional event looks at what was set.

use super::run::{Run, Step};
use super::{Cx, Refusal, Request, due};
use crate::migration::Skip;
use crate::process::definition::{ActivityIx, EventDefinition, TimerKind};
use crate::process::history::Closed;
use crate::process::instance::{Instance, JobHandler, SubscriptionKind};

/// Activities are of the definition in the [`Cx`]; `job` and `subscription` are places in the document's lists.
#[derive(Debug)]
pub(crate) enum Deed<'a> {
    /// A scope begins on an execution that was made for it: subscriptions, input mappings, start listeners, timers.
    Begin {
        execution: &'a str,
        activity: ActivityIx,
    },
    Listeners {
        execution: &'a str,
        activity: ActivityIx,
        event: &'static str,
        reason: &'static str,
    },
    Inputs {
        execution: &'a str,
        activity: ActivityIx,
    },
    Outputs {
        execution: &'a str,
        activity: ActivityIx,
    },
    Subscription {
        execution: &'a str,
        event: ActivityIx,
    },
    Timer {
        execution: &'a str,
        event: ActivityIx,
    },
    TimeoutListener {
        execution: &'a str,
        activity: ActivityIx,
        listener: usize,
    },
    RenewTimer {
        job: usize,
        event: ActivityIx,
        listener: Option<usize>,
    },
    RenewSubscription {
        subscription: usize,
        event: ActivityIx,
    },
}

pub(crate) struct Done {
    pub instance: Instance,
    pub closed: Vec<Closed>,
    pub requests: Vec<Request>,
}

/// # Errors
/// What a listener, a mapping or an expression refuses. The lists of the document only grow, so places in them hold.
pub(crate) fn perform(instance: Instance, deed: &Deed<'_>, skip: Skip, cx: &mut Cx<'_>) -> Result<Done, Refusal> {
    let mut run = Run::new(instance, cx);
    (run.skip_listeners, run.skip_mappings) = (skip.custom_listeners, skip.io_mappings);
    run.perform(deed)?;
    Ok(Done { instance: run.i, closed: run.closed, requests: run.requests })
}

impl Run<'_, '_> {
    fn perform(&mut self, deed: &Deed<'_>) -> Step {
        match *deed {
            Deed::Begin { execution, activity } => self.settle(execution, activity),
            Deed::Listeners { execution, activity, event, reason } => {
                self.delete_reason = Some(reason.to_owned());
                self.run_listeners(execution, activity, event)
            }
            Deed::Inputs { execution, activity } => self.map_inputs(execution, activity),
            Deed::Outputs { execution, activity } => self.map_outputs(execution, activity),
            Deed::Subscription { execution, event } => self.subscribe_to(execution, event),
            Deed::Timer { execution, event } => match &self.activity(event).event {
                Some(EventDefinition::Timer(timer)) => self.create_timer(execution, event, timer),
                _ => Ok(()),
            },
            Deed::TimeoutListener { execution, activity, listener } => self.create_timeout(execution, activity, listener),
            Deed::RenewTimer { job, event, listener } => self.renew_timer(job, event, listener),
            Deed::RenewSubscription { subscription, event } => {
                let on = self.i.subscriptions[subscription].execution_id.clone();
                let (_, event_name) = self.declared_subscription(&on, event)?;
                self.i.subscriptions[subscription].event_name = event_name;
                Ok(())
            }
        }
    }

    fn subscribe_to(&mut self, on: &str, event: ActivityIx) -> Step {
        let (Some(kind), event_name) = self.declared_subscription(on, event)? else { return Ok(()) };
        let activity_id = self.activity(event).id.clone();
        self.add_subscription(on, kind, event_name, activity_id, None);
        Ok(())
    }

    /// Kind and name of the subscription that an event declares, the name as it now evaluates.
    fn declared_subscription(&mut self, on: &str, event: ActivityIx) -> Step<(Option<SubscriptionKind>, Option<String>)> {
        let (kind, name) = match &self.activity(event).event {
            Some(EventDefinition::Message { name }) => (SubscriptionKind::Message, name.as_ref()),
            Some(EventDefinition::Signal { name, .. }) => (SubscriptionKind::Signal, Some(name)),
            Some(EventDefinition::Conditional { .. }) => (SubscriptionKind::Conditional, None),
            _ => return Ok((None, None)),
        };
        Ok((Some(kind), name.map_or(Ok(None), |name| self.text(on, name))?))
    }

    fn create_timeout(&mut self, on: &str, activity: ActivityIx, listener: usize) -> Step {
        let Some(task) = self.i.tasks.iter().find(|t| t.execution_id == on).map(|t| t.id.clone()) else { return Ok(()) };
        let Some(listener) = self.activity(activity).timeout_listeners().nth(listener) else { return Ok(()) };
        let Some(timer) = &listener.timer else { return Ok(()) };
        let configuration = format!("{task}$taskListener~{}", listener.id.as_deref().unwrap_or_default());
        self.timer_job(on, activity, JobHandler::TimerTaskListener, configuration, timer, false)
    }

    /// The due date anew, from now. A cycle that does not interrupt repeats; an old repetition is not cleared.
    fn renew_timer(&mut self, job: usize, event: ActivityIx, listener: Option<usize>) -> Step {
        let activity = self.activity(event);
        let declared = match (listener, &activity.event) {
            (Some(listener), _) => activity.timeout_listeners().nth(listener).and_then(|l| l.timer.as_ref()),
            (None, Some(EventDefinition::Timer(timer))) => Some(timer),
            _ => None,
        };
        let Some(timer) = declared else { return Ok(()) };
        let (on, handler) = (self.i.jobs[job].execution_id.clone(), self.i.jobs[job].handler);
        let value = self.evaluate(&on, &timer.value)?;
        self.i.jobs[job].due = Some(due::first_due(timer.kind, &value, self.cx.now)?);
        let interrupts = activity.interrupting && listener.is_none();
        if timer.kind == TimerKind::Cycle && !interrupts && handler != JobHandler::TimerIntermediateTransition {
            self.i.jobs[job].repeat = Some(due::repeat_of(&value, self.cx.now));
        }
        Ok(())
    }
}
