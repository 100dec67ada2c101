"""Readings over HTTP: every form in, the same values out; what is refused says which field and why."""

import base64
import gzip
import unittest

from e2e.harness import Api, Fluxgate, wait_until


class TelemetryHttp(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.admin = cls.flux.administrator()
        cls.sender = cls.flux.sender()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def points(self, device: str, metric: str, **parameters):
        answer = self.admin.get("/api/v1/query", device=device, metric=metric, **parameters)
        self.assertEqual(answer.status, 200, answer)
        series = answer.json["series"]
        return series[0]["points"] if series else []

    def test_a_single_reading_is_queryable_when_it_is_answered(self):
        answer = self.sender.post("/api/v1/telemetry", {"device": "single-1", "time": "2026-01-01T00:00:00Z", "metrics": {"temperature": 21.5}})
        self.assertEqual((answer.status, answer.json), (200, {"accepted": 1}))
        wait_until(lambda: self.points("single-1", "temperature"))
        self.assertEqual(self.points("single-1", "temperature"), [["2026-01-01T00:00:00Z", 21.5]])
        latest = self.admin.get("/api/v1/devices/single-1/latest").json
        self.assertEqual(latest["device"], "single-1")
        self.assertEqual(latest["metrics"]["temperature"]["value"], 21.5)
        self.assertEqual(latest["metrics"]["temperature"]["time"], "2026-01-01T00:00:00Z")

    def test_arrays_and_per_device_forms(self):
        answer = self.sender.post("/api/v1/telemetry", [
            {"device": "array-1", "time": 1767225600, "metrics": {"a": 1, "b": 2}},
            {"device": "array-2", "time": 1767225600000, "metrics": {"a": True}},
        ])
        self.assertEqual((answer.status, answer.json["accepted"]), (200, 3))
        answer = self.sender.post("/api/v1/telemetry", {"device": "array-3", "readings": [
            {"time": 1767225600000000, "metrics": {"mode": "auto"}},
            {"time": 1767225600000000001, "metrics": {"mode": "manual"}},
        ]})
        self.assertEqual((answer.status, answer.json["accepted"]), (200, 2))
        wait_until(lambda: len(self.points("array-3", "mode")) == 2)
        self.assertEqual(self.points("array-1", "b", epoch="s"), [[1767225600, 2]])
        self.assertEqual(self.points("array-2", "a"), [["2026-01-01T00:00:00Z", True]])
        self.assertEqual(self.points("array-3", "mode"), [["2026-01-01T00:00:00Z", "auto"], ["2026-01-01T00:00:00.000000001Z", "manual"]])

    def test_readings_without_a_time_do_not_replace_each_other(self):
        answer = self.sender.post("/api/v1/telemetry", {"device": "timeless", "readings": [{"metrics": {"v": i}} for i in range(50)]})
        self.assertEqual(answer.json["accepted"], 50)
        wait_until(lambda: len(self.points("timeless", "v")) == 50)
        self.assertEqual([value for _, value in self.points("timeless", "v")], list(range(50)))

    def test_the_last_write_wins(self):
        for value in (1, 2, 3):
            self.sender.post("/api/v1/telemetry", {"device": "twice", "time": "2026-01-01T00:00:00Z", "metrics": {"v": value}})
        wait_until(lambda: self.points("twice", "v") == [["2026-01-01T00:00:00Z", 3]])

    def test_one_bad_reading_does_not_harm_its_neighbours(self):
        answer = self.sender.post("/api/v1/telemetry", [
            {"device": "mixed", "time": "2026-01-01T00:00:00Z", "metrics": {"v": 1}},
            {"device": "mixed", "time": "yesterday", "metrics": {"v": 2}},
            {"device": "mixed", "time": "2026-01-01T00:00:02Z", "metrics": {"v": 3}},
        ])
        self.assertEqual((answer.status, answer.json["accepted"]), (200, 2))
        refused = answer.json["refused"]
        self.assertEqual(len(refused), 1)
        self.assertEqual(refused[0]["index"], 1)
        self.assertIn("time", refused[0]["field"])
        self.assertIn("yesterday", refused[0]["message"])
        wait_until(lambda: [v for _, v in self.points("mixed", "v")] == [1, 3])

    def test_a_field_keeps_its_type(self):
        self.sender.post("/api/v1/telemetry", {"device": "typed", "metrics": {"v": 1.5}})
        answer = self.sender.post("/api/v1/telemetry", {"device": "typed", "metrics": {"v": "text"}})
        self.assertEqual(answer.status, 400, answer)
        self.assertIn("v", str(answer.json))

    def test_nonsense_is_answered_precisely(self):
        for body, words in [
            (b"{", ["JSON"]), (b"", ["empty"]), (b"[1]", ["object"]), (b'{"metrics":{"a":1}}', ["device"]),
            (b'{"device":"x"}', ["metrics"]), (b'{"device":"x","metrics":{"a":[1]}}', ["a"]),
            (b'{"device":"a/b","metrics":{"a":1}}', ["device"]), (b'{"device":"x","metrics":{"a":1}} trailing', []),
        ]:
            answer = self.sender.post("/api/v1/telemetry", body, headers={"Content-Type": "application/json"})
            self.assertEqual(answer.status, 400, (body, answer))
            text = answer.body.decode().lower()
            for word in words:
                self.assertIn(word.lower(), text, body)
        answer = self.sender.get("/api/v1/telemetry")
        self.assertEqual(answer.status, 405)
        self.assertEqual(answer.headers["Allow"], "POST, OPTIONS")

    def test_every_way_to_show_a_credential(self):
        token = self.flux.device_token("pump-7")
        basic = base64.b64encode(f"pump-7:{token}".encode()).decode()
        for value in (f"Bearer {token}", f"Token {token}", f"Basic {basic}"):
            api = Api(self.flux.http, {"Authorization": value})
            answer = api.post("/api/v1/telemetry", {"device": "pump-7", "metrics": {"v": 1}})
            self.assertEqual(answer.status, 200, (value, answer))
        api = Api(self.flux.http, {"Authorization": f"Bearer {token}"})
        self.assertEqual(api.post("/api/v1/telemetry", {"device": "other", "metrics": {"v": 1}}).status, 403)
        for value in ("Bearer nonsense", "Basic !!!", "Bearer " + token[:-1] + ("a" if token[-1] != "a" else "b")):
            api = Api(self.flux.http, {"Authorization": value})
            self.assertEqual(api.post("/api/v1/telemetry", {"device": "pump-7", "metrics": {"v": 1}}).status, 401, value)
        self.assertEqual(self.flux.anonymous().post("/api/v1/telemetry", {"device": "pump-7", "metrics": {"v": 1}}).status, 401)

    def test_a_compressed_body(self):
        body = gzip.compress(b'{"device":"zipped","time":"2026-01-01T00:00:00Z","metrics":{"v":1}}')
        answer = self.sender.post("/api/v1/telemetry", body, headers={"Content-Type": "application/json", "Content-Encoding": "gzip"})
        self.assertEqual(answer.status, 200, answer)

    def test_windows_and_pages(self):
        readings = [{"time": 1767225600 + i, "metrics": {"v": i}} for i in range(300)]
        self.sender.post("/api/v1/telemetry", {"device": "windows", "readings": readings})
        wait_until(lambda: len(self.points("windows", "v")) == 300)
        answer = self.admin.get("/api/v1/query", device="windows", metric="v", window="1m", aggregate="mean,max,count", epoch="s").json
        self.assertEqual(answer["series"][0]["columns"], ["time", "mean", "max", "count"])
        self.assertEqual(answer["series"][0]["points"], [[1767225600 + 60 * k, 60 * k + 29.5, 60 * k + 59, 60] for k in range(5)])
        seen, cursor = [], None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = self.admin.get("/api/v1/query", device="windows", metric="v", limit=70, **more).json
            seen += page["series"][0]["points"]
            cursor = page["next"]
            if cursor is None:
                break
        self.assertEqual([value for _, value in seen], list(range(300)))

    def test_questions_that_make_no_sense(self):
        for parameters, field in [({"limit": 0}, "limit"), ({"limit": 1000001}, "limit"), ({"from": "later"}, "from"),
                                  ({"window": "1x"}, "window"), ({"aggregate": "mode"}, "aggregate"), ({"colour": "red"}, "colour"),
                                  ({"cursor": "zzz"}, "cursor"), ({"epoch": "days"}, "epoch")]:
            answer = self.admin.get("/api/v1/query", **parameters)
            self.assertEqual(answer.status, 400, parameters)
            self.assertEqual(answer.json["error"]["field"], field)
        self.assertEqual(self.flux.anonymous().get("/api/v1/query").status, 401)
        self.assertEqual(self.sender.get("/api/v1/query").status, 403)


if __name__ == "__main__":
    unittest.main()
