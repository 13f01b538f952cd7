"""One run: servers, proxy, fleet, herd and load; the faults one after the other; quiet; the ledger."""

import os
import random
import signal
import tempfile
import threading
import time

import faults
import ledger
import poison  # noqa: F401 — adds its faults
import servers
from callers import Caller
from database import Database
from faults import NotRun
from fleet import ADDRESSES, ROLES, Fleet, Proxy
from herd import Herd
from load import Load
from network import Network
from rest import Rest
from world import MOVES_AGAIN_S, World

# How long movement is waited for before it counts as none.
PATIENCE_S = 90
SETTLE_S = 300
# Bound on what one process of Drover may hold, in kB; it does not depend on the batch.
MEMORY_KB = 512 * 1024
SIDE_SHARE = 10


class Chaos:
    def __init__(self, options):
        self.long, self.scale, self.seed, self.options = not options.short, options.scale, options.seed, options
        self.random, self.world = random.Random(options.seed), World()
        self.notes, self.findings, self.moves, self.not_run = [], [], [], []
        self.root = options.broker4_root
        self.brokers, self.databases, self.other_broker = [], [], None
        # Held by each fault of the foreground until the batch moves again.
        self.foreground = threading.Lock()
        self.folder = tempfile.mkdtemp(prefix="drover-chaos-", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        sizes = {"api": 3, "seed-worker": 3, "exec-worker": 4, "monitor-worker": 3} if self.long else {"api": 2, "seed-worker": 1, "exec-worker": 3, "monitor-worker": 1}
        self.fleet = Fleet(self.folder, sizes, self.settings(), options.seed)
        self.proxy = self.network = self.load = None

    def settings(self):
        settings = {"FLEET_PROFILE": self.options.profile}
        if self.options.other_build:
            settings["FLEET_OTHER_BIN"] = self.options.other_build
        if self.options.broker == "4":
            servers.make_root(self)
            settings.update(servers.other_version(self.folder, self.root))
        return settings

    def say(self, text):
        print(f"[{time.strftime('%H:%M:%S')}] {text}", flush=True)

    def seconds(self, long, short):
        return max(1, round((long if self.long else short) * min(1.0, self.scale if self.long else 1.0)))

    def off(self, sentence):
        self.findings.append(sentence)
        self.say(f"OFF: {sentence}")

    # --- servers -------------------------------------------------------------------------------------------------------

    def begin(self):
        self.say("servers…")
        self.fleet.start_servers()
        ports = {"postgres": self.fleet.port("pg"), "amqp": self.fleet.port("rabbit")}
        own = {service: int(self.fleet.shell("free_port")) for service in ports}
        self.database, self.upstream = Database(ports["postgres"]), [("127.0.0.1", ports["amqp"])]
        listen = {f"{service}.{role}": (ADDRESSES[role], own[service]) for service in ports for role in ROLES}
        upstreams = {service: [("127.0.0.1", port)] for service, port in ports.items()}
        runs = f"{self.folder}/fleet/run"
        self.proxy = Proxy({"seed": self.seed, "upstreams": upstreams, "listen": listen, "runs": runs})
        self.ports = {service: [own[service], ports[service]] for service in ports}
        self.network = Network(self.proxy, ADDRESSES, self.ports)
        for role, address in ADDRESSES.items():
            name = role.replace("-", "_")
            self.fleet.env[f"FLEET_DATABASE_URL_{name}"] = f"postgres://drover@{address}:{own['postgres']}/drover"
            self.fleet.env[f"FLEET_AMQP_URL_{name}"] = f"amqp://guest:guest@{address}:{own['amqp']}/%2f"
        self.say("processes…")
        self.fleet.start()
        self.rest = Rest(self.fleet.urls(), self.seed)

    def broker_address(self):
        return next((a for a in self.upstream if a[1]), None) if len(self.upstream) == 1 else self.first_that_answers()

    def first_that_answers(self):
        return next((a for a in self.upstream if faults.amqp.answers(*a)), self.upstream[0])

    def broker(self, *what):
        """./fleet broker …, as long as the fleet's own broker is the one in use."""
        self.fleet.run("broker", *what)

    def use_broker(self, addresses, _broker):
        self.upstream = addresses
        self.ports["amqp"][1:] = [port for _, port in addresses]
        self.proxy.order(do="upstreams", service="amqp", addresses=addresses)
        self.proxy.order(do="sever", link="amqp")

    def use_database(self, database):
        self.database = database
        self.ports["postgres"][1:] = [database.port]
        self.proxy.order(do="upstreams", service="postgres", addresses=[("127.0.0.1", database.port)])
        self.proxy.order(do="sever", link="postgres")

    # --- herd and load -------------------------------------------------------------------------------------------------

    def born(self, ids, herd):
        ledger.born(self.database, herd.key, herd.versions[0], ids)

    def begin_load(self):
        number = self.options.instances
        self.say(f"a herd of {number} instances, and {number // SIDE_SHARE} beside it…")
        ledger.prepare(self.database)
        self.herd, self.beside = Herd(self.rest, "herd"), Herd(self.rest, "beside")
        ids = self.herd.start_many(self.rest, number, self.database)
        beside = self.beside.start_many(self.rest, number // SIDE_SHARE, self.database)
        self.born(ids, self.herd)
        self.born(beside, self.beside)
        self.load = Load(self.rest, self.world, self.seed)
        touched = self.random.sample(ids, min(len(ids), 500)) + self.random.sample(beside, min(len(beside), 500))
        deletable = self.random.sample(beside, min(len(beside), 20))
        callers = [Caller(self.rest, self.world, self.load, self.seed + n) for n in range(2)]
        streams = [(self.load.main, self.herd, ids), (self.load.side, self.beside)]
        self.load.start(*streams, (callers[0].changes, touched, deletable), (callers[1].changes, touched, []))

    def submit_small(self, why):
        """A batch of instances of its own, accepted whatever is blocked."""
        herd = Herd(self.rest, f"small{len(self.notes)}")
        ids = herd.start_many(self.rest, 20)
        self.born(ids, herd)
        begun = time.time()
        batch = self.load.submit(herd, *herd.versions, ids)
        if time.time() - begun > MOVES_AGAIN_S:
            self.off(f"{why}: the POST took {time.time() - begun:.1f} s")
        self.load.start((self.load.until_ended, batch))

    # --- faults --------------------------------------------------------------------------------------------------------

    def moved_since(self, moment):
        """When the first execution job succeeded after the moment; None: not yet."""
        try:
            found = self.database.one(f"SELECT min(time) FROM job_log WHERE event = 'succeeded' AND first >= 2 AND time > {int(moment * 1000)}")
        except RuntimeError:
            return None
        return int(found) / 1000 if found else None

    def wait_for_movement(self, answered, what, hits="", lasted=0.0):
        """Seconds from the moment at which what was hit answered again to the next success; a line of the ledger."""
        end = answered + PATIENCE_S
        while (moved := self.moved_since(answered)) is None and time.time() < end:
            time.sleep(0.2)
        took = None if moved is None else moved - answered
        self.moves.append((what, took, hits, lasted))
        if took is None or took > MOVES_AGAIN_S:
            self.off(f"{what}: the batch moved again {'not within ' + str(PATIENCE_S) if took is None else f'after {took:.1f}'} s; asked: {MOVES_AGAIN_S}")
        self.say(f"  {what}: moves again after {took if took is None else round(took, 1)} s")

    def run_fault(self, fault):
        self.say(f"fault: {fault.name} ({fault.hits})")
        begun = time.time()
        try:
            answered = fault.run(self)
        except NotRun as why:
            self.not_run.append((fault.name, str(why)))
            return
        except Exception as error:  # noqa: BLE001: the rest still runs, and the ledger says so.
            self.off(f"{fault.name}: {error!r}")
            self.network.mend()
            return
        if not fault.background:
            self.wait_for_movement(answered, fault.name, fault.hits, answered - begun)
            return
        # It ended while another fault may hold everything up: what it did itself shows once that one is over.
        with self.foreground:
            self.wait_for_movement(time.time(), fault.name, fault.hits, answered - begun)

    def run_faults(self):
        """One after the other; those of the background meanwhile."""
        chosen = faults.choose(self.options.only, self.long)
        background = [threading.Thread(target=self.run_fault, args=(fault,), daemon=True) for fault in chosen if fault.background]
        for thread in background:
            thread.start()
        for fault in chosen:
            if not fault.background:
                with self.foreground:
                    self.run_fault(fault)
        for thread in background:
            thread.join()

    # --- the end -------------------------------------------------------------------------------------------------------

    def settle(self):
        """Faults are over: everything must end without a person, and the queues must run dry."""
        self.say("no more faults: what runs must end by itself…")
        self.fleet.all_ready()
        if not self.load.stop(SETTLE_S):
            self.off(f"not everything ended within {SETTLE_S} s after the last fault")
        self.leave_one_open()
        client = faults.amqp.Client(*self.broker_address())
        end = time.time() + 60
        queues = ["drover.seed", "drover.exec", "drover.monitor", "drover.dead"]
        while any(client.depth(queue) for queue in queues) and time.time() < end:
            time.sleep(0.5)
        for queue in queues:
            if depth := client.depth(queue):
                self.off(f"{depth} messages are left in {queue}")
        client.close()
        for error in self.load.errors:
            self.off(error)

    def leave_one_open(self):
        """A batch two of whose instances are gone: failed with a reason, and shown so."""
        herd = Herd(self.rest, "open")
        ids = herd.start_many(self.rest, 10)
        for instance in ids[:2]:
            self.rest.ask("DELETE", f"/process-instance/{instance}")
        self.born(ids, herd)
        batch = self.load.submit(herd, *herd.versions, ids)
        def failed():
            page = self.rest.get(f"/batch/statistics?batchId={batch.id}")
            return page[0]["failedJobs"] == page[0]["remainingJobs"] == 2
        try:
            faults.wait_until("a batch with two impossible instances shows two failed jobs", failed, 60)
        except RuntimeError as error:
            self.off(str(error))
        batch.ended = "open"

    def judge(self):
        self.say("the ledger…")
        ledger.lay_out(self.database, self.world)
        for sentence in ledger.judge(self.database, self.world):
            self.off(sentence)
        api, self.compared = ledger.compare_api(self.database, self.rest, self.world)
        for sentence in api:
            self.off(sentence)
        for name, peak in self.fleet.peaks.items():
            if name != "rabbitmq" and peak > MEMORY_KB:
                self.off(f"{name} held {peak // 1024} MB, more than {MEMORY_KB // 1024} MB")
        self.figures, self.reasons = ledger.figures(self.database)

    def end(self):
        if self.load:
            self.load.stopping.set()
        self.fleet.down()
        for brokers in self.brokers:
            brokers.stop_all()
        for folder in self.databases:
            self.fleet.shell(f"pg_stop {folder}")
        if self.proxy:
            self.proxy.stop()
        if not self.options.keep and not self.findings:
            self.fleet.shell(f"rm -rf {self.folder}")

    def run(self):
        signal.signal(signal.SIGTERM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        try:
            self.begin()
            self.begin_load()
            self.wait_for_movement(time.time(), "no fault yet")
            self.run_faults()
            self.settle()
            self.judge()
            for words in self.fleet.last_words():
                if "panicked" in words:
                    self.off(f"a process panicked: {words}")
        finally:
            self.end()
