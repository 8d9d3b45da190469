"""Python's nntplib: lists, reads, posts (INTEROP row 12)."""
import ssl
import warnings

import pytest

from support.door import COUNT, GROUP, name_of
from support.nntp import article

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    nntplib = pytest.importorskip("nntplib")


@pytest.fixture(scope="module", autouse=True)
def articles(server):
    with server.connect() as client:
        for number in (1, 2, 3):
            name = f"<nntplib-{number}@example.com>"
            assert client.takethis(name, article(
                message_id=name, body=b".dot\nline\n")).startswith("239")


@pytest.fixture
def reader(server):
    with nntplib.NNTP("127.0.0.1", server.port, readermode=True,
                      timeout=20) as one:
        yield one


def test_it_lists(reader):
    capabilities = reader.getcapabilities()
    assert capabilities["VERSION"] == ["2"]
    assert "READER" in capabilities
    assert "local.test" in [group.group for group in reader.list()[1]]
    assert reader.date()[0].startswith("111 ")
    assert reader.descriptions("local.*")[0].startswith("215 ")
    assert reader.help()[1]


def test_it_reads(reader):
    _, count, first, last, name = reader.group("local.test")
    assert (first, name) == (1, "local.test") and count >= 3
    _, overviews = reader.over((1, 3))
    assert [number for number, _ in overviews] == [1, 2, 3]
    assert overviews[0][1]["message-id"] == "<nntplib-1@example.com>"
    assert overviews[0][1][":lines"] == "2"
    _, info = reader.article("<nntplib-1@example.com>")
    assert info.lines[-2:] == [b".dot", b"line"]
    assert reader.stat(2)[1:] == (2, "<nntplib-2@example.com>")
    assert reader.next()[1] == 3
    assert reader.last()[1] == 2
    _, info = reader.body(1)
    assert info.lines == [b".dot", b"line"]
    assert reader.xhdr("subject", "1-2")[1] == [("1", "a test"),
                                                ("2", "a test")]
    with pytest.raises(nntplib.NNTPTemporaryError) as error:
        reader.group("local.none")
    assert str(error.value).startswith("411")


def test_it_posts_and_feeds(reader, server):
    reply = reader.post([b"From: a@example.com", b"Newsgroups: local.test",
                         b"Subject: by nntplib",
                         b"Message-ID: <by-nntplib@example.com>", b"",
                         b".a line", b"."])
    assert reply.startswith("240 ")
    assert reader.body("<by-nntplib@example.com>")[1].lines == [b".a line",
                                                               b"."]
    reply = reader.ihave("<ihave-nntplib@example.com>", [
        b"Path: x!not-for-mail", b"From: a@example.com",
        b"Newsgroups: local.test", b"Subject: by nntplib",
        b"Date: " + reader.article("<by-nntplib@example.com>")[1].lines[
            [line[:5] for line in reader.article(
                "<by-nntplib@example.com>")[1].lines].index(b"Date:")][6:],
        b"Message-ID: <ihave-nntplib@example.com>", b"", b"text"])
    assert reply.startswith("235 ")


def test_it_logs_in(start_server):
    server = start_server("--group", "local.test", "--anonymous", "none",
                          "--user", "alice:geheim")
    with nntplib.NNTP("127.0.0.1", server.port, user="alice",
                      password="geheim", readermode=True,
                      timeout=20) as one:
        assert one.group("local.test")[4] == "local.test"
        assert one.post([b"From: a@example.com", b"Newsgroups: local.test",
                         b"Subject: logged in", b"", b"text"]).startswith(
                             "240 ")
    with nntplib.NNTP("127.0.0.1", server.port, timeout=20) as one:
        with pytest.raises(nntplib.NNTPTemporaryError) as error:
            one.group("local.test")
        assert str(error.value).startswith("480")
        with pytest.raises(nntplib.NNTPTemporaryError) as error:
            one.login("alice", "wrong", usenetrc=False)
        assert str(error.value).startswith("481")
        one.login("alice", "geheim", usenetrc=False)
        assert one.group("local.test")[4] == "local.test"


def test_it_pulls_new_news(reader):
    import datetime
    yesterday = datetime.datetime.now() - datetime.timedelta(days=1)
    assert "<nntplib-1@example.com>" in reader.newnews("local.*",
                                                       yesterday)[1]
    assert "local.test" in [group.group for group
                            in reader.newgroups(yesterday)[1]]


@pytest.mark.doors("starttls", "tls")
def test_it_speaks_tls_and_believes_the_certificate(door):
    context = ssl.create_default_context(cafile=door.certificate)
    if door.is_tls:
        one = nntplib.NNTP_SSL(door.host, door.port, ssl_context=context,
                               timeout=20)
    else:
        one = nntplib.NNTP(door.host, door.port, timeout=20)
    with one:
        if door.is_starttls:
            with pytest.raises(nntplib.NNTPTemporaryError) as error:
                one.login(door.user, door.password, usenetrc=False)
            assert str(error.value).startswith("483")
            assert "STARTTLS" in one.getcapabilities()
            one.starttls(context)
        assert "STARTTLS" not in one.getcapabilities()
        one.login(door.user, door.password, usenetrc=False)
        assert one.group(GROUP)[1:4] == (COUNT, 1, COUNT)
        assert one.stat(1)[2] == name_of(1)
