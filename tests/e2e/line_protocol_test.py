"""Line protocol: what Telegraf and InfluxDB's own clients write is taken as it is, and flows like any telemetry."""

import gzip
import unittest

from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError
from influxdb_client import InfluxDBClient as InfluxDBClient2
from influxdb_client import Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from e2e.harness import Api, Fluxgate, wait_until

AT = 1_767_225_600  # 2026-01-01T00:00:00Z

# As Telegraf 1.30 writes its cpu, disk, system and a custom input.
TELEGRAF = f"""\
cpu,cpu=cpu-total,host=edge-1 usage_user=12.625250501002,usage_system=3.0060120240481,usage_idle=84.368737474949 {AT}000000000
disk,device=sda1,fstype=ext4,host=edge-1,mode=rw,path=/ free=10737418240i,total=107374182400i,used_percent=90 {AT}000000000
system,host=edge-1 load1=0.42,n_cpus=4i,uptime_format="10 days,  3:14" {AT}000000000
win_disk,host=edge-1,instance=C:,objectname=LogicalDisk Percent_Free_Space=41.5 {AT}000000000
exec,host=edge-1,note=two\\ words,expr=a\\=b\\,c ok=true,message="said \\"hi\\" C:\\\\x" {AT}000000000
"""


class LineProtocol(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.admin = cls.flux.administrator()
        cls.key = cls.flux.ingest_key("lines")
        cls.sender = Api(cls.flux.http, {"Authorization": f"Token {cls.key}"})
        cls.host, port = cls.flux.http.rsplit(":", 1)
        cls.port = int(port)

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def write(self, lines: str, **parameters):
        return self.sender.request("POST", "/write", lines.encode(), {"Content-Type": "text/plain"}, **parameters)

    def series(self, database: str, devices: list[str], metric: str, **select):
        answer = self.admin.post("/api/v1/query", {"select": {"devices": devices, "metrics": [metric], "database": database, **select}})
        self.assertEqual(answer.status, 200, answer)
        return answer.json["series"]

    def points(self, *arguments, **select):
        found = self.series(*arguments, **select)
        return found[0]["points"] if found else []

    def test_telegraf(self):
        for _ in range(2):  # new, then known
            answer = self.write(TELEGRAF, db="telegraf", precision="ns", consistency="any", rp="")
            self.assertEqual((answer.status, answer.body), (204, b""))
        wait_until(lambda: self.points("telegraf", ["edge-1"], "message"))
        self.assertEqual(self.points("telegraf", ["edge-1"], "usage_user"), [["2026-01-01T00:00:00Z", 12.625250501002]])
        self.assertEqual(self.points("telegraf", ["sda1"], "free", measurement="disk"), [["2026-01-01T00:00:00Z", 10737418240]])
        self.assertEqual(self.points("telegraf", ["edge-1"], "uptime_format"), [["2026-01-01T00:00:00Z", "10 days,  3:14"]])
        self.assertEqual(self.points("telegraf", ["edge-1"], "message"), [["2026-01-01T00:00:00Z", 'said "hi" C:\\x']])
        self.assertEqual(self.points("telegraf", ["edge-1"], "ok", tags={"expr": "a=b,c", "note": "two words"}), [["2026-01-01T00:00:00Z", True]])
        self.assertEqual(self.points("telegraf", ["edge-1"], "ok", tags={"expr": "other"}), [])
        found = self.series("telegraf", ["edge-1"], "Percent_Free_Space")
        self.assertEqual((found[0]["measurement"], found[0]["tags"]), ("win_disk", {"host": "edge-1", "instance": "C:", "objectname": "LogicalDisk"}))

    def test_devices_and_their_metrics_appear(self):
        self.assertEqual(self.write(f"cpu,host=found-1 usage=1,busy=3i {AT}\nroom temperature=20 {AT}", db="site", precision="s").status, 204)

        def metrics():
            device = self.admin.get("/api/v1/devices/found-1")
            return device.status == 200 and {(m["measurement"], m["name"], m["type"]) for m in device.json["metrics"]}

        wait_until(lambda: metrics() == {("cpu", "usage", "double"), ("cpu", "busy", "int64")})
        wait_until(lambda: self.admin.get("/api/v1/devices/site").status == 200)
        self.assertEqual(self.points("site", ["site"], "temperature"), [["2026-01-01T00:00:00Z", 20]])

    def test_a_partial_write_names_line_and_cause_and_keeps_the_rest(self):
        answer = self.write("m,host=p a=1 1\nm,host=p a=oops 2\nm,host=p a=3 3\nm,host=p a=4i 4\n", db="partial")
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.json["error"], (
            "partial write: unable to parse 'm,host=p a=oops 2': invalid boolean (line 2, column 12)\n"
            'field type conflict: input field "a" on measurement "m" is type integer, already exists as type float (line 4, column 10) dropped=1'))
        wait_until(lambda: len(self.points("partial", ["p"], "a")) == 2)

    def test_gzip_and_credentials(self):
        body = gzip.compress(f"m,host=packed v=1 {AT}".encode())
        answer = self.sender.request("POST", "/write", body, {"Content-Encoding": "gzip"}, db="packed", precision="s")
        self.assertEqual(answer.status, 204)
        nobody = self.flux.anonymous()
        self.assertEqual(nobody.request("POST", "/write", b"m v=1", {}, db="packed").status, 401)
        self.assertEqual(nobody.request("POST", "/write", b"m v=1", {}, db="packed", u="telegraf", p=self.key).status, 204)
        self.assertEqual(nobody.get("/ping").status, 204)
        too_large = self.sender.request("POST", "/write", gzip.compress(b"#" * (33 << 20)), {"Content-Encoding": "gzip"}, db="packed")
        self.assertEqual(too_large.status, 413)

    def test_types_are_remembered_over_a_restart(self):
        with Fluxgate() as flux:
            sender = Api(flux.http, {"Authorization": f"Token {flux.ingest_key('lines')}"})
            self.assertEqual(sender.request("POST", "/write", b"m,host=h a=1", {}, db="kept").status, 204)
            flux.kill()
            flux.start()
            sender.close()
            sender = Api(flux.http, sender.headers)
            answer = sender.request("POST", "/write", b"m,host=other a=1i", {}, db="kept")
            self.assertEqual(answer.status, 400)
            self.assertIn("already exists as type float", answer.json["error"])

    def test_the_client_of_version_1(self):
        client = InfluxDBClient(self.host, self.port, "anyone", self.key, "python1")
        self.assertTrue(client.ping().startswith("1.8"))
        self.assertTrue(client.write_points([
            {"measurement": "room", "tags": {"host": "py-1", "floor": "1 st, \"left\""}, "time": "2026-01-01T00:00:00Z",
             "fields": {"temperature": 21.5, "open": False, "people": 3, "state": 'warm "ish" \\ \nnext'}}]))
        self.assertTrue(client.write_points([{"measurement": "room", "tags": {"host": "py-1"}, "time": AT * 1000 + 1, "fields": {"temperature": 1e-7}}],
                                            time_precision="ms", batch_size=1))
        wait_until(lambda: len(self.series("python1", ["py-1"], "temperature")) == 2)
        self.assertEqual(self.points("python1", ["py-1"], "people"), [["2026-01-01T00:00:00Z", 3]])
        self.assertEqual(self.points("python1", ["py-1"], "temperature", tags={"floor": '1 st, "left"'}), [["2026-01-01T00:00:00Z", 21.5]])
        with self.assertRaises(InfluxDBClientError) as refused:
            client.write_points([{"measurement": "room", "tags": {"host": "py-1"}, "fields": {"people": "three"}}])
        self.assertEqual(refused.exception.code, 400)
        self.assertIn("field type conflict", refused.exception.content)
        client.close()

    def test_the_client_of_version_2(self):
        with InfluxDBClient2(url=f"http://{self.flux.http}", token=self.key, org="any", enable_gzip=True) as client:
            self.assertTrue(client.ping())
            with client.write_api(write_options=SYNCHRONOUS) as api:
                api.write("python2", record=[
                    Point("room").tag("host", "py-2").field("temperature", 21.5).field("people", 3).field("note", "a \"b\"").time(AT, WritePrecision.S),
                    Point("room").tag("host", "py-2").field("temperature", 22.5).time(AT + 1, WritePrecision.S)], write_precision=WritePrecision.S)
                wait_until(lambda: len(self.points("python2", ["py-2"], "temperature")) == 2)
                self.assertEqual(self.points("python2", ["py-2"], "note"), [["2026-01-01T00:00:00Z", 'a "b"']])
                with self.assertRaises(ApiException) as refused:
                    api.write("python2", record="room,host=py-2 people=x")
                self.assertEqual(refused.exception.status, 400)
                self.assertIn("invalid boolean", refused.exception.message)

    def test_a_dropped_database_takes_its_readings_along(self):
        self.assertEqual(self.write(f"m,host=gone v=1 {AT}", db="dropped", precision="s").status, 204)
        wait_until(lambda: self.points("dropped", ["gone"], "v"))
        self.assertEqual(self.admin.delete("/api/v1/databases/dropped").status, 204)
        wait_until(lambda: not self.points("dropped", ["gone"], "v"))
        names = [database["name"] for database in self.admin.get("/api/v1/databases").json["databases"]]
        self.assertNotIn("dropped", names)


if __name__ == "__main__":
    unittest.main()
