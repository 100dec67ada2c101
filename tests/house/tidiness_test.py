"""What a reader may count on in every file: a length one can hold in mind, no machine of ours in it, no waiting by the clock."""

import json
import re
import subprocess
import unittest
from urllib.parse import urlparse

from room_table import ROOT

LONGEST = 800
CODE = {".h", ".cc", ".py", ".sh", ".ts", ".tsx", ".mjs", ".js", ".css", ".cmake"}
FOLDERS = ("src/", "web/src/", "web/mock/", "tests/", "bench/", "tools/", "cmake/")
GENERATED = {"web/src/api/schema.d.ts"}
TEXT = CODE | {".md", ".txt", ".json", ".yaml", ".yml", ".html", ".toml", ""}

MACHINE_PATH = re.compile(r"(?<![\w./~-])/(?:work|root|Users/\w+|home/\w+)/")
# A client that is slow on purpose may say so on the line: `::usleep(5000);  // pace: a byte now and then`.
PACED = "// pace: "
SLEEPS = {
    "_test.cc": re.compile(r"\b(?:sleep_for|sleep_until|usleep|nanosleep)\s*\(|(?<!\w)::sleep\s*\("),
    "_test.py": re.compile(r"\btime\.sleep\s*\(|(?<![\w.])sleep\s*\("),
    ".test.mjs": re.compile(r"setTimeout\s*\(\s*(?:r|res|resolve|done)\b|waitForTimeout\s*\("),
    ".test.ts": re.compile(r"setTimeout\s*\(\s*(?:r|res|resolve|done)\b"),
    ".test.tsx": re.compile(r"setTimeout\s*\(\s*(?:r|res|resolve|done)\b"),
}


def tracked():
    """Files of the project that exist: what git holds and what it would take."""
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


class Tidiness(unittest.TestCase):
    def test_no_file_is_too_long(self):
        wrong = []
        for path in tracked():
            name = name_of(path)
            if path.suffix in CODE and name.startswith(FOLDERS) and name not in GENERATED:
                lines = path.read_bytes().count(b"\n")
                if lines > LONGEST:
                    wrong.append(f"{name}: {lines} lines")
        self.assertEqual(wrong, [], f"a file has at most {LONGEST} lines")

    def test_no_path_of_one_machine(self):
        wrong = []
        for path in tracked():
            if path.suffix not in TEXT or name_of(path).startswith("tests/testdata/"):
                continue
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                if MACHINE_PATH.search(line):
                    wrong.append(f"{name_of(path)}:{number}: {line.strip()[:100]}")
        self.assertEqual(wrong, [])

    def test_tests_wait_for_conditions(self):
        wrong = []
        for path in tracked():
            for ending, sleep in SLEEPS.items():
                if not path.name.endswith(ending):
                    continue
                for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                    if sleep.search(line) and PACED not in line and "re.compile" not in line:
                        wrong.append(f"{name_of(path)}:{number}: {line.strip()[:100]}")
        self.assertEqual(wrong, [], f"a test waits until a condition holds, never for a time (a slow client says `{PACED}…`)")

    def test_the_lock_file_names_the_public_registry(self):
        lock = ROOT / "web" / "package-lock.json"
        self.assertTrue(lock.exists())
        hosts = {urlparse(package["resolved"]).hostname for package in json.loads(lock.read_text())["packages"].values()
                 if "resolved" in package}
        self.assertEqual(hosts, set(), "a lock file says which versions, not where from")

    def test_scripts_parse(self):
        for name in ("dev", "run", "test", ".ci/run", "tools/setup.sh", "tools/build.sh"):
            checked = subprocess.run(["bash", "-n", str(ROOT / name)], capture_output=True, text=True)
            self.assertEqual(checked.stderr, "", name)

    def test_no_todo_is_left(self):
        marks = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
        wrong = []
        for path in tracked():
            if path.suffix in CODE and name_of(path).startswith(FOLDERS):
                for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                    if marks.search(line):
                        wrong.append(f"{name_of(path)}:{number}: {line.strip()[:100]}")
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
