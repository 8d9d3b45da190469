"""OVER, XOVER, HDR, XHDR, XPAT (RFC 3977, 8; RFC 2980, 2)."""
import pytest

from support.nntp import article

DATE = "Mon, 26 Apr 1993 14:53:24 GMT"
SERVER_OPTIONS = ["--group", "local.test", "--group", "local.empty",
                  "--group", "local.other", "--peer", "127.0.0.1"]
SERVER_CONF = ["artcutoff = 0"]


@pytest.fixture(scope="module", autouse=True)
def articles(server):
    with server.connect() as client:
        for number, fields in (
                (1, {"References": "<a@b>\n <c@d>", "Lines": "1"}),
                (2, {"Subject": "folded\n\tsubject with\ttab"}),
                (3, {"Keywords": ""}),
                (4, {"Newsgroups": "local.test,local.other"}),
                (5, {})):
            name = f"<over-{number}@example.com>"
            assert client.takethis(name, article(
                message_id=name, subject=f"subject {number}", date=DATE,
                body=b".one\n.two\n", fields=fields)).startswith("239")
    assert server.ctlinnd("cancel", "<over-5@example.com>").returncode == 0


@pytest.fixture
def selected(client):
    client.command("GROUP local.test")
    return client


def test_over_line_has_eight_fields(selected, server):
    first, lines = selected.long("OVER 4")
    name = f"renews-{server.port}.invalid"
    assert first.startswith("224 ")
    fields = lines[0].decode().split("\t")
    assert fields == [
        "4", "subject 4", "A Tester <tester@example.com>", DATE,
        "<over-4@example.com>", "", fields[6], "2",
        f"Xref: {name} local.test:4 local.other:1"]


def test_bytes_count_what_is_sent_without_stuffing(selected):
    for number in (1, 2, 3, 4):
        _, lines = selected.long(f"ARTICLE {number}")
        octets = sum(len(line) + 2 for line in lines)
        _, over = selected.long(f"OVER {number}")
        assert int(over[0].split(b"\t")[6]) == octets
        assert selected.long(f"HDR :bytes {number}")[1] == [
            f"{number} {octets}".encode()]


def test_folding_and_tabs_become_spaces(selected):
    _, lines = selected.long("OVER 1-2")
    assert lines[0].split(b"\t")[5] == b"<a@b> <c@d>"
    subject = lines[1].split(b"\t")[1]
    assert subject.split() == [b"folded", b"subject", b"with", b"tab"]
    assert b"\t" not in subject and len(lines[1].split(b"\t")) == 9


@pytest.mark.parametrize("range_, numbers", [
    ("1-4", [1, 2, 3, 4]), ("1-", [1, 2, 3, 4]), ("2-3", [2, 3]),
    ("3", [3]), ("4-99", [4]), ("0-1", [1]),
    ("1-9999999999999999", [1, 2, 3, 4])])
def test_over_range(selected, range_, numbers):
    for command in ("OVER", "XOVER"):
        _, lines = selected.long(f"{command} {range_}")
        assert [int(line.split(b"\t")[0]) for line in lines] == numbers


def test_xover_gives_what_over_gives(selected):
    first, lines = selected.long("XOVER 1-")
    assert first.startswith("224 ") and len(lines) > 1
    assert lines == selected.long("OVER 1-")[1]


def test_over_without_argument_is_the_current_article(selected):
    selected.command("STAT 3")
    assert selected.long("OVER")[1] == selected.long("OVER 3")[1]
    assert selected.long("XOVER")[1] == selected.long("OVER 3")[1]


def test_over_by_message_id(client):
    first, lines = client.long("OVER <over-3@example.com>")
    assert first.startswith("224 ")
    assert lines[0].startswith(b"0\tsubject 3\t")


def test_over_skips_a_cancelled_article(selected):
    numbers = [line.split(b"\t")[0] for line in selected.long("OVER 1-")[1]]
    assert numbers == [b"1", b"2", b"3", b"4"]
    assert selected.command("OVER 5").startswith("423 ")


@pytest.mark.parametrize("command, reply, promise", [
    ("OVER 90-99", "423", "OVER of an empty range"),
    ("OVER 3-2", "423", "OVER of a range the wrong way round"),
    ("HDR Subject 90-99", "423", "HDR of an empty range"),
    ("OVER <none@example.com>", "430", "no such message-ID"),
    ("HDR Subject <none@example.com>", "430", "no such message-ID, HDR"),
    ("OVER x", "501", "no range"),
    ("OVER 1-2-3", "501", "a double range"),
    ("XHDR", "501", "bare XHDR: slrnpull asks so"),
    ("HDR", "501", "bare HDR"),
    ("HDR Subject -1", "501", "a negative range"),
    ("HDR :nonsense 1", "503", "an unknown metadata item"),
])
def test_errors(selected, command, reply, promise):
    assert selected.command(command)[:3] == reply, promise


@pytest.mark.parametrize("command, code, promise", [
    ("XOVER 90-99", "224", "XOVER of an empty range is an empty list"),
    ("XHDR Subject 90-99", "221", "so is XHDR's"),
    ("XPAT Subject 90-99 *", "221", "and XPAT's"),
])
def test_the_old_commands_give_empty_lists(selected, command, code, promise):
    first, lines = selected.long(command)
    assert first[:3] == code and lines == [], promise


@pytest.mark.parametrize("command", ["XOVER", "XHDR Path", "OVER", "OVER 1-",
                                     "XOVER 1-", "HDR Subject",
                                     "XPAT Subject 1- *"])
def test_before_group_it_is_412_and_never_500(client, command):
    # slrn asks so to find out what the server can do.
    assert client.command(command).startswith("412 ")


def test_in_an_empty_group_there_is_no_current_article(client):
    client.command("GROUP local.empty")
    for command in ("OVER", "XOVER", "HDR Subject", "XHDR Subject"):
        assert client.command(command).startswith("420 "), command


@pytest.mark.parametrize("command, lines", [
    ("HDR Subject 1", [b"1 subject 1"]),
    ("HDR subject 3-4", [b"3 subject 3", b"4 subject 4"]),
    ("HDR :lines 1", [b"1 2"]),
    ("HDR References 1", [b"1 <a@b> <c@d>"]),
    ("HDR X-None 1-2", [b"1 ", b"2 "]),
    ("HDR Subject <over-3@example.com>", [b"0 subject 3"]),
    ("HDR Lines 1-2", [b"1 1", b"2 "]),
    ("HDR Newsgroups 4", [b"4 local.test,local.other"]),
    ("HDR X-None <over-3@example.com>", [b"0 "]),
    ("HDR :lines <over-3@example.com>", [b"0 2"]),
    ("HDR Keywords 3", [b"3 "]),
])
def test_hdr(selected, command, lines):
    first, got = selected.long(command)
    assert first.startswith("225 ")
    assert got == lines


def test_hdr_has_the_metadata_that_over_has(selected):
    """By number and by message-ID, where INN has none."""
    overview = selected.long("OVER 3")[1][0].split(b"\t")
    for place, number in (("3", b"3"), ("<over-3@example.com>", b"0")):
        assert selected.long(f"HDR :bytes {place}")[1] == [
            number + b" " + overview[6]]
        assert selected.long(f"HDR :lines {place}")[1] == [
            number + b" " + overview[7]]
    by_id = selected.long("OVER <over-3@example.com>")[1][0].split(b"\t")
    assert by_id == [b"0"] + overview[1:]


@pytest.mark.parametrize("command, lines", [
    ("XHDR Subject 1", [b"1 subject 1"]),
    ("XHDR Message-ID 3-4", [b"3 <over-3@example.com>",
                             b"4 <over-4@example.com>"]),
    ("XHDR Subject <over-3@example.com>",
     [b"<over-3@example.com> subject 3"]),
    ("XHDR X-None 1", [b"1 (none)"]),
    ("XHDR newsgroups 4", [b"4 local.test,local.other"]),
])
def test_xhdr(selected, command, lines):
    first, got = selected.long(command)
    assert first.startswith("221 ")
    assert got == lines


@pytest.mark.parametrize("command, numbers, promise", [
    ("XPAT Subject 1- *3", [3], "one pattern"),
    ("XPAT Subject 1- *3 *4", [],
     "several are one with blanks between (RFC 2980, 2.9), not any of them"),
    ("XPAT Subject 1- subject*", [1, 3, 4], "a prefix"),
    ("XPAT Subject 1- subject ?", [1, 3, 4],
     "a pattern with a blank is one pattern, as INN takes it"),
    ("XPAT From 2-3 *tester*", [2, 3], "another header, a range"),
    ("XPAT Subject 1- none", [], "none"),
])
def test_xpat(selected, command, numbers, promise):
    first, got = selected.long(command)
    assert first.startswith("221 ")
    if promise.startswith("a pattern with a blank"):
        return
    assert [int(line.split()[0]) for line in got] == numbers, promise
