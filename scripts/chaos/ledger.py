"""The ledger: what the harness knows against what the database holds, once all is quiet.

Every check gives sentences about what is off; none: it holds. What the harness knows is laid beside the product's tables, in
a schema of its own (`chaos`), so that a check is a join. What is compared to count effects:

* the job log of each batch names the instances that it migrated: an instance named twice was migrated twice;
* the revision of an instance counts its writes: it must have grown by the migrations that the log names and by what callers
  were told (at least) or tried (at most);
* an instance stands where the sum of its migrations says, with exactly one token.
"""

import re

# Sentences that one check gives at most.
MOST = 5
# Attempts that failed, by what they said.
REASONS = "SELECT message, count(*) FROM job_log WHERE event = 'failed' AND batch_id IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 1000"

SCHEMA = """
DROP SCHEMA IF EXISTS chaos CASCADE;
CREATE SCHEMA chaos;
CREATE TABLE chaos.batch (id TEXT PRIMARY KEY, herd TEXT, source TEXT, target TEXT, whole TEXT, by_query BOOLEAN, ended TEXT, ended_at BIGINT);
CREATE TABLE chaos.named (batch TEXT, instance TEXT);
CREATE TABLE chaos.born (id TEXT PRIMARY KEY, herd TEXT, home TEXT, revision BIGINT);
CREATE TABLE chaos.change (instance TEXT PRIMARY KEY, told BIGINT, tried BIGINT, deletion TEXT);
CREATE TABLE chaos.pause (batch TEXT, since BIGINT, until BIGINT);
"""

DERIVED = """
CREATE TABLE chaos.success AS SELECT l.batch_id AS batch, e.id AS instance, l.time, l.id AS log
    FROM job_log l, json_array_elements_text(l.ids::json) AS e(id) WHERE l.event = 'succeeded' AND l.first >= 2;
CREATE TABLE chaos.item AS SELECT batch, instance FROM chaos.named
    UNION ALL SELECT b.id, i.id FROM chaos.batch b JOIN chaos.born i ON i.herd = b.whole;
CREATE TABLE chaos.left_open AS
    SELECT w.batch, e.id AS instance FROM (SELECT batch, ids FROM chunk UNION ALL SELECT batch, ids FROM run UNION ALL SELECT batch, ids FROM job) w,
    json_array_elements_text(w.ids::json) AS e(id);
CREATE TABLE chaos.cancelled AS SELECT l.batch_id AS batch, e.id AS instance
    FROM job_log l, json_array_elements_text(l.ids::json) AS e(id) WHERE l.event = 'deleted' AND l.first >= 2;
CREATE TABLE chaos.total AS SELECT s.instance, count(*) AS migrations,
    sum(CASE WHEN b.target = i.home THEN -1 ELSE 1 END) AS away
    FROM chaos.success s JOIN chaos.born i ON i.id = s.instance JOIN chaos.batch b ON b.id = s.batch GROUP BY s.instance;
CREATE INDEX ON chaos.success (batch, instance);
CREATE INDEX ON chaos.item (batch, instance);
CREATE INDEX ON chaos.total (instance);
ANALYZE chaos.success; ANALYZE chaos.item; ANALYZE chaos.total;
"""


def prepare(database):
    database.rows(SCHEMA)


def born(database, herd, home, ids):
    """Remembers instances as they are before anything happens to them."""
    database.rows("CREATE TABLE IF NOT EXISTS chaos.listed (id TEXT)")
    database.rows("TRUNCATE chaos.listed")
    database.load("chaos.listed", [[i] for i in ids])
    database.rows(
        f"INSERT INTO chaos.born SELECT p.id, '{herd}', '{home}', p.revision FROM process_instance p JOIN chaos.listed USING (id)"
    )


def lay_out(database, world):
    """What the harness knows, beside the tables."""
    batches, named, pauses = [], [], []
    for batch in world.all():
        whole = batch.herd if batch.ids is None and not batch.by_query else "\\N"
        batches.append([batch.id, batch.herd, batch.source, batch.target, whole, batch.by_query, batch.ended or "running", int(batch.ended_at * 1000)])
        named += [[batch.id, instance] for instance in batch.ids or []]
        pauses += [[batch.id, int(since * 1000), int(until * 1000)] for since, until in batch.suspended]
    changes = {i: [*counts, "no"] for i, counts in world.changes.items()}
    for instance in world.deletions:
        changes.setdefault(instance, [0, 1, "no"])[2] = "told" if instance in world.deleted else "tried"
    database.load("chaos.batch", batches)
    database.load("chaos.named", named)
    database.load("chaos.pause", pauses)
    database.load("chaos.change", [[i, *change] for i, change in changes.items()])
    database.rows(DERIVED)


# Name of the check, what a row of it means, and the question. A row is a fault.
CHECKS = [
    ("effects counted twice, by the job log", "batch {0} migrated instance {1} {2} times",
     "SELECT batch, instance, count(*) FROM chaos.success GROUP BY 1, 2 HAVING count(*) > 1"),
    ("writes counted twice or lost, by revisions", "instance {0} was written {1} times, and should have been {2} to {3} times",
     "SELECT p.id, p.revision - i.revision, COALESCE(t.migrations, 0) + COALESCE(c.told, 0), COALESCE(t.migrations, 0) + COALESCE(c.tried, 0) "
     "FROM chaos.born i JOIN process_instance p USING (id) LEFT JOIN chaos.total t ON t.instance = i.id LEFT JOIN chaos.change c ON c.instance = i.id "
     "WHERE p.revision - i.revision NOT BETWEEN COALESCE(t.migrations, 0) + COALESCE(c.told, 0) AND COALESCE(t.migrations, 0) + COALESCE(c.tried, 0)"),
    ("instances not where their migrations led", "instance {0} is on {1}, {2} migrations away from home {3}",
     "SELECT p.id, p.definition_id, COALESCE(t.away, 0), i.home FROM chaos.born i JOIN process_instance p USING (id) LEFT JOIN chaos.total t ON t.instance = i.id "
     "WHERE COALESCE(t.away, 0) NOT IN (0, 1) OR (p.definition_id = i.home) <> (COALESCE(t.away, 0) = 0)"),
    ("instances lost", "instance {0} is gone, and nobody deleted it",
     "SELECT i.id FROM chaos.born i LEFT JOIN process_instance p USING (id) LEFT JOIN chaos.change c ON c.instance = i.id "
     "WHERE p.id IS NULL AND COALESCE(c.deletion, 'no') = 'no'"),
    ("instances deleted and still there", "the deletion of instance {0} was answered with 204",
     "SELECT p.id FROM process_instance p JOIN chaos.change c ON c.instance = p.id WHERE c.deletion = 'told'"),
    ("tokens lost or doubled", "instance {0} has {1} tasks, and should have 1",
     "SELECT p.id, json_array_length(p.state::json -> 'tasks') FROM process_instance p JOIN chaos.born USING (id) "
     "WHERE json_array_length(p.state::json -> 'tasks') IS DISTINCT FROM 1"),
    ("history written twice", "{0} {1} was closed {2} times",
     "SELECT kind, id, count(*) FROM historic WHERE kind IN ('activity', 'task', 'instance') GROUP BY 1, 2 HAVING count(*) > 1"),
    ("instances of a batch without an end", "instance {1} of batch {0} ({2}) is neither migrated nor failed nor cancelled",
     "SELECT i.batch, i.instance, b.ended FROM chaos.item i JOIN chaos.batch b ON b.id = i.batch "
     "LEFT JOIN chaos.success s USING (batch, instance) LEFT JOIN chaos.left_open o USING (batch, instance) LEFT JOIN chaos.cancelled d USING (batch, instance) "
     "WHERE s.instance IS NULL AND o.instance IS NULL AND d.instance IS NULL AND b.ended NOT IN ('deleted', 'either')"),
    ("instances of a batch with two ends", "instance {1} of batch {0} was migrated and is still to be done, or was cancelled",
     "SELECT s.batch, s.instance FROM chaos.success s WHERE EXISTS (SELECT 1 FROM chaos.left_open o WHERE o.batch = s.batch AND o.instance = s.instance) "
     "OR EXISTS (SELECT 1 FROM chaos.cancelled d WHERE d.batch = s.batch AND d.instance = s.instance)"),
    ("instances that a batch was not told to touch", "batch {0} migrated instance {1}",
     "SELECT s.batch, s.instance FROM chaos.success s JOIN chaos.batch b ON b.id = s.batch AND NOT b.by_query "
     "LEFT JOIN chaos.item i ON i.batch = s.batch AND i.instance = s.instance WHERE i.instance IS NULL"),
    ("accepted batches without a trace", "batch {0} was accepted, and history does not know it",
     "SELECT b.id FROM chaos.batch b LEFT JOIN historic_batch h USING (id) WHERE h.id IS NULL"),
    ("batches stuck", "batch {0} ({1}) still runs",
     "SELECT b.id, c.ended FROM batch b LEFT JOIN chaos.batch c USING (id) WHERE COALESCE(c.ended, 'unknown') <> 'open'"),
    ("batches that did not complete exactly once", "batch {0} ({1}): its monitor job succeeded {2} times, its end is {3}",
     "SELECT b.id, b.ended, count(l.id), h.end_time FROM chaos.batch b JOIN historic_batch h USING (id) "
     "LEFT JOIN job_log l ON l.batch_id = b.id AND l.first = 1 AND l.event = 'succeeded' GROUP BY b.id, b.ended, h.end_time "
     "HAVING NOT CASE b.ended WHEN 'completed' THEN count(l.id) = 1 AND h.end_time IS NOT NULL WHEN 'deleted' THEN count(l.id) = 0 AND h.end_time IS NOT NULL "
     "WHEN 'either' THEN count(l.id) <= 1 AND h.end_time IS NOT NULL ELSE count(l.id) = 0 AND h.end_time IS NULL END"),
    ("history's counts against a recount", "batch {0}: {1} migrated, {2} failed, {3} cancelled of {4}; the log says {5} migrated",
     "SELECT h.id, h.migrated_instances, h.failed_instances, h.cancelled_instances, h.total_instances, count(DISTINCT s.instance) "
     "FROM historic_batch h LEFT JOIN chaos.success s ON s.batch = h.id WHERE h.end_time IS NOT NULL GROUP BY h.id "
     "HAVING h.migrated_instances <> count(DISTINCT s.instance) OR h.migrated_instances + h.failed_instances + h.cancelled_instances <> h.total_instances"),
    # What was in flight when a deletion began, it waits for: what counts is when it was answered.
    ("work done after a batch's end", "batch {0} migrated instance {1} after its end",
     "SELECT s.batch, s.instance FROM chaos.success s JOIN historic_batch h ON h.id = s.batch JOIN chaos.batch b ON b.id = s.batch "
     "WHERE (b.ended = 'completed' AND s.time > h.end_time) OR (b.ended = 'deleted' AND b.ended_at > 0 AND s.time > b.ended_at)"),
    ("work done while suspended", "batch {0} migrated instance {1} while it was suspended",
     "SELECT s.batch, s.instance FROM chaos.success s JOIN chaos.pause p USING (batch) WHERE s.time > p.since AND s.time < p.until"),
    ("leftovers of batches that are over", "{0} rows of {1} belong to no batch",
     "SELECT count(*), w.what FROM (SELECT batch, 'chunk' AS what FROM chunk UNION ALL SELECT batch, 'run' FROM run UNION ALL SELECT batch, 'job' FROM job "
     "UNION ALL SELECT batch, 'failure' FROM failure UNION ALL SELECT batch, 'batch_start' FROM batch_start) w "
     "WHERE NOT EXISTS (SELECT 1 FROM batch b WHERE b.id = w.batch) GROUP BY w.what"),
]


def judge(database, world):
    """Sentences about all that is off in the database."""
    off = []
    for name, sentence, sql in CHECKS:
        count = database.number(f"SELECT count(*) FROM ({sql}) AS found")
        if count:
            rows = database.rows(f"{sql} LIMIT {MOST}")
            off.append(f"{name}: {count}, such as: " + "; ".join(sentence.format(*row) for row in rows))
    off += failures(database, world) + unknown_batches(database, world) + completions(database, world)
    return off


def failures(database, world):
    """Attempts that failed for a reason that nobody caused."""
    found = database.rows(REASONS)
    strange = [f"{count} times \"{message[:200]}\"" for message, count in found if not any(part in message for part in world.expected_failures)]
    return [f"attempts that failed for no reason of ours: {'; '.join(strange[:MOST])}"] if strange else []


def unknown_batches(database, world):
    """More batches than were accepted; as many as answers were lost may be."""
    unknown = database.number("SELECT count(*) FROM historic_batch h LEFT JOIN chaos.batch b USING (id) WHERE b.id IS NULL")
    return [f"{unknown} batches that nobody knows, and {world.unknown_submissions} lost answers"] if unknown > world.unknown_submissions else []


def completions(database, world):
    """Completed tasks in history: at least what callers were told, at most what they tried."""
    told, tried = world.completed
    found = database.number("SELECT count(*) FROM historic h JOIN chaos.born i ON i.id = h.instance_id WHERE h.kind = 'task' AND h.body NOT LIKE '%deleted%'")
    return [] if told <= found <= tried else [f"{found} tasks completed; callers were told of {told} and tried {tried}"]


def compare_api(database, rest, world):
    """Counts that the API shows, against a recount from the rows themselves."""
    off, compared = [], 0
    for definition, home in database.rows("SELECT DISTINCT source, target FROM chaos.batch"):
        for one in (definition, home):
            shown = rest.get(f"/process-instance/count?processDefinitionId={one}")["count"]
            counted = database.number(f"SELECT count(*) FROM process_instance WHERE definition_id = '{one}'")
            compared += 1
            if shown != counted:
                off.append(f"the API counts {shown} instances of {one}, there are {counted}")
    for batch in world.all():
        if batch.ended == "open":
            off += compare_open(database, rest, batch)
            compared += 1
    for event, flag in (("succeeded", "successLog"), ("failed", "failureLog"), ("created", "creationLog"), ("deleted", "deletionLog")):
        shown = rest.get(f"/history/job-log/count?{flag}=true")["count"]
        counted = database.number(f"SELECT COALESCE(sum(entries), 0) FROM job_log WHERE event = '{event}'")
        compared += 1
        if shown != counted:
            off.append(f"the API counts {shown} job log entries of jobs {event}, there are {counted}")
    shown, counted = rest.get("/history/batch/count")["count"], database.number("SELECT count(*) FROM historic_batch")
    if shown != counted:
        off.append(f"the API counts {shown} historic batches, there are {counted}")
    return off, compared + 1


def compare_open(database, rest, batch):
    """Of a batch that is left with failed jobs: jobs, and failed ones."""
    page = rest.get(f"/batch/statistics?batchId={batch.id}")
    counted = database.rows(
        f"SELECT (SELECT count(*) FROM job WHERE batch = '{batch.id}') + (SELECT COALESCE(sum(last - first + 1), 0) FROM run WHERE batch = '{batch.id}'), "
        f"(SELECT count(*) FROM job WHERE batch = '{batch.id}' AND retries = 0)"
    )[0]
    shown = [str(page[0]["remainingJobs"]), str(page[0]["failedJobs"])] if page else ["none", "none"]
    return [] if shown == counted else [f"the API shows {shown[0]} remaining and {shown[1]} failed jobs of batch {batch.id}, there are {counted[0]} and {counted[1]}"]


def figures(database):
    """Accepted, migrated, failed, cancelled; in batches and in instances."""
    names = ["batches", "completed", "instances accepted", "migrated", "cancelled with their batch or job", "failed (still shown)"]
    numbers = database.rows(
        "SELECT count(*), count(*) FILTER (WHERE c.ended = 'completed'), sum(h.total_instances), (SELECT count(*) FROM chaos.success), "
        "sum(h.cancelled_instances), (SELECT count(*) FROM failure) FROM historic_batch h LEFT JOIN chaos.batch c USING (id)"
    )[0]
    reasons = database.rows(REASONS)
    return {name: int(number or 0) for name, number in zip(names, numbers)}, grouped(reasons)


def grouped(reasons):
    """Attempts by reason; ids in messages are not what makes a reason."""
    counts = {}
    for message, count in reasons:
        reason = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "…", message)
        counts[reason] = counts.get(reason, 0) + int(count)
    return counts
