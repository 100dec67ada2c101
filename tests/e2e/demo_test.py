"""The demo site comes with one flag or one call, and goes with one call, its readings with it."""

import unittest
from pathlib import Path

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

    def count(self, admin, device: str, metric: str, since: str, until: str | None = None) -> int:
        span = {"from": since} | ({"to": until} if until else {})
        answer = admin.get("/api/v1/query", device=device, metric=metric, window="1d", aggregate="count", **span)
        self.assertEqual(answer.status, 200, answer)
        return sum(point[1] for series in answer.json["series"] for point in series["points"])

    def test_a_new_site_has_a_past_once(self):
        with Fluxgate("--demo") as flux:
            admin = flux.administrator()
            told = Path(flux.data_dir, "demo.past")
            wait_until(told.exists, 180, what="the site's past to be told")
            hour = self.count(admin, "demo-inverter-02", "power", "-1h")
            week = self.count(admin, "demo-inverter-02", "power", "-7d")
            self.assertGreater(hour, 600, "each 5 s, but for what is out of order")
            self.assertGreater(week, 3000)
            self.assertEqual(admin.get("/api/v1/dead-letters").json["dead_letters"], [])
            self.assertEqual(self.devices(admin)["total"], 50)

            mark = told.stat().st_mtime_ns
            self.assertEqual(flux.stop(), 0, flux.text())
            flux.start()
            admin = flux.administrator()
            logged = lambda: admin.get("/api/v1/system").json["storage"]["log_bytes"]
            begun = logged()
            wait_until(lambda: told.stat().st_mtime_ns != mark, 60, what="the gap to be filled")
            self.assertLess(logged() - begun, begun / 4, "what was told is not told again")
            self.assertGreaterEqual(self.count(admin, "demo-inverter-02", "power", "-7d"), week - 12)

    def test_removed_while_it_tells_its_past_it_leaves_nothing(self):
        with Fluxgate("--demo") as flux:
            admin = flux.administrator()
            wait_until(lambda: self.count(admin, "demo-pump-01", "flow", "-2h", "-1h") > 50, 60, what="some of the past")
            self.assertFalse(Path(flux.data_dir, "demo.past").exists(), "it is still being told")
            self.assertEqual(admin.delete("/api/v1/demo").status, 204)
            ever = {"from": "-30d", "limit": 10}
            wait_until(lambda: admin.get("/api/v1/query", **ever).json["series"] == [], what="the readings to be erased")
            # What was under way has come in by the time that the server has stopped.
            self.assertEqual(flux.stop(), 0, flux.text())
            flux.arguments.remove("--demo")
            flux.start()
            admin = flux.administrator()
            self.assertEqual(self.devices(admin)["total"], 0)
            self.assertEqual(admin.get("/api/v1/query", **ever).json["series"], [])

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
