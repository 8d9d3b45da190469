"""What each process holds open and may do (RELIABILITY 2: descriptors,
privileges)."""
import os
import re
import subprocess

import pytest

from support.nntp import post
from support.server import process_title, program
from support.wait import wait_until

SERVER_OPTIONS = ["--group", "local.test"]


def descriptors(pid):
    """number -> what it is"""
    found = {}
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except FileNotFoundError:
            pass
    return found


def status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file
                    if ":\t" in line)


def listening_inodes():
    """Inodes of all TCP sockets that listen."""
    found = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/net/{name}") as file:
            for line in list(file)[1:]:
                words = line.split()
                if words[3] == "0A":
                    found.add(words[9])
    return found


COMMON = [r"/dev/null", r".*/log", r"socket:.*", r"pipe:.*",
          r"anon_inode:\[(eventpoll|eventfd|signalfd|timerfd)\]",
          r"/memfd:renews-(shared|active|config).*"]
OWN = {
    "nnrpd": [r".*/spool(/\w+\.seg)?", r".*/overview/overview\.sqlite.*"],
    "writer": [r".*/spool(/\w+\.(seg|new))?", r".*/spool/writer\.lock",
               r".*/db/.*", r".*/overview/overview\.sqlite.*"],
    "auth": [r".*/db/accounts\.sqlite(-journal)?"],
}


@pytest.fixture(scope="module", autouse=True)
def used(server):
    with server.connect() as client:
        for _ in range(5):
            assert client.post(post()).startswith("240 ")
        client.command("GROUP local.test")
        client.long("ARTICLE 1")
        client.long("OVER 1-")


@pytest.mark.parametrize("role", ["nnrpd", "writer", "auth"])
def test_a_child_holds_nothing_beyond_its_list(server, role):
    pids = server.children(role)
    assert pids
    for pid in pids:
        for number, what in descriptors(pid).items():
            assert any(re.fullmatch(pattern, what)
                       for pattern in COMMON + OWN[role]), (
                f"{process_title(pid)}: {number} is {what}")


def test_what_the_starter_left_open_goes_to_no_child(start_server, tmp_path):
    server = start_server("--group", "local.test")
    server.stop()
    left = tmp_path / "left"
    with open(left, "w") as file, subprocess.Popen(
            [program("innd"), "-f", "-c", server.conf],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=[file.fileno()]) as master:
        try:
            wait_until(lambda: re.search(
                r"Workers (\d+) of \1 ready", server.ctlinnd("mode").stdout),
                20, "the workers")
            with open(f"/proc/{master.pid}/task/{master.pid}/children"
                      ) as children:
                pids = children.read().split()
            assert len(pids) >= 2
            for pid in pids:
                assert str(left) not in descriptors(pid).values()
        finally:
            master.terminate()


def test_no_child_holds_a_listening_socket_of_the_port(server):
    inodes = listening_inodes()
    held = {what[8:-1] for what in descriptors(server.master()).values()
            if what.startswith("socket:")}
    assert held & inodes, "the master listens"
    for pid in server.children():
        for what in descriptors(pid).values():
            assert what[8:-1] not in inodes, process_title(pid)


def test_the_master_opens_nothing_of_the_store(server):
    for what in descriptors(server.master()).values():
        assert not re.match(
            rf"{server.dir}/(spool|db|overview)", what), what


def test_no_process_can_get_privileges(server):
    for pid in [server.master(), *server.children()]:
        found = status(pid)
        # The master starts what may run programs with rights of their own.
        if pid != server.master():
            assert found["NoNewPrivs"] == "1", process_title(pid)
        if os.geteuid() == 0 and 'runasuser = ""' not in open(
                server.conf).read():
            assert set(found["Uid"].split()) != {"0"}, process_title(pid)
            assert found["Groups"].strip() in ("", found["Gid"].split()[0])
            assert int(found["CapEff"], 16) == 0


def test_the_control_socket_is_not_for_everyone(server):
    run = os.path.join(server.dir, "run")
    for name in os.listdir(run):
        mode = os.lstat(os.path.join(run, name)).st_mode & 0o777
        if name in ("control", "tools"):
            assert mode & 0o007 == 0, f"{name} {mode:o}"
