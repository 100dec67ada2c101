"""`fluxgate store`: the same words about a running server's store and a stopped one's folder."""

import json
import os
import subprocess
import unittest
from pathlib import Path

from e2e.harness import BINARY, LIMIT_S, Fluxgate, wait_until

CLEAN = {key: value for key, value in os.environ.items() if not key.startswith("FLUXGATE_")}
ROWS = 500


def store(*arguments: str, folder: str) -> subprocess.CompletedProcess:
    return subprocess.run([BINARY, "store", *arguments, "--data-dir", folder], capture_output=True, text=True, timeout=LIMIT_S,
                          env=CLEAN, stdin=subprocess.DEVNULL)


class Store(unittest.TestCase):
    def done(self, done: subprocess.CompletedProcess) -> str:
        self.assertEqual((done.returncode, done.stderr), (0, ""), done)
        return done.stdout

    def test_check_stat_and_merge_of_a_running_and_a_stopped_server(self):
        with Fluxgate() as flux:
            admin, sender = flux.administrator(), flux.sender()

            def send(first: int) -> None:
                readings = [{"time": 1767225600 + n, "metrics": {"a": n % 7, "b": n * 1.5}} for n in range(first, first + ROWS)]
                self.assertEqual(sender.post("/api/v1/telemetry", {"device": "d", "readings": readings}).status, 200)
                wait_until(lambda: admin.get("/api/v1/system").json["storage"]["points"] == 2 * (first + ROWS), what="the store has them")

            send(0)
            # On a running server: what is in memory is written first.
            self.assertEqual(json.loads(self.done(store("merge", "--wait", "--json", folder=flux.data_dir)))["state"], "done")
            admin_report = admin.get("/api/v1/store").json
            report = json.loads(self.done(store("stat", "--json", folder=flux.data_dir)))
            self.assertEqual(report, admin_report)
            self.assertEqual({metric["field"] for metric in report["metrics"]}, {"a", "b"})
            self.assertEqual(sender.post("/api/v1/store/merge").status, 403)
            self.assertIn("whole", self.done(store("check", folder=flux.data_dir)))
            send(ROWS)
            self.assertEqual(flux.stop(), 0)

            # Stopped: its flush left a second part beside the merged one.
            report = json.loads(self.done(store("stat", "--json", folder=flux.data_dir)))
            self.assertEqual((report["values"], report["parts"]), (4 * ROWS, 2))
            self.assertIn("merged to the end", self.done(store("merge", "--wait", folder=flux.data_dir)))
            report = json.loads(self.done(store("stat", "--json", folder=flux.data_dir)))
            self.assertEqual((report["values"], report["parts"]), (4 * ROWS, 1))
            text = self.done(store("stat", folder=flux.data_dir))
            self.assertRegex(text, r"telemetry\.a +1000 ")
            self.assertIn("by codec", text)

            # One bit in a block.
            part = next(Path(flux.data_dir, "series", "parts").iterdir())
            whole = bytearray(part.read_bytes())
            whole[70] ^= 1
            part.write_bytes(whole)
            damaged = store("check", folder=flux.data_dir)
            self.assertEqual(damaged.returncode, 1, damaged)
            self.assertIn(part.name, damaged.stderr)
            self.assertIn("damaged", damaged.stdout)
            self.assertTrue(json.loads(store("check", "--json", folder=flux.data_dir).stdout)["problems"])

    def test_a_folder_without_a_store_is_named_and_not_made(self):
        with Fluxgate(start=False) as flux:
            nowhere = os.path.join(flux.temporary, "nowhere")
            for command in ("check", "stat", "merge"):
                refused = store(command, folder=nowhere)
                self.assertEqual((refused.returncode, refused.stdout), (1, ""))
                self.assertIn(nowhere, refused.stderr)
            self.assertFalse(os.path.exists(nowhere))


if __name__ == "__main__":
    unittest.main()
