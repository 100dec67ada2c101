"""The README's own commands, as they stand there: who copies them line by line gets what the text says."""

import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

from e2e.harness import BINARY, LIMIT_S, Fluxgate, wait_until

README = (Path(__file__).resolve().parents[2] / "README.md").read_text()


def first_minutes() -> list[str]:
    block = re.search(r"```\n( +alias fluxgate=.*?)```", README, re.S)
    assert block, "the README shows no shell block that begins with the alias"
    return [line.strip() for line in block[1].splitlines() if line.strip()]


def paragraph(sign: str) -> str:
    return next(part for part in README.split("\n\n") if sign in part)


class Readme(unittest.TestCase):
    """One server with the ports that the README takes for granted put into the commands that name none."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="fluxgate-readme-")
        built = Path(cls.folder) / "build" / "release"
        built.mkdir(parents=True)
        (built / "fluxgate").symlink_to(BINARY)
        cls.token = "readme-0123456789abcdef"
        cls.flux = Fluxgate(data_dir=os.path.join(cls.folder, "data"), environment={"FLUXGATE_METRICS_TOKEN": cls.token})

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)
        shutil.rmtree(cls.folder, ignore_errors=True)

    def shell(self, *lines: str) -> subprocess.CompletedProcess:
        """In the folder of the checkout, with the alias, which a script has only when told."""
        script = "\n".join(("shopt -s expand_aliases", *lines))
        return subprocess.run(["bash", "-c", script], cwd=self.folder, env=self.flux.environment, capture_output=True, text=True, timeout=LIMIT_S)

    def test_the_first_five_minutes(self):
        alias, add, publish, tail, query = first_minutes()
        self.assertEqual([line.split()[0] for line in (add, publish, tail, query)], ["fluxgate", "mosquitto_pub", "fluxgate", "fluxgate"])
        added = self.shell(alias, add)
        self.assertEqual((added.returncode, added.stderr), (0, ""), added)
        token = re.search(r"(?m)^token +(\S+)", added.stdout)[1]
        host, port = self.flux.mqtt
        publish = publish.replace("TOKEN", token).replace("mosquitto_pub", f"mosquitto_pub -h {host} -p {port}", 1)
        # The alias goes wherever its user goes.
        follower = subprocess.Popen(["bash", "-c", f'shopt -s expand_aliases\n{alias}\n{tail.split("#")[0]} -n 1 --data-dir "$PWD/data"'], cwd=self.folder,
                                    env=self.flux.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

        def sent():
            done = self.shell(publish)
            self.assertEqual(done.returncode, 0, done)
            return follower.poll() is not None

        wait_until(sent, what="a reading in the tail")
        out, errors = follower.communicate()
        self.assertEqual((follower.returncode, errors), (0, ""))
        self.assertIn("pump-1  temperature  21.5", out)

        def answered():
            done = self.shell(alias, query)
            self.assertEqual(done.returncode, 0, done)
            return done if "21.5" in done.stdout else None

        self.assertIn("mean  max", wait_until(answered, what="a window").stdout)
        # And with a text metric beside the number, as devices have.
        self.assertEqual(self.shell(alias, "fluxgate publish --device pump-1 mode=auto").returncode, 0)
        told = wait_until(lambda: (lambda done: done if "mode" in done.stderr else None)(answered()), what="the text metric")
        self.assertIn("pump-1 temperature", told.stdout)
        elsewhere = self.shell(alias, f"cd /; fluxgate device list --data-dir {shlex.quote(self.flux.data_dir)}")
        self.assertEqual(elsewhere.returncode, 0, elsewhere)

    def test_the_reading_and_the_question_in_http(self):
        example = json.loads(re.search(r"```json\n(.*?)```", README, re.S)[1])
        sender = self.flux.sender()
        self.assertEqual(sender.post("/api/v1/telemetry", example).json["accepted"], 1)
        self.assertEqual(sender.post("/api/v1/telemetry", [example, example]).status, 200)
        admin = self.flux.administrator()
        for path in re.findall(r"`GET (/[^`\s]+)`", README) + re.findall(r"`(/api/openapi\.json)`", README):
            with self.subTest(path):
                self.assertEqual(admin.get(path).status, 200, path)

    def test_the_scrape_configuration(self):
        yaml = re.search(r"```yaml\n(scrape_configs:.*?)```", README, re.S)[1]
        self.assertIn("credentials_file: metrics.token", yaml)
        self.assertIn("FLUXGATE_METRICS_TOKEN", paragraph("Prometheus reads `/metrics`"))
        answer = self.flux.anonymous().request("GET", "/metrics", headers={"Authorization": f"Bearer {self.token}"})
        self.assertEqual(answer.status, 200)
        self.assertIn(b"fluxgate_ingest_refused_total", answer.body)


if __name__ == "__main__":
    unittest.main()
