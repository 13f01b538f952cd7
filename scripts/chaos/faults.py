"""The faults: each does its harm, undoes it, and gives the moment at which what it hit answers again.

A fault is a function of the chaos (its fleet, proxy, network, database, load); `FAULTS` holds them in the order in which
they run. `hits` says what is hit. Those of other brokers and databases are in `servers.py`.
"""

import os
import signal
import time
from dataclasses import dataclass

import amqp
from fleet import ROLES, wait_until

FAULTS = []
# Longer than every timeout in between: two missed heartbeats (8 s), a transaction's idling (5 s), a statement (5 s).
BEYOND_TIMEOUTS_S = 11


@dataclass
class Fault:
    name: str
    hits: str
    run: object
    # In the short form too.
    short: bool
    # Runs beside the others, from the first to the last: it takes its time.
    background: bool = False


class NotRun(Exception):
    """It cannot be had on this machine."""


def fault(hits, short=False, background=False):
    def add(run):
        FAULTS.append(Fault(run.__name__.replace("_", "-"), hits, run, short, background))
        return run
    return add


@fault("workers", short=True)
def kill_workers(chaos):
    """kill -9 of one at random each second, of any role; a supervisor starts it again."""
    for _ in range(chaos.seconds(60, 12)):
        chaos.fleet.kill(chaos.random.choice(["exec-worker"] * 3 + ["seed-worker", "monitor-worker"] + (["api"] if chaos.long else [])))
        time.sleep(1)
    chaos.fleet.all_ready()
    return time.time()


@fault("workers", short=True)
def freeze_workers(chaos):
    """SIGSTOP beyond every timeout, then SIGCONT: whoever was frozen in a transaction wakes up as a zombie."""
    for _ in range(2 if chaos.long else 1):
        frozen = [pid for role in ROLES[1:] for _, pid in half(chaos, chaos.fleet.processes(role))]
        for pid in frozen:
            send(pid, signal.SIGSTOP)
        time.sleep(BEYOND_TIMEOUTS_S)
        for pid in frozen:
            send(pid, signal.SIGCONT)
    return time.time()


@fault("all workers")
def freeze_all(chaos):
    """Nobody is left to take over."""
    for role in ROLES[1:]:
        chaos.fleet.signal_all(role, signal.SIGSTOP)
    time.sleep(BEYOND_TIMEOUTS_S)
    for role in ROLES[1:]:
        chaos.fleet.signal_all(role, signal.SIGCONT)
    return time.time()


def half(chaos, processes):
    return chaos.random.sample(processes, (len(processes) + 1) // 2)


def send(pid, number):
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def broker_answers(chaos):
    wait_until("the broker answers", lambda: amqp.answers(*chaos.broker_address()))
    return time.time()


def down_and_up(chaos, how):
    chaos.broker(how)
    time.sleep(chaos.seconds(4, 2))
    chaos.broker("start")
    return broker_answers(chaos)


@fault("broker")
def restart_broker(chaos):
    return down_and_up(chaos, "stop")


@fault("broker")
def kill_broker(chaos):
    """kill -9, and back with what was on its disk."""
    return down_and_up(chaos, "kill")


@fault("broker", short=True)
def wipe_broker(chaos):
    """Every queue and message is gone."""
    chaos.broker("wipe")
    return broker_answers(chaos)


def alarm(chaos, on, off):
    chaos.broker("ctl", *on)
    begun = time.time()
    chaos.submit_small("a blocked broker")
    chaos.notes.append(f"with a blocked broker a batch was accepted within {time.time() - begun:.1f} s")
    time.sleep(BEYOND_TIMEOUTS_S)
    chaos.broker("ctl", *off)
    return broker_answers(chaos)


@fault("broker (publishers blocked)")
def memory_alarm(chaos):
    return alarm(chaos, ["set_vm_memory_high_watermark", "0.00001"], ["set_vm_memory_high_watermark", "0.4"])


@fault("broker (publishers blocked)")
def disk_alarm(chaos):
    return alarm(chaos, ["set_disk_free_limit", "100000GB"], ["set_disk_free_limit", "50MB"])


@fault("database", short=True)
def restart_database(chaos):
    """Stopped at once, as by a crash; it recovers from its log."""
    chaos.fleet.run("database", "stop")
    time.sleep(chaos.seconds(4, 3))
    chaos.fleet.run("database", "start")
    wait_until("the database answers", chaos.database.answers)
    return time.time()


@fault("database connections")
def terminate_backends(chaos):
    for _ in range(chaos.seconds(10, 3)):
        chaos.database.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drover'")
        time.sleep(1)
    return time.time()


def cut(chaos, pairs):
    for role, service, direction in pairs:
        chaos.network.cut(role, service, direction)
    time.sleep(BEYOND_TIMEOUTS_S)
    chaos.network.mend()
    return time.time()


@fault("network worker - database", short=True)
def cut_workers_from_database(chaos):
    return cut(chaos, [("exec-worker", "postgres", "both")])


@fault("network worker - broker")
def cut_workers_from_broker(chaos):
    return cut(chaos, [("exec-worker", "amqp", "both")])


def pair_cuts():
    """The other pairs, and every pair in one direction only."""
    pairs = [(role, service, "both") for role in ("api", "seed-worker", "monitor-worker") for service in ("postgres", "amqp")]
    one_way = [(role, service, way) for role in ROLES for service, way in (("postgres", "to"), ("postgres", "from"), ("amqp", "to"), ("amqp", "from"))]
    for role, service, direction in pairs + one_way:
        words = {"both": "cut", "to": "one-way cut to", "from": "one-way cut from"}[direction]

        def run(chaos, pair=(role, service, direction)):
            return cut(chaos, [pair])
        name = f"cut-{role}-{service}" if direction == "both" else f"cut-{direction}-{service}-of-{role}"
        FAULTS.append(Fault(name, f"network {role} - {service} ({words})", run, False))


pair_cuts()


@fault("network of all (latency)")
def latency(chaos):
    """50 ms to and from everything, on average, unevenly."""
    chaos.proxy.order(do="latency", link="", value=0.05)
    time.sleep(chaos.seconds(15, 5))
    chaos.proxy.order(do="latency", link="", value=None)
    return time.time()


@fault("network of all (resets)")
def resets(chaos):
    """Any packet may be the last of its connection."""
    chaos.proxy.order(do="reset", link="", value=0.005)
    time.sleep(chaos.seconds(15, 5))
    counts = chaos.proxy.order(do="reset", link="", value=None)
    chaos.notes.append(f"{counts['resets']} connections were reset")
    return time.time()


@fault("messages", short=True)
def double_and_drop_messages(chaos):
    """5 % of what is published comes twice, 1 % of what is delivered is lost."""
    before = chaos.proxy.order(do="messages", double=0.05, drop=0.01)
    time.sleep(chaos.seconds(60, 15))
    counts = chaos.proxy.order(do="messages", double=0, drop=0)
    seen = {key: counts[key] - before[key] for key in ("published", "doubled", "dropped")}
    chaos.notes.append("messages: {published} published, {doubled} of them doubled; {dropped} deliveries lost".format(**seen))
    return time.time()


@fault("a fleet of three of each role")
def kill_whole_roles(chaos):
    """All three of a role at once, one role after the other."""
    for role in ROLES:
        chaos.fleet.signal_all(role, signal.SIGKILL)
        time.sleep(2)
    chaos.fleet.all_ready()
    return time.time()


def choose(names, long):
    """Those of the form, or those named; refuses a name that is none."""
    known = {fault.name for fault in FAULTS}
    if unknown := set(names or ()) - known:
        raise SystemExit(f"no such fault: {', '.join(sorted(unknown))}. There are: {', '.join(fault.name for fault in FAULTS)}")
    return [fault for fault in FAULTS if (fault.name in names if names else long or fault.short)]

