"""Pulling from a real server that does not push."""
import os
import signal

import pytest

from support.feed import (feedinfo, fetch, give, made, peer_conf, stored,
                          unchanged, wire_parts)
from support.nntp import article
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
