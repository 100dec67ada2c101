#!/usr/bin/env python3
"""Measures a built Fluxgate and prints one JSON object: `bench/run.py [start] [idle] [http] …` (all but `build` by default).

Every scenario starts a server of its own on an empty folder. Figures of load are per CPU second of the server, since
wall-clock rates on a small machine count the load generator too; both are given. `--runs N` repeats, and the median run
(by the figure named in the scenario) is reported with the spread. `--record` keeps the results in bench/results/ and brings
bench/results.md up to date.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import record

ROOT = Path(__file__).resolve().parent.parent
TICKS = os.sysconf("SC_CLK_TCK")


class Server:
    def __init__(self, binary: Path, *arguments: str):
        self.folder = tempfile.TemporaryDirectory(prefix="fluxgate-bench-")
        ready = Path(self.folder.name) / "ready.json"
        began = time.monotonic()
        self.process = subprocess.Popen(
            [binary, "run", "--data-dir", f"{self.folder.name}/data", "--http-port", "0", "--mqtt-port", "0", "--ready-file", ready,
             "--set", "auth.mode=open", "--set", "log.level=warn", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        pause = threading.Event()
        while not ready.exists():
            if self.process.poll() is not None:
                sys.exit("the server did not start")
            pause.wait(0.002)
        self.start_seconds = time.monotonic() - began
        self.ready = json.loads(ready.read_text())

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def memory_mb(self) -> float:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) / 1024
        return 0.0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.folder.cleanup()


def scenario_start(options) -> dict:
    with Server(options.binary) as server:
        return {"seconds_until_serving": round(server.start_seconds, 3)}


def scenario_idle(options) -> dict:
    """Memory and CPU of a server that nobody talks to but the machine itself, over `--idle-seconds`."""
    with Server(options.binary) as server:
        pause = threading.Event()
        pause.wait(5)  # past the start's own work
        before, began = server.cpu_seconds(), time.monotonic()
        pause.wait(options.idle_seconds)
        return {"memory_mb": round(server.memory_mb(), 1),
                "cpu_percent_of_a_core": round(100 * (server.cpu_seconds() - before) / (time.monotonic() - began), 2)}


def load(options, *arguments: str) -> dict:
    with Server(options.binary, "--set", "self.enabled=false") as server:
        done = subprocess.run([options.binary.parent / "flux_load", "--http", server.ready["http"], "--mqtt", server.ready["mqtt"],
                               "--pid", str(server.process.pid), *arguments], capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(done.stderr)
        return {**json.loads(done.stdout), "peak_memory_mb": round(server.memory_mb(), 1)}


def scenario_http(options) -> dict:
    return load(options, "--mode", "http", "--readings", str(options.readings), "--connections", "8", "--batch", "100")


def scenario_http_wide(options) -> dict:
    return load(options, "--mode", "http", "--readings", str(options.readings), "--connections", "8", "--batch", "100", "--shape", "wide")


def scenario_mqtt(options) -> dict:
    return load(options, "--mode", "mqtt", "--readings", str(options.readings // 3), "--connections", "50", "--in-flight", "100")


def browser(options, via: str) -> dict:
    done = subprocess.run(["node", ROOT / "bench" / "browser_latency.mjs", "--via", via, "--count", str(options.published), "--binary", options.binary],
                          capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr)
    return json.loads(done.stdout)


def scenario_browser_http(options) -> dict:
    """From the publish until the chart of the device's page has painted the value, in a real browser."""
    return browser(options, "http")


def scenario_browser_mqtt(options) -> dict:
    return browser(options, "mqtt")


def scenario_build(options) -> dict:
    """A clean release build: no object is there, and none is taken from ccache. The web app is built before."""
    with tempfile.TemporaryDirectory(prefix="fluxgate-build-") as folder:
        began = time.monotonic()
        for command in (["cmake", "--preset", "release", "-S", ROOT, "-B", folder],
                        ["cmake", "--build", folder, "--target", "fluxgate", "-j", os.environ.get("FLUX_JOBS", str(os.cpu_count()))]):
            done = subprocess.run(command, cwd=ROOT, env=os.environ | {"CCACHE_DISABLE": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            if done.returncode != 0:
                sys.exit(done.stdout[-4000:])
        return {"seconds": round(time.monotonic() - began, 1)}


def line_file(options, name: str) -> dict:
    """Line protocol of `--data`, unpacked first, so that neither server nor generator pays for that."""
    packed = options.data / f"{name}.lp.zst" if options.data else None
    if packed is None or not packed.exists():
        return {"skipped": f"--data names no folder with {name}.lp.zst", "readings_per_cpu_s": 0}
    with tempfile.NamedTemporaryFile(suffix=".lp") as plain:
        subprocess.run(["zstd", "-dc", "--long=27", packed], stdout=plain, check=True)
        return load(options, "--mode", "line", "--file", plain.name, "--connections", "4", "--batch", str(options.lines))


def scenario_line_cpu(options) -> dict:
    return line_file(options, "tsbs-cpu-only-24h")


def scenario_line_iot(options) -> dict:
    return line_file(options, "tsbs-iot-24h")


def folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def store_file(options, name: str) -> dict:
    """Line protocol until queryable, then merged to the end: what lies on disk (index included, the log apart), and the server's CPU."""
    packed = options.data / f"{name}.lp.zst" if options.data else None
    if packed is None or not packed.exists():
        return {"skipped": f"--data names no folder with {name}.lp.zst", "bytes_per_value": 0}
    with tempfile.NamedTemporaryFile(suffix=".lp") as plain, Server(options.binary, "--set", "self.enabled=false") as server:
        subprocess.run(["zstd", "-dc", "--long=27", packed], stdout=plain, check=True)
        data = f"{server.folder.name}/data"

        def run(*command) -> dict:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                sys.exit(done.stderr)
            return json.loads(done.stdout)

        run(options.binary.parent / "flux_load", "--http", server.ready["http"], "--mqtt", server.ready["mqtt"], "--pid", str(server.process.pid),
            "--mode", "line", "--file", plain.name, "--connections", "4", "--batch", str(options.lines))
        loaded = server.cpu_seconds()
        run(options.binary, "store", "merge", "--wait", "--json", "--data-dir", data)
        merged = server.cpu_seconds()
        report = run(options.binary, "store", "stat", "--json", "--data-dir", data)
        on_disk = folder_bytes(Path(data) / "series")
        return {"values": report["values"], "bytes": on_disk, "bytes_per_value": round(on_disk / report["values"], 4),
                "coded_bytes": report["coded"]["bytes"], "time_bytes": report["times"]["bytes"], "rollup_bytes": report["rollups"]["bytes"],
                "index_bytes": report["index_bytes"], "log_bytes": folder_bytes(Path(data) / "log"),
                "load_cpu_s": round(loaded, 2), "merge_cpu_s": round(merged - loaded, 2), "peak_memory_mb": round(server.memory_mb(), 1),
                "values_per_cpu_s": round(report["values"] / loaded), "values_per_cpu_s_with_merge": round(report["values"] / merged)}


def scenario_store_cpu(options) -> dict:
    return store_file(options, "tsbs-cpu-only-24h")


def scenario_store_iot(options) -> dict:
    return store_file(options, "tsbs-iot-24h")


SCENARIOS = {"start": (scenario_start, "seconds_until_serving"), "idle": (scenario_idle, "memory_mb"),
             "http": (scenario_http, "readings_per_cpu_s"), "http_wide": (scenario_http_wide, "readings_per_cpu_s"),
             "mqtt": (scenario_mqtt, "readings_per_cpu_s"), "browser_http": (scenario_browser_http, "p99_ms"),
             "browser_mqtt": (scenario_browser_mqtt, "p99_ms"), "build": (scenario_build, "seconds"),
             "line_cpu": (scenario_line_cpu, "readings_per_cpu_s"), "line_iot": (scenario_line_iot, "readings_per_cpu_s"),
             "store_cpu": (scenario_store_cpu, "bytes_per_value"), "store_iot": (scenario_store_iot, "bytes_per_value")}
# Their figure needs no repetition, or takes too long for one.
ONCE = ("idle", "build")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scenarios", nargs="*", choices=[*SCENARIOS, []], help="all when none is named")
    parser.add_argument("--binary", type=Path, default=ROOT / "build" / "release" / "fluxgate")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--readings", type=int, default=3_000_000)
    parser.add_argument("--data", type=Path, help="folder of tsbs-cpu-only-24h.lp.zst and tsbs-iot-24h.lp.zst, for line_… and store_…")
    parser.add_argument("--lines", type=int, default=5_000, help="lines in one body of line_… and store_…")
    parser.add_argument("--idle-seconds", type=float, default=30)
    parser.add_argument("--record", action="store_true", help="keep the results in bench/results/")
    parser.add_argument("--published", type=int, default=300, help="values in a browser scenario")
    options = parser.parse_args()
    results = {}
    for name in options.scenarios or [name for name in SCENARIOS if name != "build"]:
        run, figure = SCENARIOS[name]
        load_before = round(os.getloadavg()[0], 2)  # figures of a busy machine say little
        runs = sorted((run(options) for _ in range(1 if name in ONCE else options.runs)), key=lambda result: result[figure])
        values = [result[figure] for result in runs]
        results[name] = {**runs[len(runs) // 2], "load_before": load_before, "figure": figure, "runs": len(runs), f"{figure}_min": min(values), f"{figure}_max": max(values),
                         f"{figure}_median": round(statistics.median(values), 3)}
        print(f"{name}: {figure} {values}", file=sys.stderr)
    print(json.dumps({"cores": os.cpu_count(), "results": results}, indent=1))
    if options.record:
        kept = record.keep(results)
        record.PAGE.write_text(record.page(record.entries()))
        print(f"kept as {kept.relative_to(ROOT)}", file=sys.stderr)


if __name__ == "__main__":
    main()
