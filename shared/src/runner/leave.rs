//! Out of an activity: its flows, its end, the end of the scope around it, and of the instance.

use super::run::{Op, Run, Step};
use crate::process::definition::{ActivityIx, ActivityKind, ScopeRef};
use crate::process::history::{Closed, InstanceEnd};
use crate::process::tree;

impl Run<'_, '_> {
    /// Leaves by the flows that the activity's kind and its conditions choose.
    pub fn leave(&mut self, execution: &str) -> Step {
        let activity = self.at(execution)?;
        if self.runs_as_handler(execution, activity) {
            return self.end_compensation(execution);
        }
        self.remember_handler(execution, activity)?;
        let flows = self.choose_flows(execution, activity)?;
        if flows.is_empty() { self.end(execution) } else { self.leave_by(execution, activity, &flows) }
    }

    fn leave_by(&mut self, execution: &str, activity: ActivityIx, flows: &[usize]) -> Step {
        self.finish(execution, activity, false)?;
        let token = self.destroy_scope(execution, activity)?;
        let Some((first, more)) = flows.split_first() else { return Ok(()) };
        let mut tokens = vec![(token.clone(), *first)];
        if !more.is_empty() {
            let scope = tree::scope_execution(&self.i, &token).to_owned();
            for flow in more {
                let (new, moved) = self.fork(&scope);
                if let Some(moved) = moved {
                    tokens[0].0 = moved;
                }
                self.in_transit(&new, activity)?;
                tokens.push((new, *flow));
            }
        }
        for (execution, flow) in tokens.into_iter().rev() {
            self.push(Op::Take { execution, flow, resumed: false });
        }
        Ok(())
    }

    /// Ends the activity along no flow.
    pub fn end(&mut self, execution: &str) -> Step {
        let activity = self.at(execution)?;
        self.finish(execution, activity, false)?;
        let token = self.destroy_scope(execution, activity)?;
        if self.activity(activity).async_after {
            return self.park_end(&token, activity);
        }
        self.push(Op::Ended { execution: token, activity });
        Ok(())
    }

    /// The end of the activity instance: end listeners, then history.
    pub fn finish(&mut self, execution: &str, activity: ActivityIx, canceled: bool) -> Step {
        self.run_listeners(execution, activity, "end")?;
        let e = self.execution(execution)?;
        let own = e.at.as_ref().or(e.scope.as_ref()).and_then(|p| p.activity_instance_id.clone());
        if let Some(id) = own {
            let ends_scope = !canceled && self.activity(activity).outgoing.is_empty();
            self.close_activity(&id, canceled, ends_scope);
        }
        if let Some(at) = self.execution_mut(execution)?.at.as_mut() {
            at.activity_instance_id = None;
        }
        Ok(())
    }

    pub fn close_activity(&mut self, id: &str, canceled: bool, complete_scope: bool) {
        if let Some(index) = self.i.open.iter().position(|o| o.id == id) {
            let record = self.i.open.remove(index);
            self.closed.push(Closed::Activity { record, ended: self.cx.now, canceled, complete_scope });
        }
    }

    /// If the activity is a scope its execution goes, and the token is on the one above; returns where it is.
    pub fn destroy_scope(&mut self, execution: &str, activity: ActivityIx) -> Step<String> {
        let e = self.execution(execution)?;
        let stays = !self.activity(activity).is_scope || !e.is_scope;
        let Some(parent) = e.parent.clone().filter(|_| !stays) else {
            self.map_outputs_of_plain(execution, activity)?;
            self.in_transit(execution, activity)?;
            return Ok(execution.to_owned());
        };
        self.map_outputs(execution, activity)?;
        self.drop_memories(execution)?;
        self.clear_execution(execution, "completed")?;
        self.remove(execution);
        self.in_transit(&parent, activity)?;
        Ok(parent)
    }

    /// What the end of a token means to the scope that it is in.
    pub fn ended_in_scope(&mut self, token: &str, activity: ActivityIx) -> Step {
        let flow_scope = self.activity(activity).flow_scope;
        let concurrent = self.execution(token)?.is_concurrent;
        match flow_scope {
            ScopeRef::Activity(scope) if self.activity(scope).kind.is_multi_instance_body() => self.inner_ended(token, scope),
            _ if concurrent => self.concurrent_ended(token),
            ScopeRef::Activity(_) => self.scope_ended(token),
            ScopeRef::Process if self.preserve_root => {
                let root = self.execution_mut(token)?;
                (root.at, root.is_active) = (None, false);
                self.root_done = Some(activity);
                Ok(())
            }
            ScopeRef::Process => self.end_instance(activity),
        }
    }

    fn concurrent_ended(&mut self, token: &str) -> Step {
        let Some(scope) = self.execution(token)?.parent.clone() else { return Ok(()) };
        self.drop_variables(token);
        self.remove(token);
        if tree::compensates(&self.i, &scope) {
            return self.compensation_done(&scope);
        }
        self.prune(&scope);
        Ok(())
    }

    /// The last token of an embedded scope has ended: the scope is left.
    pub fn scope_ended(&mut self, scope_execution: &str) -> Step {
        let e = self.execution_mut(scope_execution)?;
        e.at = e.scope.clone();
        e.is_active = true;
        self.push_leave(scope_execution);
        Ok(())
    }

    /// The instance has come to its end by itself.
    pub fn end_instance(&mut self, last: ActivityIx) -> Step {
        let root = self.i.id.clone();
        self.run_process_listeners("end")?;
        self.tell_super_of_end();
        self.drop_memories(&root)?;
        self.clear_execution(&root, "completed")?;
        self.ended = true;
        self.stack.clear();
        let end_activity = Some(self.activity(last).id.clone());
        self.closed.push(Closed::Instance { ended: self.cx.now, end_activity, delete_reason: None, state: InstanceEnd::Completed });
        Ok(())
    }

    /// The flows to leave by; none means that the token ends here.
    fn choose_flows(&mut self, execution: &str, activity: ActivityIx) -> Step<Vec<usize>> {
        let a = self.activity(activity);
        match a.kind {
            ActivityKind::ParallelGateway => Ok(a.outgoing.clone()),
            ActivityKind::ExclusiveGateway => self.exclusive_flow(execution, activity),
            ActivityKind::InclusiveGateway => {
                let flows = self.flows_that_hold(execution, activity)?;
                self.some_or_default(activity, flows)
            }
            _ => {
                let flows = self.flows_that_hold(execution, activity)?;
                Ok(if flows.is_empty() { a.default_flow.into_iter().collect() } else { flows })
            }
        }
    }
}
