"""IHAVE, MODE STREAM, CHECK, TAKETHIS (RFC 3977, 6.3.2; RFC 4644)."""
import pytest

from support.nntp import Parsed, article

SERVER_OPTIONS = ["--group", "local.test", "--group", "local.other",
                  "--moderated", "local.moderated", "--peer", "127.0.0.1",
                  "--name", "news.example", "--conf", "maxartsize = 20000"]


def test_mode_stream(client):
    assert client.command("MODE STREAM").startswith("203 ")


def test_ihave_offer_send_stored(client):
    octets = article(message_id="<ihave-1@example.com>")
    assert client.command("IHAVE <ihave-1@example.com>").startswith("335 ")
    client.send(octets)
    assert client.reply().startswith("235 ")
    assert client.command("IHAVE <ihave-1@example.com>").startswith("435 ")
    assert client.command("STAT <ihave-1@example.com>").startswith("223 ")


def test_lower_case_ihave(client):
    # rnews sends it so.
    assert client.command("ihave <ihave-2@example.com>").startswith("335 ")
    client.send(article(message_id="<ihave-2@example.com>"))
    assert client.reply().startswith("235 ")


def test_check_then_takethis(client):
    name = "<check-1@example.com>"
    assert client.command(f"CHECK {name}").startswith(f"238 {name}")
    assert client.takethis(name, article(message_id=name)).startswith(
        f"239 {name}")
    assert client.command(f"CHECK {name}").startswith(f"438 {name}")


def test_takethis_of_what_is_here_is_read_and_refused(client):
    name = "<take-1@example.com>"
    octets = article(message_id=name)
    assert client.takethis(name, octets).startswith(f"239 {name}")
    client.send(f"TAKETHIS {name}\r\n".encode() + octets + b"DATE\r\n")
    assert client.reply().startswith(f"439 {name}")
    assert client.reply().startswith("111 ")


def test_many_checks_in_one_write_are_answered_in_order(client):
    names = [f"<burst-{number}@example.com>" for number in range(200)]
    client.send(b"".join(f"CHECK {name}\r\n".encode() for name in names))
    for name in names:
        assert client.reply().startswith(f"238 {name}")


def test_many_takethis_in_one_write(client):
    names = [f"<stream-{number}@example.com>" for number in range(500)]
    before = int(client.command("GROUP local.test").split()[3])
    client.send(b"".join(f"TAKETHIS {name}\r\n".encode()
                         + article(message_id=name) for name in names))
    for name in names:
        assert client.reply().startswith(f"239 {name}")
    assert int(client.command("GROUP local.test").split()[3]) == before + 500
    # The order of arrival is the order of the numbers.
    _, lines = client.long(f"XHDR Message-ID {before + 1}-")
    assert [line.split()[1].decode() for line in lines] == names


def test_the_same_article_twice_in_one_write_is_stored_once(client):
    name = "<twice@example.com>"
    octets = f"TAKETHIS {name}\r\n".encode() + article(message_id=name)
    client.send(octets * 2)
    assert [client.reply()[:3] for _ in range(2)] == ["239", "439"]


def test_a_relayed_article_changes_in_path_and_xref_only(client):
    name = "<relayed@example.com>"
    octets = article(message_id=name, fields={
        "Xref": "other.example local.test:99", "X-Odd": "  a\n\tb ",
        "Keywords": "", "Newsgroups": "local.test,local.other,"})
    assert client.takethis(name, octets).startswith("239")
    parsed = Parsed(client.long(f"ARTICLE {name}")[1])
    assert parsed["Path"] == "news.example!peer.invalid!not-for-mail"
    assert parsed["Xref"].startswith("news.example local.test:")
    sent = octets.split(b"\r\n\r\n")[0].split(b"\r\n")
    for line in sent:
        if not line.startswith((b"Path", b"Xref")):
            assert line in parsed.head
    assert len(parsed.head) == len(sent)


BAD = [
    ({"From": None}, {}, "no From"),
    ({"Date": None}, {}, "no Date"),
    ({"Subject": None}, {}, "no Subject"),
    ({"Path": None}, {}, "no Path"),
    ({"Newsgroups": None}, {}, "no Newsgroups"),
    ({"Newsgroups": "none.such"}, {}, "no group of ours"),
    ({"Date": "Mon, 26 Apr 1993 14:53:24 GMT"}, {}, "too old"),
    ({"Date": "Mon, 26 Apr 2093 14:53:24 GMT"}, {}, "of the future"),
    ({"Date": "yesterday"}, {}, "no date"),
    ({"Path": "a!news.example!b"}, {}, "our name in Path"),
    ({"Path": "a!NEWS.example!b"}, {}, "our name in Path in capitals"),
    ({"Message-ID": "<another@example.com>"}, {}, "another Message-ID"),
    ({"Newsgroups": "local.moderated"}, {}, "moderated, not approved"),
    ({}, {"body": b"a\x00b\n"}, "NUL"),
    ({}, {"body": b"a\rb\n"}, "a bare CR"),
    ({}, {"body": b"x" * 25000 + b"\n"}, "too long"),
]


@pytest.mark.parametrize("fields, options, promise", BAD,
                         ids=[row[2] for row in BAD])
def test_refused(client, fields, options, promise):
    base = promise.replace(" ", "-").replace(",", "")
    for verb in ("ihave", "takethis"):
        name = f"<{base}-{verb}@example.com>"
        octets = article(message_id=name, fields=fields, **options)
        if verb == "ihave":
            assert client.ihave(name, octets).startswith("437 ")
        else:
            assert client.takethis(name, octets).startswith(f"439 {name}")
        assert client.command(f"STAT {name}").startswith("430 ")
    assert client.command("DATE").startswith("111 ")


@pytest.mark.parametrize("octets, promise", [
    (b".\r\n", "nothing"),
    (b"no header\r\n.\r\n", "no header"),
    (b"Path: x\r\n\r\nline\nbare LF\r\n.\r\n", "a bare LF"),
    (b"\r\nbody\r\n.\r\n", "an empty head"),
])
def test_malformed_is_refused_in_step(client, octets, promise):
    for name in ("<malformed-1@example.com>",):
        assert client.takethis(name, octets).startswith(f"439 {name}")
        assert client.ihave(name, octets).startswith("43"), promise
    assert client.command("DATE").startswith("111 ")


def test_smuggling_by_lf_dot_lf_does_not_work(client):
    # What another server might take for the end is no end here.
    inner = (b"\n.\nTAKETHIS <smuggled@example.com>\n"
             + article(message_id="<smuggled@example.com>"))
    octets = article(message_id="<carrier@example.com>")[:-3] + inner
    client.send(b"TAKETHIS <carrier@example.com>\r\n" + octets + b"DATE\r\n")
    assert client.reply().startswith("439 <carrier@example.com>")
    assert client.reply().startswith("111 ")
    assert client.command("STAT <smuggled@example.com>").startswith("430 ")


def test_moderated_and_approved(client):
    name = "<approved@example.com>"
    assert client.takethis(name, article(
        "local.moderated", name,
        fields={"Approved": "m@example.com"})).startswith("239")


def test_one_known_group_is_enough(client):
    name = "<one-of-three@example.com>"
    assert client.takethis(name, article(
        "none.a,local.test,none.b", name)).startswith("239")
    parsed = Parsed(client.long(f"HEAD {name}")[1] + [b""])
    assert parsed["Newsgroups"] == "none.a,local.test,none.b"
    assert parsed["Xref"].count(":") == 1


def test_only_peers_may_feed(start_server):
    with start_server("--group", "local.test").connect() as client:
        name = "<stranger@example.com>"
        octets = article(message_id=name)
        assert client.command(f"IHAVE {name}")[:3] in ("480", "502")
        assert client.command(f"CHECK {name}")[:3] in ("480", "502")
        assert client.command("MODE STREAM")[:3] in ("480", "502")
        assert client.takethis(name, octets)[:3] in ("480", "502")
        assert client.command("DATE").startswith("111 ")
        assert client.command(f"STAT {name}").startswith("430 ")


def test_eight_connections_with_the_same_article(server):
    """One of them stores it, whatever the way it comes."""
    clients = [server.connect() for _ in range(8)]
    try:
        for round_ in range(50):
            name = f"<race-{round_}@example.com>"
            octets = article(message_id=name)
            for one in clients:
                one.send(f"TAKETHIS {name}\r\n".encode() + octets)
            codes = sorted(one.reply()[:3] for one in clients)
            assert codes == ["239"] + ["439"] * 7
    finally:
        for one in clients:
            one.close()
