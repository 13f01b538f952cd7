"""The fleet under test: ./fleet with the proxy between its processes and its servers, and what the harness does to it."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
ROLES = ["api", "seed-worker", "exec-worker", "monitor-worker"]
# Every role reaches its servers through a loopback address of its own.
ADDRESSES = {role: f"127.0.0.{11 + i}" for i, role in enumerate(ROLES)}
SUPERVISION_S = 0.5
READY_S = 90


def wait_until(what, holds, patience=READY_S, pause=0.1):
    end = time.time() + patience
    while not holds():
        if time.time() > end:
            raise RuntimeError(f"{what}: not within {patience} s")
        time.sleep(pause)


class Proxy:
    """The proxy process and its orders."""

    def __init__(self, config):
        command = [sys.executable, f"{HERE}/proxy.py", json.dumps(config)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.lock = threading.Lock()
        if not self.process.stdout.readline():
            raise RuntimeError("the proxy did not start")

    def order(self, **what):
        """Its counts, after the order."""
        with self.lock:
            self.process.stdin.write(json.dumps(what) + "\n")
            self.process.stdin.flush()
            return json.loads(self.process.stdout.readline())

    def stop(self):
        self.process.stdin.close()
        self.process.wait(timeout=10)


class Fleet:
    def __init__(self, folder, sizes, settings, seed):
        self.folder, self.sizes, self.random = folder, sizes, random.Random(seed)
        self.env = {**os.environ, "FLEET_DIR": f"{folder}/fleet", "FLEET_NO_BUILD": "1", **settings}
        for name in ("DATABASE_URL", "AMQP_URL"):
            self.env.pop(name, None)
        self.peaks, self.stopping, self.paused = {}, threading.Event(), set()
        self.restarts = 0

    def run(self, *args, check=True, **env):
        done = subprocess.run([f"{TOP}/fleet", *args], env={**self.env, **env}, capture_output=True, text=True)
        if check and done.returncode != 0:
            raise RuntimeError(f"./fleet {' '.join(args)}: {done.stdout[-300:]}{done.stderr[-500:]}")
        return done.stdout

    def shell(self, script, **env):
        """With the functions of scripts/servers.sh."""
        done = subprocess.run(["bash", "-c", f". {TOP}/scripts/servers.sh; {script}"], env={**self.env, **env}, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{script}: {done.stdout[-300:]}{done.stderr[-500:]}")
        return done.stdout

    def port(self, name):
        with open(f"{self.folder}/fleet/{name}.port", encoding="ascii") as file:
            return int(file.read())

    def start_servers(self):
        self.run("servers")

    def start(self):
        for role in ["api", "seed-worker", "monitor-worker", "exec-worker"]:
            self.run("scale", role, str(self.sizes[role]))
        for watch in (self.supervise, self.measure):
            threading.Thread(target=watch, daemon=True).start()

    def urls(self):
        return [f"http://127.0.0.1:{self.port(f'api-{n + 1}')}" for n in range(self.sizes["api"])]

    def processes(self, role=""):
        """(name, pid) of those that live."""
        runs, found = f"{self.folder}/fleet/run", []
        for file in sorted(os.listdir(runs)):
            if file.endswith(".pid") and file.startswith(role):
                try:
                    with open(f"{runs}/{file}", encoding="ascii") as text:
                        pid = int(text.read())
                    with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
                        if stat.read().rsplit(")", 1)[1].split()[0] != "Z":
                            found.append((file[:-4], pid))
                except (OSError, ValueError):
                    continue
        return found

    def admin(self, name, path):
        with open(f"{self.folder}/fleet/run/{name}.admin", encoding="ascii") as file:
            return f"http://127.0.0.1:{file.read().strip()}{path}"

    def kill(self, role=""):
        """kill -9 of one at random; the supervisor starts it again."""
        living = self.processes(role)
        if living:
            name, pid = self.random.choice(living)
            os.kill(pid, signal.SIGKILL)
            return name
        return None

    def signal_all(self, role, number):
        for _, pid in self.processes(role):
            os.kill(pid, number)

    def supervise(self):
        """What a service manager does: starts again what died, save roles that are paused."""
        while not self.stopping.wait(SUPERVISION_S):
            for role, size in self.sizes.items():
                if role not in self.paused and len(self.processes(role)) < size:
                    self.restarts += 1
                    self.run("scale", role, str(size), check=False, FLEET_NO_WAIT="1")

    def all_ready(self):
        def ready():
            if any(len(self.processes(role)) < size for role, size in self.sizes.items()):
                return False
            return all(self.metrics(name, "/readyz") is not None for name, _ in self.processes())
        wait_until("all processes are ready", ready)

    def metrics(self, name, path="/metrics"):
        """Text of an admin page; None when it does not answer 200."""
        done = subprocess.run(["curl", "-fsS", "-m", "5", self.admin(name, path)], capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else None

    def measure(self):
        """The memory peak of each process, of each of its lives."""
        while not self.stopping.wait(1):
            servers = [("rabbitmq", self.server_pid("rabbit/pid"))]
            for name, pid in self.processes() + [server for server in servers if server[1]]:
                try:
                    with open(f"/proc/{pid}/status", encoding="ascii") as status:
                        peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
                    self.peaks[name] = max(self.peaks.get(name, 0), peak)
                except (OSError, StopIteration):
                    continue

    def server_pid(self, file):
        try:
            with open(f"{self.folder}/fleet/{file}", encoding="ascii") as text:
                return int(text.readline())
        except (OSError, ValueError):
            return None

    def last_words(self, lines=8):
        """The warnings and errors at the ends of the logs."""
        logs = f"{self.folder}/fleet/log"
        for name in sorted(os.listdir(logs)):
            with open(f"{logs}/{name}", encoding="utf-8", errors="replace") as file:
                bad = [line for line in file.readlines() if '"ERROR"' in line or "panicked" in line]
            for line in bad[-lines:]:
                yield f"{name}: {line.strip()[:400]}"

    def down(self):
        self.stopping.set()
        time.sleep(2 * SUPERVISION_S)
        self.signal_all("", signal.SIGCONT)
        self.run("down", "--keep-data", check=False)
