//! Processes as values: the static model of a definition, the execution tree of an instance, expressions.
//!
//! Pure: no I/O, no clock, no id source of its own, nothing async. Never knows JSON spellings of the API.

pub mod definition;
pub mod derived;
pub mod expression;
pub mod history;
pub mod instance;
pub mod parse;
pub mod stored;
pub mod tree;
pub mod unknown;
pub mod value;

/// Gives out ids: the edge decides how they look (design §4).
pub trait Ids {
    /// A new id, never given out before.
    fn next(&mut self) -> String;

    /// The id of a new instance, which is to number what lives in it.
    fn next_instance(&mut self) -> String {
        self.next()
    }
}
