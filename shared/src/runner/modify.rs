//! Process instance modification: tokens started before or after activities or on flows, instances cancelled.

use super::Refusal;
use super::command::{Modification, StartInstruction, StartKind};
use super::run::{Entry, Op, Run, Step};
use crate::process::definition::{ActivityIx, ActivityKind, ScopeRef};
use crate::process::history::InstanceEnd;
use crate::process::tree;

const REASON: &str = "Cancellation due to process instance modification";

/// What an instruction starts.
enum Target {
    Activity(ActivityIx),
    Flow(usize),
}

impl Run<'_, '_> {
    /// Carries out the instructions in order; `starting` says that they are those of a start.
    pub fn modify(&mut self, instructions: Vec<Modification>, starting: bool) -> Step {
        self.preserve_root = true;
        for instruction in instructions {
            match instruction {
                Modification::Start(start) => self.start_instruction(start, starting)?,
                Modification::CancelActivityInstance(id) => self.cancel_activity_instance(&id)?,
                Modification::CancelTransitionInstance(id) => self.cancel_transition_instance(&id)?,
                Modification::CancelAll { activity_id } => self.cancel_all(&activity_id)?,
            }
            self.work()?;
        }
        self.preserve_root = false;
        let root = self.i.root();
        if self.ended || root.at.is_some() || self.i.children_of(&root.id).any(|c| !c.is_event_scope) {
            return Ok(());
        }
        match self.root_done.take() {
            Some(last) => self.end_instance(last),
            None => self.delete_instance(Some(REASON.to_owned()), InstanceEnd::InternallyTerminated),
        }
    }

    fn start_instruction(&mut self, start: StartInstruction, starting: bool) -> Step {
        let target = self.target(&start, starting)?;
        let activity = match target {
            Target::Activity(ix) => ix,
            Target::Flow(flow) => self.model.flows[flow].source,
        };
        let (scope, chain) = self.place_for(activity, &start)?;
        let alone = chain.is_empty() && matches!(target, Target::Activity(_));
        let token = self.token_for(&scope, activity, alone)?;
        self.in_transit(&token, *chain.first().unwrap_or(&activity))?;
        let execution = self.enter_scopes(&token, &chain)?;
        self.in_transit(&execution, activity)?;
        for (name, value, local) in start.variables {
            if local { self.set_local(&execution, None, &name, value) } else { self.set_variable(&execution, &name, value)? }
        }
        self.push(match target {
            Target::Activity(activity) => Op::Enter { execution, activity, entry: Entry::Direct, resumed: false },
            Target::Flow(flow) => Op::Take { execution, flow, resumed: true },
        });
        Ok(())
    }

    fn target(&self, start: &StartInstruction, starting: bool) -> Step<Target> {
        let id = &start.target;
        let what = match start.kind {
            StartKind::BeforeActivity => "Start before activity",
            StartKind::AfterActivity => "Start after activity",
            StartKind::Transition => "Start transition",
        };
        let missing = || {
            let definition = &self.model.id;
            let text = if starting {
                format!("Element '{id}' does not exist in process {definition}: targetElement is null")
            } else {
                format!(
                    "Cannot perform instruction: {what} '{id}'; Element '{id}' does not exist in process '{definition}': element is null"
                )
            };
            Refusal::new("NotValidException", text)
        };
        match start.kind {
            StartKind::Transition => self.model.flows.iter().position(|f| f.id == *id).map(Target::Flow).ok_or_else(missing),
            StartKind::BeforeActivity => self.model.find(id).map(Target::Activity).ok_or_else(missing),
            StartKind::AfterActivity => {
                let ix = self.model.find(id).ok_or_else(missing)?;
                let ix = self.model.body_of(ix).unwrap_or(ix);
                match self.activity(ix).outgoing.as_slice() {
                    [flow] => Ok(Target::Flow(*flow)),
                    [] => Err(Refusal::engine(format!("Cannot start after activity {id}; activity has no outgoing sequence flow to take"))),
                    _ => Err(Refusal::engine(format!(
                        "Cannot start after activity {id}; activity has more than one outgoing sequence flow to take"
                    ))),
                }
            }
        }
    }

    fn executions_of(&self, scope: ScopeRef) -> Vec<String> {
        let of =
            |e: &&crate::process::instance::Execution| e.is_scope && !e.is_event_scope && tree::model_scope(self.model, e) == Some(scope);
        self.i.executions.iter().filter(of).map(|e| e.id.clone()).collect()
    }

    /// The scope execution to start in, and the scopes that are missing on the way to the activity.
    fn place_for(&self, activity: ActivityIx, start: &StartInstruction) -> Step<(String, Vec<ActivityIx>)> {
        let mut chain = vec![];
        for scope in self.model.ancestors(ScopeRef::Activity(activity)) {
            let mut there = self.executions_of(scope);
            if let Some(ancestor) = &start.ancestor_activity_instance {
                there.retain(|e| tree::enclosing_instance_id(&self.i, e) == *ancestor);
            }
            match (there.as_slice(), scope) {
                ([one], _) => {
                    chain.reverse();
                    return Ok((one.clone(), chain));
                }
                ([], ScopeRef::Activity(missing)) => chain.push(missing),
                ([], ScopeRef::Process) => break,
                (_, _) => {
                    let text = format!("Ancestor activity execution is ambiguous for activity Activity({})", self.activity(activity).id);
                    return Err(Refusal::engine(format!("Cannot perform instruction: Start activity '{}'; {text}", start.target)));
                }
            }
        }
        let ancestor = start.ancestor_activity_instance.as_deref().unwrap_or_default();
        let text = format!(
            "Cannot perform instruction: Start activity '{}'; Ancestor activity instance '{ancestor}' does not exist: ancestorInstance is null",
            start.target
        );
        Err(Refusal::new("NotValidException", text))
    }

    /// The execution that the new token begins on, in the scope found. An interrupting event interrupts only if it is
    /// `alone` what is started, not if it is inside of what must be started first.
    fn token_for(&mut self, scope: &str, activity: ActivityIx, alone: bool) -> Step<String> {
        let a = self.activity(activity);
        let cancels = alone && a.interrupting && a.attached_to.is_some();
        if let (true, Some(host)) = (cancels, a.event_scope)
            && let [running] = self.executions_of(host).as_slice()
        {
            return self.cancel_scope(running, &a.id);
        }
        let start = a.children.first().filter(|_| alone && a.triggered_by_event);
        if start.is_some_and(|start| self.activity(*start).interrupting) {
            self.interrupt(scope, &format!("Interrupting activity Activity({}) executed.", a.id))?;
            return Ok(scope.to_owned());
        }
        let empty = tree::live_children(&self.i, scope).is_empty() && self.execution(scope)?.at.is_none();
        let body = self.execution(scope)?.scope.as_ref().and_then(|p| self.model.get(&p.activity_id)).map(|b| b.kind);
        match body {
            Some(ActivityKind::ParallelMultiInstance) => self.add_inner(scope),
            Some(ActivityKind::SequentialMultiInstance) if !empty => {
                Err(Refusal::engine("Cannot create inner instance of a sequential multi-instance body that has an active one"))
            }
            _ if empty => Ok(scope.to_owned()),
            _ => Ok(self.fork(scope).0),
        }
    }

    // --- cancelling ----------------------------------------------------------------------------------------

    fn cancel_activity_instance(&mut self, id: &str) -> Step {
        let place_is =
            |p: &Option<crate::process::instance::Place>| p.as_ref().is_some_and(|p| p.activity_instance_id.as_deref() == Some(id));
        let scope = self.i.executions.iter().find(|e| !e.is_event_scope && place_is(&e.scope));
        let found = scope.or_else(|| self.i.executions.iter().find(|e| place_is(&e.at)));
        let found = found.or_else(|| Some(self.i.root()).filter(|r| r.id == id));
        let missing = || {
            let text = format!(
                "Cannot perform instruction: Cancel activity instance '{id}'; Activity instance '{id}' does not exist: activityInstance is null"
            );
            Refusal::new("NotValidException", text)
        };
        let execution = found.ok_or_else(missing)?.id.clone();
        self.cancel_execution(&execution)
    }

    fn cancel_transition_instance(&mut self, id: &str) -> Step {
        let parked = self.i.execution(id).filter(|e| e.at.as_ref().is_some_and(|at| at.activity_instance_id.is_none()));
        let missing = || {
            let text = format!(
                "Cannot perform instruction: Cancel transition instance '{id}'; Transition instance '{id}' does not exist: transitionInstance is null"
            );
            Refusal::new("NotValidException", text)
        };
        let execution = parked.ok_or_else(missing)?.id.clone();
        self.cancel_execution(&execution)
    }

    fn cancel_all(&mut self, activity_id: &str) -> Step {
        if self.model.find(activity_id).is_none() {
            let text = format!(
                "Cannot perform instruction: Cancel all instances of activity '{activity_id}'; Element '{activity_id}' does not exist in process '{}': element is null",
                self.model.id
            );
            return Err(Refusal::new("NotValidException", text));
        }
        let here = |p: &Option<crate::process::instance::Place>| p.as_ref().is_some_and(|p| p.activity_id == activity_id);
        while let Some(e) = self.i.executions.iter().find(|e| {
            !e.is_event_scope
                && (here(&e.scope) || (here(&e.at) && (e.is_active || e.at.as_ref().is_some_and(|a| a.activity_instance_id.is_some()))))
        }) {
            let execution = e.id.clone();
            self.cancel_execution(&execution)?;
        }
        Ok(())
    }

    /// Cancels the topmost scope that holds nothing but what is on `execution`.
    fn cancel_execution(&mut self, execution: &str) -> Step {
        let mut topmost = execution.to_owned();
        while let Some(above) = tree::scope_of(&self.i, &topmost).map(str::to_owned) {
            if tree::live_children(&self.i, &above).len() > 1 {
                break;
            }
            topmost = above;
        }
        if topmost == self.i.id {
            self.interrupt(&topmost, REASON)?;
            self.root_done = None;
            return Ok(());
        }
        let e = self.execution(&topmost)?;
        let above = e.parent.clone().unwrap_or_default();
        let branch = if e.is_concurrent {
            Some(topmost.clone())
        } else {
            self.i.execution(&above).filter(|p| p.is_concurrent).map(|p| p.id.clone())
        };
        let scope = tree::scope_of(&self.i, &topmost).map(str::to_owned).unwrap_or_default();
        self.delete_cascade(&topmost, REASON)?;
        if let Some(branch) = branch.filter(|b| self.i.execution(b).is_some()) {
            self.clear_execution(&branch, REASON)?;
            self.remove(&branch);
        }
        if self.i.execution(&scope).is_some_and(|s| self.is_parallel_body(s)) {
            return self.one_less(&scope);
        }
        self.prune(&scope);
        Ok(())
    }
}
