"""A disk that breaks under load: syncs fail for good. What is not durable is refused, the server lives and says what
happened, and once the disk is whole again everything that was acknowledged is there, exactly once."""

import json
import unittest

from e2e.disk import LoopDisk
from e2e.harness import Fluxgate
from e2e.load import HttpSender, MqttSender, await_processed, check_readings, metric


class BrokenDisk(unittest.TestCase):
    def test_a_failed_sync_is_answered_and_nothing_acknowledged_is_lost(self):
        with LoopDisk(256 << 20, room=24 << 20) as disk, Fluxgate(
                "--set", "store.flush_interval=100ms", "--set", "bus.segment_bytes=256KiB",
                "--set", "process.checkpoint_interval=100ms", data_dir=disk.path) as flux:
            admin = flux.administrator()
            key = flux.ingest_key()
            token = flux.device_token("broken-mqtt")
            senders = [HttpSender(flux.http, key, f"broken-{i}", 0) for i in range(2)]
            senders.append(MqttSender(flux.mqtt, token, "broken-mqtt", 0))
            for sender in senders:
                sender.start()
            for sender in senders:
                sender.join(120)
                self.assertFalse(sender.is_alive(), f"{sender.device} was neither refused nor cut off")
                status, answer = sender.refused
                if isinstance(sender, HttpSender):
                    self.assertEqual((status, answer["error"]["code"]), (503, "unavailable"))
                self.assertIn(disk.path, str(answer), "what failed is named")
                self.assertTrue(sender.acknowledged)
            # It lives, is not asked to be restarted, and has said what happened where it is looked for.
            self.assertIsNone(flux.process.poll())
            self.assertEqual(flux.anonymous().get("/healthz").status, 200)
            self.assertGreater(metric(admin, "fluxgate_bus_errors_total"), 0)
            said = [json.loads(line) for line in flux.output if line.startswith("{")]
            for message in ("a segment failed; the partition goes on in a new one", "records could not be appended to the log"):
                self.assertIn((message, "error"), {(line["message"], line["level"]) for line in said}, flux.text())
            flux.kill()
            disk.mend()
            disk.unmount()
            disk.mount()
            flux.start()
            admin = flux.administrator()
            await_processed(admin)
            for sender in senders:
                check_readings(self, admin, sender.device, sender.acknowledged, sender.unknown)


if __name__ == "__main__":
    unittest.main()
