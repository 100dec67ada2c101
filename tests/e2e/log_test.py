"""The log of a stopped server: what `fluxgate log` prints of it, and what a start says when some of it is gone."""

import contextlib
import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

from e2e.harness import BINARY, LIMIT_S, Api, Fluxgate, wait_until
from e2e.load import BASE, await_processed


def fluxgate_log(*arguments: str) -> subprocess.CompletedProcess:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FLUXGATE_")}
    return subprocess.run([BINARY, "log", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL,
                          timeout=LIMIT_S, env=clean)


@contextlib.contextmanager
def filled(*arguments: str):
    """A server that has stopped, with readings of two devices; one of them is set up."""
    with Fluxgate(*arguments) as flux:
        fill(flux)
        yield flux


def fill(flux: Fluxgate) -> None:
    admin = flux.administrator()
    profile = {"profile": "pump", "labels": {"kind": "pump"}, "metrics": [{"name": "temperature", "unit": "°C", "max": 100}]}
    assert admin.post("/api/v1/profiles", profile).status == 201
    device = {"device": "pump-1", "name": "The pump", "profile": "pump", "labels": {"site": "Süd"},
              "location": {"lat": 52.5, "lon": 13.25, "place": "Hall 3"}}
    made = admin.post("/api/v1/devices", device)
    assert made.status == 201, made
    flux.stop()  # what was set up is in force from here on
    flux.start()
    sender = Api(flux.http, {"Authorization": f"Bearer {flux.ingest_key()}"})
    for n, metrics in enumerate([{"temperature": 21.5, "mode": "auto\x1b[2J"}, {"temperature": 1000, "on": True}, {"temperature": 22}]):
        assert sender.post("/api/v1/telemetry", {"device": "pump-1", "time": BASE + n, "metrics": metrics}).status == 200
    assert sender.post("/api/v1/telemetry", {"device": "other", "time": BASE, "metrics": {"v": 1}}).status == 200
    await_processed(flux.administrator())
    assert flux.stop() == 0


class Log(unittest.TestCase):
    def test_prints_what_a_topic_holds(self):
        with filled("--set", "process.processed_data.enabled=true") as flux:
            rows = flux.log("processed-data", "--device", "pump-1")
            self.assertEqual([row["time"] for row in rows], ["2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z", "2026-01-01T00:00:02Z"])
            self.assertEqual([row["metrics"] for row in rows],
                             [{"temperature": {"value": 21.5, "unit": "°C"}, "mode": {"value": "auto\x1b[2J"}}, {"on": {"value": True}},
                              {"temperature": {"value": 22, "unit": "°C"}}])
            for row in rows:
                self.assertEqual((row["name"], row["profile"], row["labels"]), ("The pump", "pump", {"kind": "pump", "site": "Süd"}))
                self.assertEqual(row["location"], {"lat": 52.5, "lon": 13.25, "place": "Hall 3"})
            self.assertEqual(len(flux.log("processed-data")), 4)
            (letter,) = flux.log("dead-letters", "--device", "pump-1")
            self.assertEqual((letter["event"]["reason"], letter["event"]["value"]), ("out_of_range", 1000))
            raw = flux.log("raw-sensor-data")
            self.assertEqual(sum("metrics" in line for line in raw), 4)
            self.assertIn(["profile_changed"], [line.get("control") for line in raw])
            partition = str(rows[0]["partition"])
            self.assertEqual([row for row in flux.log("processed-data", "--partition", partition) if row["device"] == "pump-1"], rows)
            done = fluxgate_log("--data-dir", flux.data_dir, "--partition", "300")
            self.assertEqual(done.returncode, 2)
            self.assertIn("there is no partition 300", done.stderr)
            # It is read as often as one likes, and the server goes on with it; a terminal is not steered.
            self.assertNotIn("\x1b", fluxgate_log("--data-dir", flux.data_dir).stdout)
            flux.start()
            done = fluxgate_log("--data-dir", flux.data_dir)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(f"in use by process {flux.pid}", done.stderr)

    def test_says_what_is_wrong(self):
        for arguments, code, words in [(("procesed-data",), 2, "did you mean 'processed-data'?"), (("--data-dir", "/nowhere"), 1, "no log in the data folder /nowhere")]:
            done = fluxgate_log(*arguments)
            self.assertEqual((done.returncode, done.stdout), (code, ""), done)
            self.assertIn(words, done.stderr)


class LostTail(unittest.TestCase):
    def test_records_that_only_store_and_checkpoints_know_of_are_missed(self):
        with filled() as flux:
            self.assertEqual(flux.log("processed-data"), [], "it is off")
            self.assertFalse(list(Path(flux.data_dir).glob("log/processed-data/*/*.seg")))
            log = Path(flux.data_dir) / "log"
            (log / "groups").unlink()
            for topic in ("device-events", "dead-letters"):
                shutil.rmtree(log / topic)
            emptied = list((log / "raw-sensor-data").glob("*/*.seg"))
            self.assertTrue(emptied)
            for segment in emptied:
                os.truncate(segment, 0)
            flux.start()
            lines = [json.loads(line) for line in flux.output if "the log lost records" in line]
            self.assertTrue(lines, flux.text())
            for line in lines:
                self.assertEqual((line["level"], line["known_by"]), ("error", "store, checkpoint"))
                self.assertGreater(line["records"], 0)
            # What is new is taken, and what the store has is there.
            sender = Api(flux.http, {"Authorization": f"Bearer {flux.ingest_key('again')}"})
            self.assertEqual(sender.post("/api/v1/telemetry", {"device": "pump-1", "time": BASE + 9, "metrics": {"temperature": 23}}).status, 200)
            admin = flux.administrator()

            def points():
                answer = admin.get("/api/v1/query", device="pump-1", metric="temperature", limit=10, epoch="s").json
                found = answer["series"][0]["points"]
                return found if len(found) == 3 else None

            self.assertEqual(wait_until(points, what="the new reading"), [[BASE, 21.5], [BASE + 2, 22], [BASE + 9, 23]])
            self.assertEqual(flux.stop(), 0)
            flux.start()
            self.assertNotIn("the log lost records", flux.text())


if __name__ == "__main__":
    unittest.main()
