"""A private INN, by tests/bench/inn, and INN's programs without one."""
import grp
import os
import pwd
import shutil
import subprocess
import tempfile

import pytest

from support.nntp import Client
from support.server import TOP, free_port

SCRIPT = os.path.join(TOP, "tests", "bench", "inn")
ROOT = os.environ.get("RENEWS_INN", os.path.join(TOP, "build", "inn"))


def inn_fetch():
    """Debian's package, unpacked in ROOT."""
    fetched = subprocess.run([SCRIPT, "fetch", "--root", ROOT],
                             capture_output=True, text=True, timeout=300)
    if fetched.returncode != 0:
        pytest.fail("no INN: " + fetched.stderr.strip()[-500:])


class Inn:
    """options: the words for its start, without --root, --dir and --port."""

    def __init__(self, *options):
        self.top = tempfile.mkdtemp(prefix="renews-inn-")
        os.chmod(self.top, 0o755)
        self.dir = os.path.join(self.top, "inn")
        self.port = free_port()
        self.options = options

    def start(self):
        inn_fetch()
        done = subprocess.run(
            [SCRIPT, "start", "--root", ROOT, "--dir", self.dir, "--port",
             str(self.port), *self.options], capture_output=True, text=True,
            timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return self

    def remove(self):
        subprocess.run([SCRIPT, "stop", "--dir", self.dir], timeout=60,
                       capture_output=True, check=False)
        shutil.rmtree(self.top, ignore_errors=True)

    def run(self, *words, timeout=120):
        """One of INN's programs, with the rights and configuration of this
        one."""
        return subprocess.run(
            [SCRIPT, "run", "--root", ROOT, "--dir", self.dir, "--", *words],
            capture_output=True, text=True, timeout=timeout)

    def connect(self, **options):
        """As a reader: what comes from the loopback is a peer to innd."""
        client = Client(self.port, **options)
        assert client.command("MODE READER").startswith("200")
        return client


class InnTools:
    """A place for INN's programs that speak with a server at port, without an
    INN of their own."""

    def __init__(self, port):
        self.top = tempfile.mkdtemp(prefix="renews-tools-")
        os.chmod(self.top, 0o755)
        self.port = port
        self.news = os.path.join(ROOT, "usr", "lib", "news")

    def fetch(self):
        inn_fetch()
        for name in ("etc", "db", "run", "log", "tmp", "perl/INN",
                     "spool/incoming/bad"):
            os.makedirs(self.path(name))
        self.write("etc/inn.conf", "".join(f"{key}: {value}\n" for key, value
                                           in self.settings().items()))
        # Where INN's Perl looks for its programs is fixed in here.
        with open(os.path.join(ROOT, "usr/share/perl5/INN/Config.pm")) as file:
            self.write("perl/INN/Config.pm", file.read().replace(
                "'/usr/lib/news'", f"'{self.news}'"))
        if os.geteuid() == 0:
            for top, _, _ in os.walk(self.top):
                os.chown(top, pwd.getpwnam("news").pw_uid, -1)

    def settings(self):
        paths = {f"path{name}": self.path(place) for name, place in (
            ("etc", "etc"), ("db", "db"), ("run", "run"), ("log", "log"),
            ("tmp", "tmp"), ("spool", "spool"), ("incoming", "spool/incoming"),
            ("outgoing", "spool"), ("articles", "spool"),
            ("overview", "spool"))}
        user = pwd.getpwnam("news") if os.geteuid() == 0 else \
            pwd.getpwuid(os.geteuid())
        return {"mta": '"/bin/true"', "domain": "example.net",
                "pathhost": "tools.example.net", "organization": '"Tools"',
                "hismethod": "hisv6", "ovmethod": "tradindexed",
                "server": "127.0.0.1", "port": self.port,
                "pathnews": self.news, "pathbin": self.news + "/bin",
                "runasuser": user.pw_name,
                "runasgroup": grp.getgrgid(user.pw_gid).gr_name, **paths}

    def path(self, name):
        return os.path.join(self.top, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)
        if os.geteuid() == 0:
            os.chown(self.path(name), pwd.getpwnam("news").pw_uid, -1)
        os.chmod(self.path(name), 0o600)

    def run(self, program, *words, octets=b"", timeout=60,
            environment=None):
        places = [self.news + "/bin", os.path.join(ROOT, "usr", "bin")]
        path = next(path for path in (os.path.join(place, program)
                                      for place in places)
                    if os.path.exists(path))
        become = {"user": "news", "group": "news", "extra_groups": []} \
            if os.geteuid() == 0 else {}
        done = subprocess.run(
            [path, *map(str, words)], input=octets, capture_output=True,
            timeout=timeout, cwd=self.top, **become,
            env=dict(os.environ, HOME=self.top,
                     INNCONF=self.path("etc/inn.conf"),
                     LD_LIBRARY_PATH=self.news,
                     PERL5LIB=":".join([self.path("perl"), self.news,
                                        f"{ROOT}/usr/share/perl5"]),
                     **(environment or {})))
        done.stdout = done.stdout.decode("latin-1")
        done.stderr = done.stderr.decode("latin-1")
        return done

    def remove(self):
        shutil.rmtree(self.top, ignore_errors=True)
