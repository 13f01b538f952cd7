//! What a migration has the runner do: begin scopes, run listeners and mappings, make and renew triggers. The rest of
//! the migration touches the document alone.
//!
//! Conditional events do not fire on what listeners and mappings set here (spec-migration §6.5).

use super::element::{Declared, Element, ElementIx, Emerging, Kind, Side};
use super::state::State;
use super::triggers::declared_on;
use crate::migration::{MigrationCx, NotMigrated};
use crate::process::definition::{ActivityIx, EventDefinition, ProcessDefinition, ScopeRef};
use crate::process::tree;
use crate::runner::migrating::{Deed, perform};
use crate::runner::{Command, Cx, Refusal, command::VariableScope, run};

impl State<'_> {
    fn perform(&mut self, cx: &mut MigrationCx<'_>, definition: &ProcessDefinition, deed: &Deed<'_>) -> Result<(), NotMigrated> {
        let mut runner =
            Cx { definition, now: cx.now, ids: &mut *cx.ids, job_definitions: cx.job_definitions, default_retries: cx.default_retries };
        let done = perform(std::mem::take(&mut self.instance), deed, self.skip, &mut runner).map_err(NotMigrated::Refused)?;
        self.instance = done.instance;
        self.closed.extend(done.closed);
        self.requests.extend(done.requests);
        Ok(())
    }

    /// Listeners of the source's model: those of a scope that vanishes.
    pub fn run_listeners(
        &mut self,
        cx: &mut MigrationCx<'_>,
        execution: &str,
        activity: ActivityIx,
        event: &'static str,
    ) -> Result<(), NotMigrated> {
        let source = self.source;
        if !source.activity(activity).listeners.iter().any(|l| l.event == event) {
            return Ok(());
        }
        self.perform(cx, source, &Deed::Listeners { execution, activity, event, reason: "migration" })
    }

    pub fn run_outputs(&mut self, cx: &mut MigrationCx<'_>, execution: &str, activity: ActivityIx) -> Result<(), NotMigrated> {
        let source = self.source;
        if source.activity(activity).outputs.is_empty() {
            return Ok(());
        }
        self.perform(cx, source, &Deed::Outputs { execution, activity })
    }

    pub fn run_inputs(&mut self, cx: &mut MigrationCx<'_>, execution: &str, activity: ActivityIx) -> Result<(), NotMigrated> {
        let target = self.target;
        if target.activity(activity).inputs.is_empty() {
            return Ok(());
        }
        self.perform(cx, target, &Deed::Inputs { execution, activity })
    }

    /// A new scope of the target on an execution of its own below `above`: its subscriptions, input mappings, start
    /// listeners and timers (FINDINGS 24). No async job comes into being for it.
    pub fn create_scope(
        &mut self,
        cx: &mut MigrationCx<'_>,
        parent: ElementIx,
        above: &str,
        scope: ActivityIx,
    ) -> Result<ElementIx, NotMigrated> {
        let target = self.target;
        let execution = tree::create_child(&mut self.instance, above, cx.ids);
        self.perform(cx, target, &Deed::Begin { execution: &execution, activity: scope })?;
        let side = Side::Target(ScopeRef::Activity(scope));
        let mut element = Element::new(Kind::Activity, String::new(), execution.clone(), side);
        if let Some(e) = self.instance.execution_mut(&execution) {
            (e.at, e.is_active) = (None, false);
            element.id = e.scope.as_ref().and_then(|p| p.activity_instance_id.clone()).unwrap_or_default();
        }
        (element.parent, element.is_scope, element.target) = (Some(parent), true, Some(ScopeRef::Activity(scope)));
        Ok(self.elements.add(element))
    }

    /// Triggers that the target declares and nothing kept stands for.
    pub fn create_emerging(&mut self, cx: &mut MigrationCx<'_>, element: ElementIx) -> Result<(), NotMigrated> {
        let emerging = std::mem::take(&mut self.elements.all[element].emerging);
        let (target, execution) = (self.target, self.elements.all[element].execution.clone());
        for trigger in emerging {
            let deed = match trigger {
                Emerging::Timer(event) => Deed::Timer { execution: &execution, event },
                Emerging::Listener(activity, listener) => Deed::TimeoutListener { execution: &execution, activity, listener },
                Emerging::Subscription(event) => Deed::Subscription { execution: &execution, event },
            };
            self.perform(cx, target, &deed)?;
        }
        Ok(())
    }

    /// All timers that a scope of the target declares.
    pub fn create_timers(&mut self, cx: &mut MigrationCx<'_>, execution: &str, scope: ScopeRef) -> Result<(), NotMigrated> {
        let target = self.target;
        for event in declared_on(target, scope).filter(|e| matches!(target.activity(*e).event, Some(EventDefinition::Timer(_)))) {
            self.perform(cx, target, &Deed::Timer { execution, event })?;
        }
        Ok(())
    }

    /// A kept timer with updateEventTrigger: its due date anew, from now; repeats if the target's does (§6.5).
    pub fn update_timer(
        &mut self,
        cx: &mut MigrationCx<'_>,
        element: ElementIx,
        job: usize,
        (to, declared): (ActivityIx, Declared),
    ) -> Result<(), NotMigrated> {
        let target = self.target;
        let listener = match declared {
            Declared::Nothing => return Err(self.no_such_trigger(element, to)),
            Declared::Timer => None,
            Declared::Listener(ix) => Some(ix),
        };
        self.perform(cx, target, &Deed::RenewTimer { job, event: to, listener })
    }

    /// A kept subscription with updateEventTrigger: its name anew, in the variables that its scope sees.
    pub fn update_subscription(
        &mut self,
        cx: &mut MigrationCx<'_>,
        element: ElementIx,
        subscription: usize,
        (to, declared): (ActivityIx, bool),
    ) -> Result<(), NotMigrated> {
        let target = self.target;
        if !declared {
            return Err(self.no_such_trigger(element, to));
        }
        if matches!(target.activity(to).event, Some(EventDefinition::Conditional { .. })) {
            self.instance.subscriptions[subscription].event_name = None;
            return Ok(());
        }
        self.perform(cx, target, &Deed::RenewSubscription { subscription, event: to })
    }

    /// The plan's variables, on the process instance, once all else is done: conditions may fire on them (§6.6).
    pub fn set_plan_variables(&mut self, cx: &mut MigrationCx<'_>) -> Result<bool, NotMigrated> {
        let Some(variables) = self.plan.variables.as_ref().filter(|v| !v.is_empty()) else { return Ok(false) };
        if let Some(why) = variables.iter().find_map(|(_, value)| value.without_serializer()) {
            return Err(NotMigrated::Refused(Refusal::engine(why)));
        }
        let scope = VariableScope::Execution(self.instance.id.clone());
        let command = Command::SetVariables { scope, variables: variables.clone(), local: false };
        let mut runner = Cx {
            definition: self.target,
            now: cx.now,
            ids: &mut *cx.ids,
            job_definitions: cx.job_definitions,
            default_retries: cx.default_retries,
        };
        let ran = run(std::mem::take(&mut self.instance), command, &mut runner).map_err(NotMigrated::Refused)?;
        self.instance = ran.instance;
        self.closed.extend(ran.closed);
        self.requests.extend(ran.requests);
        Ok(ran.ended)
    }
}
