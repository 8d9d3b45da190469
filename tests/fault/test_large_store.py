"""Commands that are about a whole store, and that whoever shares the worker
with those that give them does not notice.

The store has 20,000 articles, with --long a million; there is one worker.
Every command is one that some server has been held up with."""
import concurrent.futures
import re
import subprocess
import time

import pytest

from support.beside import Beside, beside_nobody
from support.nntp import Client
from support.server import program

GROUPS = 2000
SERVER_OPTIONS = ["--group", "local.test", "--peer", "127.0.0.1"] + [
    word for number in range(GROUPS)
    for word in ("--group", f"local.made.of.many.words.group{number:04}")]
SERVER_CONF = ["workers = 1", "artcutoff = 0", "segment_octets = 67108864"]
DATE = "Wed, 25 Nov 2026 10:00:00 +0000"
BOMB = "*a" * 100 + "b"
COMMANDS = {
    "newnews of everything": "NEWNEWS * 20000101 000000",
    "newnews that matches nothing": f"NEWNEWS {BOMB} 20000101 000000",
    "newnews by many patterns": "NEWNEWS " + ",".join(
        ["*a*e*i*t*z"] * 40) + " 20000101 000000",
    "newnews of the future": "NEWNEWS * 20370101 000000",
    "over": "OVER 1-",
    "a field of the overview": "HDR Subject 1-",
    "metadata": "XHDR Lines 1-",
    "a field of the articles": "HDR Organization 1-",
    "a pattern that matches nothing": f"XPAT Subject 1- {BOMB}",
    "many patterns": "XPAT Subject 1- " + " ".join(["*a*s*u*z"] * 50),
    "a pattern over the articles": "XPAT Organization 1- *z*",
    "listgroup": "LISTGROUP local.test",
    "the active file": "LIST ACTIVE",
    "the active file by a bomb": "LIST ACTIVE " + BOMB,
    "descriptions by many patterns": "LIST NEWSGROUPS " + ",".join(
        ["*a*e*o*z"] * 50),
    "counts": "LIST COUNTS",
    "new groups": "NEWGROUPS 20000101 000000",
}


def batch(count, stream):
    """An rnews batch of small articles, some of them crossposted."""
    for number in range(count):
        groups = "local.test"
        if number % 16 == 0:
            groups += "".join(
                f",local.made.of.many.words.group{(number + i) % GROUPS:04}"
                for i in range(8))
        text = (f"Path: far.example.org!not-for-mail\n"
                f"From: Ann Author <ann{number % 97}@example.org>\n"
                f"Newsgroups: {groups}\n"
                f"Subject: a subject as subjects are, and so are answers "
                f"{number}\n"
                f"Date: {DATE}\nMessage-ID: <large{number}@example.org>\n"
                f"Organization: a place of many machines\n\nText.\n")
        stream.write(f"#! rnews {len(text)}\n{text}".encode())


@pytest.fixture(scope="module")
def large(server, is_long):
    count = 1000000 if is_long else 20000
    server.stop()
    importer = subprocess.Popen(
        [program("newsimport"), "-c", server.conf, "-q", "-"],
        stdin=subprocess.PIPE)
    with importer.stdin as stream:
        batch(count, stream)
    assert importer.wait(300) == 0
    server.start()
    with server.connect() as client:
        assert client.command("GROUP local.test") == (
            f"211 {count} 1 {count} local.test")
    return server


class Whole:
    """A client that gives a command and reads its answer to the end without a
    look at it: this is to cost little, beside what is measured."""

    def __init__(self, port, compressed):
        self.client = Client(port, timeout=120)
        self.client.command("GROUP local.test")
        if compressed:
            self.client.compress()

    def ask(self, command):
        """How many octets came behind the first line."""
        client = self.client
        assert client.command(command)[:1] == "2"
        octets = 2
        end = b"\r\n"
        while True:
            octets += len(client.buffer)
            end = (end + client.buffer[-5:])[-5:]
            client.buffer = b""
            if end == b"\r\n.\r\n":
                return octets
            client.receive(time.monotonic() + 120)


def ask_for(seconds, one, command):
    """Again and again, at least once; the octets of the last answer."""
    end = time.monotonic() + seconds
    while True:
        octets = one.ask(command)
        if time.monotonic() > end:
            return octets


def look(server, command, seconds):
    """What one client measures alone, and then beside four that give this
    command."""
    base = beside_nobody(server.port, seconds=seconds)
    wholes = [Whole(server.port, compressed=number == 3)
              for number in range(4)]
    before = long_turns(server)
    with Beside(server.port) as beside, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        octets = list(pool.map(
            lambda one: ask_for(seconds, one, command), wholes))
    for one in wholes:
        one.client.close()
    assert len(set(octets)) == 1, octets
    print("base", base, "| beside", beside, "| turns of over 10 ms:",
          long_turns(server) - before)
    return base, beside


@pytest.mark.parametrize("what", COMMANDS)
def test_who_shares_the_worker_does_not_notice(large, what, is_long):
    """Of several looks the one that the machine disturbed least: who is held up
    by the server is so in each."""
    for _ in range(4 if is_long else 2):
        base, beside = look(large, COMMANDS[what], 2 if is_long else 0.1)
        measured = beside.p99_ms if is_long else beside.median_ms
        allowed = base.p99_ms if is_long else base.median_ms
        if measured <= max(3 * allowed, 20):
            return
    pytest.fail(f"{measured:.1f} ms beside those who give {what}, and "
                f"{allowed:.1f} ms alone")


def long_turns(server):
    """How many there have been."""
    status = server.ctlinnd("status").stdout
    return int(re.search(r" long_turns=(\d+)", status)[1])
