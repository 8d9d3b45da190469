"""A disk that fails: nothing is answered that is not there, nothing is refused
for good, and readers do not notice."""
import contextlib
import os
import time

import pytest

from support.load import Load, Watcher, check_stored
from support.nntp import article, post
from support.server import shim
from support.wait import wait_until

OPTIONS = ["--group", "local.test", "--peer", "127.0.0.1"]


@pytest.fixture
def server(start_server):
    return start_server(*OPTIONS, conf=["workers = 1"],
                        environment={"LD_PRELOAD": shim("disk")})


@contextlib.contextmanager
def failing_disk(server):
    """The log cannot be synced meanwhile."""
    mark = os.path.join(server.dir, "spool", "fails")
    with open(mark, "w"):
        pass
    try:
        yield
    finally:
        os.unlink(mark)


def mode(server):
    status = server.ctlinnd("status").stdout
    return [line for line in status.splitlines() if line.startswith("mode ")][0]


def test_a_write_that_failed_once_costs_nobody_anything(server):
    load = Load(server.port).start("takethis", "ihave", "post", "post")
    watcher = Watcher(server.port).start()
    wait_until(lambda: len(load.answered) > 100, 20, "answers")
    mark = os.path.join(server.dir, "spool", "fails-once")
    with open(mark, "w"):
        pass
    wait_until(lambda: not os.path.exists(mark), 20, "the failure")
    before = len(load.answered)
    wait_until(lambda: len(load.answered) > before + 100, 20,
               "answers after the failure")
    load.stop()
    watcher.stop()
    assert (load.breaks, load.deferred) == (0, 0)
    assert mode(server) == "mode running"
    check_stored(server, load)
    watcher.check(server)


def test_after_three_failures_the_store_is_read_only_until_go(server):
    offer = article(message_id="<off@example.com>")
    with server.connect(timeout=40) as client:
        for number in range(5):
            assert client.post(post(message_id=f"<{number}@x.example>"))\
                .startswith("240 ")
        with failing_disk(server):
            client.send(b"POST\r\n")
            assert client.reply().startswith("340")
            client.send(post(message_id="<lost@x.example>"))
            wait_until(lambda: "throttled" in mode(server), 30, "the alarm")
            # It hears that this was not taken, and readers read on.
            assert client.reply().startswith("441 ")
            assert client.command("GROUP local.test").startswith("211 5 1 5 ")
            client.long("ARTICLE 3")
            assert client.command("CHECK <off@example.com>").startswith("431")
            assert client.command("IHAVE <off@example.com>").startswith("436")
        # A writer can begin again, but nothing is written unasked.
        wait_until(lambda: "writer pid=0" not in server.ctlinnd("status").stdout
                   and "state=ready" in server.ctlinnd("status").stdout, 40,
                   "a writer")
        assert client.command("IHAVE <off@example.com>").startswith("436")
        assert client.post(post(message_id="<no@x.example>"))[:3] in (
            "440", "441")
        assert "ALARM" in server.log()
        assert server.ctlinnd("go", "").returncode == 0
        wait_until(lambda: client.ihave("<off@example.com>", offer)
                   .startswith("235"), 20, "service after go")
        assert client.command("GROUP local.test").split()[1] in ("6", "7")
        for number in range(5):
            assert client.command(f"STAT <{number}@x.example>")[:3] == "223"


def writer_counter(server, name):
    status = server.ctlinnd("status").stdout
    line = [line for line in status.splitlines()
            if line.startswith("writer ")][0]
    return int(dict(word.split("=") for word in line.split()[1:])[name])


def settled_counter(server, name):
    """Its value once it has been the same for a second and a half: the writer
    tells it each second."""
    seen = []

    def is_settled():
        seen.append((time.monotonic(), writer_counter(server, name)))
        same = [when for when, value in seen if value == seen[-1][1]]
        return same[-1] - same[0] > 1.5

    wait_until(is_settled, 20, name)
    return seen[-1][1]


def test_a_slow_flush_is_shared_by_all_who_wait(start_server):
    """Four connections that stream, and syncs of 5 ms: what comes meanwhile
    goes with the next one, without anybody waiting for more."""
    server = start_server(*OPTIONS, conf=["workers = 1"], environment={
        "LD_PRELOAD": shim("disk"), "RENEWS_DISK_MS": "5"})
    load = Load(server.port).start(*["takethis"] * 4)
    wait_until(lambda: len(load.answered) > 1000, 60, "articles")
    load.stop()
    stored = writer_counter(server, "stored")
    commits = settled_counter(server, "groups_committed")
    assert stored == len(load.answered)
    assert stored / commits > 5, f"{stored} in {commits}"
    check_stored(server, load)
