"""kill -9 during load, again and again: every acknowledged reading is there afterwards, exactly once, and what is
derived from it (windows, dead letters, processed-data, silence and return of devices) is right too."""

import os
import random
import time
import unittest

from e2e.harness import Api, Fluxgate, wait_until
from e2e.load import HttpSender, await_processed, check_dead_letters, check_processed, check_readings, limit_devices, processed_readings
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
                      "--set", "process.checkpoint_interval=100ms", "--set", "process.processed_data.enabled=true", *SETTINGS) as flux:
            admin = flux.administrator()
            devices = [f"crash-{i}" for i in range(SENDERS)]
            key = flux.ingest_key()
            limit_devices(self, admin, Api(flux.http, {"Authorization": f"Bearer {key}"}), devices)
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
            numbers = {device: check_readings(self, admin, device, acknowledged[device], unknown[device]) for device in devices}
            for device in devices:
                check_dead_letters(self, admin, device, numbers[device])
            quiet.check(self, admin)
            self.assertEqual(flux.stop(), 0)
            for device, rows in processed_readings(self, flux, devices).items():
                check_processed(self, rows, numbers[device], limited=True)


if __name__ == "__main__":
    unittest.main()
