"""What a scan of our TLS finds: versions, ciphers, renegotiation, compression,
resumption, names, certificates of clients."""
import array
import fcntl
import json
import os
import re
import socket
import ssl
import subprocess
import termios
import time

import pytest

from support.debian import unpacked
from support.server import Server
from support.tls import Certificate, HeldTls, client_context
from support.wait import wait_until

WORKERS = 4


@pytest.fixture(scope="module")
def certificates(certificate_directory):
    directory = certificate_directory
    authority = Certificate(directory, "authority", authority=True)
    return {
        "authority": authority,
        "first": Certificate(directory, "first.example", authority,
                             ("DNS:first.example",)),
        "second": Certificate(directory, "second.example", authority,
                              ("DNS:second.example", "DNS:*.second.example")),
        "second-rsa": Certificate(directory, "second-rsa", authority,
                                  ("DNS:second.example",), key="rsa"),
        "reader": Certificate(directory, "reader.example", authority,
                              ("email:reader@example.org",)),
        "stranger": Certificate(directory, "stranger.example", None,
                                ("email:reader@example.org",)),
    }


@pytest.fixture(scope="module")
def server(certificates):
    """Two names, one of them with two kinds of keys; clients are asked for a
    certificate."""
    def section(name):
        one = certificates[name]
        return (f'certificate "{name}" {{ tlscertfile = "{one.file}" '
                f'tlskeyfile = "{one.key}" }}')

    one = Server(
        "--group", "local.test", "--group", "secret.test",
        "--anonymous", "none", tls=True, conf=[
            f"workers = {WORKERS}",
            f'tlscertfile = "{certificates["first"].file}"',
            f'tlskeyfile = "{certificates["first"].key}"',
            f'tlscafile = "{certificates["authority"].file}"',
            section("second"), section("second-rsa"),
            'access "all" { readable = "local.*" postable = "!*" }',
            'access "tls" { tls = "yes" readable = "local.*" '
            'postable = "local.*" }',
            'access "reader" { certificates = {"*@example.org"} }',
        ])
    try:
        yield one.start()
    finally:
        one.remove()


def s_client(server, *words, commands=b"QUIT\r\n", starttls=False):
    """stdout and stderr of openssl s_client, and whether it came through."""
    port = server.port if starttls else server.tls_port
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof",
         *(["-starttls", "nntp"] if starttls else []), *words],
        input=commands, capture_output=True, timeout=30)
    text = (done.stdout + done.stderr).decode("latin-1")
    return text, "\n205 " in text


# --- versions and ciphers ---

WEAK = "@SECLEVEL=0:ALL"


@pytest.mark.parametrize("starttls", [False, True])
@pytest.mark.parametrize("words, good, promise", [
    (["-tls1_3"], True, "TLS 1.3 is spoken"),
    (["-tls1_2"], True, "TLS 1.2 is spoken"),
    (["-tls1_1", "-cipher", WEAK], False, "TLS 1.1 is not"),
    (["-tls1", "-cipher", WEAK], False, "TLS 1.0 is not"),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], True,
     "forward secrecy and AEAD"),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-CHACHA20-POLY1305"], True,
     "the same for who has no AES"),
    (["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"], False,
     "CBC with SHA-1 is refused"),
    (["-tls1_2", "-cipher", "AES128-GCM-SHA256"], False,
     "so is a key that has no forward secrecy"),
    (["-tls1_2", "-cipher", "DHE+AESGCM"], False, "and Diffie-Hellman"),
    (["-tls1_2", "-cipher", "aNULL" + ":@SECLEVEL=0"], False,
     "and nobody at all"),
    (["-tls1_2", "-cipher", "NULL:@SECLEVEL=0"], False, "and no cipher"),
])
def test_versions_and_ciphers(server, words, good, promise, starttls):
    text, through = s_client(server, *words, starttls=starttls)
    assert through == good, promise + "\n" + text


def test_nothing_is_compressed_by_tls(server):
    text, through = s_client(server, "-tls1_2", "-comp")
    assert through and "Compression: NONE" in text


@pytest.mark.parametrize("starttls", [False, True])
def test_renegotiation_is_refused(server, starttls):
    """s_client renegotiates on a line of R."""
    with subprocess.Popen(
            ["openssl", "s_client", "-tls1_2", "-connect",
             f"127.0.0.1:{server.port if starttls else server.tls_port}",
             *(["-starttls", "nntp"] if starttls else [])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT) as client:
        found = b""
        while b"Extended master secret" not in found:
            found += client.stdout.readline()
        assert b"Secure Renegotiation IS supported" in found
        client.stdin.write(b"R\n")
        client.stdin.flush()
        rest = client.communicate(timeout=20)[0]
    assert b"no renegotiation" in rest, rest


def test_alpn_is_nntp(server):
    text, through = s_client(server, "-alpn", "h2,nntp")
    assert through and "ALPN protocol: nntp" in text
    text, through = s_client(server, "-alpn", "nnsp")
    assert through and "ALPN protocol: nnsp" in text


def test_who_wants_another_protocol_is_refused(server):
    text, through = s_client(server, "-alpn", "h2,http/1.1")
    assert not through and "no application protocol" in text


# --- resumption ---

@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_any_worker_resumes_any_session(server, tmp_path, version):
    """So many connections that each worker serves some: all but the first
    resume."""
    session = str(tmp_path / "session")
    text, through = s_client(server, version, "-sess_out", session)
    assert through and "\nNew, " in text
    held = []
    for number in range(3 * WORKERS):
        text, through = s_client(server, version, "-sess_in", session,
                                 *(["-sess_out", session]
                                   if version == "-tls1_3" else []))
        assert through and "\nReused, " in text, f"connection {number}\n{text}"
        # One more that stays: the next goes to another worker.
        held.append(server.connect_tls(client_context()))
    for one in held:
        one.close()


def test_a_session_of_before_a_restart_is_none(start_server, tmp_path):
    server = start_server("--group", "local.test", tls=True)
    session = str(tmp_path / "session")
    s_client(server, "-tls1_2", "-sess_out", session)
    assert "\nReused, " in s_client(server, "-tls1_2", "-sess_in", session)[0]
    server.serve("restart")
    text, through = s_client(server, "-tls1_2", "-sess_in", session)
    assert through and "\nNew, " in text


def test_a_worker_that_dies_takes_no_session_with_it(server, tmp_path):
    session = str(tmp_path / "session")
    s_client(server, "-tls1_2", "-sess_out", session)
    workers = server.workers()
    for pid in workers:
        os.kill(pid, 9)
    wait_until(lambda: len(server.workers()) == WORKERS
               and not set(workers) & set(server.workers()),
               what="new workers")
    wait_until(lambda: "\nReused, " in s_client(
        server, "-tls1_2", "-sess_in", session)[0], what="a resumed session")


# --- names ---

@pytest.mark.parametrize("name, subject", [
    (None, "first.example"),
    ("first.example", "first.example"),
    ("second.example", "second.example"),
    ("www.second.example", "second.example"),
    ("other.example", "first.example"),
])
def test_the_certificate_is_the_one_for_the_name(server, name, subject):
    words = ["-servername", name] if name else ["-noservername"]
    text, through = s_client(server, *words)
    assert through
    assert re.search(rf"subject=CN = {re.escape(subject)}\n", text), text


@pytest.mark.parametrize("cipher, key", [
    ("ECDHE-RSA-AES128-GCM-SHA256", "RSA"),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA"),
])
def test_one_name_may_have_keys_of_two_kinds(server, cipher, key):
    text, through = s_client(server, "-tls1_2", "-servername",
                             "second.example", "-cipher", cipher)
    assert through
    assert ("second-rsa" in text) == (key == "RSA")


def test_the_name_is_verified_by_a_careful_client(server, certificates):
    context = client_context(authority=certificates["authority"].file)
    context.check_hostname = True
    with server.connect_tls(context, name="second.example") as client:
        assert client.command("DATE").startswith("111")
    with pytest.raises(ssl.SSLCertVerificationError):
        server.connect_tls(context, name="other.example")


# --- certificates of clients ---

def rights(client):
    return (client.command("GROUP secret.test")[:3],
            client.command("POST")[:3])


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2,
                                     ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("starttls", [False, True])
def test_a_certificate_gives_rights(server, certificates, starttls, version):
    reader = certificates["reader"]
    context = client_context(version, certificate=(reader.file, reader.key))
    if starttls:
        with server.connect() as client:
            assert client.command("GROUP secret.test").startswith("411")
            client.starttls(context)
            assert client.command("GROUP secret.test").startswith("211")
    else:
        with server.connect_tls(context) as client:
            assert client.command("GROUP secret.test").startswith("211")


def test_no_certificate_is_no_fault(server):
    with server.connect_tls(client_context()) as client:
        assert client.command("GROUP secret.test").startswith("411")
        assert client.command("GROUP local.test").startswith("211")


def test_a_name_that_nobody_has_vouched_for_gives_nothing(server,
                                                          certificates):
    stranger = certificates["stranger"]
    context = client_context(certificate=(stranger.file, stranger.key))
    with server.connect_tls(context) as client:
        assert client.command("GROUP secret.test").startswith("411")


def test_a_section_may_be_for_encrypted_connections_alone(server):
    with server.connect() as client:
        assert client.command("POST").startswith(("440", "480"))
        client.starttls(client_context())
        assert client.command("POST").startswith("340")


def test_a_resumed_session_has_the_rights_of_its_certificate(server,
                                                             certificates):
    reader = certificates["reader"]
    context = client_context(ssl.TLSVersion.TLSv1_2,
                             certificate=(reader.file, reader.key))
    with server.connect_tls(context) as client:
        session = client.socket.session
        assert client.command("DATE").startswith("111")
    with server.connect_tls(context, session=session) as client:
        assert client.socket.session_reused
        assert client.command("GROUP secret.test").startswith("211")


# --- slow ones ---

def test_a_client_that_takes_its_octets_slowly_gets_them_all(server):
    with server.connect_tls(client_context()) as client:
        client.send(b"HELP\r\n" * 1000)
        # Until its own socket and the server's are full, and then on.
        wait_until(lambda: pending_octets(client) > 100000,
                   what="octets that wait")
        for _ in range(1000):
            assert client.reply().startswith("100")
            client.block()


def test_a_client_may_send_octet_by_octet(server):
    with server.connect_tls(client_context()) as client:
        for octet in b"DATE\r\n":
            client.send(bytes([octet]))
        assert client.reply().startswith("111")


def test_half_a_record_costs_no_turns(server):
    """A record that has not come whole must not keep the worker's loop
    turning."""
    with socket.create_connection(("127.0.0.1", server.tls_port), 10) as plain:
        held = HeldTls(plain, client_context())
        plain.sendall(held.shake_hands())
        record = held.say(b"DATE\r\n" * 100)
        plain.sendall(record[:-20])
        before = cpu_ticks(server)
        begun = time.monotonic()
        wait_until(lambda: time.monotonic() > begun + 1, what="a second")
        assert cpu_ticks(server) - before < 20, "of a hundred in a second"
        plain.sendall(record[-20:])
        lines = [held.line() for _ in range(101)]
        assert lines[0].startswith("200 ")
        assert all(line.startswith("111 ") for line in lines[1:])


def pending_octets(client):
    """That lie in the client's socket."""
    count = array.array("i", [0])
    fcntl.ioctl(client.socket.fileno(), termios.FIONREAD, count)
    return count[0]


def cpu_ticks(server):
    total = 0
    for pid in server.workers():
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total


# --- what others look for ---

# About the certificate, which is the test's own, and about their openssl.
NOT_OURS = ("cert_", "engine_problem", "service")


@pytest.mark.long
@pytest.mark.parametrize("starttls", [False, True])
def test_testssl_finds_nothing(server, starttls, tmp_path):
    """Debian's testssl.sh: no finding above "info"."""
    place = unpacked("testssl.sh")
    # It wants a program that asks the DNS, though there is nothing to ask.
    (tmp_path / "host").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "host").chmod(0o755)
    port = server.port if starttls else server.tls_port
    done = subprocess.run(
        [place / "usr" / "bin" / "testssl", "--ip", "127.0.0.1", "--nodns",
         "none", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile",
         tmp_path / "found", *(["-t", "nntp"] if starttls else []),
         f"127.0.0.1:{port}"],
        env=dict(os.environ, PATH=f"{os.environ['PATH']}:{tmp_path}",
                 TESTSSL_INSTALL_DIR=str(place / "etc" / "testssl")),
        cwd=tmp_path, capture_output=True, text=True, timeout=900)
    findings = json.loads((tmp_path / "found").read_text())
    worse = [(one["id"], one["severity"], one["finding"]) for one in findings
             if one["severity"] not in ("OK", "INFO")
             and not one["id"].startswith(NOT_OURS)]
    assert worse == [], done.stdout
    said = {one["id"]: one["finding"] for one in findings}
    assert said["TLS1_3"].startswith("offered") and len(said) > 80
    print(f"{len(findings)} findings, none above info")
