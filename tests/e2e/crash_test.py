"""kill -9 during load, again and again: every acknowledged reading is there afterwards, exactly once, and what is
derived from it (windows, dead letters, silence and return of devices) is right too."""

import os
import random
import time
import unittest

from e2e.harness import Fluxgate, wait_until
from e2e.load import HttpSender, check_readings, dead_letters
from e2e.quiet import SETTINGS, QuietDevices

SEED = int(os.environ.get("FLUXGATE_SEED", str(time.time_ns() % 1_000_000)))
KILLS = int(os.environ.get("FLUXGATE_KILLS", "50"))
SENDERS = 3


class Crash(unittest.TestCase):
    def test_every_acknowledged_reading_survives(self):
        print(f"FLUXGATE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        # Small segments, flushes and checkpoints so that a kill meets each of them under way.
        with Fluxgate("--set", "store.flush_interval=100ms", "--set", "bus.segment_bytes=256KiB",
                      "--set", "process.checkpoint_interval=100ms", *SETTINGS) as flux:
            admin = flux.administrator()
            self.assertEqual(admin.post("/api/v1/profiles", {"profile": "limits", "metrics": [{"name": "limited", "max": 100}]}).status, 201)
            devices = [f"crash-{i}" for i in range(SENDERS)]
            for device in devices:
                self.assertEqual(admin.post("/api/v1/devices", {"device": device, "profile": "limits"}).status, 201)
            key = flux.ingest_key()
            quiet = QuietDevices(admin, key, 4)
            acknowledged = {device: set() for device in devices}
            unknown = {device: set() for device in devices}
            first = {device: 0 for device in devices}
            for _ in range(KILLS):
                senders = [HttpSender(flux.http, key, device, first[device]) for device in devices]
                for sender in senders:
                    sender.start()
                quiet.report(flux.anonymous())
                # From before the return of the quiet devices is said until after their silence is.
                wanted = chance.choice((1, chance.randint(1, 4000)))
                wait_until(lambda: all(len(sender.acknowledged) >= wanted or sender.refused for sender in senders),
                           what=f"{wanted} acknowledged readings of each sender")
                flux.kill()
                for sender in senders:
                    sender.join(30)
                    self.assertIsNone(sender.refused, flux.text())
                    acknowledged[sender.device] |= sender.acknowledged
                    unknown[sender.device] |= sender.unknown
                    first[sender.device] = sender.next
                flux.start()
                quiet.await_silence(flux.administrator())
            admin = flux.administrator()
            for device in devices:
                self.check(admin, device, acknowledged[device], unknown[device])
            quiet.check(self, admin)

    def check(self, admin, device, acknowledged, unknown):
        numbers = check_readings(self, admin, device, acknowledged, unknown)
        expected = sorted(n for n in numbers if n % 10 == 0)

        def all_there():
            found = dead_letters(admin, device)
            return found if len(found) >= len(expected) else None

        letters = wait_until(all_there, what=f"the dead letters of {device}")
        self.assertEqual(len({letter["id"] for letter in letters}), len(letters), "a dead letter is there twice")
        self.assertEqual(len(letters), len(expected))
        self.assertEqual({letter["reason"] for letter in letters}, {"out_of_range"})


if __name__ == "__main__":
    unittest.main()
