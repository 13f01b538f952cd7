//! External tasks and the workers that take them.

use super::*;

pub async fn a_task_is_taken_once(store: &SqlStore) {
    let definition = deploy(store, "ext", EXTERNAL).await;
    let mut ids = vec![];
    for _ in 0..3 {
        ids.push(start(store, &definition.id, vec![]).await.instance_id);
    }
    store.set_instance_suspended(&anyone(), &ids[2], true).await.expect("a suspension");
    let topics = [("herd".to_owned(), 60_000), ("other".to_owned(), 1)];
    let first = store.fetch_and_lock(&anyone(), "w1", &topics, 1, false).await.expect("a fetch");
    let rest = store.fetch_and_lock(&anyone(), "w2", &topics, 10, false).await.expect("a fetch");
    assert_eq!((first.len(), rest.len()), (1, 1), "a suspended instance's is not taken");
    assert_ne!(first[0], rest[0]);
    assert!(store.fetch_and_lock(&anyone(), "w3", &topics, 10, false).await.expect("a fetch").is_empty());
    let (instance, task) = first[0].clone();
    let held = document(store, &instance).await.instance.external_tasks.remove(0);
    assert_eq!((held.id.as_str(), held.worker_id.as_deref()), (task.as_str(), Some("w1")));
    derived_rows_agree(store).await;
    let unlock = Command::UnlockExternalTask { id: task };
    store.command(&anyone(), &instance, unlock).await.expect("a command");
    assert_eq!(store.fetch_and_lock(&anyone(), "w3", &topics, 10, false).await.expect("a fetch").len(), 1);
}

pub async fn priority_goes_first(store: &SqlStore) {
    let definition = deploy(store, "ext", EXTERNAL).await;
    let mut last = None;
    for priority in [5, 50, 20] {
        let id = start(store, &definition.id, vec![]).await.instance_id;
        let task = document(store, &id).await.instance.external_tasks[0].id.clone();
        store.command(&anyone(), &id, Command::SetExternalTaskPriority { id: task, priority }).await.expect("a command");
        if priority == 50 {
            last = Some(id);
        }
    }
    let taken = store.fetch_and_lock(&anyone(), "w", &[("herd".to_owned(), 1_000)], 1, true).await.expect("a fetch");
    assert_eq!(Some(&taken[0].0), last.as_ref());
}
