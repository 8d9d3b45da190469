"""The keywords of LIST whose answer is a file (RFC 6048; RFC 3977, 7.6)."""
import pytest

from support.place import open_directory
from support.wait import wait_until

FILES = {
    "motd": "Welcome\n\n.A line with a dot\nÜmlaut\n",
    "subscriptions": "# first\nlocal.test\nlocal.secret\nlocal.other\n",
    "distributions": "local\tOnly here\nworld\tEverywhere\n",
    "distrib_pats": "10:local.*:local\n",
    "moderators": "local.*:%s@moderators.example\n.odd:x@y\n",
}


@pytest.fixture(scope="module")
def files():
    with open_directory() as directory:
        for name, text in FILES.items():
            (directory / name).write_text(text)
        yield directory


@pytest.fixture(scope="module")
def server(files):
    from support.server import Server
    conf = [f'{name} = "{files / name}"' for name in FILES]
    conf.append('access "all" { readable = "*,!*.secret" }')
    one = Server("--group", "local.test", conf=conf)
    try:
        yield one.start()
    finally:
        one.remove()


def test_motd_is_text_as_it_stands(client):
    first = client.command("LIST MOTD")
    assert first.startswith("215 ")
    assert client.block() == [b"Welcome", b"", b"..A line with a dot",
                              "Ümlaut".encode()]


def test_distributions(client):
    first, lines = client.long("LIST DISTRIBUTIONS")
    assert first.startswith("215 ")
    assert lines == [b"local\tOnly here", b"world\tEverywhere"]


def test_distrib_pats(client):
    first, lines = client.long("LIST DISTRIB.PATS")
    assert first.startswith("215 ")
    assert lines == [b"10:local.*:local"]


def test_moderators_hides_a_line_that_begins_with_a_dot(client):
    first, lines = client.long("LIST MODERATORS")
    assert first.startswith("215 ")
    assert lines == [b"local.*:%s@moderators.example"]


def test_subscriptions_are_those_that_may_be_read(client):
    first, lines = client.long("LIST SUBSCRIPTIONS")
    assert first.startswith("215 ")
    assert lines == [b"local.test", b"local.other"]
    _, lines = client.long("LIST SUBSCRIPTIONS *.o*")
    assert lines == [b"local.other"]


@pytest.mark.parametrize("line", [
    "LIST MOTD x", "LIST DISTRIBUTIONS x", "LIST MODERATORS x",
    "LIST DISTRIB.PATS x", "LIST SUBSCRIPTIONS a b", "LIST SUBSCRIPTIONS [a"])
def test_syntax(client, line):
    assert client.command(line).startswith("501 ")


def test_capabilities_name_what_is_kept(client):
    lines = client.long("CAPABILITIES")[1]
    words = next(line for line in lines if line.startswith(b"LIST")).split()
    assert {b"MOTD", b"MODERATORS", b"SUBSCRIPTIONS", b"DISTRIBUTIONS",
            b"DISTRIB.PATS"} <= set(words)


def test_a_changed_file_counts_after_a_reload(files, server):
    (files / "motd").write_text("Another day\n")
    done = server.ctlinnd("reload", "all", "a test")
    assert done.returncode == 0 and "motd" in done.stdout

    def is_new():
        with server.connect() as client:
            return client.long("LIST MOTD")[1] == [b"Another day"]

    wait_until(is_new, 5, "the new message of the day")


def test_a_wrong_file_changes_nothing(files, server):
    good = (files / "moderators").read_text()
    (files / "moderators").write_text("local.*:a@b\nnonsense\n")
    try:
        done = server.ctlinnd("reload", "all", "a test")
        assert done.returncode != 0
        assert f"{files / 'moderators'}:2: found \"nonsense\"" in done.stderr
        with server.connect() as client:
            assert client.long("LIST MODERATORS")[1] == [
                b"local.*:%s@moderators.example"]
    finally:
        (files / "moderators").write_text(good)
