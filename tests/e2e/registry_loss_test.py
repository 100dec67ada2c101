"""A registry that was lost or damaged: the server says so and does not start as one that belongs to nobody."""

import glob
import os
import shutil
import tempfile
import unittest

from e2e.harness import Fluxgate, wait_until


class RegistryLoss(unittest.TestCase):
    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.addCleanup(self.temporary.cleanup)
        self.data = os.path.join(self.temporary.name, "data")
        self.registry = os.path.join(self.data, "registry.db")
        self.flux = Fluxgate(data_dir=self.data)
        self.addCleanup(lambda: self.flux.process.poll() is None and self.flux.kill())
        self.flux.sender().post("/api/v1/telemetry", {"device": "d", "metrics": {"v": 1}})

    def journal_with_commits(self) -> str:
        """Kills the server while its newest commits lie in the journal alone."""
        admin = self.flux.administrator()
        journal = self.registry + "-wal"
        for number in range(1000):
            answer = admin.post("/api/v1/devices", {"device": f"late-{number}"})
            self.assertEqual(answer.status, 201, answer)
            if number >= 5 and os.path.getsize(journal) > 100_000:
                break
        self.flux.kill()
        self.assertGreater(os.path.getsize(journal), 100_000)
        return journal

    def refused(self, *wanted: str) -> None:
        before = sorted(os.listdir(self.data))
        self.flux.launch()
        self.assertEqual(self.flux.wait(), 1, self.flux.text())
        for text in ("registry.db", *wanted):
            self.assertIn(text, self.flux.text())
        self.assertNotIn("welcome#token", self.flux.text())
        # And it has not written a new one meanwhile, which the next start would take for the old one.
        if not os.path.exists(self.registry) or os.path.getsize(self.registry) == 0:
            self.assertEqual(sorted(os.listdir(self.data)), before)
        self.flux.launch()
        self.assertEqual(self.flux.wait(), 1, self.flux.text())

    def served(self, *arguments: str) -> None:
        self.flux.start(*arguments)

    def test_missing(self):
        self.flux.kill()
        for file in glob.glob(self.registry + "*"):
            os.unlink(file)
        self.refused("is missing", "backup", "database.start_anew")

    def test_emptied_after_a_clean_stop(self):
        self.assertEqual(self.flux.stop(), 0)
        os.truncate(self.registry, 0)
        self.refused("is empty", "backup", "database.start_anew")

    def test_missing_without_the_installation_file(self):
        # As an older version's folder: the readings say that there was a registry.
        self.flux.kill()
        for file in glob.glob(self.registry + "*"):
            os.unlink(file)
        os.unlink(os.path.join(self.data, "INSTALLATION"))
        self.refused("is missing", "holds readings")

    def test_half_of_the_journal(self):
        journal = self.journal_with_commits()
        os.truncate(journal, os.path.getsize(journal) // 2)
        self.refused("registry.db-wal is damaged", "backup")

    def test_a_flipped_bit_in_the_journal(self):
        journal = self.journal_with_commits()
        with open(journal, "rb") as file:
            whole = file.read()
        for place in (5, 20, 40, 32 + 24 + 100, 32 + 4120 * 3 + 50):
            with self.subTest(byte=place):
                broken = bytearray(whole)
                broken[place] ^= 4
                with open(journal, "wb") as file:
                    file.write(broken)
                self.refused("registry.db-wal is damaged")

    def test_a_flipped_bit_in_the_header(self):
        self.assertEqual(self.flux.stop(), 0)
        with open(self.registry, "r+b") as file:
            first = file.read(1)
            file.seek(0)
            file.write(bytes([first[0] ^ 4]))
        self.refused()

    def test_the_database_of_another_installation(self):
        self.assertEqual(self.flux.stop(), 0)
        with Fluxgate() as other:
            other.administrator()
            self.assertEqual(other.stop(), 0)
            shutil.copy(os.path.join(other.data_dir, "registry.db"), self.registry)
        self.refused("another installation")

    def test_a_backup_brings_everything_back(self):
        self.assertEqual(self.flux.stop(), 0)
        shutil.copy(self.registry, self.registry + ".backup")
        os.unlink(self.registry)
        self.refused("is missing")
        os.rename(self.registry + ".backup", self.registry)
        self.served()
        self.assertEqual(self.flux.administrator().get("/api/v1/devices/d").status, 200)

    def test_a_new_registry_is_begun_when_asked(self):
        self.assertEqual(self.flux.stop(), 0)
        with open(self.registry, "r+b") as file:
            file.write(b"no database at all")
        self.served("--set", "database.start_anew=true")
        self.flux.credential = None
        self.assertIn("set_aside_as", self.flux.text())
        self.assertTrue(os.path.exists(self.registry + ".lost-1"))
        self.flux.administrator()
        self.assertEqual(self.flux.stop(), 0)
        # A setting that was left there takes nothing away from one that is whole.
        self.served("--set", "database.start_anew=true")
        admin = self.flux.administrator()
        self.assertEqual(admin.get("/api/v1/devices").status, 200)
        self.assertFalse(os.path.exists(self.registry + ".lost-2"))

    def test_what_was_set_up_leaves_the_journal_soon(self):
        self.flux.administrator()
        wait_until(lambda: not os.path.exists(self.registry + "-wal") or os.path.getsize(self.registry + "-wal") == 0,
                   what="an empty journal")
        self.flux.kill()
        for file in glob.glob(self.registry + "-*"):
            os.unlink(file)
        self.served()
        self.assertEqual(self.flux.administrator().get("/api/v1/devices").status, 200)


if __name__ == "__main__":
    unittest.main()
