"""A server on a day like any other: 200 readers, 300 articles a second and an
expire now and then.  Nothing grows, nothing is left open, nobody dies
(RELIABILITY row 19).

Half a minute; an hour with --long; RENEWS_SOAK_SECONDS says how long else."""
import json
import os
import subprocess
import time

from support.beside import descriptors, memory_octets
from support.server import build, process_title, program

GROUPS = ["soak.kept"] + [f"soak.gone.{n}" for n in range(19)]
SERVER_OPTIONS = ["--peer", "127.0.0.1"] + [
    word for name in GROUPS for word in ("--group", name)]
SERVER_CONF = ["artcutoff = 0", "maxconnections_per_address = 1000",
               "expire 'soak.gone.*' { keep = 0 }"]

MIB = 1024 * 1024
FED = 300        # articles a second
FIRST = 2000     # articles, before the readers come
READERS = 190    # that read articles, one after the other
BROWSERS = 10    # that list a hundred of a group's
READ, BROWSED = 400, 50  # a second
WAL_OCTETS, LOG_OCTETS = 64 * MIB, 128 * MIB


class Newsload:
    """The load generator, in the background."""

    def __init__(self, server, groups, row, **options):
        words = [word for name, value in options.items()
                 for word in ("--" + name, str(value))]
        self.process = subprocess.Popen(
            [os.path.join(build(), "tests", "bench", "newsload"), "--row", row,
             "--port", str(server.port), "--groups-file", groups, *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def result(self):
        out, said = self.process.communicate(timeout=60)
        assert self.process.returncode == 0, said
        return json.loads(out)

    def stop(self):
        self.process.kill()
        self.process.communicate()


def files_octets(directory, ends):
    return sum(os.path.getsize(os.path.join(directory, name))
               for name in os.listdir(directory) if ends(name))


class Look:
    """What all processes have at one time."""

    def __init__(self, server, pids):
        self.time = time.monotonic()
        self.memory = {pid: memory_octets([pid], "Anonymous")
                       for pid in pids}
        self.descriptors = {pid: len(descriptors(pid)) for pid in pids}
        self.wal = files_octets(os.path.join(server.dir, "overview"),
                                lambda name: name.endswith("-wal"))
        self.log = files_octets(os.path.join(server.dir, "db", "history"),
                                lambda name: name.startswith("log."))


def slope(looks, pid):
    """Octets a second, the line through all of them."""
    count = len(looks)
    times = [look.time for look in looks]
    values = [look.memory[pid] for look in looks]
    middle, mean = sum(times) / count, sum(values) / count
    return (sum((t - middle) * (v - mean) for t, v in zip(times, values))
            / sum((t - middle) ** 2 for t in times))


def test_nothing_grows(start_server, is_long, tmp_path):
    seconds = int(os.environ.get("RENEWS_SOAK_SECONDS",
                                 3600 if is_long else 25))
    warm = min(600, seconds * 0.4)  # caches fill
    server = start_server(*SERVER_OPTIONS, conf=SERVER_CONF)
    groups = str(tmp_path / "groups")
    with open(groups, "w") as file:
        file.write("".join(name + "\n" for name in GROUPS))
    assert Newsload(server, groups, "takethis", window=64, seed=1,
                    count=FIRST).result()["wrong"] == 0
    pids = [server.master(), *server.children()]
    loads = [
        Newsload(server, groups, "takethis", window=8, seed=2, rate=FED,
                 connections=2, count=FED * seconds, timeout=seconds * 2),
        Newsload(server, groups, "article", group="soak.kept", rate=READ,
                 connections=READERS, count=READ * seconds,
                 timeout=seconds * 2),
        Newsload(server, groups, "over-ranges", group="soak.kept", range=100,
                 connections=BROWSERS, rate=BROWSED, count=BROWSED * seconds,
                 timeout=seconds * 2)]
    looks, expired = [], 0
    try:
        begun = time.monotonic()
        while time.monotonic() < begun + seconds - 2:
            time.sleep(1)  # between two looks; nothing is waited for
            looks.append(Look(server, pids))
            if len(looks) % (60 if seconds > 600 else 5) == 0:
                subprocess.run([program("expire"), "-q", "-c", server.conf],
                               check=True, timeout=300)
                expired += 1
        results = [load.result() for load in loads]
    finally:
        for load in loads:
            load.stop()
    titles = {pid: process_title(pid) for pid in pids}
    assert [server.master(), *server.children()] == pids, titles
    assert [result["wrong"] for result in results] == [0, 0, 0]
    assert results[0]["units"] == FED * seconds
    after = [look for look in looks if look.time > begun + warm]
    for pid in pids:
        grows = slope(after, pid) * 3600 / MIB
        had, has = after[0].memory[pid], after[-1].memory[pid]
        print(f"{titles[pid]}: {had / MIB:.1f} -> {has / MIB:.1f} MiB, "
              f"{grows:+.2f} MiB an hour, "
              f"{after[-1].descriptors[pid]} descriptors")
        assert after[0].descriptors[pid] == after[-1].descriptors[pid], pid
        # Of half a minute no slope can be told.
        assert has - had <= 4 * MIB if seconds < 3600 else grows <= 1, pid
    print(f"{expired} times expired; WAL at most "
          f"{max(look.wal for look in looks) / MIB:.1f} MiB, the history's "
          f"log {max(look.log for look in looks) / MIB:.1f} MiB")
    assert max(look.wal for look in looks) <= WAL_OCTETS
    assert max(look.log for look in looks) <= LOG_OCTETS
