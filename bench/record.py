"""The record of results: JSON files in bench/results/, and the page bench/results.md that is made from them.

A file holds one run of bench/run.py: what the machine was (no name, no paths), which commit, and each scenario's figures with
how busy the machine was before it. `report.py` turns all of them into the page.
"""

import datetime
import json
import os
import platform
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "bench" / "results"
PAGE = ROOT / "bench" / "results.md"

# Of each scenario, what the page shows beside the figure that its runs are ordered by: key of the result, heading.
COLUMNS = {
    "start": [],
    "idle": [("cpu_percent_of_a_core", "CPU, % of a core")],
    "http": [("readings_per_s", "wall clock, readings/s"), ("peak_memory_mb", "memory, MB")],
    "http_wide": [("readings_per_s", "wall clock, readings/s"), ("peak_memory_mb", "memory, MB")],
    "mqtt": [("readings_per_s", "wall clock, readings/s"), ("peak_memory_mb", "memory, MB")],
    "line_cpu": [("readings_per_s", "wall clock, readings/s"), ("peak_memory_mb", "memory, MB")],
    "line_iot": [("readings_per_s", "wall clock, readings/s"), ("peak_memory_mb", "memory, MB")],
    "store_cpu": [("values_per_cpu_s", "values per CPU second, loaded"), ("values_per_cpu_s_with_merge", "with the merge"), ("peak_memory_mb", "memory, MB")],
    "store_iot": [("values_per_cpu_s", "values per CPU second, loaded"), ("values_per_cpu_s_with_merge", "with the merge"), ("peak_memory_mb", "memory, MB")],
    "browser_http": [("p50_ms", "p50, ms"), ("published", "values"), ("lost", "lost")],
    "browser_mqtt": [("p50_ms", "p50, ms"), ("published", "values"), ("lost", "lost")],
    "build": [],
}
FIGURES = {
    "seconds_until_serving": "s until serving",
    "memory_mb": "memory, MB",
    "readings_per_cpu_s": "readings per CPU second of the server",
    "p99_ms": "p99, ms",
    "seconds": "s",
    "bytes_per_value": "bytes per value on disk, merged, index included",
}
TITLES = {
    "start": "Start on an empty folder",
    "idle": "Idle",
    "http": "HTTP, JSON in batches of 100 readings of one value",
    "http_wide": "HTTP, JSON in batches of 100 readings, wide ones",
    "mqtt": "MQTT QoS 1, single messages of one value over 50 connections",
    "line_cpu": "Line protocol, tsbs-cpu-only-24h",
    "line_iot": "Line protocol, tsbs-iot-24h",
    "store_cpu": "Store, tsbs-cpu-only-24h loaded and merged to the end",
    "store_iot": "Store, tsbs-iot-24h loaded and merged to the end",
    "browser_http": "Publish by HTTP until painted in Chromium",
    "browser_mqtt": "Publish by MQTT QoS 1 until painted in Chromium",
    "build": "Clean release build",
}


def git(*arguments: str) -> str:
    done = subprocess.run(["git", "-C", ROOT, *arguments], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def machine() -> dict:
    """What figures depend on, and nothing that tells which machine it was."""
    cpu = memory = ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal"):
            memory = round(int(line.split()[1]) / 1024 ** 2, 1)
    return {"cpu": cpu or platform.machine(), "cores": os.cpu_count(), "memory_gib": memory, "kernel": platform.release().split("-")[0]}


def commit() -> dict:
    changed = [line for line in git("status", "--porcelain").splitlines() if not line[3:].startswith("bench/results")]
    return {"commit": git("rev-parse", "--short=10", "HEAD"), "changed_files": len(changed)}


def keep(results: dict) -> Path:
    now = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0)
    entry = {"time": now.isoformat().replace("+00:00", "Z"), **commit(), "machine": machine(), "results": results}
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{now:%Y-%m-%dT%H%M%SZ}-{entry['commit']}.json"
    path.write_text(json.dumps(entry, indent=1) + "\n")
    return path


def number(value) -> str:
    if isinstance(value, float) and value < 1000:
        return f"{value:g}"
    return f"{value:,.0f}" if isinstance(value, (int, float)) else str(value)


def page(entries: list[dict]) -> str:
    """The newest first. What a busy machine measured stands there with its load."""
    entries = sorted(entries, key=lambda entry: entry["time"], reverse=True)
    lines = ["# Results", "",
             "Made by `./dev bench report` from the files in `bench/results/`, which `./dev bench server --record` writes. The figure is the",
             "median run's, in brackets the span of all runs; the load is the machine's (average of 1 minute) before the scenario: of other",
             "work, and of the scenario before. A commit with `+` had uncommitted changes.", ""]
    for scenario, title in TITLES.items():
        found = [(entry, entry["results"][scenario]) for entry in entries if scenario in entry["results"]]
        found = [(entry, result) for entry, result in found if "skipped" not in result]
        if not found:
            continue
        figure = found[0][1]["figure"]
        columns = COLUMNS[scenario]
        lines += [f"## {title}", "",
                  f"| date | commit | machine | load | {' | '.join([FIGURES[figure], *(heading for _, heading in columns)])} |",
                  "|---" * (5 + len(columns)) + "|"]
        for entry, result in found:
            where = entry["machine"]
            span = f" ({number(result[figure + '_min'])}–{number(result[figure + '_max'])})" if result["runs"] > 1 else ""
            cells = [entry["time"][:10], f"`{entry['commit']}`" + ("+" if entry["changed_files"] else ""),
                     f"{where['cores']} × {where['cpu']}, {where['memory_gib']:g} GiB, Linux {where['kernel']}",
                     f"{result['load_before']:g}", f"**{number(result[figure])}**{span}",
                     *(number(result.get(key, "")) for key, _ in columns)]
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    return "\n".join(lines)


def entries() -> list[dict]:
    return [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
