"""INN's own programs against our port, from Debian's package unpacked (INTEROP
rows 18 to 20): rnews, inews, actsync, getlist, pullnews."""
import email.utils
import shutil

import pytest

from support.door import COUNT, GROUP, POSTS, body_of, name_of
from support.inn import InnTools


@pytest.fixture
def tools(door):
    one = InnTools(door.port)
    try:
        one.fetch()
        if door.user:
            one.write("etc/passwd.nntp",
                      f"{door.host}:{door.user}:{door.password}\n")
        yield one
    finally:
        one.remove()


def article(name, subject, date=None):
    return (f"Path: elsewhere!not-for-mail\nFrom: me@example.com\n"
            f"Newsgroups: {POSTS}\nSubject: {subject}\n"
            f"Date: {email.utils.formatdate(date)}\nMessage-ID: {name}\n\n"
            ".dot\n\nlast\n")


def test_rnews_offers_a_batch(door, tools):
    if door.user:  # without, its address makes it a peer
        tools.write("etc/passwd.nntp", f"{door.host}:feed:{door.password}\n")
    texts = [article(f"<rnews-{number}-{door.kind}@example.com>",
                     f"rnews {number}") for number in range(3)]
    batch = "".join(f"#! rnews {len(text)}\n{text}" for text in texts)
    for _ in range(2):  # the second time all are known
        done = tools.run("rnews", "-v", "-S", door.host, "-P", door.port,
                         octets=batch.encode())
        assert done.returncode == 0, done.stdout + done.stderr
    for number in range(3):
        head, body = door.posted(f"rnews {number}")
        assert head[0].endswith(b"!elsewhere!not-for-mail")
        assert body == [b".dot", b"", b"last"]
    bad = article("<rnews-bad@example.com>", "bad", 1e9)  # of 2001
    done = tools.run("rnews", "-v", "-S", door.host, "-P", door.port,
                     octets=f"#! rnews {len(bad)}\n{bad}".encode())
    assert "437" in done.stdout + done.stderr, done


def test_inews_posts(door, tools):
    subject = f"inews {door.kind}"
    done = tools.run("inews", "-h", "-S", "-p", door.port, octets=(
        f"From: me@example.com\nNewsgroups: {POSTS}\nSubject: {subject}\n\n"
        ".dot\n\nlast\n").encode())
    assert done.returncode == 0, done.stdout + done.stderr
    head, body = door.posted(subject)
    assert f"Newsgroups: {POSTS}".encode() in head
    assert body == [b".dot", b"", b"last"]


def test_inews_says_why_it_was_refused(door, tools):
    done = tools.run("inews", "-h", "-S", "-p", door.port, octets=(
        b"From: me@example.com\nNewsgroups: no.such.group\nSubject: x\n\n"
        b"text\n"))
    assert done.returncode != 0 and "441" in done.stderr, done.stderr


def test_getlist_gets_each_list(door, tools):
    words = (["-A"] if door.user else []) + ["-h", door.host, "-p", door.port]
    active = tools.run("getlist", *words, "active")
    assert active.returncode == 0, active.stderr
    groups = {line.split()[0]: line.split()[1:]
              for line in active.stdout.splitlines()}
    assert set(groups) == {GROUP, POSTS}
    assert groups[GROUP] == [f"{COUNT:010}", f"{1:010}", "y"]
    for name in ("active.times", "newsgroups", "overview.fmt"):
        done = tools.run("getlist", *words, name)
        assert done.returncode == 0, (name, done.stderr)
    assert done.stdout.splitlines()[:4] == ["Subject:", "From:", "Date:",
                                            "Message-ID:"]


@pytest.mark.doors("plain")  # it knows no login
def test_actsync_compares_two_lists(door, tools):
    tools.write("db/active", f"{GROUP} 0000000000 0000000001 y\n"
                "local.gone 0000000000 0000000001 y\n")
    done = tools.run("actsync", "-p", "0", "-v", "1", "-o", "c", "-z", "0",
                     f"{door.host}:{door.port}", tools.path("db/active"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert sorted(line.split()[1:3] for line in done.stdout.splitlines()
                  if line.startswith("ctlinnd")) == [
        ["newgroup", "local.gone"], ["rmgroup", POSTS]]


def pullnews(door, tools, *words):
    """Up to the mark that it leaves behind."""
    mode = {"starttls": "_STARTTLS", "tls": "_TLS"}.get(door.kind, "")
    login = f" {door.user} {door.password}" if door.user else ""
    tools.write("marks", f"{door.host}:{door.port}{mode}{login}\n"
                f"\t{GROUP} 0 0\n")
    environment = {}
    if mode:
        shutil.copy(door.certificate, tools.path("cert.pem"))
        environment["SSL_CERT_FILE"] = tools.path("cert.pem")
    done = tools.run("pullnews", "-c", tools.path("marks"), *words,
                     environment=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(tools.path("marks")) as file:
        assert file.read().split()[-3::2] == [GROUP, str(COUNT)]


@pytest.mark.doors("plain", "login", "starttls", "tls")
def test_pullnews_pulls_into_a_batch(door, tools):
    pullnews(door, tools, "-r", tools.path("out.rnews"))
    with open(tools.path("out.rnews"), "rb") as file:
        octets = file.read().replace(b"\r\n", b"\n")  # CRLF over TLS
    for number in range(1, COUNT + 1):
        assert f"Message-ID: {name_of(number)}\n".encode() in octets
        assert b"\n\n" + body_of(number) in octets
    assert octets.count(b"#! rnews ") == COUNT


def test_pullnews_feeds_another_server(door, tools, start_server):
    other = start_server("--group", GROUP, "--peer", "127.0.0.1")
    pullnews(door, tools, "-s", f"127.0.0.1:{other.port}")
    with other.connect() as client:
        assert client.command(f"GROUP {GROUP}").startswith(f"211 {COUNT} ")
        for number in range(1, COUNT + 1):
            lines = client.long(f"BODY {name_of(number)}")[1]
            assert b"".join(line + b"\n" for line in lines) == body_of(number)
