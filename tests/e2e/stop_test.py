"""Nobody keeps the server from stopping: not by half a request, not by an answer that is not read."""

import json
import time
import unittest

from e2e.harness import Fluxgate, wait_until
from e2e.websocket import WebSocket, connected

ROWS = 200_000
BATCH = 10_000
DRAIN_LIMIT_S = 60  # of the setting below; a stop that waits for it fails the test


class Stop(unittest.TestCase):
    def test_requests_that_stand_still_and_answers_nobody_reads_are_cut_off(self):
        with Fluxgate("--set", f"server.drain_time={DRAIN_LIMIT_S}s") as flux:
            admin, sender = flux.administrator(), flux.sender()
            for first in range(0, ROWS, BATCH):
                readings = [{"time": 1767225600 + n, "metrics": {"a": n * 0.37, "b": n * 1.91}} for n in range(first, first + BATCH)]
                self.assertEqual(sender.post("/api/v1/telemetry", {"device": "big", "readings": readings}).status, 200)
            cookie = f"Host: {flux.http}\r\nCookie: {admin.headers['Cookie']}\r\n"

            half_head = connected(flux.http)
            half_head.sendall(b"GET /api/v1/dev")
            half_body = connected(flux.http)
            half_body.sendall(f"POST /api/v1/telemetry HTTP/1.1\r\nHost: {flux.http}\r\n"
                              f"Authorization: {sender.headers['Authorization']}\r\nContent-Length: 100\r\n\r\n[".encode())
            unread = connected(flux.http, 4096)
            unread.sendall(f"GET /api/v1/query?device=big&from=0&limit=1000000 HTTP/1.1\r\n{cookie}\r\n".encode())
            self.assertTrue(unread.recv(12).startswith(b"HTTP/1.1 200"))
            events = connected(flux.http)
            events.sendall(f"GET /api/v1/live/sse HTTP/1.1\r\n{cookie}\r\n".encode())
            self.assertTrue(events.recv(12).startswith(b"HTTP/1.1 200"))
            silent = WebSocket(flux.http, "/api/v1/live", admin.headers)
            self.assertEqual(silent.status, 101)
            wait_until(lambda: "fluxgate_http_bodies_bytes 100\n" in admin.get("/metrics").body.decode(), what="the half body")

            began = time.monotonic()
            self.assertEqual(flux.stop(), 0, flux.text())
            self.assertLess(time.monotonic() - began, DRAIN_LIMIT_S / 2)
            self.assertTrue(half_body.recv(4096).startswith(b"HTTP/1.1 503"))
            for left in (half_head, half_body, unread, events, silent):
                left.close()

            # And nothing that was acknowledged is lost.
            flux.start()
            whole = flux.administrator().get("/api/v1/query", device="big", metric="a", limit=1_000_000, **{"from": "0"})
            self.assertEqual(len(json.loads(whole.body)["series"][0]["points"]), ROWS)


if __name__ == "__main__":
    unittest.main()
