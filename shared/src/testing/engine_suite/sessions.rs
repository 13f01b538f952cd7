//! Many sessions at once: nothing is lost, nothing is done twice.

use std::collections::HashSet;

use futures::future::join_all;

use super::*;
use crate::migration::{MigrationInstruction, MigrationPlan, Skip};
use crate::runner::command::VariableScope;

pub async fn commands_of_many_sessions_are_all_kept(store: &SqlStore) {
    let definition = deploy(store, "order", TWO_TASKS).await;
    let id = start(store, &definition.id, vec![]).await.instance_id;
    let set = |n: i64| {
        let (id, variables) = (id.clone(), vec![(format!("v{n}"), TypedValue::integer(n))]);
        async move {
            let command = Command::SetVariables { scope: VariableScope::Execution(id.clone()), variables, local: false };
            (n, store.command(&anyone(), &id, command).await)
        }
    };
    let results = join_all((0..8).map(set)).await;
    let stored = document(store, &id).await;
    let mut written = 0;
    for (n, result) in results {
        let there = stored.instance.variables.iter().any(|v| v.name == format!("v{n}"));
        match result {
            Ok(Some(_)) => {
                assert!(there, "v{n} was answered for and lost");
                written += 1;
            }
            Err(Error::OptimisticLock { .. }) => assert!(!there, "v{n} was refused and is there"),
            other => panic!("v{n}: {other:?}"),
        }
    }
    assert!(written > 0);
    assert_eq!(stored.revision, 1 + written);
}

pub async fn external_tasks_go_to_one_worker_each(store: &SqlStore) {
    let definition = deploy(store, "ext", EXTERNAL).await;
    let new = (0..40).map(|_| new_instance(&definition.id, None, vec![])).collect();
    store.start_many(&anyone(), new).await.expect("a start");
    let mut taken: Vec<(String, String)> = vec![];
    // What others hold is passed over: a few rounds give all of them out.
    for _ in 0..20 {
        let workers = (0..4).map(|n| async move {
            store.fetch_and_lock(&anyone(), &format!("w{n}"), &[("herd".to_owned(), 600_000)], 5, false).await.expect("a fetch")
        });
        taken.extend(join_all(workers).await.into_iter().flatten());
    }
    assert_eq!(taken.len(), 40);
    assert_eq!(taken.into_iter().collect::<HashSet<_>>().len(), 40, "one went to two workers");
}

pub async fn a_migration_and_commands_at_once(store: &SqlStore) {
    let v1 = deploy(store, "order", TWO_TASKS).await;
    let v2 = deploy(store, "order", TWO_TASKS).await;
    let new = (0..10).map(|_| new_instance(&v1.id, None, vec![])).collect();
    let ids = store.start_many(&anyone(), new).await.expect("a start");
    let plan = MigrationPlan {
        source_definition_id: v1.id.clone(),
        target_definition_id: v2.id.clone(),
        instructions: ["first", "second"].iter().map(|a| MigrationInstruction::new(*a, *a, false)).collect(),
        variables: None,
    };
    let complete = |id: &str| {
        let id = id.to_owned();
        async move {
            let task = document(store, &id).await.instance.tasks.remove(0).id;
            store.command(&anyone(), &id, Command::CompleteTask { task_id: task, variables: vec![] }).await
        }
    };
    let caller = anyone();
    let (migrated, completed) =
        tokio::join!(store.migrate(&caller, &ids, None, &plan, Skip::default()), join_all(ids.iter().map(|id| complete(id))));
    let definition = match migrated {
        Ok(Ok(_)) => &v2.id,
        Err(Error::OptimisticLock { .. } | Error::Collision { .. }) => &v1.id,
        other => panic!("{other:?}"),
    };
    for (id, completed) in ids.iter().zip(completed) {
        let instance = document(store, id).await.instance;
        let expected = match completed {
            Ok(Some(_)) => "second",
            Err(Error::OptimisticLock { .. }) => "first",
            other => panic!("{other:?}"),
        };
        let tasks: Vec<&str> = instance.tasks.iter().map(|task| task.task_definition_key.as_str()).collect();
        assert_eq!((tasks, &instance.definition_id), (vec![expected], definition), "{id}");
    }
}

pub async fn no_instance_is_left_without_its_definition(store: &SqlStore) {
    deploy(store, "order", TWO_TASKS).await;
    let definition = deploy(store, "order", TWO_TASKS).await;
    let caller = anyone();
    let starts = (0..10).map(|_| store.start_many(&caller, vec![new_instance(&definition.id, None, vec![])]));
    let (deleted, started) = tokio::join!(store.delete_definition(&caller, &definition.id, true), join_all(starts));
    for result in started {
        assert!(matches!(result, Ok(_) | Err(Error::Refused(_))), "{result:?}");
    }
    let gone = match deleted {
        Ok(gone) => gone,
        Err(Error::Collision { .. }) => false,
        Err(other) => panic!("{other:?}"),
    };
    assert_eq!(store.model(&definition.id).await.expect("a read").is_none(), gone);
    let left = found(store, &of_definition(&definition.id)).await;
    assert!(!gone || left.is_empty(), "{left:?}");
}
