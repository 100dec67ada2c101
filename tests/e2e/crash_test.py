"""kill -9 during load, again and again: every acknowledged reading is there afterwards, exactly once, and what is
derived from it (windows, dead letters) is right too."""

import os
import unittest

from e2e.harness import Fluxgate, wait_until
from e2e.load import HttpSender, check_readings

KILLS = int(os.environ.get("FLUXGATE_KILLS", "50"))
SENDERS = 3


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
                senders = [HttpSender(flux.http, key, device, first[device]) for device in devices]
                for sender in senders:
                    sender.start()
                wait_until(lambda: all(sender.acknowledged or sender.refused for sender in senders), what="an answer to each sender")
                flux.kill()
                for sender in senders:
                    sender.join(30)
                    self.assertIsNone(sender.refused, flux.text())
                    acknowledged[sender.device] |= sender.acknowledged
                    unknown[sender.device] |= sender.unknown
                    first[sender.device] = sender.next
                flux.start()
            admin = flux.administrator()
            for device in devices:
                self.check(admin, device, acknowledged[device], unknown[device])

    def check(self, admin, device, acknowledged, unknown):
        numbers = check_readings(self, admin, device, acknowledged, unknown)
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
