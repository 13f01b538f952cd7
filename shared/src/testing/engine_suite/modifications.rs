//! Modifying many instances in one call: all or none.

use super::*;
use crate::id;
use crate::runner::command::{Modification, StartInstruction, StartKind};

/// Starts the second task beside what is there.
fn second() -> Command {
    let start =
        StartInstruction { kind: StartKind::BeforeActivity, target: "second".into(), ancestor_activity_instance: None, variables: vec![] };
    Command::Modify { instructions: vec![Modification::Start(start)], skip_custom_listeners: false, skip_io_mappings: false }
}

async fn tasks(store: &SqlStore, id: &str) -> Vec<String> {
    document(store, id).await.instance.tasks.iter().map(|t| t.task_definition_key.clone()).collect()
}

pub async fn all_or_none_are_modified(store: &SqlStore) {
    let (v1, v2) = (deploy(store, "order", TWO_TASKS).await, deploy(store, "order", TWO_TASKS).await);
    let one = start(store, &v1.id, vec![]).await.instance_id;
    let two = start(store, &v1.id, vec![]).await.instance_id;
    let of_other = start(store, &v2.id, vec![]).await.instance_id;
    let before = document(store, &one).await;
    let nobody = id::new_base();
    for (last, code) in [(&of_other, "ENGINE-13037"), (&nobody, "ENGINE-13036")] {
        let listed = [one.clone(), two.clone(), last.clone()];
        let refused = refusal(store.modify(&anyone(), &v1.id, &listed, second()).await);
        assert!(refused.message.starts_with(code) && refused.message.contains(last.as_str()), "{}", refused.message);
        assert_eq!(document(store, &one).await.instance, before.instance, "the first is as it was");
    }
    // What only the last one lacks: nothing of the others is kept.
    complete(store, &two).await;
    let gone = Modification::CancelActivityInstance(before.instance.tasks[0].activity_instance_id.clone());
    let cancel = Command::Modify { instructions: vec![gone], skip_custom_listeners: false, skip_io_mappings: false };
    refusal(store.modify(&anyone(), &v1.id, &[one.clone(), two.clone()], cancel).await);
    assert_eq!(document(store, &one).await.instance, before.instance, "the first is as it was");

    store.modify(&anyone(), &v1.id, &[two.clone(), one.clone()], second()).await.expect("both are modified");
    assert_eq!(tasks(store, &one).await, ["first", "second"]);
    assert_eq!(tasks(store, &two).await, ["second", "second"]);
    assert_eq!(document(store, &one).await.revision, before.revision + 1);
}

pub async fn another_tenant_s_instance_is_not_there_to_modify(store: &SqlStore) {
    let mut new = deployment("order", &[("process.bpmn", bpmn("order", TWO_TASKS))]);
    new.tenant_id = Some("a".to_owned());
    let definition = store.deploy(&anyone(), new).await.expect("a deployment").definitions.remove(0);
    let id = start(store, &definition.id, vec![]).await.instance_id;
    let before = document(store, &id).await;
    let refused = refusal(store.modify(&of_tenant("b"), &definition.id, std::slice::from_ref(&id), second()).await);
    assert!(refused.message.starts_with("ENGINE-13036"), "{}", refused.message);
    assert_eq!(document(store, &id).await.instance, before.instance);
    store.modify(&of_tenant("a"), &definition.id, std::slice::from_ref(&id), second()).await.expect("its own");
    assert_eq!(tasks(store, &id).await, ["first", "second"]);
}
