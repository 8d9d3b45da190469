"""The power fails under load: what was answered is there, with its numbers.

On a real ext4 in a loop device, shut down so that nothing more of what the
system holds in memory reaches it, indices and all.  The page cache of the
file system is gone with the mount, so whoever forgot to sync loses it.
"""
import os
import random

from support.disk import mounted_disk
from support.load import Load, Watcher, check_stored
from support.server import Server, kill, process_state
from support.wait import wait_until

OPTIONS = ["--group", "local.test", "--peer", "127.0.0.1"]
KINDS = ["takethis", "takethis", "ihave", "post", "post"]


def start(server):
    """The pids of its processes."""
    server.start()
    return [server.master(), *server.children()]


def kill_all(pids):
    """Their machine is off."""
    for pid in pids:
        kill(pid)
    wait_until(lambda: all(process_state(pid) in (None, "Z") for pid in pids),
               20, "the end of all processes")


def test_power_cuts_lose_nothing(is_long, seed):
    chance = random.Random(seed)
    with mounted_disk(600) as disk:
        server = Server(*OPTIONS, directory=os.path.join(disk.path, "server"),
                        conf=["workers = 2"])
        load = Load(server.port, prefix=f"cut-{seed}")
        watcher = Watcher(server.port)
        pids = []
        try:
            pids = start(server)
            for _ in range(50 if is_long else 4):
                before = len(load.answered)
                load.start(*KINDS)
                watcher.start()
                wait_until(
                    lambda: len(load.answered)
                    > before + chance.randrange(20, 400), 60, "answers")
                disk.cut_power()
                kill_all(pids)
                load.abandon()
                watcher.stop()
                disk.unmount()
                assert disk.mount() is None
                pids = start(server)
                check_stored(server, load)
                watcher.check(server)
            damaged = [line for line in server.log().splitlines()
                       if "cannot be used" in line or "is damaged" in line]
            assert not damaged, damaged
            server.stop()
        finally:
            kill_all(pids)
