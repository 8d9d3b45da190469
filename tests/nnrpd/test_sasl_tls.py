"""AUTHINFO SASL where there is TLS: EXTERNAL by a client's certificate (RFC
4422, A), and SCRAM bound to the connection (RFC 5802, RFC 9266)."""
import hashlib
import os
import re
import shutil
import ssl
import subprocess
import tempfile

import pytest

from support.nntp import Client
from support.sasl import Scram, encode, plain, scram_login
from support.server import Server, program
from support.tls import Certificate, client_context

OPTIONS = ["--group", "local.test", "--anonymous", "none",
           "--user", "alice:geheim", "--user", "robot:x:peer",
           "--user", "off:x"]


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="renews-sasl-")
        os.chmod(self.dir, 0o755)
        self.authority = Certificate(self.dir, "authority", authority=True)
        other = Certificate(self.dir, "other", authority=True)
        names = ["DNS:robot", "email:alice@example.com"]
        self.alice = Certificate(self.dir, "alice", issuer=self.authority,
                                 names=names)
        self.nobody = Certificate(self.dir, "nobody", issuer=self.authority)
        self.off = Certificate(self.dir, "off", issuer=self.authority)
        os.mkdir(os.path.join(self.dir, "forged"))
        self.forged = Certificate(os.path.join(self.dir, "forged"), "alice",
                                  issuer=other)
        self.server = Server(*OPTIONS, tls=True, conf=[
            f"tlscafile = {self.authority.file}"])
        self.server.start()
        done = subprocess.run(
            [program("ctlinnd"), "-c", self.server.conf, "useradd", "sue",
             "--scram", "--password-fd", "0"], input=b"pencil\n",
            capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert self.server.ctlinnd("usermod", "off", "disabled",
                                   "yes").returncode == 0

    def connect(self, certificate=None, **options):
        pair = certificate and (certificate.file, certificate.key)
        return self.server.connect_tls(client_context(certificate=pair,
                                                      **options))

    def remove(self):
        self.server.remove()
        shutil.rmtree(self.dir)


@pytest.fixture(scope="module")
def world():
    one = World()
    yield one
    one.remove()


def told(client):
    return [line.decode() for line in client.long("CAPABILITIES")[1]]


# --- EXTERNAL ---

def test_mechanisms_are_told_where_they_are_of_use(world):
    with world.connect(world.alice) as client:
        assert "SASL EXTERNAL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN" in told(
            client)
    for certificate in (None, world.forged):
        with world.connect(certificate) as client:
            assert "SASL SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN" in told(
                client)
            assert client.command("AUTHINFO SASL EXTERNAL =")[:3] == "503"
    with world.server.connect() as client:
        assert "SASL SCRAM-SHA-256 PLAIN" in told(client)
        assert client.command("AUTHINFO SASL EXTERNAL =")[:3] == "503"
        assert client.command("AUTHINFO SASL SCRAM-SHA-256-PLUS")[:3] == "503"


@pytest.mark.parametrize("name, authzid, code, promise", [
    ("alice", "", "281", "whose certificate it is"),
    ("alice", "alice", "281", "the same, said"),
    ("alice", "robot", "281", "another name in it"),
    ("alice", "sue", "481", "a name that is not in it"),
    ("alice", "alice@example.com", "481", "a name without an account"),
    ("nobody", "", "481", "the same, and no name said"),
    ("off", "", "481", "a disabled account"),
])
def test_external(world, name, authzid, code, promise):
    with world.connect(getattr(world, name)) as client:
        assert client.command("GROUP local.test").startswith("480 ")
        assert client.command("AUTHINFO SASL EXTERNAL "
                              + encode(authzid.encode()))[:3] == code, promise
        assert client.command("GROUP local.test")[:3] == (
            "211" if code == "281" else "480"), promise
        if authzid == "robot":
            assert client.command("MODE STREAM").startswith("203 ")


def test_external_without_an_initial_response(world):
    with world.connect(world.alice) as client:
        assert client.command("AUTHINFO SASL EXTERNAL") == "383 ="
        assert client.command("=").startswith("281 ")
        assert "AUTHINFO" not in " ".join(told(client))


def test_external_after_starttls(world):
    with world.server.connect() as client:
        assert client.command("AUTHINFO SASL EXTERNAL =")[:3] == "503"
        client.starttls(client_context(
            certificate=(world.alice.file, world.alice.key)))
        assert client.command("AUTHINFO SASL EXTERNAL =")[:3] == "281"


def test_a_removed_account_ends_who_came_by_certificate(world):
    add = subprocess.run(
        [program("ctlinnd"), "-c", world.server.conf, "useradd", "nobody",
         "--password-fd", "0"], input=b"x\n", capture_output=True, timeout=60)
    assert add.returncode == 0
    with world.connect(world.nobody) as client:
        assert client.command("AUTHINFO SASL EXTERNAL =").startswith("281 ")
        assert client.command("GROUP local.test").startswith("211 ")
        assert world.server.ctlinnd("userdel", "nobody").returncode == 0
        assert client.command("GROUP local.test").startswith("480 ")


# --- SCRAM-SHA-256-PLUS ---

def end_point(client):
    """tls-server-end-point (RFC 5929, 4): these certificates are signed with
    SHA-256."""
    return hashlib.sha256(client.socket.getpeercert(binary_form=True)).digest()


VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.mark.parametrize("version", VERSIONS)
def test_scram_bound_to_the_servers_certificate(world, version):
    with world.connect(version=version) as client:
        exchange = Scram("sue", "pencil", header="p=tls-server-end-point,,",
                         channel=end_point(client))
        reply = scram_login(client, exchange, "SCRAM-SHA-256-PLUS")
        assert reply.startswith("283 ")
        assert exchange.proves(reply[4:])
        assert client.command("GROUP local.test").startswith("211 ")


@pytest.mark.parametrize("mechanism, header, change, code, promise", [
    ("SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,", b"x", "481",
     "another certificate"),
    ("SCRAM-SHA-256-PLUS", "p=tls-unique,,", b"", "481",
     "a binding that we do not know"),
    ("SCRAM-SHA-256-PLUS", "n,,", b"", "482", "no binding"),
    ("SCRAM-SHA-256", "p=tls-server-end-point,,", b"", "482",
     "a binding where none belongs"),
    ("SCRAM-SHA-256", "y,,", b"", "481",
     "somebody has taken PLUS out of our list"),
])
def test_bindings_that_are_wrong(world, mechanism, header, change, code,
                                 promise):
    with world.connect() as client:
        channel = end_point(client) + change if header[0] == "p" else b""
        exchange = Scram("sue", "pencil", header=header, channel=channel)
        assert scram_login(client, exchange, mechanism)[:3] == code, promise
        assert client.command("GROUP local.test").startswith("480 ")
    # Who logs in makes his account forget.
    with world.connect() as client:
        assert client.command("AUTHINFO SASL PLAIN "
                              + plain("sue", "pencil"))[:3] == "281"


def test_scram_without_binding_over_tls(world):
    with world.connect() as client:
        assert scram_login(client, Scram("sue", "pencil"))[:3] == "283"


class OpenSSL(Client):
    """s_client in place of a socket, since it tells the exported octets."""

    def __init__(self, port):
        self.program = subprocess.Popen(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-crlf",
             "-nocommands", "-keymatexport", "EXPORTER-Channel-Binding",
             "-keymatexportlen", "32"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        found = self.line(rb"Keying material: ([0-9A-F]{64})")
        self.exported = bytes.fromhex(found.group(1).decode())
        self.greeting = self.line(rb"(20\d .*)").group().decode()

    def line(self, pattern):
        for line in self.program.stdout:
            found = re.search(pattern, line)
            if found:
                return found
        raise AssertionError(f"no line with {pattern}")

    def command(self, text):
        self.program.stdin.write(text.encode() + b"\n")
        self.program.stdin.flush()
        return self.line(rb"^\d\d\d .*").group().decode().rstrip("\r")

    def close(self):
        self.program.kill()
        self.program.wait()
        self.program.stdin.close()
        self.program.stdout.close()


@pytest.mark.parametrize("flip", [0, 1])
def test_scram_bound_to_this_very_connection(world, flip):
    with OpenSSL(world.server.tls_port) as client:
        channel = bytes([client.exported[0] ^ flip]) + client.exported[1:]
        exchange = Scram("sue", "pencil", header="p=tls-exporter,,",
                         channel=channel)
        reply = scram_login(client, exchange, "SCRAM-SHA-256-PLUS")
        assert reply[:3] == ("481" if flip else "283")
        assert flip or exchange.proves(reply[4:])
