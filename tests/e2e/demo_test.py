"""The demo site comes with one flag or one call, and goes with one call, its readings with it."""

import unittest

from e2e.harness import Fluxgate, wait_until


class Demo(unittest.TestCase):
    def devices(self, admin):
        return admin.get("/api/v1/devices", include="latest", limit=200).json

    def test_it_comes_reports_and_goes_without_a_trace(self):
        with Fluxgate("--demo") as flux:
            admin = flux.administrator()
            self.assertEqual(admin.get("/api/v1/demo").json, {"installed": True, "running": True, "devices": 50})

            def all_report() -> bool:
                listed = self.devices(admin)
                return listed["total"] == 50 and sum(1 for device in listed["devices"] if device["latest"]) > 40

            wait_until(all_report, what="the demo devices' first readings")
            trucks = admin.get("/api/v1/devices", profile="truck", include="latest").json["devices"]
            self.assertEqual(len(trucks), 10)
            self.assertEqual(admin.get("/api/v1/query", metric="pressure", limit=10).status, 200)

            self.assertEqual(flux.stop(), 0, flux.text())
            flux.start()
            admin = flux.administrator()
            self.assertTrue(admin.get("/api/v1/demo").json["running"], "it goes on after a restart")

            self.assertEqual(admin.delete("/api/v1/demo").status, 204)
            self.assertEqual(admin.get("/api/v1/demo").json, {"installed": False, "running": False, "devices": 0})
            wait_until(lambda: self.devices(admin)["total"] == 0, what="the devices to be gone")
            wait_until(lambda: admin.get("/api/v1/query", limit=10).json["series"] == [], what="their readings to be erased")
            self.assertEqual(admin.get("/api/v1/profiles").json["profiles"], [])
            self.assertEqual(admin.get("/api/v1/ingest-keys").json["ingest_keys"], [])

            self.assertEqual(admin.post("/api/v1/demo").status, 202)
            wait_until(all_report, what="the demo devices again")


if __name__ == "__main__":
    unittest.main()
