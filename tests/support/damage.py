"""Stores with a past, what is done to them, and what a reader sees of one."""
import contextlib
import os
import shutil
import struct
import subprocess

from support.feed import give
from support.nntp import article
from support.server import program, shim
from support.store import SEGMENT_HEAD, Store, crc32c

CONF = ["segment_octets = 1048576"]
GROUPS = ["--group", "local.test", "--group", "local.other", "--peer",
          "127.0.0.1"]


def made(count, prefix, group="local.test"):
    """Articles of 4 KB or so, dots and 8-bit octets among them."""
    return [(f"<{prefix}-{number}@example.com>", article(
        group, message_id=f"<{prefix}-{number}@example.com>",
        subject=f"number {number}",
        body=(b".\n..dots\n" + bytes([0xc0 + number % 60]) * 60 + b"\n") * 60))
        for number in range(count)]


def filled(start_server, count=600, conf=(), options=()):
    """A server with articles in several segments, some of them cancelled."""
    server = start_server(*GROUPS, *options, conf=[*CONF, *conf])
    some = count // 3
    give(server, made(count - some, "one")
         + made(some, "two", "local.test,local.other"))
    server.stop()
    server.start()
    for name in ("<one-3@example.com>", "<two-0@example.com>"):
        done = server.ctlinnd("cancel", name)
        assert done.returncode == 0, done.stderr
    give(server, made(20, "three", "local.test"))
    return server


RULES = '''expire "*" {
    keep = never
    minimum = never
}
expire "local.other,local.old" {
    minimum = 1
    keep = 10
    maximum = 30
}'''


def changed(start_server):
    """A store with all that can have happened to one; and the message-IDs
    that are refused in it."""
    server = filled(start_server, conf=[RULES])
    refused = ["<one-3@example.com>", "<two-0@example.com>"]

    def do(*words):
        done = server.ctlinnd(*words)
        assert done.returncode == 0, done.stdout + done.stderr

    # Of local.other all expire, but their articles stay in local.test; those
    # of local.old go, and with them segments, what is left of one is compacted.
    do("newgroup", "local.old")
    give(server, made(400, "old", "local.old"))
    give(server, made(3, "survives", "local.test"))
    give(server, made(400, "older", "local.old"))
    refused += [f"<{prefix}-{number}@example.com>"
                for prefix in ("old", "older") for number in range(400)]
    do("cancel", "<old-9@example.com>")
    give(server, made(200, "rest"))
    expire(server, 15)
    assert gone_segments(server), "no segment was taken away"
    give(server, made(3, "two-new", "local.test,local.other"))
    give(server, made(2, "old-new", "local.old"))
    for name in ("<one-0@example.com>", "<one-1@example.com>",
                 "<never-came@example.com>"):
        do("cancel", name)
        refused.append(name)
    do("newgroup", "local.again")
    give(server, made(5, "old-life", "local.again"))
    do("rmgroup", "local.again")
    do("newgroup", "local.again")
    give(server, made(3, "new-life", "local.again"))
    do("newgroup", "local.gone")
    give(server, made(2, "gone", "local.gone"))
    do("rmgroup", "local.gone")
    return server, refused


ALL_GROUPS = ("local.test", "local.other", "local.old", "local.again")


def gone_segments(server):
    """Numbers that were given, of the log, and are not there any more."""
    there = {int(name[:8], 16) for name in os.listdir(spool(server))
             if name.endswith(".seg")}
    log = {number for number in there if number < 0x80000000}
    return set(range(1, max(log))) - log


def expire(server, days):
    """Run expire as if it were later."""
    done = subprocess.run(
        [program("expire"), "-c", server.conf], capture_output=True,
        text=True, timeout=120,
        env=dict(os.environ, LD_PRELOAD=shim("clock"),
                 CLOCK_SHIM_SECONDS=str(days * 86400)))
    assert done.returncode == 0, done.stdout + done.stderr


@contextlib.contextmanager
def kept(server):
    """What is done to a stopped server's store is undone afterwards."""
    places = [os.path.join(server.dir, name)
              for name in ("spool", "db", "overview")]
    for place in places:
        subprocess.run(["cp", "-a", place, place + ".kept"], check=True)
    try:
        yield
    finally:
        server.stop()
        for place in places:
            shutil.rmtree(place)
            os.rename(place + ".kept", place)


def spool(server):
    return os.path.join(server.dir, "spool")


def segment(server, number):
    return os.path.join(spool(server), f"{number:08x}.seg")


def contents(server):
    return Store(spool(server))


def change(path, offset, octets):
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(octets)


def flip(path, offset):
    with open(path, "rb") as file:
        file.seek(offset)
        (octet,) = file.read(1)
    change(path, offset, bytes([octet ^ 0x10]))


def set_version(path, version):
    """Another version in a segment's head, with a sum that is right."""
    with open(path, "rb") as file:
        head = bytearray(file.read(SEGMENT_HEAD.size))
    struct.pack_into("<I", head, 4, version)
    struct.pack_into("<I", head, SEGMENT_HEAD.size - 4, crc32c(head[:-4]))
    change(path, 0, head)


def view(server, groups=("local.test", "local.other")):
    """All that a reader can see: LISTGROUP, OVER and ARTICLE of everything."""
    seen = {}
    with server.connect(timeout=60) as client:
        seen["active"] = sorted(client.long("LIST ACTIVE")[1])
        for group in groups:
            first, numbers = client.long(f"LISTGROUP {group}")
            seen[group] = first, numbers
            if not numbers:
                continue
            seen[group, "over"] = client.long("OVER 1-")[1]
            client.send(b"".join(b"ARTICLE %s\r\n" % number
                                 for number in numbers))
            for number in numbers:
                reply = client.reply()
                seen[group, number] = reply, (
                    client.block() if reply.startswith("220") else None)
    return seen
