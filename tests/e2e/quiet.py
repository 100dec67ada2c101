"""Devices that report once and fall silent, again and again, and the check of what must have been said of them. The
server needs `SETTINGS`."""

from e2e.harness import Api, wait_until
from e2e.load import BASE

SILENT_AFTER_MS = 300
SETTINGS = ("--set", f"process.silent_after={SILENT_AFTER_MS}ms", "--set", "process.tick_interval=20ms")


class QuietDevices:
    """Each round: every device reports once, and falls silent. Two events a round, whatever happens in between."""

    def __init__(self, api: Api, key: str, count: int):
        self.key = key
        self.rounds = 0
        self.devices = [f"quiet-{i}" for i in range(count)]
        for device in self.devices:
            answer = api.post("/api/v1/devices", {"device": device})
            assert answer.status == 201, answer

    def report(self, api: Api) -> None:
        """Every device is heard from; returns when that is acknowledged."""
        sender = Api(api.address, {"Authorization": f"Bearer {self.key}"})
        for device in self.devices:
            answer = sender.post("/api/v1/telemetry", {"device": device, "time": BASE + self.rounds, "metrics": {"v": self.rounds}})
            assert answer.status == 200, answer
        self.rounds += 1

    @staticmethod
    def events(api: Api, device: str) -> list[dict]:
        """What was said of its coming and going, oldest first."""
        found, cursor = [], None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = api.get("/api/v1/events", device=device, type="device_discovered,device_online,device_silent", limit=1000, **more).json
            found += page["events"]
            cursor = page["next"]
            if cursor is None:
                return found[::-1]

    def await_silence(self, api: Api) -> None:
        """Until as much is said as should be; `check` sees that it is the right thing."""
        for device in self.devices:
            wait_until(lambda: len(self.events(api, device)) >= 2 * self.rounds,
                       what=f"silence number {self.rounds} of {device}")

    def check(self, test, api: Api) -> None:
        """Each return and each silence once, in turns, and each tells of the one before."""
        for device in self.devices:
            events = self.events(api, device)
            told = [event["type"] for event in events]
            # The very first reading may be faster than the word of the registration.
            test.assertIn((told[0], events[0]["details"]), (("device_online", {"first": True}), ("device_discovered", {})))
            test.assertEqual(told[1:], (["device_online", "device_silent"] * self.rounds)[1:], device)
            test.assertEqual(len({event["id"] for event in events}), len(events), f"an event of {device} is there twice")
            for online, silent in zip(events[0::2], events[1::2]):
                # A round has one reading: it is what the device was last heard from by, and what brought it back.
                test.assertEqual(silent["details"], {"since": online["time"], "silent_after_ms": SILENT_AFTER_MS}, device)
            for silent, online in zip(events[1::2], events[2::2]):
                test.assertEqual(online["details"]["since"], silent["details"]["since"], device)
