"""New TLS connections, one after the other, beside openssl's own server: of
several pairs the one that the machine disturbed least counts."""
import re
import socket
import subprocess

import pytest

from support.server import free_port
from support.tls import openssl
from support.wait import wait_until

SERVER_TLS = True
SERVER_CONF = ["maxconnections_per_address = 1000", "connectionrate = 0"]
SECONDS = 3


def credential(server, key):
    with open(server.conf) as file:
        return re.search(rf'^{key} = "(.*)"', file.read(), re.M)[1]


@pytest.fixture
def s_server(server):
    """openssl s_server with the same certificate; its port."""
    port = free_port()
    process = subprocess.Popen(
        ["openssl", "s_server", "-accept", str(port), "-cert",
         credential(server, "tlscertfile"), "-key",
         credential(server, "tlskeyfile"), "-quiet"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)

    def is_there():
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_there, 10, "s_server")
    yield port
    process.kill()
    process.wait()


def connections(port, version):
    """In so many seconds."""
    text = openssl("s_time", "-connect", f"127.0.0.1:{port}", "-new", version,
                   "-time", str(SECONDS))
    return int(re.search(r"^(\d+) connections in \d+ real", text, re.M)[1])


@pytest.mark.long
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_connections_are_made_half_as_fast_as_by_s_server(server, s_server,
                                                          version):
    pairs = [(connections(server.tls_port, version),
              connections(s_server, version)) for _ in range(5)]
    ratio = max(ours / theirs for ours, theirs in pairs)
    print(f"ours and s_server's in {SECONDS} s: {pairs}; ratio {ratio:.2f}")
    assert ratio >= 0.5
