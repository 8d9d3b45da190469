"""A disk that is full: nothing answered is lost, nobody is refused for good,
readers read on, and all goes on by itself when there is room."""
import contextlib
import os
import time

from support.disk import mounted_disk
from support.load import Load, Watcher, check_stored
from support.server import Server, kill, process_state
from support.wait import wait_until

OPTIONS = ["--group", "local.test", "--peer", "127.0.0.1"]
KINDS = ["takethis", "ihave", "post", "post"]
MEGABYTE = 1 << 20


def fill(path, octets=None):
    """Somebody else's file: so long, or as long as there is room."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        if octets is not None:
            os.posix_fallocate(fd, 0, octets)
            return
        for piece in (16 * MEGABYTE, MEGABYTE, 65536, 4096):
            with contextlib.suppress(OSError):
                while True:
                    os.posix_fallocate(fd, os.fstat(fd).st_size, piece)
    finally:
        os.close(fd)


def is_full(server):
    return "store full" in server.ctlinnd("status").stdout


class Readers:
    """A reader who finds out how long the worst answer took."""

    def __init__(self, server):
        self.client = server.connect()
        self.worst = 0

    def read(self):
        begun = time.monotonic()
        assert self.client.command("GROUP local.test").startswith("211 ")
        self.client.long("OVER 1-20")
        self.client.long("ARTICLE 1")
        assert self.client.command("CHECK <new@example.com>")[:3] == "431"
        self.worst = max(self.worst, time.monotonic() - begun)


def test_a_disk_filled_to_the_brim_under_a_feed(seed):
    with mounted_disk(400) as disk:
        server = Server(*OPTIONS, directory=os.path.join(disk.path, "server"),
                        conf=["workers = 2"])
        room = os.path.join(disk.path, "room")
        others = os.path.join(disk.path, "others")
        load = Load(server.port, prefix=f"full-{seed}",
                    body=b"A line of forty octets that says nothing.\n" * 2500)
        watcher = Watcher(server.port)
        pids = []
        try:
            server.start()
            master = server.master()
            pids = [master, *server.children()]
            fill(room, 160 * MEGABYTE)
            load.start(*KINDS)
            watcher.start()
            wait_until(lambda: is_full(server), 200, "the reserve reached")
            reader = Readers(server)
            # What is under way has its answers; then nothing more is taken.
            before = load.deferred
            wait_until(lambda: load.deferred > before + 20, 20, "refusals")
            fill(others)
            ballast = os.path.join(server.dir, "spool", "ballast")
            wait_until(lambda: not os.path.exists(ballast), 20,
                       "the ballast given back")
            fill(others)
            # To the last block, and now the writer dies too.
            kill(server.writer())
            before = load.deferred
            end = time.monotonic() + 3
            while time.monotonic() < end or load.deferred < before + 20:
                reader.read()
                assert time.monotonic() < end + 30
            assert disk.free() < 8 * MEGABYTE
            os.unlink(others)
            os.unlink(room)
            before = len(load.answered)
            begun = time.monotonic()
            wait_until(lambda: len(load.answered) > before + 5, 20,
                       "articles taken again")
            assert time.monotonic() - begun < 10
            load.stop()
            watcher.stop()
            assert reader.worst < 5
            assert server.master() == master
            check_stored(server, load)
            watcher.check(server)
            server.serve("restart")
            pids += [server.master(), *server.children()]
            check_stored(server, load)
            server.stop()
        finally:
            for pid in pids:
                kill(pid)
            wait_until(lambda: all(process_state(pid) in (None, "Z")
                                   for pid in pids), 20, "their end")
