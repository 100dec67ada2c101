"""What /healthz says while the disk is full, while it is broken, and afterwards: the state, why, and since when."""

import os
import unittest

from e2e.disk import LoopDisk
from e2e.harness import Fluxgate, wait_until

BALLAST = 24 << 20
SETTINGS = ("--set", "bus.segment_bytes=256KiB", "--set", "bus.disk_reserve_bytes=1MiB", "--set", "store.flush_interval=100ms",
            "--set", "ingest.outbox.retry_time=100ms")


def reading(device: str) -> dict:
    return {"device": device, "metrics": {"text": os.urandom(4096).hex()}}


class Health(unittest.TestCase):
    def state(self, flux: Fluxgate) -> dict:
        return flux.anonymous().get("/healthz").json

    def degraded(self, flux: Fluxgate, component: str) -> dict:
        def look():
            found = self.state(flux)
            return found if component in found.get("components", {}) else None
        return wait_until(look, what=f"/healthz naming {component}")

    def send_until_refused(self, sender) -> list:
        """All answers of refusals while the disk is full; nothing but 200 before them."""
        refused = []

        def look():
            answer = sender.post("/api/v1/telemetry", [reading(f"d-{i}") for i in range(8)])
            if answer.status == 200:
                return False
            refused.append(answer)
            return len(refused) >= 20

        wait_until(look, limit=60, what="twenty refusals")
        return refused

    def test_a_full_disk_is_said_and_heals_without_a_reading(self):
        with LoopDisk(64 << 20) as disk:
            ballast = os.path.join(disk.path, "ballast")
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST)
            with Fluxgate(*SETTINGS, data_dir=disk.path) as flux:
                sender, admin = flux.sender(), flux.administrator()
                self.assertEqual(self.state(flux), {"status": "ok"})
                refused = self.send_until_refused(sender)
                # The disk is the cause from the first refusal on, so no answer says "too fast".
                self.assertEqual({answer.status for answer in refused}, {503}, refused)
                for answer in refused:
                    self.assertIn("full", answer.json["error"]["message"])

                found = self.degraded(flux, "disk")
                self.assertEqual(found["status"], "degraded")
                self.assertIn("full", found["components"]["disk"]["reason"])
                since = self.degraded(flux, "bus")["components"]["bus"]["since"]
                # Callers without a credential are not told of files; those with one are.
                self.assertNotIn(disk.path, str(self.state(flux)))
                self.assertIn(disk.path, str(admin.get("/api/v1/system").json["health"]["components"]["bus"]["detail"]))
                # What is there can still be asked for, so the server stays ready, and says what is wrong there too.
                ready = flux.anonymous().get("/readyz")
                self.assertEqual((ready.status, ready.json["status"]), (200, "ready"))
                self.assertIn("bus", ready.json["components"])
                self.send_until_refused(sender)
                self.assertEqual(self.state(flux)["components"]["bus"]["since"], since)

                os.unlink(ballast)
                wait_until(lambda: self.state(flux) == {"status": "ok"}, what="/healthz ok after room was made, without a reading")
                self.assertEqual(sender.post("/api/v1/telemetry", reading("d-0")).status, 200)
                self.assertTrue(any("healthy again" in line for line in flux.output), flux.text())

    def test_a_disk_that_fails_is_said(self):
        with LoopDisk(64 << 20) as disk:
            flux = Fluxgate(*SETTINGS, data_dir=disk.path)
            try:
                sender = flux.sender()
                self.assertEqual(sender.post("/api/v1/telemetry", reading("d")).status, 200)
                disk.cut_power()
                for answer in self.send_until_refused(sender):
                    self.assertEqual(answer.status, 503, answer)
                found = self.degraded(flux, "bus")
                self.assertEqual(found["status"], "degraded")
                self.assertIn("cannot be", self.degraded(flux, "disk")["components"]["disk"]["reason"])
                self.assertIsNone(flux.process.poll())
            finally:
                flux.kill()

    def test_a_folder_that_cannot_be_written_is_said_at_the_start(self):
        with LoopDisk(64 << 20) as disk:
            disk.cut_power()
            flux = Fluxgate(*SETTINGS, data_dir=disk.path, start=False)
            flux.launch()
            self.assertEqual(flux.wait(), 1, flux.text())
            self.assertIn(f"cannot write in the data folder {disk.path}", flux.text())


if __name__ == "__main__":
    unittest.main()
