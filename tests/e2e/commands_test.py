"""Commands reach devices once they say so: queued, sent, delivered, answered; through crashes, with paho as the device."""

import json
import queue
import subprocess
import threading
import unittest

import paho.mqtt.client as paho
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from e2e.harness import BINARY, LIMIT_S, Fluxgate, wait_until
from e2e.websocket import WebSocket

VERSIONS = ((paho.MQTTv311, "3.1.1"), (paho.MQTTv5, "5"))


class Device:
    """A device with a paho client. `acknowledge=False` keeps its PUBACKs to itself: what comes is noted, no more."""

    def __init__(self, flux: Fluxgate, device: str, token: str, version=paho.MQTTv311, topic: str = "v1/commands", acknowledge: bool = True,
                 qos: int = 1, receive_maximum: int | None = None):
        self.device = device
        self.messages: queue.Queue = queue.Queue()
        self.granted = None
        self.ready = threading.Event()
        self.answered: dict[int, object] = {}
        self.changed = threading.Condition()
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"{device}-client", protocol=version, manual_ack=not acknowledge)
        self.client.username_pw_set(device, token)
        self.topic, self.qos, self.version = topic, qos, version
        self.client.on_connect = lambda client, *_: client.subscribe(self.topic, self.qos)
        self.client.on_subscribe = self._on_subscribe
        self.client.on_message = lambda client, data, message: self.messages.put(message)
        self.client.on_publish = self._on_publish
        properties = None
        if receive_maximum is not None:
            properties = Properties(PacketTypes.CONNECT)
            properties.ReceiveMaximum = receive_maximum
        self.client.connect(*flux.mqtt, keepalive=30, **({"properties": properties} if properties else {}))
        self.client.loop_start()
        assert self.ready.wait(LIMIT_S), "no SUBACK"

    def _on_subscribe(self, client, data, mid, codes, properties):
        self.granted = codes[0].value
        self.ready.set()

    def _on_publish(self, client, data, mid, code, properties):
        with self.changed:
            self.answered[mid] = (code, properties)
            self.changed.notify_all()

    def next(self):
        """The next command: its message, and what it says."""
        message = self.messages.get(timeout=LIMIT_S)
        return message, json.loads(message.payload)

    def acknowledge(self, message) -> None:
        self.client.ack(message.mid, message.qos)

    def answer(self, command: str, body, topic: str | None = None, properties=None):
        info = self.client.publish(topic or f"v1/commands/{command}/response", json.dumps(body), 1, properties=properties)
        with self.changed:
            assert self.changed.wait_for(lambda: info.mid in self.answered, LIMIT_S), "no acknowledgement"
            return self.answered[info.mid]

    def vanish(self) -> None:
        """The connection breaks, without a DISCONNECT."""
        self.client.loop_stop()
        sock = self.client.socket()
        if sock:
            sock.close()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Commands(unittest.TestCase):
    def setUp(self):
        self.flux = Fluxgate()
        self.addCleanup(self.flux.__exit__, None, None, None)
        self.api = self.flux.administrator()

    def send(self, device, name: str = "start", **more) -> str:
        answer = self.api.post("/api/v1/commands", {"device": device, "name": name, **more})
        self.assertEqual(answer.status, 202, answer)
        return answer.json["commands"][0]["id"]

    def get(self, command: str) -> dict:
        answer = self.api.get(f"/api/v1/commands/{command}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def reach(self, command: str, state: str) -> dict:
        seen: dict = {}

        def there() -> bool:
            seen.update(self.get(command))
            return seen["state"] == state
        try:
            wait_until(there, what=f"command to be {state}")
        except AssertionError as error:
            raise AssertionError(f"{error}; it is {seen}") from None
        return seen

    def test_a_command_is_delivered_on_the_puback_and_succeeds_on_the_answer(self):
        for version, name in VERSIONS:
            with self.subTest(version=name):
                device = f"pump-{name}"
                pump = Device(self.flux, device, self.flux.device_token(device), version, acknowledge=False)
                self.assertEqual(pump.granted, 1)
                command = self.send(device, "set_speed", payload={"rpm": 1200})
                message, said = pump.next()
                self.assertEqual((message.topic, message.qos, bool(message.dup)), ("v1/commands", 1, False))
                self.assertEqual((said["id"], said["name"], said["payload"]), (command, "set_speed", {"rpm": 1200}))
                self.assertEqual(said["expires"], self.get(command)["expires_at"])
                self.assertEqual(self.get(command)["state"], "sent", "nothing says yet that it has arrived")
                pump.acknowledge(message)
                self.assertIsNotNone(self.reach(command, "delivered")["delivered_at"])
                properties = None
                if version == paho.MQTTv5:
                    self.assertEqual(message.properties.ResponseTopic, f"v1/commands/{command}/response")
                    self.assertEqual(message.properties.CorrelationData, command.encode())
                    self.assertGreater(message.properties.MessageExpiryInterval, 200)
                    properties = Properties(PacketTypes.PUBLISH)
                    properties.CorrelationData = message.properties.CorrelationData
                pump.answer(command, {"status": "succeeded", "result": {"rpm": 1200}}, properties=properties)
                done = self.get(command)  # the PUBACK of the answer says that it is kept
                self.assertEqual((done["state"], done["finished"], done["result"]), ("succeeded", True, {"rpm": 1200}))
                self.assertEqual((done["sender"], done["deliveries"], done["reason"]), ("admin", 1, None))
                pump.close()

    def test_a_device_that_cannot_says_why(self):
        pump = Device(self.flux, "pump-1", self.flux.device_token("pump-1"), topic="v1/devices/pump-1/commands")
        command = self.send("pump-1")
        message, _ = pump.next()
        self.assertEqual(message.topic, "v1/devices/pump-1/commands")
        pump.answer(command, {"status": "failed", "reason": "the valve is closed"}, topic=f"v1/devices/pump-1/commands/{command}/response")
        done = self.get(command)
        self.assertEqual((done["state"], done["reason"]), ("failed", "the valve is closed"))
        pump.close()

    def test_without_a_wanted_response_delivered_is_the_end(self):
        pump = Device(self.flux, "pump-1", self.flux.device_token("pump-1"))
        command = self.send("pump-1", response=False)
        done = self.reach(command, "delivered")
        self.assertTrue(done["finished"])
        pump.close()

    def test_a_sleepy_device_gets_what_waits_in_order_and_one_at_a_time(self):
        token = self.flux.device_token("pump-1")
        commands = [self.send("pump-1", f"step-{i}", ttl="1h") for i in range(5)]
        self.assertEqual({self.get(c)["state"] for c in commands}, {"queued"})
        pump = Device(self.flux, "pump-1", token, paho.MQTTv5, acknowledge=False, receive_maximum=1)
        for i, command in enumerate(commands):
            message, said = pump.next()
            self.assertEqual((said["id"], said["name"]), (command, f"step-{i}"))
            self.assertTrue(pump.messages.empty(), "one at a time")
            if i + 1 < len(commands):
                self.assertEqual(self.get(commands[i + 1])["state"], "queued")
            pump.acknowledge(message)
        self.reach(commands[-1], "delivered")
        pump.close()

    def test_kill_9_between_send_and_puback_delivers_the_same_command_again(self):
        for version, name in VERSIONS:
            with self.subTest(version=name):
                device = f"pump-{name}"
                token = self.flux.device_token(device)
                pump = Device(self.flux, device, token, version, acknowledge=False)
                first, second = self.send(device, "first", ttl="1h"), self.send(device, "second", ttl="1h")
                message, said = pump.next()
                self.assertEqual((said["id"], bool(message.dup)), (first, False))
                self.flux.kill()
                pump.vanish()
                self.flux.start()
                self.api = self.flux.administrator()
                self.assertEqual((self.get(first)["state"], self.get(second)["state"]), ("sent", "queued"))
                pump = Device(self.flux, device, token, version)
                message, said = pump.next()
                self.assertEqual((said["id"], bool(message.dup)), (first, True))
                message, said = pump.next()
                self.assertEqual((said["id"], bool(message.dup)), (second, False))
                self.assertEqual(self.reach(first, "delivered")["deliveries"], 2)
                # Delivered before the crash, answered after it.
                self.reach(second, "delivered")
                self.flux.kill()
                pump.vanish()
                self.flux.start()
                self.api = self.flux.administrator()
                pump = Device(self.flux, device, token, version)
                pump.answer(second, {"status": "succeeded"})
                self.assertEqual(self.get(second)["state"], "succeeded")
                pump.answer(first, {"status": "succeeded"})
                self.assertEqual(self.get(first)["state"], "succeeded")
                self.assertTrue(pump.messages.empty(), "what was delivered does not come again")
                pump.close()

    def test_a_lost_connection_is_no_delivery(self):
        token = self.flux.device_token("pump-1")
        pump = Device(self.flux, "pump-1", token, acknowledge=False)
        command = self.send("pump-1")
        pump.next()
        pump.vanish()
        wait_until(lambda: not self.api.get("/api/v1/devices/pump-1").json["connected"])
        self.assertEqual(self.get(command)["state"], "sent")
        pump = Device(self.flux, "pump-1", token)
        message, said = pump.next()
        self.assertEqual((said["id"], bool(message.dup)), (command, True))
        self.reach(command, "delivered")
        pump.close()

    def test_time_runs_out_also_while_nobody_runs(self):
        token = self.flux.device_token("pump-1")
        short, long = self.send("pump-1", "short", ttl="1s"), self.send("pump-1", "long", ttl="1h")
        gone = self.reach(short, "expired")
        self.assertEqual(gone["reason"], "its time was over before the device came for it")
        another = self.send("pump-1", "another", ttl="1s")
        self.flux.kill()
        self.flux.start()
        self.api = self.flux.administrator()
        self.reach(another, "expired")
        pump = Device(self.flux, "pump-1", token)
        _, said = pump.next()
        self.assertEqual(said["id"], long, "what expired is not sent")
        silent = self.send("pump-1", "silent", ttl="1s")
        self.assertEqual(self.reach(silent, "expired")["reason"], "its time was over; the device has it and did not answer")
        # It answers when it is too late: noted, and expired all the same.
        pump.answer(silent, {"status": "succeeded", "result": 1})
        late = self.get(silent)
        self.assertEqual((late["state"], late["result"]), ("expired", 1))
        self.assertIn("it answered afterwards: succeeded", late["reason"])
        pump.close()

    def test_what_is_queued_can_be_cancelled_and_nothing_else(self):
        token = self.flux.device_token("pump-1")
        first, second = self.send("pump-1", "first"), self.send("pump-1", "second")
        answer = self.api.post(f"/api/v1/commands/{first}/cancel")
        self.assertEqual((answer.status, answer.json["state"], answer.json["reason"]), (200, "cancelled", "cancelled by admin"))
        pump = Device(self.flux, "pump-1", token, acknowledge=False)
        message, said = pump.next()
        self.assertEqual(said["id"], second)
        refused = self.api.post(f"/api/v1/commands/{second}/cancel")
        self.assertEqual(refused.status, 409)
        self.assertIn("the device may have it", refused.json["error"]["message"])
        self.assertEqual(self.api.post(f"/api/v1/commands/{first}/cancel").status, 409)
        self.assertEqual(self.api.post("/api/v1/commands/nonsense/cancel").status, 404)
        pump.close()

    def test_a_device_sees_its_own_tree_only(self):
        mine, other = self.flux.device_token("pump-1"), self.flux.device_token("pump-2")
        spy = Device(self.flux, "pump-2", other, paho.MQTTv5, topic="v1/devices/pump-1/commands")
        self.assertEqual(spy.granted, 0x87)
        command = self.send("pump-1")
        code, properties = spy.answer(command, {"status": "succeeded"}, topic=f"v1/devices/pump-1/commands/{command}/response")
        self.assertEqual(code.value, 0x87)
        code, properties = spy.answer(command, {"status": "succeeded"})
        self.assertEqual((code.value, properties.ReasonString), (0x90, f"no command `{command}` was sent to device `pump-2`"))
        self.assertEqual(self.get(command)["state"], "queued")
        pump = Device(self.flux, "pump-1", mine, paho.MQTTv5)
        pump.next()
        code, properties = pump.answer(command, {"status": "done"})
        self.assertEqual((code.value, properties.ReasonString), (0x99, "status: expected succeeded or failed"))
        self.assertTrue(spy.messages.empty())
        pump.answer(command, {"status": "succeeded"})
        self.assertEqual(self.get(command)["state"], "succeeded")
        code, properties = pump.answer(command, {"status": "failed"})
        self.assertEqual(code.value, 0x83)
        pump.close()
        spy.close()

    def test_a_key_steers_its_devices_one_by_one(self):
        key = self.flux.ingest_key()
        self.flux.device_token("pump-1")
        gateway = Device(self.flux, "gateway", key, paho.MQTTv5, topic="v1/devices/pump-1/commands")
        self.assertEqual(gateway.granted, 1)
        command = self.send("pump-1")
        gateway.next()
        gateway.answer(command, {"status": "succeeded"}, topic=f"v1/devices/pump-1/commands/{command}/response")
        self.assertEqual(self.get(command)["state"], "succeeded")
        nobody = Device(self.flux, "gateway-2", key, paho.MQTTv5)
        self.assertEqual(nobody.granted, 0x8F)
        nobody.close()
        gateway.close()

    def test_qos_0_says_nothing_until_the_device_answers(self):
        pump = Device(self.flux, "pump-1", self.flux.device_token("pump-1"), qos=0)
        self.assertEqual(pump.granted, 0)
        command = self.send("pump-1")
        pump.next()
        self.assertEqual(self.get(command)["state"], "sent")
        pump.answer(command, {"status": "succeeded"})
        self.assertEqual(self.get(command)["state"], "succeeded")
        pump.close()

    def test_many_devices_get_one_command_each_and_a_key_makes_it_once(self):
        for device in ("a", "b", "c"):
            self.flux.device_token(device)
        body = {"devices": ["a", "b", "c"], "name": "reboot", "key": "night-1"}
        first = self.api.post("/api/v1/commands", body)
        self.assertEqual(first.status, 202)
        made = [(c["device"], c["id"]) for c in first.json["commands"]]
        self.assertEqual([device for device, _ in made], ["a", "b", "c"])
        again = self.api.post("/api/v1/commands", body)
        self.assertEqual([(c["device"], c["id"]) for c in again.json["commands"]], made)
        other = self.api.post("/api/v1/commands", {**body, "name": "stop"})
        self.assertEqual((other.status, other.json["error"]["field"]), (409, "key"))
        listed = self.api.get("/api/v1/commands", limit=2).json
        self.assertEqual([c["device"] for c in listed["commands"]], ["c", "b"])
        rest = self.api.get("/api/v1/commands", limit=2, cursor=listed["next"]).json
        self.assertEqual(([c["device"] for c in rest["commands"]], rest["next"]), (["a"], None))
        self.assertEqual(len(self.api.get("/api/v1/commands", device="b", state="queued").json["commands"]), 1)
        self.assertEqual(self.api.get("/api/v1/commands", state="succeeded").json["commands"], [])

    def test_bad_requests_name_the_field(self):
        self.flux.device_token("pump-1")
        good = {"device": "pump-1", "name": "start"}
        for change, status, field in (
                ({"device": "nobody"}, 404, "device"), ({"device": 7}, 400, "device"), ({"name": None}, 400, "name"), ({"name": ""}, 400, "name"),
                ({"ttl": "soon"}, 400, "ttl"), ({"ttl": "0s"}, 400, "ttl"), ({"ttl": "400d"}, 400, "ttl"), ({"response": "yes"}, 400, "response"),
                ({"payload": "x" * 70_000}, 413, "payload"), ({"devices": ["pump-1"]}, 400, "devices"), ({"nmae": "x"}, 400, "nmae")):
            answer = self.api.post("/api/v1/commands", good | change)
            self.assertEqual((answer.status, answer.json["error"].get("field")), (status, field), (change, answer))
        deep = self.api.post("/api/v1/commands", '{"device":"pump-1","name":"x","payload":' + "[" * 200_000 + "]" * 200_000 + "}",
                             headers={"Content-Type": "application/json"})
        self.assertEqual(deep.status, 400)
        for device, field in (({"devices": ["pump-1", "nobody"]}, "devices[1]"), ({"devices": []}, "devices"), ({"devices": ["pump-1", "pump-1"]}, "devices[1]")):
            answer = self.api.post("/api/v1/commands", {"name": "start", **device})
            self.assertEqual(answer.json["error"].get("field"), field, answer)
        self.assertEqual(self.api.get("/api/v1/commands").json["commands"], [], "none of these left anything")
        self.assertEqual(self.flux.sender().post("/api/v1/commands", good).status, 403)
        self.assertEqual(self.flux.anonymous().post("/api/v1/commands", good).status, 401)

    def test_what_waits_for_a_deleted_device_is_cancelled(self):
        self.flux.device_token("pump-1")
        command = self.send("pump-1", ttl="1h")
        self.assertEqual(self.api.delete("/api/v1/devices/pump-1").status, 204)
        self.assertEqual(self.reach(command, "cancelled")["reason"], "the device was deleted")

    def test_live_subscribers_of_events_see_each_step(self):
        pump = Device(self.flux, "pump-1", self.flux.device_token("pump-1"), acknowledge=False)
        live = WebSocket(self.flux.http, "/api/v1/live", self.api.headers)
        self.addCleanup(live.close)
        live.send({"op": "subscribe", "id": 1, "events": True})
        self.assertEqual(live.receive()["op"], "subscribed")

        def step() -> str:
            while True:
                said = live.receive()
                if said["op"] == "event" and said["event"]["type"] == "command":
                    self.assertEqual(said["event"]["details"]["id"], command)
                    return said["event"]["details"]["state"]

        command = self.send("pump-1")
        self.assertEqual([step(), step()], ["queued", "sent"])
        message, _ = pump.next()
        pump.acknowledge(message)
        self.assertEqual(step(), "delivered")
        pump.answer(command, {"status": "succeeded"})
        self.assertEqual(step(), "succeeded")
        pump.close()

    def test_the_command_line_prints_the_states_as_they_come(self):
        pump = Device(self.flux, "pump-1", self.flux.device_token("pump-1"), acknowledge=False)
        command = subprocess.Popen([BINARY, "command", "send", "pump-1", "set_speed", '{"rpm":1200}', "--data-dir", self.flux.data_dir],
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        message, said = pump.next()
        self.assertEqual(said["payload"], {"rpm": 1200})
        lines = iter(command.stdout.readline, "")
        seen = next(line.split()[0] for line in lines if not line.startswith("queued"))  # it may have been sent before the first look
        self.assertEqual(seen, "sent")
        pump.acknowledge(message)
        self.assertEqual(next(lines).split()[0], "delivered")
        pump.answer(said["id"], {"status": "succeeded", "result": {"rpm": 1200}})
        self.assertRegex(next(lines), r'^succeeded +\S+Z  {"rpm":1200}$')
        self.assertEqual(command.wait(LIMIT_S), 0)
        command.stdout.close()
        wrong = subprocess.run([BINARY, "command", "send", "nobody", "go", "--data-dir", self.flux.data_dir], capture_output=True, text=True, timeout=LIMIT_S)
        self.assertEqual((wrong.returncode, wrong.stderr.strip()), (1, "fluxgate: device: there is no device `nobody`"))
        pump.close()

    def test_metrics_count_them(self):
        self.flux.device_token("pump-1")
        self.send("pump-1", ttl="1h")
        self.reach(self.send("pump-1", ttl="1s"), "expired")
        text = self.api.get("/metrics").body.decode()
        self.assertIn('fluxgate_control_commands{state="queued"} 1\n', text)
        self.assertIn('fluxgate_control_finished_total{state="expired"} 1\n', text)
        self.assertIn("fluxgate_control_in_flight 0\n", text)


if __name__ == "__main__":
    unittest.main()
