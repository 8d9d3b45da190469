"""Connections held in numbers: what an idle one costs, and that those who are
idle are not in the way of those who are not."""
import resource
import socket
import ssl
import time

import pytest

from support.beside import memory_octets
from support.server import Server
from support.tls import client_context
from support.wait import wait_until

PLAIN_OCTETS_MAX = 8 * 1024
TLS_OCTETS_MAX = 28 * 1024
ADDRESSES = [f"127.0.0.{number}" for number in range(2, 22)]


@pytest.fixture
def server():
    one = Server("--group", "local.test", tls=True, conf=[
        "maxconnections = 20000", "maxconnections_per_address = 2000",
        "maxconnections_per_network = 20000", "connectionrate = 0"])
    try:
        yield one.start()
    finally:
        one.remove()


def pss_octets(server):
    """Of all processes."""
    return memory_octets([server.master(), *server.children()], "Pss")


class Held:
    """One connection, as small as it can be on our side."""

    def __init__(self, port, source, tls=None):
        self.socket = socket.create_connection(
            ("127.0.0.1", port), 30, source_address=(source, 0))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)
        assert self.line().startswith(b"200")
        assert self.date() > 0

    def line(self):
        octets = b""
        while not octets.endswith(b"\r\n"):
            got = self.socket.recv(512)
            assert got, "closed"
            octets += got
        return octets

    def date(self):
        """DATE, and how long it took in seconds."""
        begun = time.perf_counter()
        self.socket.sendall(b"DATE\r\n")
        assert self.line().startswith(b"111 ")
        return time.perf_counter() - begun


def hold(server, count, secure):
    tls = client_context() if secure else None
    port = server.tls_port if secure else server.port
    return [Held(port, ADDRESSES[number % len(ADDRESSES)], tls)
            for number in range(count)]


def descriptors_raise(count):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"this user may open {hard} descriptors, not {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))


def close(held):
    for one in held:
        one.socket.close()


@pytest.mark.parametrize("secure, most", [
    (False, PLAIN_OCTETS_MAX), (True, TLS_OCTETS_MAX)], ids=["plain", "tls"])
def test_an_idle_connection_costs_little_memory(server, is_long, secure, most):
    count = 2000 if is_long else 400
    descriptors_raise(count + 200)
    # What a worker allocates once is no connection's.
    close(hold(server, 100, secure))
    before = pss_octets(server)
    held = hold(server, count, secure)
    each = (pss_octets(server) - before) / count
    close(held)
    print(f"an idle connection, {'TLS' if secure else 'plain'}: "
          f"{each:.0f} octets")
    assert each < most


def p99(seconds):
    return sorted(seconds)[len(seconds) * 99 // 100]


@pytest.mark.long
def test_ten_thousand_are_held_and_the_active_ones_notice_nothing(server):
    """8,000 idle ones under TLS and 1,500 plain, with 500 that ask."""
    descriptors_raise(11000)
    active = hold(server, 500, False)

    def look():
        return p99([one.date() for _ in range(20) for one in active])

    base = look()
    before = pss_octets(server)
    idle = hold(server, 8000, True) + hold(server, 1500, False)
    wait_until(lambda: sum(len(server.children(name))
                           for name in ("nnrpd",)) > 0, what="workers")
    then = look()
    print(f"p99 of DATE: alone {base * 1000:.2f} ms, beside 9,500 idle ones "
          f"{then * 1000:.2f} ms; memory of them "
          f"{(pss_octets(server) - before) / 1e6:.0f} MB")
    # Below a few milliseconds the machine's own noise is all there is.
    assert then < max(2 * base, 0.005)
    assert then < 0.050
    for one in idle[::97]:
        assert one.date() > 0
    close(active + idle)
