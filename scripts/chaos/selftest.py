"""A ledger that cannot say no shows nothing: a small world that is in order, and doctored copies of it, one for every check.

Needs only a private PostgreSQL; the schema is the product's own.
"""

import glob
import shutil
import sys
import tempfile

import ledger
from database import Database
from fleet import TOP, Fleet
from world import Batch, World

HOME, AWAY = "k:1:home", "k:2:away"
DONE, DELETED, OPEN = "batch-done", "batch-deleted", "batch-open"


def instance(number):
    return f"instance-{number}"


def log_row(name, batch, event, first, last, ids=None, time=2000, message=None):
    listed = "NULL" if ids is None else "'[" + ",".join(f'"{instance(i)}"' for i in ids) + "]'"
    text = "NULL" if message is None else f"'{message}'"
    return (
        "INSERT INTO job_log (id, time, event, batch_id, first, last, entries, job_retries, job_priority, job_definition_type, ids, message) "
        f"VALUES ('{name}', {time}, '{event}', '{batch}', {first}, {last}, {last - first + 1}, 3, 0, 'instance-migration', {listed}, {text});"
    )


def history(batch, total, end, numbers):
    return (
        "INSERT INTO historic_batch (id, type, total_instances, total_jobs, batch_jobs_per_seed, invocations_per_batch_job, start_time, end_time, "
        f"migrated_instances, failed_instances, cancelled_instances) VALUES ('{batch}', 'instance-migration', {total}, {total}, 100, 1, 1000, {end}, {numbers});"
    )


# Instances 1 to 8 are born. A batch of 1 to 4 completed; one of 5 and 6 was deleted when 5 was done; one of 7 and 8 has 8 failed.
BIRTH = "".join(
    "INSERT INTO process_instance (id, root_instance, started, definition_id, definition_key, suspended, revision, has_incident, state) "
    f"VALUES ('{instance(i)}', '{instance(i)}', 1, '{HOME}', 'k', false, 1, false, '{{\"tasks\": [{{}}]}}');"
    for i in range(1, 9)
)
LIFE = (
    f"UPDATE process_instance SET definition_id = '{AWAY}', revision = 2 WHERE id IN ('instance-1', 'instance-2', 'instance-3', 'instance-4', 'instance-5', 'instance-7');"
    + log_row("l1", DONE, "succeeded", 2, 3, [1, 2]) + log_row("l2", DONE, "succeeded", 4, 5, [3, 4]) + log_row("l3", DONE, "succeeded", 1, 1)
    + history(DONE, 4, 3000, "4, 0, 0")
    + log_row("l4", DELETED, "succeeded", 2, 2, [5]) + history(DELETED, 2, 3000, "1, 0, 1")
    + log_row("l5", OPEN, "succeeded", 2, 2, [7]) + log_row("l6", OPEN, "failed", 3, 3, message="the instance does not exist")
    + history(OPEN, 2, "NULL", "NULL, NULL, NULL")
    + "INSERT INTO batch (id, type, configuration, total_instances, total_jobs, batch_jobs_per_seed, invocations_per_batch_job, default_retries, start_time, "
    f"seed_retries, monitor_retries) VALUES ('{OPEN}', 'instance-migration', '{{}}', 2, 2, 100, 1, 3, 1000, 3, 3);"
    f"INSERT INTO job (batch, number, items, ids, created, retries) VALUES ('{OPEN}', 3, 1, '[\"instance-8\"]', 1, 0);"
)

# What is done to the world, by the check that must see it.
DOCTORED = {
    "effects counted twice": log_row("twice", DONE, "succeeded", 2, 2, [1]),
    "writes counted twice or lost": "UPDATE process_instance SET revision = 3 WHERE id = 'instance-2'",
    "instances not where their migrations led": f"UPDATE process_instance SET definition_id = '{HOME}' WHERE id = 'instance-3'",
    "instances lost": "DELETE FROM process_instance WHERE id = 'instance-6'",
    "instances deleted and still there": "UPDATE chaos.deleted SET id = 'instance-6'",
    "tokens lost or doubled": "UPDATE process_instance SET state = '{\"tasks\": [{}, {}]}' WHERE id = 'instance-1'",
    "history written twice": "INSERT INTO historic (kind, id, instance_id, definition_id, definition_key, time, body) "
    "SELECT 'activity', 'first:1', 'instance-1', 'k:1:home', 'k', 1, '{}' FROM generate_series(1, 2)",
    "instances of a batch without an end": "UPDATE job_log SET ids = '[\"instance-3\"]' WHERE id = 'l2'",
    "instances of a batch with two ends": "UPDATE job SET ids = '[\"instance-7\"]'",
    "instances that a batch was not told to touch": log_row("stray", DONE, "succeeded", 2, 2, [6]),
    "accepted batches without a trace": f"DELETE FROM historic_batch WHERE id = '{DELETED}'",
    "batches stuck": f"UPDATE batch SET id = '{DONE}'",
    "batches that did not complete exactly once": log_row("again", DONE, "succeeded", 1, 1),
    "history's counts against a recount": f"UPDATE historic_batch SET migrated_instances = 2, cancelled_instances = 0 WHERE id = '{DELETED}'",
    "work done after a batch's end": "UPDATE job_log SET time = 4000 WHERE id = 'l1'",
    "work done while suspended": "UPDATE job_log SET time = 1500 WHERE id = 'l1'",
    "leftovers of batches that are over": f"INSERT INTO run (batch, first, last, items, ids, k, created, retries) VALUES ('{DONE}', 9, 9, 1, '[\"instance-1\"]', 1, 1, 3)",
    "attempts that failed for no reason of ours": log_row("odd", OPEN, "failed", 3, 3, message="canceling statement due to statement timeout"),
    "batches that nobody knows": history("batch-unknown", 1, 3000, "1, 0, 0"),
    "tasks completed": "INSERT INTO historic (kind, id, instance_id, definition_id, definition_key, time, body) "
    "VALUES ('task', 't', 'instance-1', 'k:1:home', 'k', 1, '{}')",
}


def harness():
    """What the harness would know of it."""
    world = World()
    batches = [(DONE, [1, 2, 3, 4], "completed", 3.0), (DELETED, [5, 6], "deleted", 3.0), (OPEN, [7, 8], "open", 0.0)]
    for name, ids, ended, at in batches:
        world.add(Batch(name, "k", HOME, AWAY, [instance(i) for i in ids], len(ids), 1.0, ended=ended, ended_at=at))
    world.batches[DONE].suspended.append((1.4, 1.6))
    return world


def verdict(database, doctoring):
    """The findings of a ledger over a copy of the world to which this was done."""
    ledger.prepare(database)
    database.rows(BIRTH)
    ledger.born(database, "k", HOME, [instance(i) for i in range(1, 9)])
    database.rows("CREATE TABLE chaos.deleted (id TEXT); INSERT INTO chaos.deleted VALUES ('')")
    database.rows(LIFE)
    if doctoring:
        database.rows(doctoring)
    world = harness()
    if told := database.one("SELECT id FROM chaos.deleted WHERE id <> ''"):
        world.deletions.add(told)
        world.deleted.add(told)
    ledger.lay_out(database, world)
    return ledger.judge(database, world)


def run():
    folder = tempfile.mkdtemp(prefix="drover-chaos-", dir="/var/tmp")
    fleet = Fleet(folder, {}, {"PG_FAST": "1"}, 0)
    fleet.shell(f"chmod 755 {folder}")
    port = int(fleet.shell("free_port"))
    wrong = []
    try:
        fleet.shell(f"pg_start {folder}/pg {port}")
        product = Database(port)
        for file in sorted(glob.glob(f"{TOP}/shared/migrations/postgres/*.sql")):
            with open(file, encoding="utf-8") as text:
                product.rows(text.read())
        for number, (check, doctoring) in enumerate([("", ""), *DOCTORED.items()]):
            Database(port, name="postgres").rows(f"CREATE DATABASE world{number} TEMPLATE drover")
            found = verdict(Database(port, name=f"world{number}"), doctoring)
            if check and not any(check in sentence for sentence in found):
                wrong.append(f"not seen: {check}; found only {found}")
            if not check and found:
                wrong.append(f"a world in order is said to be off: {found}")
        unshown = [name for name, *_ in ledger.CHECKS if not any(name.startswith(check) for check in DOCTORED)]
        wrong += [f"no doctored world for the check: {name}" for name in unshown]
    finally:
        fleet.shell(f"pg_stop {folder}/pg")
        shutil.rmtree(folder, ignore_errors=True)
    for sentence in wrong:
        print(sentence)
    print(f"the ledger saw {len(DOCTORED) - len(wrong)} of {len(DOCTORED)} doctored worlds")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(run())
