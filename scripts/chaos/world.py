"""What the harness knows because it did it or was answered it: the other side of the ledger."""

import threading
from dataclasses import dataclass, field

# Asked: so many seconds from "the service answers again" to "the batch moves again".
MOVES_AGAIN_S = 10


@dataclass
class Batch:
    """An accepted batch: one whose POST was answered with 200, or was found to have been accepted when the answer was lost."""

    id: str
    herd: str
    source: str
    target: str
    # None: all of the herd, or, of a query, what it found.
    ids: list | None
    total: int
    accepted: float
    # None while it runs; completed, deleted, either (an answer was lost), or open: left with failed jobs on purpose.
    ended: str | None = None
    ended_at: float = 0.0
    by_query: bool = False
    # Pairs: suspended was answered; activation was sent.
    suspended: list = field(default_factory=list)


class World:
    def __init__(self):
        self.lock = threading.Lock()
        self.batches = {}
        self.unknown_submissions = 0
        # Of an instance: writes that callers were told of, and all that they tried.
        self.changes = {}
        # Tasks completed: accepted, tried.
        self.completed = [0, 0]
        # Deletions of instances: told of; tried.
        self.deleted, self.deletions = set(), set()
        # Reasons of failures that are as they should be, as parts of their messages.
        self.expected_failures = ["the worker died", "does not exist"]
        self.calls = {"accepted": 0, "refused": 0, "unknown": 0}

    def add(self, batch):
        with self.lock:
            self.batches[batch.id] = batch

    def known(self, batch):
        with self.lock:
            return batch in self.batches

    def tried(self, instance):
        with self.lock:
            self.changes.setdefault(instance, [0, 0])[1] += 1

    def told(self, instance, status):
        """status: None when the answer was lost."""
        with self.lock:
            change = self.changes[instance]
            if status is not None and status < 300:
                change[0] += 1
                self.calls["accepted"] += 1
            elif status is not None and status < 500:
                change[1] -= 1
                self.calls["refused"] += 1
            else:
                self.calls["unknown"] += 1

    def all(self):
        with self.lock:
            return list(self.batches.values())
