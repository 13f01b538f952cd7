//! The store's conformance suite, on SQLite and on PostgreSQL, each case in a database of its own.

#![expect(clippy::unwrap_used, reason = "tests: a failure is a panic")]

use shared::store::sql::SqlStore;
use shared::store::{BatchStore, Executed, Lease, Mode, Portion, Store};
use shared::testing::database::{Raw, TestDatabase};
use shared::testing::store_suite::{
    Herder, careful, effects, executing, listing, one_job, races, seeded, seeding, submitting, waking, whole, work,
};

macro_rules! conformance {
    ($($module:ident: $($case:ident),* $(,)?;)*) => {
        mod sqlite {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    let database = TestDatabase::sqlite().await;
                    $module::$case(&database).await;
                    database.remove().await;
                }
            )*)*
        }
        mod postgres {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    let database = TestDatabase::postgres().await;
                    $module::$case(&database).await;
                    database.remove().await;
                }
            )*)*
        }
    };
}

conformance! {
    submitting:
        a_batch_is_there_with_all_that_belongs_to_it,
        many_ids_are_sorted_in_the_database,
        a_query_is_evaluated_when_the_batch_is_submitted,
        no_ids_are_refused_and_nothing_is_written,
        an_id_that_is_taken_is_drawn_again,
        a_caller_sees_its_own_tenants_and_what_has_none;
    seeding:
        an_idle_fleet_gets_one_chunk,
        a_busy_fleet_gets_as_much_as_it_finishes,
        a_small_batch_waits_for_a_window_and_not_for_a_giant,
        runs_are_cut_from_whole_jobs,
        the_seed_job_is_there_while_there_are_chunks_and_then_the_monitor_job,
        runs_take_priority_and_suspension_from_their_job_definition,
        a_suspended_or_exhausted_seed_job_does_nothing_by_itself;
    executing:
        a_batch_without_failures_ends_by_itself,
        documents_that_change_and_that_stay_are_written_together,
        an_instance_that_fails_holds_back_nobody,
        three_attempts_and_then_an_incident,
        an_incident_keeps_the_first_message,
        only_a_part_of_a_run_may_be_claimed,
        one_micro_batch_of_many_batches,
        a_missing_instance_fails_its_job,
        a_person_executes_one_job_wherever_it_is,
        a_refused_statement_is_charged_to_the_front_job,
        retries_of_other_batches_jobs_are_set_by_a_batch;
    effects:
        suspending_what_is_there_and_what_is_not,
        history_is_deleted_but_not_of_what_runs,
        removal_times_are_set_on_what_is_over,
        removal_times_of_batches_are_set,
        what_is_over_starts_again_once,
        a_restart_without_its_definition_fails_all_and_starts_none,
        items_are_spread_over_deployments,
        what_its_submitter_may_not_see_is_not_there,
        a_due_date_is_taken_away_by_a_batch;
    one_job:
        a_job_that_is_changed_leaves_its_run,
        a_job_not_yet_made_is_not_there,
        retries_of_none_make_an_incident,
        a_deleted_job_counts_as_completed_and_its_instances_as_cancelled,
        suspended_work_is_not_claimed_and_activated_work_is_published,
        a_deleted_batch_leaves_its_history,
        a_cascading_delete_leaves_nothing,
        history_may_go_before_its_batch,
        the_monitor_job_shows_when_it_looks_next;
    careful:
        copies_of_one_message_count_once, who_asks_again_makes_the_same_attempt,
        a_row_that_killed_is_careful_whatever_the_message_says,
        at_the_fifth_death_the_front_job_fails_untried,
        retries_set_by_a_person_end_careful_mode,
        suspended_work_is_not_leased;
    waking:
        a_lost_wake_is_found_after_a_while,
        what_could_not_be_published_is_due_again_soon,
        what_a_wiped_broker_lost_is_due_at_once,
        what_must_not_run_is_not_woken,
        no_more_than_the_window_is_woken_at_a_time,
        an_instance_with_a_due_job_is_woken;
    listing:
        pages_go_through_runs,
        filters_find_jobs_in_runs_and_in_rows,
        the_log_is_spread_out_into_one_entry_a_job;
    races:
        execute_and_suspend,
        execute_and_delete,
        two_executions_of_one_run,
        execute_and_set_retries_of_a_job_in_the_run,
        execute_and_execute_by_hand,
        execute_and_complete,
        execute_and_seed,
        execute_and_wake,
        execute_and_set_retries_of_its_definition,
        seeders_deleters_and_completers_at_once,
        many_executors_and_a_meddler;
}

/// Only where two transactions run side by side.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_instance_changed_meanwhile_is_decided_again() {
    let database = TestDatabase::postgres().await;
    races::an_instance_changed_meanwhile_is_decided_again(&database).await;
    database.remove().await;
}

/// Its rows come while others of the same statement are still to come: the connection has to be fit for the next transaction.
#[tokio::test]
async fn a_damaged_document_sends_its_transaction_back_and_nothing_else() {
    for database in [TestDatabase::sqlite().await, TestDatabase::postgres().await] {
        let (batch, ids) = seeded(&database, 90, 1).await;
        let mut raw = Raw::connect(&database.url).await;
        raw.execute(&format!("UPDATE process_instance SET state = '!' || state WHERE id = '{}'", ids[7])).await;
        // More often than there are connections.
        for _ in 0..20 {
            let refused = database.store.execute(&[whole(&batch, 2)], &Mode::Normal, &Herder::default()).await.unwrap_err();
            assert!(refused.to_string().contains(&ids[7]), "{refused}");
        }
        raw.execute(&format!("UPDATE process_instance SET state = substr(state, 2) WHERE id = '{}'", ids[7])).await;
        assert_eq!(execute(&database.store, &batch).await.succeeded_instances, 90);
        database.remove().await;
    }
}

#[tokio::test]
async fn both_databases_have_the_same_tables_and_columns() {
    let (sqlite, postgres) = (TestDatabase::sqlite().await, TestDatabase::postgres().await);
    let (of_sqlite, of_postgres) = (sqlite.store.schema().await.unwrap(), postgres.store.schema().await.unwrap());
    assert!(of_sqlite.iter().any(|(table, _)| table == "run"));
    assert_eq!(of_sqlite, of_postgres);
    sqlite.remove().await;
    postgres.remove().await;
}

#[tokio::test]
async fn two_processes_may_open_a_new_database_at_once() {
    for database in [TestDatabase::sqlite().await, TestDatabase::postgres().await] {
        let (a, b) = tokio::join!(database.another(), database.another());
        assert_eq!(a.schema().await.unwrap(), b.schema().await.unwrap());
        shared::store::Store::close(&a).await;
        shared::store::Store::close(&b).await;
        database.remove().await;
    }
}

/// The embedded product has no broker that tells of a death: the file does, which was not closed.
#[tokio::test]
async fn what_was_outstanding_when_the_file_was_not_closed_is_executed_with_care() {
    let database = TestDatabase::sqlite().await;
    let (batch, _) = seeded(&database, 3, 1).await;
    let second = database.another().await;
    assert_eq!(execute(&second, &batch).await.careful, [work(&batch, 2)]);
    assert_eq!(second.lease(&work(&batch, 2), "a").await.unwrap(), Lease::Taken { one_by_one: false }, "the first attempt that counts");
    // It dies too. Its lease is over with it: nobody waits for what cannot come back.
    let third = database.another().await;
    assert_eq!(third.lease(&work(&batch, 2), "b").await.unwrap(), Lease::Taken { one_by_one: true });
    let portion = Portion { work: work(&batch, 2), jobs: Some(1) };
    let mode = Mode::Careful { token: "b".into() };
    assert_eq!(third.execute(&[portion], &mode, &Herder::default()).await.unwrap().succeeded_instances, 1);
    database.remove().await;
}

#[tokio::test]
async fn after_a_clean_stop_nothing_is_suspect() {
    let database = TestDatabase::sqlite().await;
    let (batch, _) = seeded(&database, 3, 1).await;
    database.store.close().await;
    let again = database.another().await;
    assert_eq!(execute(&again, &batch).await.succeeded_instances, 3);
}

async fn execute(store: &SqlStore, batch: &str) -> Executed {
    store.execute(&[whole(batch, 2)], &Mode::Normal, &Herder::default()).await.unwrap()
}
