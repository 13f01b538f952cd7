//! Re-pointing what is kept at the target: activity ids, definitions, job definitions, names and due dates
//! (spec-migration §6.3 step 2 and 3, §7; spec/execution-tree.md, "What changes on the elements").

use super::element::{ElementIx, JobDefinitionOf, Owned, Side};
use super::state::State;
use crate::migration::validate_instance::{is_async_after, stored_flow};
use crate::migration::{MigrationCx, NotMigrated};
use crate::process::definition::{ActivityIx, ScopeRef};
use crate::process::instance::JobHandler;
use crate::runner::Refusal;

impl State<'_> {
    /// The activity id on an element's execution.
    pub fn repoint_execution(&mut self, element: ElementIx) {
        let Some(ScopeRef::Activity(target)) = self.elements.all[element].target else { return };
        let (id, target_id) = (&self.elements.all[element].id, &self.target.activity(target).id);
        let is_activity = self.elements.all[element].is_activity();
        let Some(ix) = self.execution_ix(element) else { return };
        let execution = &mut self.instance.executions[ix];
        // The scope of an execution is another element's, unless the leaf is a scope itself or this is a memory.
        if self.elements.all[element].is_scope
            && let Some(scope) = &mut execution.scope
        {
            target_id.clone_into(&mut scope.activity_id);
        }
        if let Some(at) = &mut execution.at
            && (!is_activity || at.activity_instance_id.as_ref() == Some(id))
        {
            target_id.clone_into(&mut at.activity_id);
        }
    }

    /// The open activity instance: a historic one that goes on at the target (§8).
    pub fn repoint_open(&mut self, element: ElementIx) {
        let Some(ScopeRef::Activity(target)) = self.elements.all[element].target else { return };
        let (activity, definition) = (self.target.activity(target), &self.target.id);
        let parent = self.elements.all[element].parent.map(|p| self.elements.closest_activity(p));
        let parent = parent.map(|p| self.elements.all[p].id.clone());
        let Some(open) = self.open_mut(element) else { return };
        activity.id.clone_into(&mut open.activity_id);
        open.activity_name.clone_from(&activity.name);
        activity.type_name.clone_into(&mut open.activity_type);
        definition.clone_into(&mut open.definition_id);
        if open.parent != parent {
            open.parent = parent;
        }
    }

    /// # Errors
    /// Where a trigger is to be evaluated anew and the target declares none, or its expression fails.
    pub fn repoint_owned(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx) -> Result<(), NotMigrated> {
        let owned = std::mem::take(&mut self.elements.all[element].owned);
        let target = self.elements.all[element].target;
        for thing in &owned {
            match thing {
                Owned::Task(ix) => self.repoint_task(*ix, element),
                Owned::ExternalTask(ix) => {
                    let task = &mut self.instance.external_tasks[*ix];
                    self.target.id.clone_into(&mut task.definition_id);
                    if let Some(target) = target {
                        self.target.scope_id(target).clone_into(&mut task.activity_id);
                    }
                }
                Owned::Timer { job, to, update, declared } => {
                    self.repoint_timer(*job, *to);
                    if *update {
                        self.update_timer(cx, element, *job, (*to, *declared))?;
                    }
                }
                Owned::Subscription { subscription, to, update, declared } => {
                    if *update {
                        self.update_subscription(cx, element, *subscription, (*to, *declared))?;
                    }
                    let record = &mut self.instance.subscriptions[*subscription];
                    self.target.activity(*to).id.clone_into(&mut record.activity_id);
                }
                Owned::Incident { incident, job_definition } => {
                    let to = match job_definition {
                        JobDefinitionOf::Job(job) => owned.iter().find_map(|o| match o {
                            Owned::Timer { job: j, to, .. } if j == job => Some(ScopeRef::Activity(*to)),
                            _ => None,
                        }),
                        JobDefinitionOf::Nothing => None,
                    };
                    self.repoint_incident(*incident, to.or(target), *job_definition);
                }
            }
        }
        self.elements.all[element].owned = owned;
        Ok(())
    }

    fn repoint_task(&mut self, ix: usize, element: ElementIx) {
        let Some(ScopeRef::Activity(target)) = self.elements.all[element].target else { return };
        let task = &mut self.instance.tasks[ix];
        self.target.activity(target).id.clone_into(&mut task.task_definition_key);
        self.target.id.clone_into(&mut task.definition_id);
    }

    fn repoint_timer(&mut self, ix: usize, to: ActivityIx) {
        let activity = self.target.activity(to);
        let job = &mut self.instance.jobs[ix];
        let definition = self.target.job_definition(&activity.id, job.handler.job_type(), None);
        if let Some(definition) = definition {
            job.job_definition_id = Some(definition.id.clone());
        }
        match (job.handler, activity.flow_scope) {
            // It names its task and listener, by which it was matched.
            (JobHandler::TimerTaskListener, _) => {}
            // The trigger leads to the event subprocess, not to its start event.
            (JobHandler::TimerStartEventSubprocess, ScopeRef::Activity(scope)) => {
                self.target.activity(scope).id.clone_into(&mut job.configuration);
            }
            _ => activity.id.clone_into(&mut job.configuration),
        }
        activity.id.clone_into(&mut job.activity_id);
        self.target.id.clone_into(&mut job.definition_id);
        self.target.deployment_id.clone_into(&mut job.deployment_id);
    }

    fn repoint_incident(&mut self, ix: usize, target: Option<ScopeRef>, job_definition: JobDefinitionOf) {
        let job_definition = match job_definition {
            JobDefinitionOf::Job(job) => self.target_definition_of(job),
            JobDefinitionOf::Nothing => None,
        };
        let incident = &mut self.instance.incidents[ix];
        if let Some(target) = target {
            incident.activity_id = Some(self.target.scope_id(target).to_owned());
        }
        self.target.id.clone_into(&mut incident.definition_id);
        incident.job_definition_id = job_definition;
    }

    /// None for a job of another kind than the target declares, which keeps the source's (FINDINGS 23).
    fn target_definition_of(&self, job: usize) -> Option<String> {
        let id = self.instance.jobs[job].job_definition_id.as_ref()?;
        self.target.job_definitions.iter().any(|d| d.id == *id).then(|| id.clone())
    }

    /// The async job of a parked token (§7, "TI asyncBefore", "TI asyncAfter").
    pub fn repoint_parked(&mut self, element: ElementIx, ix: usize) {
        let Some(ScopeRef::Activity(target)) = self.elements.all[element].target else { return };
        let activity = self.target.activity(target);
        let job = &mut self.instance.jobs[ix];
        let after = is_async_after(job);
        let flow = match activity.outgoing.as_slice() {
            [] => None,
            [only] => Some(self.target.flows[*only].id.clone()),
            _ => stored_flow(job).map(str::to_owned),
        };
        job.configuration = if after {
            flow.as_ref().map_or_else(|| "activity-end".to_owned(), |flow| format!("transition-notify-listener-take${flow}"))
        } else if job.configuration == "process-start" {
            "process-start".to_owned()
        } else if activity.incoming.is_empty() {
            "activity-start-create-scope".to_owned()
        } else {
            "transition-create-scope".to_owned()
        };
        let configuration = if after { "async-after" } else { "async-before" };
        let job_type = JobHandler::AsyncContinuation.job_type();
        let definition = self.target.job_definition(&activity.id, job_type, Some(configuration));
        if let Some(definition) = definition.or_else(|| self.target.job_definition(&activity.id, job_type, None)) {
            job.job_definition_id = Some(definition.id.clone());
        }
        activity.id.clone_into(&mut job.activity_id);
        self.target.id.clone_into(&mut job.definition_id);
        self.target.deployment_id.clone_into(&mut job.deployment_id);
        if let Some(at) = self.execution_ix(element)
            && self.instance.executions[at].flow.is_some()
        {
            self.instance.executions[at].flow = flow.filter(|_| after);
        }
    }

    /// What is said where both definitions cannot be made to agree on one trigger (FINDINGS 22, 23).
    pub fn no_such_trigger(&self, element: ElementIx, to: ActivityIx) -> NotMigrated {
        let from = match self.elements.all[element].current {
            Side::Source(scope) => self.source.scope_id(scope),
            Side::Target(scope) => self.target.scope_id(scope),
        };
        let id = &self.target.activity(to).id;
        let mut refusal = Refusal::new(
            "BadUserRequestException",
            format!(
                "Cannot update the event trigger of '{id}' at '{from}' of process instance '{}': the target declares no such trigger \
                 for it, or another source event takes it already. Leave out updateEventTrigger, or map one event of the same type",
                self.instance.id
            ),
        );
        refusal.failed_activity = Some(id.clone());
        NotMigrated::Refused(refusal)
    }
}
