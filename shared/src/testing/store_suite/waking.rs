//! Wake: what is due is found again, and only that.

use super::{Bench, Herder, checked, execute, execute_with, seeded, whole, work};
use crate::batch::FIRST_WAKE_MS;
use crate::job::{LEASE_MS, UNPUBLISHED_MS, WorkRef};
use crate::store::{Caller, WakeLimits};

const LIMITS: WakeLimits = WakeLimits { work: 1_000, instances: 1_000 };

async fn woken(bench: &dyn Bench) -> Vec<WorkRef> {
    let mut work = bench.store().wake(LIMITS).await.expect("it wakes").work;
    work.sort();
    work
}

pub async fn a_lost_wake_is_found_after_a_while(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 3, 1).await;
    assert_eq!(woken(bench).await, [], "seeding published it");
    bench.age(FIRST_WAKE_MS + 1).await;
    assert_eq!(woken(bench).await, [work(&batch, 2)]);
    assert_eq!(woken(bench).await, []);
    bench.age(FIRST_WAKE_MS + 1).await;
    assert_eq!(woken(bench).await, [], "each time it waits twice as long");
    bench.age(FIRST_WAKE_MS + 1).await;
    assert_eq!(woken(bench).await, [work(&batch, 2)]);
    execute(bench, &[whole(&batch, 2)]).await;
    bench.age(600_000).await;
    assert_eq!(woken(bench).await, [], "once all is quiet nothing is published");
}

/// A broker that was away for a minute: the work goes on when it is there again, and not when the doubled waits are over.
pub async fn what_could_not_be_published_is_due_again_soon(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 3, 1).await;
    let store = bench.store();
    store.unpublished(&[work(&batch, 2), work("nobody", 2)]).await.unwrap();
    for _ in 0..6 {
        assert_eq!(woken(bench).await, []);
        bench.age(UNPUBLISHED_MS + 1).await;
        assert_eq!(woken(bench).await, [work(&batch, 2)]);
        store.unpublished(&[work(&batch, 2)]).await.unwrap();
    }
    bench.age(UNPUBLISHED_MS + 1).await;
    assert_eq!(woken(bench).await, [work(&batch, 2)], "this time it is published, and lost");
    bench.age(2 * FIRST_WAKE_MS - 1_000).await;
    assert_eq!(woken(bench).await, []);
    bench.age(2_000).await;
    assert_eq!(woken(bench).await, [work(&batch, 2)], "attempts that came to nothing did not count");
    for _ in 0..3 {
        execute_with(bench, &[whole(&batch, 2)], &Herder::failing(&ids[..1], "r")).await;
    }
    store.unpublished(&[work(&batch, 2)]).await.unwrap();
    bench.age(600_000).await;
    assert_eq!(woken(bench).await, [], "what is held stays held");
    checked(bench, &batch).await;
}

/// A wiped broker: what was out is due at once, and nothing else.
pub async fn what_a_wiped_broker_lost_is_due_at_once(bench: &dyn Bench) {
    let (lost, _) = seeded(bench, 3, 1).await;
    let (other, _) = seeded(bench, 3, 1).await;
    let (held, _) = seeded(bench, 3, 1).await;
    let (failed, ids) = seeded(bench, 3, 1).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    store.set_batch_job_suspended(&caller, &work(&held, 2), true).await.unwrap();
    store.set_batch_job_due(&caller, &work(&held, 3), Some(i64::MAX / 2)).await.unwrap();
    store.lease(&work(&held, 4), "a").await.unwrap();
    for _ in 0..3 {
        execute_with(bench, &[whole(&failed, 2)], &Herder::failing(&ids[..1], "r")).await;
    }
    for _ in 0..6 {
        for batch in [&lost, &held, &failed, &"nobody".to_owned()] {
            store.wakes_lost(batch).await.unwrap();
        }
        assert_eq!(woken(bench).await, [work(&lost, 2)], "and nothing that is held, later, leased, failed or of another batch");
        assert_eq!(woken(bench).await, []);
    }
    bench.age(2 * FIRST_WAKE_MS + 1_000).await;
    assert!(woken(bench).await.contains(&work(&lost, 2)), "wakes that were lost did not count");
    for batch in [&lost, &other, &held, &failed] {
        checked(bench, batch).await;
    }
}

pub async fn what_must_not_run_is_not_woken(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 6, 1).await;
    let (store, caller) = (bench.store(), Caller::anonymous());
    for _ in 0..3 {
        execute_with(bench, &[whole(&batch, 2)], &Herder::failing(&ids[..1], "r")).await;
    }
    let (other, _) = seeded(bench, 3, 1).await;
    store.set_batch_job_suspended(&caller, &work(&other, 2), true).await.unwrap();
    store.set_batch_job_due(&caller, &work(&other, 3), Some(i64::MAX / 2)).await.unwrap();
    store.lease(&work(&other, 4), "a").await.unwrap();
    bench.age(FIRST_WAKE_MS - 1_000).await;
    assert_eq!(woken(bench).await, []);
    bench.age(LEASE_MS).await;
    assert_eq!(woken(bench).await, [work(&other, 4)], "its lease has passed");
    checked(bench, &other).await;
}

pub async fn no_more_than_the_window_is_woken_at_a_time(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 350, 1).await;
    bench.age(FIRST_WAKE_MS + 1).await;
    assert_eq!(woken(bench).await, [work(&batch, 2)], "an idle fleet's window is one chunk");
    assert_eq!(woken(bench).await, [], "what was woken is still out");
    execute(bench, &[whole(&batch, 2)]).await;
    assert_eq!(woken(bench).await, [work(&batch, 102)]);
    let limits = WakeLimits { work: 0, instances: 0 };
    assert_eq!(bench.store().wake(limits).await.unwrap().work, []);
}

pub async fn an_instance_with_a_due_job_is_woken(bench: &dyn Bench) {
    let id = crate::id::new_base();
    let mut instance = super::instance(&id);
    let job = crate::process::instance::InstanceJob {
        id: crate::id::numbered(&id, 7),
        execution_id: id.clone(),
        retries: 3,
        due: Some(1),
        ..Default::default()
    };
    instance.jobs.push(job);
    bench.plant(vec![instance]).await;
    assert_eq!(bench.store().wake(LIMITS).await.unwrap().instances, std::slice::from_ref(&id));
    assert_eq!(bench.store().wake(LIMITS).await.unwrap().instances, [""; 0]);
    bench.age(60_001).await;
    assert_eq!(bench.store().wake(LIMITS).await.unwrap().instances, [id]);
}
