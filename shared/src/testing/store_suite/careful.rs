//! Careful mode: leases, attempts, giving up.

use super::{Bench, Herder, checked, execute, job, migrated, numbers, seeded, whole, work};
use crate::job::LEASE_MS;
use crate::store::{Caller, Executed, Lease, Mode, Portion};

async fn lease(bench: &dyn Bench, batch: &str, number: u32, token: &str) -> Lease {
    bench.store().lease(&work(batch, number), token).await.expect("leases can be asked for")
}

async fn careful(bench: &dyn Bench, batch: &str, number: u32, token: &str, jobs: Option<u32>) -> Executed {
    let portion = Portion { work: work(batch, number), jobs };
    let mode = Mode::Careful { token: token.into() };
    bench.store().execute(&[portion], &mode, &Herder::default()).await.expect("it executes")
}

pub async fn copies_of_one_message_count_once(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 5, 1).await;
    assert_eq!(lease(bench, &batch, 2, "a").await, Lease::Taken { one_by_one: false });
    assert_eq!(lease(bench, &batch, 2, "b").await, Lease::NotNow);
    assert_eq!(careful(bench, &batch, 2, "b", None).await.not_now, [work(&batch, 2)]);
    assert_eq!(execute(bench, &[whole(&batch, 2)]).await.not_now, [work(&batch, 2)], "leased counts as locked");
    assert_eq!(careful(bench, &batch, 2, "a", None).await.succeeded_instances, 5);
    assert_eq!(lease(bench, &batch, 2, "c").await, Lease::Gone);
    assert_eq!(migrated(bench, &ids).await, 5);
    checked(bench, &batch).await;
}

pub async fn a_row_that_killed_is_careful_whatever_the_message_says(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 3, 1).await;
    lease(bench, &batch, 2, "a").await;
    bench.age(LEASE_MS + 1).await;
    assert_eq!(execute(bench, &[whole(&batch, 2)]).await.careful, [work(&batch, 2)]);
    assert_eq!(lease(bench, &batch, 2, "b").await, Lease::Taken { one_by_one: true });
    let executed = careful(bench, &batch, 2, "b", Some(1)).await;
    assert_eq!((executed.succeeded_instances, executed.next), (1, vec![work(&batch, 3)]));
    assert_eq!(execute(bench, &[whole(&batch, 3)]).await.careful, [work(&batch, 3)], "what is left of it is careful too");
    assert_eq!(lease(bench, &batch, 3, "c").await, Lease::Taken { one_by_one: true });
    assert_eq!(careful(bench, &batch, 3, "c", Some(1)).await.next, [work(&batch, 4)]);
    assert_eq!(migrated(bench, &ids).await, 2);
    checked(bench, &batch).await;
}

pub async fn at_the_fifth_death_the_front_job_fails_untried(bench: &dyn Bench) {
    let (batch, ids) = seeded(bench, 3, 1).await;
    for n in 1..5 {
        assert_eq!(lease(bench, &batch, 2, &n.to_string()).await, Lease::Taken { one_by_one: n >= 2 });
        bench.age(LEASE_MS + 1).await;
    }
    let Lease::GaveUp { executed } = lease(bench, &batch, 2, "5").await else { panic!("it gives up") };
    assert_eq!(executed.failed[0].1.message, "the worker died 5 times");
    assert_eq!(executed.next, [work(&batch, 3), work(&batch, 2)]);
    let failed = job(bench, &batch, 2).await;
    assert_eq!((failed.retries, failed.exception_message.as_deref()), (2, Some("the worker died 5 times")));
    assert_eq!(lease(bench, &batch, 3, "x").await, Lease::Taken { one_by_one: true }, "attempts went back to two");
    assert_eq!(careful(bench, &batch, 3, "x", Some(1)).await.succeeded_instances, 1);
    assert_eq!(migrated(bench, &ids).await, 1);
    assert_eq!(numbers(bench, &batch).await, [2, 4]);
    checked(bench, &batch).await;
}

pub async fn retries_set_by_a_person_end_careful_mode(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 1, 1).await;
    lease(bench, &batch, 2, "a").await;
    bench.store().set_batch_job_retries(&Caller::anonymous(), &work(&batch, 2), 3, None).await.unwrap().unwrap();
    assert_eq!(execute(bench, &[whole(&batch, 2)]).await.succeeded_instances, 1);
}

pub async fn suspended_work_is_not_leased(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 1, 1).await;
    bench.store().set_batch_suspended(&Caller::anonymous(), &batch, true).await.unwrap();
    assert_eq!(lease(bench, &batch, 2, "a").await, Lease::NotNow);
    checked(bench, &batch).await;
}

pub async fn who_asks_again_makes_the_same_attempt(bench: &dyn Bench) {
    let (batch, _) = seeded(bench, 3, 1).await;
    for _ in 0..6 {
        // Its database was away, once for longer than the lease lasts.
        assert_eq!(lease(bench, &batch, 2, "a").await, Lease::Taken { one_by_one: false });
        bench.age(LEASE_MS / 2).await;
    }
    bench.age(LEASE_MS + 1).await;
    assert_eq!(lease(bench, &batch, 2, "a").await, Lease::Taken { one_by_one: false });
    assert_eq!(careful(bench, &batch, 2, "a", None).await.succeeded_instances, 3);
    checked(bench, &batch).await;
}
