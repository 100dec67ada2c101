"""Live readings: over server-sent events and WebSocket, and what a slow reader gets."""

import threading
import unittest

from e2e.harness import Api, Fluxgate, read_events, wait_until
from e2e.websocket import WebSocket


class Live(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.admin = cls.flux.administrator()
        cls.sender = cls.flux.sender()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def socket(self) -> WebSocket:
        return WebSocket(self.flux.http, "/api/v1/live", self.admin.headers)

    def send_reading(self, device: str, value: float, metric: str = "v") -> None:
        sender = Api(self.flux.http, self.sender.headers)
        answer = sender.post("/api/v1/telemetry", {"device": device, "metrics": {metric: value}})
        self.assertEqual(answer.status, 200, answer)
        sender.close()

    def test_server_sent_events(self):
        stop = threading.Event()

        def keep_sending():
            value = 0
            while not stop.wait(0.02):
                value += 1
                self.send_reading("sse-1", value)

        thread = threading.Thread(target=keep_sending, daemon=True)
        thread.start()
        try:
            found = read_events(self.admin, "/api/v1/live/sse", lambda name, data: name == "data" and data, device="sse-1", epoch="ms")
        finally:
            stop.set()
            thread.join()
        self.assertEqual(found[0]["device"], "sse-1")
        self.assertIsInstance(found[0]["metrics"]["v"][0][0], int)

    def test_a_websocket_sees_what_it_asked_for_and_nothing_else(self):
        live = self.socket()
        self.assertEqual(live.status, 101)
        live.send({"op": "subscribe", "id": 1, "devices": ["ws-1"], "metrics": ["wanted"]})
        self.assertEqual(live.receive(), {"op": "subscribed", "id": 1})
        self.send_reading("ws-2", 1, "wanted")
        self.send_reading("ws-1", 2, "other")
        self.send_reading("ws-1", 3, "wanted")
        found = live.until(lambda message: message["op"] == "data" and message)
        self.assertEqual(found["id"], 1)
        self.assertEqual([(series["device"], list(series["metrics"])) for series in found["data"]], [("ws-1", ["wanted"])])
        self.assertEqual(found["data"][0]["metrics"]["wanted"][0][1], 3)
        live.close()

    def test_measurements_can_be_chosen(self):
        live = self.socket()
        live.send({"op": "subscribe", "id": 1, "devices": ["measured"], "measurements": ["vibration"]})
        live.send({"op": "subscribe", "id": 2, "devices": ["measured"], "measurements": ["vibration", "telemetry"], "epoch": "ms"})
        self.assertEqual([live.receive()["id"] for _ in range(2)], [1, 2])
        self.send_reading("measured", 1)
        found = live.until(lambda message: message["op"] == "data" and message)
        self.assertEqual(found["id"], 2)
        self.assertEqual([list(item) for item in found["data"]], [["device", "metrics"]], "plain readings are as they were")
        live.send({"op": "subscribe", "id": 3, "measurements": "vibration"})
        refused = live.until(lambda message: message["op"] == "error" and message)
        self.assertEqual(refused["error"]["field"], "measurements")
        live.close()

    def test_server_sent_events_of_a_measurement(self):
        selection = {"device": "measured-2", "measurement": ["telemetry", "other"]}
        reader = threading.Thread(target=read_events, args=(self.admin, "/api/v1/live/sse", lambda name, data: data), kwargs=selection)
        reader.start()
        wait_until(lambda: self.send_reading("measured-2", 1) or not reader.is_alive(), what="an event")
        reader.join()

    def test_an_ended_session_ends_its_connection_with_a_code_of_its_own(self):
        with Fluxgate() as flux:
            admin = flux.administrator()
            live = WebSocket(flux.http, "/api/v1/live", admin.headers)
            live.send({"op": "ping"})
            self.assertEqual(live.receive()["op"], "pong")
            self.assertLess(admin.post("/api/v1/auth/logout").status, 300)
            live.send({"op": "ping"})
            self.assertIsNone(live.receive())
            self.assertEqual(live.close_code, 4401)
            live.close()

    def test_a_snapshot_comes_first(self):
        self.send_reading("snap", 41)
        wait_until(lambda: self.admin.get("/api/v1/devices/snap/latest").json["metrics"])
        live = self.socket()
        live.send({"op": "subscribe", "id": 5, "devices": ["snap"], "snapshot": True})
        found = live.until(lambda message: message["op"] == "data" and message)
        self.assertEqual(found["data"][0]["metrics"]["v"][0][1], 41)
        live.close()

    def test_the_trace_of_a_device_shows_why_it_was_refused(self):
        live = self.socket()
        live.send({"op": "subscribe", "id": 2, "trace": "trace-1"})
        live.receive()
        token = self.flux.device_token("trace-1")
        api = Api(self.flux.http, {"Authorization": f"Bearer {token}"})
        api.post("/api/v1/telemetry", b'{"device":"trace-1","metrics":{"v":}}', headers={"Content-Type": "application/json"})
        refused = live.until(lambda message: message["op"] == "trace" and not message["event"]["ok"] and message["event"])
        self.assertEqual(refused["protocol"], "http")
        self.assertTrue(refused["message"])
        api.post("/api/v1/telemetry", {"device": "trace-1", "metrics": {"v": 1}})
        live.until(lambda message: message["op"] == "trace" and message["event"]["ok"] and message["event"]["stage"] == "reading")
        live.close()

    def test_a_device_that_falls_silent_is_shown(self):
        self.admin.post("/api/v1/profiles", {"profile": "hasty", "silent_after": "1s"})
        self.assertEqual(self.admin.post("/api/v1/devices", {"device": "hasty-1", "profile": "hasty"}).status, 201)
        live = self.socket()
        live.send({"op": "subscribe", "id": 3, "devices": ["hasty-1"]})
        live.receive()
        self.send_reading("hasty-1", 1)
        live.until(lambda message: message["op"] == "state" and message["state"] == "online")
        live.until(lambda message: message["op"] == "state" and message["state"] == "silent")
        events = wait_until(lambda: [e for e in self.admin.get("/api/v1/events", device="hasty-1", type="device_silent").json["events"]])
        self.assertEqual(len(events), 1)
        live.close()

    def test_nonsense_is_answered_and_the_connection_stays(self):
        live = self.socket()
        for message, field in [({"op": "dance"}, "op"), ({"op": "subscribe"}, "id"), ({"op": "subscribe", "id": 1, "colour": "red"}, "colour"),
                               ({"op": "subscribe", "id": 1, "interval": "soon"}, "interval"),
                               ({"op": "subscribe", "id": 1, "interval": "-5s"}, "interval")]:
            live.send(message)
            answer = live.receive()
            self.assertEqual(answer["op"], "error")
            self.assertEqual(answer["error"]["field"], field)
        live.send(b"{")
        self.assertEqual(live.receive()["op"], "error")
        live.send({"op": "ping"})
        self.assertEqual(live.receive()["op"], "pong")
        live.close()

    def test_pages_of_other_servers_are_kept_out(self):
        cookie = {"Cookie": self.admin.headers["Cookie"], "Origin": "http://evil.example"}
        self.assertEqual(WebSocket(self.flux.http, "/api/v1/live", cookie).status, 403)
        self.assertEqual(WebSocket(self.flux.http, "/api/v1/live", {}).status, 401)


if __name__ == "__main__":
    unittest.main()
