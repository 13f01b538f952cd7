"""The proxy between the processes and their servers, a process of its own: every role reaches the database and the broker
through an address of its own, so that one pair can be troubled and the others left alone, and so that another server can
take the place of one that died.

Started with a JSON description as its argument; takes orders as lines of JSON on its input, and answers each with a line.
Links are named SERVICE.ROLE, for example `postgres.exec-worker`; orders name them by prefix (`postgres`, `amqp.api`, ``).
"""

import asyncio
import json
import os
import random
import signal
import socket
import sys

from amqp import Client, Refused
from frames import Deliveries, Publishes

CHUNK = 65536
CONNECT_S = 5
COPIES = 10_000


class State:
    """What is wrong at the moment."""

    def __init__(self, config):
        self.upstreams = {name: [tuple(address) for address in addresses] for name, addresses in config["upstreams"].items()}
        self.random = random.Random(config["seed"])
        self.latency, self.reset, self.stalled = {}, {}, {}
        self.double = self.drop = 0.0
        self.poison, self.runs = None, config["runs"]
        self.counts = {"published": 0, "doubled": 0, "dropped": 0, "resets": 0, "killed": 0}
        self.copies = asyncio.Queue(COPIES)
        self.links = set()

    def of(self, table, name):
        """The value for the first prefix that fits."""
        return next((value for prefix, value in table.items() if name.startswith(prefix)), None)

    def is_stalled(self, name, direction):
        value = self.of(self.stalled, name)
        return value in ("both", direction)


def owner_of(port, runs):
    """The exec-worker whose socket has this local port: (name, pid)."""
    wanted = f":{port:04X}"
    inode = None
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table.readlines()[1:]:
            field = line.split()
            if field[1].endswith(wanted) and field[9] != "0":
                inode = field[9]
    for name in os.listdir(runs):
        if not name.endswith(".pid"):
            continue
        try:
            with open(f"{runs}/{name}", encoding="ascii") as file:
                pid = int(file.read())
            for fd in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{fd}") == f"socket:[{inode}]":
                    return name[:-4], pid
        except (OSError, ValueError):
            continue
    return None


def keep_alive(there):
    there.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in ((socket.TCP_KEEPIDLE, 5), (socket.TCP_KEEPINTVL, 2), (socket.TCP_KEEPCNT, 5), (socket.TCP_NODELAY, 1)):
        there.setsockopt(socket.IPPROTO_TCP, option, value)


class Link:
    """One connection, both ways."""

    def __init__(self, state, name, reader, writer):
        self.state, self.name, self.client, self.to_client = state, name, reader, writer
        self.server = self.to_server = None
        self.publishes = self.deliveries = None
        self.tail = b""
        if name.startswith("amqp."):
            self.publishes = Publishes(lambda: state.random.random() < state.double, self.copy)
            self.deliveries = Deliveries(lambda: state.random.random() < state.drop)

    def copy(self, exchange, key, header, body):
        if not self.state.copies.full():
            self.state.copies.put_nowait((exchange, key, header, body))

    async def run(self, source):
        for host, port in self.state.upstreams[self.name.split(".")[0]]:
            try:
                connecting = asyncio.open_connection(host, port, local_addr=(source, 0))
                self.server, self.to_server = await asyncio.wait_for(connecting, CONNECT_S)
                break
            except (OSError, asyncio.TimeoutError):
                continue
        if self.to_server is None:
            return self.abort()
        try:
            for writer in (self.to_client, self.to_server):
                keep_alive(writer.get_extra_info("socket"))
        except OSError:  # who called has gone meanwhile
            return self.abort()
        self.state.links.add(self)
        try:
            await asyncio.gather(self.pump(self.client, self.to_server, "to"), self.pump(self.server, self.to_client, "from"))
        finally:
            self.state.links.discard(self)
            self.abort()

    def abort(self):
        for writer in (self.to_client, self.to_server):
            if writer is not None and writer.transport is not None:
                writer.transport.abort()

    async def pump(self, reader, writer, direction):
        try:
            while data := await reader.read(CHUNK):
                while self.state.is_stalled(self.name, direction):
                    await asyncio.sleep(0.05)
                if self.unlucky():
                    break
                if latency := self.state.of(self.state.latency, self.name):
                    await asyncio.sleep(self.state.random.uniform(0, 2 * latency))
                data = self.through(data, direction)
                if data is None:
                    break
                writer.write(data)
                await writer.drain()
        except (OSError, ValueError):
            pass
        finally:
            self.abort()

    def unlucky(self):
        chance = self.state.of(self.state.reset, self.name)
        if chance and self.state.random.random() < chance:
            self.state.counts["resets"] += 1
            return True
        return False

    def through(self, data, direction):
        """What goes on; None: nothing any more."""
        state = self.state
        if self.publishes and direction == "to":
            before, data = self.publishes.seen, self.publishes.feed(data)
            state.counts["published"] += self.publishes.seen - before
        elif self.deliveries and direction == "from":
            before, data = self.deliveries.dropped, self.deliveries.feed(data)
            state.counts["dropped"] += self.deliveries.dropped - before
            for ack in self.deliveries.acks:
                self.to_server.write(ack)
            self.deliveries.acks.clear()
        elif state.poison and self.name == "postgres.exec-worker" and direction == "from":
            marker = state.poison.encode()
            found, self.tail = marker in self.tail + data, (self.tail + data)[-len(marker) :]
            if found:
                owner = owner_of(self.to_client.get_extra_info("peername")[1], state.runs)
                if owner:
                    os.kill(owner[1], signal.SIGKILL)
                    state.counts["killed"] += 1
                return None
        return data


async def double(state):
    """Publishes the copies, over a connection of its own; what fails is not doubled."""
    client = None
    while True:
        exchange, key, header, body = await state.copies.get()
        for host, port in state.upstreams["amqp"]:
            try:
                client = client or await asyncio.to_thread(Client, host, port)
                await asyncio.to_thread(client.publish, exchange, key, body, header)
                state.counts["doubled"] += 1
                break
            except (OSError, Refused):
                client = None


def order(state, asked):
    match asked["do"]:
        case "upstreams":
            state.upstreams[asked["service"]] = [tuple(address) for address in asked["addresses"]]
        case "latency" | "reset" | "stalled" as what:
            table = getattr(state, what)
            table.pop(asked["link"], None)
            if asked["value"]:
                table[asked["link"]] = asked["value"]
        case "messages":
            state.double, state.drop = asked["double"], asked["drop"]
        case "poison":
            state.poison = asked["marker"]
        case "sever":
            for link in [link for link in state.links if link.name.startswith(asked["link"])]:
                link.abort()
    return {**state.counts, "links": len(state.links)}


async def main(config):
    state = State(config)
    tasks = [asyncio.create_task(double(state))]
    for name, (host, port) in config["listen"].items():
        def serve(reader, writer, name=name, host=host):
            return Link(state, name, reader, writer).run(host)
        tasks.append(await asyncio.start_server(serve, host, port))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    print(json.dumps({"ready": True}), flush=True)
    while line := await orders.readline():
        print(json.dumps(order(state, json.loads(line))), flush=True)
    os._exit(0)


if __name__ == "__main__":
    asyncio.run(main(json.loads(sys.argv[1])))
