"""A WebSocket client of a few lines, so that a test can say every octet."""
import base64
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Refused(Exception):
    """The handshake was answered with another status than 101."""

    def __init__(self, status, head):
        super().__init__(f"{status}: {head}")
        self.status = status
        self.head = head


class Closed(Exception):
    """The connection has ended; code is the close frame's, None without."""

    def __init__(self, code):
        super().__init__(f"closed with {code}")
        self.code = code


def frame(octets, opcode=BINARY, final=True):
    """A client's frame, masked (RFC 6455, 5.2)."""
    mask = os.urandom(4)
    head = bytes([(0x80 if final else 0) | opcode])
    if len(octets) < 126:
        head += bytes([0x80 | len(octets)])
    elif len(octets) < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", len(octets))
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", len(octets))
    key = (mask * (len(octets) // 4 + 1))[:len(octets)]
    masked = (int.from_bytes(octets, "big") ^ int.from_bytes(key, "big")
              ).to_bytes(len(octets), "big")
    return head + mask + masked


class WebSocket:
    def __init__(self, port, subprotocol="nntp", origin=None, host=None,
                 address="127.0.0.1", timeout=20, headers=()):
        self.socket = socket.create_connection((address, port), timeout)
        self.file = self.socket.makefile("rb")
        self.octets = b""
        numeric = f"[{address}]" if ":" in address else address
        lines = ["GET / HTTP/1.1", f"Host: {host or f'{numeric}:{port}'}",
                 "Upgrade: websocket", "Connection: Upgrade",
                 "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: "
                 + base64.b64encode(os.urandom(16)).decode()]
        if subprotocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        if origin is not None:
            lines.append(f"Origin: {origin}")
        lines += headers
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.head = self._head()

    def _head(self):
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.file.readline()
            if not line:
                raise Refused(0, head)
            head += line
        status = int(head.split()[1])
        if status != 101:
            raise Refused(status, head.decode("latin-1"))
        return head.decode("latin-1")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()

    def send(self, octets, opcode=BINARY, final=True):
        self.socket.sendall(frame(octets, opcode, final))

    def message(self):
        """The next message's octets; answers pings."""
        while True:
            head = self.file.read(2)
            if len(head) < 2:
                raise Closed(None)
            length = head[1] & 0x7f
            if length == 126:
                length = struct.unpack(">H", self.file.read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.file.read(8))[0]
            octets = self.file.read(length)
            opcode = head[0] & 0x0f
            if opcode == CLOSE:
                raise Closed(struct.unpack(">H", octets[:2])[0]
                             if octets else None)
            if opcode == PING:
                self.send(octets, PONG)
            elif opcode != PONG:
                self.kind = opcode
                return octets

    def line(self):
        while b"\r\n" not in self.octets:
            self.octets += self.message()
        line, self.octets = self.octets.split(b"\r\n", 1)
        return line

    def block(self):
        lines = []
        while (line := self.line()) != b".":
            lines.append(line)
        return lines

    def command(self, line, opcode=TEXT):
        self.send(line.encode() + b"\r\n", opcode)
        return self.line().decode()
