"""Accounts that others know: PAM, and a helper program that is slow, dies or
talks nonsense."""
import os
import shutil
import signal
import tempfile
import textwrap
import time

import pytest

from support.nntp import Client
from support.sasl import plain
from support.wait import wait_until

OPTIONS = ["--group", "local.test", "--anonymous", "none"]

# What it does is told by the name; "HERE" is where it leaves marks.
HELPER = '''\
    #!/usr/bin/python3
    import os, sys, time, urllib.parse
    here = os.path.dirname(os.path.realpath(__file__))
    def mark(name):
        fd = os.open(os.path.join(here, name),
                     os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        os.write(fd, b"%d\\n" % os.getpid())
        os.close(fd)
    def say(text):
        sys.stdout.write(text)
        sys.stdout.flush()
    mark("started")
    if os.path.exists(os.path.join(here, "mute")):
        time.sleep(600)
    say("ready\\n")
    for line in sys.stdin:
        word, number, address, name, password = line.split(" ")
        assert word == "login" and address == "127.0.0.1", line
        password = urllib.parse.unquote_to_bytes(password.rstrip("\\n"))
        name = urllib.parse.unquote(name)
        mark("asked")
        if name == "nonsense":
            say("what do you mean?\\n")
        elif name == "endless":
            say("x" * 5000)
        elif name == "dies":
            sys.exit(3)
        elif name == "dies-once":
            if not os.path.exists(os.path.join(here, "died")):
                mark("died")
                sys.exit(3)
            say(f"{number} yes poster\\n")
        elif name == "slow":
            time.sleep(1)
            say(f"{number} yes poster\\n")
        elif name == "hangs":
            time.sleep(600)
        elif name == "fails":
            say(f"{number} failed the directory is away\\n")
        elif name == "king":
            say(f"{number} yes king\\n")
        elif name == "mona":
            say(f"{number} yes moderator mod.*,!mod.x\\n")
        elif name == "other":
            say(f"{int(number) + 1000} yes poster\\n{number} no\\n")
        elif name.startswith("h-"):
            say(f"{number} yes reader\\n" if password == b"a b%c\\xff"
                else f"{number} no\\n")
        else:
            say(f"{number} unknown\\n")
'''


class Place:
    """A directory that the server's user may use, whoever that is."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="renews-sources-")
        os.chmod(self.dir, 0o777)

    def remove(self):
        shutil.rmtree(self.dir, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text, mode=0o755):
        path = self.path(name)
        with open(path, "w") as file:
            file.write(textwrap.dedent(text))
        os.chmod(path, mode)
        return path

    def marks(self, name):
        if not os.path.exists(self.path(name)):
            return []
        with open(self.path(name)) as file:
            return [int(line) for line in file]


@pytest.fixture
def place():
    one = Place()
    yield one
    one.remove()


@pytest.fixture
def helped(start_server, place):
    place.write("helper", HELPER)
    return start_server(*OPTIONS, "--user", "alice:geheim", conf=[
        "accounts_sources = {database, helper}",
        f"accounts_helper = {place.path('helper')}"])


def login(server, name, password, timeout=60):
    with Client(server.port, timeout=timeout) as client:
        assert client.command(f"AUTHINFO USER {name}").startswith("381 ")
        return client.command(f"AUTHINFO PASS {password}")


# --- the helper ---

def test_the_helper_is_asked_about_names_that_the_database_has_not(
        helped, place):
    assert login(helped, "alice", "geheim").startswith("281 ")
    assert place.marks("asked") == []
    with Client(helped.port) as client:
        # Octets that a line cannot carry as they are.
        assert client.command("AUTHINFO SASL PLAIN "
                              + plain("h-rita", b"a b%c\xff"))[:3] == "281"
        assert client.command("GROUP local.test").startswith("211 ")
        assert client.command("POST").startswith("440 ")     # a reader
    assert len(place.marks("asked")) == 1
    # Found right a short while ago.
    with Client(helped.port) as client:
        assert client.command("AUTHINFO SASL PLAIN "
                              + plain("h-rita", b"a b%c\xff"))[:3] == "281"
    assert len(place.marks("asked")) == 1
    assert login(helped, "alice", "wrong").startswith("481 ")
    assert len(place.marks("asked")) == 1


def test_whom_nobody_knows(helped, place):
    assert login(helped, "nobody", "x").startswith("481 ")
    assert len(place.marks("asked")) == 1
    assert login(helped, "h-rita", "x").startswith("481 ")


def test_a_moderator_of_the_helpers(start_server, place):
    from support.nntp import post
    place.write("helper", HELPER)
    server = start_server(
        *OPTIONS, "--moderated", "mod.a", "--moderated", "mod.x", conf=[
            "accounts_sources = {helper}",
            f"accounts_helper = {place.path('helper')}"])
    with server.connect() as client:
        assert client.command("AUTHINFO USER mona").startswith("381 ")
        assert client.command("AUTHINFO PASS x").startswith("281 ")
        approved = {"Approved": "mona@example.com"}
        assert client.post(post("mod.a", fields=approved)).startswith("240 ")
        assert client.post(post("mod.x", fields=approved)).startswith("441 ")
        # An account of the database that changes is none of its business.
        assert server.ctlinnd("userlist").returncode == 0


@pytest.mark.parametrize("name, promise", [
    ("nonsense", "what is no answer"),
    pytest.param("endless", "a line without an end", marks=pytest.mark.long),
    pytest.param("king", "what is no answer", marks=pytest.mark.long)])
def test_a_helper_that_talks_nonsense_is_started_again(
        helped, place, name, promise):
    """It is killed; the question is asked of the next one, and of the one
    after that, until it is given up: for now, and never "wrong"."""
    with Client(helped.port, timeout=60) as client:
        client.send(f"AUTHINFO USER {name}\r\nAUTHINFO PASS x\r\n".encode())
        assert client.reply().startswith("381 ")
        wait_until(lambda: len(place.marks("started")) > 1, 30, "another one")
        # Who is in the database does not notice.
        assert login(helped, "alice", "geheim").startswith("281 ")
        assert client.reply().startswith("403 ")
    assert f"has said {promise}, and is killed" in helped.log()
    wait_until(lambda: login(helped, "h-rita", "x").startswith("481 "), 40,
               f"an answer after {promise}")


def test_what_a_dead_helper_has_not_answered_is_asked_again(helped, place):
    assert login(helped, "dies-once", "x").startswith("281 ")
    assert len(place.marks("started")) == 2


def test_a_killed_helper_is_there_again(helped, place):
    first = wait_until(lambda: place.marks("started"), 20, "the helper")[0]
    os.kill(first, signal.SIGKILL)
    assert login(helped, "slow", "x").startswith("281 ")
    assert len(place.marks("started")) == 2


def test_an_answer_to_what_was_not_asked_is_ignored(helped):
    assert login(helped, "other", "x").startswith("481 ")


def test_a_helper_that_cannot_find_out(helped):
    assert login(helped, "fails", "x").startswith("403 ")


def test_a_slow_helper_delays_nobody_else(helped):
    with Client(helped.port) as client, helped.connect() as other:
        client.send(b"AUTHINFO USER slow\r\nAUTHINFO PASS x\r\n")
        assert client.reply().startswith("381 ")
        begun = time.monotonic()
        assert other.command("DATE").startswith("111 ")
        assert login(helped, "alice", "geheim").startswith("281 ")
        assert client.buffer == b"" and client.reply().startswith("281 ")
        assert time.monotonic() - begun >= 0.9


@pytest.mark.long
def test_a_helper_that_hangs_is_killed(helped, place):
    assert login(helped, "hangs", "x").startswith("403 ")
    assert "does not answer, and is killed" in helped.log()
    wait_until(lambda: login(helped, "h-rita", "x").startswith("481 "), 60,
               "another helper")


def test_the_queue_has_an_end(helped):
    """64 questions wait for it at most; the 65th is told so."""
    clients = [helped.connect() for _ in range(70)]
    for number, client in enumerate(clients):
        client.send(f"AUTHINFO USER hangs\r\nAUTHINFO PASS {number}\r\n"
                    .encode())
    codes = []

    def busy():
        for client in clients:
            if client.buffer.count(b"\r\n") < 2:
                try:
                    client.receive(time.monotonic() + 0.05)
                except Exception:
                    pass
        codes[:] = [client.buffer.split(b"\r\n")[1][:3] for client in clients
                    if client.buffer.count(b"\r\n") > 1]
        return b"400" in codes

    wait_until(busy, 30, "somebody who is turned away")
    with helped.connect() as other:
        assert other.command("DATE").startswith("111 ")
    for client in clients:
        client.close()


def test_a_helper_that_is_not_there(start_server, place):
    server = start_server(*OPTIONS, "--user", "alice:geheim", conf=[
        "accounts_sources = {database, helper}",
        f"accounts_helper = {place.path('none')}"])
    assert login(server, "alice", "geheim").startswith("281 ")
    wait_until(lambda: "No such file" in server.log(), 20, "a word about it")


def test_the_helper_ends_with_the_server(helped, place):
    pid = wait_until(lambda: place.marks("started"), 20, "the helper")[0]
    helped.stop()
    wait_until(lambda: not os.path.exists(f"/proc/{pid}")
               or "Z" in open(f"/proc/{pid}/stat").read().split()[2], 20,
               "its end")


def test_a_killed_outside_is_there_again_and_asked_again(helped, place):
    wait_until(lambda: place.marks("started"), 20, "the helper")
    pid = wait_until(lambda: helped.children("outside"), 20, "outside")[0]
    with Client(helped.port) as client:
        client.send(b"AUTHINFO USER slow\r\nAUTHINFO PASS x\r\n")
        assert client.reply().startswith("381 ")
        wait_until(lambda: place.marks("asked"), 20, "the question")
        os.kill(pid, signal.SIGKILL)
        assert client.reply(timeout=30).startswith("281 ")


# --- PAM ---

PERMIT = "auth required pam_permit.so\naccount required pam_permit.so\n"
DENY = "auth required pam_deny.so\naccount required pam_permit.so\n"
EXPIRED = "auth required pam_permit.so\naccount required pam_deny.so\n"


def pam_server(start_server, place, service, *conf):
    place.write("news", service, 0o644)
    return start_server(*OPTIONS, "--user", "alice:geheim", conf=[
        "accounts_sources = {database, pam}",
        f"pam_service = {place.path('news')}", *conf])


@pytest.mark.parametrize("service, code", [(PERMIT, "281"), (DENY, "481"),
                                           (EXPIRED, "481")],
                         ids=["permit", "deny", "expired"])
def test_pam_decides(start_server, place, service, code):
    server = pam_server(start_server, place, service, "pam_role = reader")
    with Client(server.port, timeout=60) as client:
        assert client.command("AUTHINFO USER pat").startswith("381 ")
        assert client.command("AUTHINFO PASS x")[:3] == code
        if code == "281":
            assert client.command("GROUP local.test").startswith("211 ")
            assert client.command("POST").startswith("440 ")
    # What the database knows, it decides.
    assert login(server, "alice", "wrong").startswith("481 ")
    assert login(server, "alice", "geheim").startswith("281 ")


def test_pam_gets_name_password_and_address(start_server, place):
    program = place.write("check", f"""\
        #!/bin/sh
        password=$(cat | tr -d '\\000')
        echo "$PAM_USER $PAM_RHOST" >>{place.path("seen")}
        case $PAM_USER in
        slow) sleep 2 ;;
        crash) kill -9 $PPID ;;
        esac
        test "$password" = "for-$PAM_USER"
        """)
    server = pam_server(
        start_server, place,
        f"auth required pam_exec.so quiet expose_authtok {program}\n"
        "account required pam_permit.so\n")
    assert login(server, "pat", "for-pat").startswith("281 ")
    with open(place.path("seen")) as file:
        assert file.read() == "pat 127.0.0.1\n"
    assert login(server, "crash", "for-crash").startswith("403 ")
    with Client(server.port) as client, server.connect() as other:
        client.send(b"AUTHINFO USER slow\r\nAUTHINFO PASS for-slow\r\n")
        assert client.reply().startswith("381 ")
        # Neither others of PAM's nor anybody else waits for it.
        assert login(server, "pam2", "for-pam2").startswith("281 ")
        assert other.command("DATE").startswith("111 ")
        assert client.buffer == b"" and client.reply().startswith("281 ")
    assert login(server, "pat", "wrong").startswith("481 ")


def test_both_in_the_order_given(start_server, place):
    place.write("helper", HELPER)
    place.write("news", DENY, 0o644)
    server = start_server(*OPTIONS, conf=[
        "accounts_sources = {helper, pam}",
        f"accounts_helper = {place.path('helper')}",
        f"pam_service = {place.path('news')}"])
    with Client(server.port) as client:
        assert client.command("AUTHINFO SASL PLAIN "
                              + plain("h-rita", b"a b%c\xff"))[:3] == "281"
    # The helper does not know him, PAM refuses him.
    assert login(server, "pat", "x").startswith("481 ")
    assert len(place.marks("asked")) == 2


def test_a_helper_must_be_named(start_server):
    server = start_server(*OPTIONS)
    server.stop()
    with open(server.conf, "a") as file:
        file.write("accounts_sources = {helper}\n")
    done = server.serve("start", "--port", str(server.port),
                        "--conf", "accounts_sources = {helper}", check=False)
    assert done.returncode != 0
    assert "accounts_helper: found nothing, expected the path" in (
        done.stdout + done.stderr)
