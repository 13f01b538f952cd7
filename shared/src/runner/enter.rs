//! Into an activity: asyncBefore, the scope execution, the activity instance, its triggers, mappings and listeners.

use super::run::{Entry, Op, Run, Step};
use crate::process::definition::ActivityIx;
use crate::process::instance::{Execution, OpenActivityInstance, Place};
use crate::process::tree;

impl Run<'_, '_> {
    /// Takes a sequence flow: its listeners run, then the token is at its target.
    pub fn take(&mut self, execution: &str, flow: usize, resumed: bool) -> Step {
        let source = self.activity(self.model.flows[flow].source);
        if source.async_after && !resumed {
            return self.park_after(execution, flow);
        }
        self.execution_mut(execution)?.flow = None;
        self.run_take_listeners(execution, flow)?;
        let activity = self.model.flows[flow].target;
        self.in_transit(execution, activity)?;
        self.push(Op::Enter { execution: execution.to_owned(), activity, entry: Entry::Transition, resumed: false });
        Ok(())
    }

    pub fn enter(&mut self, execution: &str, activity: ActivityIx, entry: Entry, resumed: bool) -> Step {
        if self.activity(activity).async_before && !resumed {
            self.in_transit(execution, activity)?;
            return self.park_before(execution, activity, entry);
        }
        let execution = self.arrive(execution, activity)?;
        self.push(Op::Execute { execution: execution.clone() });
        if self.activity(activity).is_scope { self.meet_conditions(&execution, None) } else { Ok(()) }
    }

    /// Makes the activity instance (and the execution, if the activity is a scope); returns where it is.
    pub fn arrive(&mut self, execution: &str, activity: ActivityIx) -> Step<String> {
        let on = if self.activity(activity).is_scope {
            let child = tree::create_child(&mut self.i, execution, self.cx.ids);
            let above = self.execution_mut(execution)?;
            (above.at, above.is_active) = (None, false);
            child
        } else {
            execution.to_owned()
        };
        self.settle(&on, activity)?;
        Ok(on)
    }

    /// Begins the activity instance on an execution that is there already.
    pub fn settle(&mut self, on: &str, activity: ActivityIx) -> Step {
        let a = self.activity(activity);
        let place = Place { activity_id: a.id.clone(), activity_instance_id: Some(tree::activity_instance_id(&a.id, self.cx.ids)) };
        let is_scope = a.is_scope;
        let e: &mut Execution = self.execution_mut(on)?;
        e.at = Some(place.clone());
        e.is_active = true;
        if is_scope {
            e.is_scope = true;
            e.scope = Some(place.clone());
        }
        self.open_activity(on, activity, &place);
        if is_scope {
            self.subscribe(on, activity)?;
        }
        self.map_inputs(on, activity)?;
        if is_scope {
            self.create_timers(on, activity)?;
        }
        self.run_listeners(on, activity, "start")
    }

    pub fn open_activity(&mut self, on: &str, activity: ActivityIx, place: &Place) {
        let a = self.activity(activity);
        let parent = Some(tree::parent_instance_id(&self.i, self.model, on, &a.id));
        self.i.open.push(OpenActivityInstance {
            id: place.activity_instance_id.clone().unwrap_or_default(),
            parent,
            activity_id: a.id.clone(),
            activity_name: a.name.clone(),
            activity_type: a.type_name.to_owned(),
            definition_id: self.model.id.clone(),
            execution_id: on.to_owned(),
            started_at: self.cx.now,
            task_id: None,
            called_instance: None,
            ..OpenActivityInstance::default()
        });
    }

    /// Enters the scopes of `chain` (outermost first) without doing what they do; returns the innermost execution.
    pub fn enter_scopes(&mut self, execution: &str, chain: &[ActivityIx]) -> Step<String> {
        let mut at = execution.to_owned();
        for scope in chain {
            let made = self.arrive(&at, *scope)?;
            at = self.init_body(made, *scope)?;
        }
        Ok(at)
    }
}
