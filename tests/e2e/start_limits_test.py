"""A machine that gives too little to start with is told about in a sentence."""

import resource
import subprocess
import tempfile
import unittest

from e2e.harness import BINARY, LIMIT_S

MIB = 1 << 20
THREADS = 100  # their stacks alone are more than any of the limits below


def start_within(address_space: int) -> tuple[int, str]:
    with tempfile.TemporaryDirectory(prefix="fluxgate-") as folder:
        ended = subprocess.run([BINARY, "run", "--data-dir", f"{folder}/data", "--http-port", "0", "--mqtt-port", "0",
                                "--set", f"server.workers={THREADS}"],
                               stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=LIMIT_S,
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space)))
        return ended.returncode, ended.stderr


class StartLimits(unittest.TestCase):
    def test_without_memory_for_its_threads_it_says_so(self):
        for size in (150, 200, 300):
            with self.subTest(size=size):
                code, said = start_within(size * MIB)
                self.assertEqual(code, 1, said)
                self.assertRegex(said, r"(?m)^fluxgate: .*(ulimit -v|memory)")
                self.assertNotIn("terminate", said)


if __name__ == "__main__":
    unittest.main()
