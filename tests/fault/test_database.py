"""The overview's database is stopped, killed, and taken away: nothing is lost,
and who does not need it does not notice."""
import threading
import time

import pytest

from support.database import Database
from support.nntp import Client
from support.server import Server
from support.wait import wait_until


def article(number, group="local.test"):
    return ("Path: peer!not-for-mail\r\nFrom: A <a@peer.example>\r\n"
            f"Newsgroups: {group}\r\nSubject: number {number}\r\n"
            "Date: Mon, 23 Nov 2026 21:04:05 +0000\r\n"
            f"Message-ID: <{number}@database.example>\r\n\r\n"
            f"body {number}\r\n").encode()


@pytest.fixture
def own_database():
    """One that a test may stop."""
    one = Database()
    try:
        yield one.start()
    finally:
        one.remove()


@pytest.fixture
def own_server(own_database):
    one = Server("--group", "local.test", "--peer", "127.0.0.1",
                 "--overview", own_database.overview(),
                 conf=["artcutoff = 0"])
    try:
        yield one.start()
    finally:
        one.remove()


def ihave(client, number):
    """The final code."""
    return client.ihave(f"<{number}@database.example>",
                        article(number) + b".\r\n")[:3]


class Feed(threading.Thread):
    """Offers articles one after the other until it is told to end, each until
    it has a final answer."""

    def __init__(self, port):
        super().__init__()
        self.port = port
        self.taken = []
        self.stopping = False

    def run(self):
        number = 0
        client = Client(self.port)
        while not self.stopping:
            number += 1
            code = None
            while code not in ("235", "435") and not self.stopping:
                code = ihave(client, number)
                if code == "436":
                    time.sleep(0.05)
            if code in ("235", "435"):
                self.taken.append(number)
        client.close()


def numbers(server):
    """Article number -> message-ID as OVER says it."""
    with server.connect() as client:
        client.command("GROUP local.test")
        # Workers do not notice at the same time that the database is back.
        wait_until(lambda: client.command("OVER 1-").startswith("224"), 20,
                   "the overview")
        lines = client.block()
    rows = [line.decode("latin-1").split("\t") for line in lines]
    return {int(row[0]): row[4] for row in rows}


def check(server, feed):
    """Each article that was taken has one number, and each number stays."""
    found = numbers(server)
    expected = {f"<{number}@database.example>" for number in feed.taken}
    assert expected <= set(found.values())
    assert len(set(found.values())) == len(found)
    assert sorted(found) == list(range(1, len(found) + 1))
    with server.connect() as client:
        reply = client.command("GROUP local.test")
        assert reply.split()[1:4] == [str(len(found)), "1", str(len(found))]


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_a_database_that_comes_back_under_load_loses_nothing(
        own_database, own_server, how):
    feed = Feed(own_server.port)
    feed.start()
    try:
        for _ in range(4):
            have = len(feed.taken)
            wait_until(lambda: len(feed.taken) > have + 100, 30,
                       "articles taken")
            getattr(own_database, how)()
            own_database.start()
        have = len(feed.taken)
        wait_until(lambda: len(feed.taken) > have + 100, 30, "articles taken")
    finally:
        feed.stopping = True
        feed.join(60)
    check(own_server, feed)
    assert "the database is" in own_server.log()
    before = numbers(own_server)
    own_server.serve("restart")
    assert numbers(own_server) == before


def test_while_the_database_is_away_who_can_be_served_is(own_database,
                                                         own_server):
    with own_server.connect() as client:
        for number in range(1, 6):
            assert ihave(client, number) == "235"
    reader = own_server.connect(timeout=40)
    reader.command("GROUP local.test")
    feeder = own_server.connect(timeout=40)
    own_database.stop()
    began = time.monotonic()
    # On its way: put off after ten seconds, and stored all the same.
    feeder.send(b"IHAVE <6@database.example>\r\n")
    assert feeder.reply().startswith("335")
    feeder.send(article(6) + b".\r\n")
    assert reader.command("OVER 1-5").startswith("403")
    assert time.monotonic() - began < 10
    # From here on at once.
    began = time.monotonic()
    assert reader.command("GROUP local.test").startswith("211 5 1 5")
    assert reader.command("OVER 1-5").startswith("403")
    assert reader.command("STAT <3@database.example>").startswith("223")
    with own_server.connect() as other:
        body = other.long("BODY <3@database.example>")[1]
        assert body == [b"body 3"]
        assert len(other.long("LIST ACTIVE local.*")[1]) == 1
    assert time.monotonic() - began < 3
    assert feeder.reply().startswith("436")
    assert feeder.command("IHAVE <7@database.example>").startswith("436")
    assert feeder.command("CHECK <7@database.example>").startswith("431")
    own_database.start()
    # The worker asks again by itself, and so does the writer.
    wait_until(lambda: reader.command("OVER 1-5").startswith("224")
               and len(reader.block()) == 5, 20, "the overview")
    wait_until(lambda: ihave(feeder, 6) == "435", 20, "the article's outcome")
    wait_until(lambda: ihave(feeder, 7) in ("235", "435"), 20, "the next one")
    assert set(numbers(own_server)) == {1, 2, 3, 4, 5, 6, 7}
    # Each outage is told a few times, not a thousand.
    told = [line for line in own_server.log().splitlines()
            if "database" in line]
    assert 0 < len(told) < 80


def test_the_server_stops_and_starts_while_the_database_is_away(
        own_database, own_server):
    with own_server.connect() as client:
        for number in range(1, 6):
            assert ihave(client, number) == "235"
        before = numbers(own_server)
        own_database.stop()
        client.send(b"IHAVE <6@database.example>\r\n")
        assert client.reply().startswith("335")
        client.send(article(6) + b".\r\n")
        began = time.monotonic()
        own_server.stop()
        assert time.monotonic() - began < 25
    own_database.start()
    own_server.start()
    after = numbers(own_server)
    assert {number: after[number] for number in before} == before
    assert after[6] == "<6@database.example>"
