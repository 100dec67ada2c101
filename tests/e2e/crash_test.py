"""kill -9 during load, again and again: every acknowledged reading is there afterwards, exactly once, and what is
derived from it (windows, dead letters, silence and return of devices) is right too."""

import os
import random
import time
import unittest

from e2e.harness import Api, Fluxgate, wait_until
from e2e.load import BASE, HttpSender, await_processed, check_readings, dead_letters, reading_of
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
            self.await_limits(admin, Api(flux.http, {"Authorization": f"Bearer {key}"}), devices)
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
            await_processed(admin)
            for device in devices:
                self.check(admin, device, acknowledged[device], unknown[device])
            quiet.check(self, admin)

    @staticmethod
    def await_limits(admin, sender, devices):
        """What the registry was told applies to readings from some moment on, soon after the answer."""
        for device in devices:
            def refused():
                sender.post("/api/v1/telemetry", {"device": device, "time": BASE - 1, "metrics": {"limited": 1000}})
                await_processed(admin)
                return dead_letters(admin, device)

            wait_until(refused, what=f"the profile's limits for {device}")

    def check(self, admin, device, acknowledged, unknown):
        numbers = check_readings(self, admin, device, acknowledged, unknown)
        expected = sorted(n for n in numbers if n % 10 == 0)

        seen = {}

        def all_there():
            letters = [letter for letter in dead_letters(admin, device) if reading_of(letter) >= 0]
            missing = set(expected) - {reading_of(letter) for letter in letters}
            seen["missing"] = f"{len(missing)} of {len(expected)}, from {min(missing, default=None)} to {max(missing, default=None)}"
            return (letters,) if not missing else None

        try:
            (letters,) = wait_until(all_there, what=f"the dead letters of {device}")
        except AssertionError as error:
            raise AssertionError(f"{error}; missing: {seen.get('missing')}") from None
        self.assertEqual(len({letter["id"] for letter in letters}), len(letters), "a dead letter is there twice")
        self.assertEqual(len(letters), len(expected))
        self.assertEqual({letter["reason"] for letter in letters}, {"out_of_range"})


if __name__ == "__main__":
    unittest.main()
