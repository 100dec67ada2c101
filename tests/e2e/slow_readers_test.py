"""Clients that ask for much and do not read it keep nobody else waiting."""

import socket
import unittest

from e2e.harness import Fluxgate, wait_until

ROWS = 300_000
BATCH = 10_000
UNREAD = 6  # three times the threads that queries have


class SlowReaders(unittest.TestCase):
    def test_others_are_answered_meanwhile(self):
        # A query that waited for its reader until the limit would outlast the test.
        with Fluxgate("--set", "query.time_limit=10m", "--set", "query.threads=2") as flux:
            admin, sender = flux.administrator(), flux.sender()
            for first in range(0, ROWS, BATCH):
                readings = [{"time": 1767225600 + n, "metrics": {"a": n * 0.37, "b": n * 1.91, "c": n}} for n in range(first, first + BATCH)]
                self.assertEqual(sender.post("/api/v1/telemetry", {"device": "big", "readings": readings}).status, 200)
            sender.post("/api/v1/telemetry", {"device": "small", "metrics": {"a": 1}})
            host, port = flux.http.rsplit(":", 1)
            unread = []
            for _ in range(UNREAD):
                reader = socket.create_connection((host, int(port)))
                reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                reader.sendall(f"GET /api/v1/query?device=big&from=0&limit=1000000 HTTP/1.1\r\nHost: {flux.http}\r\n"
                               f"Cookie: {admin.headers['Cookie']}\r\n\r\n".encode())
                self.assertTrue(reader.recv(12).startswith(b"HTTP/1.1 200"))
                unread.append(reader)
            for _ in range(5):
                wait_until(lambda: admin.get("/api/v1/query", device="small", **{"from": "0"}).json["series"])
            for reader in unread:
                reader.close()
            # And whoever reads gets all of it.
            whole = admin.get("/api/v1/query", device="big", metric="c", limit=1_000_000, **{"from": "0"})
            self.assertEqual(len(whole.json["series"][0]["points"]), ROWS)


if __name__ == "__main__":
    unittest.main()
