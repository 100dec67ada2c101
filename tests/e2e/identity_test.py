"""Who may do what: sign-out, roles and devices against the whole document, guesses, and the limits of `auth.mode=open`."""

import json
import os
import re
import socket
import sqlite3
import subprocess
import threading
import unittest
from pathlib import Path

from e2e.harness import BINARY, LIMIT_S, Api, Fluxgate
from e2e.websocket import WebSocket

DOCUMENT = json.loads((Path(__file__).resolve().parents[2] / "contracts" / "openapi.json").read_text())
OPERATIONS = [(verb.upper(), path, operation) for path, item in DOCUMENT["paths"].items() for verb, operation in item.items()
              if verb in ("get", "post", "put", "patch", "delete")]
API = "/api/v1"
PASSWORD = "correct horse"
ALLOWED = {
    "viewer": {"signed_in", "read"},
    "operator": {"signed_in", "read", "send", "control", "manage_devices", "manage_dashboards"},
    "administrator": {"signed_in", "read", "send", "control", "manage_devices", "manage_dashboards", "manage_credentials", "manage_system"},
}


def ask(api: Api, method: str, path: str):
    """An operation with nothing sensible in it: what counts is who asks."""
    body = b"{}" if method in ("POST", "PUT", "PATCH") else None
    return api.request(method, re.sub(r"\{\w+\}", "nobody", path), body, {"Content-Type": "application/json"})


def log_in(flux: Fluxgate, name: str) -> dict:
    answer = flux.anonymous().post(f"{API}/auth/login", {"username": name, "password": PASSWORD})
    assert answer.status == 200, answer
    return answer.json


def bearer(flux: Fluxgate, token: str) -> Api:
    return Api(flux.http, {"Authorization": f"Bearer {token}"})


class Everything(unittest.TestCase):
    """Each operation of the document, by callers that lack what it needs."""

    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        admin = cls.flux.administrator()
        assert admin.put(f"{API}/auth/password", {"new": PASSWORD}).status == 204
        cls.flux.stop()
        # There is no way yet to make users: as an administrator of the database would.
        database = sqlite3.connect(os.path.join(cls.flux.data_dir, "registry.db"))
        with database:
            for role in ("viewer", "operator"):
                database.execute("INSERT INTO users (tenant, name, role, password_hash, created_at) "
                                 "SELECT tenant, ?, ?, password_hash, created_at FROM users WHERE id = 1", (role, role))
        database.close()
        cls.flux.start()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def test_the_document_says_of_each_operation_what_it_needs(self):
        for method, path, operation in OPERATIONS:
            with self.subTest(f"{method} {path}"):
                self.assertEqual("x-permission" in operation, operation.get("security") != [])

    def test_without_a_credential_only_what_is_documented_as_open_answers(self):
        nobody = self.flux.anonymous()
        for method, path, operation in OPERATIONS:
            with self.subTest(f"{method} {path}"):
                answer = ask(nobody, method, path)
                if operation.get("security") == []:
                    self.assertIn(answer.status, (200, 400), answer)
                else:
                    self.assertEqual(answer.status, 401, answer)
                    self.assertIn("WWW-Authenticate", answer.headers)
                    self.assertTrue(answer.json["error"]["message"])

    def test_a_scraper_reads_metrics_and_nothing_else(self):
        token = "scraper-0123456789abcdef"
        with Fluxgate(environment={"FLUXGATE_METRICS_TOKEN": token}) as flux:
            scraper = bearer(flux, token)
            answer = scraper.get("/metrics")
            self.assertEqual(answer.status, 200, answer)
            self.assertIn(b"fluxgate_http_connections", answer.body)
            for wrong in (token[:-1], token + "x", token.upper(), ""):
                self.assertEqual(bearer(flux, wrong).get("/metrics").status, 401, wrong)
            self.assertEqual(Api(flux.http, {"Authorization": f"Basic {token}"}).get("/metrics").status, 401)
            for method, path, operation in OPERATIONS:
                if operation.get("security") == [] or path == "/metrics":
                    continue
                with self.subTest(f"{method} {path}"):
                    self.assertEqual(ask(scraper, method, path).status, 401)
            self.assertEqual(flux.administrator().get("/metrics").status, 200)
            # Where the setting is shown, the token is not.
            shown = subprocess.run([BINARY, "config", "print"], env=flux.environment, capture_output=True, text=True, timeout=LIMIT_S)
            self.assertIn("token", shown.stdout)
            self.assertNotIn(token, shown.stdout)

    def test_a_metrics_token_that_could_be_guessed_is_refused(self):
        for token in ("short", "with spaces in the middle"):
            with Fluxgate("--set", f"metrics.token={token}", start=False) as flux:
                flux.launch()
                self.assertEqual(flux.wait(), 2)
                self.assertIn("metrics.token takes at least 16 visible", flux.text())
                self.assertNotIn(token, flux.text())

    def test_nonsense_is_no_credential(self):
        for header in ({"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic YTpi"},
                       {"Authorization": "Digest x"}, {"Authorization": ""}, {"Cookie": "fluxgate_session=nonsense"}):
            for method, path, operation in OPERATIONS:
                if operation.get("security") == [] or path == f"{API}/telemetry":
                    continue
                with self.subTest(f"{method} {path} {header}"):
                    api = Api(self.flux.http, header | {"Origin": f"http://{self.flux.http}"})
                    self.assertEqual(ask(api, method, path).status, 401)

    def test_a_devices_credential_is_for_telemetry_only(self):
        for token in (self.flux.device_token("walled"), self.flux.ingest_key("walled")):
            api = bearer(self.flux, token)
            for method, path, operation in OPERATIONS:
                if operation.get("security") == [] or path == f"{API}/telemetry":
                    continue
                with self.subTest(f"{method} {path}"):
                    self.assertEqual(ask(api, method, path).status, 403)
            self.assertEqual(api.post(f"{API}/telemetry", {"device": "walled", "metrics": {"v": 1}}).status, 200)

    def test_each_role_may_do_what_the_document_says_and_nothing_else(self):
        tokens = {role: log_in(self.flux, "admin" if role == "administrator" else role)["access_token"] for role in ALLOWED}
        for role, allowed in ALLOWED.items():
            for method, path, operation in OPERATIONS:
                if operation.get("security") == [] or path in (f"{API}/auth/logout", f"{API}/live/sse"):
                    continue  # the first ends the token, the second has no end; both are read elsewhere in this file
                if path == f"{API}/demo" and method != "GET" and role == "administrator":
                    continue  # would make 50 devices
                with self.subTest(f"{role}: {method} {path}"):
                    answer = ask(bearer(self.flux, tokens[role]), method, path)
                    self.assertNotEqual(answer.status, 401, answer)
                    if operation["x-permission"] in allowed:
                        self.assertNotEqual(answer.status, 403, answer)
                    else:
                        self.assertEqual(answer.status, 403, answer)
                        self.assertIn(operation["x-permission"], answer.json["error"]["message"])

    def test_a_cookie_counts_on_our_own_pages_only(self):
        admin = self.flux.administrator()
        elsewhere = Api(self.flux.http, {"Cookie": admin.headers["Cookie"], "Origin": "http://evil.example"})
        unsaid = Api(self.flux.http, {"Cookie": admin.headers["Cookie"]})
        for method, path, operation in OPERATIONS:
            if method == "GET" or operation.get("security") == [] or path == f"{API}/telemetry":
                continue
            with self.subTest(f"{method} {path}"):
                self.assertEqual(ask(elsewhere, method, path).status, 403)
                self.assertEqual(ask(unsaid, method, path).status, 403)
        self.assertEqual(WebSocket(self.flux.http, f"{API}/live", elsewhere.headers).status, 403)


class SigningOut(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        assert cls.flux.administrator().put(f"{API}/auth/password", {"new": PASSWORD}).status == 204

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def refresh(self, token: str):
        return self.flux.anonymous().post(f"{API}/auth/refresh", {"refresh_token": token})

    def test_a_token_ends_its_log_in_with_all_that_hangs_on_it(self):
        first = log_in(self.flux, "admin")
        other = log_in(self.flux, "admin")
        second = self.refresh(first["refresh_token"]).json
        api = bearer(self.flux, second["access_token"])
        live = WebSocket(self.flux.http, f"{API}/live", api.headers)
        self.assertEqual(live.status, 101)
        others = WebSocket(self.flux.http, f"{API}/live", bearer(self.flux, other["access_token"]).headers)
        stream = Stream(self.flux.http, api.headers)

        self.assertEqual(api.post(f"{API}/auth/logout").status, 204)
        self.assertIsNone(live.receive())
        self.assertEqual((live.close_code, live.close_reason), (4401, "the session has ended: sign in again"))
        self.assertIn(b"event: end\ndata: {\"error\":{\"code\":\"unauthenticated\"", stream.rest())
        for token in (first["access_token"], second["access_token"]):
            answer = bearer(self.flux, token).get(f"{API}/auth/me")
            self.assertEqual(answer.status, 401, answer)
            self.assertIn("revoked", answer.json["error"]["message"])
        self.assertEqual(self.refresh(second["refresh_token"]).status, 401)
        self.assertEqual(bearer(self.flux, other["access_token"]).get(f"{API}/auth/me").status, 200)
        others.send({"op": "ping"})
        self.assertEqual(others.receive()["op"], "pong")
        for socket_ in (live, others):
            socket_.close()

    def test_a_session_ends_with_its_live_connections(self):
        answer = self.flux.anonymous().post(f"{API}/auth/login", {"username": "admin", "password": PASSWORD, "session": True})
        cookie = answer.headers["Set-Cookie"].split(";", 1)[0]
        api = Api(self.flux.http, {"Cookie": cookie, "Origin": f"http://{self.flux.http}"})
        live = WebSocket(self.flux.http, f"{API}/live", api.headers)
        stream = Stream(self.flux.http, api.headers)
        self.assertEqual(api.post(f"{API}/auth/logout").status, 204)
        self.assertIsNone(live.receive())
        self.assertEqual(live.close_code, 4401)
        self.assertIn(b"event: end", stream.rest())
        self.assertEqual(api.get(f"{API}/auth/me").status, 401)
        live.close()

    def test_a_refresh_token_that_comes_twice_ends_its_log_in(self):
        first = log_in(self.flux, "admin")
        second = self.refresh(first["refresh_token"]).json
        self.assertEqual(self.refresh(first["refresh_token"]).status, 401)
        self.assertEqual(self.refresh(second["refresh_token"]).status, 401)
        self.assertEqual(bearer(self.flux, second["access_token"]).get(f"{API}/auth/me").status, 401)

    def test_it_stays_so_after_a_restart(self):
        with Fluxgate() as flux:
            flux.administrator().put(f"{API}/auth/password", {"new": PASSWORD})
            gone, kept = log_in(flux, "admin"), log_in(flux, "admin")
            self.assertEqual(bearer(flux, gone["access_token"]).post(f"{API}/auth/logout").status, 204)
            flux.stop()
            flux.start()
            self.assertEqual(bearer(flux, gone["access_token"]).get(f"{API}/auth/me").status, 401)
            self.assertEqual(bearer(flux, kept["access_token"]).get(f"{API}/auth/me").status, 200)

    def test_guessing_a_password_is_slowed_down(self):
        with Fluxgate() as flux:
            flux.administrator().put(f"{API}/auth/password", {"new": PASSWORD})
            attempts = [flux.anonymous().post(f"{API}/auth/login", {"username": "admin", "password": f"guess {n}"}) for n in range(8)]
            self.assertEqual([answer.status for answer in attempts[:5]], [401] * 5)
            self.assertIn(429, [answer.status for answer in attempts[5:]])
            late = next(answer for answer in attempts if answer.status == 429)
            self.assertGreaterEqual(int(late.headers["Retry-After"]), 1)


class Stream:
    """Server-sent events as bytes."""

    def __init__(self, address: str, headers: dict[str, str]):
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), timeout=LIMIT_S)
        lines = [f"GET {API}/live/sse HTTP/1.1", f"Host: {address}", "Connection: close", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.read = b""
        while b": connected" not in self.read:
            more = self.socket.recv(4096)
            assert more, self.read
            self.read += more

    def rest(self) -> bytes:
        while more := self.socket.recv(4096):
            self.read += more
        self.socket.close()
        return self.read


class Guesses(unittest.TestCase):
    def test_wrong_device_credentials_must_wait_and_right_ones_never(self):
        with Fluxgate() as flux:
            token = flux.device_token("pump-1")
            reading = {"device": "pump-1", "metrics": {"v": 1}}
            wrong = bearer(flux, "fgd_nonsense")
            answers = [wrong.post(f"{API}/telemetry", reading) for _ in range(8)]
            self.assertEqual(answers[0].status, 401)
            self.assertIn("mistyped or cut", answers[0].json["error"]["message"])
            late = next(answer for answer in answers if answer.status == 429)
            self.assertGreaterEqual(int(late.headers["Retry-After"]), 1)
            self.assertIn("mistyped or cut", late.json["error"]["message"])

            # A fleet behind the same address, while the guesses go on.
            right = bearer(flux, token)
            stop = threading.Event()
            statuses: set[int] = set()

            def keep_guessing():
                api = bearer(flux, "fgd_nonsense")
                while not stop.is_set():
                    statuses.add(api.post(f"{API}/telemetry", reading).status)

            guesser = threading.Thread(target=keep_guessing)
            guesser.start()
            try:
                for _ in range(100):
                    self.assertEqual(right.post(f"{API}/telemetry", reading).status, 200)
            finally:
                stop.set()
                guesser.join()
            self.assertLessEqual(statuses, {401, 429})
            metrics = flux.administrator().get("/metrics").body.decode()
            throttled = re.search(r'^fluxgate_ingest_sign_ins_throttled_total\{protocol="http"\} (\d+)', metrics, re.M)
            self.assertGreaterEqual(int(throttled.group(1)), 1)


class OpenMode(unittest.TestCase):
    def test_other_pages_reach_nothing(self):
        with Fluxgate("--set", "auth.mode=open") as flux:
            port = flux.http.rsplit(":", 1)[1]
            self.assertEqual(WebSocket(flux.http, f"{API}/live", {}).status, 101)
            self.assertEqual(WebSocket(flux.http, f"{API}/live", {"Origin": f"http://{flux.http}"}).status, 101)
            self.assertEqual(WebSocket(flux.http, f"{API}/live", {"Origin": "http://evil.example"}).status, 403)
            self.assertEqual(WebSocket(flux.http, f"{API}/live", {"Origin": "null"}).status, 403)
            self.assertEqual(WebSocket(flux.http, f"{API}/live", {}, host=f"evil.example:{port}").status, 403)
            api = flux.anonymous()
            # DNS that points a name of theirs to us: Host and Origin agree, and are still not ours.
            rebound = {"Host": f"evil.example:{port}", "Origin": f"http://evil.example:{port}"}
            for path in ("/", f"{API}/devices", f"{API}/live/sse", "/metrics", "/healthz"):
                with self.subTest(path):
                    self.assertEqual(api.request("GET", path, headers=rebound).status, 403)
            self.assertEqual(api.request("GET", f"{API}/live/sse", headers={"Origin": "http://evil.example"}).status, 403)
            self.assertEqual(api.post(f"{API}/telemetry", {"device": "d", "metrics": {"v": 1}}, headers=rebound).status, 403)
            self.assertEqual(api.post(f"{API}/telemetry", {"device": "d", "metrics": {"v": 1}}, headers={"Origin": "http://evil.example"}).status, 403)
            self.assertEqual(api.request("GET", f"{API}/devices", headers={"Host": f"localhost:{port}"}).status, 200)

    def test_other_addresses_are_refused(self):
        for setting in ("http.host=0.0.0.0", "http.host=::", "ingest.mqtt.host=0.0.0.0", "ingest.mqtt.host=::"):
            with self.subTest(setting):
                flux = Fluxgate("--set", "auth.mode=open", "--set", setting, start=False)
                with flux:
                    flux.launch()
                    self.assertEqual(flux.wait(), 2)
                    self.assertIn("auth.mode=open", flux.text())


if __name__ == "__main__":
    unittest.main()
