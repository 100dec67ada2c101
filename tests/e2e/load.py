"""Load of numbered readings whose senders remember what was acknowledged, and the check that all of it is there."""

import http.client
import json
import threading
from datetime import datetime

import paho.mqtt.client as paho

from e2e.harness import wait_until

BASE = 1767225600  # 2026-01-01, s


def numbered(n: int) -> dict:
    """Every tenth reading has a value that a profile with a limit refuses."""
    return {"n": n, "limited": 1000 if n % 10 == 0 else 1}


class Sender(threading.Thread):
    """Sends readings for one device until it is refused or cut off. What it learned is whole after `join`."""

    BATCH = 20

    def __init__(self, device: str, first: int, metrics=numbered):
        super().__init__(daemon=True)
        self.device, self.next, self.metrics = device, first, metrics
        self.changed = threading.Condition()
        self.acknowledged: set[int] = set()
        self.unknown: set[int] = set()  # refused or cut off: may or may not be kept
        self.refused = None  # what said no: status or reason code, and the words

    def readings(self) -> tuple[range, list[dict]]:
        numbers = range(self.next, self.next + self.BATCH)
        self.next += self.BATCH
        return numbers, [{"time": BASE + n, "metrics": self.metrics(n)} for n in numbers]


class HttpSender(Sender):
    def __init__(self, address: str, key: str, device: str, first: int, metrics=numbered):
        super().__init__(device, first, metrics)
        self.connection = http.client.HTTPConnection(address, timeout=30)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def run(self):
        try:
            self._send()
        finally:
            self.connection.close()

    def _send(self):
        while self.refused is None:
            numbers, readings = self.readings()
            try:
                self.connection.request("POST", "/api/v1/telemetry", json.dumps({"device": self.device, "readings": readings}), self.headers)
                response = self.connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError):
                self.unknown.update(numbers)
                return
            if response.status == 200 and answer["accepted"] == sum(len(reading["metrics"]) for reading in readings):
                with self.changed:
                    self.acknowledged.update(numbers)
            elif response.status == 429:
                self.unknown.update(numbers)
                threading.Event().wait(0.05)  # the server's wish: a little later, again
            else:
                self.unknown.update(numbers)
                self.refused = (response.status, answer)


class MqttSender(Sender):
    """QoS 1 by MQTT 5, some messages under way at a time."""

    UNDER_WAY = 4

    def __init__(self, address: tuple[str, int], token: str, device: str, first: int, metrics=numbered):
        super().__init__(device, first, metrics)
        self.connected, self.over = False, False
        self.under_way: dict[int, range] = {}
        self.early: dict[int, tuple] = {}  # acknowledged before `publish` gave the id
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5, reconnect_on_failure=False)
        self.client.username_pw_set(device, token)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_publish = self._on_publish
        self.client.connect(*address, keepalive=30)

    def _on_connect(self, client, data, flags, code, properties):
        with self.changed:
            self.connected = True
            if code.is_failure:
                self.refused = (str(code), getattr(properties, "ReasonString", None))
            self.changed.notify_all()

    def _on_disconnect(self, client, data, flags, code, properties):
        with self.changed:
            self.over = True
            self.changed.notify_all()

    def _on_publish(self, client, data, mid, code, properties):
        with self.changed:
            if mid in self.under_way:
                self._settle(self.under_way.pop(mid), code, properties)
            else:
                self.early[mid] = (code, properties)
            self.changed.notify_all()

    def _settle(self, numbers: range, code, properties) -> None:
        if code.is_failure:
            self.unknown.update(numbers)
            self.refused = (str(code), getattr(properties, "ReasonString", None))
        else:
            self.acknowledged.update(numbers)

    def run(self):
        self.client.loop_start()
        with self.changed:
            self.changed.wait_for(lambda: self.connected or self.over, 30)
        while True:
            with self.changed:
                self.changed.wait_for(lambda: len(self.under_way) < self.UNDER_WAY or self.over or self.refused, 30)
                if self.over or self.refused or len(self.under_way) >= self.UNDER_WAY:
                    break
            numbers, readings = self.readings()
            # Not under the lock: paho calls back with one of its own locks held that `publish` takes too.
            mid = self.client.publish("v1/telemetry", json.dumps(readings), 1).mid
            with self.changed:
                if mid in self.early:
                    self._settle(numbers, *self.early.pop(mid))
                else:
                    self.under_way[mid] = numbers
        self.client.disconnect()
        self.client.loop_stop()
        for numbers in self.under_way.values():
            self.unknown.update(numbers)


def check_readings(test, api, device: str, acknowledged: set[int], unknown: set[int]) -> list[int]:
    """Every acknowledged reading is there once, nothing else is, and windows agree with that. The numbers stored."""
    def stored():
        answer = api.get("/api/v1/query", device=device, metric="n", limit=1_000_000, epoch="s").json
        points = answer["series"][0]["points"] if answer["series"] else []
        missing = acknowledged - {value for _, value in points}
        seen["missing"] = f"{len(missing)} of {len(acknowledged)}, from {min(missing, default=None)} to {max(missing, default=None)}"
        return None if missing else (points,)  # in something that is true without any point too

    seen = {}
    try:
        (points,) = wait_until(stored, what=f"every acknowledged reading of {device}")
    except AssertionError as error:
        raise AssertionError(f"{error}; missing: {seen.get('missing')}") from None
    numbers = [int(value) for _, value in points]
    test.assertEqual(len(numbers), len(set(numbers)), "a reading is there twice")
    test.assertLessEqual(set(numbers), acknowledged | unknown)
    test.assertTrue(all(time == BASE + number for time, number in points))

    answer = api.get("/api/v1/query", device=device, metric="n", window="1h", aggregate="count,sum", limit=100_000).json
    windows = answer["series"][0]["points"] if answer["series"] else []
    test.assertEqual(sum(count for _, count, _ in windows), len(numbers))
    test.assertEqual(sum(total for _, _, total in windows), sum(numbers))
    return numbers


def metric(api, name: str) -> float:
    """Of all its labels together."""
    lines = api.get("/metrics").body.decode().splitlines()
    values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.split(" ", 1)[0].split("{", 1)[0] == name]
    assert values, f"there is no metric {name}"
    return sum(values)


def await_processed(api) -> None:
    """Until everything that the log holds is in the store."""
    wait_until(lambda: metric(api, "fluxgate_process_lag_records") == 0, what="processing at the end of the log")


def dead_letters(api, device: str) -> list[dict]:
    """All there are of the device, newest first."""
    found, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = api.get("/api/v1/dead-letters", device=device, limit=1000, **more).json
        found += page["dead_letters"]
        cursor = page["next"]
        if cursor is None:
            return found


def reading_of(letter: dict) -> int:
    """The number of the reading that a dead letter is about."""
    return int(datetime.fromisoformat(letter["time"]).timestamp()) - BASE


def limit_devices(test, admin, sender, devices: list[str]) -> None:
    """Makes the devices with a profile that refuses every tenth reading's `limited`. What the registry was told applies to
    readings from some moment on, soon after the answer: this returns when it does."""
    test.assertEqual(admin.post("/api/v1/profiles", {"profile": "limits", "metrics": [{"name": "limited", "max": 100}]}).status, 201)
    for device in devices:
        test.assertEqual(admin.post("/api/v1/devices", {"device": device, "profile": "limits"}).status, 201)
    for device in devices:
        def refused():
            sender.post("/api/v1/telemetry", {"device": device, "time": BASE - 1, "metrics": {"limited": 1000}})
            await_processed(admin)
            return dead_letters(admin, device)

        wait_until(refused, what=f"the profile's limits for {device}")


def check_dead_letters(test, admin, device: str, numbers) -> None:
    """Every tenth of the readings that are there has its dead letter, once; nothing else has one."""
    expected = sorted(n for n in numbers if n % 10 == 0)
    seen = {}

    def all_there():
        letters = [letter for letter in dead_letters(admin, device) if reading_of(letter) >= 0]
        missing = set(expected) - {reading_of(letter) for letter in letters}
        seen["missing"] = f"{len(missing)} of {len(expected)}, from {min(missing, default=None)} to {max(missing, default=None)}"
        return (letters,) if not missing else None

    try:
        (letters,) = wait_until(all_there, what=f"the dead letters of {device}")
    except AssertionError as error:
        raise AssertionError(f"{error}; missing: {seen.get('missing')}") from None
    test.assertEqual(len({letter["id"] for letter in letters}), len(letters), "a dead letter is there twice")
    test.assertEqual(len(letters), len(expected))
    test.assertEqual({letter["reason"] for letter in letters}, {"out_of_range"})


def processed_readings(test, flux, devices: list[str]) -> dict[str, list[dict]]:
    """What the topic processed-data holds of numbered readings, by device; the server is stopped. None of it twice."""
    found = {device: [] for device in devices}
    for row in flux.log("processed-data"):
        if row["device"] in found and "n" in row["metrics"]:
            found[row["device"]].append(row)
    for device, rows in found.items():
        numbers = [row["metrics"]["n"]["value"] for row in rows]
        test.assertEqual(len(numbers), len(set(numbers)), f"a reading of {device} is there twice")
        for row in rows:
            test.assertEqual(reading_of(row), row["metrics"]["n"]["value"])
    return found


def check_processed(test, rows: list[dict], numbers, limited: bool) -> None:
    """The readings that are stored, and with them what was known of their device; without what was refused."""
    test.assertEqual(sorted(row["metrics"]["n"]["value"] for row in rows), sorted(numbers))
    for row in rows:
        refused = limited and row["metrics"]["n"]["value"] % 10 == 0
        test.assertEqual("limited" in row["metrics"], not refused, row)
        test.assertEqual(row.get("profile"), "limits" if limited else None, row)
