"""Starts the real program for end-to-end tests and talks to it as its clients would.

    with Fluxgate() as flux:
        api = flux.administrator()
        api.post("/api/v1/telemetry", {...})

Every server has a folder and ports of its own, so that tests run side by side. Nothing here sleeps for a fixed time:
`wait_until` looks again until a condition holds or its (generous) limit is over, and then says what it last saw.
"""

import http.client
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import urllib.parse
from pathlib import Path

BINARY = os.environ.get("FLUXGATE", str(Path(__file__).resolve().parents[2] / "build" / "release" / "fluxgate"))
LIMIT_S = 30.0


def wait_until(look, limit: float = LIMIT_S, what: str = "the condition"):
    """Calls `look` until it gives something true, and returns that."""
    pause = threading.Event()
    end = time.monotonic() + limit
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > end:
            raise AssertionError(f"{what} did not come true within {limit:.0f} s; last seen: {seen!r}")
        pause.wait(0.01)


class Answer:
    def __init__(self, status: int, headers: http.client.HTTPMessage, body: bytes):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.body[:500]!r})"


class Api:
    """HTTP as one caller: a credential and a kept-alive connection. One thread."""

    def __init__(self, address: str, headers: dict[str, str] | None = None):
        self.address = address
        self.headers = dict(headers or {})
        self.connection = http.client.HTTPConnection(address, timeout=LIMIT_S)

    def request(self, method: str, path: str, body=None, headers: dict[str, str] | None = None, **parameters) -> Answer:
        if parameters:
            path += "?" + urllib.parse.urlencode(parameters, doseq=True)
        sent = {**self.headers, **(headers or {})}
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            sent.setdefault("Content-Type", "application/json")
        for attempt in (1, 2):
            try:
                self.connection.request(method, path, body, sent)
                response = self.connection.getresponse()
                return Answer(response.status, response.headers, response.read())
            except (http.client.RemoteDisconnected, BrokenPipeError):
                # A kept-alive connection that the server closed meanwhile: asked once more on a new one.
                self.connection.close()
                if attempt == 2:
                    raise
        raise AssertionError("unreachable")

    def get(self, path: str, **parameters) -> Answer:
        return self.request("GET", path, **parameters)

    def post(self, path: str, body=None, **named) -> Answer:
        return self.request("POST", path, body, **named)

    def put(self, path: str, body=None, **named) -> Answer:
        return self.request("PUT", path, body, **named)

    def patch(self, path: str, body=None) -> Answer:
        return self.request("PATCH", path, body)

    def delete(self, path: str) -> Answer:
        return self.request("DELETE", path)

    def close(self) -> None:
        self.connection.close()

    def __del__(self):
        self.connection.close()


class Fluxgate:
    """One server. Leaving the `with` block ends it and, unless `data_dir` was given, removes its folder."""

    def __init__(self, *arguments: str, data_dir: str | None = None, own_readings: bool = False,
                 environment: dict[str, str] | None = None, start: bool = True):
        self.temporary = tempfile.mkdtemp(prefix="fluxgate-") if data_dir is None else None
        self.data_dir = data_dir or os.path.join(self.temporary, "data")
        self.arguments = list(arguments)
        if not own_readings:
            self.arguments += ["--set", "self.enabled=false"]
        # Settings of the caller's shell are not part of a test.
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("FLUXGATE_")} | (environment or {})
        self.process: subprocess.Popen | None = None
        self.output: list[str] = []
        self.ready: dict[str, object] = {}
        self.credential: str | None = None  # of an administrator, kept over restarts
        self._reader: threading.Thread | None = None
        if start:
            self.start()

    # --- life -------------------------------------------------------------------------------------------------------

    def launch(self, *extra: str) -> None:
        """Starts the process without waiting for it."""
        self.ready_file = self.data_dir.rstrip("/") + ".ready"
        Path(self.data_dir).parent.mkdir(parents=True, exist_ok=True)
        if os.path.exists(self.ready_file):
            os.unlink(self.ready_file)
        self.output = []
        self.process = subprocess.Popen(
            [BINARY, "run", "--data-dir", self.data_dir, "--http-port", "0", "--mqtt-port", "0",
             "--ready-file", self.ready_file, *self.arguments, *extra],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=self.environment)
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout, self.output), daemon=True)
        self._reader.start()

    @staticmethod
    def _read(pipe, lines: list[str]) -> None:
        for line in pipe:
            lines.append(line.decode(errors="replace").rstrip("\n"))

    def start(self, *extra: str) -> "Fluxgate":
        self.launch(*extra)

        def is_ready() -> bool:
            if os.path.exists(self.ready_file):
                return True
            if self.process.poll() is not None:
                self._reader.join(5)
                raise AssertionError(f"fluxgate ended with {self.process.returncode} instead of serving:\n{self.text()}")
            return False

        wait_until(is_ready, what="the ready file")
        self.ready = json.loads(Path(self.ready_file).read_text())
        return self

    def kill(self) -> None:
        """kill -9, as a power switch for the process."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and waits for the drain. The exit code."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(LIMIT_S)
        self._reader.join(5)
        return code

    def wait(self, limit: float = LIMIT_S) -> int:
        code = self.process.wait(limit)
        self._reader.join(5)
        return code

    def __enter__(self) -> "Fluxgate":
        return self

    def __exit__(self, kind, *_) -> None:
        if self.process and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()
                if kind is None:
                    raise AssertionError(f"fluxgate did not end on SIGTERM:\n{self.text()}") from None
        if kind is not None and self.output:
            print("--- what fluxgate printed ---\n" + self.text())
        if self.temporary:
            shutil.rmtree(self.temporary, ignore_errors=True)

    def text(self) -> str:
        return "\n".join(self.output)

    def log(self, topic: str, *arguments: str) -> list[dict]:
        """What a topic holds, while nothing runs on the folder."""
        done = subprocess.run([BINARY, "log", topic, "--data-dir", self.data_dir, *arguments], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=LIMIT_S, env=self.environment)
        assert done.returncode == 0, done
        return [json.loads(line) for line in done.stdout.splitlines()]

    # --- addresses --------------------------------------------------------------------------------------------------

    @property
    def http(self) -> str:
        return str(self.ready["http"])

    @property
    def mqtt(self) -> tuple[str, int]:
        host, port = str(self.ready["mqtt"]).rsplit(":", 1)
        return host, int(port)

    @property
    def pid(self) -> int:
        return int(self.ready["pid"])

    # --- callers ----------------------------------------------------------------------------------------------------

    def anonymous(self) -> Api:
        return Api(self.http)

    def link_token(self) -> str:
        """The token of the one-time administrator link that the first start prints."""
        found = wait_until(lambda: re.search(r"http://\S+/welcome#token=([\w-]+)", self.text()), what="the printed link")
        return found.group(1)

    def administrator(self) -> Api:
        """An administrator with a session, as after a click on the printed link."""
        if self.credential is None:
            answer = Api(self.http).post("/api/v1/auth/link", {"token": self.link_token()})
            assert answer.status == 200, answer
            self.credential = answer.headers["Set-Cookie"].split(";", 1)[0]
        return Api(self.http, {"Cookie": self.credential, "Origin": f"http://{self.http}"})

    def device_token(self, device: str) -> str:
        """Makes the device if it is not there, and a token for it."""
        api = self.administrator()
        answer = api.post("/api/v1/devices", {"device": device})
        assert answer.status in (201, 409), answer
        answer = api.post(f"/api/v1/devices/{urllib.parse.quote(device, safe='')}/credentials", {})
        assert answer.status == 201, answer
        return answer.json["token"]

    def ingest_key(self, name: str = "tests") -> str:
        answer = self.administrator().post("/api/v1/ingest-keys", {"name": name, "create_devices": True})
        assert answer.status == 201, answer
        return answer.json["key"]

    def sender(self) -> Api:
        """HTTP with an ingest key: may report for any device."""
        return Api(self.http, {"Authorization": f"Bearer {self.ingest_key()}"})


def read_events(api: Api, path: str, wanted, **parameters):
    """Reads server-sent events until `wanted(name, data)` gives something true, and returns that."""
    query = "?" + urllib.parse.urlencode(parameters, doseq=True) if parameters else ""
    connection = http.client.HTTPConnection(api.address, timeout=LIMIT_S)
    connection.request("GET", path + query, headers={**api.headers, "Accept": "text/event-stream"})
    response = connection.getresponse()
    assert response.status == 200, (response.status, response.read())
    name, data = "message", []
    try:
        while True:
            line = response.readline().decode().rstrip("\r\n")
            if line.startswith("event:"):
                name = line[6:].strip()
            elif line.startswith("data:"):
                data.append(line[5:].strip())
            elif not line and data:
                found = wanted(name, json.loads("\n".join(data)))
                if found:
                    return found
                name, data = "message", []
    finally:
        connection.close()


def readable(stream, limit: float = LIMIT_S) -> bool:
    return bool(select.select([stream], [], [], limit)[0])
