//! The first command: an instance comes into being and begins at its start event, or as instructed.

use super::Refusal;
use super::command::{Modification, StartInstruction, Variables};
use super::run::{Entry, Op, Run, Step};
use crate::process::definition::ScopeRef;
use crate::process::instance::{DOCUMENT_VERSION, Execution};
use crate::process::value::TypedValue;

impl Run<'_, '_> {
    pub fn start(&mut self, variables: Variables, instructions: Vec<StartInstruction>, start_event: Option<&str>) -> Step {
        let root = self.make_root();
        self.subscribe_scope(&root, ScopeRef::Process)?;
        if let Some(name) = &self.model.initiator {
            let user = self.i.start_user.clone().map_or_else(TypedValue::null, TypedValue::string);
            self.set_local(&root, None, name, user);
        }
        for (name, value) in variables {
            self.set_local(&root, None, &name, value);
        }
        self.changes.clear();
        self.create_timers_of(&root, ScopeRef::Process)?;
        self.run_process_listeners("start")?;
        if !instructions.is_empty() {
            self.i.start_activity = instructions.first().map(|i| i.target.clone());
            self.changes.clear();
            return self.modify(instructions.into_iter().map(Modification::Start).collect(), true);
        }
        let initial = match start_event {
            Some(id) => Some(self.named(id)?),
            None => self.model.initial,
        };
        let missing = || Refusal::engine(format!("Process definition with id '{}' has no start event to begin at", self.model.id));
        let activity = initial.ok_or_else(missing)?;
        self.i.start_activity = Some(self.activity(activity).id.clone());
        self.in_transit(&root, activity)?;
        self.push(Op::Enter { execution: root.clone(), activity, entry: Entry::ProcessStart, resumed: false });
        self.changes.clear();
        self.meet_conditions(&root, None)?;
        self.work()?;
        if !self.ended {
            self.answer_variables(&root);
        }
        Ok(())
    }

    fn make_root(&mut self) -> String {
        let id = self.i.id.clone();
        self.i.v = DOCUMENT_VERSION;
        self.i.started_at = self.cx.now;
        self.i.definition_id.clone_from(&self.model.id);
        self.i.executions = vec![Execution { id: id.clone(), is_scope: true, ..Execution::default() }];
        id
    }
}
