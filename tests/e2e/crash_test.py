"""kill -9 during load, again and again: every acknowledged reading is there afterwards, exactly once, and what is
derived from it (windows, dead letters) is right too."""

import http.client
import json
import os
import threading
import unittest

from e2e.harness import Fluxgate, wait_until

KILLS = int(os.environ.get("FLUXGATE_KILLS", "50"))
BASE = 1767225600  # 2026-01-01, s
SENDERS = 3


class Sender(threading.Thread):
    """Sends numbered readings for one device and remembers which were acknowledged."""

    def __init__(self, address: str, key: str, device: str, first: int):
        super().__init__(daemon=True)
        self.address, self.key, self.device = address, key, device
        self.next = first
        self.acknowledged: set[int] = set()
        self.unknown: set[int] = set()
        self.started = threading.Event()

    def run(self):
        connection = http.client.HTTPConnection(self.address, timeout=10)
        while True:
            numbers = range(self.next, self.next + 20)
            self.next += 20
            body = json.dumps({"device": self.device, "readings": [{"time": BASE + n, "metrics": {"n": n, "limited": 1000 if n % 10 == 0 else 1}} for n in numbers]})
            try:
                connection.request("POST", "/api/v1/telemetry", body, {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"})
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.unknown.update(numbers)  # cut off: may or may not be kept
                return
            assert response.status == 200 and answer["accepted"] == 40, answer
            self.acknowledged.update(numbers)
            self.started.set()


class Crash(unittest.TestCase):
    def test_every_acknowledged_reading_survives(self):
        # Small segments, flushes and checkpoints so that a kill meets each of them under way.
        with Fluxgate("--set", "store.flush_interval=100ms", "--set", "bus.segment_bytes=256KiB",
                      "--set", "process.checkpoint_interval=100ms") as flux:
            admin = flux.administrator()
            self.assertEqual(admin.post("/api/v1/profiles", {"profile": "limits", "metrics": [{"name": "limited", "max": 100}]}).status, 201)
            devices = [f"crash-{i}" for i in range(SENDERS)]
            for device in devices:
                self.assertEqual(admin.post("/api/v1/devices", {"device": device, "profile": "limits"}).status, 201)
            key = flux.ingest_key()
            acknowledged = {device: set() for device in devices}
            unknown = {device: set() for device in devices}
            first = {device: 0 for device in devices}
            for _ in range(KILLS):
                senders = [Sender(flux.http, key, device, first[device]) for device in devices]
                for sender in senders:
                    sender.start()
                for sender in senders:
                    self.assertTrue(sender.started.wait(30), flux.text())
                flux.kill()
                for sender in senders:
                    sender.join(30)
                    acknowledged[sender.device] |= sender.acknowledged
                    unknown[sender.device] |= sender.unknown
                    first[sender.device] = sender.next
                flux.start()
            admin = flux.administrator()
            for device in devices:
                self.check(admin, device, acknowledged[device], unknown[device])

    def check(self, admin, device, acknowledged, unknown):
        def stored():
            answer = admin.get("/api/v1/query", device=device, metric="n", limit=1_000_000, epoch="s").json
            points = answer["series"][0]["points"] if answer["series"] else []
            return points if acknowledged <= {value for _, value in points} else None

        points = wait_until(stored, what=f"every acknowledged reading of {device}")
        numbers = [int(value) for _, value in points]
        self.assertEqual(len(numbers), len(set(numbers)), "a reading is there twice")
        self.assertLessEqual(set(numbers), acknowledged | unknown)
        self.assertTrue(all(time == BASE + number for time, number in points))

        windows = admin.get("/api/v1/query", device=device, metric="n", window="1h", aggregate="count,sum", limit=100_000).json["series"][0]["points"]
        self.assertEqual(sum(count for _, count, _ in windows), len(numbers))
        self.assertEqual(sum(total for _, _, total in windows), sum(numbers))

        expected = sorted(n for n in numbers if n % 10 == 0)

        def dead_letters():
            found, cursor = [], None
            while True:
                more = {"cursor": cursor} if cursor else {}
                page = admin.get("/api/v1/dead-letters", device=device, limit=1000, **more).json
                found += page["dead_letters"]
                cursor = page["next"]
                if cursor is None:
                    return found if len(found) >= len(expected) else None

        letters = wait_until(dead_letters, what=f"the dead letters of {device}")
        self.assertEqual(len({letter["id"] for letter in letters}), len(letters), "a dead letter is there twice")
        self.assertEqual(len(letters), len(expected))
        self.assertEqual({letter["reason"] for letter in letters}, {"out_of_range"})


if __name__ == "__main__":
    unittest.main()
