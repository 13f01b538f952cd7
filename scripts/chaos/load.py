"""Batches, one after the other, so that something is always moving: the big one of the whole herd back and forth, and
beside it small ones that are suspended, activated, deleted, retried."""

import random
import threading
import time

from herd import ACTIVITIES
from rest import Unknown, Unreachable
from world import Batch

LOOK_S = 0.3
# How long after a lost answer the batch is looked for.
LOST_ANSWER_S = 6
MIGRATION = "instance-migration"


class Load:
    def __init__(self, rest, world, seed):
        self.rest, self.world, self.random = rest, world, random.Random(seed)
        self.stopping, self.submitting = threading.Event(), threading.Lock()
        self.threads, self.errors = [], []
        self.quiesce = threading.Event()
        self.slowest_post = 0.0

    def submit(self, herd, source, target, ids=None, query=None, name=""):
        """An accepted batch. Tries until one is."""
        instructions = [{"sourceActivityIds": [a], "targetActivityIds": [a]} for a in ACTIVITIES]
        plan = {"sourceProcessDefinitionId": source, "targetProcessDefinitionId": target, "instructions": instructions}
        body = {"migrationPlan": plan, **({"processInstanceIds": ids} if query is None else {"processInstanceQuery": query})}
        with self.submitting:
            while True:
                begun, answer = time.time(), None
                try:
                    status, answer = self.rest.once("POST", "/migration/executeAsync", body)
                    if status == 200:
                        break
                    if status == 400:
                        return None
                    if status < 500:
                        raise Unreachable(f"executeAsync: {status} {answer}")
                except ConnectionRefusedError:
                    time.sleep(LOOK_S)
                    continue
                except (OSError, Unknown):
                    pass
                # Nobody knows whether it was accepted: look for it.
                self.world.unknown_submissions += 1
                time.sleep(LOST_ANSWER_S)
                answer = self.find_lost(len(ids) if ids else None)
                if answer:
                    break
            self.slowest_post = max(self.slowest_post, time.time() - begun)
            batch = Batch(answer["id"], name or herd.key, source, target, ids, answer["totalJobs"], time.time(), by_query=query is not None)
            self.world.add(batch)
            return batch

    def find_lost(self, size):
        newest = self.rest.get("/history/batch?sortBy=startTime&sortOrder=desc&maxResults=5")
        return next((b for b in newest if not self.world.known(b["id"]) and size in (None, b["totalJobs"])), None)

    def gone(self, batch):
        status, _ = self.rest.ask("GET", f"/batch/{batch.id}")
        return status == 404

    def until_ended(self, batch, patience=None):
        """Until the batch is completed; failed jobs are retried once, then deleted, as a person does."""
        retried, end = False, time.time() + patience if patience else None
        while not self.gone(batch):
            if end and time.time() > end:
                return False
            page = self.rest.get(f"/batch/statistics?batchId={batch.id}")
            if page and page[0]["failedJobs"] > 0 and page[0]["remainingJobs"] == page[0]["failedJobs"]:
                (self.delete_failed if retried else self.retry)(page[0])
                retried = True
            time.sleep(LOOK_S)
        batch.ended, batch.ended_at = batch.ended or "completed", time.time()
        return True

    def retry(self, batch):
        self.rest.ask("PUT", f"/job-definition/{batch['batchJobDefinitionId']}/retries", {"retries": 1})

    def delete_failed(self, batch):
        for job in self.rest.get(f"/job?jobDefinitionId={batch['batchJobDefinitionId']}&noRetriesLeft=true&maxResults=100"):
            self.rest.ask("DELETE", f"/job/{job['id']}")

    def start(self, *streams):
        for stream, *args in streams:
            thread = threading.Thread(target=self.guarded, args=(stream, *args), daemon=True)
            thread.start()
            self.threads.append(thread)

    def guarded(self, stream, *args):
        try:
            stream(*args)
        except Exception as error:  # noqa: BLE001 — whatever ends a stream is a finding of the ledger.
            self.errors.append(f"{stream.__name__} ended: {error!r}")

    def main(self, herd, ids):
        """All of the herd, back and forth."""
        turn = 0
        while not self.stopping.is_set():
            batch = self.submit(herd, herd.versions[turn % 2], herd.versions[1 - turn % 2], ids)
            self.until_ended(batch)
            turn += 1

    def side(self, herd):
        """What is on one version, to the other; with what callers do to batches."""
        while not self.stopping.is_set():
            counts = [self.rest.get(f"/process-instance/count?processDefinitionId={v}")["count"] for v in herd.versions]
            source, target = herd.versions if counts[0] >= counts[1] else herd.versions[::-1]
            what = self.random.choice(["plain", "suspend", "suspend", "delete", "query"])
            if what == "query":
                batch = self.submit(herd, source, target, query={"processDefinitionId": source})
            else:
                page = self.rest.get(f"/process-instance?processDefinitionId={source}&maxResults=100000")
                batch = self.submit(herd, source, target, [instance["id"] for instance in page] or None)
            if batch is None:
                continue
            if what == "suspend":
                self.suspend_a_while(batch)
            elif what == "delete":
                self.delete_meanwhile(batch)
            self.until_ended(batch)

    def suspend_a_while(self, batch):
        time.sleep(self.random.uniform(0.1, 1))
        status, _ = self.rest.ask("PUT", f"/batch/{batch.id}/suspended", {"suspended": True})
        if status == 204:
            since = time.time()
            time.sleep(self.random.uniform(1, 3))
            batch.suspended.append((since, time.time()))
            self.rest.ask("PUT", f"/batch/{batch.id}/suspended", {"suspended": False})

    def delete_meanwhile(self, batch):
        time.sleep(self.random.uniform(0.1, 2))
        status = None
        try:
            status, _ = self.rest.once("DELETE", f"/batch/{batch.id}")
        except (OSError, Unknown):
            pass
        if status == 204:
            batch.ended, batch.ended_at = "deleted", time.time()
        elif status is None or status >= 500:
            batch.ended = "either"

    def stop(self, patience):
        """No more batches; waits for those that run. False: some still do."""
        self.stopping.set()
        end = time.time() + patience
        for thread in self.threads:
            thread.join(max(0.0, end - time.time()))
        return not any(thread.is_alive() for thread in self.threads)
