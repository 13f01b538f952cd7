"""Other servers in the place of those that were there: a standby that is promoted, a cluster whose leader dies, a broker of
another version. The processes keep the addresses that they have; the proxy connects them to what is there now."""

import os
import signal
import stat
import time

from database import Database, programs
from faults import NotRun, broker_answers, fault
from fleet import HERE, wait_until

NODES = 3
WORK_QUEUE = "drover.exec"


@fault("database (its standby is promoted)")
def promote_standby(chaos):
    """Synchronous streaming replication, so that what was committed is on the standby; then the primary dies."""
    fleet, primary = chaos.fleet, chaos.database
    folder, port = f"{fleet.folder}/standby", int(fleet.shell("free_port"))
    fleet.shell(
        f"mkdir -p {folder} && chmod 700 {folder} && {{ [ $(id -u) -ne 0 ] || chown postgres {folder}; }} && "
        f"as_postgres {programs()}/pg_basebackup -h 127.0.0.1 -p {primary.port} -U drover -D {folder} -R -X stream -c fast && "
        f"as_postgres sed -i \"s#^unix_socket_directories.*#unix_socket_directories = '{folder}'#\" {folder}/postgresql.conf && pg_start {folder} {port}"
    )
    chaos.databases.append(folder)
    primary.rows("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.rows("SELECT pg_reload_conf()")
    wait_until("the standby is synchronous", lambda: primary.one("SELECT sync_state FROM pg_stat_replication") == "sync")
    time.sleep(2)
    fleet.run("database", "stop")
    fleet.shell(f"as_postgres {programs()}/pg_ctl -D {folder} -w promote >&2")
    standby = Database(port)
    standby.rows("ALTER SYSTEM RESET synchronous_standby_names")
    standby.rows("SELECT pg_reload_conf()")
    chaos.use_database(standby)
    wait_until("the promoted standby answers", standby.answers)
    return time.time()


class Brokers:
    """A cluster, or one broker of another version: nodes beside the fleet's own."""

    def __init__(self, chaos, name, nodes, server_env):
        self.fleet, self.server_env = chaos.fleet, server_env
        self.ports, self.folders = [], []
        for node in range(nodes):
            self.ports.append(int(self.fleet.shell("free_port")))
            self.folders.append(f"{self.fleet.folder}/{name}-{node}")

    def env(self):
        # One epmd for all nodes of a cluster.
        return {**self.server_env, "RABBIT_EPMD_PORT": str(self.ports[0] + 2)}

    def ctl(self, node, *args):
        return self.fleet.shell(f'rabbit_ctl {self.folders[node]} {self.ports[node]} {" ".join(args)}', **self.env())

    def start(self, node):
        self.fleet.shell(f"rabbit_start {self.folders[node]} {self.ports[node]}", **self.env())

    def start_all(self):
        for node, folder in enumerate(self.folders):
            os.makedirs(folder, exist_ok=True)
            if node:
                # Nodes and their tools know one another by it.
                with open(f"{self.folders[0]}/.erlang.cookie", encoding="ascii") as file:
                    cookie = file.read()
                with open(f"{folder}/.erlang.cookie", "w", encoding="ascii") as file:
                    file.write(cookie)
                os.chmod(f"{folder}/.erlang.cookie", stat.S_IRUSR)
            self.start(node)
            if node:
                for step in ("stop_app", "reset", f"join_cluster drover{self.ports[0]}@localhost", "start_app"):
                    self.ctl(node, step)

    def kill(self, node):
        with open(f"{self.folders[node]}/pid", encoding="ascii") as file:
            os.kill(int(file.read()), signal.SIGKILL)

    def stop_all(self):
        for folder, port in zip(self.folders, self.ports):
            self.fleet.shell(f"rabbit_stop {folder} {port}", **self.env())

    def version(self):
        return self.ctl(0, "version").strip()


@fault("broker (a cluster's leader is killed)")
def kill_cluster_leader(chaos):
    """The fleet moves to a cluster of three nodes, which knows nothing of it; then the leader of the exec queue dies."""
    cluster = Brokers(chaos, "cluster", NODES, {})
    chaos.brokers.append(cluster)
    cluster.start_all()
    chaos.use_broker([("127.0.0.1", port) for port in cluster.ports], None)
    wait_until("the queues are replicated", lambda: leader(cluster, 0) is not None)
    chaos.wait_for_movement(broker_answers(chaos), "moved to a cluster")
    time.sleep(3)
    node = leader(cluster, 0)
    cluster.kill(node)
    left = next(n for n in range(NODES) if n != node)
    wait_until("another node leads", lambda: leader(cluster, left) not in (None, node))
    answered = time.time()
    chaos.wait_for_movement(answered, "the cluster's leader killed")
    cluster.start(node)
    chaos.notes.append(f"a cluster of {NODES} (RabbitMQ {cluster.version()}): its leader was killed, another node led, and the node came back")
    return answered


def leader(cluster, asked):
    """The node that leads the work queue, when it has all its members."""
    try:
        table = cluster.ctl(asked, "list_queues", "--formatter", "csv", "name", "leader", "members")
    except RuntimeError:
        return None
    for line in table.splitlines():
        if line.startswith((f'"{WORK_QUEUE}"', f"{WORK_QUEUE},")) and line.count("drover") > NODES:
            leading = line.split(",")[1].strip('"')
            return next((n for n, port in enumerate(cluster.ports) if leading == f"drover{port}@localhost"), None)
    return None


def other_version(folder, root):
    """The environment that makes scripts/servers.sh run the broker of the root, as RabbitMQ 4."""
    if os.geteuid() != 0:
        raise NotRun("RabbitMQ 4 is made with debootstrap and chroot, as root")
    env = {}
    for name, program in (("RABBIT_SERVER", "rabbitmq-server"), ("RABBIT_CTL", "rabbitmqctl")):
        path = f"{folder}/{program}-4"
        with open(path, "w", encoding="ascii") as file:
            file.write(f'#!/bin/sh\nexec {HERE}/broker4.sh run {root} {folder} /usr/lib/rabbitmq/bin/{program} "$@"\n')
        os.chmod(path, 0o755)
        env[name] = path
    return env


def make_root(chaos):
    done = os.system(f"{HERE}/broker4.sh make {chaos.root} >&2")  # noqa: S605 — a path of ours
    if done != 0:
        raise NotRun("RabbitMQ 4 could not be downloaded (scripts/chaos/broker4.sh make)")


@fault("broker (another version in its place)")
def another_broker_version(chaos):
    """The fleet moves to RabbitMQ 4, which knows nothing of it, and that one is restarted, wiped and blocked."""
    make_root(chaos)
    broker = Brokers(chaos, "broker4", 1, other_version(chaos.fleet.folder, chaos.root))
    chaos.brokers.append(broker)
    broker.start_all()
    version = broker.version()
    chaos.use_broker([("127.0.0.1", broker.ports[0])], broker)
    chaos.wait_for_movement(broker_answers(chaos), f"moved to RabbitMQ {version}")
    broker.kill(0)
    time.sleep(2)
    broker.start(0)
    chaos.wait_for_movement(broker_answers(chaos), f"RabbitMQ {version} killed")
    for step in ("stop_app", "reset", "start_app"):
        broker.ctl(0, step)
    chaos.wait_for_movement(broker_answers(chaos), f"RabbitMQ {version} wiped")
    broker.ctl(0, "set_vm_memory_high_watermark", "0.00001")
    time.sleep(5)
    broker.ctl(0, "set_vm_memory_high_watermark", "0.4")
    chaos.notes.append(f"the same fleet on RabbitMQ {version}: killed, wiped, blocked")
    return broker_answers(chaos)
