"""Accounts in PostgreSQL: the same words, the same logins; shared with another
server; and away."""
import subprocess

import pytest

from support.database import Database
from support.nntp import Client
from support.sasl import Scram, scram_login
from support.server import program
from support.wait import wait_until

OPTIONS = ["--group", "local.test", "--anonymous", "none"]


@pytest.fixture(scope="module")
def own_database():
    one = Database()
    try:
        yield one.start()
    finally:
        one.remove()


def ctlinnd(server, *words, password=None):
    return subprocess.run(
        [program("ctlinnd"), "-c", server.conf, *words],
        input=password, capture_output=True, text=True, timeout=60)


def add(server, name, *words, password="geheim\n"):
    done = ctlinnd(server, "useradd", name, *words, "--password-fd", "0",
                   password=password)
    assert (done.returncode, done.stdout) == (0, "Ok\n"), done.stderr


def login(client, name, password):
    assert client.command(f"AUTHINFO USER {name}").startswith("381 ")
    return client.command(f"AUTHINFO PASS {password}")


@pytest.fixture
def pair(start_server, own_database):
    """Two servers, one database of accounts."""
    conf = [f'accounts = "{own_database.overview()}"']
    return [start_server("--group", "local.test", "--anonymous", "read",
                         conf=conf) for _ in range(2)]


def test_words_and_logins(pair):
    server = pair[0]
    add(server, "alice", "moderator", "--scram")
    assert "already" in ctlinnd(server, "useradd", "alice", "--password-fd",
                                "0", password="x\n").stderr
    add(server, "x'); DROP TABLE account; --".replace(" ", ""), "reader")
    for words in (("role", "moderator"), ("moderates", "local.*"),
                  ("disabled", "no")):
        assert ctlinnd(server, "usermod", "alice", *words).stdout == "Ok\n"
    assert "no account bob" in ctlinnd(server, "userdel", "bob").stderr
    listed = ctlinnd(server, "userlist").stdout
    assert "alice moderator created=20" in listed
    assert "moderates=local.* scram=yes" in listed
    with server.connect() as client:
        assert login(client, "alice", "geheim").startswith("281 ")
    with server.connect() as client:
        assert scram_login(client, Scram("alice", "geheim"))[:3] == "283"
    server.stop()
    # Without a server it is ctlinnd that asks the database.
    assert ctlinnd(server, "userpasswd", "alice", "--password-fd", "0",
                   password="anders\n").stdout == "Ok\n"
    server.start()
    with server.connect() as client:
        assert login(client, "alice", "anders").startswith("281 ")


def test_a_change_by_another_server_is_noticed(pair):
    one, other = pair
    add(one, "alice", "peer")
    with other.connect() as client:
        # The first account of all: a login is offered here too.
        wait_until(lambda: client.command("AUTHINFO USER alice")
                   .startswith("381 "), 20, "the other's account")
        assert client.command("AUTHINFO PASS geheim").startswith("281 ")
        assert client.command("MODE STREAM").startswith("203 ")
        assert ctlinnd(one, "userdel", "alice").stdout == "Ok\n"
        wait_until(lambda: client.command("MODE STREAM").startswith("502 "),
                   20, "the end of its rights")


def test_while_it_is_away_logins_wait_for_another_day(start_server,
                                                      own_database):
    server = start_server(*OPTIONS, conf=[
        f'accounts = "{own_database.overview()}"'])
    add(server, "alice")
    with server.connect() as inside:
        assert login(inside, "alice", "geheim").startswith("281 ")
        own_database.stop()
        try:
            with Client(server.port, timeout=60) as client:
                assert login(client, "alice", "wrong").startswith("403 ")
                assert client.command("DATE").startswith("111 ")
            assert inside.command("GROUP local.test").startswith("211 ")
        finally:
            own_database.start()

        def comes_in():
            with Client(server.port, timeout=60) as client:
                return login(client, "alice", "geheim").startswith("281 ")
        wait_until(comes_in, 30, "a login")


def test_until_they_are_counted_there_may_be_some(start_server, own_database):
    url = own_database.overview()
    server = start_server(*OPTIONS, conf=[f'accounts = "{url}"'])
    add(server, "alice")
    server.stop()
    # Who counts has to wait for this one.
    with subprocess.Popen(["psql", "-X", "-q", "-t", url], text=True,
                          stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as holder:
        print("BEGIN; LOCK TABLE account; SELECT 'held';", file=holder.stdin,
              flush=True)
        assert "held" in holder.stdout.readline()
        server.start()
        with Client(server.port, timeout=60) as client:
            assert b"AUTHINFO USER" in b" ".join(
                client.long("CAPABILITIES")[1])
            assert client.command("AUTHINFO USER alice").startswith("381 ")
            client.send(b"AUTHINFO PASS geheim\r\n")
            print("ROLLBACK;", file=holder.stdin, flush=True)
            assert client.reply().startswith("281 ")


def test_tables_of_another_version_are_left_alone(start_server, own_database):
    url = own_database.overview()
    server = start_server(*OPTIONS, conf=[f'accounts = "{url}"'])
    server.stop()
    schema = url.rsplit("%3D", 1)[1]
    own_database.sql(f"UPDATE {schema}.account_setting SET value = '9'"
                     " WHERE name = 'version'")
    done = subprocess.run([program("innd"), "-f", "-c", server.conf],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 74
    assert "accounts: version 9, not 2" in done.stderr
