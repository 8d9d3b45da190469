"""Certificates and keys: what is wrong with a file is told, a new one is taken
without anybody's notice, and only those hold keys who need them."""
import contextlib
import os
import re
import shutil
import ssl
import subprocess
import threading

import pytest

from support.server import free_port, program
from support.tls import Certificate, client_context
from support.wait import wait_until


@pytest.fixture(scope="module")
def pairs(certificate_directory):
    directory = certificate_directory
    return {name: Certificate(directory, name, days=days, key=key)
            for name, days, key in (("one.example", 30, "ec"),
                                    ("two.example", 30, "rsa"),
                                    ("old.example", -1, "ec"),
                                    ("soon.example", 3, "ec"))}


# --- what is wrong with it ---

def check(directory, *lines):
    path = os.path.join(directory, "renews.conf")
    with open(path, "w") as file:
        file.write("\n".join(["", *lines]) + "\n")
    done = subprocess.run([program("innd"), "-n", "-c", path],
                          capture_output=True, text=True)
    return done.returncode, done.stderr.replace(path, "CONF")


def text_file(directory, name, text, mode=0o644):
    path = os.path.join(directory, name)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)
    return path


@pytest.mark.parametrize("lines, error, promise", [
    (["tls_port = 563"], "CONF:3: tlscertfile: found none, expected a "
     "certificate, since tls_port or a certificate section is there",
     "a port needs a certificate"),
    (['tlscertfile = "{one}"'],
     "CONF:3: tlskeyfile: found none, expected the private key of "
     "tlscertfile", "a certificate needs its key"),
    (['tlskeyfile = "{one_key}"'],
     "CONF:3: tlscertfile: found none, expected the certificate of "
     "tlskeyfile", "and a key its certificate"),
    (['tlscertfile = "/nonexistent/c"', 'tlskeyfile = "{one_key}"'],
     'CONF:2: tlscertfile: found "/nonexistent/c", No such file or '
     "directory, expected a file that the server can read",
     "a file that is not there"),
    (['tlscertfile = "/tmp"', 'tlskeyfile = "{one_key}"'],
     'CONF:2: tlscertfile: found "/tmp", which is no file, expected a file '
     "that the server can read", "a directory"),
    (['tlscertfile = "{rubbish}"', 'tlskeyfile = "{one_key}"'],
     'CONF:2: tlscertfile: found "{rubbish}", no start line, expected a file '
     "of certificates (PEM)", "what is no certificate"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{rubbish_key}"'],
     'CONF:3: tlskeyfile: found "{rubbish_key}", unsupported, expected a file '
     "with a private key (PEM) without a password", "what is no key"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{locked}"'],
     'CONF:3: tlskeyfile: found "{locked}", bad password read, expected a file with '
     "a private key (PEM) without a password", "a key with a password"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{two_key}"'],
     'CONF:3: tlskeyfile: found "{two_key}", another key, expected the key of '
     "the certificate in tlscertfile", "another's key"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{open}"'],
     'CONF:3: tlskeyfile: found "{open}", which everybody on this machine may '
     "read or write, expected a file that only the server's user and group "
     "can read", "a key that everybody may read"),
    (['tlscertfile = "{open}"', 'tlskeyfile = "{open}"'],
     'CONF:3: tlskeyfile: found "{open}", which everybody on this machine may '
     "read or write, expected a file that only the server's user and group "
     "can read", "the same where the certificate is beside it"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{one_key}"',
      'tlsciphers = "ROT13"'],
     'CONF:4: tlsciphers: found "ROT13", expected ciphers that openssl '
     "ciphers knows", "a cipher that nobody knows"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{one_key}"',
      'tlsciphersuites = "ROT13"'],
     'CONF:4: tlsciphersuites: found "ROT13", expected ciphersuites of TLS '
     "1.3", "and of TLS 1.3"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{one_key}"',
      "tlsprotocols = {{SSLv3}}"],
     'CONF:4: tlsprotocols: found "SSLv3", expected TLSv1.2 or TLSv1.3',
     "a version that is not spoken"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{one_key}"',
      'tlscapath = "/nonexistent/ca"'],
     'CONF:4: tlscapath: found "/nonexistent/ca", No such file or directory, '
     "expected a directory of files that the server can read",
     "no directory"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{one_key}"',
      'tlscafile = "{rubbish}"'],
     'CONF:4: tlscafile: found "{rubbish}", no start line, expected a file of '
     "certificates (PEM)", "no authority"),
    (['tlscertfile = "{one}"', 'tlskeyfile = "{one_key}"',
      'certificate "x" {{ tlscertfile = "{two}"', 'tlskeyfile = "{one_key}" }}'],
     'CONF:5: tlskeyfile: found "{one_key}", another key, expected the key of '
     "the certificate in tlscertfile", "a further one"),
    (['peer "x" {{ host = "::1"', 'tlspins = {{"sha256:12"}} }}'],
     'CONF:3: tlspins: found "sha256:12", expected sha256: or spki-sha256: '
     "and 64 hexadecimal digits", "a pin that is none"),
    (['peer "x" {{ host = "::1"  tls = "implicit"',
      'tlscafile = "/nonexistent/ca" }}'],
     'CONF:3: tlscafile: found "/nonexistent/ca", No such file or directory, '
     "expected a file that the server can read", "a peer's"),
])
def test_errors_name_file_line_key_found_and_expected(
        tmp_path, pairs, lines, error, promise):
    one, two = pairs["one.example"], pairs["two.example"]
    with open(one.key) as file:
        key = file.read()
    with open(one.file) as file:
        both = key + file.read()
    locked = str(tmp_path / "locked")
    subprocess.run(["openssl", "pkey", "-in", one.key, "-aes256", "-passout",
                    "pass:secret", "-out", locked], check=True)
    os.chmod(locked, 0o600)
    words = {"one": one.file, "one_key": one.key, "two": two.file,
             "two_key": two.key, "locked": locked,
             "rubbish": text_file(tmp_path, "rubbish", "abc\n"),
             "rubbish_key": text_file(tmp_path, "rubbish.key", "abc\n", 0o600),
             "open": text_file(tmp_path, "open.pem", both, 0o644)}
    status, text = check(tmp_path, *(line.format(**words) for line in lines))
    assert status == 78, promise
    assert text == f"innd: {error.format(**words)}\n", promise


@pytest.mark.parametrize("name, why", [
    ("old.example", "which has expired"),
    ("soon.example", "which expires within a week"),
])
def test_one_that_is_not_valid_is_told_and_used(tmp_path, pairs, name, why):
    pair = pairs[name]
    status, text = check(tmp_path, f'tlscertfile = "{pair.file}"',
                         f'tlskeyfile = "{pair.key}"')
    assert status == 0
    assert text == (f'innd: CONF:2: tlscertfile: found "{pair.file}", {why}, '
                    "expected a certificate that is valid now\n")


# --- a new one ---

class Files:
    """The server's certificate, which changes."""

    def __init__(self, directory):
        self.file = os.path.join(directory, "server.pem")
        self.key = os.path.join(directory, "server.key")

    def use(self, pair):
        # A file appears whole, as certbot has it.
        for path, source in ((self.file, pair.file), (self.key, pair.key)):
            shutil.copy(source, path + ".new")
            os.chmod(path + ".new", 0o640)
            if os.geteuid() == 0:
                shutil.chown(path + ".new", group="news")
            os.rename(path + ".new", path)


@pytest.fixture
def reloaded(start_server, certificate_directory, pairs):
    files = Files(certificate_directory)
    files.use(pairs["one.example"])
    port = free_port()
    server = start_server("--group", "local.test", conf=[
        f"tls_port = {port}", f'tlscertfile = "{files.file}"',
        f'tlskeyfile = "{files.key}"'])
    server.tls_port = port
    return server, files


def subject(client):
    text = ssl.DER_cert_to_PEM_cert(client.socket.getpeercert(True))
    done = subprocess.run(["openssl", "x509", "-noout", "-subject"],
                          input=text, capture_output=True, text=True)
    return done.stdout.split("CN = ")[1].strip()


def test_a_reload_takes_a_new_certificate_and_drops_nobody(reloaded, pairs):
    server, files = reloaded
    with server.connect_tls() as before:
        assert subject(before) == "one.example"
        files.use(pairs["two.example"])
        done = server.ctlinnd("reload")
        assert done.returncode == 0
        assert re.search(r"changed:.*tlscertfile.*tlskeyfile", done.stdout)
        with server.connect_tls() as after:
            assert subject(after) == "two.example"
            assert after.command("DATE").startswith("111")
        assert before.command("DATE").startswith("111")
    assert "changed" not in server.ctlinnd("reload").stdout


def has_subject(server, name):
    with server.connect_tls() as client:
        return subject(client) == name


def test_a_renewed_one_is_taken_by_itself(reloaded, pairs):
    server, files = reloaded
    with server.connect_tls() as before:
        files.use(pairs["two.example"])
        wait_until(lambda: has_subject(server, "two.example"), 10,
                   "the new certificate")
        assert before.command("DATE").startswith("111")
    assert "tlskeyfile reason=the file has changed" in server.log()


def links_make(live, archive, number):
    """As certbot does: the old links away, then new ones."""
    for name in ("cert", "key"):
        path = os.path.join(live, name + ".pem")
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        os.symlink(os.path.join("..", archive, f"{name}{number}.pem"), path)


def test_links_that_lead_elsewhere_are_a_new_certificate(
        start_server, certificate_directory, pairs):
    live = os.path.join(certificate_directory, "live")
    archive = os.path.join(certificate_directory, "archive")
    os.mkdir(live)
    os.mkdir(archive)
    for number, name in enumerate(("one.example", "two.example"), 1):
        for word, source in (("cert", pairs[name].file),
                             ("key", pairs[name].key)):
            path = os.path.join(archive, f"{word}{number}.pem")
            shutil.copy(source, path)
            os.chmod(path, 0o640)
            if os.geteuid() == 0:
                shutil.chown(path, group="news")
    links_make(live, "archive", 1)
    port = free_port()
    server = start_server("--group", "local.test", conf=[
        f"tls_port = {port}", f'tlscertfile = "{live}/cert.pem"',
        f'tlskeyfile = "{live}/key.pem"'])
    server.tls_port = port
    assert has_subject(server, "one.example")
    links_make(live, "archive", 2)
    wait_until(lambda: has_subject(server, "two.example"), 10,
               "the new certificate")
    # And what the links lead to, in its place.
    for word, source in (("cert", pairs["one.example"].file),
                         ("key", pairs["one.example"].key)):
        with open(source, "rb") as new, open(
                os.path.join(archive, f"{word}2.pem"), "r+b") as old:
            old.truncate()
            old.write(new.read())
    wait_until(lambda: has_subject(server, "one.example"), 10,
               "the certificate that was written in its place")


def test_a_wrong_one_changes_nothing(reloaded, pairs):
    server, files = reloaded
    shutil.copy(pairs["two.example"].key, files.key)
    done = server.ctlinnd("reload")
    assert done.returncode != 0
    assert "tlskeyfile" in done.stderr + done.stdout
    with server.connect_tls() as client:
        assert subject(client) == "one.example"


def test_a_new_worker_has_the_new_certificate(reloaded, pairs):
    server, files = reloaded
    files.use(pairs["two.example"])
    assert server.ctlinnd("reload").returncode == 0
    workers = server.workers()
    for pid in workers:
        os.kill(pid, 9)
    wait_until(lambda: server.workers()
               and not set(workers) & set(server.workers()),
               what="new workers")
    with server.connect_tls() as client:
        assert subject(client) == "two.example"


def test_many_reloads_under_load_drop_nobody(reloaded, pairs, is_long):
    """Sessions that are there go on; new ones get one certificate or the
    other, and nobody is refused."""
    server, files = reloaded
    ended = threading.Event()
    faults = []

    def talk():
        try:
            with server.connect_tls() as client:
                while not ended.is_set():
                    assert client.command("DATE").startswith("111")
        except Exception as fault:
            faults.append(fault)

    def come():
        try:
            while not ended.is_set():
                with server.connect_tls() as client:
                    assert subject(client) in ("one.example", "two.example")
                    assert client.command("DATE").startswith("111")
        except Exception as fault:
            faults.append(fault)

    threads = [threading.Thread(target=work)
               for work in (talk, talk, talk, come)]
    for thread in threads:
        thread.start()
    for number in range(100 if is_long else 10):
        files.use(pairs["two.example" if number % 2 == 0 else "one.example"])
        assert server.ctlinnd("reload").returncode == 0
    ended.set()
    for thread in threads:
        thread.join()
    assert faults == []


# --- who holds keys ---

def has_key(pid, needles):
    """Does one of the needles stand in what the process has open, or in its
    memory?"""
    for name in os.listdir(f"/proc/{pid}/fd"):
        path = f"/proc/{pid}/fd/{name}"
        try:
            if "renews-config" not in os.readlink(path):
                continue
            with open(path, "rb") as file:
                octets = file.read()
        except OSError:
            continue
        if any(needle in octets for needle in needles):
            return True
    return memory_has(pid, needles)


def memory_has(pid, needles):
    with open(f"/proc/{pid}/maps") as file:
        ranges = [line.split() for line in file]
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for fields in ranges:
            if "rw" not in fields[1] or fields[-1].startswith("[v"):
                continue
            first, last = (int(word, 16) for word in fields[0].split("-"))
            if last - first > 256 << 20:
                continue
            try:
                memory.seek(first)
                octets = memory.read(last - first)
            except OSError:
                continue
            if any(needle in octets for needle in needles):
                return True
    return False


@pytest.mark.skipif(os.geteuid() != 0, reason="reads others' memory")
def test_keys_are_held_by_workers_alone_and_nowhere_as_text(reloaded, pairs):
    server, _ = reloaded
    with server.connect_tls() as client:
        assert client.command("DATE").startswith("111")
    with open(pairs["one.example"].key) as file:
        lines = file.read().split("\n")
    text = lines[1].encode()
    numbers = subprocess.run(
        ["openssl", "ec", "-in", pairs["one.example"].key, "-noout", "-text"],
        capture_output=True, text=True, check=True).stdout
    secret = bytes.fromhex("".join(re.search(
        r"priv:\n((?:\s+[0-9a-f:]+\n)+)", numbers)[1].split()).replace(":", ""))
    # As the library keeps it: words with the lowest first.
    needles = [secret[-32:][::-1]]
    for pid in server.children():
        holds = pid in server.workers()
        assert memory_has(pid, needles) == holds, pid
        assert not has_key(pid, [text]), pid
        with open(f"/proc/{pid}/limits") as file:
            core = re.search(r"Max core file size\s+(\S+)", file.read())[1]
        assert not holds or core == "0"
    # The master has what it hands on, in no memory of its own.
    assert not memory_has(server.master(), [text, *needles])
