"""AUTHINFO SASL (RFC 4643, 2.4): the right codes in the right order, PLAIN and
SCRAM-SHA-256, and that half a dialogue grants nothing."""
import os
import sqlite3
import subprocess

import pytest

from support.nntp import Client, post
from support.sasl import Scram, decode, encode, plain, scram_login
from support.server import Server, program

OPTIONS = ["--group", "local.test", "--anonymous", "none"]
ADDRESSES = []


def scram_user(server, name, password, *words):
    done = subprocess.run(
        [program("ctlinnd"), "-c", server.conf, "--password-fd", "0",
         "useradd", name, *words, "--scram"], input=password.encode() + b"\n",
        capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"Ok\n"), done.stderr


def make(start):
    server = start(*OPTIONS, "--user", "alice:geheim", "--user", "bob:b:reader")
    scram_user(server, "sue", "pencil", "moderator")
    scram_user(server, "a,b=c", "odd")
    return server


@pytest.fixture(scope="module")
def server():
    servers = []

    def start(*options):
        servers.append(Server(*options))
        return servers[0].start()

    try:
        yield make(start)
    finally:
        servers[0].remove()


@pytest.fixture
def elsewhere(server):
    """Connects from an address that has not failed yet, as long as accounts
    have not: who logs in makes his account forget."""
    def connect():
        ADDRESSES.append(None)
        return Client(server.port, source=f"127.0.3.{len(ADDRESSES)}")

    yield connect
    for name, password in (("alice", "geheim"), ("sue", "pencil")):
        with connect() as client:
            assert client.command("AUTHINFO SASL PLAIN "
                                  + plain(name, password))[:3] == "281"


def told(client):
    return [line.decode() for line in client.long("CAPABILITIES")[1]]


# --- codes ---

def test_codes_in_their_order(start_server):
    server = make(start_server)
    rows = [
        ("AUTHINFO SASL", "501"), ("AUTHINFO SASL PLAIN a b", "501"),
        ("AUTHINFO SASL CRAM-MD5", "503"),
        ("AUTHINFO SASL EXTERNAL =", "503"),
        ("AUTHINFO SASL PLAIN %%%", "504"),
        ("AUTHINFO SASL PLAIN YWJj", "482"),       # no NUL in it
        ("AUTHINFO SASL PLAIN =", "482"),
        ("AUTHINFO SASL PLAIN", "383"), ("*", "481"),
        ("GROUP local.test", "480"),
        ("AUTHINFO SASL PLAIN", "383"), ("GROUP local.test", "504"),
        ("GROUP local.test", "480"),
        ("AUTHINFO SASL PLAIN", "383"), ("", "482"),
        ("AUTHINFO USER alice", "381"),
        ("AUTHINFO SASL PLAIN", "383"), ("*", "481"),
        ("AUTHINFO PASS geheim", "482"),           # nothing is left over
        ("authinfo sasl plain " + plain("alice", "wrong"), "481"),
        ("AUTHINFO PASS geheim", "482"),           # the name is forgotten
        ("AUTHINFO SASL SCRAM-SHA-256 " + encode(b"nonsense"), "482"),
        ("AUTHINFO SASL PLAIN " + plain("alice", "geheim"), "281"),
        ("AUTHINFO SASL PLAIN", "502"),
        ("AUTHINFO SASL NONE-SUCH", "502"),
        ("AUTHINFO USER alice", "502"), ("GROUP local.test", "211"),
    ]
    with server.connect() as client:
        for line, code in rows:
            assert client.command(line)[:3] == code, line


def test_capabilities(server):
    with server.connect() as client:
        assert "AUTHINFO USER SASL" in told(client)
        assert "SASL SCRAM-SHA-256 PLAIN" in told(client)
        assert client.command("AUTHINFO SASL PLAIN "
                              + plain("alice", "geheim")).startswith("281 ")
        assert not any(line.startswith(("AUTHINFO", "SASL"))
                       for line in told(client))


def test_scram_is_told_where_an_account_can_use_it(start_server):
    server = start_server(*OPTIONS, "--user", "alice:geheim")
    with server.connect() as client:
        assert "SASL PLAIN" in told(client)
        assert client.command("AUTHINFO SASL SCRAM-SHA-256 "
                              + Scram("alice", "geheim").first())[:3] == "503"
        scram_user(server, "sue", "pencil")
        assert "SASL SCRAM-SHA-256 PLAIN" in told(client)
        assert server.ctlinnd("usermod", "sue", "scram",
                              "no").stdout == "Ok\n"
        assert "SASL PLAIN" in told(client)


def test_without_encryption_passwords_are_refused_and_scram_is_not(
        start_server):
    server = start_server(*OPTIONS, "--user", "alice:geheim",
                          conf=["plaintext_login = never"])
    with server.connect() as client:
        # Nothing that it could log in by.
        assert client.greeting.startswith("502 ")
    scram_user(server, "sue", "pencil")
    with server.connect() as client:
        assert "AUTHINFO SASL" in told(client)
        assert "SASL SCRAM-SHA-256" in told(client)
        assert client.command("AUTHINFO SASL PLAIN")[:3] == "483"
        assert client.command("AUTHINFO SASL PLAIN "
                              + plain("alice", "geheim"))[:3] == "483"
        assert client.command("AUTHINFO USER alice")[:3] == "483"
        assert scram_login(client, Scram("sue", "pencil"))[:3] == "283"


# --- PLAIN ---

@pytest.mark.parametrize("response, code", [
    (plain("alice", "geheim"), "281"),
    (plain("alice", "geheim", authzid="alice"), "281"),
    (plain("alice", "geheim", authzid="bob"), "481"),
    (plain("alice", "wrong"), "481"),
    (plain("nobody", "geheim"), "481"),
    (plain("", "geheim"), "481"),
    (plain("alice", ""), "481"),
    (plain("alice", b"geheim\0"), "481"),
    (plain("alice", "geheim" + "x" * 485), "481"),
    (plain(b"\xff", "geheim"), "481"),
    (encode(b"alice\0geheim"), "482"),
])
def test_plain(server, elsewhere, response, code):
    with elsewhere() as client:
        assert client.command("AUTHINFO SASL PLAIN") == "383 ="
        assert client.command(response)[:3] == code
        assert client.command("GROUP local.test")[:3] == (
            "211" if code == "281" else "480")


def test_a_response_may_be_as_long_as_any_line(elsewhere):
    """8 KiB after 383 (RFC 4643, 2.4.2), and a line without an end closes."""
    with elsewhere() as client:
        assert client.command("AUTHINFO SASL PLAIN").startswith("383 ")
        assert client.command(plain("alice", "x" * 6000)).startswith("481 ")
        assert client.command("AUTHINFO SASL PLAIN").startswith("383 ")
        client.send(b"A" * 9000)
        assert client.reply().startswith("400 ")
        assert client.at_end()


def test_roles_are_those_of_the_account(server):
    with server.connect() as client:
        assert client.command("AUTHINFO SASL PLAIN "
                              + plain("bob", "b")).startswith("281 ")
        assert client.command("POST").startswith("440 ")
    with server.connect() as client:
        assert scram_login(client, Scram("sue", "pencil"))[:3] == "283"
        assert client.post(post()).startswith("240 ")


# --- SCRAM ---

def test_scram_and_that_the_server_proves_itself(server):
    for name, password in (("sue", "pencil"), ("a,b=c", "odd")):
        with server.connect() as client:
            exchange = Scram(name, password)
            reply = scram_login(client, exchange)
            assert reply.startswith("283 ")
            assert exchange.proves(reply[4:])
            assert client.command("GROUP local.test").startswith("211 ")


def test_scram_without_an_initial_response(server):
    with server.connect() as client:
        assert client.command("AUTHINFO SASL SCRAM-SHA-256") == "383 ="
        exchange = Scram("sue", "pencil", header="n,a=sue,")
        reply = client.command(exchange.first())
        assert reply.startswith("383 ")
        assert client.command("*").startswith("481 ")
        assert client.command("GROUP local.test").startswith("480 ")


@pytest.mark.parametrize("exchange, change, code", [
    (Scram("sue", "Pencil"), {}, "481"),
    (Scram("alice", "geheim"), {}, "481"),     # it has no verifier
    (Scram("nobody", "pencil"), {}, "481"),
    (Scram("sue", "pencil", header="y,,"), {}, "283"),
    (Scram("sue", "pencil", header="n,a=bob,"), {}, "481"),
    (Scram("sue", "pencil", header="p=tls-exporter,,"), {}, "482"),
    (Scram("sue", "pencil", channel=b"x"), {}, "481"),
    (Scram("sue", "pencil"), {"server_nonce": "something else"}, "481"),
    (Scram("sue", "pencil"), {"salt": b"another salt 123"}, "481"),
    (Scram("sue", "pencil"), {"iterations": 1}, "481"),
    (Scram("sue", "pencil"), {"server_first": "r=a,s=b,i=1"}, "481"),
], ids=str)
def test_scram_exchanges_that_are_wrong(elsewhere, exchange, change, code):
    with elsewhere() as client:
        reply = client.command("AUTHINFO SASL SCRAM-SHA-256 "
                               + exchange.first())
        if reply.startswith("383 "):
            exchange.take(reply[4:])
            for name, value in change.items():
                setattr(exchange, name, value)
            reply = client.command(exchange.final())
        assert reply[:3] == code
        assert client.command("GROUP local.test")[:3] == (
            "211" if code == "283" else "480")


def test_a_proof_is_good_once(elsewhere):
    with elsewhere() as client:
        exchange = Scram("sue", "pencil")
        reply = client.command("AUTHINFO SASL SCRAM-SHA-256 "
                               + exchange.first())
        final = exchange.take(reply[4:]).final()
        assert client.command(final).startswith("283 ")
    with elsewhere() as client:
        assert client.command("AUTHINFO SASL SCRAM-SHA-256 "
                              + exchange.first()).startswith("383 ")
        assert client.command(final).startswith("481 ")


def test_nobody_learns_who_has_an_account(server):
    """The salt for a name is always the same, here and after a restart; and
    all look alike."""
    def first(name):
        with server.connect() as client:
            reply = client.command("AUTHINFO SASL SCRAM-SHA-256 "
                                   + Scram(name, "x").first())
            client.command("*")
            nonce, salt, iterations = decode(reply[4:]).decode().split(",")
            return len(nonce), salt, iterations

    names = ("sue", "alice", "nobody", "nobody2")
    before = [first(name) for name in names]
    assert len({salt for _, salt, _ in before}) == 4
    assert len({iterations for _, _, iterations in before}) == 1
    assert len({len(salt) for _, salt, _ in before}) == 1
    assert [salt for _, salt, _ in map(first, names)] == [
        salt for _, salt, _ in before]
    server.serve("restart")
    assert [salt for _, salt, _ in map(first, names)] == [
        salt for _, salt, _ in before]


def test_a_verifier_is_there_only_where_it_was_asked_for(server):
    with sqlite3.connect(os.path.join(server.dir, "db",
                                      "accounts.sqlite")) as database:
        rows = dict(database.execute("SELECT name, scram FROM account"))
    assert rows["alice"] == "" and rows["bob"] == ""
    assert rows["sue"].startswith("SCRAM-SHA-256$100000:")


def test_five_wrong_ones_close_whatever_the_way(elsewhere):
    bad = "\0\0x"
    with elsewhere() as client:
        for _ in range(5):
            reply = client.command("AUTHINFO SASL PLAIN "
                                   + encode(bad.encode()))
            assert reply.startswith("481 ")
        assert client.at_end()


# --- nothing is granted by half a dialogue ---

SCRAM = Scram("sue", "pencil")
HALVES = {  # what was said, and what the next line is taken for
    "nothing": ([], "command"),
    "USER": (["AUTHINFO USER alice"], "command"),
    "USER twice": (["AUTHINFO USER alice", "AUTHINFO USER sue"], "command"),
    "SASL PLAIN": (["AUTHINFO SASL PLAIN"], "response"),
    "SASL SCRAM": (["AUTHINFO SASL SCRAM-SHA-256"], "response"),
    "SCRAM's first": (["AUTHINFO SASL SCRAM-SHA-256 " + SCRAM.first()],
                      "response"),
    "aborted": (["AUTHINFO SASL SCRAM-SHA-256 " + SCRAM.first(), "*"],
                "command"),
}
COMMANDS = {  # and its reply to who has not logged in
    "ARTICLE 1": "480", "BODY 1": "480", "HEAD 1": "480", "STAT 1": "480",
    "GROUP local.test": "480", "LISTGROUP local.test": "480",
    "LAST": "480", "NEXT": "480", "LIST ACTIVE": "480", "LIST": "480",
    "LIST NEWSGROUPS": "480", "LIST COUNTS": "480", "OVER 1": "480",
    "XOVER 1": "480", "HDR Subject 1": "480", "XHDR Subject 1": "480",
    "XPAT Subject 1 *": "480", "NEWGROUPS 20000101 000000": "480",
    "NEWNEWS * 20000101 000000": "480", "POST": "480",
    "IHAVE <a@example.com>": "480", "CHECK <a@example.com>": "480",
    "MODE STREAM": "480", "DATE": "111", "MODE READER": "200",
    "AUTHINFO SASL PLAIN": "383", "AUTHINFO USER x": "381",
}


@pytest.mark.parametrize("half", HALVES)
def test_half_a_dialogue_grants_nothing(server, half):
    lines, taken_for = HALVES[half]
    for command, code in COMMANDS.items():
        with server.connect() as client:
            for line in lines:
                assert client.command(line)[:3] in ("381", "383", "481")
            reply = client.command(command)[:3]
            if taken_for == "response":
                assert reply in ("504", "482"), command
                assert client.command("GROUP local.test")[:3] == "480"
            else:
                assert reply == code, command


def test_pipelined_responses(server):
    with server.connect() as client:
        client.send(b"GROUP local.test\r\nAUTHINFO SASL PLAIN\r\n"
                    + plain("alice", "geheim").encode()
                    + b"\r\nGROUP local.test\r\n")
        assert [client.reply()[:3] for _ in range(4)] == ["480", "383", "281",
                                                          "211"]


def test_no_secret_in_the_log(start_server):
    server = make(start_server)
    response = plain("alice", "a-password-to-look-for")
    with server.connect() as client:
        assert client.command("AUTHINFO SASL PLAIN " + response)[:3] == "481"
    log = server.log()
    assert "login refused user=alice" in log
    assert response not in log and "a-password-to-look-for" not in log
