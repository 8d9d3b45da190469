"""Pushing between real servers."""
import os
import signal
import time

import pytest

from support.feed import (fetch, feedinfo, give, is_summed, made, peer_conf,
                          stored, unchanged, wait_idle, wire_parts)
from support.nntp import article, post
from support.wait import wait_until

GROUPS = ["--group", "local.test", "--group", "local.other",
          "--group", "secret.test"]


@pytest.fixture
def pair(start_server):
    """a.example feeds b.example."""
    def start(*lines, name="b.example"):
        b = start_server("--name", "b.example", *GROUPS, "--peer",
                         "127.0.0.1")
        a = start_server("--name", "a.example", *GROUPS, "--peer",
                         "127.0.0.1",
                         conf=[peer_conf(name, b.port, *lines)])
        return a, b
    return start


def test_an_article_leaves_within_a_second(pair):
    a, b = pair()
    with a.connect() as client, b.connect() as reader:
        for number in range(5):
            name = f"<soon-{number}@example.com>"
            assert client.post(post(message_id=name)).startswith("240")
            began = time.monotonic()
            wait_until(lambda: reader.command(f"STAT {name}")[:3] == "223", 5)
            assert time.monotonic() - began < 1


def test_serve_feed_gives_a_peer_all_that_is_here(start_server):
    b = start_server("--name", "b.example", "--group", "local.test", "--peer",
                     "127.0.0.1")
    a = start_server("--name", "a.example", "--group", "local.test", "--peer",
                     "127.0.0.1")
    give(a, made(20, "before"))
    a.stop()
    a.options += ["--feed", f"127.0.0.1:{b.port}"]
    a.start()
    give(a, made(20, "after"))
    wait_until(lambda: len(stored(b)) == 40, 20)


def test_each_article_arrives_once_and_unchanged(pair):
    a, b = pair("connections = 3")
    articles = made(500)
    give(a, articles)
    info = wait_idle(a, "b.example")
    assert info["accepted"] == info["offered"] == 500
    assert sorted(stored(b)) == sorted(name for name, _ in articles)
    with b.connect() as client:
        for name, octets in articles:
            head, body = wire_parts(octets)
            there = fetch(client, name)
            assert there.body == body
            assert unchanged(there.head) == head
            assert there["Path"] == ("b.example!a.example!peer.invalid"
                                     "!not-for-mail")
            assert there["Xref"].startswith("b.example local.test:")


def test_ihave_where_streaming_is_not_wanted(pair):
    a, b = pair("streaming = false")
    articles = made(50)
    give(a, articles)
    assert wait_idle(a, "b.example")["accepted"] == 50
    assert len(stored(b)) == 50


def test_what_the_peer_has_is_refused_and_counted(pair):
    a, b = pair()
    articles = made(30)
    give(b, articles[:10])
    give(a, articles)
    info = wait_idle(a, "b.example")
    assert (info["offered"], info["accepted"], info["refused"]) == (30, 20,
                                                                    10)
    assert len(stored(b)) == 30


# group, path, octets of body, is it sent, the promise
FILTERED = [
    ("local.test", "x!not", 100, True, "what matches"),
    ("local.other", "x!not", 100, False, "a group that is not wanted"),
    ("local.test,local.other", "x!not", 100, True, "one of two is enough"),
    ("local.test,secret.test", "x!not", 100, False, "poison is final"),
    ("local.test,secret.far", "x!not", 100, False,
     "poison counts where the group is not carried"),
    ("local.test", "x!b.example!not", 100, False, "the peer's own name"),
    ("local.test", "x!bad.example!not", 100, False, "an excluded name"),
    ("local.test", "x!not-bad.example!not", 100, True, "no part of a name"),
    ("local.test", "x!not", 9000, False, "too long"),
]


def test_filters_decide_what_is_offered(pair):
    a, b = pair('push = "local.*,!local.other,@secret.*"',
                'exclude = {"bad.example"}', "maxsize = 5000")
    cases = [(f"<case-{number}@example.com>", case)
             for number, case in enumerate(FILTERED)]
    give(a, [(name, article(group, message_id=name, path=path,
                            body=(b"x" * 49 + b"\n") * (octets // 50)))
             for name, (group, path, octets, _, _) in cases])
    give(a, made(1, "last"))
    info = wait_idle(a, "b.example")
    with b.connect() as client:
        for name, (_, _, _, sent, promise) in cases:
            got = client.command(f"STAT {name}").startswith("223")
            assert got == sent, promise
    assert info["offered"] == 1 + sum(case[3] for case in FILTERED)


def test_a_new_peer_gets_what_arrives_from_then_on(start_server):
    b = start_server("--name", "b.example", "--group", "local.test", "--peer",
                     "127.0.0.1")
    a = start_server("--name", "a.example", "--group", "local.test", "--peer",
                     "127.0.0.1")
    give(a, made(10, "before"))
    with open(a.conf, "a") as conf:
        conf.write(peer_conf("b.example", b.port) + "\n")
    done = a.ctlinnd("reload")
    assert "peer b.example" in done.stdout, done.stdout + done.stderr
    give(a, made(10, "after"))
    wait_until(lambda: len(stored(b)) == 10, 20)
    assert all("after" in name for name in stored(b))
    # And one that is taken out is fed no more.
    with open(a.conf) as conf:
        text = conf.read()
    with open(a.conf, "w") as conf:
        conf.write(text[:text.index('peer "b.example"')])
    assert a.ctlinnd("reload").returncode == 0
    wait_until(lambda: not a.children("feeder"), 10)
    assert "No peer" in a.ctlinnd("feedinfo").stdout


def test_drop_and_begin(pair):
    a, b = pair()
    assert a.ctlinnd("drop", "b.example").stdout.strip() == "Ok"
    wait_until(lambda: not a.children("feeder"), 10)
    give(a, made(10))
    assert feedinfo(a, "b.example")["state"] == "dropped"
    assert stored(b) == []
    assert a.ctlinnd("begin", "b.example").stdout.strip() == "Ok"
    wait_until(lambda: len(stored(b)) == 10, 10)
    assert a.ctlinnd("begin", "nobody").returncode == 1
    assert a.ctlinnd("feedinfo", "nobody").returncode == 1


def test_killing_the_feeder_20_times_loses_nothing(pair):
    a, b = pair()
    articles = made(2000)
    kills = 0

    for start in range(0, 2000, 100):
        give(a, articles[start:start + 100])
        pid = wait_until(lambda: a.children("feeder"), 20, "a feeder")[0]
        # In the middle of its work: some of these are there, not all.
        wait_until(lambda: len(stored(b)) > start, 20)
        os.kill(pid, signal.SIGKILL)
        kills += 1
        wait_until(lambda: pid not in a.children("feeder"), 20)
    assert kills == 20
    info = wait_idle(a, "b.example", 60)
    names = stored(b)
    assert len(names) == 2000 and set(names) == {name for name, _ in articles}
    # What a dead one had not noted was offered again, and refused.
    assert info["rejected"] == info["missing"] == 0


def test_two_that_feed_each_other(start_server):
    a = start_server("--name", "a.example", "--group", "local.test", "--peer",
                     "127.0.0.1")
    b = start_server("--name", "b.example", "--group", "local.test", "--peer",
                     "127.0.0.1",
                     conf=[peer_conf("a.example", a.port)])
    with open(a.conf, "a") as conf:
        conf.write(peer_conf("b.example", b.port) + "\n")
    assert a.ctlinnd("reload").returncode == 0
    names = set()

    def write(server, prefix, count):
        with server.connect() as client:
            for number in range(count):
                name = f"<{prefix}-{number}@example.com>"
                assert client.post(post(message_id=name))[:3] == "240"
                names.add(name)

    write(a, "a", 50)
    write(b, "b", 50)
    for server in (a, b):
        wait_until(lambda: set(stored(server)) == names, 20)
    # One is away for a while, and catches up.
    b.stop()
    write(a, "away", 200)
    wait_until(lambda: "failed" in a.log(), 20)
    b.start()
    write(b, "back", 20)
    a.ctlinnd("begin", "b.example")
    for server in (a, b):
        wait_until(lambda: set(stored(server)) == names, 90)
        assert len(stored(server)) == len(names) == 320
    # Neither has offered the other what came from it.
    info = wait_idle(a, "b.example")
    assert info["offered"] == 250 and info["accepted"] == 250
    # Counted since it was started again.
    assert wait_idle(b, "a.example")["offered"] == 20


def test_a_restart_of_the_server_goes_on_where_it_was(pair):
    a, b = pair()
    give(a, made(100, "one"))
    wait_idle(a, "b.example")
    b.stop()
    give(a, made(100, "two"))
    wait_until(lambda: feedinfo(a, "b.example")["pending"] == 100, 20)
    a.kill_master()
    b.start()
    a.start()
    wait_until(lambda: len(stored(b)) == 200, 60)
    info = wait_idle(a, "b.example")
    # From its cursor, not from the begin.
    assert info["offered"] == 100 and is_summed(info)
