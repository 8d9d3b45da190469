"""LIST and its keywords (RFC 3977, 7.6; RFC 6048)."""
import time

import pytest

from support.nntp import article

SERVER_OPTIONS = ["--group", "local.test", "--group", "local.empty",
                  "--moderated", "local.moderated", "--group", "comp.lang.c",
                  "--peer", "127.0.0.1"]


@pytest.fixture(scope="module", autouse=True)
def articles(server):
    with server.connect() as client:
        for number in (1, 2):
            name = f"<list-{number}@example.com>"
            assert client.takethis(name, article(
                message_id=name)).startswith("239")


def by_name(lines):
    return {line.split()[0].decode(): line.decode() for line in lines}


def test_list_alone_is_the_list_of_newsgroups(client):
    first, lines = client.long("LIST")
    assert first.startswith("215 ")
    assert by_name(lines)["local.test"].split() == [
        "local.test", "0000000002", "0000000001", "y"]
    assert (first, lines) == client.long("LIST ACTIVE")


def test_active_gives_marks_and_flag(client):
    first, lines = client.long("LIST ACTIVE")
    assert first.startswith("215 ")
    words = {name: line.split() for name, line in by_name(lines).items()}
    assert set(words) == {"local.test", "local.empty", "local.moderated",
                          "comp.lang.c"}
    name, high, low, flag = words["local.test"]
    assert (int(high), int(low), flag) == (2, 1, "y")
    name, high, low, flag = words["local.empty"]
    assert (int(high), int(low), flag) == (0, 1, "y")
    assert words["local.moderated"][3] == "m"


@pytest.mark.parametrize("wildmat, names", [
    ("local.test", {"local.test"}),
    ("local.*", {"local.test", "local.empty", "local.moderated"}),
    ("local.*,!local.e*", {"local.test", "local.moderated"}),
    ("*.c", {"comp.lang.c"}),
    ("none.*", set()),
    ("local.tes?", {"local.test"}),
])
def test_active_by_wildmat(client, wildmat, names):
    for keyword in ("ACTIVE", "COUNTS", "ACTIVE.TIMES"):
        _, lines = client.long(f"LIST {keyword} {wildmat}")
        assert set(by_name(lines)) == names, keyword


def test_counts(client):
    first, lines = client.long("LIST COUNTS local.*")
    assert first.startswith("215 ")
    assert by_name(lines)["local.test"] == "local.test 2 1 2 y"
    assert by_name(lines)["local.empty"] == "local.empty 0 1 0 y"


def test_active_times_tells_when_and_who(client):
    first, lines = client.long("LIST ACTIVE.TIMES local.test")
    assert first.startswith("215 ")
    name, created, creator = lines[0].split()
    assert name == b"local.test"
    assert abs(int(created) - time.time()) < 600
    assert creator == b"tests/serve"


def test_newsgroups_is_name_tab_description(client, server):
    done = server.ctlinnd("newgroup", "comp.lang.c", "y", "me",
                          "The language C")
    assert done.returncode == 0
    first, lines = client.long("LIST NEWSGROUPS")
    assert first.startswith("215 ")
    # Groups without a description have no line.
    assert lines == [b"comp.lang.c\tThe language C"]
    assert client.long("LIST NEWSGROUPS local.*")[1] == []


def test_overview_fmt_to_one_who_asked_for_capabilities(client):
    client.long("CAPABILITIES")
    first, lines = client.long("LIST OVERVIEW.FMT")
    assert first.startswith("215 ")
    assert lines == [b"Subject:", b"From:", b"Date:", b"Message-ID:",
                     b"References:", b":bytes", b":lines", b"Xref:full"]


def test_overview_fmt_to_an_old_client(client):
    # Those that do not know CAPABILITIES know these names.
    _, lines = client.long("LIST OVERVIEW.FMT")
    assert lines == [b"Subject:", b"From:", b"Date:", b"Message-ID:",
                     b"References:", b"Bytes:", b"Lines:", b"Xref:full"]


@pytest.mark.parametrize("argument", ["", " MSGID", " RANGE"])
def test_headers_says_that_any_can_be_asked_for(client, argument):
    first, lines = client.long("LIST HEADERS" + argument)
    assert first.startswith("215 ")
    assert b":" in lines
    assert b":bytes" in lines and b":lines" in lines


def test_no_subscriptions_are_an_empty_list(client):
    """slrn takes 503 for a connection that was lost, and gives up."""
    assert client.long("LIST SUBSCRIPTIONS") == ("215 List follows", [])


@pytest.mark.parametrize("command, code", [
    ("LIST NONSENSE", "501"), ("LIST ACTIVE a b", "501"),
    ("LIST MOTD", "503"),
    ("LIST DISTRIB.PATS", "503"), ("LIST MODERATORS", "503"),
    ("LIST HEADERS NONSENSE", "501"), ("LIST OVERVIEW.FMT x", "501")])
def test_errors(client, command, code):
    assert client.command(command)[:3] == code
