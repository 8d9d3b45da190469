"""The server under a supervisor that passes sockets and hears notices."""
import os
import signal
import socket
import subprocess
import sys

import pytest

from support.nntp import Client
from support.server import program
from support.tls import client_context
from support.wait import wait_until


# Its own pid is known only to the child, which becomes innd.
PASS_SOCKET = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="1")
os.execv(sys.argv[2], sys.argv[2:])
"""


class Supervisor:
    """What systemd does for a service of Type=notify with a socket unit."""

    def __init__(self, server):
        self.server = server
        self.path = os.path.join(server.dir, "notify")
        self.notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notices.bind(self.path)
        os.chmod(self.path, 0o777)  # as systemd's own
        self.notices.settimeout(30)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.process = None

    def start(self, pass_socket):
        environment = dict(os.environ, NOTIFY_SOCKET=self.path)
        innd = [program("innd"), "-f", "-c", self.server.conf]
        words = innd
        if pass_socket:
            words = [sys.executable, "-c", PASS_SOCKET,
                     str(self.listener.fileno()), *innd]
        self.process = subprocess.Popen(
            words, env=environment, pass_fds=[self.listener.fileno()],
            stderr=subprocess.DEVNULL)
        return self

    def hear(self, wanted):
        """Wait for a notice with this line; what came with it."""
        while True:
            lines = self.notices.recv(4096).decode().splitlines()
            if wanted in lines:
                return lines

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.notices.close()
        self.listener.close()


@pytest.fixture
def supervisor(start_server):
    server = start_server("--group", "local.test")
    server.stop()
    one = Supervisor(server)
    yield one
    one.close()


def test_ready_reloading_and_stopping_are_told(supervisor):
    supervisor.start(pass_socket=False)
    lines = supervisor.hear("READY=1")
    assert f"MAINPID={supervisor.process.pid}" in lines
    # Ready is said when it is true.
    with Client(supervisor.server.port) as client:
        assert client.greeting.startswith("200")
    supervisor.process.send_signal(signal.SIGHUP)
    supervisor.hear("RELOADING=1")
    supervisor.hear("READY=1")
    supervisor.process.terminate()
    supervisor.hear("STOPPING=1")
    assert supervisor.process.wait(30) == 0


def test_a_passed_socket_takes_the_place_of_listen_and_port(supervisor):
    supervisor.start(pass_socket=True)
    # Who comes before it is ready waits in the kernel.
    with Client(supervisor.port) as client:
        assert client.greeting.startswith("200")
    supervisor.hear("READY=1")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", supervisor.server.port))


def test_clients_wait_through_a_restart_on_a_passed_socket(supervisor):
    supervisor.start(pass_socket=True)
    supervisor.hear("READY=1")
    supervisor.process.kill()
    supervisor.process.wait()
    with socket.create_connection(("127.0.0.1", supervisor.port)) as client:
        client.settimeout(30)
        supervisor.start(pass_socket=True)
        assert client.recv(100).startswith(b"200")


def test_no_child_can_speak_for_the_server(supervisor):
    supervisor.start(pass_socket=True)
    supervisor.hear("READY=1")
    pid = supervisor.process.pid
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        children = file.read().split()
    assert len(children) >= 2
    for child in children:
        with open(f"/proc/{child}/environ", "rb") as file:
            environment = file.read()
        assert b"NOTIFY_SOCKET" not in environment
        assert b"LISTEN_FDS" not in environment
    supervisor.process.terminate()
    wait_until(lambda: supervisor.process.poll() == 0, 30, "its end")


def test_a_passed_socket_on_the_port_of_tls_speaks_it(start_server):
    server = start_server("--group", "local.test", tls=True)
    server.stop()
    one = Supervisor(server)
    with open(server.conf) as file:
        conf = file.read()
    with open(server.conf, "w") as file:
        file.write(conf.replace(f"tls_port = {server.tls_port}",
                                f"tls_port = {one.port}"))
    try:
        one.start(pass_socket=True)
        one.hear("READY=1")
        with Client(one.port, tls=client_context()) as client:
            assert client.command("DATE").startswith("111")
    finally:
        one.close()
