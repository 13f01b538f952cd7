//! Thrown errors, escalations and signals: who catches them, and what happens when nobody does.

use super::run::{Op, Run, Step};
use super::{Refusal, Request};
use crate::process::definition::{ActivityIx, EventDefinition, ScopeRef};
use crate::process::value::TypedValue;

impl Run<'_, '_> {
    pub fn throw_error_event(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let code = match &self.activity(activity).event {
            Some(EventDefinition::Error { code, .. }) => code.clone().unwrap_or_default(),
            _ => String::new(),
        };
        let message = None;
        self.throw_error(execution, &code, message)
    }

    /// Goes up the scopes to the nearest that catches the error; if there is none, up to the calling instance, and the token ends.
    pub fn throw_error(&mut self, execution: &str, code: &str, message: Option<String>) -> Step {
        match self.catcher_of_error(execution, code) {
            Some((scope, catcher)) => self.caught_error(&scope, catcher, code, message),
            None => {
                self.uncaught(false, code);
                self.end_tasks(execution, "completed")?;
                self.end_external_tasks(execution);
                self.push(Op::End { execution: execution.to_owned() });
                Ok(())
            }
        }
    }

    fn catcher_of_error(&self, execution: &str, code: &str) -> Option<(String, ActivityIx)> {
        let thrower = self.at(execution).ok();
        for (on, scope) in self.scopes_around(execution) {
            let caught = self.catchers(scope).into_iter().find(|c| match &self.activity(*c).event {
                Some(EventDefinition::Error { code: catches, .. }) => {
                    catches.as_deref().is_none_or(|own| own == code) && !self.throws_from_within(thrower, *c)
                }
                _ => false,
            });
            if let Some(catcher) = caught {
                return Some((on, catcher));
            }
        }
        None
    }

    /// An event subprocess does not catch what it throws itself.
    fn throws_from_within(&self, thrower: Option<ActivityIx>, catcher: ActivityIx) -> bool {
        let c = self.activity(catcher);
        let (Some(thrower), true) = (thrower, super::events::is_event_sub_process_start(c)) else { return false };
        self.model.ancestors(ScopeRef::Activity(thrower)).any(|scope| scope == c.flow_scope)
    }

    fn caught_error(&mut self, scope: &str, catcher: ActivityIx, code: &str, message: Option<String>) -> Step {
        let Some(EventDefinition::Error { code_variable, message_variable, .. }) = &self.activity(catcher).event else { return Ok(()) };
        if let Some(name) = code_variable {
            self.set_variable(scope, name, TypedValue::string(code))?;
        }
        if let Some(name) = message_variable {
            let value = message.map_or_else(TypedValue::null, TypedValue::string);
            self.set_variable(scope, name, value)?;
        }
        self.trigger(scope, catcher)
    }

    pub fn throw_escalation(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let code = match &self.activity(activity).event {
            Some(EventDefinition::Escalation { code, .. }) => code.clone().unwrap_or_default(),
            _ => String::new(),
        };
        match self.catcher_of_escalation(execution, &code) {
            Some((scope, catcher)) => {
                let goes_on = !self.activity(catcher).interrupting;
                if goes_on {
                    self.push_leave(execution);
                }
                self.caught_escalation(&scope, catcher, &code)
            }
            None => {
                self.uncaught(true, &code);
                self.push_leave(execution);
                Ok(())
            }
        }
    }

    fn catcher_of_escalation(&self, execution: &str, code: &str) -> Option<(String, ActivityIx)> {
        let thrower = self.at(execution).ok();
        for (on, scope) in self.scopes_around(execution) {
            let catches = |c: &ActivityIx, exact: bool| match &self.activity(*c).event {
                Some(EventDefinition::Escalation { code: own, .. }) => {
                    let fits = if exact { own.as_deref() == Some(code) } else { own.is_none() };
                    fits && !self.throws_from_within(thrower, *c)
                }
                _ => false,
            };
            let catchers = self.catchers(scope);
            let caught = catchers.iter().find(|c| catches(c, true)).or_else(|| catchers.iter().find(|c| catches(c, false)));
            if let Some(catcher) = caught {
                return Some((on, *catcher));
            }
        }
        None
    }

    fn caught_escalation(&mut self, scope: &str, catcher: ActivityIx, code: &str) -> Step {
        if let Some(EventDefinition::Escalation { code_variable: Some(name), .. }) = &self.activity(catcher).event {
            self.set_variable(scope, name, TypedValue::string(code))?;
        }
        self.trigger(scope, catcher)
    }

    fn uncaught(&mut self, escalation: bool, code: &str) {
        if let Some(super_instance) = self.i.super_instance.clone() {
            let called_instance = self.i.id.clone();
            self.requests.push(Request::Uncaught { super_instance, called_instance, escalation, code: code.to_owned() });
        }
    }

    /// What a called instance did not catch: perhaps the call activity's surroundings do.
    pub fn called_uncaught(&mut self, called: &str, escalation: bool, code: &str) -> Step {
        let Some(e) = self.i.executions.iter().find(|e| e.called_instance.as_deref() == Some(called)) else { return Ok(()) };
        let execution = e.id.clone();
        let caught = if escalation { self.catcher_of_escalation(&execution, code) } else { self.catcher_of_error(&execution, code) };
        match caught {
            Some((scope, catcher)) if escalation => self.caught_escalation(&scope, catcher, code)?,
            Some((scope, catcher)) => self.caught_error(&scope, catcher, code, None)?,
            None => self.uncaught(escalation, code),
        }
        self.work()
    }

    pub fn throw_signal(&mut self, execution: &str, activity: ActivityIx) -> Step {
        let Some(EventDefinition::Signal { name, payload }) = &self.activity(activity).event else {
            return Err(Refusal::engine(format!("The event '{}' throws no signal", self.activity(activity).id)));
        };
        let name = self.text(execution, name)?.unwrap_or_default();
        let (business_key, variables) = self.handed_over(execution, payload)?;
        self.requests.push(Request::Signal { name, business_key, variables });
        self.push_leave(execution);
        Ok(())
    }
}
