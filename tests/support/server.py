"""A private server for a test, by tests/serve.

With tls=True it speaks TLS, on tls_port and by STARTTLS, with a certificate
that nobody has vouched for."""
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile

from support.nntp import Client
from support.tls import client_context
from support.wait import wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.realpath(__file__))))
SERVE = os.path.join(TOP, "tests", "serve")
EXPIRE = ("expire", "newsimport", "newsstore")  # programs of that folder
SMALL = ["segment_octets = 16777216", "history_cache_octets = 4194304",
         "overview_cache_octets = 4194304"]


def build():
    return os.path.join(TOP, os.environ.get("RENEWS_BUILD", "build/strict"))


def program(name):
    """A program of the build under test."""
    folder = "expire" if name in EXPIRE else name
    return os.path.join(build(), folder, name)


def shim(name):
    return os.path.join(build(), "tests", "fault", name + "-shim.so")


def free_port():
    """A port that nobody listens on, IPv4 and IPv6."""
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(socket.socket())
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def process_state(pid):
    """Name of the process and its state letter; None when there is none."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return None


def process_title(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().replace(b"\0", b" ").decode("latin-1").strip()
    except OSError:
        return ""


def children_of(master, word=""):
    """Pids of the living children of a master whose title has word."""
    try:
        with open(f"/proc/{master}/task/{master}/children") as file:
            pids = [int(pid) for pid in file.read().split()]
    except OSError:
        return []
    return [pid for pid in pids if process_state(pid) not in (None, "Z")
            and word in process_title(pid)]


def kill(pid):
    """Without waiting; it may have ended by itself meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Server:
    """options: the words for tests/serve start, without --dir and --port."""

    database = None  # where the overviews of all servers are; None: SQLite

    def __init__(self, *options, conf=(), environment=None, tls=False,
                 directory=None):
        self.dir = directory or tempfile.mkdtemp(prefix="renews-test-")
        os.makedirs(self.dir, exist_ok=True)
        self.port = free_port()
        self.tls_port = free_port() if tls else None
        self.options = list(options)
        if tls:
            self.options += ["--tls-port", str(self.tls_port)]
        if Server.database is not None and "--overview" not in options:
            self.options += ["--overview", Server.database.overview()]
        for line in [*SMALL, *conf]:
            self.options += ["--conf", line]
        self.environment = dict(os.environ, **(environment or {}))
        self.environment["RENEWS_BUILD"] = build()

    @property
    def conf(self):
        return os.path.join(self.dir, "renews.conf")

    def serve(self, verb, *words, check=True):
        done = subprocess.run(
            [SERVE, verb, "--dir", self.dir, *words],
            capture_output=True, text=True, env=self.environment, timeout=180)
        assert not check or done.returncode == 0, (
            f"tests/serve {verb}: {done.returncode}\n{done.stderr}")
        return done

    def start(self):
        self.serve("start", "--port", str(self.port), *self.options)
        # Until the accounts are counted a login might help anybody; where
        # their database is away, nobody will have counted them.
        with contextlib.suppress(AssertionError):
            wait_until(lambda: re.search(r"^auth .* state=ready",
                                         self.ctlinnd("status").stdout, re.M),
                       2)
        return self

    def stop(self):
        self.serve("stop")

    def remove(self):
        self.stop()
        # A call that somebody needs must be in its list, whatever the test
        # was about.
        refused = []
        if os.path.exists(os.path.join(self.dir, "log")):
            refused = [line for line in self.log().splitlines()
                       if "sandbox: refused" in line]
        shutil.rmtree(self.dir, ignore_errors=True)
        assert not refused, refused

    def connect(self, **options):
        return Client(self.port, **options)

    def connect_tls(self, tls=None, **options):
        return Client(self.tls_port, tls=tls or client_context(), **options)

    def log(self):
        with open(os.path.join(self.dir, "log"), errors="replace") as file:
            return file.read()

    def ctlinnd(self, *words, timeout=60):
        return subprocess.run(
            [program("ctlinnd"), "-c", self.conf, *words],
            capture_output=True, text=True, timeout=timeout)

    def newsimport(self, *words, timeout=300, **options):
        return subprocess.run(
            [program("newsimport"), "-c", self.conf, *words],
            capture_output=True, text=True, timeout=timeout, **options)

    def newsstore(self, *words, timeout=300, **options):
        return subprocess.run(
            [program("newsstore"), "-c", self.conf, *words],
            capture_output=True, text=True, timeout=timeout, **options)

    # --- its processes ---

    def master(self):
        done = self.serve("pids", check=False)
        return int(done.stdout) if done.returncode == 0 else None

    def children(self, word=""):
        """Pids of the master's living children whose title has word."""
        return children_of(self.master(), word)

    def writer(self):
        """The writer's pid, once there is one that lives."""
        return wait_until(lambda: self.children("writer"), 20,
                          "a writer")[0]

    def workers(self):
        return self.children("nnrpd")

    def kill_master(self):
        """SIGKILL, and wait until none of its processes is left."""
        pids = [self.master(), *self.children()]
        os.kill(pids[0], signal.SIGKILL)
        wait_until(lambda: all(process_state(pid) in (None, "Z")
                               for pid in pids), 15,
                   "the children's end after the master's")
