"""JSON that no honest client sends is answered; the server and its other clients live on."""

import unittest

from e2e.harness import Fluxgate
from e2e.websocket import WebSocket


class HostileJson(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.flux = Fluxgate()
        cls.admin = cls.flux.administrator()

    @classmethod
    def tearDownClass(cls):
        cls.flux.__exit__(None, None, None)

    def test_a_number_that_no_double_holds(self):
        live = WebSocket(self.flux.http, "/api/v1/live", {"Cookie": self.admin.headers["Cookie"]})
        live.send(b'{"op":"subscribe","id":1e999}')
        answer = live.receive()
        self.assertEqual(answer["op"], "error")
        self.assertIn("1e999", answer["error"]["message"])
        live.close()
        for path in ("/api/v1/auth/login", "/api/v1/devices", "/api/v1/profiles", "/api/v1/query", "/api/v1/connect"):
            with self.subTest(path=path):
                refused = self.admin.post(path, b'{"device":1e999}')
                self.assertEqual(refused.status, 400, refused)
                self.assertIn("1e999", refused.json["error"]["message"])

    def test_documents_that_nest_without_end(self):
        deep = b'{"title":"x","document":{"a":' + b"[" * 300_000 + b"]" * 300_000 + b"}}"
        refused = self.admin.post("/api/v1/dashboards", deep)
        self.assertEqual(refused.status, 400, refused)
        self.assertIn("nests deeper", refused.json["error"]["message"])
        self.assertEqual(self.admin.get("/healthz").status, 200)


if __name__ == "__main__":
    unittest.main()
