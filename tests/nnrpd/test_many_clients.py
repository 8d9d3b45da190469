"""1,000 clients at once, by the default number of workers."""
import os
import re
import resource

import pytest

from support.nntp import article
from support.wait import wait_until


@pytest.fixture(autouse=True, scope="module")
def descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE,
                       (min(hard, 65536), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_1000_clients_are_served_at_once(server):
    with server.connect() as client:
        name = "<many@example.com>"
        assert client.takethis(name, article(message_id=name)).startswith(
            "239")
    clients = [server.connect(timeout=60) for _ in range(1000)]
    try:
        assert all(one.greeting.startswith("200 ") for one in clients)
        for one in clients:
            one.send(b"GROUP local.test\r\nOVER 1\r\nARTICLE 1\r\n")
        for one in clients:
            assert one.reply() == "211 1 1 1 local.test"
            assert one.reply().startswith("224 ")
            assert len(one.block()) == 1
            assert one.reply() == f"220 1 {name}"
            one.block()
        # Every worker has its share.
        shares = [int(count) for count in re.findall(
            r"^nnrpd .* clients=(\d+)", server.ctlinnd("status").stdout,
            re.M)]
        assert len(shares) == 2 * os.cpu_count()
        assert sum(shares) == 1000
        assert max(shares) - min(shares) <= 2
    finally:
        for one in clients:
            one.close()
    # And their places are free again at once.
    with server.connect() as client:
        assert client.command("DATE").startswith("111 ")


def test_connections_beyond_the_limit_get_400(start_server):
    server = start_server("--group", "local.test",
                          conf=["maxconnections_per_address = 10"])
    clients = [server.connect() for _ in range(10)]
    with server.connect() as one_more:
        assert one_more.greeting.startswith("400 ")
        assert one_more.at_end()
    clients.pop().close()

    def free_again():
        with server.connect() as client:
            return client.greeting.startswith("200 ")

    wait_until(free_again, 5, "the place of a client that has gone")
    for one in clients:
        one.close()
