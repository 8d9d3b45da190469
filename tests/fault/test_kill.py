"""kill -9 of any process, at any moment, under load: the service goes on by
itself, and nothing that was answered is lost or there twice."""
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from support.load import Load, check_stored
from support.nntp import post
from support.server import process_state, program
from support.wait import wait_until

OPTIONS = ["--group", "local.test", "--peer", "127.0.0.1"]
KINDS = ["takethis", "takethis", "ihave", "post"]


def kill_and_wait(pid):
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: process_state(pid) in (None, "Z"), 10, "its death")


@pytest.mark.parametrize("victim", ["writer", "nnrpd", "any"])
def test_killed_children_under_load(start_server, is_long, victim):
    server = start_server(*OPTIONS, conf=["workers = 2"])
    load = Load(server.port, prefix=victim).start(*KINDS)
    chance = random.Random(7)
    for _ in range(100 if is_long else 15):
        before = len(load.answered)
        # Some work between two deaths, and not the same each time.
        wait_until(lambda: len(load.answered) > before + 20, 20,
                   "answers after a death")
        time.sleep(chance.random() * 0.1)  # the moment is the point
        pids = server.children("" if victim == "any" else victim)
        if pids:
            kill_and_wait(chance.choice(pids))
    before = len(load.answered)
    wait_until(lambda: len(load.answered) > before + 100, 20,
               "service after the last death")
    load.stop()
    assert server.master() is not None
    if victim == "writer":
        # Its death costs nobody a connection.
        assert (load.breaks, load.deferred) == (0, 0)
    check_stored(server, load)


class Supervisor:
    """Starts the master again whenever it ends, as systemd does."""

    def __init__(self, server):
        self.server = server
        self.stopping = False
        self.process = None
        self.log = open(os.path.join(server.dir, "log"), "ab")
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping:
            self.process = subprocess.Popen(
                [program("innd"), "-f", "-c", self.server.conf],
                stdout=self.log, stderr=self.log)
            self.process.wait()

    def kill(self):
        self.process.kill()

    def stop(self):
        self.stopping = True
        self.process.terminate()
        self.thread.join(30)
        self.log.close()


def test_killed_master_under_a_supervisor(start_server, is_long):
    server = start_server(*OPTIONS, conf=["workers = 2"])
    server.stop()
    supervisor = Supervisor(server)
    try:
        load = Load(server.port, prefix="master").start(*KINDS)
        for _ in range(50 if is_long else 5):
            before = len(load.answered)
            wait_until(lambda: len(load.answered) > before + 50, 30,
                       "answers after a death")
            supervisor.kill()
        before = len(load.answered)
        wait_until(lambda: len(load.answered) > before + 100, 30,
                   "service after the last death")
        load.stop()
        check_stored(server, load)
    finally:
        supervisor.stop()


def test_posts_while_the_writer_dies_each_second(start_server, is_long):
    """Each is answered 240, on a connection that is never cut."""
    server = start_server(*OPTIONS)
    stopping = threading.Event()
    deaths = []

    def kill_each_second():
        while not stopping.wait(1):
            kill_and_wait(server.writer())
            deaths.append(time.monotonic())

    killer = threading.Thread(target=kill_each_second, daemon=True)
    load = Load(server.port)
    killer.start()
    with server.connect(timeout=60) as client:
        end = time.monotonic() + (60 if is_long else 10)
        while time.monotonic() < end:
            name = load.name("post")
            reply = client.post(post(message_id=name))
            assert reply == f"240 Article received {name}"
            load.answered.append(name)
    stopping.set()
    killer.join(30)
    assert len(deaths) >= (40 if is_long else 6)
    check_stored(server, load)


def test_the_writer_comes_back_within_a_second(start_server):
    server = start_server(*OPTIONS)
    with server.connect() as client:
        for _ in range(5):
            kill_and_wait(server.writer())
            begun = time.monotonic()
            assert client.post(post()).startswith("240 ")
            assert time.monotonic() - begun < 2


def test_a_killed_worker_costs_only_its_own_clients(start_server):
    server = start_server(*OPTIONS, conf=["workers = 2"])
    clients = [server.connect() for _ in range(20)]
    kill_and_wait(server.workers()[0])
    alive = 0
    for client in clients:
        try:
            alive += client.command("DATE").startswith("111 ")
        except OSError:
            pass
        except Exception as error:  # Closed: it was that worker's
            assert "closed" in str(error)
        client.close()
    assert alive == 10
    with server.connect() as client:
        assert client.command("DATE").startswith("111 ")


def test_after_a_killed_master_tests_serve_starts_anew(start_server):
    server = start_server(*OPTIONS)
    with server.connect() as client:
        for _ in range(10):
            assert client.post(post()).startswith("240 ")
    for _ in range(3):
        server.kill_master()
        server.start()
        with server.connect() as client:
            assert client.command("GROUP local.test") == (
                "211 10 1 10 local.test")


def test_children_end_within_5_s_of_the_masters_death(start_server):
    server = start_server(*OPTIONS)
    master, children = server.master(), server.children()
    assert children
    begun = time.monotonic()
    os.kill(master, signal.SIGKILL)
    wait_until(lambda: all(process_state(pid) in (None, "Z")
                           for pid in children), 10, "the children's end")
    assert time.monotonic() - begun < 5.5
