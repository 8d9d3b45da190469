"""A wall clock that jumps, by a day or by ten years, costs nobody a session,
removes nothing, and moves no number."""
import os
import struct
import tempfile
import time

import pytest

from support.load import Load, Watcher, check_stored
from support.server import shim
from support.wait import wait_until

DAY = 86400
JUMPS = [DAY, -DAY, 3652 * DAY, -3652 * DAY, 0]


@pytest.fixture
def clock():
    """A file for the shim, which the server's user can read."""
    with tempfile.NamedTemporaryFile(prefix="renews-clock-") as file:
        os.chmod(file.name, 0o644)
        os.pwrite(file.fileno(), struct.pack("q", 0), 0)
        yield file


def test_a_clock_that_jumps_under_load(start_server, clock):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          conf=["workers = 1", "clienttimeout = 60",
                                "artcutoff = 0"],
                          environment={"LD_PRELOAD": shim("clock"),
                                       "CLOCK_SHIM_FILE": clock.name})
    load = Load(server.port)
    # None of its articles is ever in the future.
    load.clock_offset = min(JUMPS) - DAY
    load.start("takethis", "ihave", "post")
    watcher = Watcher(server.port).start()
    with server.connect(timeout=30) as idle:
        for jump in JUMPS:
            before = len(load.answered)
            os.pwrite(clock.fileno(), struct.pack("q", jump), 0)
            wait_until(lambda: len(load.answered) > before + 60, 30,
                       f"answers after a jump by {jump} s")
            # The server has noticed, and its sessions have not.
            year = time.gmtime(time.time() + jump).tm_year
            assert idle.command("DATE")[4:8] == str(year)
        load.stop()
        watcher.stop()
        assert load.breaks == 0
        check_stored(server, load)
        watcher.check(server)
        idle.send("".join(f"CHECK {name}\r\n"
                          for name in load.answered).encode())
        assert all(idle.reply().startswith("438") for _ in load.answered)
    server.serve("restart")
    check_stored(server, load)
    watcher.check(server)
