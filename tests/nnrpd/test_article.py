"""ARTICLE, HEAD, BODY, STAT (RFC 3977, 6.2)."""
import pytest

from support.nntp import Parsed, article

ID = "<article-1@example.com>"
BODY = b".\n..\n.dot\n\nline\n \n" + bytes(range(0x80, 0x100)) + b"\n"
LINES = BODY.split(b"\n")[:-1]


@pytest.fixture(scope="module", autouse=True)
def articles(server):
    with server.connect() as client:
        for number, body in ((1, BODY), (2, b""), (3, b"x" * 998 + b"\n")):
            name = f"<article-{number}@example.com>"
            assert client.takethis(name, article(
                message_id=name, body=body)).startswith("239")


@pytest.fixture
def selected(client):
    client.command("GROUP local.test")
    return client


def test_body_is_the_body_octet_for_octet(selected):
    selected.send(b"BODY 1\r\n")
    assert selected.reply() == f"222 1 {ID}"
    # On the wire: a leading dot stands twice.
    assert selected.block() == [b"." + line if line.startswith(b".") else line
                                for line in LINES]


def test_article_is_head_empty_line_and_body(selected):
    first, lines = selected.long("ARTICLE 1")
    assert first == f"220 1 {ID}"
    _, head = selected.long("HEAD 1")
    _, body = selected.long("BODY 1")
    assert lines == head + [b""] + body
    assert body == LINES


def test_head_has_no_empty_line(selected):
    first, lines = selected.long("HEAD 1")
    assert first == f"221 1 {ID}"
    assert b"" not in lines
    assert f"Message-ID: {ID}".encode() in lines


def test_the_server_adds_path_and_xref_and_nothing_else(selected, server):
    _, lines = selected.long("ARTICLE 1")
    parsed = Parsed(lines)
    name = f"renews-{server.port}.invalid"
    assert [field for field, _ in parsed.fields] == [
        "Path", "From", "Newsgroups", "Subject", "Date", "Message-ID", "Xref"]
    assert parsed["Path"] == f"{name}!peer.invalid!not-for-mail"
    assert parsed["Xref"] == f"{name} local.test:1"


def test_a_body_without_lines(selected):
    assert selected.long("BODY 2") == ("222 2 <article-2@example.com>", [])


def test_by_message_id_the_number_is_0_and_nothing_is_selected(client):
    # RFC 3977, 6.2.1.1: 0, or the number in the selected group.
    for command, code in (("ARTICLE", 220), ("HEAD", 221), ("BODY", 222)):
        first, _ = client.long(f"{command} {ID}")
        assert first == f"{code} 0 {ID}"
    assert client.command(f"STAT {ID}") == f"223 0 {ID}"
    assert client.command("STAT").startswith("412 ")


def test_by_message_id_the_current_article_stays(selected):
    selected.command("STAT 2")
    selected.long(f"ARTICLE {ID}")
    assert selected.command("STAT") == "223 2 <article-2@example.com>"


def test_by_number_it_becomes_the_current_article(selected):
    selected.long("ARTICLE 3")
    assert selected.command("STAT") == "223 3 <article-3@example.com>"
    assert selected.long("BODY")[1] == [b"x" * 998]


@pytest.mark.parametrize("command, code, promise", [
    ("ARTICLE <none@example.com>", "430", "no such message-ID"),
    ("STAT <none@example.com>", "430", "no such message-ID, STAT"),
    ("ARTICLE 4", "423", "no such number"),
    ("ARTICLE 0", "423", "number 0"),
    ("ARTICLE 2147483648", "423", "beyond 31 bits"),
    ("ARTICLE 9999999999999999", "423", "16 digits"),
    ("ARTICLE 99999999999999999", "501", "17 digits"),
    ("ARTICLE -1", "501", "a sign"),
    ("ARTICLE +1", "501", "another sign"),
    ("ARTICLE 0x1", "501", "hexadecimal"),
    ("ARTICLE 1-2", "501", "a range"),
    ("ARTICLE article", "501", "a word"),
    ("ARTICLE <no bracket", "501", "two words"),
    ("BODY 4", "423", "BODY without it"),
    ("HEAD 4", "423", "HEAD without it"),
])
def test_errors(selected, command, code, promise):
    assert selected.command(command)[:3] == code, promise
    # Whatever was wrong, the current article is still the first.
    assert selected.command("STAT") == f"223 1 {ID}"


def test_stat_fishing_before_group(client):
    # neomutt fishes for 480 so; 412 must not end its session.
    assert client.command("STAT").startswith("412 ")
    assert client.command("DATE").startswith("111 ")


def test_deep_pipeline_of_articles_by_id(client):
    names = [f"<article-{1 + number % 3}@example.com>"
             for number in range(300)]
    client.send(b"".join(f"BODY {name}\r\n".encode() for name in names))
    for name in names:
        assert client.reply() == f"222 0 {name}"
        client.block()
