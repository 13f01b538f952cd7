//! Migration: generate a plan, validate it, validate an instance against it, migrate (spec-migration §2 to §7).
//!
//! Pure: functions from values to values. A plan or an instance that does not pass is a report with every failure,
//! never an `Err`.

mod failure;
pub mod generate;
mod migrate;
pub mod plan;
pub mod report;
mod validate_instance;
pub mod validate_plan;

use crate::process::Ids;
use crate::process::definition::ProcessDefinition;
use crate::process::history::Closed;
use crate::process::instance::Instance;
use crate::runner::JobDefinitions;

pub use failure::{failure, missing};
pub use generate::{InvalidPlan, generate};
pub use plan::{MigrationInstruction, MigrationPlan};
pub use report::{InstanceReport, PlanReport};
pub use validate_plan::validate_plan;

/// What a migration skips, as its caller asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Skip {
    pub custom_listeners: bool,
    pub io_mappings: bool,
}

/// What a migration runs with. The plan is taken to be valid (`validate_plan`).
pub struct MigrationCx<'a> {
    pub source: &'a ProcessDefinition,
    pub target: &'a ProcessDefinition,
    pub plan: &'a MigrationPlan,
    pub skip: Skip,
    /// Milliseconds since the epoch.
    pub now: i64,
    pub ids: &'a mut dyn Ids,
    pub job_definitions: &'a dyn JobDefinitions,
    pub default_retries: i32,
}

/// Migrates one instance: validation, then spec-migration §6.
///
/// # Errors
/// [`NotMigrated`] says why not, with every failure of its validation; the instance is then to be taken as it was.
pub fn migrate(instance: Instance, cx: &mut MigrationCx<'_>) -> Result<Migrated, NotMigrated> {
    migrate::migrate(instance, cx)
}

/// An instance after its migration.
#[derive(Debug)]
pub struct Migrated {
    pub instance: Instance,
    pub closed: Vec<Closed>,
    /// Only when a plan variable fired a conditional event or a listener asked for something.
    pub requests: Vec<crate::runner::Request>,
    pub ended: bool,
}

/// Why an instance was not migrated.
#[derive(Debug, Clone, PartialEq)]
pub enum NotMigrated {
    /// `MigratingProcessInstanceValidationException` with its report.
    Invalid(Box<InstanceReport>),
    /// Any other refusal (ENGINE-23002, 23010, a failing expression, a suspended instance).
    Refused(crate::runner::Refusal),
}
