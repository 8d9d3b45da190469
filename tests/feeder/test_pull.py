"""Pulling from a real server that does not push."""
import os
import re
import signal

import pytest

from support.feed import (feedinfo, fetch, give, made, peer_conf, stored,
                          unchanged, wire_parts)
from support.nntp import article
from support.peer import CLOSE, SILENCE, Peer
from support.wait import wait_until


@pytest.fixture
def pair(start_server):
    """a.example pulls from b.example."""
    b = start_server("--name", "b.example", "--group", "local.test",
                     "--group", "local.other", "--group", "other.test",
                     "--peer", "127.0.0.1")
    a = start_server("--name", "a.example", "--group", "local.test",
                     "--group", "local.other", "--group", "local.missing",
                     "--group", "other.test",
                     conf=[peer_conf("b.example", b.port, 'push = "!*"',
                                     'pull = "local.*"', "pullinterval = 1")])
    return a, b


def test_what_is_there_and_what_comes_is_fetched_once(pair):
    a, b = pair
    articles = made(200)
    give(b, articles)
    give(b, made(10, "unwanted", "other.test"))
    both = made(10, "both", "local.test,local.other")
    give(b, both)
    wait_until(lambda: len(stored(a)) == 210, 30)
    wait_until(lambda: len(stored(a, "local.other")) == 10, 30)
    more = made(20, "more")
    give(b, more)
    wait_until(lambda: len(stored(a)) == 230, 30)
    assert stored(a, "other.test") == []
    assert len(set(stored(a))) == 230
    wait_until(lambda: feedinfo(a, "b.example")["pulled"] == 230, 5)
    with a.connect() as client:
        for name, octets in articles[:20]:
            there = fetch(client, name)
            assert (unchanged(there.head), there.body) == wire_parts(octets)
            assert there["Path"].startswith("a.example!b.example!peer.")


def test_its_place_is_remembered_over_a_death(pair):
    a, b = pair
    give(b, made(100))
    wait_until(lambda: len(stored(a)) == 100, 30)
    for number in range(5):
        os.kill(wait_until(lambda: a.children("feeder"), 10)[0],
                signal.SIGKILL)
        give(b, made(50, f"kill{number}"))
    wait_until(lambda: len(stored(a)) == 350, 60)
    assert len(set(stored(a))) == 350


def test_the_writers_death_loses_nothing(pair):
    a, b = pair
    give(b, made(1000))
    wait_until(lambda: len(stored(a)) > 0, 20)
    os.kill(a.writer(), signal.SIGKILL)
    wait_until(lambda: len(stored(a)) == 1000, 60)
    assert len(set(stored(a))) == 1000


def test_what_may_not_be_taken_is_passed_over(pair):
    a, b = pair
    # It has been here already, by its Path.
    name = "<loop@example.com>"
    give(b, [(name, article(message_id=name,
                            path="x!a.example!not-for-mail"))])
    give(b, made(10))
    wait_until(lambda: len(stored(a)) == 10, 20)
    wait_until(lambda: "pulled stored=" in a.log(), 10)
    assert "refused=1" in a.log()


# --- peers that are no good ---

class Source(Peer):
    """One that serves a group of five articles, and answers as it is told."""

    def __init__(self):
        super().__init__()
        self.numbered = dict(enumerate(made(5, "source"), 1))

    def group(self, name):
        return f"211 5 1 5 {name}"

    def article_of(self, number):
        name, octets = self.numbered[number]
        return f"220 {number} {name}\r\n".encode() + octets

    def other(self, line):
        word, _, rest = line.partition(" ")
        if word == "GROUP":
            return self.group(rest)
        if word == "ARTICLE":
            return self.article_of(int(rest))
        return "200 go on"


@pytest.fixture
def source():
    with Source() as one:
        yield one


@pytest.fixture
def start_puller(start_server, source):
    """Starts a server that pulls from the source."""
    return lambda: start_server(
        "--name", "a.example", "--group", "local.test", conf=[
            peer_conf("b.example", source.port, 'push = "!*"',
                      'pull = "local.*"', "pullinterval = 1",
                      "responsetimeout = 1")])


# What it does at first, what the log says of it.
BAD = {
    "nonsense for a greeting": ("greeting", b"\x16\x03\x01\x02\r\n",
                                "nonsense"),
    "an octet flood": ("greeting", b"x" * 20000, "nonsense"),
    "a refusal": ("greeting", "502 not you", "502 not you"),
    "silence": ("greeting", SILENCE, "no answer in 1 s"),
    "nonsense for GROUP": ("group", b"banana\r\n", "nonsense"),
    "another code for GROUP": ("group", "480 who are you?", "480 who"),
    "no numbers for GROUP": ("group", "211 many of them", "211 many"),
    "a number that no article has": (
        "group", f"211 5 1 {2 ** 64} local.test", "to GROUP"),
    "silence for GROUP": ("group", SILENCE, "no answer in 1 s"),
    "closed at GROUP": ("group", CLOSE, "closed|broke"),
    "nonsense for ARTICLE": ("article_of", b"\0\0\r\n", "nonsense"),
    "another code for ARTICLE": ("article_of", "403 a fault", "403 a fault"),
    "silence for ARTICLE": ("article_of", SILENCE, "no answer in 1 s"),
    "silence within an article": ("article_of", b"220 1 <a@b>\r\nPath: x\r\n",
                                  "no answer in 1 s"),
    "closed at ARTICLE": ("article_of", CLOSE, "closed|broke"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_peer_is_asked_again_and_nothing_is_lost(start_puller, source,
                                                       case):
    what, bad, says = BAD[case]
    usual = getattr(source, what)
    setattr(source, what, bad if what == "greeting" else lambda _: bad)
    server = start_puller()
    line = wait_until(lambda: re.search(
        r"peer b\.example: pulling failed: (.*)", server.log()), 15)
    assert re.search(says, line[1]), line[1]
    assert "next try in" in line[1]
    with server.connect() as client:
        assert client.command("GROUP local.test").startswith("211 0 ")
    setattr(source, what, usual)
    wait_until(lambda: len(stored(server)) == 5, 30)
    assert stored(server) == [name for name, _ in source.numbered.values()]
    # One process all the while.
    assert "feeder b.example: pid" not in server.log()


def test_bad_articles_are_passed_over_and_good_ones_taken(start_puller, source):
    good = source.article_of
    bad = {
        2: b"220 2 <made@example.com>\r\nno header\r\n.\r\n",
        3: b"220 3 <long@example.com>\r\n" + article(
            message_id="<long@example.com>", body=(b"x" * 70 + b"\n") * 20000),
        4: b"220 4 <cr@example.com>\r\n" + article(
            message_id="<cr@example.com>").replace(b"A line", b"A\rline"),
    }
    source.article_of = lambda number: bad.get(number) or good(number)
    server = start_puller()
    wait_until(lambda: "pulled stored=2 refused=3" in server.log(), 20)
    assert stored(server) == [source.numbered[number][0] for number in (1, 5)]


def test_the_sites_rules_hold_for_what_is_pulled(start_server):
    b = start_server("--name", "b.example", "--group", "local.test",
                     "--group", "local.there", "--peer", "127.0.0.1")
    a = start_server("--name", "a.example", "--group", "local.test", conf=[
        peer_conf("b.example", b.port, 'push = "!*"', 'pull = "local.*"',
                  "pullinterval = 1"),
        'pathcluster = "all.example"', 'pathalias = "alias.example"',
        "pathdiagnostics = true", "verifygroups = true",
        'exclude = {"spam.example"}', 'groupmaxartsize = {"local.test:2000"}'])
    refused = {
        "<spam@example.com>": {"path": "spam.example!not-for-mail"},
        "<far@example.com>": {"group": "local.test,local.there"},
        "<long@example.com>": {"body": b"A line.\n" * 500},
    }
    give(b, [(name, article(message_id=name, **fields))
             for name, fields in refused.items()] + made(1))
    wait_until(lambda: "pulled stored=1 refused=3" in a.log(), 20)
    good, = stored(a)
    assert good not in refused
    with a.connect() as client:
        assert fetch(client, good)["Path"].startswith(
            "all.example!a.example!alias.example!!b.example!peer.")
