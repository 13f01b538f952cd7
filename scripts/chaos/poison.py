"""Poison: an instance that kills its worker each time, and messages that nobody can use.

The instance carries a marker in a variable. The proxy looks at what the database sends to exec-workers, and whoever is sent
the marker is killed (-9) there and then: a worker that meets the instance dies, each time, before it can do anything.
"""

import json
import time

import amqp
from faults import fault
from fleet import wait_until
from herd import MARKER, Herd

# Beside the instance that kills: neighbours in the same run.
NEIGHBOURS = 150
PATIENCE_S = 600
# Given back more often than the queues' x-delivery-limit of 20.
GIVEN_BACK = 25
NOBODY = "01900000-0000-7000-8000-000000000000"
DIED = "the worker died"


@fault("workers (an instance kills them)", short=True, background=True)
def poison_instance(chaos):
    """Isolated in careful mode, failed with a reason; its neighbours are migrated."""
    herd = Herd(chaos.rest, "poison")
    good = herd.start_many(chaos.rest, NEIGHBOURS, chaos.database)
    bad = herd.start(chaos.rest, {"marker": {"value": MARKER, "type": "String"}})
    ids = good[: NEIGHBOURS // 2] + [bad] + good[NEIGHBOURS // 2 :]
    chaos.born(ids, herd)
    chaos.proxy.order(do="poison", marker=MARKER)
    try:
        batch = chaos.load.submit(herd, *herd.versions, ids)
        # What such a batch comes to: all but one done, one failed for good.
        def isolated():
            page = chaos.rest.get(f"/batch/statistics?batchId={batch.id}")
            return bool(page) and page[0]["remainingJobs"] == page[0]["failedJobs"] == 1
        wait_until("the instance that kills its worker is isolated", isolated, PATIENCE_S)
        jobs = chaos.rest.get(f"/job?jobDefinitionId={chaos.rest.get(f'/batch/{batch.id}')['batchJobDefinitionId']}&noRetriesLeft=true")
        killed = chaos.proxy.order(do="nothing")["killed"]
        if len(jobs) != 1 or DIED not in (jobs[0].get("exceptionMessage") or ""):
            chaos.off(f"the instance that kills its worker is not recorded as such: {jobs}")
        chaos.notes.append(f"an instance that kills its worker killed {killed}, then was isolated: \"{jobs[0].get('exceptionMessage')}\"; {NEIGHBOURS} neighbours migrated")
    finally:
        chaos.proxy.order(do="poison", marker=None)
    # Cured, a person retries it, and the batch completes.
    chaos.load.until_ended(batch, PATIENCE_S)
    return time.time()


def dead_letters(chaos, metric):
    total = 0
    for name, _ in chaos.fleet.processes("monitor-worker"):
        for line in (chaos.fleet.metrics(name) or "").splitlines():
            if line.startswith(metric):
                total += float(line.rsplit(" ", 1)[1])
    return total


@fault("messages (undecodable, and given back too often)", short=True)
def poison_messages(chaos):
    """Both end in drover.dead, are emptied by looking at the rows, and are counted."""
    undecodable, buried = dead_letters(chaos, "drover_undecodable_total"), dead_letters(chaos, "drover_dead_letters_total")
    client = amqp.Client(*chaos.broker_address())
    client.confirms()
    for queue in ("drover.seed", "drover.exec", "drover.monitor"):
        client.publish_and_wait("drover.work", queue, b"\xff\x00 no message")
    given_back = give_back_too_often(chaos)
    def empty():
        return client.depth("drover.dead") == 0
    def counted():
        gained = dead_letters(chaos, "drover_undecodable_total") - undecodable + dead_letters(chaos, "drover_dead_letters_total") - buried
        return gained >= 4 and empty()
    wait_until("the dead letters are emptied and counted", counted, 60)
    client.close()
    chaos.notes.append(f"3 undecodable messages and one given back {given_back} times ended in drover.dead, were counted and emptied")
    return time.time()


def give_back_too_often(chaos):
    """A message that nobody can be rid of: the seed-workers are away, and we give it back until the broker gives up."""
    chaos.fleet.paused.add("seed-worker")
    size = chaos.fleet.sizes["seed-worker"]
    chaos.fleet.run("scale", "seed-worker", "0")
    client = amqp.Client(*chaos.broker_address())
    times = 0
    try:
        client.confirms()
        client.publish_and_wait("drover.work", "drover.seed", json.dumps({"v": 1, "kind": "seed", "batch": NOBODY}).encode())
        others, end = [], time.time() + 30
        while times < GIVEN_BACK and time.time() < end:
            got = client.get("drover.seed")
            if got is None:
                if times:
                    break
                time.sleep(0.05)
            elif NOBODY.encode() in got[1]:
                client.give_back(got[0])
                times += 1
            else:
                others.append(got[0])
    finally:
        # What was taken beside it returns when the connection ends.
        client.close()
        chaos.fleet.paused.discard("seed-worker")
        chaos.fleet.run("scale", "seed-worker", str(size))
    return times
