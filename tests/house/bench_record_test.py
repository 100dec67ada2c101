"""The record of benchmarks: the page is what the files say, and the files tell nothing of whose machine it was."""

import json
import re
import socket
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from room_table import ROOT

sys.path.insert(0, str(ROOT / "bench"))
import record  # noqa: E402


def entry(time: str, results: dict, changed: int = 0) -> dict:
    return {"time": time, "commit": "0123456789", "changed_files": changed, "results": results,
            "machine": {"cpu": "Some CPU", "cores": 2, "memory_gib": 7.8, "kernel": "6.1.0"}}


class Record(unittest.TestCase):
    def test_the_page_is_what_the_files_say(self):
        done = subprocess.run([sys.executable, str(ROOT / "bench" / "report.py"), "--check"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_files_name_no_machine(self):
        self.assertTrue(record.entries(), "nothing is kept")
        for path in record.FOLDER.glob("*.json"):
            text = path.read_text()
            self.assertIsNone(re.search(r'"[^"]*(?:/home/|/root|/tmp|/work|\\.local)', text), path)
            self.assertNotIn(f'"{socket.gethostname()}"', text)
            kept = json.loads(text)
            self.assertLessEqual({"time", "commit", "changed_files", "machine", "results"}, kept.keys())
            for name, result in kept["results"].items():
                self.assertIn(name, record.TITLES)
                self.assertIn(result["figure"], record.FIGURES)
                self.assertIn("load_before", result)

    def test_the_newest_comes_first_with_its_load_and_spread(self):
        start = {"seconds_until_serving": 0.2, "figure": "seconds_until_serving", "runs": 3, "load_before": 0.2,
                 "seconds_until_serving_min": 0.1, "seconds_until_serving_max": 0.3}
        page = record.page([entry("2026-01-01T00:00:00Z", {"start": start}), entry("2026-02-01T00:00:00Z", {"start": start}, 1)])
        rows = [line for line in page.splitlines() if line.startswith("| 2026")]
        self.assertEqual([row.split(" | ")[0] for row in rows], ["| 2026-02-01", "| 2026-01-01"])
        self.assertIn("`0123456789`+", rows[0])
        self.assertIn("2 × Some CPU, 7.8 GiB, Linux 6.1.0 | 0.2 | **0.2** (0.1–0.3) |", rows[1])

    def test_every_scenario_has_a_heading_and_a_figure(self):
        done = subprocess.run([sys.executable, str(ROOT / "bench" / "run.py"), "--help"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        import run
        self.assertEqual(set(run.SCENARIOS), set(record.TITLES))
        self.assertEqual(set(record.COLUMNS), set(record.TITLES))
        self.assertLessEqual({figure for _, figure in run.SCENARIOS.values()}, set(record.FIGURES))

    def test_keeping_writes_the_machine_and_the_commit(self):
        with tempfile.TemporaryDirectory() as folder:
            before, record.FOLDER = record.FOLDER, Path(folder)
            try:
                kept = json.loads(record.keep({"start": {}}).read_text())
            finally:
                record.FOLDER = before
        self.assertGreaterEqual(kept["machine"]["cores"], 1)
        self.assertTrue(kept["machine"]["cpu"])
        self.assertEqual(kept["results"], {"start": {}})


if __name__ == "__main__":
    unittest.main()
