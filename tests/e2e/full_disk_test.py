"""A disk that is full: what does not fit is refused with a reason, the rest goes on, and room heals it by itself."""

import os
import unittest

from e2e.disk import LoopDisk
from e2e.harness import Fluxgate, wait_until
from e2e.load import BASE, HttpSender, MqttSender, check_readings

BALLAST = 16 << 20


def bulky(n: int) -> dict:
    """A kilobyte that does not compress."""
    return {"n": n, "text": os.urandom(512).hex()}


class FullDisk(unittest.TestCase):
    def test_a_full_disk_refuses_and_heals(self):
        with LoopDisk(64 << 20) as disk:
            ballast = os.path.join(disk.path, "ballast")
            with open(ballast, "wb") as file:
                os.posix_fallocate(file.fileno(), 0, BALLAST)
            with Fluxgate("--set", "store.flush_interval=100ms", "--set", "bus.segment_bytes=256KiB",
                          "--set", "bus.disk_reserve_bytes=1MiB", "--set", "process.checkpoint_interval=100ms",
                          data_dir=disk.path) as flux:
                key = flux.ingest_key()
                admin = flux.administrator()
                over_mqtt = "full-mqtt"
                token = flux.device_token(over_mqtt)
                devices = ["full-0", "full-1", over_mqtt]
                acknowledged = {device: set() for device in devices}
                unknown = {device: set() for device in devices}
                first = {device: 0 for device in devices}

                def send_until_refused():
                    senders = [HttpSender(flux.http, key, device, first[device], bulky) for device in devices if device != over_mqtt]
                    senders.append(MqttSender(flux.mqtt, token, over_mqtt, first[over_mqtt], bulky))
                    for sender in senders:
                        sender.start()
                    for sender in senders:
                        sender.join(120)
                        self.assertFalse(sender.is_alive(), f"{sender.device} was neither refused nor cut off")
                        acknowledged[sender.device] |= sender.acknowledged
                        unknown[sender.device] |= sender.unknown
                        first[sender.device] = sender.next
                        self.assertIsNotNone(sender.refused, f"{sender.device} was cut off instead of refused")
                        status, answer = sender.refused
                        if sender.device != over_mqtt:
                            self.assertEqual(status, 503, answer)
                        self.assertIn("is full", str(answer), sender.refused)

                def check():
                    for device in devices:
                        check_readings(self, admin, device, acknowledged[device], unknown[device])

                send_until_refused()
                self.assertTrue(all(len(kept) >= 500 for kept in acknowledged.values()), "full too early")
                # It lives, says so, and answers what is asked of it.
                self.assertIsNone(flux.process.poll())
                self.assertEqual(flux.anonymous().get("/healthz").status, 200)
                self.assertEqual(flux.anonymous().get("/readyz").status, 200)
                check()
                send_until_refused()  # still full, still refusing, still alive

                os.unlink(ballast)
                probe = flux.anonymous()
                probe.headers["Authorization"] = f"Bearer {key}"

                def taken():
                    return probe.post("/api/v1/telemetry", {"device": "probe", "time": BASE, "metrics": {"v": 1}}).status == 200

                wait_until(taken, limit=30, what="taking readings again after room was made")
                check()
                # The room is used until it is full again: by whom is not said, but it is used. The store, which merges
                # what it could not before, may have had it all for a moment.
                had = sum(len(kept) for kept in acknowledged.values())

                def used():
                    send_until_refused()
                    return sum(len(kept) for kept in acknowledged.values()) > had

                wait_until(used, limit=60, what="readings taken into the room that was made")

                # A crash and an orderly stop, both on the full disk.
                for end in (flux.kill, flux.stop):
                    end()
                    flux.start()
                    admin = flux.administrator()
                    check()


if __name__ == "__main__":
    unittest.main()
