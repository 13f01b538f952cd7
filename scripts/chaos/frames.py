"""AMQP frames on their way through the proxy: which message is which, and which of them to lose or to double.

Losing: a delivery never reaches its consumer, and is acked in its place, as by a consumer that took it and did nothing.
Doubling: a published message goes on as it is, and a copy of it is handed out to be published once more.
"""

import struct

from amqp import BODY, END, HEADER, METHOD, method

PUBLISH, DELIVER = (60, 40), (60, 60)
GREETING = b"AMQP"
HEAD = 7


def frames(buffer):
    """The whole frames at the front of a bytearray, taken away from it: (kind, channel, payload, raw)."""
    found, at = [], 0
    while True:
        if buffer[at : at + 4] == GREETING:
            if len(buffer) - at < 8:
                break
            found.append((0, 0, b"", bytes(buffer[at : at + 8])))
            at += 8
            continue
        if len(buffer) - at < HEAD:
            break
        kind, channel, size = struct.unpack_from(">BHI", buffer, at)
        end = at + HEAD + size + 1
        if len(buffer) < end:
            break
        raw = bytes(buffer[at:end])
        if raw[-1] != END:
            raise ValueError("no AMQP frame")
        found.append((kind, channel, raw[HEAD:-1], raw))
        at = end
    del buffer[:at]
    return found


class Content:
    """A method that is followed by a header and a body; gathered or swallowed."""

    def __init__(self, arguments):
        self.arguments, self.header, self.left, self.body = arguments, b"", None, b""

    def takes(self, kind, payload):
        """True when it is complete."""
        if kind == HEADER:
            self.header, self.left = payload, struct.unpack(">HHQ", payload[:12])[2]
        elif kind == BODY:
            self.body, self.left = self.body + payload, self.left - len(payload)
        return self.left == 0


class Publishes:
    """Client to broker: copies of some of what is published."""

    def __init__(self, chance, copy):
        self.buffer, self.chance, self.copy, self.open, self.seen = bytearray(), chance, copy, {}, 0

    def feed(self, data):
        self.buffer += data
        out = []
        for kind, channel, payload, raw in frames(self.buffer):
            out.append(raw)
            if kind == METHOD and struct.unpack(">HH", payload[:4]) == PUBLISH:
                self.seen += 1
                if self.chance():
                    self.open[channel] = Content(payload[4:])
            elif channel in self.open and self.open[channel].takes(kind, payload):
                content = self.open.pop(channel)
                length = content.arguments[2]
                exchange = content.arguments[3 : 3 + length].decode()
                key = content.arguments[4 + length :][: content.arguments[3 + length]].decode()
                self.copy(exchange, key, content.header, content.body)
        return b"".join(out)


class Deliveries:
    """Broker to client: some are swallowed, and acked for their consumer by what `acks` then holds."""

    def __init__(self, chance):
        self.buffer, self.chance, self.open, self.acks, self.dropped = bytearray(), chance, {}, [], 0

    def feed(self, data):
        self.buffer += data
        out = []
        for kind, channel, payload, raw in frames(self.buffer):
            if kind == METHOD and struct.unpack(">HH", payload[:4]) == DELIVER and self.chance():
                tag = payload[5 + payload[4] :][:8]
                self.open[channel] = Content(b"")
                self.acks.append(method(channel, 60, 80, tag + b"\0"))
                self.dropped += 1
            elif channel in self.open and kind in (HEADER, BODY):
                if self.open[channel].takes(kind, payload):
                    del self.open[channel]
            else:
                out.append(raw)
        return b"".join(out)
