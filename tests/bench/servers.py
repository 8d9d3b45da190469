"""What the bench measures: a private Renews (its defaults, durable) and a
private INN (Debian's, tuned for speed, never syncing), each under a directory
of its own on the loopback."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
BUILD = Path(os.environ.get("RENEWS_BUILD", TOP / "build/release"))
INN_ROOT = TOP / "build/inn"
TICK = os.sysconf("SC_CLK_TCK")
START_SECONDS = 60
SETTLE_TURNS = 20


def port_free():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def greeting_wait(port, source="127.0.0.2"):
    """Until a client is greeted."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        try:
            with socket.create_connection(("127.0.0.1", port), 5,
                                          (source, 0)) as s:
                if s.recv(100).startswith(b"20"):
                    return
        except OSError:
            time.sleep(0.001)
    raise TimeoutError(f"no greeting on port {port}")


def children_seconds():
    """CPU of what this program has run and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def process_parents():
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1]
                parents[int(entry.name)] = int(fields.split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass
    return parents


class Server:
    """port, tls_port (None: no TLS), pids(), stop()."""
    tls_port = None

    def cpu_seconds(self):
        """CPU of all its processes, those that ended included."""
        ticks = 0
        for pid in self.pids():
            try:
                stat = Path(f"/proc/{pid}/stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            fields = stat.rsplit(")", 1)[1].split()
            ticks += sum(int(fields[i]) for i in (11, 12, 13, 14))
        return ticks / TICK

    def settle(self):
        """Until it has done what it had put off: three seconds in which it
        does next to nothing."""
        for _ in range(SETTLE_TURNS):
            before = self.cpu_seconds()
            time.sleep(3)
            if self.cpu_seconds() - before < 0.05:
                return
        raise TimeoutError(f"still busy after {3 * SETTLE_TURNS} s")

    def pss_octets(self):
        total = 0
        for pid in self.pids():
            try:
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            for line in text.splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
        return total


class Renews(Server):
    name = "Renews"

    def __init__(self, where, groups, *more, environment=None):
        self.dir, self.port = where / "renews", port_free()
        self.tls_port = port_free()
        self.environment = dict(os.environ, RENEWS_BUILD=str(BUILD),
                                **(environment or {}))
        self.master = None  # of start_again()
        self.dir.mkdir(parents=True)
        self.serve("start", "--port", self.port, "--tls-port", self.tls_port,
                   "--peer", "127.0.0.1",
                   "--conf", "artcutoff = 0", "--conf", "maxartsize = 16000000",
                   "--conf", "maxconnections = 20000",
                   "--conf", "maxconnections_per_address = 20000", *more)
        with open(groups) as names:
            subprocess.run([BUILD / "tests/bench/newgroups",
                            self.dir / "run/control"], stdin=names,
                           check=True)

    def serve(self, verb, *arguments):
        return subprocess.run(
            [TOP / "tests/serve", verb, "--dir", self.dir,
             *map(str, arguments)], check=True, capture_output=True,
            text=True, env=self.environment).stdout

    def pids(self):
        master = self.master.pid if self.master is not None \
            else int(self.serve("pids").split()[0])
        return [master] + [pid for pid, parent in process_parents().items()
                           if parent == master]

    def expire(self, pattern):
        """Articles of these groups go: a rule in renews.conf says so.  Seconds
        of CPU that the tool took."""
        before = children_seconds()
        subprocess.run([BUILD / "expire/expire", "-q", "-c",
                        self.dir / "renews.conf"], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return children_seconds() - before

    def start_again(self):
        """Seconds from the program's start to a greeting."""
        self.stop()
        before = time.monotonic()
        with open(self.dir / "again.log", "wb") as log:
            self.master = subprocess.Popen(
                [BUILD / "innd/innd", "-f", "-c", self.dir / "renews.conf"],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        greeting_wait(self.port)
        return time.monotonic() - before

    def stop(self):
        if self.master is not None:
            self.master.terminate()
            self.master.wait(START_SECONDS)
            self.master = None
        self.serve("stop")


class Inn(Server):
    name = "INN"

    def __init__(self, where, groups, *more, environment=None):
        self.dir = where / self.name
        self.environment = dict(os.environ, **(environment or {}))
        for attempt in 1, 2:
            try:
                self.start(groups, more)
                return
            except subprocess.CalledProcessError:
                self.stop()
                # Somebody else may have taken the port meanwhile.
                if attempt == 2:
                    raise

    def start(self, groups, more):
        self.port, self.tls_port = port_free(), port_free()
        self.tool("start", "--root", INN_ROOT, "--port", self.port,
                  "--groups-file", groups, "--name", "inn.example", *more)
        self.tool("tls", "--root", INN_ROOT, "--port", self.tls_port)

    def tool(self, verb, *arguments):
        return subprocess.run(
            [HERE / "inn", verb, "--dir", self.dir, *map(str, arguments)],
            check=True, stdout=subprocess.PIPE, text=True,
            env=self.environment).stdout

    def pids(self):
        return [int(pid) for pid in self.tool("pids").split()]

    def start_again(self):
        self.tool("stop")
        before = time.monotonic()
        self.tool("again", "--root", INN_ROOT)
        greeting_wait(self.port)
        return time.monotonic() - before

    def expire(self, pattern):
        """As news.daily does: the overview (-N: CNFS would let articles go
        only as it wraps), then the history."""
        (self.dir / "etc/expire.ctl").write_text(
            f"/remember/:10\n*:A:1:never:never\n{pattern}:A:0:0:0\n")
        spent = self.dir / "cpu"
        seconds = 0
        for program in "expireover", "expire":
            self.tool("run", "--root", INN_ROOT, "--cpu-file", spent, "--",
                      program, "-N")
            seconds += float(spent.read_text())
        return seconds

    def stop(self):
        self.tool("stop")


class InnSqlite(Inn):
    """The same with the overview that INN keeps in SQLite."""
    name = "ovsqlite"

    def __init__(self, where, groups, *more, environment=None):
        super().__init__(where, groups, "--overview", "ovsqlite", *more,
                         environment=environment)
