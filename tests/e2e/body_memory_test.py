"""What the bodies of requests may hold of memory, whoever sends them."""

import json
import re
import unittest

from e2e.harness import Fluxgate, wait_until
from e2e.slow_reader_test import resident
from e2e.websocket import connected

MIB = 1 << 20
BUDGET = 128 * MIB
HOGS = 70
DECLARED = 8_000_000
SENT = DECLARED - 100_000


class BodyMemory(unittest.TestCase):
    def test_bodies_that_stand_still_cost_no_more_than_they_may_and_keep_nobody_out(self):
        with Fluxgate("--set", f"http.bodies_bytes={BUDGET // MIB}MiB") as flux:
            admin, sender = flux.administrator(), flux.sender()
            token = flux.device_token("hog")
            before = most = resident(flux.pid)
            head = (f"POST /api/v1/telemetry HTTP/1.1\r\nHost: {flux.http}\r\nAuthorization: Bearer {token}\r\n"
                    f"Content-Length: {DECLARED}\r\n\r\n").encode()
            hogs = []
            for _ in range(HOGS):
                hog = connected(flux.http)
                try:
                    hog.sendall(head + b"[" * SENT)
                except OSError:
                    pass  # refused, and the server has heard enough of it
                hogs.append(hog)
                most = max(most, resident(flux.pid))
                # Readings of a usual size pass at once, all the while.
                self.assertEqual(sender.post("/api/v1/telemetry", {"device": "honest", "metrics": {"n": 1}}).status, 200)
            self.assertLess(most - before, BUDGET + 64 * MIB, f"{HOGS * SENT // MIB} MiB of bodies have been sent")

            # A batch as large as theirs finds room, since those that say nothing make way.
            readings = [{"time": 1767225600 + n, "metrics": {"n": n}} for n in range(1000)]
            batch = json.dumps({"device": "honest", "readings": readings}).ljust(DECLARED)

            def comes_in() -> bool:
                answer = sender.post("/api/v1/telemetry", batch, headers={"Content-Type": "application/json"})
                self.assertIn(answer.status, (200, 503), answer)
                return answer.status == 200

            wait_until(comes_in, what="room for a large batch")
            metrics = admin.get("/metrics").body.decode()
            for fault in ("no_room", "room_needed"):
                self.assertRegex(metrics, rf'fluxgate_http_faults_total{{fault="{fault}"}} [1-9]')
            for hog in hogs:
                hog.close()
            wait_until(lambda: "fluxgate_http_bodies_bytes 0\n" in admin.get("/metrics").body.decode(), what="the end of all bodies")

    def test_who_finds_no_room_is_told_to_come_again(self):
        with Fluxgate("--set", f"http.bodies_bytes={BUDGET // MIB}MiB") as flux:
            admin, token = flux.administrator(), flux.device_token("hog")
            head = (f"POST /api/v1/telemetry HTTP/1.1\r\nHost: {flux.http}\r\nAuthorization: Bearer {token}\r\n"
                    f"Expect: 100-continue\r\nContent-Length: {DECLARED}\r\n\r\n").encode()
            hogs = []
            while True:
                hog = connected(flux.http)
                hogs.append(hog)
                hog.sendall(head)
                answer = hog.recv(4096)
                if not answer.startswith(b"HTTP/1.1 100"):
                    break
                self.assertLess(len(hogs) * DECLARED, BUDGET)
            self.assertTrue(answer.startswith(b"HTTP/1.1 503"), answer)
            self.assertIn(b"\r\nRetry-After: 1\r\n", answer)
            self.assertIn(b'"exhausted"', answer)
            held = re.search(r"(?m)^fluxgate_http_bodies_bytes (\S+)$", admin.get("/metrics").body.decode())
            self.assertEqual(float(held.group(1)), (len(hogs) - 1) * DECLARED)
            # Those who took the room and bring nothing lose it to whoever comes again.

            def comes_in() -> bool:
                with connected(flux.http) as again:
                    again.sendall(head)
                    return again.recv(4096).startswith(b"HTTP/1.1 100")

            wait_until(comes_in, what="room")
            for hog in hogs:
                hog.close()


if __name__ == "__main__":
    unittest.main()
