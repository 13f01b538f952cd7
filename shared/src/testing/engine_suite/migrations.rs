//! Synchronous migration: all or none.

use super::*;
use crate::id;
use crate::migration::{MigrationInstruction, MigrationPlan, NotMigrated, Skip};

fn plan(source: &DefinitionView, target: &DefinitionView, activities: &[&str]) -> MigrationPlan {
    MigrationPlan {
        source_definition_id: source.id.clone(),
        target_definition_id: target.id.clone(),
        instructions: activities.iter().map(|a| MigrationInstruction::new(*a, *a, false)).collect(),
        variables: None,
    }
}

pub async fn all_or_none(store: &SqlStore) {
    let v1 = deploy(store, "order", TWO_TASKS).await;
    let v2 = deploy(store, "order", TWO_TASKS).await;
    let one = start(store, &v1.id, vec![]).await.instance_id;
    let other = start(store, &v1.id, vec![]).await.instance_id;
    complete(store, &other).await;
    let before = document(store, &one).await;
    // The second one stands at a task that the plan leaves out.
    let listed = [one.clone(), other.clone(), one.clone()];
    let partly = store.migrate(&anyone(), &listed, None, &plan(&v1, &v2, &["first"]), Skip::default()).await.expect("a migration");
    let (culprit, why) = partly.expect_err("a refusal");
    assert_eq!(culprit, other);
    assert!(matches!(why, NotMigrated::Invalid(_)), "{why:?}");
    assert_eq!(document(store, &one).await.instance, before.instance, "the first is as it was");
    let whole = plan(&v1, &v2, &["first", "second"]);
    let query = of_definition(&v1.id);
    let migrated =
        store.migrate(&anyone(), std::slice::from_ref(&other), Some(&query), &whole, Skip::default()).await.expect("a migration");
    assert!(migrated.expect("both").is_empty(), "neither has a job to run now, so nobody is woken for them");
    let after = document(store, &one).await;
    assert_eq!((after.instance.definition_id.as_str(), after.revision), (v2.id.as_str(), before.revision + 1));
    assert_eq!(after.instance.tasks[0].id, before.instance.tasks[0].id, "a kept task keeps its id");
    assert!(found(store, &of_definition(&v1.id)).await.is_empty());
    let mut both = found(store, &of_definition(&v2.id)).await;
    both.sort();
    let mut expected = [one, other];
    expected.sort();
    assert_eq!(both, expected, "the listed one, and that of the query");
}

pub async fn those_with_a_job_to_run_are_told(store: &SqlStore) {
    let v1 = deploy(store, "later", ASYNC_TASK).await;
    let v2 = deploy(store, "later", ASYNC_TASK).await;
    let waits = start(store, &v1.id, vec![]).await.instance_id;
    let has_run = start(store, &v1.id, vec![]).await.instance_id;
    store.run_due_job(&has_run).await.expect("a run");
    let plan = plan(&v1, &v2, &["first"]);
    let migrated = store.migrate(&anyone(), &[waits.clone(), has_run], None, &plan, Skip::default()).await.expect("a migration");
    assert_eq!(migrated.expect("both"), [waits]);
}

pub async fn unknown_instances_are_refused(store: &SqlStore) {
    let v1 = deploy(store, "order", TWO_TASKS).await;
    let v2 = deploy(store, "order", TWO_TASKS).await;
    let nobody = id::new_base();
    let plan = plan(&v1, &v2, &["first"]);
    let refused = store.migrate(&anyone(), std::slice::from_ref(&nobody), None, &plan, Skip::default()).await.expect("a migration");
    let (culprit, why) = refused.expect_err("a refusal");
    let NotMigrated::Refused(refusal) = why else { panic!("{why:?}") };
    assert_eq!(culprit, nobody);
    assert_eq!(
        refusal.message,
        format!("ENGINE-23003 Process instance '{nobody}' cannot be migrated. The process instance does not exist")
    );
}
