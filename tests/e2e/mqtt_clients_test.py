"""Other people's MQTT clients, unmodified: mosquitto_pub and paho, 3.1.1 and 5."""

import json
import subprocess
import threading
import unittest

import paho.mqtt.client as paho

from e2e.harness import LIMIT_S, Fluxgate, wait_until


class Client:
    """A paho client that remembers what it was told."""

    def __init__(self, address, user: str | None, password: str | None, version=paho.MQTTv311, client_id: str = ""):
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=version)
        self.client.max_inflight_messages_set(100)
        if user is not None:
            self.client.username_pw_set(user, password)
        self.connected = threading.Event()
        self.disconnected = threading.Event()
        self.code = None
        self.published: dict[int, object] = {}
        self.arrived = threading.Condition()
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_publish = self._on_publish
        self.client.connect(*address, keepalive=30)
        self.client.loop_start()

    def _on_connect(self, client, data, flags, code, properties):
        self.code = code
        self.connected.set()

    def _on_disconnect(self, client, data, flags, code, properties):
        self.disconnected.set()

    def _on_publish(self, client, data, mid, code, properties):
        with self.arrived:
            self.published[mid] = (code, properties)
            self.arrived.notify_all()

    def publish(self, topic: str, payload, qos: int = 1):
        """The reason code and properties of the acknowledgement."""
        body = payload if isinstance(payload, (str, bytes)) else json.dumps(payload)
        info = self.client.publish(topic, body, qos)
        with self.arrived:
            assert self.arrived.wait_for(lambda: info.mid in self.published, LIMIT_S), "no acknowledgement"
            return self.published[info.mid]

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


class MqttClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.admin = cls.flux.administrator()
        cls.key = cls.flux.ingest_key()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def values(self, device: str, metric: str):
        series = self.admin.get("/api/v1/query", device=device, metric=metric).json["series"]
        return [value for _, value in series[0]["points"]] if series else []

    def mosquitto_pub(self, *arguments: str) -> subprocess.CompletedProcess:
        host, port = self.flux.mqtt
        return subprocess.run(["mosquitto_pub", "-h", host, "-p", str(port), *arguments], capture_output=True, text=True, timeout=LIMIT_S)

    def test_mosquitto_pub_with_the_device_token_as_password(self):
        token = self.flux.device_token("pump-1")
        for version in ("mqttv311", "mqttv5"):
            for qos in ("0", "1"):
                done = self.mosquitto_pub("-V", version, "-q", qos, "-u", "pump-1", "-P", token, "-t", "v1/devices/pump-1/telemetry", "-m", '{"temperature":21.5}')
                self.assertEqual(done.returncode, 0, done.stderr)
        wait_until(lambda: len(self.values("pump-1", "temperature")) == 4)

    def test_the_token_may_be_the_user_name_and_the_topic_without_device(self):
        token = self.flux.device_token("pump-2")
        done = self.mosquitto_pub("-q", "1", "-u", token, "-t", "v1/telemetry", "-m", '[{"time":1767225600,"metrics":{"a":1}},{"time":1767225601,"metrics":{"a":2}}]')
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_until(lambda: self.values("pump-2", "a") == [1, 2])

    def test_an_ingest_key_reports_for_any_device(self):
        done = self.mosquitto_pub("-q", "1", "-u", "fleet", "-P", self.key, "-t", "v1/devices/truck-9/telemetry", "-m", '{"speed":88}')
        self.assertEqual(done.returncode, 0, done.stderr)
        wait_until(lambda: self.values("truck-9", "speed") == [88])

    def test_mosquitto_sub_sees_what_devices_publish(self):
        host, port = self.flux.mqtt
        listener = subprocess.Popen(["mosquitto_sub", "-h", host, "-p", str(port), "-u", "fleet", "-P", self.key, "-v", "-C", "1", "-W", "30",
                                     "-t", "v1/devices/+/telemetry"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def heard() -> bool:
            # Nothing tells from outside when the subscription stands: published again until it is heard.
            self.mosquitto_pub("-q", "1", "-u", "fleet", "-P", self.key, "-t", "v1/devices/heard-1/telemetry", "-m", '{"v":5}')
            return listener.poll() is not None

        wait_until(heard, what="mosquitto_sub to hear a message")
        said, complaint = listener.communicate()
        self.assertEqual(said.strip(), 'v1/devices/heard-1/telemetry {"v":5}', complaint)

    def test_a_wrong_credential_is_refused_with_the_reason(self):
        done = self.mosquitto_pub("-V", "mqttv311", "-q", "1", "-u", "pump-1", "-P", "nonsense", "-t", "v1/telemetry", "-m", "{}")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("bad user name or password", done.stderr.lower())
        client = Client(self.flux.mqtt, "pump-1", "nonsense", paho.MQTTv5)
        self.assertTrue(client.connected.wait(LIMIT_S))
        self.assertIn(client.code.value, (0x86, 0x87), client.code)
        client.close()

    def test_version_5_says_why_a_payload_was_refused_and_stays(self):
        token = self.flux.device_token("pump-5")
        client = Client(self.flux.mqtt, "pump-5", token, paho.MQTTv5)
        self.assertTrue(client.connected.wait(LIMIT_S))
        code, properties = client.publish("v1/telemetry", b"{nonsense")
        self.assertEqual(code.value, 0x99)
        self.assertTrue(properties.ReasonString)
        code, _ = client.publish("v1/devices/other/telemetry", {"a": 1})
        self.assertEqual(code.value, 0x87)
        code, _ = client.publish("v2/elsewhere", {"a": 1})
        self.assertEqual(code.value, 0x87)
        code, _ = client.publish("v1/telemetry", {"a": 1})
        self.assertEqual(code.value, 0)
        self.assertFalse(client.disconnected.is_set())
        client.close()
        wait_until(lambda: self.values("pump-5", "a") == [1])

    def test_version_3_survives_a_bad_payload(self):
        token = self.flux.device_token("pump-3")
        client = Client(self.flux.mqtt, "pump-3", token)
        self.assertTrue(client.connected.wait(LIMIT_S))
        client.publish("v1/telemetry", b"\xff\xfe")
        client.publish("v1/telemetry", {"a": 7})
        self.assertFalse(client.disconnected.is_set())
        client.close()
        wait_until(lambda: self.values("pump-3", "a") == [7])

    def test_many_in_flight_are_all_kept_once(self):
        client = Client(self.flux.mqtt, "fleet", self.key)
        self.assertTrue(client.connected.wait(LIMIT_S))
        infos = [client.client.publish("v1/devices/flood/telemetry", json.dumps({"time": 1767225600 + i, "metrics": {"v": i}}), 1) for i in range(2000)]
        for info in infos:
            info.wait_for_publish(LIMIT_S)
        client.close()
        wait_until(lambda: self.values("flood", "v") == list(range(2000)))

    def test_the_device_shows_as_connected(self):
        token = self.flux.device_token("pump-6")
        client = Client(self.flux.mqtt, "pump-6", token)
        self.assertTrue(client.connected.wait(LIMIT_S))
        wait_until(lambda: self.admin.get("/api/v1/devices/pump-6").json["connected"])
        client.close()
        wait_until(lambda: not self.admin.get("/api/v1/devices/pump-6").json["connected"])

    def test_revoking_the_token_ends_the_connection(self):
        token = self.flux.device_token("pump-8")
        client = Client(self.flux.mqtt, "pump-8", token, paho.MQTTv5)
        self.assertTrue(client.connected.wait(LIMIT_S))
        for credential in self.admin.get("/api/v1/devices/pump-8/credentials").json["credentials"]:
            self.assertEqual(self.admin.delete(f"/api/v1/devices/pump-8/credentials/{credential['id']}").status, 204)
        self.assertTrue(client.disconnected.wait(LIMIT_S))
        client.close()


if __name__ == "__main__":
    unittest.main()
