//! Call activities: asking for a called instance, and going on when it has ended.

use super::command::{Modification, Variables};
use super::run::{Op, Run, Step};
use super::{Refusal, Request};
use crate::process::definition::{ActivityIx, CallActivity, CallMapping, Work};
use crate::process::expression::{self, Expression, ExpressionContext};
use crate::process::value::TypedValue;

impl Run<'_, '_> {
    fn called(&self, activity: ActivityIx) -> Step<&CallActivity> {
        match &self.model.activities[activity].work {
            Work::Call(call) if !call.is_case => Ok(call),
            _ => Err(self.cannot_run(activity)),
        }
    }

    pub fn call(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let call = self.called(activity)?.clone();
        let called = self.text(execution, &call.called)?.unwrap_or_default();
        let version = call.version.as_ref().map_or(Ok(None), |e| self.text(execution, e))?;
        let version_tag = call.version_tag.as_ref().map_or(Ok(None), |e| self.text(execution, e))?;
        let tenant_id = call.tenant_id.as_ref().map_or(Ok(None), |e| self.text(execution, e))?;
        let (business_key, variables) = self.handed_over(execution, &call.inputs)?;
        let instance_id = self.cx.ids.next_instance();
        let e = self.execution_mut(execution)?;
        e.called_instance = Some(instance_id.clone());
        let place = e.at.as_ref().and_then(|at| at.activity_instance_id.clone());
        if let Some(open) = self.i.open.iter_mut().find(|o| Some(&o.id) == place.as_ref()) {
            open.called_instance = Some(instance_id.clone());
        }
        self.requests.push(Request::StartCalled {
            instance_id,
            called,
            binding: call.binding,
            version,
            version_tag,
            tenant_id,
            business_key,
            variables,
        });
        Ok(())
    }

    /// What `camunda:in` hands to a called instance, or along with a signal: business key and variables.
    pub fn handed_over(&mut self, execution: &str, mappings: &[CallMapping]) -> Step<(Option<String>, Variables)> {
        let (mut business_key, mut variables) = (None, Variables::new());
        for mapping in mappings {
            match mapping {
                CallMapping::BusinessKey(key) => business_key = self.text(execution, key)?,
                CallMapping::All { local: false } => variables.extend(self.visible(execution)),
                CallMapping::All { local: true } => {
                    let own = self.i.variables.iter().filter(|v| v.execution_id == execution && v.task_id.is_none());
                    variables.extend(own.map(|v| (v.name.clone(), v.value.clone())));
                }
                CallMapping::Variable { source, target, local } => {
                    let value = match (source.is_constant(), local) {
                        (true, true) => self.local(execution, None, &source.0).cloned().unwrap_or_else(TypedValue::null),
                        (true, false) => self.variable(execution, None, &source.0).cloned().unwrap_or_else(TypedValue::null),
                        (false, _) => self.evaluate(execution, source)?,
                    };
                    variables.push((target.clone(), value));
                }
            }
        }
        Ok((business_key, variables))
    }

    /// This instance, called by another, has ended by itself.
    pub fn tell_super_of_end(&mut self) {
        if let Some(super_instance) = self.i.super_instance.clone() {
            let variables = self.visible(&self.i.id);
            let called_instance = self.i.id.clone();
            self.requests.push(Request::CalledEnded { super_instance, called_instance, variables });
        }
    }

    /// This instance, called by another, was deleted: unless that has let go of it before, its call is cancelled.
    pub fn tell_super_of_deletion(&mut self) {
        if let Some(super_instance) = self.i.super_instance.clone() {
            let called_instance = self.i.id.clone();
            self.requests.push(Request::CalledDeleted { super_instance, called_instance });
        }
    }

    /// A called instance was deleted: the call activity is cancelled as by a modification.
    pub fn called_deleted(&mut self, called: &str) -> Step {
        let Some(e) = self.i.executions.iter_mut().find(|e| e.called_instance.as_deref() == Some(called)) else { return Ok(()) };
        e.called_instance = None;
        let activity_instance = e.at.as_ref().and_then(|at| at.activity_instance_id.clone());
        let cancel = activity_instance.map(Modification::CancelActivityInstance);
        self.modify(cancel.into_iter().collect(), false)
    }

    /// A called instance has ended: its results are mapped, and the call activity is left. Unknown ones are ignored: the call
    /// has been cancelled meanwhile.
    pub fn called_ended(&mut self, called: &str, variables: &Variables) -> Step {
        let Some(e) = self.i.executions.iter_mut().find(|e| e.called_instance.as_deref() == Some(called)) else { return Ok(()) };
        e.called_instance = None;
        let execution = e.id.clone();
        let activity = self.at(&execution)?;
        for mapping in self.called(activity)?.outputs.clone() {
            match mapping {
                CallMapping::All { .. } => self.set_variables(&execution, variables.clone())?,
                CallMapping::Variable { source, target, .. } => {
                    let value = result(&source, variables)?;
                    self.set_variable(&execution, &target, value)?;
                }
                CallMapping::BusinessKey(_) => {}
            }
        }
        self.push(Op::Leave { execution });
        self.work()
    }
}

fn result(source: &Expression, variables: &Variables) -> Step<TypedValue> {
    let find = |name: &str| variables.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone());
    if source.is_constant() {
        return Ok(find(&source.0).unwrap_or_else(TypedValue::null));
    }
    expression::evaluate(source, &mut Results(variables)).map_err(Refusal::engine)
}

/// The variables of a called instance that has ended.
struct Results<'v>(&'v Variables);

impl ExpressionContext for Results<'_> {
    fn variable(&self, name: &str) -> Option<TypedValue> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    }

    fn property(&self, _: &str, _: &str) -> Option<TypedValue> {
        None
    }

    fn call(&mut self, object: &str, method: &str, _: &[TypedValue]) -> Result<TypedValue, String> {
        Err(format!("{object}.{method} cannot be called on an instance that has ended"))
    }
}
