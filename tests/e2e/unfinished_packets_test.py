"""What MQTT packets that never become whole may hold of memory, whoever sends them."""

import re
import socket
import struct
import unittest

from e2e.harness import Fluxgate, wait_until

MIB = 1 << 20
PACKET = 1_000_000
BUDGET = 8 * MIB
HOGS = 20


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack(">H", len(raw)) + raw


def packet(kind: int, body: bytes, declared: int | None = None) -> bytes:
    size, length = len(body) if declared is None else declared, b""
    while True:
        size, low = size >> 7, size & 0x7F
        length += bytes([low | (0x80 if size else 0)])
        if not size:
            return bytes([kind]) + length + body


def connect(flux: Fluxgate, token: str, client: str) -> socket.socket:
    peer = socket.create_connection(flux.mqtt, timeout=30)
    peer.sendall(packet(0x10, text("MQTT") + bytes([5, 0xC2]) + struct.pack(">H", 0) + b"\0" + text(client) + text("any") + text(token)))
    answer = peer.recv(4096)
    assert answer[0] == 0x20 and answer[3] == 0, answer
    return peer


def said(peer: socket.socket) -> bytes:
    """All that comes until the other side ends the connection."""
    whole = b""
    try:
        while got := peer.recv(4096):
            whole += got
    except ConnectionResetError:
        pass
    return whole


class UnfinishedPackets(unittest.TestCase):
    def held(self, admin) -> float:
        return float(re.search(r"(?m)^fluxgate_ingest_mqtt_unfinished_bytes (\S+)$", admin.get("/metrics").body.decode()).group(1))

    def test_they_hold_no_more_than_they_may_and_keep_nobody_out(self):
        with Fluxgate("--set", f"ingest.mqtt.unfinished_bytes={BUDGET // MIB}MiB") as flux:
            admin, token = flux.administrator(), flux.device_token("hog")
            start = text("v1/devices/hog/telemetry") + b"\0\1\0" + b'{"text":"'
            hogs = []
            for n in range(HOGS):
                hog = connect(flux, token, f"hog-{n}")
                try:
                    hog.sendall(packet(0x32, start, declared=PACKET) + b"x" * (PACKET - 100_000))
                except OSError:
                    pass  # refused, and the server has heard enough of it
                hogs.append(hog)
                self.assertLessEqual(self.held(admin), BUDGET)
            refused = r"(?m)^fluxgate_ingest_mqtt_no_room_total ([1-9]\d*)$"
            wait_until(lambda: re.search(refused, admin.get("/metrics").body.decode()), what="a refusal")
            # A device whose packets are whole is served all the while.
            honest = connect(flux, flux.device_token("honest"), "honest")
            honest.sendall(packet(0x32, text("v1/devices/honest/telemetry") + b"\0\1\0" + b'{"n":1}'))
            self.assertEqual(honest.recv(4096)[:4], b"\x40\x02\x00\x01")
            # Whoever is refused is told why: DISCONNECT, "server busy".
            last = said(hogs[-1])
            self.assertEqual((last[0], last[2]), (0xE0, 0x89), last)
            self.assertIn(b"unfinished packets", last)
            for hog in hogs:
                hog.close()
            wait_until(lambda: self.held(admin) == 0, what="the end of all packets")


if __name__ == "__main__":
    unittest.main()
