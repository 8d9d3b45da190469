"""Access sections: which groups are there for whom, by address and account."""
import pytest

from support.nntp import article, post
from support.server import Server
from support.wait import wait_until

CONF = [
    'access "everybody" { readable = "local.*,!local.secret" '
    'postable = "local.talk" }',
    'access "staff" { users = {"staff-*"} }',
    'access "rita" { users = {rita} readable = "local.secret" '
    'postable = "!*" }',
    'access "feed" { users = {feed} readable = "!*" postable = "!*" '
    'peer = true feedable = "local.*,!local.secret" }',
]


@pytest.fixture(scope="module")
def server():
    one = Server(
        "--group", "local.test", "--group", "local.talk",
        "--group", "local.secret", "--group", "alt.other",
        "--anonymous", "none", "--user", "staff-ann:ann:moderator",
        "--user", "rita:rita", "--user", "feed:feed:reader", conf=CONF)
    try:
        one.start()
        with logged_in(one, "staff-ann", "ann") as client:
            for groups, name in (("local.test", "open"),
                                 ("local.secret", "secret"),
                                 ("local.test,local.secret", "both")):
                assert client.post(post(groups, subject=name, fields={
                    "Message-ID": f"<{name}@example.com>"})).startswith("240")
        yield one
    finally:
        one.remove()


def logged_in(server, name, password):
    client = server.connect()
    assert client.command(f"AUTHINFO USER {name}").startswith("381 ")
    assert client.command(f"AUTHINFO PASS {password}").startswith("281 ")
    return client


def names(client, line):
    return [text.split()[0].decode() for text in client.long(line)[1]]


EVERYBODY = ["local.talk", "local.test"]
ALL = ["alt.other", "local.secret", "local.talk", "local.test"]


@pytest.mark.parametrize("line", [
    "LIST", "LIST ACTIVE", "LIST ACTIVE *", "LIST ACTIVE.TIMES",
    "LIST COUNTS", "NEWGROUPS 20000101 000000"])
def test_lists_have_the_groups_he_may_read(server, line):
    with server.connect() as client:
        assert sorted(names(client, line)) == EVERYBODY
        assert client.command("AUTHINFO USER staff-ann").startswith("381 ")
        assert client.command("AUTHINFO PASS ann").startswith("281 ")
        assert sorted(names(client, line)) == ALL
    with logged_in(server, "rita", "rita") as client:
        assert names(client, line) == ["local.secret"]


def test_one_group_by_its_name_is_hidden_too(server):
    with server.connect() as client:
        assert names(client, "LIST ACTIVE local.secret") == []
        assert names(client, "LIST COUNTS local.test") == ["local.test"]


@pytest.mark.parametrize("line, before, after", [
    ("GROUP local.test", "211", "211"),
    ("GROUP local.secret", "480", "211"),
    ("GROUP local.none", "411", "411"),
    # Whether a group is there that he may not read is not told.
    ("GROUP alt.none", "480", "411"),
    ("LISTGROUP alt.other", "480", "211"),
    ("STAT <open@example.com>", "223", "223"),
    ("STAT <secret@example.com>", "430", "223"),
    ("STAT <both@example.com>", "223", "223"),
    ("HEAD <secret@example.com>", "430", "221"),
    ("BODY <secret@example.com>", "430", "222"),
    ("ARTICLE <secret@example.com>", "430", "220"),
    ("OVER <secret@example.com>", "430", "224"),
    ("HDR Subject <secret@example.com>", "430", "225"),
])
def test_before_and_after_a_login(server, line, before, after):
    with server.connect() as client:
        assert client.command(line)[:3] == before
    with logged_in(server, "staff-ann", "ann") as client:
        assert client.command(line)[:3] == after


def test_logged_in_there_is_no_such_group(server):
    with logged_in(server, "rita", "rita") as client:
        assert client.command("GROUP local.test").startswith("411 ")
        assert client.command("GROUP local.secret").startswith("211 ")
        assert client.command("POST").startswith("440 ")


def test_newnews_has_what_he_may_read(server):
    line = "NEWNEWS * 20000101 000000"
    with server.connect() as client:
        assert sorted(client.long(line)[1]) == [b"<both@example.com>",
                                                b"<open@example.com>"]
    with logged_in(server, "rita", "rita") as client:
        assert sorted(client.long(line)[1]) == [b"<both@example.com>",
                                                b"<secret@example.com>"]


def test_the_group_is_selected_anew_after_a_login(server):
    with server.connect() as client:
        assert client.command("GROUP local.test").startswith("211 ")
        assert client.command("STAT").startswith("223 ")
        client.command("AUTHINFO USER rita")
        assert client.command("AUTHINFO PASS rita").startswith("281 ")
        assert client.command("STAT").startswith("412 ")


def test_posting_is_by_group(server):
    with server.connect() as client:
        assert client.post(post("local.talk")).startswith("240 ")
        reply = client.post(post("local.test"))
        assert reply == "441 You may not post to local.test"
        assert client.post(post("local.talk,local.test")).startswith("441 ")


def test_an_account_that_feeds(server):
    with server.connect() as client:
        assert client.command("CHECK <f@example.com>").startswith("480 ")
    with logged_in(server, "feed", "feed") as client:
        assert client.command("MODE STREAM").startswith("203 ")
        for group, name, code in (("local.test", "<f1@example.com>", "239"),
                                  ("local.secret", "<f2@example.com>", "439"),
                                  ("alt.other", "<f3@example.com>", "439")):
            assert client.command(f"CHECK {name}")[:3] == "238"
            assert client.takethis(name, article(group, name))[:3] == code
        assert client.command("GROUP local.test").startswith("502 ")
        assert client.command("POST").startswith("440 ")


def test_by_address_without_login(start_server):
    server = start_server(
        "--group", "local.test", "--anonymous", "none",
        conf=['access "home" { addresses = {"127.0.0.0/8"} '
              'postable = "!*" }'])
    with server.connect() as client:
        assert client.greeting.startswith("201 ")
        assert client.command("GROUP local.test").startswith("211 ")
        assert client.command("POST").startswith("440 ")


def test_a_reload_counts_for_who_is_there_and_who_comes_then(start_server):
    server = start_server("--group", "local.test", "--anonymous", "read")
    with server.connect() as before:
        assert before.command("GROUP local.test").startswith("211 ")
        with open(server.conf, "a") as file:
            file.write('access "none" { readable = "!*" postable = "!*" }\n')
        done = server.ctlinnd("reload")
        assert done.returncode == 0 and "changed: access" in done.stdout
        wait_until(lambda: before.command("GROUP local.test")[:4] == "502 ",
                   5, "the new rights")
        with server.connect() as after:
            assert after.greeting.startswith("502 ")
