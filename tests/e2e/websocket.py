"""A WebSocket client for tests."""

import base64
import json
import os
import socket
import struct

from e2e.harness import LIMIT_S


def connected(address: str, receive_buffer: int | None = None) -> socket.socket:
    """A connection whose kernel holds about `receive_buffer` bytes that nobody reads."""
    host, port = address.rsplit(":", 1)
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive_buffer:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    made.settimeout(LIMIT_S)
    made.connect((host, int(port)))
    return made


class WebSocket:
    """As much of RFC 6455 as a test needs, without a library between us and the bytes."""

    def __init__(self, address: str, path: str, headers: dict[str, str], receive_buffer: int | None = None,
                 host: str | None = None):
        self.close_code: int | None = None
        self.close_reason = ""
        self.socket = connected(address, receive_buffer)
        host = host or address
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}",
                 "Sec-WebSocket-Version: 13", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        self.socket.sendall("\r\n".join(lines).encode())
        self.stream = self.socket.makefile("rb")
        self.status = int(self.stream.readline().split()[1])
        while self.stream.readline().strip():
            pass

    def send(self, message) -> None:
        payload = json.dumps(message).encode() if not isinstance(message, bytes) else message
        mask = os.urandom(4)
        head = struct.pack("!BB", 0x81, 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BBH", 0x81, 0x80 | 126, len(payload))
        self.socket.sendall(head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload)))

    def receive(self):
        """The next text message as JSON; pings are answered on the way. None when the server closed."""
        while True:
            first, second = self.stream.read(2)
            length = second & 0x7F
            if length == 126:
                length = struct.unpack("!H", self.stream.read(2))[0]
            elif length == 127:
                length = struct.unpack("!Q", self.stream.read(8))[0]
            payload = self.stream.read(length)
            opcode = first & 0x0F
            if opcode == 0x1:
                return json.loads(payload)
            if opcode == 0x8:
                self.close_code = struct.unpack("!H", payload[:2])[0] if length >= 2 else 1005
                self.close_reason = payload[2:].decode()
                return None

    def until(self, wanted):
        while True:
            message = self.receive()
            assert message is not None, "the server closed the connection"
            found = wanted(message)
            if found:
                return found

    def close(self) -> None:
        self.stream.close()
        self.socket.close()
