#!/usr/bin/env python3
"""Compares what forwarding MQTT messages costs Fluxgate and mosquitto, in turn on this machine, and prints one JSON object:
`./dev bench mqtt [--runs N] [--mosquitto PROGRAM]`. Nothing but forwarding: clean sessions, no persistence, no readings.

Figures are messages of 100 bytes per CPU second of the server; the median of the runs, with the spread. `idle` is what
connected clients with one subscription each take of memory and CPU.
"""

import argparse
import json
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from run import ROOT, Server


class Mosquitto:
    def __init__(self, program: str):
        self.folder = tempfile.TemporaryDirectory(prefix="mosquitto-bench-")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        config = Path(self.folder.name) / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\nmax_queued_messages 0\n"
                          f"{'user root' if os.getuid() == 0 else ''}\n")
        self.process = subprocess.Popen([program, "-c", config], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.mqtt = f"127.0.0.1:{port}"
        pause = threading.Event()
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                return
            except ConnectionRefusedError:
                if self.process.poll() is not None:
                    sys.exit("mosquitto did not start")
                pause.wait(0.01)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)
        self.folder.cleanup()


def measure(options, server: str, *arguments: str) -> dict:
    if server == "mosquitto":
        running = Mosquitto(options.mosquitto)
    else:
        running = Server(options.binary, "--set", "self.enabled=false", "--set", "ingest.mqtt.broker.sys_interval=0s")
    with running:
        address = running.mqtt if server == "mosquitto" else running.ready["mqtt"]
        done = subprocess.run([options.binary.parent / "flux_mqtt_forward", "--mqtt", address, "--pid", str(running.process.pid), *arguments],
                              capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{server}: {done.stderr}")
        return json.loads(done.stdout)


def summary(runs: list[dict], figure: str) -> dict:
    values = sorted(run[figure] for run in runs)
    return {"median": round(statistics.median(values)), "from": round(values[0]), "to": round(values[-1])}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "fluxgate")
    parser.add_argument("--mosquitto", default=shutil.which("mosquitto") or "/usr/sbin/mosquitto")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--clients", type=int, default=10_000)
    options = parser.parse_args()
    if not os.access(options.mosquitto, os.X_OK):
        sys.exit("there is no mosquitto to compare with: install Debian's package, or name the program with --mosquitto")
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    scenarios = {
        "qos_0": ("messages_per_cpu_s", ["--qos", "0", "--messages", str(options.messages)]),
        "qos_1": ("messages_per_cpu_s", ["--qos", "1", "--messages", str(options.messages // 2)]),
        "connects": ("connects_per_cpu_s", ["--idle", str(options.clients)]),
    }
    found: dict = {}
    for name, (figure, arguments) in scenarios.items():
        runs: dict = {"fluxgate": [], "mosquitto": []}
        for _ in range(options.runs):
            for server, measured in runs.items():
                measured.append(measure(options, server, *arguments))
        found[name] = {server: summary(measured, figure) for server, measured in runs.items()}
        found[name]["ratio"] = round(found[name]["fluxgate"]["median"] / found[name]["mosquitto"]["median"], 2)
        if name == "connects":
            found["bytes_per_client"] = {server: summary(measured, "bytes_per_client") for server, measured in runs.items()}
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
