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

    def test_its_devices_answer_commands_and_the_change_shows(self):
        with Fluxgate("--demo") as flux:
            admin = flux.administrator()

            def send(device: str, name: str, payload=None) -> str:
                answer = admin.post("/api/v1/commands", {"device": device, "name": name, "payload": payload})
                self.assertEqual(answer.status, 202, answer)
                return answer.json["commands"][0]["id"]

            def finished(command: str) -> dict:
                return wait_until(lambda: (c := admin.get(f"/api/v1/commands/{command}").json)["finished"] and c, what="an answer")

            stopped = finished(send("demo-pump-01", "stop"))
            self.assertEqual((stopped["state"], stopped["result"]), ("succeeded", {"running": False}))

            def still() -> bool:
                metrics = admin.get("/api/v1/devices/demo-pump-01/latest").json["metrics"]
                return metrics.get("running", {}).get("value") is False and metrics["mode"]["value"] in ("manual", "warning")

            wait_until(still, what="the pump to stand still in its readings")
            refused = finished(send("demo-pump-02", "set_speed", {"rpm": 9000}))
            self.assertEqual((refused["state"], refused["reason"]), ("failed", "rpm is out of range: 300 to 3000 rpm"))
            unknown = finished(send("demo-truck-01", "fly"))
            self.assertEqual((unknown["state"], unknown["reason"]), ("failed", "this device knows locate"))
            # What the profile lists is what its devices know.
            for profile in admin.get("/api/v1/profiles").json["profiles"]:
                self.assertTrue(profile["commands"], profile["profile"])
                device = admin.get("/api/v1/devices", profile=profile["profile"], limit=1).json["devices"][0]["device"]
                done = finished(send(device, profile["commands"][0]["name"], profile["commands"][0].get("example")))
                self.assertTrue(done["state"] == "succeeded" or "knows" not in done["reason"], done)
            # One after the other, as they were given.
            first, second = send("demo-pump-03", "stop"), send("demo-pump-03", "automatic")
            self.assertLess(finished(first)["finished_at"], finished(second)["finished_at"])


if __name__ == "__main__":
    unittest.main()
