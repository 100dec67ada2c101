"""Starting, stopping, starting again: what an operator does and what goes wrong there."""

import json
import os
import re
import stat
import subprocess
import tempfile
import unittest
from pathlib import Path

from e2e.harness import BINARY, LIMIT_S, Api, Fluxgate, wait_until

SCRAPER = "a-token-for-the-scraper-and-nothing-else"


def fluxgate(*arguments: str, **named) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=LIMIT_S, **named)


class Lifecycle(unittest.TestCase):
    def test_readings_are_there_after_a_restart(self):
        with Fluxgate() as flux:
            sender = flux.sender()
            sender.post("/api/v1/telemetry", {"device": "d", "time": "2026-01-01T00:00:00Z", "metrics": {"v": 1}})
            self.assertEqual(flux.stop(), 0, flux.text())
            flux.start()
            admin = flux.administrator()
            latest = admin.get("/api/v1/devices/d/latest").json
            self.assertEqual(latest["metrics"]["v"]["value"], 1)

    def test_a_stop_right_after_the_start_is_clean(self):
        for _ in range(5):
            with Fluxgate(own_readings=True) as flux:
                self.assertEqual(flux.stop(), 0, flux.text())
                self.assertNotIn("error", flux.text())

    def test_the_ready_file_says_where_it_serves(self):
        with Fluxgate() as flux:
            self.assertEqual(flux.ready["pid"], flux.process.pid)
            self.assertRegex(str(flux.ready["http"]), r"^[\d.]+:\d+$")
            self.assertRegex(str(flux.ready["mqtt"]), r"^[\d.]+:\d+$")
            self.assertEqual(flux.anonymous().get("/healthz").status, 200)
            self.assertEqual(flux.anonymous().get("/readyz").status, 200)

    def test_a_second_start_on_the_same_folder_is_refused(self):
        with Fluxgate() as flux:
            second = fluxgate("run", "--data-dir", flux.data_dir, "--http-port", "0", "--mqtt-port", "0")
            self.assertNotEqual(second.returncode, 0)
            self.assertIn(str(flux.process.pid), second.stderr)
            self.assertIn(flux.data_dir, second.stderr)
            self.assertEqual(flux.anonymous().get("/healthz").status, 200)

    def test_a_port_in_use_is_named(self):
        with Fluxgate() as flux:
            port = flux.http.rsplit(":", 1)[1]
            with tempfile.TemporaryDirectory() as folder:
                second = fluxgate("run", "--data-dir", folder + "/data", "--http-port", port, "--mqtt-port", "0")
                self.assertEqual(second.returncode, 1)
                self.assertIn(f":{port} (HTTP)", second.stderr)
                self.assertIn("with --http-port (0", second.stderr)
                mqtt = str(flux.mqtt[1])
                both = fluxgate("run", "--data-dir", folder + "/data", "--http-port", port, "--mqtt-port", mqtt)
            self.assertEqual(both.returncode, 1)
            for words in (f":{port} (HTTP)", f":{mqtt} (MQTT)", "--http-port and --mqtt-port"):
                self.assertIn(words, both.stderr)

    def test_the_first_words_say_who_reaches_it(self):
        with Fluxgate() as flux:
            self.assertTrue(flux.http.startswith("127.0.0.1:"))
            wait_until(lambda: "welcome#token" in flux.text(), what="the greeting")
            self.assertIn("and on every address of this machine (http.host, ingest.mqtt.host), in plain text without TLS", flux.text())
            self.assertNotIn("generation", flux.text())
        with Fluxgate("--set", "http.host=127.0.0.1") as flux:
            wait_until(lambda: "welcome#token" in flux.text(), what="the greeting")
            self.assertIn("every address of this machine (ingest.mqtt.host),", flux.text())
        with Fluxgate("--set", "http.host=127.0.0.1", "--set", "ingest.mqtt.host=127.0.0.1") as flux:
            wait_until(lambda: "welcome#token" in flux.text(), what="the greeting")
            self.assertNotIn("every address", flux.text())

    def test_a_folder_that_cannot_be_written_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            blocked = Path(folder) / "file"
            blocked.write_text("not a folder")
            done = fluxgate("run", "--data-dir", str(blocked / "data"), "--http-port", "0", "--mqtt-port", "0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(str(blocked), done.stderr)

    def test_unknown_settings_are_refused_with_the_nearest_name(self):
        for arguments, environment, wanted in [
            (["--set", "bus.segment_byte=1MiB"], {}, "bus.segment_bytes"),
            ([], {"FLUXGATE_BUS_SEGMENT_BYTE": "1MiB"}, "FLUXGATE_BUS_SEGMENT_BYTE"),
            (["--set", "bus.fsync=sometimes"], {}, "always"),
        ]:
            done = fluxgate("config", "check", *arguments, env={key: value for key, value in os.environ.items() if not key.startswith("FLUXGATE_")} | environment)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn(wanted, done.stderr)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "fluxgate.yaml"
            file.write_text("bus:\n  segment_bytes: 64MiB\n  sync: always\n")
            done = fluxgate("config", "check", "--config", str(file))
            self.assertEqual(done.returncode, 2)
            self.assertIn(f"{file}:3", done.stderr)
            file.write_text("bus:\n  segment_bytes: 64MiB\n")
            self.assertEqual(fluxgate("config", "check", "--config", str(file)).returncode, 0)
            printed = fluxgate("config", "print", "--config", str(file), "--set", "bus.segment_bytes=32MiB")
            self.assertIn("32MiB", printed.stdout)

    def test_roles_that_cannot_run_say_so(self):
        for roles, words in [("ingest", ["ingest", "process"]), ("alert", ["alert"]), ("nonsense", ["nonsense", "ingest"])]:
            done = fluxgate("run", "--roles", roles)
            self.assertEqual(done.returncode, 2, done)
            for word in words:
                self.assertIn(word, done.stderr)

    def tells_how_it_is(self, flux: Fluxgate) -> None:
        """Health for everybody; metrics for whoever may read, by this machine's token or the scraper's."""
        self.assertEqual(flux.anonymous().get("/healthz").json, {"status": "ok"})
        self.assertEqual(flux.anonymous().get("/readyz").status, 200)
        self.assertEqual(flux.anonymous().get("/metrics").status, 401)
        local = json.loads((Path(flux.data_dir) / "server.json").read_text())["token"]
        for token in (local, SCRAPER):
            metrics = Api(flux.http, {"Authorization": f"Bearer {token}"}).get("/metrics")
            self.assertEqual(metrics.status, 200, metrics)
            self.assertIn(b"fluxgate_http_request_seconds", metrics.body)

    def test_without_the_gateway_ingest_takes_http_and_tells_how_it_is(self):
        with Fluxgate("--roles", "ingest,process,store,registry,auth", "--set", f"metrics.token={SCRAPER}") as flux:
            self.assertEqual(sorted(flux.ready), ["http", "mqtt", "pid", "version"])
            wait_until(lambda: "data " in flux.text(), what="the greeting")
            self.assertIn("the role gateway does not run here", flux.text())
            self.assertNotIn("welcome#token", flux.text())  # there is no page to open
            self.tells_how_it_is(flux)
            for path, body in (("/api/v1/telemetry", {"device": "d", "metrics": {"v": 1}}), ("/write?db=x", b"m v=1")):
                self.assertEqual(flux.anonymous().post(path, body).status, 401, path)
            where = ("--data-dir", flux.data_dir)
            sent = fluxgate("publish", "--device", "d", "v=1", *where)
            self.assertEqual((sent.returncode, sent.stdout.strip()), (0, "accepted 1"), sent.stderr)
            for path in ("/", "/api/v1/devices", "/api/openapi.json", "/api/v1/live"):
                absent = flux.anonymous().get(path)
                self.assertEqual(absent.status, 404, path)
                self.assertIn("without the role gateway", absent.json["error"]["message"])
            done = fluxgate("query", *where)
            self.assertEqual(done.returncode, 1, done)
            self.assertIn("gateway", done.stderr)
            self.assertEqual(flux.stop(), 0, flux.text())

    def test_every_process_tells_how_it_is_whatever_its_roles(self):
        with Fluxgate("--roles", "registry,auth", "--set", f"metrics.token={SCRAPER}") as flux:
            self.assertEqual(sorted(flux.ready), ["http", "pid", "version"])
            self.tells_how_it_is(flux)
            self.assertEqual(flux.anonymous().post("/api/v1/telemetry", {"device": "d", "metrics": {"v": 1}}).status, 404)
            second = fluxgate("run", "--data-dir", flux.data_dir + "-2", "--roles", "registry,auth", "--http-port", flux.http.rsplit(":", 1)[1])
            self.assertEqual(second.returncode, 1, second)
            self.assertIn("(HTTP)", second.stderr)
            self.assertEqual(flux.stop(), 0, flux.text())
        with Fluxgate("--set", f"metrics.token={SCRAPER}") as flux:
            self.tells_how_it_is(flux)

    def test_open_mode_binds_loopback_and_checks_host_and_origin(self):
        with Fluxgate("--set", "auth.mode=open") as flux:
            api = flux.anonymous()
            self.assertEqual(api.get("/api/v1/devices").status, 200)
            self.assertEqual(api.post("/api/v1/telemetry", {"device": "d", "metrics": {"v": 1}}).status, 200)
            self.assertEqual(api.request("GET", "/api/v1/devices", headers={"Host": "evil.example"}).status, 403)
            self.assertEqual(api.request("GET", "/api/v1/devices", headers={"Origin": "http://evil.example"}).status, 403)
            self.assertTrue(flux.http.startswith("127.0.0.1:"))
        done = fluxgate("run", "--set", "auth.mode=open", "--set", "http.host=0.0.0.0", "--http-port", "0", "--mqtt-port", "0")
        self.assertEqual(done.returncode, 2, done)
        self.assertIn("open", done.stderr)

    def test_nothing_answers_without_a_credential(self):
        with Fluxgate() as flux:
            api = flux.anonymous()
            document = json.loads((Path(__file__).resolve().parents[2] / "contracts" / "openapi.json").read_text())
            public = {"/healthz", "/readyz", "/api/v1/auth/link", "/api/v1/auth/login", "/api/v1/auth/refresh", "/api/v1/auth/logout",
                      "/.well-known/jwks.json", "/api/openapi.json"}
            for path, methods in document["paths"].items():
                if path in public:
                    continue
                for method in methods:
                    if method not in ("get", "post", "put", "patch", "delete"):
                        continue
                    answer = api.request(method.upper(), re.sub(r"\{\w+\}", "x", path), b"{}" if method in ("post", "put", "patch") else None)
                    self.assertEqual(answer.status, 401, (method, path, answer))

    def test_the_link_works_once(self):
        with Fluxgate() as flux:
            token = flux.link_token()
            self.assertEqual(flux.anonymous().post("/api/v1/auth/link", {"token": token}).status, 200)
            self.assertEqual(flux.anonymous().post("/api/v1/auth/link", {"token": token}).status, 401)
            self.assertEqual(flux.anonymous().post("/api/v1/auth/link", {"token": "x" + token[1:]}).status, 401)

    def test_secrets_lie_in_files_of_their_owner(self):
        with Fluxgate() as flux:
            loose = [path for path in Path(flux.data_dir).rglob("*")
                     if path.is_file() and path.suffix in (".key", ".json", ".pem") and stat.S_IMODE(path.stat().st_mode) & 0o077]
            self.assertEqual(loose, [])

    def test_commands_reach_the_running_server(self):
        with Fluxgate() as flux:
            where = ("--data-dir", flux.data_dir)
            added = fluxgate("device", "add", "pump-1", "--label", "site=north", *where)
            self.assertEqual(added.returncode, 0, added.stderr)
            self.assertIn("mosquitto_pub", added.stdout)
            sent = fluxgate("publish", "--device", "pump-1", "--time", "2026-01-01T00:00:00Z", "temperature=21.5", "running=true", *where)
            self.assertEqual((sent.returncode, sent.stdout.strip()), (0, "accepted 2"), sent.stderr)
            shown = wait_until(lambda: (lambda done: done.stdout if "21.5" in done.stdout else "")(fluxgate("query", "--device", "pump-1", "--format", "csv", *where)))
            self.assertIn("pump-1,temperature,2026-01-01T00:00:00Z,21.5", shown)
            tail = subprocess.Popen([BINARY, "tail", "--device", "pump-1", "-n", "1", *where], stdout=subprocess.PIPE, text=True)
            pause = wait_until(lambda: fluxgate("publish", "--device", "pump-1", "temperature=22", *where).returncode == 0 and tail.poll() is not None)
            self.assertTrue(pause)
            self.assertIn("temperature  22", tail.communicate()[0])
            refused = fluxgate("publish", "--device", "a/b", "temperature=22", *where)
            self.assertNotEqual(refused.returncode, 0)
            self.assertIn("device", refused.stderr)
        self.assertEqual(fluxgate("version").returncode, 0)
        gone = fluxgate("query", *where)
        self.assertEqual(gone.returncode, 1)
        self.assertIn("server", gone.stderr)


if __name__ == "__main__":
    unittest.main()
