"""CAPABILITIES (RFC 3977, 5.2; RFC 4644, 2.1) tells what is so, and only
that."""
import pytest

LIST = ("LIST ACTIVE ACTIVE.TIMES COUNTS HEADERS NEWSGROUPS OVERVIEW.FMT")


def capabilities(client):
    first, lines = client.long("CAPABILITIES")
    assert first.startswith("101 ")
    return [line.decode() for line in lines]


def test_a_peer_that_may_post_is_told_everything(client):
    lines = capabilities(client)
    assert lines[0] == "VERSION 2"
    assert any(line.startswith("IMPLEMENTATION Renews ") for line in lines)
    for line in ("READER", "POST", "IHAVE", "STREAMING", "HDR", "OVER MSGID",
                 "NEWNEWS", "XPAT"):
        assert line in lines
    listed = [line for line in lines if line.startswith("LIST")]
    assert len(listed) == 1
    assert set(listed[0].split()) >= {"LIST", "ACTIVE", "ACTIVE.TIMES",
                                      "COUNTS", "NEWSGROUPS"}


def test_a_reader_is_told_of_no_feeding(start_server):
    with start_server("--anonymous", "read").connect() as client:
        lines = capabilities(client)
        assert "READER" in lines
        for word in ("POST", "IHAVE", "STREAMING"):
            assert word not in lines
        assert client.greeting.startswith("201 ")


def test_newnews_is_not_told_where_it_is_off(start_server):
    server = start_server("--group", "local.test",
                          conf=["allownewnews = false"])
    with server.connect() as client:
        assert "NEWNEWS" not in capabilities(client)
        assert client.command("NEWNEWS * 20000101 000000")[:3] in ("502",
                                                                   "503")


def test_a_keyword_changes_nothing(client):
    assert client.long("CAPABILITIES AUTOUPDATE") == client.long(
        "CAPABILITIES")


@pytest.mark.parametrize("line", ["MODE-READER", "STARTTLS", "AUTHINFO"])
def test_what_is_not_there_is_not_told(client, line):
    assert not any(told.split()[0] == line for told in capabilities(client))


def test_every_list_keyword_works(client):
    listed = [line for line in capabilities(client)
              if line.startswith("LIST")][0]
    for keyword in listed.split()[1:]:
        first, _ = client.long(f"LIST {keyword}")
        assert first.startswith("215 "), keyword
