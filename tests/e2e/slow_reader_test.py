"""Live readers that stop reading: what they cost the server, and what they get when they go on."""

import http.client
import json
import threading
import unittest
import urllib.parse

from e2e.harness import Api, Fluxgate, wait_until
from e2e.websocket import WebSocket, connected

READERS = 15  # of each kind; each selects in a way of its own, so that no two share what is made for them
DEVICES = [f"slow-{i}" for i in range(25)]
ROUNDS = 500
TEXT = 2_000
BUFFER = 16 << 10


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmRSS:"))


class SseReader:
    """Server-sent events of a selection, read only when asked for."""

    def __init__(self, api: Api, **parameters):
        self.connection = http.client.HTTPConnection(api.address)
        self.connection.sock = connected(api.address, BUFFER)
        query = urllib.parse.urlencode(parameters, doseq=True)
        self.connection.request("GET", f"/api/v1/live/sse?{query}", headers=api.headers)
        self.response = self.connection.getresponse()
        assert self.response.status == 200, self.response.status

    def items(self):
        while True:
            line = self.response.readline()
            if line.startswith(b"data:"):
                yield from json.loads(line[5:])

    def close(self) -> None:
        self.connection.close()


class WebSocketReader:
    def __init__(self, api: Api, **selection):
        self.socket = WebSocket(api.address, "/api/v1/live", api.headers, BUFFER)
        self.socket.send({"op": "subscribe", "id": 1, "devices": DEVICES, **selection})
        assert self.socket.receive()["op"] == "subscribed"
        self.received = 0

    def items(self):
        while True:
            message = self.socket.receive()
            assert message is not None, "the server closed the connection"
            if message["op"] == "data":
                self.received += len(json.dumps(message))
                yield from message["data"]

    def close(self) -> None:
        self.socket.close()


class SlowReaders(unittest.TestCase):
    def test_a_reader_that_stops_costs_little_and_gets_the_newest_when_it_goes_on(self):
        with Fluxgate() as flux:
            admin = flux.administrator()
            sender = flux.sender()

            def send(number: int) -> None:
                text = f"{number:08d}" + "x" * TEXT
                batch = [{"device": device, "metrics": {"text": text, "n": number}} for device in DEVICES]
                self.assertEqual(sender.post("/api/v1/telemetry", batch).status, 200)

            send(0)
            stopped = [SseReader(admin, device=DEVICES, interval=f"{50 + i}ms") for i in range(READERS)]
            stopped += [WebSocketReader(admin, interval=f"{50 + i}ms") for i in range(READERS)]
            steady = WebSocketReader(admin, interval="40ms")
            last_seen = {}

            def keep_up():
                for item in steady.items():
                    for time, number in item["metrics"].get("n", []):
                        last_seen[item["device"]] = number
                    if len(last_seen) == len(DEVICES) and min(last_seen.values()) == ROUNDS:
                        return

            reading = threading.Thread(target=keep_up, daemon=True)
            reading.start()
            before = resident(flux.pid)
            most = before
            for number in range(1, ROUNDS + 1):
                send(number)
                most = max(most, resident(flux.pid))
            reading.join(30)
            self.assertFalse(reading.is_alive(), f"the reader that keeps up has seen {min(last_seen.values(), default=0)} of {ROUNDS}")
            everything = steady.received * len(stopped)
            self.assertGreater(everything, 600 << 20, "the load is too small to show anything")
            # Most of it is what the store and the log hold of the readings themselves, and batches under way on a busy machine.
            self.assertLess(most - before, everything / 2, f"{len(stopped)} readers have not read {everything >> 20} MiB in all")

            for reader in stopped:
                newest = {}
                dropped = 0
                for item in reader.items():
                    dropped += item.get("dropped", 0)
                    for time, number in item["metrics"].get("n", []):
                        newest[item["device"]] = max(number, newest.get(item["device"], 0))
                    if len(newest) == len(DEVICES) and min(newest.values()) == ROUNDS:
                        break
                self.assertGreater(dropped, 0, "it has missed readings and is told so")
                reader.close()
            steady.close()
            wait_until(lambda: "fluxgate_stream_subscriptions 0\n" in admin.get("/metrics").body.decode(), what="the end of all subscriptions")


if __name__ == "__main__":
    unittest.main()
