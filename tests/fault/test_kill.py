"""kill -9 of any process, at any moment, under load: the service goes on by
itself, and nothing that was answered is lost or there twice."""
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from support.load import Load, Watcher, check_stored
from support.nntp import post
from support.server import (Server, children_of, kill, process_state,
                            program)
from support.wait import wait_until

OPTIONS = ["--group", "local.test", "--peer", "127.0.0.1"]
KINDS = ["takethis", "takethis", "ihave", "post"]


def kill_and_wait(pid):
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: process_state(pid) in (None, "Z"), 10, "its death")


@pytest.mark.parametrize("victim", ["writer", "nnrpd"])
def test_killed_children_under_load(start_server, is_long, victim):
    server = start_server(*OPTIONS, conf=["workers = 2"])
    load = Load(server.port, prefix=victim).start(*KINDS)
    chance = random.Random(7)
    for _ in range(100 if is_long else 10):
        before = len(load.answered)
        # Some work between two deaths, and not the same each time.
        wait_until(lambda: len(load.answered) > before + 20, 20,
                   "answers after a death")
        time.sleep(chance.random() * 0.1)  # the moment is the point
        pids = server.children(victim)
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


class Storm:
    """Kills one process or all, and the writer in the midst of its recovery
    too, at moments that chance chooses."""

    def __init__(self, supervisor, chance):
        self.supervisor = supervisor
        self.chance = chance
        self.kinds = [self.writer, self.writer_in_recovery, self.worker,
                      self.master, self.tree]
        self.killed = 0

    def strike(self):
        self.chance.choice(self.kinds)()

    def kill_one(self, word):
        """One of these, once there is one."""
        pids = wait_until(lambda: children_of(self.supervisor.process.pid,
                                              word), 30, word)
        kill(self.chance.choice(pids))
        self.killed += 1

    def writer(self):
        self.kill_one("writer")

    def writer_in_recovery(self):
        for _ in range(3):
            self.kill_one("writer")
            time.sleep(self.chance.random() * 0.05)  # the moment is the point

    def worker(self):
        self.kill_one("nnrpd")

    def master(self):
        self.supervisor.kill()
        self.killed += 1

    def tree(self):
        """The master last, or it would notice."""
        # The workers of one that was just killed answer for a while.
        wait_until(lambda: children_of(self.supervisor.process.pid), 30,
                   "a master")
        master = self.supervisor.process.pid
        os.kill(master, signal.SIGSTOP)
        for pid in [*children_of(master), master]:
            kill(pid)
        self.killed += 1


def test_kill_storm(start_server, is_long, seed):
    """Nothing lost or twice, no number for two articles, none that appears
    below another, and marks and counts are right."""
    chance = random.Random(seed)
    rounds = (200, 20) if Server.database is None else (40, 6)
    server = start_server(*OPTIONS, conf=["workers = 2"])
    server.stop()
    supervisor = Supervisor(server)
    storm = Storm(supervisor, chance)
    load = Load(server.port, prefix="storm")
    watcher = Watcher(server.port)
    try:
        load.start(*KINDS, "post")
        watcher.start()
        for _ in range(rounds[0] if is_long else rounds[1]):
            enough = len(load.answered) + chance.randrange(5, 60)
            wait_until(lambda: len(load.answered) > enough, 60,
                       "answers after a death")
            time.sleep(chance.random() * 0.05)  # the moment is the point
            storm.strike()
        enough = len(load.answered) + 100
        wait_until(lambda: len(load.answered) > enough, 60,
                   "service after the last death")
        load.stop()
        watcher.stop()
        assert storm.killed >= rounds[1]
        check_stored(server, load)
        watcher.check(server)
    finally:
        supervisor.stop()
    server.start()
    check_stored(server, load)
    watcher.check(server)


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
    # It serves as soon as one of them can.
    wait_until(lambda: "Workers 2 of 2 ready" in server.ctlinnd("mode").stdout,
               30, "both workers")
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
