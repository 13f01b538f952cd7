"""As much AMQP 0-9-1 as faults need: publish what is wrong, give messages back too often, see how deep a queue is."""

import socket
import struct

METHOD, HEADER, BODY, END = 1, 2, 3, 0xCE
PATIENCE_S = 10
FRAME_MAX = 131072


class Refused(Exception):
    """The broker said no, or went away."""


def short(text):
    data = text.encode()
    return bytes([len(data)]) + data


def long(data):
    return struct.pack(">I", len(data)) + data


def frame(kind, channel, payload):
    return struct.pack(">BHI", kind, channel, len(payload)) + payload + bytes([END])


def method(channel, klass, number, arguments=b""):
    return frame(METHOD, channel, struct.pack(">HH", klass, number) + arguments)


def header(size, properties=b"\x10\x00\x02"):
    """The content header of a body of `size` bytes; as it stands: persistent."""
    return struct.pack(">HHQ", 60, 0, size) + properties


class Client:
    """One connection, one channel, everything blocking."""

    def __init__(self, host, port, patience=PATIENCE_S):
        self.socket = socket.create_connection((host, port), timeout=patience)
        self.buffer = b""
        self.socket.sendall(b"AMQP\x00\x00\x09\x01")
        self.expect(10, 10)
        self.send(method(0, 10, 11, long(b"") + short("PLAIN") + long(b"\0guest\0guest") + short("en_US")))
        self.expect(10, 30)
        self.send(method(0, 10, 31, struct.pack(">HIH", 16, FRAME_MAX, 0)))
        self.send(method(0, 10, 40, short("/") + short("") + b"\0"))
        self.expect(10, 41)
        self.send(method(1, 20, 10, short("")))
        self.expect(20, 11)

    def close(self):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)

    def exactly(self, size):
        while len(self.buffer) < size:
            data = self.socket.recv(65536)
            if not data:
                raise Refused("the broker closed the connection")
            self.buffer += data
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def next(self):
        """The next frame that is no heartbeat."""
        while True:
            kind, channel, size = struct.unpack(">BHI", self.exactly(7))
            payload = self.exactly(size + 1)[:-1]
            if kind != 8:
                return kind, channel, payload

    def expect(self, *wanted):
        """The arguments of the next method, which must be one of those (class, number)."""
        pairs = list(zip(wanted[::2], wanted[1::2]))
        kind, _, payload = self.next()
        got = struct.unpack(">HH", payload[:4]) if kind == METHOD else None
        if got not in pairs:
            raise Refused(f"expected {pairs}, got {got}: {payload[4:120]!r}")
        return got, payload[4:]

    def confirms(self):
        self.send(method(1, 85, 10, b"\0"))
        self.expect(85, 11)

    def publish(self, exchange, key, body, content_header=None):
        self.send(
            method(1, 60, 40, b"\0\0" + short(exchange) + short(key) + b"\0")
            + frame(HEADER, 1, content_header or header(len(body)))
            + frame(BODY, 1, body)
        )

    def publish_and_wait(self, exchange, key, body):
        """After `confirms`."""
        self.publish(exchange, key, body)
        self.expect(60, 80)

    def depth(self, queue):
        """Messages ready in a queue that is there."""
        self.send(method(1, 50, 10, b"\0\0" + short(queue) + b"\x01" + long(b"")))
        _, arguments = self.expect(50, 11)
        return struct.unpack(">I", arguments[1 + arguments[0] :][:4])[0]

    def get(self, queue):
        """(delivery tag, body), or None; to be acked or nacked."""
        self.send(method(1, 60, 70, b"\0\0" + short(queue) + b"\0"))
        got, arguments = self.expect(60, 71, 60, 72)
        if got == (60, 72):
            return None
        size = struct.unpack(">HHQ", self.next()[2][:12])[2]
        body = b""
        while len(body) < size:
            body += self.next()[2]
        return struct.unpack(">Q", arguments[:8])[0], body

    def give_back(self, tag):
        self.send(method(1, 60, 120, struct.pack(">QB", tag, 2)))


def answers(host, port):
    """Does a broker answer here, as far as a channel?"""
    try:
        Client(host, port, patience=3).close()
        return True
    except (OSError, Refused, struct.error):
        return False
