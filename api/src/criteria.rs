//! Filters for what is found by reading documents or history rows: one named parameter, one test.
//!
//! All of a set must hold; of an `orQueries` entry one must.

use shared::clock::Millis;
use shared::process::value::TypedValue;
use shared::store::predicate::{like, value_matches};
use shared::store::query::{TenantFilter, VariableFilter};

use crate::error::ApiError;
use crate::input::Input;

/// One test of an `E` that lives in a `C`.
type Test<C, E> = Box<dyn Fn(&C, &E) -> bool + Send + Sync>;
/// How a text of it is read.
pub type Text<C, E> = for<'a> fn(&'a C, &'a E) -> Option<&'a str>;
/// How a time or number of it is read.
pub type Number<C, E> = fn(&C, &E) -> Option<i64>;
/// How a yes or no of it is read.
pub type Truth<C, E> = fn(&C, &E) -> bool;

pub struct Criteria<C, E> {
    tests: Vec<Test<C, E>>,
}

impl<C: 'static, E: 'static> Default for Criteria<C, E> {
    fn default() -> Self {
        Self { tests: vec![] }
    }
}

impl<C: 'static, E: 'static> Criteria<C, E> {
    #[must_use]
    pub fn all_hold(&self, context: &C, entry: &E) -> bool {
        self.tests.iter().all(|test| test(context, entry))
    }

    /// One of them holds, or there are none.
    fn any_holds(&self, context: &C, entry: &E) -> bool {
        self.tests.is_empty() || self.tests.iter().any(|test| test(context, entry))
    }

    pub fn test(&mut self, test: impl Fn(&C, &E) -> bool + Send + Sync + 'static) {
        self.tests.push(Box::new(test));
    }

    /// A disjunction of the tests of `other`.
    pub fn any_of(&mut self, other: Self) {
        self.test(move |c, e| other.any_holds(c, e));
    }

    /// Equal to the parameter, if that is given.
    ///
    /// # Errors
    /// As [`Input::text`]; so for the others.
    pub fn text(&mut self, input: &Input<'_>, name: &str, get: Text<C, E>) -> Result<(), ApiError> {
        if let Some(wanted) = input.text(name)? {
            self.test(move |c, e| get(c, e) == Some(&wanted));
        }
        Ok(())
    }

    /// # Errors
    /// As [`Input::text`].
    pub fn not_text(&mut self, input: &Input<'_>, name: &str, get: Text<C, E>) -> Result<(), ApiError> {
        if let Some(unwanted) = input.text(name)? {
            self.test(move |c, e| get(c, e) != Some(&unwanted));
        }
        Ok(())
    }

    /// # Errors
    /// As [`Input::text`].
    pub fn like(&mut self, input: &Input<'_>, name: &str, get: Text<C, E>) -> Result<(), ApiError> {
        if let Some(pattern) = input.text(name)? {
            self.test(move |c, e| get(c, e).is_some_and(|text| like(text, &pattern)));
        }
        Ok(())
    }

    /// # Errors
    /// As [`Input::list`].
    pub fn one_of(&mut self, input: &Input<'_>, name: &str, get: Text<C, E>) -> Result<(), ApiError> {
        if let Some(wanted) = input.filled_list(name)? {
            self.test(move |c, e| get(c, e).is_some_and(|text| wanted.iter().any(|w| w == text)));
        }
        Ok(())
    }

    /// # Errors
    /// As [`Input::list`].
    pub fn none_of(&mut self, input: &Input<'_>, name: &str, get: Text<C, E>) -> Result<(), ApiError> {
        if let Some(unwanted) = input.filled_list(name)? {
            self.test(move |c, e| !get(c, e).is_some_and(|text| unwanted.iter().any(|w| w == text)));
        }
        Ok(())
    }

    /// Holds where the parameter is true and so is what it names; a false one does not filter.
    ///
    /// # Errors
    /// As [`Input::flag`].
    pub fn yes(&mut self, input: &Input<'_>, name: &str, get: Truth<C, E>) -> Result<(), ApiError> {
        if input.yes(name)? {
            self.test(get);
        }
        Ok(())
    }

    /// # Errors
    /// As [`Input::date`].
    pub fn before(&mut self, input: &Input<'_>, name: &str, get: Number<C, E>) -> Result<(), ApiError> {
        self.time(input, name, get, |found, given| found < given)
    }

    /// # Errors
    /// As [`Input::date`].
    pub fn after(&mut self, input: &Input<'_>, name: &str, get: Number<C, E>) -> Result<(), ApiError> {
        self.time(input, name, get, |found, given| found > given)
    }

    /// # Errors
    /// As [`Input::date`].
    pub fn time(&mut self, input: &Input<'_>, name: &str, get: Number<C, E>, holds: fn(Millis, Millis) -> bool) -> Result<(), ApiError> {
        if let Some(given) = input.date(name)? {
            self.test(move |c, e| get(c, e).is_some_and(|found| holds(found, given)));
        }
        Ok(())
    }

    /// # Errors
    /// As [`Input::long`].
    pub fn number(&mut self, input: &Input<'_>, name: &str, get: Number<C, E>, holds: fn(i64, i64) -> bool) -> Result<(), ApiError> {
        if let Some(given) = input.long(name)? {
            self.test(move |c, e| get(c, e).is_some_and(|found| holds(found, given)));
        }
        Ok(())
    }

    pub fn tenants(&mut self, filter: TenantFilter, get: Text<C, E>) {
        self.test(move |c, e| filter.matches(get(c, e)));
    }

    /// A variable of this name, among those that `get` gives, passes.
    pub fn variable(&mut self, filter: VariableFilter, get: for<'a> fn(&'a C, &'a E) -> Vec<(&'a str, &'a TypedValue)>) {
        let holds =
            move |(name, value): (&str, &TypedValue)| name == filter.name && value_matches(value, filter.operator, &filter.value, false);
        self.test(move |c, e| get(c, e).into_iter().any(&holds));
    }
}
