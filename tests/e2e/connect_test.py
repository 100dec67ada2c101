"""Connecting a device: each line to copy works as it is, and the trace says what happened or exactly why not."""

import os
import socket
import subprocess
import sys
import unittest

from e2e.harness import LIMIT_S, Fluxgate, wait_until
from e2e.websocket import WebSocket

API = "/api/v1"


def shell(line: str) -> subprocess.CompletedProcess:
    """As pasted into a shell where `python3` has paho."""
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    return subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=LIMIT_S, env=os.environ | {"PATH": path})


class Lines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.admin = cls.flux.administrator()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def test_each_line_brings_a_reading_as_it_is(self):
        names = ["pump-1", "O'Neill \"west\" $HOME", "Pümpe ☃ 𝄞 `x`", r"back\slash", "-n"]
        tried = set()
        for name in names:
            made = self.admin.post(f"{API}/connect", {"device": name})
            self.assertEqual(made.status, 201, made)
            for snippet in made.json["snippets"]:
                with self.subTest(f"{snippet['name']}: {name}"):
                    before = self.count(name)
                    done = shell(snippet["text"])
                    self.assertEqual(done.returncode, 0, done)
                    if snippet["protocol"] == "http":
                        self.assertEqual(done.stdout, '{"accepted":1}', done)
                    wait_until(lambda: self.count(name) == before + 1, what="the reading")
                    self.assertIn(made.json["credential"]["token"], snippet["text"])
                    tried.add(snippet["name"])
        self.assertEqual(tried, {"mosquitto_pub", "curl", "Python"})

    def test_a_line_with_a_wrong_token_fails_and_says_so(self):
        made = self.admin.post(f"{API}/connect", {"device": "typo"}).json
        token = made["credential"]["token"]
        for snippet in made["snippets"]:
            done = shell(snippet["text"].replace(token, token[:-1]))
            said = (done.stdout + done.stderr).lower()
            with self.subTest(snippet["name"]):
                self.assertTrue("mistyped or cut" in said or "bad user name or password" in said or "not authori" in said, done)

    def count(self, device: str) -> int:
        series = self.admin.get(f"{API}/query", device=device, metric="temperature").json["series"]
        return len(series[0]["points"]) if series else 0


class Trace(unittest.TestCase):
    """What the pane of a device shows, from its live connection."""

    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.admin = cls.flux.administrator()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def watch(self, device: str) -> str:
        """Makes a device and watches it. Its token."""
        token = self.flux.device_token(device)
        self.live = WebSocket(self.flux.http, f"{API}/live", self.admin.headers)
        self.addCleanup(self.live.close)
        self.live.send({"op": "subscribe", "id": 1, "trace": device})
        self.live.until(lambda message: message["op"] == "subscribed")
        self.seen: list[dict] = []
        return token

    def until(self, stage: str, ok: bool, words: str) -> dict:
        def look(message):
            event = message.get("event", {}) if message["op"] == "trace" else {}
            if event:
                self.seen.append(event)
                self.assertNotRegex(event["message"], r"fg[dk]_\w{6}", "a secret was shown")
            return (event.get("stage"), event.get("ok")) == (stage, ok) and words in event["message"] and event

        return self.live.until(look)

    def publish(self, *arguments: str, version: str = "mqttv5") -> subprocess.CompletedProcess:
        host, port = self.flux.mqtt
        return subprocess.run(["mosquitto_pub", "-h", host, "-p", str(port), "-V", version, "-q", "1", *arguments],
                              capture_output=True, text=True, timeout=LIMIT_S)

    def curl(self, body: str, *arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(["curl", "-s", f"http://{self.flux.http}{API}/telemetry", "-d", body, *arguments], capture_output=True, text=True, timeout=LIMIT_S)

    def test_mqtt_from_a_wrong_password_to_the_first_reading(self):
        token = self.watch("pump-1")
        topic = "v1/devices/pump-1/telemetry"
        self.publish("-u", "pump-1", "-P", "hunter2", "-t", topic, "-m", "{}", version="mqttv311")
        peer = self.until("connect", True, "connected with MQTT 3.1.1")["peer"]
        self.assertRegex(peer, r"^127\.0\.0\.1:\d+$")
        self.until("auth", False, "credential refused: neither password nor user name is a device token (fgd_…)")
        self.publish("-u", "pump-1", "-P", token[:-1], "-t", topic, "-m", "{}")
        self.until("connect", True, "connected with MQTT 5")
        self.until("auth", False, "credential refused: the credential was mistyped or cut")
        # Sent without the device's name: the client identifier tells.
        self.publish("-i", "pump-1", "-u", "x", "-P", "y", "-t", topic, "-m", "{}")
        self.until("auth", False, "credential refused")

        self.publish("-u", "pump-1", "-P", token, "-t", "v1/elsewhere", "-m", '{"temperature":1}')
        self.until("auth", True, "its device token is valid")
        self.until("publish", False, "topic 'v1/elsewhere' takes no readings: publish to v1/devices/{device}/telemetry")
        self.publish("-u", "pump-1", "-P", token, "-t", topic, "-m", '{"temperature":}')
        self.until("parse", False, "not JSON at byte offset 15")
        self.publish("-u", "pump-1", "-P", token, "-t", topic, "-m", '{"temperature":21.5}')
        self.until("connect", True, "connected with MQTT 5")
        self.until("auth", True, "its device token is valid")
        self.until("publish", True, "PUBLISH to v1/devices/pump-1/telemetry, 20 bytes, QoS 1")
        self.until("reading", True, "first reading: 1 value taken")

    def test_http_from_a_wrong_token_to_the_first_reading(self):
        token = self.watch("pump-2")
        body = '{"device":"pump-2","metrics":{"temperature":21.5}}'
        done = self.curl(body, "-H", "Authorization: Bearer fgd_nonsense")
        self.assertIn("mistyped or cut", done.stdout)
        self.until("connect", True, "connected with HTTP/1.1")
        self.until("auth", False, "credential refused: the credential was mistyped or cut")
        self.curl("{}", "-u", "pump-2:wrong")
        self.until("auth", False, "credential refused: neither password nor user name")
        self.curl('{"device":"pump-2","metrics":{"temperature":}}', "-H", f"Authorization: Bearer {token}")
        self.until("connect", True, "connected with HTTP/1.1")
        self.until("auth", True, "its device token is valid")
        self.until("parse", False, "not JSON at byte offset 44")
        self.curl(body, "-H", f"Authorization: Token {token}")
        self.until("connect", True, "connected with HTTP/1.1")
        self.until("auth", True, "its device token is valid")
        self.until("reading", True, "1 values taken by POST /api/v1/telemetry")

    def test_a_revoked_token_and_that_of_another_device(self):
        other = self.flux.device_token("pump-4")
        token = self.watch("pump-3")
        path = f"{API}/devices/pump-3/credentials"
        self.assertEqual(self.admin.delete(f"{path}/{self.admin.get(path).json['credentials'][0]['id']}").status, 204)
        # Whose it was is known: no name is needed.
        self.publish("-u", token, "-t", "v1/telemetry", "-m", "{}")
        self.until("auth", False, "credential refused: the device token was revoked at 20")
        self.curl("{}", "-H", f"Authorization: Bearer {token}")
        self.until("auth", False, "credential refused: the device token was revoked at 20")
        self.publish("-u", "pump-3", "-P", other, "-t", "v1/devices/pump-3/telemetry", "-m", '{"a":1}')
        self.until("auth", False, "the credential is the token of device `pump-4`, not of `pump-3`")
        self.curl('{"device":"pump-3","metrics":{"a":1}}', "-H", f"Authorization: Bearer {other}")
        self.until("auth", False, "the credential is the token of device `pump-4`, not of `pump-3`")

    def test_what_is_no_mqtt_and_whoever_names_nobody(self):
        self.watch("pump-5")
        with socket.create_connection(self.flux.mqtt, timeout=LIMIT_S) as stranger:
            stranger.sendall(b"\x10\x0c\x00\x04MQTX\x04\x02\x00\x3c\x00\x00")
            self.assertEqual(stranger.makefile("rb").read(), b"\x20\x02\x00\x01", "an unacceptable protocol version, and the end")
        event = self.until("connect", False, "malformed CONNECT")
        self.assertTrue(event["detail"]["unnamed"])
        self.publish("-u", "nobody-we-know", "-P", "x", "-t", "v1/telemetry", "-m", "{}")
        self.assertTrue(self.until("auth", False, "credential refused")["detail"]["unnamed"])

    def test_who_comes_later_sees_what_was_refused_before(self):
        self.flux.device_token("pump-6")
        self.publish("-u", "pump-6", "-P", "wrong", "-t", "v1/telemetry", "-m", "{}")
        self.watch("pump-6")
        self.until("auth", False, "credential refused")


if __name__ == "__main__":
    unittest.main()
