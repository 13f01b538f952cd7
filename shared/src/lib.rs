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
//! | [`service`], [`config`], [`telemetry`] | what every process has: bootstrap, settings, logs and metrics | |
//! | [`worker`] | what the loops of the roles share | |
//! | [`clock`], [`id`] | the doors for time and randomness | |
//! | [`fail_point`] | where tests make a process die; nothing in a release | |

pub mod batch;
pub mod clock;
pub mod config;
pub mod fail_point;
pub mod id;
pub mod job;
pub mod migration;
pub mod process;
pub mod queue;
pub mod runner;
pub mod service;
pub mod store;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
pub mod work;
pub mod worker;

/// Of every process: an instance's document is some sixty small strings, and the system's allocator took a third of an
/// exec-worker's time (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
