"""What particular newsreaders and peers ask for and rely on, each for a reason
that no RFC gives.  tests/interop has those that can be run."""
import re
import threading

import pytest

from support.nntp import Client, Closed, article, unstuff
from support.server import Server
from support.wait import wait_until

SERVER_OPTIONS = ["--group", "local.test", "--group", "local.empty",
                  "--group", "local.Case-Name", "--peer", "127.0.0.1"]
SERVER_CONF = ["maxconnections_per_address = 60"]
COUNT = 12


def name_of(number):
    return f"<quirk-{number}@example.com>"


def body_of(number):
    return b"..two dots\n.\n\xff\xfe\x80 8 bit\n\nline %d\n" % number


@pytest.fixture(scope="module", autouse=True)
def articles(server):
    with server.connect() as client:
        for number in range(1, COUNT + 1):
            assert client.takethis(name_of(number), article(
                message_id=name_of(number), subject=f"subject {number}",
                body=body_of(number))).startswith("239")


# What a client says, and what its answers begin with; "+" behind a code: a
# block of lines follows.
DIALOGUES = {
    "slrn probes before it has a group": [
        ("MODE READER", "200 "), ("XOVER", "412 "), ("XHDR Path", "412 "),
        ("LIST OVERVIEW.FMT", "215+"), ("LIST", "215+"),
        ("LIST SUBSCRIPTIONS", "215+"), ("GROUP local.test", "211 12 1 12 "),
        ("GROUP local.test", "211 12 1 12 "), ("XOVER 1-12", "224+"),
        ("ARTICLE 1", "220+")],
    "slrnpull probes XHDR": [
        ("XHDR", "501 "), ("GROUP local.test", "211 "), ("XHDR", "501 "),
        ("XOVER 1-12", "224+")],
    "lynx and suck write in lower case": [
        ("mode reader", "200 "), ("group local.test", "211 "),
        ("head 1", "221+"), ("xhdr message-id 1-3", "221+"),
        ("article <quirk-2@example.com>", "220+"), ("quit", "205 ")],
    "Gnus asks for one group's line": [
        ("MODE READER", "200 "), ("LIST ACTIVE local.test", "215+"),
        ("LIST ACTIVE local.none", "215+"), ("GROUP local.test", "211 "),
        ("XOVER 1-12", "224+")],
    "tin counts by group": [
        ("CAPABILITIES", "101+"), ("LIST OVERVIEW.FMT", "215+"),
        ("LIST COUNTS local.test", "215+"),
        ("LISTGROUP local.test", "211+"), ("OVER 1-12", "224+")],
    "neomutt lists a group in ranges": [
        ("CAPABILITIES", "101+"), ("MODE READER", "200 "),
        ("STAT", "412 "), ("DATE", "111 "),
        ("GROUP local.test", "211 "), ("LISTGROUP local.test 1-5", "211+"),
        ("OVER 1-5", "224+"), ("LISTGROUP local.test 6-12", "211+")],
    "Claws asks for fields by range, of an absent one too": [
        ("GROUP local.test", "211 "), ("GROUP local.test", "211 "),
        ("XHDR newsgroups 1-12", "221+"), ("XHDR to 1-12", "221+"),
        ("XHDR xref 1-12", "221+"), ("XOVER 1-12", "224+")],
    "Evolution wants the time and the format": [
        ("DATE", "111 "), ("LIST OVERVIEW.FMT", "215+"),
        ("LIST NEWSGROUPS", "215+"), ("GROUP local.test", "211 ")],
    "Thunderbird asks for what there is in a group": [
        ("MODE READER", "200 "), ("LIST EXTENSIONS", "50[013] "),
        ("GROUP local.test", "211 "), ("XOVER 1-12", "224+"),
        ("HEAD 1", "221+"), ("ARTICLE 1", "220+")],
}


def take_reply(client, wanted):
    line = client.reply()
    assert re.match(wanted.rstrip("+"), line), (line, wanted)
    if wanted.endswith("+"):
        client.block()


@pytest.mark.parametrize("together", [False, True],
                         ids=["one by one", "in one write"])
@pytest.mark.parametrize("dialogue", DIALOGUES)
def test_dialogue(server, dialogue, together):
    lines = DIALOGUES[dialogue]
    with server.connect() as client:
        if together:
            client.send(b"".join(command.encode() + b"\r\n"
                                 for command, _ in lines))
        for command, wanted in lines:
            if not together:
                client.send(command.encode() + b"\r\n")
            take_reply(client, wanted)


def test_an_absent_field_is_a_line_for_each_article(client):
    """Claws counts them."""
    client.command("GROUP local.test")
    _, lines = client.long("XHDR to 1-12")
    assert lines == [b"%d (none)" % number for number in range(1, COUNT + 1)]


def test_group_says_the_name_as_it_was_asked_for(client):
    """Readers compare it."""
    assert client.command("GROUP local.Case-Name").split()[4] == (
        "local.Case-Name")
    assert client.command("GROUP local.case-name").startswith("411 ")


def test_low_water_is_never_0(client):
    """Thunderbird takes 0 for no group at all."""
    code, count, low, high, _ = client.command("GROUP local.empty").split()
    assert (code, count) == ("211", "0") and int(low) == int(high) + 1 >= 1
    _, lines = client.long("LIST ACTIVE local.empty")
    assert int(lines[0].split()[2]) >= 1


def test_the_last_word_is_short(client):
    """RssBandit takes the 205 apart."""
    line = client.command("QUIT")
    assert line.startswith("205 ") and len(line) < 40


def test_a_burst_of_checks_without_a_mode(server):
    """innxmit sends 64 in one write, and wants the answers in their order."""
    with server.connect() as client:
        names = [f"<burst-{number}@example.com>" for number in range(64)]
        client.send(b"MODE STREAM\r\n" + b"".join(
            f"CHECK {name}\r\n".encode() for name in names))
        assert client.reply().startswith("203 ")
        for name in names:
            assert client.reply() == f"238 {name}"


def test_a_deep_pipeline_by_message_id(server):
    """sabnzbd and its like ask for hundreds at once, and need no group."""
    with server.connect() as client:
        asked = [1 + number % COUNT for number in range(600)]
        sender = threading.Thread(target=client.send, args=(b"".join(
            f"BODY {name_of(number)}\r\n".encode() for number in asked),))
        sender.start()
        for number in asked:
            assert client.reply() == f"222 0 {name_of(number)}"
            lines = [unstuff(line) for line in client.block()]
            assert b"".join(line + b"\n" for line in lines) == body_of(number)
        sender.join()


def test_a_missing_article_within_a_pipeline_is_one_answer(server):
    with server.connect() as client:
        client.send(b"BODY <none@example.com>\r\n"
                    + f"STAT {name_of(1)}\r\n".encode()
                    + b"BODY <none@example.com>\r\n")
        assert [client.reply()[:3] for _ in range(3)] == ["430", "223", "430"]


def test_many_sessions_of_one_reader(server):
    """pan opens four, nyuu as many as it is told."""
    clients = [server.connect() for _ in range(40)]
    try:
        for client in clients:
            client.send(b"GROUP local.test\r\nSTAT 1\r\n")
        for client in clients:
            assert client.reply().startswith("211 ")
            assert client.reply() == f"223 1 {name_of(1)}"
    finally:
        for client in clients:
            client.close()


def test_a_session_that_has_gone_makes_room_at_once(start_server):
    """Who closes and connects again, as nzbget does, is not one too many."""
    server = start_server("--group", "local.test",
                          conf=["maxconnections_per_address = 2"])
    for _ in range(10):
        clients = [wait_until(lambda: connect_unrefused(server), 1,
                              "room within a second") for _ in range(2)]
        refused = Client(server.port)
        assert refused.greeting.startswith("400 ")
        for client in [*clients, refused]:
            client.close()


def connect_unrefused(server):
    client = server.connect()
    if client.greeting.startswith("20"):
        return client
    client.close()
    return None


# --- where a login is wanted ---

@pytest.fixture(scope="module")
def members():
    one = Server("--group", "local.test", "--anonymous", "none", "--user",
                 "alice:geheim")
    try:
        yield one.start()
    finally:
        one.remove()


def log_in(client):
    assert client.command("AUTHINFO USER alice").startswith("381 ")
    assert client.command("AUTHINFO PASS geheim").startswith("281 ")


@pytest.mark.parametrize("before", [
    # neomutt fishes for 480 before it logs in; libetpan begins with MODE
    # READER, which must not end it; tin asks for what there is.
    [("STAT", "480 ")], [("MODE READER", "20[01] ")],
    [("CAPABILITIES", "101+"), ("MODE READER", "20[01] ")],
    [("GROUP local.test", "480 ")], [("XOVER", "480 ")], [("LIST", "480 ")],
    [("DATE", "(111|480) "), ("HELP", "100+")],
])
def test_before_a_login(members, before):
    with members.connect() as client:
        for command, wanted in before:
            client.send(command.encode() + b"\r\n")
            take_reply(client, wanted)
        log_in(client)
        assert client.command("GROUP local.test").startswith("211 ")
        # What was asked for before may be asked for again.
        assert client.command("MODE READER").startswith("200 ")


def test_a_second_login_is_out_of_order_and_harmless(members):
    """Some log in again after each 480 they remember."""
    with members.connect() as client:
        log_in(client)
        assert client.command("AUTHINFO USER alice").startswith("502 ")
        assert client.command("GROUP local.test").startswith("211 ")


def test_quit_is_answered_before_a_login_and_closes(members):
    with members.connect() as client:
        assert client.command("QUIT").startswith("205 ")
        with pytest.raises(Closed):
            client.reply()
