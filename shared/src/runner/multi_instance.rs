//! Multi-instance bodies, parallel and sequential, with their counters (execution-tree rule 8).

use serde_json::Value as Json;

use super::Refusal;
use super::run::{Entry, MAX_EXECUTIONS, Op, Run, Step};
use crate::process::definition::{ActivityIx, ActivityKind, MultiInstance};
use crate::process::instance::Place;
use crate::process::tree;
use crate::process::value::TypedValue;

const TOTAL: &str = "nrOfInstances";
const ACTIVE: &str = "nrOfActiveInstances";
const COMPLETED: &str = "nrOfCompletedInstances";
const LOOP: &str = "loopCounter";

impl Run<'_, '_> {
    fn loops(&self, body: ActivityIx) -> Step<&'_ MultiInstance> {
        let a = &self.model.activities[body];
        a.multi_instance.as_ref().ok_or_else(|| Refusal::engine(format!("'{}' is no multi-instance body", a.id)))
    }

    fn inner(&self, body: ActivityIx) -> Step<ActivityIx> {
        let a = self.activity(body);
        a.children.first().copied().ok_or_else(|| Refusal::engine(format!("The multi-instance body '{}' has no activity", a.id)))
    }

    /// How many, and the items if there is a collection.
    fn instances(&mut self, execution: &str, body: ActivityIx) -> Step<(usize, Option<Vec<Json>>)> {
        let loops = self.loops(body)?.clone();
        if let Some(cardinality) = &loops.cardinality {
            let count = self.number(execution, cardinality)?;
            let bad = || Refusal::engine(format!("Could not resolve expression or variable {cardinality} of loopCardinality to a number"));
            let count = usize::try_from(count.ok_or_else(bad)?).map_err(|_| {
                Refusal::engine(format!("Invalid number of instances: must be non-negative integer value, but was {}", count.unwrap_or(-1)))
            })?;
            return Ok((count, None));
        }
        let name = loops.collection.unwrap_or_default();
        let expression = crate::process::expression::Expression::new(name.as_str());
        let value = if expression.is_constant() {
            self.variable(execution, None, &name).cloned()
        } else {
            Some(self.evaluate(execution, &expression)?)
        };
        let items = value.and_then(|v| items(&v.value));
        let items = items.ok_or_else(|| Refusal::engine(format!("Variable '{name}' is not found or is not a Collection")))?;
        Ok((items.len(), Some(items)))
    }

    pub fn begin_parallel(&mut self, execution: &str, body: ActivityIx) -> Step {
        let (count, items) = self.instances(execution, body)?;
        if count == 0 {
            self.push_leave(execution);
            return Ok(());
        }
        if count > MAX_EXECUTIONS {
            return Err(Refusal::engine(format!("'{}' asks for {count} instances, more than {MAX_EXECUTIONS}", self.activity(body).id)));
        }
        self.set_counters(execution, count, count);
        let e = self.execution_mut(execution)?;
        (e.at, e.is_active) = (None, false);
        let inner = self.inner(body)?;
        let mut tokens = vec![];
        for index in 0..count {
            let token = self.inner_token(execution)?;
            self.in_transit(&token, inner)?;
            self.prepare_loop(&token, body, index, items.as_deref())?;
            tokens.push(token);
        }
        for execution in tokens.into_iter().rev() {
            self.push(Op::Enter { execution, activity: inner, entry: Entry::Direct, resumed: false });
        }
        Ok(())
    }

    fn inner_token(&mut self, body_execution: &str) -> Step<String> {
        let token = tree::create_child(&mut self.i, body_execution, self.cx.ids);
        self.execution_mut(&token)?.is_concurrent = true;
        Ok(token)
    }

    fn set_counters(&mut self, execution: &str, total: usize, active: usize) {
        self.set_local(execution, None, TOTAL, TypedValue::integer(total as i64));
        self.set_local(execution, None, COMPLETED, TypedValue::integer(0));
        self.set_local(execution, None, ACTIVE, TypedValue::integer(active as i64));
    }

    fn prepare_loop(&mut self, token: &str, body: ActivityIx, index: usize, items: Option<&[Json]>) -> Step {
        self.set_local(token, None, LOOP, TypedValue::integer(index as i64));
        let element = self.loops(body)?.element_variable.clone();
        if let (Some(name), Some(item)) = (element, items.and_then(|i| i.get(index))) {
            self.set_local(token, None, &name, typed(item));
        }
        Ok(())
    }

    pub fn begin_sequential(&mut self, execution: &str, body: ActivityIx) -> Step {
        let (count, items) = self.instances(execution, body)?;
        if count == 0 {
            self.push_leave(execution);
            return Ok(());
        }
        self.set_counters(execution, count, 1);
        self.sequential_round(execution, body, 0, items.as_deref())
    }

    fn sequential_round(&mut self, execution: &str, body: ActivityIx, index: usize, items: Option<&[Json]>) -> Step {
        let inner = self.inner(body)?;
        self.prepare_loop(execution, body, index, items)?;
        self.in_transit(execution, inner)?;
        self.push(Op::Enter { execution: execution.to_owned(), activity: inner, entry: Entry::Direct, resumed: false });
        Ok(())
    }

    /// A counter of a body. One that came into being around a migrated token has none: it counts as a body of one instance.
    fn counter(&self, execution: &str, name: &str) -> i64 {
        let missing = i64::from(name == TOTAL || name == ACTIVE);
        self.local(execution, None, name).and_then(|v| v.value.as_i64()).unwrap_or(missing)
    }

    fn complete(&mut self, execution: &str, body: ActivityIx) -> Step<bool> {
        match self.loops(body)?.completion_condition.clone() {
            Some(condition) => self.condition(execution, &condition),
            None => Ok(false),
        }
    }

    /// One inner instance has ended; `token` is its concurrent execution, or (sequential) the body's own.
    pub fn inner_ended(&mut self, token: &str, body: ActivityIx) -> Step {
        if self.activity(body).kind == ActivityKind::SequentialMultiInstance {
            return self.sequential_ended(token, body);
        }
        let Some(scope) = self.execution(token)?.parent.clone() else { return Ok(()) };
        let inner = self.inner(body)?;
        let activity_id = self.activity(inner).id.clone();
        let e = self.execution_mut(token)?;
        (e.at, e.is_active) = (Some(Place { activity_id, activity_instance_id: None }), false);
        let (completed, active) = (self.counter(&scope, COMPLETED) + 1, self.counter(&scope, ACTIVE) - 1);
        self.set_local(&scope, None, COMPLETED, TypedValue::integer(completed));
        self.set_local(&scope, None, ACTIVE, TypedValue::integer(active));
        let all = self.i.children_of(&scope).all(|e| e.is_event_scope || (!e.is_active && e.at.is_some()));
        if all || self.complete(&scope, body)? {
            for child in tree::live_children(&self.i, &scope) {
                self.delete_cascade(&child, "Multi instance completion condition satisfied.")?;
            }
            let e = self.execution_mut(&scope)?;
            (e.at, e.is_active) = (e.scope.clone(), true);
            self.push_leave(&scope);
        }
        Ok(())
    }

    fn sequential_ended(&mut self, execution: &str, body: ActivityIx) -> Step {
        let index = self.counter(execution, LOOP) + 1;
        let completed = self.counter(execution, COMPLETED) + 1;
        self.set_local(execution, None, COMPLETED, TypedValue::integer(completed));
        if index >= self.counter(execution, TOTAL) || self.complete(execution, body)? {
            let e = self.execution_mut(execution)?;
            (e.at, e.is_active) = (e.scope.clone(), true);
            self.push_leave(execution);
            return Ok(());
        }
        let items = match self.loops(body)?.collection {
            Some(_) => self.instances(execution, body)?.1,
            None => None,
        };
        self.sequential_round(execution, body, usize::try_from(index).unwrap_or(0), items.as_deref())
    }

    // --- modification -----------------------------------------------------------------------------------------

    /// A body that a modification makes has one instance; returns where that begins. Other scopes need nothing.
    pub fn init_body(&mut self, execution: String, activity: ActivityIx) -> Step<String> {
        if !self.activity(activity).kind.is_multi_instance_body() {
            return Ok(execution);
        }
        self.set_counters(&execution, 1, 1);
        let token = if self.activity(activity).kind == ActivityKind::ParallelMultiInstance {
            let e = self.execution_mut(&execution)?;
            (e.at, e.is_active) = (None, false);
            self.inner_token(&execution)?
        } else {
            execution
        };
        self.set_local(&token, None, LOOP, TypedValue::integer(0));
        Ok(token)
    }

    /// An inner instance was cancelled by a modification.
    pub fn one_less(&mut self, body_execution: &str) -> Step {
        let active = self.counter(body_execution, ACTIVE);
        self.set_local(body_execution, None, ACTIVE, TypedValue::integer(active - 1));
        Ok(())
    }

    /// One more instance in a running parallel body; returns its execution.
    pub fn add_inner(&mut self, body_execution: &str) -> Step<String> {
        let (total, active) = (self.counter(body_execution, TOTAL), self.counter(body_execution, ACTIVE));
        self.set_local(body_execution, None, TOTAL, TypedValue::integer(total + 1));
        self.set_local(body_execution, None, ACTIVE, TypedValue::integer(active + 1));
        let token = self.inner_token(body_execution)?;
        self.set_local(&token, None, LOOP, TypedValue::integer(total));
        Ok(token)
    }
}

fn items(value: &Json) -> Option<Vec<Json>> {
    match value {
        Json::Array(items) => Some(items.clone()),
        Json::String(text) => match serde_json::from_str::<Json>(text) {
            Ok(Json::Array(items)) => Some(items),
            _ => None,
        },
        _ => None,
    }
}

fn typed(item: &Json) -> TypedValue {
    match item {
        Json::String(text) => TypedValue::string(text.as_str()),
        Json::Bool(b) => TypedValue::boolean(*b),
        Json::Number(n) if n.is_i64() => TypedValue::integer(n.as_i64().unwrap_or_default()),
        Json::Number(_) => TypedValue::new("Double", item.clone()),
        Json::Null => TypedValue::null(),
        other => TypedValue::new("Json", Json::String(other.to_string())),
    }
}
