"""Peers of all kinds, the bad ones too: nothing is lost, nothing is offered
twice after a final answer."""
import os
import re
import signal
import threading
import time

import pytest

from support.feed import (feedinfo, give, is_summed, made, wait_all, wait_idle,
                          wire_parts)
from support.nntp import article
from support.peer import CLOSE, SILENCE, Peer
from support.wait import wait_until


def test_streaming_asks_first_and_sends_what_is_wanted(fed):
    peer = Peer()
    server = fed(peer)
    articles = made(100)
    give(server, articles)
    wait_all(peer, articles)
    for name, octets in articles:
        there = peer.articles[name]
        assert wire_parts(there) == wire_parts(octets)
        # Our numbers concern nobody else (RFC 5537, 3.6).
        assert b"\r\nXref:" not in there and not there.startswith(b"Xref:")
        assert b"Path: a.example!peer.invalid!not-for-mail\r\n" in there
        assert peer.offered(name) == 1


def test_ihave_where_the_peer_knows_no_streaming(fed):
    peer = Peer()
    peer.mode_stream = "500 what?"
    server = fed(peer)
    articles = made(50)
    give(server, articles)
    wait_all(peer, articles)
    assert {word for word, _ in peer.offers} == {"IHAVE"}
    assert wait_idle(server, "peer.example")["accepted"] == 50


def test_answers_in_another_order_are_understood(fed):
    """A peer that answers a burst of CHECKs from behind."""
    peer = Peer()
    held, lock = [], threading.Lock()

    def check(name):
        with lock:
            held.append(name)
            if len(held) < 5:
                return b""
            lines = "".join(f"238 {one}\r\n" for one in reversed(held))
            held.clear()
            return lines.encode()

    peer.check = check
    server = fed(peer, "connections = 1")
    articles = made(100)
    give(server, articles)
    wait_all(peer, articles)


def test_final_answers_are_final(fed):
    """438, 439 and 239 are counted and never asked about again."""
    peer = Peer()
    peer.check = lambda name: (f"438 {name}" if "-1" in name
                               else f"238 {name}")

    def taken(name, octets):
        if "-2" in name:
            return f"439 {name}"
        peer.articles[name] = octets
        return f"239 {name}"

    peer.taken = taken
    server = fed(peer)
    articles = made(40)
    give(server, articles)
    info = wait_idle(server, "peer.example")
    refused = sum("-1" in name for name, _ in articles)
    rejected = sum("-2" in name for name, _ in articles)
    assert (info["refused"], info["rejected"]) == (refused, rejected)
    assert info["accepted"] == 40 - refused - rejected
    peer.cut()
    give(server, made(5, "more"))
    wait_idle(server, "peer.example")
    assert all(peer.offered(name) == 1 for name, _ in articles)


@pytest.mark.parametrize("streaming", [True, False])
def test_deferred_articles_are_offered_again(fed, streaming):
    peer = Peer()
    first = set()

    def once(name, later, else_):
        if name in first:
            return else_
        first.add(name)
        return later

    usual = peer.ihave
    if streaming:
        peer.check = lambda name: once(name, f"431 {name}", f"238 {name}")
    else:
        peer.mode_stream = "501 no"
        peer.ihave = lambda name: once(name, "436 later", usual(name))
    server = fed(peer)
    articles = made(20)
    give(server, articles)
    wait_until(lambda: feedinfo(server, "peer.example")["deferred"] == 20, 10)
    info = feedinfo(server, "peer.example")
    assert is_summed(info) and info["offered"] == 20
    wait_all(peer, articles)
    info = wait_idle(server, "peer.example")
    assert (info["offered"], info["accepted"]) == (20, 20)
    assert info["deferrals"] == 20
    assert all(peer.offered(name) == 2 for name, _ in articles)


def test_deferred_articles_survive_the_feeder(fed):
    peer = Peer()
    peer.check = lambda name: f"431 {name}"
    server = fed(peer)
    articles = made(20)
    give(server, articles)
    wait_until(lambda: feedinfo(server, "peer.example")["deferred"] == 20, 10)
    pid = server.children("feeder")[0]
    # So far the cursor has passed them all.
    give(server, made(1, "behind"))
    wait_until(lambda: feedinfo(server, "peer.example")["deferred"] == 21, 10)
    time.sleep(0.3)
    os.kill(pid, signal.SIGKILL)
    peer.check = lambda name: f"238 {name}"
    wait_until(lambda: len(peer.articles) == 21, 20)
    info = wait_idle(server, "peer.example")
    assert (info["offered"], info["accepted"]) == (21, 21)


# What it does first, what the log says of it.
BAD = {
    "nonsense for a greeting": ("greeting", b"SSH-2.0-OpenSSH_9.2\r\n",
                                "nonsense"),
    "an octet flood": ("greeting", b"x" * 20000, "nonsense"),
    "a refusal": ("greeting", "502 not you", "502 not you"),
    "too busy": ("greeting", "400 come back", "400 come back"),
    "closed at once": ("greeting", CLOSE, "closed"),
    "silence": ("greeting", SILENCE, "no answer in 1 s"),
    "nonsense for a mode": ("mode_stream", b"\0\0\0\r\n", "nonsense"),
    "silence for a mode": ("mode_stream", SILENCE, "no answer in 1 s"),
    "nonsense for CHECK": ("check", lambda name: "banana", "nonsense"),
    "a code that is none here": ("check", lambda name: f"223 {name}",
                                 "nonsense"),
    "another message-ID": ("check", lambda name: "238 <other@example.com>",
                           "nonsense"),
    "silence for CHECK": ("check", lambda name: SILENCE, "no answer in 1 s"),
    "closed at CHECK": ("check", lambda name: CLOSE, "closed|broke"),
    "login needed": ("check", lambda name: "480 who are you?", "480 who"),
    "nonsense for TAKETHIS": ("taken", lambda name, octets: "200 fine",
                              "nonsense"),
    "silence for TAKETHIS": ("taken", lambda name, octets: SILENCE,
                             "no answer in 1 s"),
    "closed at TAKETHIS": ("taken", lambda name, octets: CLOSE,
                           "closed|broke"),
    "400 for TAKETHIS": ("taken", lambda name, octets: "400 not now",
                         "400 not now"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_peer_gets_all_when_it_is_good_again(fed, case):
    what, bad, says = BAD[case]
    peer = Peer()
    usual = getattr(peer, what)
    setattr(peer, what, bad)
    server = fed(peer, "connections = 1", "responsetimeout = 1")
    articles = made(30)
    give(server, articles)
    line = wait_until(lambda: re.search(
        r"peer peer\.example: connection=0 failed: (.*)", server.log()), 15)
    assert re.search(says, line[1]), line[1]
    # It waits between its tries: a second, two, four.
    assert "next try in" in line[1]
    assert peer.connections <= 3
    info = feedinfo(server, "peer.example")
    assert is_summed(info) and info["offered"] == 30, info
    setattr(peer, what, usual)
    assert server.ctlinnd("begin", "peer.example").returncode == 0
    wait_all(peer, articles)
    info = wait_idle(server, "peer.example")
    assert info["accepted"] == 30
    # One process all the while.
    assert "feeder peer.example: pid" not in server.log()


def test_one_article_that_breaks_the_peer_stops_no_other(fed):
    peer = Peer()

    def taken(name, octets):
        if name == "<made-0@example.com>":
            return CLOSE
        peer.articles[name] = octets
        return f"239 {name}"

    peer.taken = taken
    server = fed(peer, "connections = 1")
    articles = made(50)
    give(server, articles)
    wait_until(lambda: len(peer.articles) == 49, 40)
    wait_until(lambda: feedinfo(server, "peer.example")["deferred"] == 1, 20)


def test_login(fed):
    peer = Peer()
    peer.password = "sesame"
    server = fed(peer, 'username = "me"', 'password = "sesame"')
    articles = made(5)
    give(server, articles)
    wait_all(peer, articles)
    assert peer.commands[0] == "AUTHINFO USER me"
    assert peer.commands[1] == "AUTHINFO PASS sesame"
    assert "sesame" not in server.log()


def test_a_wrong_login_is_told_and_tried_again_later(fed):
    peer = Peer()
    peer.password = "sesame"
    server = fed(peer, 'username = "me"', 'password = "wrong"')
    give(server, made(5))
    wait_until(lambda: "login refused: 481" in server.log(), 10)
    assert "wrong" not in server.log()
    peer.password = "wrong"
    wait_until(lambda: len(peer.articles) == 5, 20)


def test_nobody_listens(fed):
    peer = Peer()
    port = peer.port
    peer.close()
    peer.thread.join(5)
    server = fed(peer)
    articles = made(5)
    give(server, articles)
    wait_until(lambda: "cannot connect: Connection refused" in server.log(),
               10)
    with Peer(port) as there:
        wait_until(lambda: len(there.articles) == 5, 20)


def test_a_peer_that_reads_slowly_hurts_nobody(fed):
    """Large articles to a peer that answers one at a time; our own readers
    are served meanwhile."""
    peer = Peer()
    gate = threading.Semaphore(0)

    def taken(name, octets):
        gate.acquire()
        peer.articles[name] = octets
        return f"239 {name}"

    peer.taken = taken
    server = fed(peer, "connections = 1")
    articles = [(f"<large-{number}@example.com>",
                 article(message_id=f"<large-{number}@example.com>",
                         body=(b"x" * 70 + b"\n") * 10000))
                for number in range(40)]
    give(server, articles)
    with server.connect() as client:
        assert client.command("GROUP local.test").startswith("211 40 ")
    for _ in articles:
        gate.release()
    wait_all(peer, articles)
    assert peer.articles["<large-7@example.com>"].endswith(
        articles[7][1][-100000:])
