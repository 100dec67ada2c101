#!/usr/bin/env python3
"""Builds and runs the tests of Fluxgate and adds up their cases.

Suites: `house` (tests/house), one for each C++ room (its gtest program, through ctest), `web` (vitest) and `e2e`
(tests/e2e: `*_test.py` with unittest, `*.test.mjs` with Node's runner, each file a process of its own). What a suite
printed is kept in build/tests/; what failed is shown at the end. The very last line reads `N passed, N failed`.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as xml
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "build" / "tests"
FILE_TIMEOUT_S = 1200


@dataclass
class Outcome:
    suite: str
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0
    log: Path | None = None
    # By the name of a failed case, what it alone printed: a room's output has room for thousands of others.
    said: dict[str, str] = field(default_factory=dict)

    def line(self) -> str:
        failed = f", {len(self.failed)} failed" if self.failed else ""
        return f"  {self.suite:<24} {self.passed:>5} passed{failed:<12} {self.seconds:7.1f} s"


def say(text: str) -> None:
    print(f"fluxgate: {text}", file=sys.stderr, flush=True)


def dev_step(*arguments: str) -> bool:
    return subprocess.run(["./dev", "steps", *arguments], cwd=ROOT).returncode == 0


def read_junit(path: Path) -> tuple[int, list[str], dict[str, str]]:
    """Passed count, the names of failed cases, and what each of them says, of a JUnit file."""
    passed, failed, said = 0, [], {}
    for case in xml.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            name = case.get("name", "?")
            failed.append(name)
            said[name] = "\n".join(found.text.strip("\n") for found in case if found.tag in ("failure", "error") and found.text)
        elif case.find("skipped") is None:
            passed += 1
    return passed, failed, said


def said_by_gtest(output: str, name: str) -> str:
    """From a case's `[ RUN      ]` to its verdict; to the end where the program died in it."""
    begin = re.search(rf"^\[ RUN      \] {re.escape(name)}$", output, re.MULTILINE)
    if begin is None:
        return ""
    rest = output[begin.start():]
    end = re.search(rf"^\[  (?:FAILED |SKIPPED|     OK) +\] {re.escape(name)}\b.*$", rest, re.MULTILINE)
    return rest[:end.end()] if end else rest.rstrip()


def said_by_unittest(output: str, name: str) -> str:
    """What came between the line that names a case and the next one that names one."""
    begin = re.search(rf"^{re.escape(name)} \.\.\. ", output, re.MULTILINE)
    if begin is None:
        return ""
    rest = output[begin.start():]
    end = re.search(r"^(?:\w+ \([\w.]+\)(?: \.\.\.|$)|={70}$)", rest[len(name):], re.MULTILINE)
    return rest[:len(name) + end.start()].rstrip() if end else rest.rstrip()


def shortened(text: str, most: int = 40) -> list[str]:
    """The first and last lines of a text: the first says where it went wrong, the last how it ended."""
    lines = text.splitlines()
    left_out = len(lines) - 2 * most
    return lines if left_out <= 0 else [*lines[:most], f"... {left_out} lines left out", *lines[-most:]]


def run_file(suite: str, path: Path, python: str, environment: dict[str, str]) -> Outcome:
    """One test file in a process of its own; its cases come back through a JUnit or JSON file."""
    tests = ROOT / "tests"
    name = path.relative_to(tests).as_posix() if path.is_relative_to(tests) else path.name
    outcome = Outcome(name, log=RESULTS / (name.replace("/", "-") + ".log"))
    report = outcome.log.with_suffix(".report")
    if path.suffix == ".mjs":
        command = ["node", "--test", "--test-reporter=junit", f"--test-reporter-destination={report}", str(path)]
    else:
        command = [python, str(ROOT / "tools" / "run_unittest.py"), "--report", str(report), str(path)]
    began = time.monotonic()
    with outcome.log.open("wb") as log:
        try:
            status = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=subprocess.STDOUT, timeout=FILE_TIMEOUT_S).returncode
        except subprocess.TimeoutExpired:
            status = f"no end after {FILE_TIMEOUT_S} s"
    outcome.seconds = time.monotonic() - began
    try:
        if path.suffix == ".mjs":
            outcome.passed, outcome.failed, outcome.said = read_junit(report)
        else:
            cases = json.loads(report.read_text())
            outcome.passed, outcome.failed = cases["passed"], cases["failed"]
            output = outcome.log.read_text(errors="replace")
            outcome.said = {name: f"{said_by_unittest(output, name)}\n{cases['said'].get(name, '')}".strip("\n") for name in outcome.failed}
    except (OSError, ValueError, xml.ParseError):
        pass  # it died before it could report
    if status != 0 and not outcome.failed:
        outcome.failed.append(f"the file itself ({status})")
    if not outcome.passed and not outcome.failed:
        outcome.failed.append("the file holds no test")
    return outcome


def run_files(suite: str, files: list[Path], jobs: int, python: str, environment: dict[str, str]) -> list[Outcome]:
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(lambda path: run_file(suite, path, python, environment), files))


def run_rooms(preset: str, rooms: list[str], jobs: int) -> list[Outcome]:
    """The rooms' programs through ctest; single cases are read from what gtest writes beside it."""
    folder = RESULTS / "gtest"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    junit, log = RESULTS / "ctest.xml", RESULTS / "ctest.log"
    junit.unlink(missing_ok=True)
    command = ["ctest", "--test-dir", str(ROOT / "build" / preset), "-j", str(jobs), "--output-on-failure",
               "--no-tests=ignore", "--timeout", str(FILE_TIMEOUT_S), "--output-junit", str(junit)]
    if rooms:
        command += ["-R", "^(" + "|".join(rooms) + ")$"]
    environment = {**os.environ, "GTEST_OUTPUT": f"json:{folder}/", "GTEST_COLOR": "no"}
    with log.open("wb") as out:
        status = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                                stderr=subprocess.STDOUT).returncode
    if not junit.exists():
        return [Outcome("ctest", failed=[f"ctest itself ({status})"], log=log)]
    outcomes = []
    for case in xml.parse(junit).getroot().iter("testcase"):
        room = case.get("name", "?")
        outcome = Outcome(room, seconds=float(case.get("time", "0")), log=log)
        report = folder / f"flux_{room}_test.json"
        if report.exists():
            for group in json.loads(report.read_text())["testsuites"]:
                for test in group["testsuite"]:
                    if test.get("failures"):
                        outcome.failed.append(f"{group['name']}.{test['name']}")
                    elif test.get("result") == "COMPLETED":
                        outcome.passed += 1
        elif case.get("status") != "fail":
            outcome.passed = 1
        if case.get("status") == "fail" and not outcome.failed:
            outcome.failed.append("the program itself (crash, leak or time limit)")
        if outcome.failed:
            outcome.log = RESULTS / f"{room}.log"
            output = case.findtext("system-out") or ""
            outcome.log.write_text(output)
            outcome.said = {name: said_by_gtest(output, name) for name in outcome.failed}
        outcomes.append(outcome)
    missing = set(rooms) - {outcome.suite for outcome in outcomes}
    return outcomes + [Outcome(room, failed=["no such suite"]) for room in sorted(missing)]


def run_web() -> list[Outcome]:
    if not (ROOT / "web" / "package.json").exists():
        return []
    outcome = Outcome("web", log=RESULTS / "web.log")
    report = RESULTS / "web.json"
    report.unlink(missing_ok=True)
    began = time.monotonic()
    with outcome.log.open("wb") as log:
        status = subprocess.run(["npx", "--no-install", "vitest", "run", "--reporter=default", "--reporter=json",
                                 f"--outputFile.json={report}"], cwd=ROOT / "web", stdin=subprocess.DEVNULL,
                                stdout=log, stderr=subprocess.STDOUT).returncode
    outcome.seconds = time.monotonic() - began
    if report.exists():
        for file in json.loads(report.read_text())["testResults"]:
            for case in file["assertionResults"]:
                if case["status"] == "passed":
                    outcome.passed += 1
                elif case["status"] == "failed":
                    outcome.failed.append(case["fullName"])
                    outcome.said[case["fullName"]] = "\n".join(case["failureMessages"])
    if status != 0 and not outcome.failed:
        outcome.failed.append(f"vitest itself ({status})")
    return [outcome]


def test_files(folder: str, names: list[str]) -> list[Path]:
    base = ROOT / "tests" / folder
    found = sorted([*base.rglob("*_test.py"), *base.rglob("*.test.mjs")])
    return [path for path in found if not names or any(name in path.name for name in names)]


def show_failures(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        if not outcome.failed:
            continue
        print(f"\n{outcome.suite} failed:")
        for name in outcome.failed:
            print(f"  {name}")
            for line in shortened(outcome.said.get(name, "")):
                print(f"    | {line}")
        if outcome.log and outcome.log.exists():
            if not all(outcome.said.get(name) for name in outcome.failed):
                print("  the end of its output:")
                for line in outcome.log.read_text(errors="replace").splitlines()[-60:]:
                    print(f"    | {line}")
            print(f"    whole output: {outcome.log.relative_to(ROOT)}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--venv", default="", help="folder of the Python environment of the tests")
    parser.add_argument("--preset", default="release", help="build of the rooms' programs")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("suites", nargs="*", help="house, web, e2e [file...] or rooms; all when none is named")
    options = parser.parse_args()
    suites = options.suites
    e2e_names: list[str] = []
    if suites and suites[0] == "e2e":
        suites, e2e_names = ["e2e"], suites[1:]
    rooms = [suite for suite in suites if suite not in ("house", "web", "e2e")]
    with_rooms = bool(rooms) or not suites
    wants = lambda suite: suite in suites or (not suites and options.preset == "release")

    RESULTS.mkdir(parents=True, exist_ok=True)
    python = str(Path(options.venv) / "bin" / "python") if options.venv else sys.executable
    environment = {**os.environ, "FLUXGATE": str(ROOT / "build" / "release" / "fluxgate"), "PYTHONUNBUFFERED": "1",
                   "PYTHONPATH": str(ROOT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
    began = time.monotonic()
    outcomes: list[Outcome] = []

    def keep(more: list[Outcome]) -> None:
        for outcome in more:
            print(outcome.line(), flush=True)
        outcomes.extend(more)

    if wants("house"):
        say("checking the house")
        keep(run_files("house", test_files("house", []), options.jobs, python, environment))
    built = True
    if with_rooms or wants("e2e"):
        targets = [f"flux_{room}_test" for room in rooms] or (["all"] if with_rooms else ["fluxgate"])
        if options.preset == "release":
            built = dev_step("build_web")
        built = built and dev_step("build_cpp", options.preset, *targets)
        if not built:
            keep([Outcome("build", failed=[f"{options.preset}: {' '.join(targets)}"])])
    if with_rooms and built:
        say(f"testing the rooms ({options.preset})")
        keep(run_rooms(options.preset, rooms, options.jobs))
    if wants("web"):
        say("testing the web app")
        keep(run_web())
    if wants("e2e") and built:
        files = test_files("e2e", e2e_names)
        if e2e_names and not files:
            keep([Outcome("e2e", failed=[f"no file is named like {' '.join(e2e_names)}"])])
        say(f"end to end, {len(files)} files")
        keep(run_files("e2e", files, options.jobs, python, environment))

    show_failures(outcomes)
    passed = sum(outcome.passed for outcome in outcomes)
    failed = sum(len(outcome.failed) for outcome in outcomes)
    if passed + failed == 0:
        print("no test ran")
    print(f"\nin {time.monotonic() - began:.0f} s\n{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
