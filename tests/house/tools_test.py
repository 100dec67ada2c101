"""The build's own tools: what they make, and that they do nothing twice."""

import contextlib
import gzip
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from room_table import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import test as runner  # noqa: E402


class Embed(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.web, self.out = Path(folder.name) / "web", Path(folder.name) / "out"
        (self.web / "assets").mkdir(parents=True)
        (self.web / "index.html").write_text("<!doctype html>" + "<p>hello</p>" * 100)
        (self.web / "assets" / "index-DiwrgTda.js").write_text("const a = 1;\n" * 500)
        (self.web / "logo.png").write_bytes(bytes(range(256)) * 8)

    def embed(self):
        return subprocess.run([sys.executable, str(ROOT / "tools" / "embed.py"), "--name", "web", "--out", str(self.out),
                               "--depfile", str(self.out / "web.d"), str(self.web)], capture_output=True, text=True)

    def rows(self):
        """path -> (type, immutable, identity, gzip, brotli), with the bytes cut out of the blob."""
        blob = (self.out / "web.bin").read_bytes()
        rows = {}
        for line in re.findall(r'^    \{"/.*\},$', (self.out / "web.cc").read_text(), re.MULTILINE):
            path, kind, _, immutable = re.match(r'    \{"([^"]+)", "([^"]+)", "([0-9a-f]{20})", (true|false), ', line).groups()
            spans = [blob[int(s[1]):int(s[1]) + int(s[2])] if s[1] else b""
                     for s in re.finditer(r"\{kBytes \+ (\d+), (\d+)\}|\{\}", line)]
            rows[path] = (kind, immutable == "true", *spans)
        return rows

    def test_every_form_holds_the_file(self):
        self.assertEqual(self.embed().returncode, 0)
        rows = self.rows()
        self.assertEqual(list(rows), ["/assets/index-DiwrgTda.js", "/index.html", "/logo.png"])
        for path, (_, _, identity, gz, br) in rows.items():
            content = (self.web / path[1:]).read_bytes()
            self.assertEqual(identity, content)
            if gz:
                self.assertLess(len(gz), len(content))
                self.assertEqual(gzip.decompress(gz), content)
            if br:
                plain = subprocess.run(["brotli", "-dc"], input=br, capture_output=True, check=True).stdout
                self.assertEqual(plain, content)
        self.assertTrue(rows["/index.html"][3] and rows["/index.html"][4])
        self.assertEqual(rows["/logo.png"][3:], (b"", b""), "packed formats are not packed again")
        self.assertEqual([rows[path][1] for path in rows], [True, False, False], "only hashed names are immutable")

    def test_a_second_run_rewrites_nothing(self):
        self.embed()
        before = {path.name: path.stat().st_mtime_ns for path in self.out.iterdir() if path.name.startswith("web.")}
        before.pop("web.d")
        self.assertEqual(self.embed().returncode, 0)
        after = {name: (self.out / name).stat().st_mtime_ns for name in before}
        before.pop("web.cache"), after.pop("web.cache")
        self.assertEqual(before, after)

    def test_an_unknown_type_is_named(self):
        (self.web / "what.xyz").write_text("?")
        result = self.embed()
        self.assertEqual(result.returncode, 1)
        self.assertIn("/what.xyz: no content type is known for '.xyz'", result.stderr)


class Runner(unittest.TestCase):
    """./test must count what it ran and fail when something failed, died, or nothing ran."""

    def run_file(self, text: str, name: str = "sample_test.py"):
        # Where git does not look: other tests read what it lists.
        runner.RESULTS.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(dir=runner.RESULTS)
        self.addCleanup(folder.cleanup)
        path = Path(folder.name) / name
        path.write_text(text)
        outcome = runner.run_file("sample", path, sys.executable, {"PATH": os.environ["PATH"]})
        self.addCleanup(outcome.log.unlink)
        self.addCleanup(lambda: outcome.log.with_suffix(".report").unlink(missing_ok=True))
        return outcome

    CASES = "import unittest, os\nclass T(unittest.TestCase):\n"

    def test_counts_single_cases(self):
        outcome = self.run_file(self.CASES + "  def test_a(self): pass\n  def test_b(self): self.fail()\n"
                                             "  def test_c(self): raise ValueError\n  def test_d(self): pass\n")
        self.assertEqual((outcome.passed, len(outcome.failed)), (2, 2))

    def test_a_dying_file_fails(self):
        outcome = self.run_file(self.CASES + "  def test_a(self): os._exit(7)\n")
        self.assertEqual((outcome.passed, outcome.failed), (0, ["the file itself (7)"]))

    def test_an_empty_file_fails(self):
        self.assertEqual(self.run_file("x = 1\n").failed, ["the file holds no test"])

    def test_a_broken_class_fails(self):
        outcome = self.run_file(self.CASES + "  @classmethod\n  def setUpClass(cls): raise OSError\n  def test_a(self): pass\n")
        self.assertEqual((outcome.passed, len(outcome.failed)), (0, 1))

    def test_counts_node_cases(self):
        outcome = self.run_file("import test from 'node:test';\ntest('a', () => {});\ntest('b', () => { throw new Error('no'); });\n",
                                "sample.test.mjs")
        self.assertEqual((outcome.passed, outcome.failed), (1, ["b"]))
        self.assertIn("Error: no", outcome.said["b"])

    def shown(self, *outcomes) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as out:
            runner.show_failures(list(outcomes))
        return out.getvalue()

    def test_shows_what_a_failed_case_printed_however_much_came_after_it(self):
        outcome = self.run_file(self.CASES + "  def test_a(self):\n    print('of a')\n    self.assertEqual(1, 2)\n"
                                             "  def test_b(self):\n    for i in range(500): print('of b')\n"
                                             "  def test_c(self):\n    with self.subTest(i=3): raise ValueError('of c')\n")
        shown = self.shown(outcome)
        for words in ("... of a\n", "| AssertionError: 1 != 2", "| ValueError: of c", "whole output: "):
            self.assertIn(words, shown)
        self.assertNotIn("of b", shown)

    def test_shows_the_end_of_a_file_that_died(self):
        outcome = self.run_file(self.CASES + "  def test_a(self):\n    print('last words', flush=True)\n    os._exit(7)\n")
        self.assertIn("last words", self.shown(outcome))

    GTEST = ("[ RUN      ] Log.Syncs\nfine\n[       OK ] Log.Syncs (1 ms)\n[ RUN      ] Log.Cuts\nlog_test.cc:7: Failure\n"
             "Expected equality\n[  FAILED  ] Log.Cuts (3 ms)\n" + "[ RUN      ] Log.CutsMore\n[       OK ] Log.CutsMore (0 ms)\n" * 200 +
             "[  FAILED  ] Log.Cuts\n[ RUN      ] Log.Dies/3\nlast words\n")

    def test_finds_a_case_in_the_output_of_a_room(self):
        self.assertEqual(runner.said_by_gtest(self.GTEST, "Log.Cuts").splitlines(),
                         ["[ RUN      ] Log.Cuts", "log_test.cc:7: Failure", "Expected equality", "[  FAILED  ] Log.Cuts (3 ms)"])
        self.assertEqual(runner.said_by_gtest(self.GTEST, "Log.Dies/3").splitlines(), ["[ RUN      ] Log.Dies/3", "last words"])
        self.assertEqual(runner.said_by_gtest(self.GTEST, "Log.Other"), "")

    def test_cuts_the_middle_of_a_long_case(self):
        lines = runner.shortened("\n".join(map(str, range(1000))))
        self.assertEqual((lines[0], lines[39], lines[40], lines[41], lines[-1]), ("0", "39", "... 920 lines left out", "960", "999"))
        self.assertEqual(runner.shortened("a\nb"), ["a", "b"])


class Licences(unittest.TestCase):
    def test_the_page_lists_what_the_web_app_ships(self):
        result = subprocess.run([sys.executable, str(ROOT / "tools" / "licenses.py"), "--check"], capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stderr)


class Presets(unittest.TestCase):
    def test_scripts_name_presets_that_exist(self):
        presets = {preset["name"] for preset in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]}
        text = (ROOT / "dev").read_text() + (ROOT / "tools" / "build.sh").read_text()
        used = set(re.findall(r"^\s*(?:configure|build_cpp|targets_like) ([a-z]+)\b", text, re.MULTILINE))
        self.assertTrue(used)
        self.assertLessEqual(used, presets)


if __name__ == "__main__":
    unittest.main()
