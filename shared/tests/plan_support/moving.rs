//! One command on an instance, one migration of it: as the store does them, with ids that go on.

use shared::id::InstanceIds;
use shared::migration::{MigrationCx, MigrationPlan, NotMigrated, Skip, migrate};
use shared::process::definition::ProcessDefinition;
use shared::process::instance::Instance;
use shared::runner::{Command, Cx, NoJobDefinitions, run};

/// The first failure of a job makes an incident.
const RETRIES: i32 = 1;

pub fn command(instance: Instance, definition: &ProcessDefinition, command: Command) -> Instance {
    let mut ids = InstanceIds::new(&instance.id, instance.ids);
    let mut cx = Cx { definition, now: 1, ids: &mut ids, job_definitions: &NoJobDefinitions, default_retries: RETRIES };
    let what = format!("{command:?}");
    let mut after = run(instance, command, &mut cx).unwrap_or_else(|refusal| panic!("{what}: {refusal}")).instance;
    after.ids = ids.given();
    after
}

pub fn migrated(
    instance: Instance,
    source: &ProcessDefinition,
    target: &ProcessDefinition,
    plan: &MigrationPlan,
) -> Result<Instance, NotMigrated> {
    let mut ids = InstanceIds::new(&instance.id, instance.ids);
    let skip = Skip::default();
    let job_definitions = &NoJobDefinitions;
    let mut cx = MigrationCx { source, target, plan, skip, now: 2, ids: &mut ids, job_definitions, default_retries: RETRIES };
    let mut after = migrate(instance, &mut cx)?.instance;
    after.ids = ids.given();
    Ok(after)
}
