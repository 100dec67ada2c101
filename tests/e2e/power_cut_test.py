"""The power fails during load, again and again: the disk keeps only what was synced. Every acknowledged reading is
there afterwards, exactly once, windows agree with that, and so does what is said of devices and what an administrator
was told."""

import os
import random
import time
import unittest

from e2e.disk import LoopDisk
from e2e.harness import Api, Fluxgate, wait_until
from e2e.load import (BASE, HttpSender, MqttSender, await_processed, check_dead_letters, check_processed, check_readings, dead_letters,
                      limit_devices, metric, processed_readings, reading_of)
from e2e.quiet import SETTINGS, QuietDevices

CUTS = int(os.environ.get("FLUXGATE_CUTS", "50"))
SEED = int(os.environ.get("FLUXGATE_SEED", str(time.time_ns() % 1_000_000)))


class PowerCut(unittest.TestCase):
    def test_every_acknowledged_reading_survives(self):
        print(f"FLUXGATE_SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        # Small segments, flushes and checkpoints so that a cut meets each of them under way.
        with LoopDisk(256 << 20) as disk, Fluxgate(
                "--set", "store.flush_interval=100ms", "--set", "bus.segment_bytes=64KiB",
                "--set", "process.checkpoint_interval=100ms", "--set", "process.processed_data.enabled=true", *SETTINGS, data_dir=disk.path) as flux:
            over_http, over_mqtt = ["http-0", "http-1"], ["mqtt-0"]
            devices = over_http + over_mqtt
            tokens = {device: flux.device_token(device) for device in over_mqtt}
            key = flux.ingest_key()
            limit_devices(self, flux.administrator(), Api(flux.http, {"Authorization": f"Bearer {key}"}), over_http)
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
            admin = flux.administrator()
            await_processed(admin)
            numbers = {device: check_readings(self, admin, device, acknowledged[device], unknown[device]) for device in devices}
            for device in over_http:
                check_dead_letters(self, admin, device, numbers[device])
            quiet.check(self, admin)
            self.assertEqual(flux.stop(), 0)
            for device, rows in processed_readings(self, flux, devices).items():
                check_processed(self, rows, numbers[device], limited=device in over_http)

    def test_without_syncs_nothing_is_wrong_or_there_twice(self):
        """What such a log promises of a power cut: an orderly start that says what is gone, and nothing false."""
        for mode in ("off", "interval"):
            with self.subTest(fsync=mode):
                self.cut_without_syncs(mode)

    def cut_without_syncs(self, mode: str) -> None:
        chance = random.Random(SEED)
        # Heads and checkpoints are flushed far more often than the log is synced: they know of more than it keeps.
        with LoopDisk(256 << 20) as disk, Fluxgate(
                "--set", f"bus.fsync={mode}", "--set", "bus.fsync_interval=1s", "--set", "store.flush_interval=100ms",
                "--set", "bus.segment_bytes=1MiB", "--set", "process.checkpoint_interval=100ms",
                "--set", "process.processed_data.enabled=true", data_dir=disk.path) as flux:
            admin = flux.administrator()
            self.assertEqual(admin.post("/api/v1/profiles", {"profile": "limits", "metrics": [{"name": "limited", "max": 100}]}).status, 201)
            devices = ["loose-0", "loose-1", "loose-2"]
            for device in devices:
                self.assertEqual(admin.post("/api/v1/devices", {"device": device, "profile": "limits"}).status, 201)
            key = flux.ingest_key()
            flux.stop()  # an orderly stop: what was said so far is kept
            flux.start()
            admin = flux.administrator()
            self.assertTrue(any("survive a crash of this process, but not of the machine" in line for line in flux.output), flux.text())
            sent = {device: set() for device in devices}
            kept = {device: set() for device in devices}
            refused = {device: set() for device in devices}  # readings that have a dead letter
            first = {device: 0 for device in devices}
            key_headers = {"Authorization": f"Bearer {key}"}
            warned = 0
            for cut in range(CUTS):
                only_killed = cut % 3 == 2  # on what a power cut left; this loses nothing
                changed = cut % 3 == 1  # something of the registry just before: with it the log is synced, and loses less
                senders = [HttpSender(flux.http, key, device, first[device]) for device in devices]
                for sender in senders:
                    sender.start()
                wanted, written = (chance.randint(1, 200), 0) if only_killed else (chance.randint(1, 1500), 1 + cut % 4)

                def under_way():
                    enough = all(len(sender.acknowledged) >= wanted or sender.refused for sender in senders)
                    return enough and metric(admin, "fluxgate_process_checkpoints_total") >= written

                wait_until(under_way, limit=60, what=f"{wanted} readings and {written} checkpoints before cut {cut}")
                if changed:
                    self.limit(admin, Api(flux.http, key_headers), f"late-{cut}")
                if not only_killed:
                    disk.cut_power()
                flux.kill()
                for sender in senders:
                    sender.join(60)
                    self.assertFalse(sender.is_alive(), sender.device)
                    sent[sender.device] |= sender.acknowledged | sender.unknown
                    first[sender.device] = sender.next
                    if only_killed:
                        kept[sender.device] |= sender.acknowledged
                        refused[sender.device] |= {n for n in sender.acknowledged if n % 10 == 0}
                    else:
                        # Readings that were there after a start are in a synced log or store. A dead letter may have been
                        # made of them since, and a checkpoint that counts on it.
                        refused[sender.device] = set()
                if not only_killed:
                    disk.unmount()
                    disk.mount()
                flux.start()
                warned += any("the log lost records" in line or "a topic lost outputs" in line for line in flux.output)
                admin = flux.administrator()
                await_processed(admin)
                if changed:
                    self.assertTrue(self.refuses(admin, Api(flux.http, key_headers), f"late-{cut}", -2), "a change that was in force is gone")
                for device in devices:
                    there = set(check_readings(self, admin, device, kept[device], sent[device]))
                    kept[device] = there
                    (said,) = wait_until(lambda: self.refusals(admin, device, refused[device]), what=f"the dead letters of {device}")
                    self.assertEqual(len(said), len(set(said)), f"a dead letter of {device} is there twice")
                    self.assertTrue(all(n % 10 == 0 for n in said))
                    self.assertLessEqual(set(said), sent[device])
                    refused[device] = set(said)
            # Else this was no test: something was lost, and the log said so.
            self.assertLess(sum(map(len, kept.values())), sum(map(len, sent.values())))
            self.assertGreater(warned, 0)
            self.assertEqual(flux.stop(), 0)
            for device, rows in processed_readings(self, flux, devices).items():
                numbers = {row["metrics"]["n"]["value"] for row in rows}
                self.assertLessEqual(numbers, sent[device])
                self.assertTrue(numbers, "nothing of the topic was kept")
                for row in rows:
                    self.assertEqual("limited" in row["metrics"], row["metrics"]["n"]["value"] % 10 != 0, row)

    def limit(self, admin, sender, device: str) -> None:
        """Makes a device with a profile of its own, whose limits are in force when this returns."""
        made = admin.post("/api/v1/profiles", {"profile": device, "metrics": [{"name": "limited", "max": 10}]})
        self.assertEqual(made.status, 201)
        self.assertEqual(admin.post("/api/v1/devices", {"device": device, "profile": device}).status, 201)
        wait_until(lambda: self.refuses(admin, sender, device, -1), what=f"the limits of {device}")

    @staticmethod
    def refuses(admin, sender, device: str, n: int) -> bool:
        answer = sender.post("/api/v1/telemetry", {"device": device, "time": BASE + n, "metrics": {"limited": 11}})
        assert answer.status == 200, answer
        # The reading is stored or refused, whichever comes first.
        def outcome():
            letters = admin.get("/api/v1/dead-letters", device=device, limit=10).json["dead_letters"]  # newest first
            if any(reading_of(letter) == n for letter in letters):
                return "refused"
            points = admin.get("/api/v1/query", device=device, metric="limited", limit=10, epoch="s").json["series"]
            return "stored" if any(time == BASE + n for series in points for time, _ in series["points"]) else None

        return wait_until(outcome, what=f"reading {n} of {device}") == "refused"

    @staticmethod
    def refusals(api, device: str, least: set[int]) -> tuple[list[int]] | None:
        """The numbers of the readings that have a dead letter; nothing yet while some of `least` have none."""
        found = [reading_of(letter) for letter in dead_letters(api, device)]
        return (found,) if least <= set(found) else None


if __name__ == "__main__":
    unittest.main()
