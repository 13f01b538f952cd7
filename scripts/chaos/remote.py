"""A test fleet of somebody's own: load and callers over REST, faults by hooks, and a ledger of what REST can tell."""

import subprocess
import threading
import time

from callers import Caller
from herd import Herd
from load import LOOK_S, Load
from rest import Rest, Unreachable
from world import MOVES_AGAIN_S, World

PATIENCE_S = 120
SETTLE_S = 600
# Instances that the recount walks through, at most; beyond them counts are compared only.
WALKED = 5_000


class Progress:
    """Execution jobs done so far, by the job log: the only progress that REST tells of all batches."""

    def __init__(self, rest):
        self.rest = rest

    def done(self):
        return self.rest.get("/history/job-log/count?successLog=true&jobDefinitionType=instance-migration")["count"]

    def moves_again(self, answered):
        """Seconds from the moment until more is done than then; None: not within patience."""
        before = self.done()
        while time.time() < answered + PATIENCE_S:
            if self.done() > before:
                return time.time() - answered
            time.sleep(LOOK_S)
        return None


def hooks(options):
    for hook in options.hook:
        name, _, command = hook.partition("=")
        if not command:
            raise SystemExit(f"--hook {hook}: NAME=COMMAND is wanted")
        yield name, command


def recount(rest, herd, ids, world):
    """Sentences about what is off."""
    off = []
    batches = [batch for batch in world.all() if batch.herd == herd.key]
    where = [rest.get(f"/process-instance/count?processDefinitionId={version}")["count"] for version in herd.versions]
    if sum(where) != len(ids):
        off.append(f"{len(ids)} instances were started, {where[0]} + {where[1]} are there")
    for batch in batches:
        status, shown = rest.ask("GET", f"/history/batch/{batch.id}")
        if status != 200:
            off.append(f"batch {batch.id} was accepted, and history does not know it")
        elif batch.ended == "completed" and not shown["endTime"]:
            off.append(f"batch {batch.id} is over and has no end in history")
        monitor = rest.get(f"/history/job-log/count?successLog=true&jobDefinitionType=batch-monitor-job&jobDefinitionConfiguration={batch.id}")["count"]
        if batch.ended == "completed" and monitor != 1:
            off.append(f"batch {batch.id} completed {monitor} times")
        done = rest.get(f"/history/job-log/count?successLog=true&jobDefinitionType=instance-migration&jobDefinitionConfiguration={batch.id}")["count"]
        if batch.ended == "completed" and done > batch.total:
            off.append(f"batch {batch.id} has {batch.total} jobs, and {done} successes")
    for instance in ids[:WALKED]:
        tasks = rest.get(f"/task/count?processInstanceId={instance}")["count"]
        if tasks != 1:
            off.append(f"instance {instance} has {tasks} tasks, and should have 1")
    return off


def run(options):
    rest, world = Rest([options.base.rstrip("/").removesuffix("/engine-rest")], options.seed), World()
    herd = Herd(rest, f"chaosHerd{options.seed}")
    print(f"seed {options.seed}; starting {options.instances} instances of {herd.key}…", flush=True)
    ids = herd.start_many(rest, options.instances)
    load, progress, off = Load(rest, world, options.seed), Progress(rest), []
    caller = Caller(rest, world, load, options.seed)
    load.start((load.main, herd, ids), (caller.changes, ids[:500], []))
    for name, command in [("nothing", "true"), *hooks(options)]:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        if done.returncode != 0:
            off.append(f"hook {name} failed: {done.stderr.strip()[:300]}")
        took = progress.moves_again(time.time())
        print(f"  {'never' if took is None else f'{took:.1f} s'}  {name}: until the batch moved again", flush=True)
        if took is None or took > MOVES_AGAIN_S:
            off.append(f"{name}: the batch moved again {'never' if took is None else f'after {took:.1f} s'}; asked: {MOVES_AGAIN_S} s")
        threading.Event().wait(options.hook_pause if name != "nothing" else 0)
    try:
        if not load.stop(SETTLE_S):
            off.append(f"not everything ended within {SETTLE_S} s")
        off += load.errors + recount(rest, herd, ids, world)
    except Unreachable as error:
        off.append(str(error))
    accepted = sum(len(batch.ids) for batch in world.all())
    print(f"accepted: {len(world.all())} batches of {accepted} instances; changes by callers: {world.calls}")
    for sentence in off:
        print(f"  OFF: {sentence}")
    print("verdict: clean" if not off else f"verdict: NOT clean: {len(off)} off")
    return 1 if off else 0
