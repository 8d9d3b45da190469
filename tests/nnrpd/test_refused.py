"""An article that was refused for what it is, is not wanted again: by no
worker, from no peer, and after a restart (INN's remembertrash)."""
import pytest

from support.nntp import article
from support.wait import wait_until

LONG_AGO = "Mon, 05 Jan 2015 10:00:00 +0000"


@pytest.fixture
def own(start_server):
    return start_server("--group", "local.test", "--moderated",
                        "local.moderated", "--peer", "127.0.0.1",
                        "--name", "news.here.example",
                        conf=["workers = 3", "maxartsize = 5000"])


def is_remembered(server, name):
    """Asked on another connection, and so, perhaps, another worker."""
    with server.connect() as client:
        return client.command(f"CHECK {name}").startswith("438 ")


REMEMBERED = [
    ("old", {"date": LONG_AGO}),
    ("future", {"date": "Mon, 05 Jan 2099 10:00:00 +0000"}),
    ("unwanted", {"group": "alt.not.here"}),
    ("nogroup", {"fields": [("Newsgroups", None)]}),
    ("unapproved", {"group": "local.moderated"}),
    ("nofrom", {"fields": [("From", None)]}),
]
FORGOTTEN = [
    ("loop", {"path": "news.here.example!x"}),
    ("another", {"fields": [("Message-ID", "<is-another@example.com>")]}),
]


@pytest.mark.parametrize("word,options", REMEMBERED)
def test_what_is_remembered(own, word, options):
    name = f"<{word}@example.com>"
    with own.connect() as client:
        group = options.pop("group", "local.test")
        octets = article(group, name, **options)
        assert client.takethis(name, octets).startswith(f"439 {name} ")
    wait_until(lambda: is_remembered(own, name), 10, "the refusal remembered")
    with own.connect() as client:
        assert client.command(f"IHAVE {name}").startswith("435 ")
        assert client.takethis(name, article("local.test", name)) == (
            f"439 {name} refused before")
        assert client.command(f"STAT {name}").startswith("430 ")


def test_what_is_not(own):
    for word, options in FORGOTTEN:
        name = f"<{word}@example.com>"
        with own.connect() as client:
            reply = client.takethis(name, article("local.test", name,
                                                  **options))
            assert reply.startswith(f"439 {name} "), reply
    # One that is remembered comes behind them: then they were looked at.
    with own.connect() as client:
        client.takethis("<last@example.com>",
                        article("local.test", "<last@example.com>",
                                date=LONG_AGO))
    wait_until(lambda: is_remembered(own, "<last@example.com>"), 10)
    for word, _ in FORGOTTEN:
        name = f"<{word}@example.com>"
        with own.connect() as client:
            assert client.takethis(
                name, article("local.test", name)) == f"239 {name}"


def test_a_restart_and_a_kill_forget_nothing(own):
    name = "<long-ago@example.com>"
    with own.connect() as client:
        client.takethis(name, article("local.test", name, date=LONG_AGO))
    wait_until(lambda: is_remembered(own, name), 10)
    own.kill_master()
    own.start()
    assert is_remembered(own, name)


def test_a_poster_may_try_again(own):
    name = "<posted@example.com>"
    with own.connect() as client:
        assert client.post(article("alt.not.here", name, path=None))[:3] == (
            "441")
        assert client.post(article("local.test", name, path=None))[:3] == (
            "240")


def test_it_can_be_turned_off(start_server):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          conf=["remembertrash = false"])
    name = "<off@example.com>"
    with server.connect() as client:
        assert client.takethis(name, article("alt.not.here", name))[:3] == (
            "439")
        assert client.takethis(name, article("local.test", name)) == (
            f"239 {name}")
