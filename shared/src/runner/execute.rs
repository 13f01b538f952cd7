//! What an activity does when a token is at it, by its kind.

use super::Refusal;
use super::run::{Entry, Op, Run, Step};
use crate::process::definition::{ActivityIx, ActivityKind, EventDefinition, ScopeRef, Work};

impl Run<'_, '_> {
    pub fn execute(&mut self, execution: &str) -> Step {
        use ActivityKind as K;
        let activity = self.at(execution)?;
        let a = self.activity(activity);
        match a.kind {
            K::UserTask => self.create_task(execution, activity),
            K::ExternalTask => self.create_external_task(execution, activity),
            K::CallActivity => self.call(execution, activity),
            K::ServiceTaskExpression => self.run_expression(execution, activity),
            K::ReceiveTask | K::EventBasedGateway => Ok(()),
            K::SubProcess | K::EventSubProcess => self.begin_scope(execution, activity),
            K::ParallelGateway => self.parallel_join(execution, activity),
            K::InclusiveGateway => self.inclusive_join(execution, activity),
            K::IntermediateCatchEvent => {
                if self.behind_gateway(activity) {
                    self.push_leave(execution);
                }
                Ok(())
            }
            K::IntermediateConditionalEvent => {
                if self.behind_gateway(activity) || self.condition_is_true(execution, activity) {
                    self.push_leave(execution);
                }
                Ok(())
            }
            K::NoneStartEvent
            | K::EventSubProcessStartEvent
            | K::EventSubProcessStartConditionalEvent
            | K::Task
            | K::ManualTask
            | K::ExclusiveGateway
            | K::IntermediateCatchLinkEvent
            | K::IntermediateThrowNoneEvent
            | K::NoneEndEvent
            | K::BoundaryEvent
            | K::BoundaryConditionalEvent
            | K::CancelBoundaryEvent => {
                self.push_leave(execution);
                Ok(())
            }
            K::ThrowSignalEvent => self.throw_signal(execution, activity),
            K::ThrowEscalationEvent => self.throw_escalation(execution, activity),
            K::ErrorEndEvent => self.throw_error_event(execution, activity),
            K::TerminateEndEvent => self.terminate(execution, activity),
            K::CompensationEvent => self.throw_compensation(execution, activity),
            K::CancelEndEvent => self.cancel_transaction(execution, activity),
            K::ParallelMultiInstance => self.begin_parallel(execution, activity),
            K::SequentialMultiInstance => self.begin_sequential(execution, activity),
            K::ClassDelegate
            | K::ServiceTaskDelegateExpression
            | K::Mail
            | K::Shell
            | K::DmnBusinessRuleTask
            | K::ScriptTask
            | K::CaseCallActivity => Err(self.cannot_run(activity)),
        }
    }

    /// What only the reference's Java side could run is refused by name.
    pub fn cannot_run(&self, activity: ActivityIx) -> Refusal {
        let a = self.activity(activity);
        let what = match &a.work {
            Work::Delegate(class) => class.clone(),
            Work::Unsupported(what) => (*what).to_owned(),
            _ => a.kind.behavior_name().to_owned(),
        };
        let text = format!(
            "The activity '{}' cannot be run here: {what} needs code that this engine does not have. Make it an external task or an expression",
            a.id
        );
        let mut refusal = Refusal::engine(text);
        refusal.failed_activity = Some(a.id.clone());
        refusal
    }

    fn run_expression(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let a = self.activity(activity);
        let Work::Expression { expression, result_variable } = &a.work else { return Err(self.cannot_run(activity)) };
        let value = self.evaluate(execution, expression)?;
        if let Some(name) = result_variable {
            self.set_variable(execution, name, value)?;
        }
        self.push_leave(execution);
        Ok(())
    }

    /// A subprocess begins at its start event.
    fn begin_scope(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let a = self.activity(activity);
        let start = a.children.iter().copied().find(|c| {
            let kind = self.activity(*c).kind;
            matches!(
                kind,
                ActivityKind::NoneStartEvent | ActivityKind::EventSubProcessStartEvent | ActivityKind::EventSubProcessStartConditionalEvent
            )
        });
        let start = start.ok_or_else(|| Refusal::engine(format!("No initial activity found for subprocess {}", a.id)))?;
        self.in_transit(execution, start)?;
        self.push(Op::Enter { execution: execution.to_owned(), activity: start, entry: Entry::Direct, resumed: false });
        Ok(())
    }

    /// A terminate end event: all that runs in its scope is cancelled, and the scope ends.
    fn terminate(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let scope = self.execution_of_scope(execution, self.activity(activity).flow_scope)?;
        let reason = format!("{} terminated", self.activity(activity).id);
        self.finish(execution, activity, false)?;
        if scope == self.i.id {
            self.interrupt(&scope, &reason)?;
            return self.end_instance(activity);
        }
        self.interrupt(&scope, &reason)?;
        self.scope_ended(&scope)
    }

    pub fn behind_gateway(&self, activity: ActivityIx) -> bool {
        let a = self.activity(activity);
        matches!(a.event_scope, Some(ScopeRef::Activity(at)) if at != activity && self.activity(at).kind == ActivityKind::EventBasedGateway)
    }

    fn condition_is_true(&mut self, execution: &str, activity: ActivityIx) -> bool {
        match &self.activity(activity).event {
            Some(EventDefinition::Conditional { condition, .. }) => self.condition(execution, condition).unwrap_or(false),
            _ => false,
        }
    }
}
