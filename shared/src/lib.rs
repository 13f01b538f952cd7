//! What two roles of Drover need. The code map:
//!
//! | module | what | pure |
//! |---|---|---|
//! | [`process`] | definitions, instances, expressions | yes |
//! | [`runner`] | one command on one instance | yes |
//! | [`migration`] | plans, their validation, migrating an instance | yes |
//! | [`batch`], [`job`] | states, counts, windows, verdicts | yes |
//! | [`work`] | the steps: submit, seed, execute, complete, wake | |
//! | [`store`] | verbs, each one named transaction | |
//! | [`queue`] | publish, consume, depth | |
//! | [`clock`], [`id`] | the doors for time and randomness | |

pub mod batch;
pub mod clock;
pub mod id;
pub mod job;
pub mod migration;
pub mod process;
pub mod queue;
pub mod runner;
pub mod store;
pub mod work;
