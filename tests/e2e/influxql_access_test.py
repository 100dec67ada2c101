"""InfluxQL's door: who may ask what and how they show it; the clients of version 1; changes; limits."""

import base64
import http.client
import time
import unittest
import urllib.parse

from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError

from e2e.harness import Api, Fluxgate, wait_until
from e2e.influxdb_server import query

AT = 1_767_225_600  # 2026-01-01T00:00:00Z


def values(answer, number: int = 0):
    assert answer.status == 200, answer
    series = answer.json["results"][number].get("series", [])
    return series[0]["values"] if series else []


class Access(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate("--set", "query.ingest_keys_read=true")
        cls.admin = cls.flux.administrator()
        cls.key = cls.flux.ingest_key("lines")
        cls.sender = Api(cls.flux.http, {"Authorization": f"Token {cls.key}"})
        assert cls.admin.put("/api/v1/auth/password", {"new": "correct horse"}).status == 204
        cls.admin = cls.flux.administrator()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def write(self, database: str, lines: str):
        answer = self.sender.request("POST", "/write", lines.encode(), {}, db=database, precision="s")
        self.assertEqual(answer.status, 204, answer)

    def test_who_may_ask(self):
        self.write("doors", f"m,host=a v=1 {AT}")
        wait_until(lambda: values(query(self.sender, "SELECT v FROM m", db="doors")))
        nobody = self.flux.anonymous()
        basic = base64.b64encode(b"admin:correct horse").decode()
        keyed = base64.b64encode(f"any:{self.key}".encode()).decode()
        login = self.flux.anonymous().post("/api/v1/auth/login", {"username": "admin", "password": "correct horse"}).json
        for headers, parameters in (({"Authorization": f"Basic {basic}"}, {}), ({}, {"u": "admin", "p": "correct horse"}),
                                    ({"Authorization": f"Bearer {login['access_token']}"}, {}), ({"Authorization": f"Token {self.key}"}, {}),
                                    ({"Authorization": f"Token any:{self.key}"}, {}), ({"Authorization": f"Basic {keyed}"}, {}),
                                    ({}, {"u": "any", "p": self.key})):
            for _ in range(2):  # new, then known
                answer = nobody.request("GET", "/query", None, headers, q="SELECT v FROM m", db="doors", **parameters)
                self.assertEqual(values(answer), [["2026-01-01T00:00:00Z", 1]], (headers, parameters))
        for headers, parameters in (({}, {}), ({}, {"u": "admin", "p": "wrong"}), ({"Authorization": "Token fgk_wrong"}, {}),
                                    ({"Authorization": "Bearer x.y.z"}, {})):
            answer = nobody.request("GET", "/query", None, headers, q="SELECT v FROM m", db="doors", **parameters)
            self.assertEqual(answer.status, 401, (headers, parameters, answer))
            self.assertIn("authorization failed", answer.json["error"])
            self.assertIn("WWW-Authenticate", answer.headers)

    def test_a_device_speaks_for_itself_only(self):
        device = Api(self.flux.http, {"Authorization": f"Token {self.flux.device_token('alone')}"})
        for text in ("SELECT v FROM m", "CREATE DATABASE other", "SHOW MEASUREMENTS"):
            answer = query(device, text, "POST", db="default")
            self.assertIn("error authorizing query", answer.json["results"][0]["error"], text)

    def test_keys_only_write_unless_that_is_set(self):
        with Fluxgate() as flux:
            keyed = Api(flux.http, {"Authorization": f"Token {flux.ingest_key()}"})
            self.assertNotIn("error", query(keyed, "CREATE DATABASE telegraf", "POST").json["results"][0])
            self.assertIn("error authorizing query", query(keyed, "SELECT v FROM m", db="telegraf").json["results"][0]["error"])

    def test_a_page_elsewhere_cannot_change_anything(self):
        forged = Api(self.flux.http, {"Cookie": self.flux.credential, "Origin": "http://elsewhere.example"})
        self.assertEqual(query(forged, "DROP DATABASE doors", "POST").status, 403)
        self.assertEqual(query(self.admin, "SHOW DATABASES", "POST").status, 200)

    def test_databases_are_made_and_dropped(self):
        first = query(self.sender, "CREATE DATABASE made", "POST")
        again = query(self.sender, "CREATE DATABASE made", "POST")
        self.assertEqual((first.json, again.json), ({"results": [{"statement_id": 0}]},) * 2)
        names = [row[0] for row in values(query(self.sender, "SHOW DATABASES"))]
        self.assertIn("made", names)
        warned = query(self.sender, "CREATE DATABASE made").json["results"][0]
        self.assertEqual(warned["messages"][0]["level"], "warning")
        denied = query(self.sender, "DROP DATABASE made", "POST").json["results"][0]
        self.assertIn("error authorizing query", denied["error"])
        self.write("made", f"m,host=a v=1 {AT}")
        wait_until(lambda: values(query(self.sender, "SELECT v FROM m", db="made")))
        self.assertEqual(query(self.admin, "DROP DATABASE made", "POST").json, {"results": [{"statement_id": 0}]})
        self.assertNotIn("made", [row[0] for row in values(query(self.sender, "SHOW DATABASES"))])
        self.assertEqual(query(self.sender, "SELECT v FROM m", db="made").json["results"][0]["error"], "database not found: made")

    def test_what_is_deleted_is_gone(self):
        self.write("gone", "\n".join(f"{m},host={h} v={i}i {AT + i}" for m in ("m", "n") for h in ("a", "b") for i in range(4)))
        wait_until(lambda: len(values(query(self.sender, "SELECT v FROM n", db="gone"))) == 8)
        count = "SELECT count(v) FROM m, n GROUP BY host"

        def counts():
            found = query(self.sender, count, db="gone").json["results"][0].get("series", [])
            return {(s["name"], s["tags"]["host"]): s["values"][0][1] for s in found}

        for text, left in ((f"DELETE FROM m WHERE host = 'a' AND time <= {AT + 1}s", {("m", "a"): 2, ("m", "b"): 4, ("n", "a"): 4, ("n", "b"): 4}),
                           ("DROP SERIES FROM n WHERE host = 'b'", {("m", "a"): 2, ("m", "b"): 4, ("n", "a"): 4}),
                           (f"DELETE WHERE time > {AT + 2}s", {("m", "a"): 1, ("m", "b"): 3, ("n", "a"): 3}),
                           ("DROP MEASUREMENT m", {("n", "a"): 3})):
            self.assertEqual(query(self.admin, text, "POST", db="gone").json, {"results": [{"statement_id": 0}]}, text)
            wait_until(lambda: counts() == left, what=f"{text}: {left}")
        for text in ("DELETE FROM n WHERE host =~ /a/", "DROP SERIES FROM n WHERE host != 'b'", "DELETE FROM n WHERE v = 'x'"):
            self.assertIn("support", query(self.admin, text, "POST", db="gone").json["results"][0]["error"], text)
        self.assertEqual(counts(), {("n", "a"): 3})

    def test_what_cannot_be_done_says_so(self):
        for text in ("SELECT v INTO copy FROM m", 'CREATE RETENTION POLICY p ON "default" DURATION 1d REPLICATION 1', "CREATE DATABASE x WITH DURATION 1d",
                     'CREATE CONTINUOUS QUERY c ON "default" BEGIN SELECT mean(v) INTO x FROM m GROUP BY time(1m) END',
                     'DROP RETENTION POLICY autogen ON "default"', "CREATE USER x WITH PASSWORD 'y'", "SHOW SHARDS", "KILL QUERY 1", "EXPLAIN SELECT v FROM m"):
            answer = query(self.admin, text, "POST", db="default")
            self.assertIn("not supported", answer.json["results"][0].get("error", ""), (text, answer))

    def test_telemetry_in_json_can_be_asked_too(self):
        token = self.flux.device_token("thermo")
        answer = Api(self.flux.http, {"Authorization": f"Bearer {token}"}).post(
            "/api/v1/telemetry", {"device": "thermo", "time": "2026-01-01T00:00:00Z", "metrics": {"temperature": 21.5, "note": "warm"}})
        self.assertEqual(answer.status, 200)
        wait_until(lambda: values(query(self.admin, "SELECT temperature, note FROM telemetry", db="default")) == [["2026-01-01T00:00:00Z", 21.5, "warm"]])
        self.assertEqual(values(query(self.admin, "SELECT count(temperature) FROM /tele/", db="default")), [["1970-01-01T00:00:00Z", 1]])

    def test_the_client_of_version_1(self):
        host, port = self.flux.http.rsplit(":", 1)
        client = InfluxDBClient(host, int(port), "anyone", self.key, "python1")
        client.create_database("python1")
        self.assertIn({"name": "python1"}, client.get_list_database())
        client.write_points([{"measurement": "room", "tags": {"host": h, "floor": "1 st"}, "time": (AT + i) * 1000, "fields": {"t": i + 0.5, "n": i}}
                             for h in ("x", "y") for i in range(5)], time_precision="ms")
        wait_until(lambda: len(list(client.query("SELECT t FROM room").get_points())) == 10)
        found = client.query("SELECT mean(t) AS m, sum(n) FROM room WHERE time >= $from GROUP BY host", bind_params={"from": "2026-01-01T00:00:01Z"})
        self.assertEqual(list(found.get_points(tags={"host": "x"})), [{"time": "2026-01-01T00:00:01Z", "m": 3.0, "sum": 10}])
        self.assertEqual(client.get_list_measurements(), [{"name": "room"}])
        chunks = client.query("SELECT t FROM room WHERE host = 'x'", epoch="ms", chunked=True, chunk_size=2)
        self.assertEqual([[p["t"] for p in chunk.get_points()] for chunk in chunks], [[0.5, 1.5], [2.5, 3.5], [4.5]])
        self.assertEqual([p["key"] for p in client.query("SHOW SERIES").get_points()], ["room,floor=1\\ st,host=x", "room,floor=1\\ st,host=y"])
        self.assertEqual(client.get_list_retention_policies("python1")[0]["name"], "autogen")
        with self.assertRaises(InfluxDBClientError) as refused:
            client.query("SELEKT t FROM room")
        self.assertIn("found SELEKT, expected SELECT", str(refused.exception))
        with self.assertRaises(InfluxDBClientError) as refused:
            client.query("SELECT mean(t), t FROM room")
        self.assertIn("mixing aggregate and non-aggregate queries is not supported", str(refused.exception))
        client.close()


class Limits(unittest.TestCase):
    def test_a_query_that_wants_too_much_is_told_so_and_the_server_lives(self):
        with Fluxgate("--set", "query.ingest_keys_read=true", "--set", "query.max_points=1000", "--set", "query.max_series=20") as flux:
            api = Api(flux.http, {"Authorization": f"Token {flux.ingest_key()}"})
            lines = "\n".join(f"m,host=h{i % 10} v={i} {AT + i}" for i in range(3000)) + "\n" + "\n".join(f"many,host=h{i} v=1 {AT}" for i in range(30))
            self.assertEqual(api.request("POST", "/write", lines.encode(), {}, db="big", precision="s").status, 204)
            wait_until(lambda: values(query(api, "SELECT count(v) FROM m", db="big")) == [["1970-01-01T00:00:00Z", 3000]])
            for text, why in (("SELECT v FROM m", "max"), ("SELECT median(v) FROM m", "max"), ("SELECT v FROM many GROUP BY *", "max-select-series limit exceeded"),
                              (f"SELECT mean(v) FROM m WHERE time >= {AT}s AND time < {AT + 3000}s GROUP BY time(1s) fill(0)", "max"),
                              (f"SELECT count(v) FROM m WHERE time >= {AT}s AND time < {AT + 100}s GROUP BY time(1u) fill(0)", "windows")):
                answer = query(api, text, db="big").json["results"][0]
                self.assertIn(why, answer.get("error", "no error"), text)
            self.assertEqual(len(values(query(api, "SELECT v FROM m WHERE host = 'h3' LIMIT 5", db="big"))), 5)

    def test_a_query_ends_with_its_time_and_with_its_asker(self):
        with Fluxgate("--set", "query.ingest_keys_read=true", "--set", "query.time_limit=100ms", "--set", "query.threads=1") as flux:
            api = Api(flux.http, {"Authorization": f"Token {flux.ingest_key()}"})
            for part in range(10):
                lines = "\n".join(f"m,host=h{i % 50} v={i % 977},w=\"t{i % 911}\" {AT + part * 20000 + i}" for i in range(20000))
                self.assertEqual(api.request("POST", "/write", lines.encode(), {}, db="slow", precision="s").status, 204)
            wait_until(lambda: values(query(api, "SELECT count(v) FROM m", db="slow")) == [["1970-01-01T00:00:00Z", 200000]])
            heavy = "SELECT " + ", ".join(f"percentile(d{i}, 50), mode(d{i})" for i in range(8)) + " FROM (SELECT " + ", ".join(
                f"pow(v, {i}) + sin(v) * {i} AS d{i}" for i in range(8)) + " FROM m GROUP BY host)"
            answer = query(api, heavy, db="slow")
            self.assertEqual((answer.status, answer.json), (503, {"error": "query-timeout limit exceeded"}))
            # One who leaves frees the only thread at once.
            for _ in range(3):
                leaver = http.client.HTTPConnection(flux.http)
                leaver.request("GET", "/query?" + urllib.parse.urlencode({"q": heavy, "db": "slow", "u": "x", "p": api.headers["Authorization"][6:]}))
                leaver.close()
            began = time.monotonic()
            self.assertEqual(len(values(query(api, "SELECT v FROM m LIMIT 3", db="slow"))), 3)
            self.assertLess(time.monotonic() - began, 10)


if __name__ == "__main__":
    unittest.main()
