"""What the master does when a child or the system lets it down."""
import os
import resource
import signal
import socket
import time

import pytest

from support.nntp import Client, Closed
from support.server import process_state
from support.wait import wait_until


def test_a_killed_worker_takes_only_its_own_clients(start_server):
    server = start_server("--group", "local.test", conf=["workers = 2"])
    clients = [server.connect() for _ in range(10)]
    os.kill(server.workers()[0], signal.SIGKILL)
    wait_until(lambda: len(server.workers()) == 2, 10, "a new worker")

    def lives(client):
        try:
            return client.command("DATE").startswith("111")
        except (OSError, Closed):
            return False

    assert sum(lives(client) for client in clients) == 5
    with server.connect() as client:
        assert client.greeting.startswith("200")


def test_the_limits_count_a_dead_workers_clients_down(start_server):
    server = start_server("--group", "local.test",
                          conf=["workers = 2", "maxconnections = 4"])
    clients = [server.connect() for _ in range(4)]
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        assert one.recv(100).startswith(b"400")
    for pid in server.workers():
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(server.workers()) == 2, 10, "new workers")
    again = [server.connect() for _ in range(4)]
    assert all(client.greeting.startswith("200") for client in again)
    for client in [*clients, *again]:
        client.close()


def test_without_descriptors_clients_hear_400_and_the_admin_is_heard(
        start_server):
    # Who may change a limit of the master's: its own user.
    server = start_server("--group", "local.test", conf=['runasuser = ""'])
    master = server.master()
    before = resource.prlimit(master, resource.RLIMIT_NOFILE)
    used = len(os.listdir(f"/proc/{master}/fd"))
    resource.prlimit(master, resource.RLIMIT_NOFILE, (used, before[1]))
    with socket.create_connection(("127.0.0.1", server.port)) as one:
        one.settimeout(20)
        assert one.recv(100).startswith(b"400")
    for _ in range(3):
        assert server.ctlinnd("mode").returncode == 0
    # A worker that dies now is no reason to die too.
    worker = server.workers()[0]
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: process_state(worker) is None, 10, "its burial")
    resource.prlimit(master, resource.RLIMIT_NOFILE, before)
    with server.connect() as client:
        assert client.greeting.startswith("200")
    assert server.master() == master


def test_a_child_without_its_master_ends_within_5_seconds(start_server):
    server = start_server("--group", "local.test")
    with server.connect() as client:
        client.command("DATE")
        children = server.children()
        began = time.monotonic()
        os.kill(server.master(), signal.SIGKILL)
        wait_until(lambda: all(process_state(pid) in (None, "Z")
                               for pid in children), 10, "the children's end")
        assert time.monotonic() - began < 5


@pytest.mark.long
def test_a_worker_that_stands_still_is_replaced(start_server):
    server = start_server("--group", "local.test", conf=["workers = 2"])
    stuck = server.workers()[0]
    os.kill(stuck, signal.SIGSTOP)
    wait_until(lambda: process_state(stuck) in (None, "Z"), 60,
               "the end of the stopped worker")
    wait_until(lambda: len(server.workers()) == 2, 10, "a new worker")
    assert "has not moved for 30 s" in server.log()
    for _ in range(4):
        with Client(server.port) as client:
            assert client.greeting.startswith("200")
