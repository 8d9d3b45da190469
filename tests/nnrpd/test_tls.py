"""TLS: on a port of its own, and by STARTTLS (RFC 4642, RFC 8143)."""
import os
import socket
import ssl
import subprocess

import pytest

from support.nntp import Client, Closed, post
from support.tls import HeldTls, client_context
from support.wait import wait_until

SERVER_OPTIONS = ["--group", "local.test", "--user", "alice:secret"]
SERVER_TLS = True

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def capabilities(client):
    return [line.decode() for line in client.long("CAPABILITIES")[1]]


# --- where a login takes TLS ---

@pytest.fixture
def sealed(start_server):
    """Nobody may anything without an account, or send a password in clear."""
    return start_server("--group", "local.test", "--anonymous", "none",
                        "--user", "alice:secret", tls=True,
                        conf=['plaintext_login = "never"'])


def test_who_may_nothing_yet_is_let_in_to_start_tls(sealed):
    with sealed.connect() as client:
        assert client.greeting.startswith("200 ")
        words = capabilities(client)
        assert "STARTTLS" in words and "READER" in words
        assert not any(line.startswith("AUTHINFO") for line in words)
        assert client.command("MODE READER").startswith("200 ")
        for line in ("GROUP local.test", "ARTICLE <a@b>", "LIST", "POST",
                     "CHECK <a@b>", "AUTHINFO USER alice"):
            assert client.command(line).startswith("483 "), line
        client.starttls(client_context())
        assert client.command("GROUP local.test").startswith("480 ")
        assert client.command("AUTHINFO USER alice").startswith("381 ")
        assert client.command("AUTHINFO PASS secret").startswith("281 ")
        assert client.command("GROUP local.test").startswith("211 ")


def test_who_can_get_nowhere_is_still_turned_away(start_server):
    server = start_server("--group", "local.test", "--anonymous", "none",
                          "--user", "alice:secret",
                          conf=['plaintext_login = "never"'])
    with server.connect() as client:
        assert client.greeting.startswith("502 ")
        assert client.at_end()


# --- two ways in ---

@pytest.mark.parametrize("version", VERSIONS)
def test_a_port_of_its_own_speaks_tls_from_the_first_octet(server, version):
    with server.connect_tls(client_context(version)) as client:
        assert client.greeting.startswith("200")
        assert client.command("DATE").startswith("111")
        assert client.command("QUIT").startswith("205")
        assert client.at_end()


@pytest.mark.parametrize("version", VERSIONS)
def test_starttls_begins_it_on_the_plain_port(server, version):
    with server.connect() as client:
        assert "STARTTLS" in capabilities(client)
        client.starttls(client_context(version))
        assert client.command("DATE").startswith("111")
        assert "STARTTLS" not in capabilities(client)
        assert client.command("STARTTLS").startswith("502")


def test_starttls_is_no_command_where_tls_is_there_already(server):
    with server.connect_tls() as client:
        assert "STARTTLS" not in capabilities(client)
        assert client.command("STARTTLS").startswith("502")
        assert client.command("DATE").startswith("111")


def test_starttls_is_answered_580_without_a_certificate(start_server):
    with start_server().connect() as client:
        assert "STARTTLS" not in capabilities(client)
        assert client.command("STARTTLS").startswith("580")
        assert client.command("DATE").startswith("111")


def test_starttls_is_refused_to_who_has_logged_in(server):
    with server.connect() as client:
        client.command("AUTHINFO USER alice")
        assert client.command("AUTHINFO PASS secret").startswith("281")
        assert "STARTTLS" not in capabilities(client)
        assert client.command("STARTTLS").startswith("502")


# --- where one segment ends and the next begins ---

@pytest.fixture
def held(server):
    with socket.create_connection(("127.0.0.1", server.tls_port), 10) as plain:
        yield HeldTls(plain, client_context(ssl.TLSVersion.TLSv1_3))


def test_a_command_that_comes_with_the_end_of_the_handshake_is_answered(held):
    held.plain.sendall(held.shake_hands() + held.say(b"DATE\r\n"))
    assert held.line().startswith("200 ")
    assert held.line().startswith("111 ")


def test_records_that_come_together_or_in_pieces_are_answered(held):
    held.plain.sendall(held.shake_hands())
    assert held.line().startswith("200 ")
    octets = held.say(b"DATE\r\n") + held.say(b"MODE READER\r\nSTAT\r\n")
    last = held.say(b"HEAD\r\n")
    held.plain.sendall(octets + last[:3])
    assert [held.line()[:4] for _ in range(3)] == ["111 ", "200 ", "412 "]
    held.plain.sendall(last[3:9])
    held.plain.sendall(last[9:])
    assert held.line().startswith("412 ")


# --- what was before ---

def test_plaintext_behind_starttls_is_thrown_away(server):
    """CVE-2011-0411: what somebody on the way puts behind STARTTLS must not be
    taken for what the client says within TLS."""
    with server.connect() as client:
        client.send(b"STARTTLS\r\nGROUP local.test\r\nHELP\r\n")
        assert client.reply().startswith("382")
        client.secure(client_context())
        # Were one of them run, its answer would come first.
        assert client.command("DATE").startswith("111")
        assert client.command("STAT").startswith("412")


def test_replies_before_starttls_come_in_the_clear(server):
    with server.connect() as client:
        client.send(b"DATE\r\nHELP\r\nSTARTTLS\r\n")
        assert client.reply().startswith("111")
        assert client.reply().startswith("100")
        client.block()
        assert client.reply().startswith("382")
        client.secure(client_context())
        assert client.command("DATE").startswith("111")


def test_what_was_selected_before_is_forgotten(server):
    with server.connect() as client:
        with server.connect() as poster:
            assert poster.post(post()).startswith("240")
        assert client.command("GROUP local.test").startswith("211")
        assert client.command("AUTHINFO USER alice").startswith("381")
        client.starttls(client_context())
        assert client.command("STAT").startswith("412")
        assert client.command("AUTHINFO PASS secret").startswith("482")


# --- who is not polite ---

def test_garbage_instead_of_a_handshake_ends_the_connection(server):
    with Client(server.tls_port, greet=False) as client:
        client.send(b"CAPABILITIES\r\nQUIT\r\n")
        assert client.at_end()
    wait_until(lambda: "TLS handshake failed" in server.log(),
               what="a line about it")


def test_a_plain_client_beside_it_notices_nothing(server):
    stalled = [Client(server.tls_port, greet=False) for _ in range(50)]
    for one in stalled:
        one.send(b"\x16\x03\x01\x02\x00\x01")
    with server.connect() as client, server.connect_tls() as secure:
        assert client.command("DATE").startswith("111")
        assert secure.command("DATE").startswith("111")
    for one in stalled:
        one.close()


def test_a_handshake_that_stalls_is_ended_in_time(server):
    with Client(server.tls_port, greet=False) as client:
        client.send(b"\x16\x03\x01")
        assert client.at_end(timeout=20)
    assert "TLS handshake takes too long" in server.log()


def test_a_client_that_vanishes_within_its_handshake_is_forgotten(server):
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.tls_port)) as one:
            one.sendall(b"\x16\x03\x01")
    with server.connect_tls() as client:
        assert client.command("DATE").startswith("111")


# --- long ---

@pytest.mark.parametrize("version", VERSIONS)
def test_megabytes_go_both_ways_octet_by_octet(server, version):
    body = b"".join(bytes([33 + (i * 7 + j) % 90 for j in range(70)]) + b"\n"
                    for i in range(13000))
    with server.connect_tls(client_context(version)) as client:
        reply = client.post(post(body=body, message_id=f"<{version}@long>"))
        assert reply.startswith("240"), reply
        _, lines = client.long(f"BODY <{version}@long>")
        assert b"\n".join(lines) + b"\n" == body


def test_many_commands_at_once_are_answered_in_order(server):
    with server.connect_tls() as client:
        client.send(b"DATE\r\nHELP\r\n" * 2000)
        for _ in range(2000):
            assert client.reply().startswith("111")
            assert client.reply().startswith("100")
            client.block()


# --- openssl's own client ---

def s_client(server, *words, port=None, commands=b"DATE\r\nQUIT\r\n"):
    return subprocess.run(
        ["openssl", "s_client", "-ign_eof", "-connect",
         f"127.0.0.1:{port or server.tls_port}", *words],
        input=commands, capture_output=True, timeout=30)


def test_openssl_s_client_speaks_both_ways(server):
    for words, port in ((["-starttls", "nntp"], server.port), ([], None)):
        done = s_client(server, *words, port=port)
        assert b"\n111 " in done.stdout, done.stdout + done.stderr


# --- ends ---

def test_a_client_that_sends_no_more_gets_its_answers(server):
    """It has said its last word (close_notify), and reads on."""
    with server.connect_tls() as client:
        client.send(b"DATE\r\nHELP\r\nQUIT\r\n")
        assert client.reply().startswith("111")
        assert client.reply().startswith("100")
        client.block()
        assert client.reply().startswith("205")
        # The server's close_notify, then its end.
        assert client.at_end()


def test_a_half_closed_connection_is_answered_and_closed(server):
    """FIN without close_notify: openssl's own clients do that."""
    done = subprocess.run(
        ["openssl", "s_client", "-quiet", "-connect",
         f"127.0.0.1:{server.tls_port}"],
        input=b"DATE\r\n" * 50 + b"QUIT\r\n", capture_output=True,
        timeout=30)
    assert done.stdout.count(b"\r\n111 ") == 50 - 1 + 1, done.stdout


def test_a_slot_is_free_when_a_client_resets(start_server):
    server = start_server("--group", "local.test", tls=True,
                          conf=["maxconnections = 5"])
    for _ in range(30):
        client = wait_until(lambda: connected(server), what="a free slot")
        client.reset()
    assert "closed: " not in server.log()


def connected(server):
    try:
        return server.connect_tls()
    except (OSError, ssl.SSLError, Closed):
        return None
