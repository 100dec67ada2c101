"""Messages that MQTT cannot refuse: they are acknowledged, and lie among the dead letters with the reason. A flood of them
is counted and not written, and a crash brings neither these nor those of processing twice."""

import unittest

import paho.mqtt.client as paho

from e2e.harness import LIMIT_S, Fluxgate, wait_until
from e2e.load import await_processed, dead_letters, metric
from e2e.mqtt_clients_test import Client

BURST = 20  # ingest.dead_letters.device_burst


def of_messages(letters: list[dict]) -> list[dict]:
    return [letter for letter in letters if letter["source"] is None]


class DeadLetters(unittest.TestCase):
    def client(self, flux, device: str, version=paho.MQTTv311) -> Client:
        client = Client(flux.mqtt, device, flux.device_token(device), version, client_id=f"client of {device}")
        self.assertTrue(client.connected.wait(LIMIT_S))
        return client

    def test_what_3_1_1_sends_in_vain_is_found_with_its_reason(self):
        with Fluxgate() as flux:
            admin = flux.administrator()
            client = self.client(flux, "pump-1")
            client.publish("v1/telemetry", '{"temperature":')
            client.publish("v1/devices/other/telemetry", {"a": 1})
            client.publish("v1/telemetry", {"good": 1, "bad": {"deep": 1}})
            client.publish("v1/telemetry", b"\xff\xfe", qos=0)
            client.publish("v1/telemetry", {"good": 2})
            self.assertFalse(client.disconnected.is_set())
            client.close()
            letters = wait_until(lambda: (found := dead_letters(admin, "pump-1")) and len(found) == 4 and found, what="four dead letters")
            self.assertEqual([letter["reason"] for letter in reversed(letters)], ["invalid_payload", "not_authorized", "invalid_value", "invalid_payload"])
            self.assertEqual(len({letter["id"] for letter in letters}), 4)
            first = letters[-1]
            self.assertIn("not JSON at byte offset 15", first["message"])
            self.assertEqual((first["client"], first["topic"], first["payload"], first["payload_bytes"]),
                             ("client of pump-1", "v1/telemetry", '{"temperature":', 15))
            self.assertEqual((first["device"], first["time"], first["metric"], first["value"]), ("pump-1", None, None, None))
            self.assertIn("bad", letters[1]["message"])
            self.assertEqual(letters[0]["payload"], "\N{REPLACEMENT CHARACTER}" * 2)
            # By the time of arrival, too, though they claim none of their own.
            since = admin.get("/api/v1/dead-letters", **{"from": first["received_at"], "limit": 10}).json["dead_letters"]
            self.assertEqual([letter["id"] for letter in since], [letter["id"] for letter in letters])
            wait_until(lambda: (series := admin.get("/api/v1/query", device="pump-1", metric="good").json["series"]) and len(series[0]["points"]) == 2)

            told = self.client(flux, "pump-5", paho.MQTTv5)
            self.assertEqual(told.publish("v1/telemetry", b"{")[0].value, 0x99)
            told.publish("v1/telemetry", b"[", qos=0)
            told.publish("v1/telemetry", {"a": 1})
            told.close()
            letters = wait_until(lambda: dead_letters(admin, "pump-5"), what="the dead letter of QoS 0")
            self.assertEqual([letter["payload"] for letter in letters], ["["], "what PUBACK told has none")

    def test_a_flood_is_counted_and_a_crash_brings_nothing_twice(self):
        with Fluxgate("--set", "process.checkpoint_interval=100ms") as flux:
            admin = flux.administrator()
            client = self.client(flux, "pump-1")
            skewed = [f"2100-01-01T00:00:{i:02}Z" for i in range(6)]  # taken, and set aside by processing

            def send(nonsense: int, times) -> None:
                for i in range(nonsense):
                    client.client.publish("v1/telemetry", "nonsense %d" % i, 0)
                for time in times:
                    client.publish("v1/telemetry", {"time": time, "metrics": {"a": 1}})

            def all_of(times) -> bool:
                return {letter["time"] for letter in dead_letters(admin, "pump-1")} >= set(times)

            send(3000, skewed[:3])
            wait_until(lambda: all_of(skewed[:3]), what="the dead letters of processing")
            wait_until(lambda: metric(admin, "fluxgate_ingest_dead_letters_total") + metric(admin, "fluxgate_ingest_dead_letters_left_out_total") == 3000,
                       what="all of the flood to be counted")
            written = metric(admin, "fluxgate_ingest_dead_letters_total")
            self.assertGreaterEqual(written, BURST)
            self.assertLess(written, 3 * BURST, "a flood is not written down")
            before = wait_until(lambda: (found := of_messages(dead_letters(admin, "pump-1"))) and len(found) == written and found)
            client.publish("v1/telemetry", {"time": skewed[3], "metrics": {"a": 1}})
            client.client.disconnect()
            client.client.loop_stop()
            flux.kill()

            flux.start()
            admin = flux.administrator()
            client = self.client(flux, "pump-1")
            send(5, skewed[4:])
            client.close()
            wait_until(lambda: all_of(skewed), what="the dead letters of processing after the crash")
            await_processed(admin)
            letters = dead_letters(admin, "pump-1")
            self.assertEqual(sorted(letter["time"] for letter in letters if letter["source"]), skewed)
            after = of_messages(letters)
            self.assertEqual([letter["id"] for letter in after[-len(before):]], [letter["id"] for letter in before])
            self.assertEqual(len(after), len(before) + 5)
            self.assertEqual(len({letter["id"] for letter in letters}), len(letters))


if __name__ == "__main__":
    unittest.main()
