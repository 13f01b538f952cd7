"""Callers that change instances while batches migrate them: the races are real, and what was answered is remembered."""

import random
import time

from rest import Unknown

PAUSE_S = 0.02


class Caller:
    def __init__(self, rest, world, load, seed):
        self.rest, self.world, self.load, self.random = rest, world, load, random.Random(seed)

    def changes(self, instances, deletable):
        """Completes tasks and sets variables of some; deletes a few of the deletable ones. Until the load stops."""
        instances, deletable = list(instances), list(deletable)
        while not self.load.stopping.is_set():
            draw = self.random.random()
            if draw < 0.02 and deletable:
                self.delete(deletable.pop(self.random.randrange(len(deletable))))
            elif draw < 0.6:
                self.complete(self.random.choice(instances))
            else:
                instance = self.random.choice(instances)
                value = {"value": self.random.randrange(1000), "type": "Integer"}
                self.write(instance, "PUT", f"/process-instance/{instance}/variables/chaos", value)
            time.sleep(PAUSE_S)

    def write(self, instance, method, path, body=None):
        """One change that must happen at most once; its status, None when the answer was lost."""
        self.world.tried(instance)
        status = None
        try:
            status, _ = self.rest.once(method, path, body)
        except ConnectionRefusedError:
            status = 499
        except (OSError, Unknown):
            pass
        self.world.told(instance, status)
        return status

    def complete(self, instance):
        try:
            status, tasks = self.rest.once("GET", f"/task?processInstanceId={instance}")
        except (OSError, Unknown):
            return
        if status != 200 or not tasks:
            return
        status = self.write(instance, "POST", f"/task/{tasks[0]['id']}/complete", {})
        with self.world.lock:
            self.world.completed[0] += status == 204
            self.world.completed[1] += status is None or status == 204 or status >= 500

    def delete(self, instance):
        self.world.deletions.add(instance)
        if self.write(instance, "DELETE", f"/process-instance/{instance}") == 204:
            self.world.deleted.add(instance)
