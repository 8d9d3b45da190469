"""A reader in Python, for what the load generator does not speak: the same
pipeline of commands over TCP and over a WebSocket."""

import socket
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from support.websocket import WebSocket

SOURCE = "127.0.0.2"  # an address that INN gives to nnrpd
WINDOW = 64
END = b"\r\n.\r\n"


class Tcp:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60,
                                               (SOURCE, 0))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, octets):
        self.socket.sendall(octets)

    def receive(self):
        return self.socket.recv(1 << 16)

    def close(self):
        self.socket.close()


class Browser:
    def __init__(self, port):
        self.client = WebSocket(port, timeout=60)

    def send(self, octets):
        self.client.send(octets)

    def receive(self):
        return self.client.message()

    def close(self):
        self.client.socket.close()


def reply_line(connection):
    """One line that comes alone."""
    octets = b""
    while not octets.endswith(b"\r\n"):
        octets += connection.receive()
    return octets


def block(connection, command):
    connection.send(command + b"\r\n")
    octets = b""
    while not octets.endswith(END):
        octets += connection.receive()
    return octets


def list_sum(port, command, field):
    """The sum of a field over the lines of a LIST."""
    connection = Tcp(port)
    try:
        reply_line(connection)
        connection.send(b"MODE READER\r\n")
        reply_line(connection)
        lines = block(connection, command).split(b"\r\n")[1:-2]
        return sum(int(line.split()[field]) for line in lines)
    finally:
        connection.close()


def marks_sum(port):
    """How many articles all groups have ever had."""
    return list_sum(port, b"LIST ACTIVE", 1)


def counts_sum(port):
    """How many articles all groups have now."""
    return list_sum(port, b"LIST COUNTS", 3)


def articles(connection, group, count):
    """Ask for so many articles, WINDOW at a time; seconds."""
    reply_line(connection)
    connection.send(f"GROUP {group}\r\n".encode())
    _, _, low, high, _ = reply_line(connection).split()
    numbers = range(int(low), int(high) + 1)
    ask = [f"ARTICLE {numbers[n % len(numbers)]}\r\n".encode()
           for n in range(count)]
    begun = time.monotonic()
    rest = b""
    for start in range(0, count, WINDOW):
        wanted = ask[start:start + WINDOW]
        connection.send(b"".join(wanted))
        ends = 0
        while ends < len(wanted):
            octets = rest + connection.receive()
            ends += octets.count(END)
            # An end that is cut in two is counted with what follows.
            rest = b"" if octets.endswith(END) else octets[1 - len(END):]
    return time.monotonic() - begun
