"""Accounts by ctlinnd, with a server and without one."""
import os
import pty
import stat
import subprocess

import pytest

from support.nntp import Client
from support.server import program

SERVER_OPTIONS = ["--group", "local.test", "--anonymous", "none"]


def ctlinnd(server, *words, password=None, **options):
    return subprocess.run(
        [program("ctlinnd"), "-c", server.conf, *words],
        input=password, capture_output=True, text=True, timeout=60,
        **options)


def add(server, name, *role, password="secret\n"):
    return ctlinnd(server, "--password-fd", "0", "useradd", name, *role,
                   password=password)


def logs_in(server, name, password):
    with Client(server.port, timeout=60) as client:
        if not client.command(f"AUTHINFO USER {name}").startswith("381 "):
            return False
        return client.command(f"AUTHINFO PASS {password}").startswith("281 ")


@pytest.fixture(params=["running", "stopped"])
def place(request, start_server):
    """A server's conf whose server runs, or does not."""
    server = start_server(*SERVER_OPTIONS)
    if request.param == "stopped":
        server.stop()
    return server


def test_the_life_of_an_account(place):
    def done(result, output="Ok\n"):
        assert (result.returncode, result.stdout, result.stderr) == (
            0, output, "")

    done(add(place, "alice"))
    done(add(place, "bob", "reader"))
    listed = ctlinnd(place, "userlist").stdout.splitlines()
    assert [line.split()[:2] for line in listed] == [["alice", "poster"],
                                                     ["bob", "reader"]]
    done(ctlinnd(place, "usermod", "bob", "role", "admin"))
    done(ctlinnd(place, "userpasswd", "bob", "--password-fd", "0",
                 password="other"))   # no newline at its end
    done(ctlinnd(place, "userdel", "alice"))
    done(ctlinnd(place, "-s", "usermod", "bob", "role", "poster"), output="")
    place.serve("restart")
    assert logs_in(place, "bob", "other")
    assert not logs_in(place, "alice", "secret")


@pytest.mark.parametrize("words, password, status, text", [
    (["useradd", "alice", "--password-fd", "0"], "x\n", 1, "already"),
    (["useradd", "carl", "king", "--password-fd", "0"], "x\n", 1,
     'found role "king"'),
    (["useradd", "a b", "--password-fd", "0"], "x\n", 1,
     "cannot be an account"),
    (["useradd", "carl", "--password-fd", "0"], "", 65, "empty"),
    (["useradd", "carl", "--password-fd", "0"], "a b\n", 65, "space"),
    (["useradd", "carl", "--password-fd", "0"], "x" * 491 + "\n", 65,
     "more than 490"),
    (["useradd", "carl", "--password-fd", "77"], "x\n", 65,
     "Bad file descriptor"),
    (["useradd", "carl", "--password-fd", "x"], "x\n", 64, "descriptor"),
    (["useradd", "carl", "poster", "secret"], None, 64, "usage:"),
    (["useradd"], None, 64, "usage:"),
    (["userdel", "nobody"], None, 1, "no account nobody"),
    (["usermod", "alice", "role", "king"], None, 1, 'found role "king"'),
    (["usermod", "nobody", "role", "reader"], None, 1, "no account nobody"),
    (["usermod", "alice", "disabled", "x"], None, 1, "yes or no"),
    (["useradd", "carl", "--scram", "--password-fd", "0"],
     "a\u0007b\n", 65, "SCRAM cannot carry"),
    (["userpasswd", "nobody", "--password-fd", "0"], "x\n", 1,
     "no account nobody"),
])
def test_refused(place, words, password, status, text):
    assert add(place, "alice").returncode == 0
    done = ctlinnd(place, *words, password=password)
    assert (done.returncode, done.stdout) == (status, "")
    assert text in done.stderr


def test_without_a_terminal_the_descriptor_must_be_named(place):
    done = ctlinnd(place, "useradd", "alice", stdin=None,
                   start_new_session=True)
    assert done.returncode == 65
    assert "--password-fd" in done.stderr


@pytest.mark.parametrize("again, status", [(b"geheim\n", 0), (b"x\n", 65)])
def test_the_terminal_is_asked_twice_and_shows_nothing(place, again, status):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(program("ctlinnd"), ["ctlinnd", "-c", place.conf, "useradd",
                                      "alice"])
    shown = b""
    for question, answer in ((b"Password: ", b"geheim\n"),
                             (b"Again: ", again)):
        while not shown.endswith(question):
            shown += os.read(terminal, 100)
        os.write(terminal, answer)
    try:
        while True:
            octets = os.read(terminal, 100)
            if not octets:
                break
            shown += octets
    except OSError:
        pass  # the other end is closed
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == status
    os.close(terminal)
    assert b"geheim" not in shown
    if status == 0:
        place.start()
        assert logs_in(place, "alice", "geheim")


def test_the_password_is_in_no_file_and_no_argument(place):
    assert add(place, "alice", password="look-for-me\n").returncode == 0
    for top, _, names in os.walk(place.dir):
        for name in names:
            path = os.path.join(top, name)
            if stat.S_ISREG(os.lstat(path).st_mode):
                with open(path, "rb") as file:
                    assert b"look-for-me" not in file.read(), path


def test_the_database_is_its_owners_alone(place):
    assert add(place, "alice").returncode == 0
    for name in ("accounts.sqlite", "accounts.sqlite-journal"):
        status = os.stat(os.path.join(place.dir, "db", name))
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_uid == os.stat(os.path.join(place.dir,
                                                     "db")).st_uid


def test_a_database_of_another_version_is_said_once(start_server):
    import sqlite3
    server = start_server(*SERVER_OPTIONS)
    server.stop()
    with sqlite3.connect(os.path.join(server.dir, "db",
                                      "accounts.sqlite")) as database:
        database.execute("PRAGMA user_version = 9")
    done = subprocess.run([program("innd"), "-f", "-c", server.conf],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 74
    assert "accounts: version 9, not 2" in done.stderr
    done = ctlinnd(server, "userlist")
    assert done.returncode == 1
    assert "accounts: version 9, not 2" in done.stderr
