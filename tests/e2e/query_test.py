"""Questions about readings: pages that hold each point once while readings come in, large answers, and what is refused."""

import collections
import threading
import unittest

from e2e.harness import Api, Fluxgate, wait_until

BASE = 1767225600  # 2026-01-01
QUERY = "/api/v1/query"


class Query(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate("--set", "store.flush_interval=200ms")
        cls.admin = cls.flux.administrator()
        cls.key = cls.flux.ingest_key()
        cls.sender = Api(cls.flux.http, {"Authorization": f"Bearer {cls.key}"})

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def send(self, sender: Api, device: str, times, value=lambda t: t, metric: str = "v") -> None:
        body = {"device": device, "readings": [{"time": t, "metrics": {metric: value(t)}} for t in times]}
        answer = sender.post("/api/v1/telemetry", body)
        self.assertEqual(answer.status, 200, answer)

    def count(self, **parameters) -> int:
        answer = self.admin.get(QUERY, limit=1_000_000, epoch="s", **parameters)
        self.assertEqual(answer.status, 200, answer)
        return sum(len(series["points"]) for series in answer.json["series"])

    def pages(self, **parameters):
        cursor = {}
        while True:
            answer = self.admin.get(QUERY, epoch="s", **parameters, **cursor)
            self.assertEqual(answer.status, 200, answer)
            yield answer.json
            if answer.json["next"] is None:
                return
            cursor = {"cursor": answer.json["next"]}

    def test_pages_hold_each_point_once_while_readings_come_in(self):
        devices = [f"page-{i}" for i in range(3)]
        for device in devices:
            self.send(self.sender, device, range(BASE, BASE + 6000, 2), metric="p")
        wait_until(lambda: self.count(device=",".join(devices)) == 9000, what="the readings")
        stop = threading.Event()

        def keep_sending():
            # Later, between those that are there, and from devices that sort before, between and behind the others.
            sender = Api(self.flux.http, {"Authorization": f"Bearer {self.key}"})
            n = 0
            while not stop.is_set() and n < 2000:
                for device in [*devices, "page-0-a", "page-", "page-9"]:
                    self.send(sender, device, [BASE + 6000 + n, BASE + 1 + 2 * n], metric="p")
                n += 1

        thread = threading.Thread(target=keep_sending)
        thread.start()
        try:
            for order in ("asc", "desc"):
                for parameters in ({"device": ",".join(devices)}, {}):
                    with self.subTest(order=order, **parameters):
                        seen = collections.Counter()
                        pages = 0
                        for page in self.pages(limit=611, order=order, metric="p", **parameters):
                            pages += 1
                            for series in page["series"]:
                                self.assertLessEqual(len(series["points"]), 611)
                                for time, value in series["points"]:
                                    self.assertEqual(time, value)
                                    seen[series["device"], time] += 1
                        self.assertGreater(pages, 10)
                        self.assertEqual([key for key, times in seen.items() if times > 1], [])
                        missing = [key for key in ((d, t) for d in devices for t in range(BASE, BASE + 6000, 2)) if key not in seen]
                        self.assertEqual(missing, [])
            windows = collections.Counter()
            for page in self.pages(limit=97, device=",".join(devices), window="10s", aggregate="count", **{"from": BASE, "to": BASE + 6000}):
                for series in page["series"]:
                    for time, count in series["points"]:
                        windows[series["device"], time] += 1
                        self.assertGreaterEqual(count, 5)
            self.assertEqual(windows, collections.Counter({(d, t): 1 for d in devices for t in range(BASE, BASE + 6000, 10)}))
        finally:
            stop.set()
            thread.join()

    def test_a_million_points_in_one_answer(self):
        for block in range(21):
            self.send(self.sender, "large", range(BASE + block * 50_000, BASE + (block + 1) * 50_000), lambda t: t % 7)
        wait_until(lambda: self.count(device="large") == 1_000_000, what="the readings")
        first = self.admin.get(QUERY, device="large", limit=1_000_000, epoch="s").json
        self.assertEqual(len(first["series"][0]["points"]), 1_000_000)
        rest = self.admin.get(QUERY, device="large", limit=1_000_000, epoch="s", cursor=first["next"]).json
        times = [point[0] for point in first["series"][0]["points"] + rest["series"][0]["points"]]
        self.assertEqual(times, list(range(BASE, BASE + 1_050_000)))
        self.assertIsNone(rest["next"])

    def test_a_cursor_belongs_to_its_query(self):
        self.send(self.sender, "cursor", range(BASE, BASE + 100))
        asked = {"device": "cursor", "window": "2s", "aggregate": "mean", "limit": 3, "from": BASE, "to": BASE + 100}
        wait_until(lambda: self.count(device="cursor") == 100, what="the readings")
        cursor = self.admin.get(QUERY, **asked).json["next"]
        self.assertEqual(self.admin.get(QUERY, **asked, cursor=cursor).status, 200)
        for changed in ({"device": "other"}, {"window": "4s"}, {"aggregate": "max"}, {"order": "desc"}, {"fill": "null"},
                        {"fill": "1"}, {"offset": "1s"}, {"group_by": "device"}):
            with self.subTest(changed):
                answer = self.admin.get(QUERY, **{**asked, **changed}, cursor=cursor)
                self.assertEqual((answer.status, answer.json["error"]["field"]), (400, "cursor"), answer)

    def test_a_parameter_of_one_value_is_given_once(self):
        for name in ("limit", "from", "order", "cursor"):
            answer = self.admin.request("GET", f"{QUERY}?{name}=1&{name}=2")
            self.assertEqual((answer.status, answer.json["error"]["field"]), (400, name), answer)
            self.assertIn("once", answer.json["error"]["message"])
        self.assertEqual(self.admin.request("GET", f"{QUERY}?device=a&device=b").status, 200)

    def test_times_keep_their_nanoseconds(self):
        time = "2026-01-01T00:00:01.123456789Z"
        self.sender.post("/api/v1/telemetry", {"device": "ns", "time": time, "metrics": {"v": 1}})
        wait_until(lambda: self.count(device="ns") == 1, what="the reading")
        for epoch, wanted in {"rfc3339": time, "s": BASE + 1, "ms": BASE * 1000 + 1123, "us": BASE * 10**6 + 1123456, "ns": BASE * 10**9 + 1123456789}.items():
            with self.subTest(epoch):
                points = self.admin.get(QUERY, device="ns", epoch=epoch).json["series"][0]["points"]
                self.assertEqual(points, [[wanted, 1]])
                latest = self.admin.get("/api/v1/devices/ns/latest", epoch=epoch).json["metrics"]["v"]
                self.assertEqual((latest["time"], latest["value"]), (wanted, 1))


if __name__ == "__main__":
    unittest.main()
