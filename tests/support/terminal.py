"""A program on a terminal of its own."""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time


class Terminal:
    """What it writes is read all the while and kept in .octets."""

    def __init__(self, *words, home, environment=None):
        self.octets = b""
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ,
                    struct.pack("HHHH", 40, 100, 0, 0))
        self.process = subprocess.Popen(
            [str(word) for word in words], stdin=slave, stdout=slave,
            stderr=slave, cwd=home, start_new_session=True,
            env=dict(os.environ, HOME=str(home), TERM="xterm", USER="me",
                     LOGNAME="me", LC_ALL="C.UTF-8", EMAIL="me@example.com",
                     **(environment or {})))
        os.close(slave)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self.master)

    def type(self, keys):
        os.write(self.master, keys)

    def _read(self, seconds):
        """False at the end."""
        if not select.select([self.master], [], [], seconds)[0]:
            return True
        try:
            octets = os.read(self.master, 1 << 16)
        except OSError:  # nobody has it open any more
            return False
        self.octets += octets
        return octets != b""

    def until(self, text, seconds=60):
        """Wait until it has written this; type() then."""
        deadline = time.monotonic() + seconds
        while text not in self.octets:
            assert self._read(0.1) and time.monotonic() < deadline, (
                text, self.octets[-2000:])

    def end(self, seconds=60):
        """Wait for its end; what it wrote."""
        deadline = time.monotonic() + seconds
        while self._read(0.1):
            assert time.monotonic() < deadline, self.octets[-2000:]
        self.process.wait(10)
        assert self.process.returncode == 0, self.octets[-2000:]
        return self.octets
