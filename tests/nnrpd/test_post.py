"""POST (RFC 3977, 6.3.1), and what injection adds and refuses (RFC 5537,
3.5)."""
import re

import pytest

from support.nntp import Parsed, article, post

SERVER_OPTIONS = ["--group", "local.test", "--group", "local.other",
                  "--moderated", "local.moderated", "--name", "news.example",
                  "--conf", 'complaints = "abuse@news.example"',
                  "--conf", 'organization = "The Example"',
                  "--conf", "localmaxartsize = 20000",
                  "--user", "mona:mod:moderator"]


def posted(client, octets):
    reply = client.post(octets)
    assert reply.startswith("240 "), reply
    name = re.search(r"<[^>]+>", reply).group()
    return Parsed(client.long(f"ARTICLE {name}")[1])


def test_340_offers_the_message_id_that_the_article_gets(client):
    first = client.command("POST")
    assert re.match(r"340 .*<[^<> ]+@[^<> ]+>", first)
    offered = re.search(r"<[^>]+>", first).group()
    client.send(post())
    assert offered in client.reply()
    assert client.command(f"STAT {offered}") == f"223 0 {offered}"


def test_what_is_missing_is_added(client):
    parsed = posted(client, post(body=b".dots\n..\n"))
    assert parsed["Path"] == "news.example!.POSTED.127.0.0.1!not-for-mail"
    assert re.fullmatch(r"<[^<> ]+@news\.example>", parsed["Message-ID"])
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000",
                        parsed["Date"])
    assert "Injection-Date" in parsed
    assert parsed["Organization"] == "The Example"
    assert parsed["Injection-Info"].startswith("news.example;")
    assert 'posting-host="127.0.0.1"' in parsed["Injection-Info"]
    assert 'mail-complaints-to="abuse@news.example"' in (
        parsed["Injection-Info"])
    assert parsed["Xref"].startswith("news.example local.test:")
    assert parsed.body == [b".dots", b".."]


def test_what_the_poster_gave_stays_as_it_is(client):
    octets = article(message_id="<my-own@example.com>", path=None, fields={
        "Organization": "Mine", "X-Odd": "  two  spaces\n\tfolded",
        "Lines": "77"})
    parsed = posted(client, octets)
    sent = octets.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert [line for line in parsed.head if line in sent] == sent
    assert parsed["Message-ID"] == "<my-own@example.com>"
    # RFC 5537, 3.5: only where Date or Message-ID had to be added.
    assert "Injection-Date" not in parsed


def test_the_posters_path_goes_behind_posted(client):
    parsed = posted(client, post(fields={"Path": "me.example!not-for-mail"}))
    assert parsed["Path"] == (
        "news.example!.POSTED.127.0.0.1!me.example!not-for-mail")


def test_it_can_be_read_at_once_from_another_connection(client, server):
    with server.connect() as other:
        for _ in range(20):
            reply = client.post(post())
            name = re.search(r"<[^>]+>", reply).group()
            assert other.command(f"STAT {name}") == f"223 0 {name}"
            high = int(other.command("GROUP local.test").split()[3])
            assert other.command(f"STAT {high}").endswith(name)


def test_a_crosspost_is_in_all_its_groups(client):
    parsed = posted(client, post("local.test, local.other,none.such"))
    groups = re.findall(r" ([a-z.]+):(\d+)", parsed["Xref"])
    assert [name for name, _ in groups] == ["local.test", "local.other"]
    for name, number in groups:
        client.command(f"GROUP {name}")
        assert client.command(f"STAT {number}").endswith(parsed["Message-ID"])


@pytest.mark.parametrize("octets, why, promise", [
    (post(fields={"From": None}), "From", "no From"),
    (post(fields={"Subject": None}), "Subject", "no Subject"),
    (post(fields={"Newsgroups": None}), "Newsgroups", "no Newsgroups"),
    (post(fields={"Newsgroups": ""}), "Newsgroups", "empty Newsgroups"),
    (post("none.such"), "", "a group that is not here"),
    (post("local.test,,local.other"), "", "an empty name in the list"),
    (post(fields={"From": "nobody"}), "From", "From that is no address"),
    (post(fields={"Date": "yesterday"}), "Date", "Date that is no date"),
    (post(fields={"Date": "Mon, 26 Apr 1993 14:53:24 GMT"}), "", "too old"),
    (post(fields={"Date": "Mon, 26 Apr 2093 14:53:24 GMT"}), "Date",
     "of the future"),
    (post(message_id="no-id"), "Message-ID", "Message-ID that is none"),
    (post(message_id="<a b@c>"), "Message-ID", "a blank in Message-ID"),
    (post(fields={"Path": "x!.POSTED!y"}), "", "injected before"),
    (post(fields={"Injection-Info": "x.example"}), "Injection-Info",
     "Injection-Info already there"),
    (post(fields={"Xref": "x local.test:1"}), "Xref", "an Xref"),
    (post(body=b"a\x00b\n"), "NUL", "NUL in the body"),
    (post(body=b"a\rb\n"), "CR", "a bare CR"),
    (b"From: a@b.example\r\nSubject: x\r\nNewsgroups: local.test\r\n"
     b"\r\na\nb\r\n.\r\n", "LF", "a bare LF"),
    (b"From: a@b.example\r\nSubject: x\r\nNewsgroups: local.test\r\n"
     b"\r\n.a\r\n.\r\n", "", "a dot that is not doubled"),
    (b"no header at all\r\n.\r\n", "", "no header"),
    (b".\r\n", "", "nothing at all"),
    (b"From: a@b.example\r\nSubject: x\r\nNewsgroups: local.test\r\n.\r\n",
     "", "no empty line"),
    (post(body=b"x" * 25000 + b"\n"), "", "too long"),
    (post(fields={"Subject": ""}), "Subject", "an empty Subject"),
    (post(fields={"X-Empty": ""}), "", "an empty field"),
    (post(",".join(f"a.b{n}" for n in range(60))), "", "60 newsgroups"),
], ids=lambda value: value if isinstance(value, str) and " " in value
    else "")
def test_refused(client, octets, why, promise):
    reply = client.post(octets)
    assert reply.startswith("441 "), promise
    assert why in reply, promise
    assert client.command("DATE").startswith("111 "), promise


def test_the_same_message_id_twice_is_441(client):
    octets = post(message_id="<twice@example.com>")
    assert client.post(octets).startswith("240 ")
    assert client.post(octets).startswith("441 ")


def test_approved_by_a_moderator_goes_into_a_moderated_group(client):
    octets = post("local.moderated", fields={"Approved": "me@example.com"})
    assert client.post(octets) == "441 You may not approve articles"
    assert client.command("AUTHINFO USER mona").startswith("381 ")
    assert client.command("AUTHINFO PASS mod").startswith("281 ")
    posted(client, octets)


def test_a_group_closed_to_posters(client, server):
    assert server.ctlinnd("newgroup", "local.closed", "n").returncode == 0
    assert client.post(post("local.closed")).startswith("441 ")


def test_a_header_twice_is_refused(client):
    octets = b"Subject: one\r\n" + post()
    assert client.post(octets).startswith("441 ")


def test_posting_is_not_for_all(start_server):
    with start_server("--group", "local.test", "--anonymous",
                      "read").connect() as client:
        assert client.greeting.startswith("201 ")
        assert client.command("POST").startswith("440 ")


def test_a_poster_who_vanishes_within_the_article_leaves_nothing(server):
    with server.connect() as client:
        before = client.command("GROUP local.test")
    gone = server.connect()
    gone.command("POST")
    gone.send(post()[:-3])
    gone.close()
    with server.connect() as client:
        assert client.command("GROUP local.test") == before
