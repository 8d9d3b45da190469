"""Peers reached by TLS: whom we believe, what we show, and that nothing is
lost, nor sent in the clear, where it fails."""
import os
import shutil
import ssl

import pytest

from support.feed import (feedinfo, give, made, peer_conf, stored, wait_all,
                          wait_idle, wire_parts)
from support.peer import CLOSE, SILENCE, Peer
from support.tls import Certificate
from support.wait import wait_until


@pytest.fixture(scope="module")
def certificates(certificate_directory):
    """By name: one authority, and whom it has vouched for."""
    directory = certificate_directory
    authority = Certificate(directory, "authority", authority=True)
    names = ("DNS:localhost", "IP:127.0.0.1")
    return {
        "authority": authority,
        "good": Certificate(directory, "good", authority, names),
        "elsewhere": Certificate(directory, "elsewhere", authority,
                                 ("DNS:news.example.org",)),
        "stranger": Certificate(directory, "stranger", names=names),
        "expired": Certificate(directory, "expired", authority, names,
                               days=-1),
        "us": Certificate(directory, "a.example", authority,
                          ("DNS:a.example",)),
    }


def server_context(certificate, authority=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key)
    if authority is not None:
        context.load_verify_locations(authority.file)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


MODES = ("implicit", "starttls")


def secure_peer(mode, certificate, authority=None):
    peer = Peer()
    peer.tls = server_context(certificate, authority)
    peer.implicit = mode == "implicit"
    return peer


def tls_lines(mode, certificates, *lines):
    return [f'tls = "{mode}"',
            f'tlscafile = "{certificates["authority"].file}"', *lines]


# --- it works ---

@pytest.mark.parametrize("mode", MODES)
def test_articles_are_pushed_to_whom_the_authority_has_vouched_for(
        fed, certificates, mode):
    peer = secure_peer(mode, certificates["good"])
    server = fed(peer, *tls_lines(mode, certificates))
    articles = made(200)
    give(server, articles)
    wait_all(peer, articles)
    for name, octets in articles:
        assert wire_parts(peer.articles[name]) == wire_parts(octets)
    assert "tls=TLSv1.3" in server.log()
    assert peer.certificates[0] is None


@pytest.mark.parametrize("mode", MODES)
def test_our_own_certificate_is_shown(fed, certificates, mode):
    peer = secure_peer(mode, certificates["good"], certificates["authority"])
    us = certificates["us"]
    server = fed(peer, *tls_lines(mode, certificates,
                                  f'tlscertfile = "{us.file}"',
                                  f'tlskeyfile = "{us.key}"'))
    articles = made(20)
    give(server, articles)
    wait_all(peer, articles)
    with open(us.file) as file:
        assert peer.certificates[0] == ssl.PEM_cert_to_DER_cert(file.read())


def test_authorities_may_be_files_of_a_directory(fed, certificates,
                                                 certificate_directory):
    place = os.path.join(certificate_directory, "authorities")
    os.makedirs(os.path.join(place, "more"))
    os.chmod(place, 0o755)
    shutil.copy(certificates["stranger"].file, os.path.join(place, "a.pem"))
    for name in ("README", ".hidden"):
        with open(os.path.join(place, name), "w") as file:
            file.write("-----BEGIN CERTIFICATE-----\nnone\n" if name[0] == "."
                       else "No certificate is in here.\n")
    peer = secure_peer("starttls", certificates["good"])
    server = fed(peer, 'tls = "starttls"', f'tlscapath = "{place}"')
    articles = made(20)
    give(server, articles)
    wait_until(lambda: "certificate" in server.log(), 20, "a refusal")
    assert peer.articles == {}
    # A new one counts by itself.
    shutil.copy(certificates["authority"].file, os.path.join(place, "b.pem"))
    wait_all(peer, articles, 60)
    assert "changed: tlscapath" in server.log()
    # And one that has gone does not any more.
    os.unlink(os.path.join(place, "b.pem"))
    wait_until(lambda: server.log().count("changed: tlscapath") == 2, 20,
               "a directory with one less")


def test_another_name_may_be_the_one_that_counts(fed, certificates):
    peer = secure_peer("implicit", certificates["elsewhere"])
    server = fed(peer, *tls_lines("implicit", certificates,
                                  'tlsname = "news.example.org"'))
    articles = made(20)
    give(server, articles)
    wait_all(peer, articles)


@pytest.mark.parametrize("kind", ["certificate", "key"])
def test_a_pin_is_enough(fed, certificates, kind):
    """Nobody has vouched for it, and it stands in no authority's file."""
    stranger = certificates["stranger"]
    pin = (stranger.fingerprint() if kind == "certificate"
           else stranger.key_fingerprint())
    peer = secure_peer("starttls", stranger)
    server = fed(peer, 'tls = "starttls"', f'tlspins = {{"{pin}"}}')
    articles = made(20)
    give(server, articles)
    wait_all(peer, articles)


def test_the_password_goes_behind_starttls(fed, certificates):
    peer = secure_peer("starttls", certificates["good"])
    peer.password = "secret"
    server = fed(peer, *tls_lines("starttls", certificates,
                                  'username = "us"', 'password = "secret"'))
    articles = made(20)
    give(server, articles)
    wait_all(peer, articles)
    assert peer.commands[0] == "STARTTLS"


# --- it does not ---

def fails(server, peer, why):
    """One line says why, the next try comes later, nothing was said in the
    clear, and nothing is lost."""
    wait_until(lambda: why in server.log(), 20,
               f"a line with {why!r}:\n{server.log()}")
    assert "next try in" in server.log()
    info = feedinfo(server, "peer.example")
    assert info["pending"] + info["behind"] == 20
    assert not any(line.startswith(("AUTHINFO", "CHECK", "MODE"))
                   for line in peer.commands)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name, why", [
    ("stranger", "certificate: self-signed certificate"),
    ("elsewhere", "certificate: IP address mismatch"),
    ("expired", "certificate: certificate has expired"),
])
def test_a_wrong_certificate_is_told_and_tried_again(fed, certificates, mode,
                                                     name, why):
    peer = secure_peer(mode, certificates[name])
    server = fed(peer, *tls_lines(mode, certificates, 'username = "us"',
                                  'password = "secret"'))
    articles = made(20)
    give(server, articles)
    fails(server, peer, "TLS: " + why)
    # Then the peer gets a good one.
    peer.tls = server_context(certificates["good"])
    peer.password = "secret"
    wait_all(peer, articles)
    wait_idle(server, "peer.example")


def test_a_pin_of_another_is_refused(fed, certificates):
    peer = secure_peer("implicit", certificates["good"])
    pin = certificates["stranger"].fingerprint()
    server = fed(peer, *tls_lines("implicit", certificates,
                                  f'tlspins = {{"{pin}"}}'))
    give(server, made(20))
    fails(server, peer, certificates["good"].fingerprint())
    assert "none of tlspins" in server.log()


@pytest.mark.parametrize("reply", ["580 no", "502 never", "500 what?"])
def test_a_peer_without_starttls_gets_nothing(fed, certificates, reply):
    peer = Peer()
    peer.other = lambda line: reply
    server = fed(peer, *tls_lines("starttls", certificates))
    give(server, made(20))
    fails(server, peer, f"it speaks no TLS: {reply}")


def test_a_plain_peer_on_a_port_of_tls_gets_nothing(fed, certificates):
    peer = Peer()
    server = fed(peer, *tls_lines("implicit", certificates))
    give(server, made(20))
    fails(server, peer, "TLS: ")


@pytest.mark.long
def test_a_handshake_that_stands_still_is_given_up(fed, certificates):
    peer = Peer()
    peer.greeting = SILENCE
    server = fed(peer, *tls_lines("implicit", certificates))
    give(server, made(20))
    fails(server, peer, "TLS: no handshake in 10 s")


def test_replies_in_the_clear_behind_382_are_thrown_away(fed, certificates):
    """What somebody on the way says before the handshake is no reply."""
    peer = secure_peer("starttls", certificates["good"])
    peer.starttls = b"382 go on\r\n281 welcome\r\n203 stream\r\n400 go away\r\n"
    server = fed(peer, *tls_lines("starttls", certificates))
    articles = made(20)
    give(server, articles)
    wait_all(peer, articles)


def test_an_answer_before_the_question_is_none(fed, certificates):
    peer = secure_peer("starttls", certificates["good"])
    peer.greeting = b"200 hello\r\n382 go on\r\n"
    server = fed(peer, *tls_lines("starttls", certificates))
    articles = made(20)
    give(server, articles)
    wait_until(lambda: "failed" in server.log(), 20)
    peer.greeting = "200 hello"
    wait_all(peer, articles)


def test_a_connection_that_breaks_within_tls_loses_nothing(
        fed, certificates):
    peer = secure_peer("implicit", certificates["good"])
    seen = []

    def taken(name, octets):
        seen.append(name)
        if len(seen) in (20, 60):
            return CLOSE
        peer.articles[name] = octets
        return f"239 {name}"

    peer.taken = taken
    server = fed(peer, *tls_lines("implicit", certificates))
    articles = made(100)
    give(server, articles)
    wait_all(peer, articles, 60)


# --- between two of us ---

@pytest.mark.parametrize("mode", MODES)
def test_one_server_pushes_to_another(start_server, mode):
    b = start_server("--name", "b.example", "--group", "local.test",
                     "--peer", "127.0.0.1", tls=True)
    port = b.tls_port if mode == "implicit" else b.port
    a = start_server("--name", "a.example", "--group", "local.test",
                     "--peer", "127.0.0.1",
                     conf=[peer_conf("b.example", port, f'tls = "{mode}"',
                                     f'tlscafile = "{b.dir}/cert.pem"')])
    give(a, made(300))
    wait_until(lambda: len(stored(b)) == 300, 30)
    wait_idle(a, "b.example")


def test_one_server_pulls_from_another(start_server):
    b = start_server("--name", "b.example", "--group", "local.test",
                     "--peer", "127.0.0.1", tls=True)
    a = start_server("--name", "a.example", "--group", "local.test",
                     conf=[peer_conf("b.example", b.port, 'tls = "starttls"',
                                     f'tlscafile = "{b.dir}/cert.pem"',
                                     'push = "!*"', 'pull = "local.*"',
                                     "pullinterval = 1")])
    give(b, made(300))
    wait_until(lambda: len(stored(a)) == 300, 30)


def test_a_peer_is_known_by_its_certificate(start_server, certificates):
    """From an address that is no peer's."""
    us, authority = certificates["us"], certificates["authority"]
    b = start_server("--name", "b.example", "--group", "local.test", tls=True,
                     conf=[f'tlscafile = "{authority.file}"',
                           'peer "a.example" { certificates = {"a.example"} }'])
    a = start_server("--name", "a.example", "--group", "local.test",
                     "--peer", "127.0.0.1",
                     conf=[peer_conf("b.example", b.tls_port,
                                     'tls = "implicit"',
                                     f'tlscafile = "{b.dir}/cert.pem"',
                                     f'tlscertfile = "{us.file}"',
                                     f'tlskeyfile = "{us.key}"')])
    with b.connect() as client:
        assert client.command("IHAVE <x@y>").startswith(("480", "502"))
    give(a, made(50))
    wait_until(lambda: len(stored(b)) == 50, 30)
