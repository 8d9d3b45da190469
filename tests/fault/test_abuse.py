"""What a hostile client does, and that the client beside it does not notice.

Bounds of time are for the middle of many answers and relative to what the same
client measured alone just before, since the machine has others to serve too;
with --long they are the figures that a release must reach."""
import concurrent.futures
import re
import socket
import time

import pytest

from support.beside import Beside, Peak, beside_nobody, memory_octets
from support.malformed import hold
from support.nntp import Client, Closed, article, post
from support.wait import wait_until

MIB = 1024 * 1024
GROUPS = 40
SERVER_OPTIONS = ["--peer", "127.0.0.1"] + [
    word for number in range(GROUPS)
    for word in ("--group", f"local.group{number:02}")] + [
    "--group", "local.test"]
SERVER_CONF = ["workers = 2", "artcutoff = 0"]


@pytest.fixture(scope="module")
def filled(server):
    """With articles enough for a long answer."""
    with server.connect(timeout=60) as client:
        for first in range(0, 3000, 100):
            names = [f"<fill{first + i}@example.com>" for i in range(100)]
            client.send(b"".join(
                f"TAKETHIS {name}\r\n".encode() + article(
                    "local.test", name, subject="a" * 60 + " subject",
                    body=b"A line of the body of the article.\n" * 20)
                for name in names))
            for name in names:
                assert client.reply() == f"239 {name}"
    return server


@pytest.fixture
def unharmed(filled):
    """The same processes serve afterwards, and nothing was logged as odd."""
    before = filled.workers(), filled.children("writer")
    said = len(filled.log())
    yield filled
    assert (filled.workers(), filled.children("writer")) == before
    new = filled.log()[said:]
    for bad in ("assert", "signal", "Sanitizer", "stands still", "sandbox:"):
        assert bad not in new, new[-2000:]
    with filled.connect() as client:
        assert client.post(post("local.test")).startswith("240 ")


def is_unharmed(base, beside, is_long, ratio=3):
    """The client beside was served about as before."""
    print("base", base, "| beside", beside)
    assert beside.median_ms <= max(ratio * base.median_ms, 20)
    if is_long:
        assert beside.p99_ms <= max(ratio * base.p99_ms, 20)


# --- malformed sessions ---

def test_malformed_sessions(unharmed, is_long):
    seeds, sessions = 3, 600
    workers = unharmed.workers()
    for seed in range(50):  # caches are filled, arenas made
        hold(unharmed.port, seed)
    base = beside_nobody(unharmed.port)
    memory = memory_octets(workers)
    with Beside(unharmed.port) as beside, Peak(workers) as peak, \
            concurrent.futures.ThreadPoolExecutor(8) as pool:
        for seed in range(1, seeds + 1):
            for said in pool.map(lambda number, seed=seed: hold(
                    unharmed.port, seed * 1000 + number), range(sessions)):
                assert said[:4] in (b"200 ", b"")
    is_unharmed(base, beside, is_long)

    print(f"{(peak.octets - memory) / MIB:.1f} MiB more at most")
    assert peak.octets - memory <= 64 * MIB

    def is_back():
        return memory_octets(workers) - memory <= 8 * MIB

    wait_until(is_back, 30, "private memory within 8 MiB of before")


def test_nothing_malformed_was_stored(unharmed):
    """What the sessions above got in can be read by everybody."""
    with unharmed.connect() as client:
        for group in ("local.test", "local.group00"):
            first, names = client.long(f"LISTGROUP {group}")
            for number in names[-300:]:
                octets = b"\r\n".join(client.long(
                    f"ARTICLE {number.decode()}")[1])
                bare = octets.replace(b"\r\n", b"")
                assert b"\0" not in octets
                assert b"\r" not in bare and b"\n" not in bare


# --- bad input, one kind at a time ---

def test_a_thousandfold_crosspost(unharmed):
    names = ",".join(f"local.group{number:02}" for number in range(GROUPS))
    many = ",".join(f"local.made.up{number}" for number in range(1000))
    with unharmed.connect() as client:
        began = time.monotonic()
        reply = client.post(post(many))
        assert reply.startswith("441 ") and "longer than" in reply
        assert client.takethis(
            "<many1@example.com>",
            article(many, "<many1@example.com>"))[:4] == "439 "
        assert time.monotonic() - began < 5
        # What is within the bound is filed in all of them, each once.
        twice = names + "," + names
        name = "<many2@example.com>"
        assert client.takethis(name, article(names, name)) == f"239 {name}"
        assert client.command("STAT <many2@example.com>")[:4] == "223 "
        assert client.post(post(twice)).startswith("441 ")


def test_ten_unknown_commands_in_a_row_end_the_session(unharmed):
    with unharmed.connect() as client:
        client.send(b"XYZZY\r\n" * 100000)
        replies = []
        with pytest.raises((Closed, ConnectionResetError)):
            while True:
                replies.append(client.reply())
        assert len(replies) == 10
        assert replies[-1] == "400 Too many unrecognized commands"


def test_absurd_ranges_cost_nothing(unharmed):
    with unharmed.connect() as client:
        client.command("GROUP local.test")
        began = time.monotonic()
        for range_, code in (("1-99999999999999999999", "501"),
                             ("2147483647-2147483646", "423"),
                             ("9999999999999999-", "423"),
                             ("0-0", "423"), ("-1", "501"),
                             ("1--2", "501"), ("0x1-0x2", "501")):
            assert client.command(f"OVER {range_}")[:3] == code, range_
        assert time.monotonic() - began < 2


def test_invalid_utf8_in_a_wildmat_and_a_group(unharmed):
    with unharmed.connect() as client:
        client.send(b"LIST ACTIVE \xff\xfe*\r\n")
        assert client.reply()[:3] in ("501", "215")
        client.buffer or client.send(b"DATE\r\n")
        while not client.reply().startswith("111 "):
            pass
        client.send(b"GROUP \xff\xfe\r\n")
        assert client.reply().startswith("411 ")


# --- patterns and long answers ---

BOMBS = ["NEWNEWS " + "*a" * 100 + "b 20000101 000000",
         "NEWNEWS * 20000101 000000",
         "LIST ACTIVE " + "*" * 200 + "z",
         "LIST NEWSGROUPS " + ",".join(["*a*b*c*d*e*f"] * 35),
         "XPAT Subject 1- " + "*a" * 100 + "b",
         "XPAT Subject 1- " + " ".join(["*a*a*a*z"] * 50),
         "XPAT From 1- *" + "?" * 150 + "z", "OVER 1-", "HDR Body-Foo 1-",
         "XHDR Lines 1-"]


def test_wildmat_bombs_and_long_lists(unharmed, is_long):
    commands = ("DATE", "GROUP local.test", "OVER 7")
    base = beside_nobody(unharmed.port, *commands)

    def bomb(number):
        with Client(unharmed.port, timeout=120) as client:
            client.command("GROUP local.test")
            for command in BOMBS[number:] + BOMBS[:number]:
                if client.command(command)[:1] == "2":
                    client.block(120)
            return True

    with Beside(unharmed.port, *commands) as beside, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        count = 40 if is_long else 8
        assert all(pool.map(bomb, [i % len(BOMBS) for i in range(count)]))
    is_unharmed(base, beside, is_long, ratio=8)


# --- slow neighbours ---

def clients_now(server):
    return int(re.search(r"^clients=(\d+)", server.ctlinnd("status").stdout,
                         re.M)[1])


class Neighbour:
    """One that holds a connection and does as its kind does."""

    def __init__(self, port, kind):
        self.client = Client(port, timeout=30)
        self.kind = kind
        if kind == "stalled":  # asks for much, and reads nothing
            self.client.socket.setsockopt(socket.SOL_SOCKET,
                                          socket.SO_RCVBUF, 4096)
            self.client.send(b"GROUP local.test\r\n" + b"OVER 1-\r\n" * 60)
        elif kind == "body":  # an article that does not end
            self.client.command("POST")
            self.client.send(b"Subject: never\r\nX: ")
        elif kind == "idle":
            self.client.command("DATE")

    def act(self):
        try:
            if self.kind == "trickle":
                self.client.send(b"x")
            elif self.kind == "body":
                self.client.send(b"y")
        except OSError:
            pass

    def is_closed(self, seconds=0.001):
        try:
            return self.client.at_end(seconds)
        except (TimeoutError, Closed):
            return False


def test_slow_neighbours(start_server, is_long):
    count = 2000 if is_long else 300
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          conf=["workers = 2", "initialtimeout = 20",
                                "maxconnections_per_address = 5000"])
    with server.connect(timeout=60) as client:
        for number in range(500):
            name = f"<fill{number}@example.com>"
            client.takethis(name, article("local.test", name,
                                          subject="a" * 200))
    commands = ("DATE", "GROUP local.test", "OVER 7")
    base = beside_nobody(server.port, *commands)
    workers = server.workers()
    memory = memory_octets(workers)
    kinds = ("idle", "stalled", "body", "trickle", "silent")
    neighbours = [Neighbour(server.port, kinds[i % len(kinds)])
                  for i in range(count)]
    try:
        with Beside(server.port, *commands) as beside:
            for _ in range(5):
                for one in neighbours:
                    one.act()
                time.sleep(0.2)
        is_unharmed(base, beside, is_long)
        grown = memory_octets(workers) - memory
        print(f"{grown / count / 1024:.0f} KiB a neighbour")
        # A fifth of them has stalled, with its output and its commands.
        assert grown <= count * (320 * 1024 / 5 + 24 * 1024) + 8 * MIB
        # Who has never said a command is gone first; who is idle stays.
        silent = [one for one in neighbours if one.kind == "silent"]
        wait_until(lambda: all(one.is_closed() for one in silent), 40,
                   "the end of those who never spoke")
        assert neighbours[0].client.command("DATE").startswith("111 ")
        if is_long:
            slow = [one for one in neighbours
                    if one.kind in ("stalled", "body")]
            deadline = time.monotonic() + 150
            while time.monotonic() < deadline - 110:
                for one in neighbours:
                    one.act()
                time.sleep(1)
            # Reading would wake the stalled ones: ask the server.
            wait_until(lambda: clients_now(server) <= count // 5, 150,
                       "the end of all but the idle ones")
            assert all(one.is_closed(5) for one in slow
                       if one.kind == "body")
            assert neighbours[0].client.command("DATE").startswith("111 ")
    finally:
        for one in neighbours:
            one.client.close()

    def memory_is_back():
        return memory_octets(workers) - memory <= 16 * MIB

    wait_until(memory_is_back, 30, "memory within 16 MiB of before")


# --- floods ---

def test_a_flood_of_connections(unharmed, is_long):
    base = beside_nobody(unharmed.port)

    def flood(_):
        for _ in range(250):
            try:
                Client(unharmed.port, greet=False).reset()
            except OSError:
                pass
        return True

    with Beside(unharmed.port) as beside, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert all(pool.map(flood, range(4)))
    is_unharmed(base, beside, is_long, ratio=5)

    wait_until(lambda: clients_now(unharmed) <= 1, 2, "free places for all that were reset")


# --- memory ---

LONG_ARTICLES = ["localmaxartsize = 16777216", "segment_octets = 33554432"]


def half_article(client, octets):
    """A POST that has come so far and no further."""
    assert client.command("POST").startswith("340 ")
    client.send(b"Subject: half\r\nNewsgroups: local.test\r\n"
                b"From: a@example.com\r\n\r\n")
    line = b"A line of a long article that does not end.\r\n" * 1000
    for _ in range(octets // len(line)):
        client.send(line)


def test_articles_that_do_not_end_have_bounded_memory(start_server):
    """They count before they are whole: at 128 MiB in a worker what comes is
    thrown away, and its sender hears that he may try again."""
    server = start_server("--group", "local.test",
                          conf=["workers = 1", *LONG_ARTICLES])
    clients = [server.connect(timeout=60) for _ in range(12)]
    memory = memory_octets(server.workers())
    for client in clients:
        half_article(client, 15 * MIB)
    with server.connect() as client:
        assert client.command("DATE").startswith("111 ")
    # Each is 15 MiB; twelve would be 180.
    assert memory_octets(server.workers(), "Pss_Anon") < 175 * MIB
    replies = []
    for client in clients:
        client.send(b".\r\n")
        replies.append(client.reply(60))
    later = [text for text in replies if text.startswith(
        "441 Too many articles at once; try again later")]
    stored = [text for text in replies if text.startswith("240 ")]
    assert len(later) >= 3 and len(stored) >= 7
    assert len(later) + len(stored) == len(clients)
    # And then there is room again, and the machine has its memory back.
    assert clients[-1].post(post("local.test")).startswith("240 ")
    wait_until(lambda: memory_octets(server.workers()) - memory <= 8 * MIB, 30,
               "memory within 8 MiB of before")


def test_a_worker_with_too_much_memory_is_replaced(start_server):
    server = start_server("--group", "local.test", conf=[
        "workers = 2", *LONG_ARTICLES,
        "worker_memory_octets = 67108864"])
    before = server.workers()
    clients = [server.connect(timeout=60) for _ in range(12)]
    for client in clients:
        try:
            half_article(client, 15 * MIB)
        except (AssertionError, Closed, OSError):
            break  # a worker lets its clients go
    wait_until(lambda: "more than worker_memory_octets" in server.log(), 20,
               "a worker that notices")
    # Clients are served all the time: by the other one, then by a new one.
    deadline = time.monotonic() + 40
    while set(server.workers()) & set(before) == set(before):
        assert time.monotonic() < deadline
        with server.connect() as client:
            assert client.command("DATE").startswith("111 ")
    for client in clients:
        client.close()
    wait_until(lambda: len(server.workers()) == 2, 20, "two workers again")
    with server.connect() as client:
        assert client.post(post("local.test")).startswith("240 ")
