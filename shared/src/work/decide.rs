//! What becomes of one item of a batch. Pure; called inside the store's transaction.

use super::decide_commands;
use crate::batch::BatchConfiguration;
use crate::id::InstanceIds;
use crate::migration::{self, MigrationCx, NotMigrated};
use crate::runner::Refusal;
use crate::store::{Decide, Item, ItemContext, ItemOutcome};

/// Migrates by the plan of the batch, or runs what a batch of another type asks for.
pub struct MigrationDecide;

impl Decide for MigrationDecide {
    fn decide(&self, cx: &ItemContext<'_>, item: Item) -> ItemOutcome {
        match cx.configuration {
            BatchConfiguration::Migration { plan, skip } => {
                let source = cx.source.ok_or_else(|| no_definition(&plan.source_definition_id));
                let target = cx.target.ok_or_else(|| no_definition(&plan.target_definition_id));
                let (source, target) = match (source, target) {
                    (Ok(source), Ok(target)) => (source, target),
                    (Err(refusal), _) | (_, Err(refusal)) => return failed(&NotMigrated::Refused(refusal)),
                };
                let Some(instance) = item.instance else {
                    return failed(&NotMigrated::Refused(migration::missing(&item.id)));
                };
                let mut ids = InstanceIds::new(&instance.id, instance.ids);
                let mut cx = MigrationCx {
                    source,
                    target,
                    plan,
                    skip: *skip,
                    now: cx.now,
                    ids: &mut ids,
                    job_definitions: cx.job_definitions,
                    default_retries: cx.default_retries,
                };
                match migration::migrate(instance, &mut cx) {
                    Ok(mut migrated) => {
                        migrated.instance.ids = ids.given();
                        ItemOutcome::Changed {
                            instance: Box::new(migrated.instance),
                            closed: migrated.closed,
                            requests: migrated.requests,
                            ended: migrated.ended,
                        }
                    }
                    Err(why) => failed(&why),
                }
            }
            _ => decide_commands::decide(cx, item),
        }
    }
}

fn failed(why: &NotMigrated) -> ItemOutcome {
    ItemOutcome::Failed(migration::failure(why))
}

fn no_definition(id: &str) -> Refusal {
    Refusal::new("NotFoundException", format!("no deployed process definition found with id '{id}': processDefinition is null"))
}
