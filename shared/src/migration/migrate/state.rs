//! A migration at work: the instance as it changes, its elements, and what is to be written to history.

use super::element::{ElementIx, Elements, Gone, Kind, Owned, execution_at};
use crate::migration::{MigrationPlan, Skip};
use crate::process::definition::ProcessDefinition;
use crate::process::history::{Closed, IncidentEnd, JobEvent};
use crate::process::instance::{Instance, OpenActivityInstance};
use crate::runner::Request;

pub struct State<'a> {
    pub instance: Instance,
    pub source: &'a ProcessDefinition,
    pub target: &'a ProcessDefinition,
    pub plan: &'a MigrationPlan,
    pub skip: Skip,
    pub now: i64,
    pub elements: Elements,
    pub gone: Gone,
    pub closed: Vec<Closed>,
    pub requests: Vec<Request>,
}

impl State<'_> {
    /// Where the execution of an element is in the document.
    pub fn execution_ix(&self, element: ElementIx) -> Option<usize> {
        let element = &self.elements.all[element];
        execution_at(&self.instance, &element.execution, element.hint)
    }

    /// The open activity instance of an element.
    pub fn open_mut(&mut self, element: ElementIx) -> Option<&mut OpenActivityInstance> {
        let element = &self.elements.all[element];
        let (hint, id) = (element.open_hint, &element.id);
        if self.instance.open.get(hint).is_some_and(|o| o.id == *id) {
            return self.instance.open.get_mut(hint);
        }
        self.instance.open.iter_mut().find(|o| o.id == *id)
    }

    /// Lets a job go, with the incidents that stand for it.
    pub fn remove_job(&mut self, job: usize) {
        if self.gone.jobs.contains(&job) {
            return;
        }
        self.gone.jobs.push(job);
        let record = self.instance.jobs[job].clone();
        for ix in 0..self.instance.incidents.len() {
            if self.instance.incidents[ix].configuration.as_ref() == Some(&record.id) {
                self.end_incident(ix);
            }
        }
        self.closed.push(Closed::Job { record, event: JobEvent::Deleted, time: self.now });
    }

    /// Ends an incident, and what stands for it in the instances that called this one.
    pub fn end_incident(&mut self, ix: usize) {
        if self.gone.incidents.contains(&ix) {
            return;
        }
        self.gone.incidents.push(ix);
        let record = self.instance.incidents[ix].clone();
        if let Some(super_instance) = self.instance.super_instance.clone() {
            self.requests.push(Request::IncidentGone { super_instance, incident_id: record.id.clone() });
        }
        self.closed.push(Closed::Incident { record, ended: self.now, state: IncidentEnd::Deleted });
    }

    pub fn remove_subscription(&mut self, subscription: usize) {
        if !self.gone.subscriptions.contains(&subscription) {
            self.gone.subscriptions.push(subscription);
        }
    }

    /// Takes out of the document what was marked as gone.
    pub fn sweep(&mut self) {
        fn keep<T>(list: &mut Vec<T>, gone: &[usize]) {
            if gone.is_empty() {
                return;
            }
            let mut ix = 0;
            list.retain(|_| {
                ix += 1;
                !gone.contains(&(ix - 1))
            });
        }
        keep(&mut self.instance.jobs, &self.gone.jobs);
        keep(&mut self.instance.subscriptions, &self.gone.subscriptions);
        keep(&mut self.instance.incidents, &self.gone.incidents);
    }

    /// Calls `change` with the field that names the execution of each thing that an element owns, variables excepted.
    pub fn each_execution_id(&mut self, element: ElementIx, mut change: impl FnMut(&mut String)) {
        let element = &self.elements.all[element];
        match &element.kind {
            Kind::Transition { job } => change(&mut self.instance.jobs[*job].execution_id),
            Kind::Memory(handler) | Kind::Handler(handler) => change(&mut self.instance.subscriptions[handler.subscription].execution_id),
            Kind::Activity => {}
        }
        for owned in &element.owned {
            change(match owned {
                Owned::Task(ix) => &mut self.instance.tasks[*ix].execution_id,
                Owned::ExternalTask(ix) => &mut self.instance.external_tasks[*ix].execution_id,
                Owned::Timer { job, .. } => &mut self.instance.jobs[*job].execution_id,
                Owned::Subscription { subscription, .. } => &mut self.instance.subscriptions[*subscription].execution_id,
                Owned::Incident { incident, .. } => &mut self.instance.incidents[*incident].execution_id,
            });
        }
    }
}
