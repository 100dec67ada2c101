"""A real InfluxDB 1.6 (Debian's package `influxdb`), to compare answers with. Everything in a folder of its own."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import urllib.parse

from e2e.harness import Answer, Api, wait_until

CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[coordinator]
[retention]
[shard-precreation]
[monitor]
  store-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  log-enabled = false
  pprof-enabled = false
[continuous_queries]
  log-enabled = false
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class InfluxServer:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix="influxdb-")
        self.log = open(os.path.join(self.folder, "log"), "wb")
        self.process = None
        # A port that was free may be taken a moment later: then the next one is tried.
        for attempt in range(5):
            if self.start():
                return
        raise AssertionError("influxd did not start:\n" + open(self.log.name, errors="replace").read()[-4000:])

    def start(self) -> bool:
        http_port, rpc_port = free_port(), free_port()
        path = os.path.join(self.folder, "influxdb.conf")
        with open(path, "w") as file:
            file.write(CONFIG.format(folder=self.folder, http=http_port, rpc=rpc_port))
        self.process = subprocess.Popen(["influxd", "-config", path], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.api = Api(f"127.0.0.1:{http_port}")

        def answers():
            if self.process.poll() is not None:
                return "ended"
            try:
                return self.api.get("/ping").status == 204
            except (ConnectionError, http.client.HTTPException, OSError):
                self.api.close()
                return False

        return wait_until(answers, what="influxd") is True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.api.close()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def query(api: Api, text: str, method: str = "GET", accept: str | None = None, **parameters) -> Answer:
    parameters = {"q": text, **parameters}
    headers = {"Accept": accept} if accept else {}
    if method == "POST":
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return api.request("POST", "/query", urllib.parse.urlencode(parameters), headers)
    return api.request("GET", "/query", None, headers, **parameters)
