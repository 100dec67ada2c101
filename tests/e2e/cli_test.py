"""The commands beside `run`: what they say to wrong words, without a server, without access, into a pipe, when interrupted."""

import csv
import io
import json
import os
import pty
import signal
import subprocess
import unittest

from e2e.harness import Api, BINARY, LIMIT_S, Fluxgate, wait_until

CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("FLUXGATE_")}


def fluxgate(*arguments: str, **named) -> subprocess.CompletedProcess:
    named.setdefault("stdin", subprocess.DEVNULL if "input" not in named else None)
    if "input" in named:
        named.pop("stdin")
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=LIMIT_S, env=CLEAN, **named)


CLIENTS = [("device", "add", "d"), ("device", "list"), ("device", "show", "d"), ("device", "delete", "d", "--yes"), ("publish", "--device", "d", "v=1"), ("query", "--device", "d"), ("tail", "--device", "d")]


class WithoutServer(unittest.TestCase):
    def refused(self, done: subprocess.CompletedProcess, code: int, *words: str) -> None:
        self.assertEqual(done.returncode, code, done)
        self.assertEqual(done.stdout, "", done)
        for word in words:
            self.assertIn(word, done.stderr)

    def test_help_and_version(self):
        for arguments in [(), ("run",), ("version",), ("config",), ("config", "check"), ("config", "print"), ("device", "add"), ("device", "list"), ("device", "show"), ("device", "delete"), ("publish",), ("query",), ("tail",), ("log",)]:
            with self.subTest(arguments):
                done = fluxgate(*arguments, "--help")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("Usage: fluxgate", done.stdout)
        self.assertRegex(fluxgate("version").stdout, r"^fluxgate \d+\.\d+\.\d+\n$")

    def test_wrong_words_are_named(self):
        self.refused(fluxgate("versio"), 2, "no command 'versio'", "did you mean 'version'?", "publish")
        self.refused(fluxgate("config", "chek"), 2, "no command 'chek'", "did you mean 'check'?")
        self.refused(fluxgate("devcie"), 2, "no command 'devcie'", "did you mean 'device'?")
        self.refused(fluxgate("device", "lst"), 2, "no command 'lst'", "did you mean 'list'?")
        self.refused(fluxgate("device"), 2, "'device' takes a command behind it: add, list, show, delete")
        self.refused(fluxgate(), 2, "'fluxgate' takes a command behind it: run, ")
        self.refused(fluxgate("run", "--bogus"), 2, "--bogus")
        self.refused(fluxgate("run", "--http-port", "abc"), 2, "http.port", "abc")
        self.refused(fluxgate("device", "add"), 2, "device")
        self.refused(fluxgate("publish", "v=1"), 2, "--device")
        # Nothing that is given is ignored.
        self.refused(fluxgate("publish", "--device", "d", input='{"v":1}'), 2, "--device", "stdin")
        self.refused(fluxgate("publish", "--time", "2026-01-01T00:00:00Z", input='{"device":"d","metrics":{"v":1}}'), 2, "--time", "stdin")
        self.refused(fluxgate("query", "--format", "xml"), 2, "xml", "csv")
        self.refused(fluxgate("tail", "--count", "x"), 2, "--count")

    def test_no_server(self):
        for command in CLIENTS:
            with self.subTest(command):
                self.refused(fluxgate(*command, "--data-dir", "/nowhere"), 1, "/nowhere/server.json", "--url")
                self.refused(fluxgate(*command, "--url", "http://127.0.0.1:1"), 1, "http://127.0.0.1:1")

    def test_output_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            for arguments in (("version",), ("config", "print")):
                done = subprocess.run([BINARY, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT_S, env=CLEAN)
                self.assertEqual(done.returncode, 1, arguments)
                self.assertIn("cannot be written", done.stderr)


class WithServer(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.where = ("--data-dir", cls.flux.data_dir)

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def test_a_wrong_token_is_refused(self):
        for command in CLIENTS:
            with self.subTest(command):
                done = fluxgate(*command, "--url", f"http://{self.flux.http}", "--token", "wrong")
                self.assertEqual((done.returncode, done.stdout), (1, ""), done)
                self.assertIn("token", done.stderr)

    def test_what_the_server_refuses_is_named(self):
        for arguments, field in [(("device", "add", "a/b"), "device"), (("publish", "--device", "d", "--time", "soon", "v=1"), "time"),
                                 (("query", "--window", "1x"), "window"), (("query", "--limit", "0"), "limit")]:
            with self.subTest(arguments):
                done = fluxgate(*arguments, *self.where)
                self.assertEqual(done.returncode, 2, done)
                self.assertIn(f"fluxgate: {field}: ", done.stderr)

    def test_devices_are_listed_shown_and_deleted(self):
        for name in ("fan-1", "fan-2"):
            self.assertEqual(fluxgate("device", "add", name, "--name", f"Fan of {name}", "--label", "kind=fan", *self.where).returncode, 0)
        listed = fluxgate("device", "list", "--label", "kind=fan", *self.where)
        self.assertEqual((listed.returncode, listed.stderr), (0, ""), listed)
        self.assertEqual([line.split()[0] for line in listed.stdout.splitlines()], ["device", "fan-1", "fan-2"])
        self.assertIn("Fan of fan-1, kind=fan", listed.stdout)
        lines = fluxgate("device", "list", "--label", "kind=fan", "--json", *self.where).stdout.splitlines()
        self.assertEqual([json.loads(line)["device"] for line in lines], ["fan-1", "fan-2"])
        self.assertEqual(fluxgate("device", "list", "--label", "kind=none", *self.where).stderr, "no device matches\n")
        self.assertEqual(fluxgate("publish", "--device", "fan-1", "rpm=1200", "mode=\x1b[2J", *self.where).returncode, 0)
        shown = wait_until(lambda: (lambda done: done if "rpm" in done.stdout else None)(fluxgate("device", "show", "fan-1", *self.where)))
        self.assertRegex(shown.stdout, r"(?m)^  rpm +1200(\.0)?  at ")
        self.assertIn("\\u001b[2J", shown.stdout)
        self.assertNotIn("\x1b", shown.stdout)
        self.assertEqual(json.loads(fluxgate("device", "show", "fan-1", "--json", *self.where).stdout)["latest"]["rpm"]["value"], 1200)

        for command in ("show", "delete"):
            missed = fluxgate("device", command, "fan-11", *self.where)
            self.assertEqual((missed.returncode, missed.stdout), (1, ""))
            self.assertIn("there is no device 'fan-11'; did you mean 'fan-1'?", missed.stderr)
        unasked = fluxgate("device", "delete", "fan-2", *self.where)
        self.assertEqual(unasked.returncode, 2)
        self.assertIn("--yes", unasked.stderr)
        self.assertEqual(fluxgate("device", "show", "fan-2", *self.where).returncode, 0)
        for word, deleted in (("", False), ("n", False), ("y", True)):
            fluxgate("device", "add", "fan-3", *self.where)
            ours, theirs = pty.openpty()
            os.write(ours, f"{word}\n".encode())
            asked = fluxgate("device", "delete", "fan-3", *self.where, stdin=theirs)
            os.close(ours)
            os.close(theirs)
            self.assertIn("Delete device 'fan-3'?", asked.stderr)
            self.assertEqual(asked.returncode, 0 if deleted else 1)
            self.assertEqual(fluxgate("device", "show", "fan-3", *self.where).returncode, 1 if deleted else 0)
        self.assertEqual(fluxgate("device", "delete", "fan-2", "--yes", *self.where).stdout, "deleted fan-2\n")
        self.assertEqual(fluxgate("device", "show", "fan-2", *self.where).returncode, 1)

    def test_a_second_token_is_told(self):
        first = fluxgate("device", "add", "twice", *self.where)
        self.assertEqual((first.returncode, first.stderr), (0, ""))
        second = fluxgate("device", "add", "twice", *self.where)
        self.assertEqual(second.returncode, 0)
        self.assertIn("was there before: this is another token", second.stderr)

    def test_names_that_nobody_knows_are_told(self):
        self.assertEqual(fluxgate("publish", "--device", "known-1", "temperature=21.5", "mode=auto", *self.where).returncode, 0)
        wait_until(lambda: "mode" in fluxgate("device", "show", "known-1", *self.where).stdout, what="the device's metrics")
        wrong = fluxgate("query", "--device", "knwon-1", *self.where)
        self.assertEqual((wrong.returncode, wrong.stdout), (1, ""), wrong)
        self.assertIn("there is no device 'knwon-1'; did you mean 'known-1'?", wrong.stderr)
        wrong = fluxgate("query", "--device", "known-1", "--metric", "temprature", *self.where)
        self.assertEqual((wrong.returncode, wrong.stdout), (1, ""), wrong)
        self.assertIn("has no metric 'temprature'; did you mean 'temperature'?", wrong.stderr)
        wrong = fluxgate("query", "--metric", "temprature", *self.where)
        self.assertEqual(wrong.returncode, 1)
        self.assertIn("no device has a metric 'temprature'; did you mean 'temperature'?", wrong.stderr)
        empty = fluxgate("query", "--device", "known-1", "--metric", "temperature", "--to", "2000-01-01T00:00:00Z", *self.where)
        self.assertEqual((empty.returncode, empty.stderr), (0, "no readings match\n"))
        # Text among numbers is left out unless it was named.
        some = fluxgate("query", "--device", "known-1", "--from=-1h", "--window", "1m", "--aggregate", "mean,max", *self.where)
        self.assertEqual(some.returncode, 0, some)
        self.assertIn("known-1 temperature", some.stdout)
        self.assertIn("left out, being text: mode", some.stderr)
        named = fluxgate("query", "--device", "known-1", "--metric", "mode", "--from", "-1h", "--window", "1m", "--aggregate", "mean", *self.where)
        self.assertEqual(named.returncode, 2)
        self.assertIn("count, first and last", named.stderr)
        tail = subprocess.Popen([BINARY, "tail", "--device", "known-2", "-n", "1", *self.where], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN)
        self.assertEqual(tail.stderr.readline(), "there is no device 'known-2'; did you mean 'known-1'? (waiting for its first reading)\n")
        wait_until(lambda: fluxgate("publish", "--device", "known-2", "v=7", *self.where).returncode == 0 and tail.poll() is not None, what="the end of the tail")
        self.assertEqual((tail.wait(LIMIT_S), tail.communicate()[0].count("known-2  v  7")), (0, 1))

    def test_a_tail_ends_when_interrupted_and_says_when_the_server_did(self):
        def start(flux: Fluxgate) -> subprocess.Popen:
            fluxgate("device", "add", "t", "--data-dir", flux.data_dir)
            tail = subprocess.Popen([BINARY, "tail", "--device", "t", "--data-dir", flux.data_dir], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN)
            os.set_blocking(tail.stdout.fileno(), False)

            def seen():
                fluxgate("publish", "--device", "t", "v=5", "--data-dir", flux.data_dir)
                return tail.stdout.readline()

            self.assertIn("  t  v  5", wait_until(seen, what="a reading in the tail"))
            return tail

        for number in (signal.SIGINT, signal.SIGTERM):
            tail = start(self.flux)
            tail.send_signal(number)
            self.assertEqual((tail.wait(LIMIT_S), tail.communicate()[1]), (0, ""))
        with Fluxgate() as other:
            tail = start(other)
            other.stop()
            self.assertEqual(tail.wait(LIMIT_S), 1)
            self.assertIn("ended the stream", tail.communicate()[1])

    def test_what_devices_send_does_not_steer_the_terminal(self):
        sender = Api(self.flux.http, {"Authorization": f"Bearer {self.flux.ingest_key('terminal')}"})
        evil = "\x1b]0;pwned\x07\x1b[2J\u009b31m\u202e"
        metrics = {"x": evil, "=cmd()": "=1+1", "minus": -1, "quoted,\"": "a\nb"}
        sent = sender.post("/api/v1/telemetry", {"device": "steers", "metrics": metrics})
        self.assertEqual((sent.status, sent.json["accepted"]), (200, 4), sent)
        ask = ("query", "--device", "steers", "--from", "-1h", *self.where)
        wait_until(lambda: fluxgate(*ask).stdout.count("steers") == 4, what="all metrics")
        spelled = "\\u001b]0;pwned\\u0007\\u001b[2J\\u009b31m\\u202e"
        table = fluxgate(*ask).stdout
        self.assertIn(spelled, table)
        self.assertIn("a\\u000ab", table)
        answer = fluxgate(*ask, "--format", "json").stdout
        found = {series["metric"]: series["points"][0][1] for series in json.loads(answer)["series"]}
        self.assertEqual(found, metrics)
        tail = subprocess.Popen([BINARY, "tail", "--device", "steers", "--count", "4", *self.where], stdout=subprocess.PIPE, text=True, env=CLEAN)
        self.addCleanup(tail.stdout.close)
        lines = []

        def heard():
            sender.post("/api/v1/telemetry", {"device": "steers", "metrics": metrics})
            return tail.poll() is not None

        wait_until(heard, what="the end of tail")
        lines = tail.stdout.read()
        self.assertIn(spelled, lines)
        # Names that people give go the same ways, and what is said on stderr too.
        odd = "odd\u202e"
        named = self.flux.administrator().patch("/api/v1/devices/steers", {"name": evil, "labels": {"of": evil}})
        self.assertEqual(named.status, 200, named)
        sent = sender.post("/api/v1/telemetry", {"device": "steers", "metrics": {odd: "text"}})
        self.assertEqual((sent.status, sent.json["accepted"]), (200, 1), sent)
        wait_until(lambda: fluxgate(*ask, "--metric", odd).stdout.count("steers") == 1, what="the odd metric")
        said = [fluxgate("device", "list", *self.where).stdout, fluxgate("device", "list", "--json", *self.where).stdout,
                fluxgate("device", "show", "steers", *self.where).stdout, fluxgate("device", "show", "steers", "--json", *self.where).stdout,
                fluxgate(*ask, "--window", "1m", "--aggregate", "mean").stderr, fluxgate("device", "show", "steer\x1b[2J", *self.where).stderr]
        for text, wanted in zip(said, (spelled, spelled, spelled, spelled, "odd\\u202e, ", "steer\\u001b[2J")):
            self.assertIn(wanted, text)
        for text in (table, answer, lines, *said):
            for sign in "\x1b\x07\u009b\u202e\x7f":
                self.assertNotIn(sign, text)
        rows = list(csv.reader(io.StringIO(subprocess.run([BINARY, *ask, "--format", "csv"], capture_output=True, env=CLEAN).stdout.decode(), newline="")))
        self.assertEqual({row[1]: row[3] for row in rows[1:]},
                         {"x": evil, "'=cmd()": "'=1+1", "minus": "-1", "quoted,\"": "a\nb", odd: "text"})

    def test_into_a_pipe_that_closes(self):
        sender = self.flux.sender()
        sender.post("/api/v1/telemetry", {"device": "pipe", "readings": [{"time": 1767225600 + i, "metrics": {"v": i}} for i in range(20_000)]})
        every = ("query", "--device", "pipe", "--format", "csv", "--limit", "all", *self.where)
        wait_until(lambda: fluxgate(*every).stdout.count("\n") == 20_001, what="all rows")
        some = fluxgate("query", "--device", "pipe", "--format", "csv", *self.where)
        self.assertEqual((some.returncode, some.stdout.count("\n")), (0, 10_001))
        for words in ("there is more", "first 10000 points", "--limit all"):
            self.assertIn(words, some.stderr)
        few = fluxgate("query", "--device", "pipe", "--format", "csv", "--limit", "5", *self.where)
        self.assertEqual((few.stdout.count("\n"), few.stderr), (6, ""))
        query = subprocess.Popen([BINARY, *every], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=CLEAN)
        self.assertEqual(query.stdout.readline(), "device,metric,time,value\n")
        query.stdout.close()
        self.assertIn(query.wait(LIMIT_S), (1, -signal.SIGPIPE))


if __name__ == "__main__":
    unittest.main()
