"""A private INN, by tests/bench/inn."""
import os
import shutil
import subprocess
import tempfile

import pytest

from support.nntp import Client
from support.server import TOP, free_port

SCRIPT = os.path.join(TOP, "tests", "bench", "inn")
ROOT = os.environ.get("RENEWS_INN", os.path.join(TOP, "build", "inn"))


class Inn:
    """options: the words for its start, without --root, --dir and --port."""

    def __init__(self, *options):
        self.top = tempfile.mkdtemp(prefix="renews-inn-")
        os.chmod(self.top, 0o755)
        self.dir = os.path.join(self.top, "inn")
        self.port = free_port()
        self.options = options

    def start(self):
        fetched = subprocess.run([SCRIPT, "fetch", "--root", ROOT],
                                 capture_output=True, text=True, timeout=300)
        if fetched.returncode != 0:
            pytest.skip("no INN: " + fetched.stderr.strip()[-200:])
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
