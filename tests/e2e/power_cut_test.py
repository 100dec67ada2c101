"""The power fails during load, again and again: the disk keeps only what was synced. Every acknowledged reading is
there afterwards, exactly once, windows agree with that, and so does what is said of devices and what an administrator
was told."""

import os
import random
import time
import unittest

from e2e.disk import LoopDisk
from e2e.harness import Fluxgate, wait_until
from e2e.load import HttpSender, MqttSender, check_readings
from e2e.quiet import SETTINGS, QuietDevices

CUTS = int(os.environ.get("FLUXGATE_CUTS", "10"))
SEED = int(os.environ.get("FLUXGATE_SEED", str(time.time_ns() % 1_000_000)))


class PowerCut(unittest.TestCase):
    def test_every_acknowledged_reading_survives(self):
        print(f"FLUXGATE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        # Small segments, flushes and checkpoints so that a cut meets each of them under way.
        with LoopDisk(256 << 20) as disk, Fluxgate(
                "--set", "store.flush_interval=100ms", "--set", "bus.segment_bytes=64KiB",
                "--set", "process.checkpoint_interval=100ms", *SETTINGS, data_dir=disk.path) as flux:
            over_http, over_mqtt = ["http-0", "http-1"], ["mqtt-0"]
            devices = over_http + over_mqtt
            tokens = {device: flux.device_token(device) for device in over_mqtt}
            key = flux.ingest_key()
            quiet = QuietDevices(flux.administrator(), key, 3)
            acknowledged = {device: set() for device in devices}
            unknown = {device: set() for device in devices}
            first = {device: 0 for device in devices}
            for cut in range(CUTS):
                senders = [HttpSender(flux.http, key, device, first[device]) for device in over_http]
                senders += [MqttSender(flux.mqtt, tokens[device], device, first[device]) for device in over_mqtt]
                for sender in senders:
                    sender.start()
                quiet.report(flux.anonymous())
                wanted = chance.randint(1, 1000)

                def under_way():
                    for sender in senders:
                        self.assertIsNone(sender.refused, f"{sender.device} was refused before the cut")
                    return all(len(sender.acknowledged) >= wanted for sender in senders)

                wait_until(under_way, limit=60, what=f"{wanted} acknowledged readings of each sender before cut {cut}")
                made = flux.administrator().post("/api/v1/devices", {"device": f"made-before-cut-{cut}"})
                self.assertEqual(made.status, 201, made)
                disk.cut_power()
                flux.kill()
                for sender in senders:
                    sender.join(60)
                    self.assertFalse(sender.is_alive(), sender.device)
                    # All of it counts, what was answered while the cut was under way too.
                    acknowledged[sender.device] |= sender.acknowledged
                    unknown[sender.device] |= sender.unknown
                    first[sender.device] = sender.next
                disk.unmount()
                disk.mount()
                flux.start()
                admin = flux.administrator()
                self.assertEqual(admin.get(f"/api/v1/devices/made-before-cut-{cut}").status, 200)
                for device in devices:
                    check_readings(self, admin, device, acknowledged[device], unknown[device])
                quiet.await_silence(admin)
            quiet.check(self, flux.administrator())


if __name__ == "__main__":
    unittest.main()
