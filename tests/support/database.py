"""A private PostgreSQL for tests, by tests/support/postgresql."""
import os
import shutil
import subprocess
import tempfile

SCRIPT = os.path.join(os.path.dirname(os.path.realpath(__file__)),
                      "postgresql")


class Database:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="renews-postgresql-")
        # Its processes are another user's.
        os.chmod(self.dir, 0o755)
        self.place = os.path.join(self.dir, "pg")
        self.schemas = 0

    def do(self, verb):
        done = subprocess.run([SCRIPT, verb, self.place], capture_output=True,
                              text=True, timeout=120)
        assert done.returncode == 0, f"{verb}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def start(self):
        self.do("start")
        return self

    def stop(self):
        self.do("stop")

    def kill(self):
        """All of its processes at once, as in a crash."""
        self.do("kill")

    def remove(self):
        self.do("remove")
        shutil.rmtree(self.dir, ignore_errors=True)

    def sql(self, *words):
        """Carry out statements; what they print."""
        done = subprocess.run(
            ["psql", "-X", "-A", "-t", "-q", self.do("url"),
             *(word for one in words for word in ("-c", one))],
            capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def overview(self):
        """The URL of an empty overview, in a schema of its own."""
        self.schemas += 1
        schema = f"server{self.schemas}"
        self.sql(f"CREATE SCHEMA {schema}")
        return f"{self.do('url')}&options=-csearch_path%3D{schema}"
