"""What a site may want otherwise: Path, distributions, newsgroups, and what
posts say of their posters."""
import re

import pytest

from support.nntp import Parsed, article, post
from support.place import open_directory
from support.server import Server


def parsed(client, name):
    return Parsed(client.long(f"ARTICLE {name}")[1])


def posted(client, **options):
    reply = client.post(post(**options))
    assert reply.startswith("240 "), reply
    return parsed(client, re.search(r"<[^>]+>", reply).group())


def relayed(client, name, **options):
    reply = client.takethis(name, article(message_id=name, **options))
    assert reply.startswith("239 "), reply
    return parsed(client, name)


def login(server, name):
    client = server.connect()
    assert client.command(f"AUTHINFO USER {name}").startswith("381 ")
    assert client.command("AUTHINFO PASS pw").startswith("281 ")
    return client


@pytest.fixture(scope="module")
def strict():
    """A server that wants much."""
    with open_directory() as directory:
        (directory / "pats").write_text(
            "10:local.*:local\n20:local.wide:\n5:*:world\n")
        server = Server(
            "--group", "local.test", "--group", "local.wide", "--group",
            "talk.x", "--group", "junk", "--name", "news.example",
            "--user", "ada:pw", conf=[
                'peer "Peer.Example" { address = {"127.0.0.1"}'
                ' exclude = {"other.example"} }',
                "strippath = true", "strippostcc = true",
                "nnrpdauthsender = true", 'fromhost = "mail.example"',
                "addinjectionpostingaccount = true",
                "hashinjectioninfo = true",
                'pathcluster = "cluster.example"',
                'pathalias = "alias.example"', "pathdiagnostics = true",
                f'distrib_pats = "{directory / "pats"}"',
                'acceptdistributions = "*,!secret"',
                'exclude = {"spam.example"}', "wanttrash = true"])
        try:
            yield server.start()
        finally:
            server.remove()


def test_a_post_is_shaped(strict):
    with login(strict, "ada") as client:
        one = posted(client, fields={
            "Path": "mine!x", "To": "a@b.example", "Cc": "c@d.example",
            "Bcc": "e@f.example", "Sender": "liar@x.example"})
        assert one["Path"] == (
            "cluster.example!news.example!.POSTED!not-for-mail")
        assert one["Sender"] == "ada@mail.example"
        for name in ("To", "Cc", "Bcc"):
            assert name not in one
    with strict.connect() as client:
        assert "Sender" not in posted(client, fields={
            "Sender": "liar@x.example"})


def test_who_posts_is_hashed_and_always_the_same(strict):
    def told(client):
        info = posted(client)["Injection-Info"]
        assert "127.0.0.1" not in info and "ada" not in info
        return re.findall(r'posting-(?:host|account)="([0-9a-f]{32})"', info)

    with login(strict, "ada") as client, login(strict, "ada") as again:
        assert len(told(client)) == 2
        assert told(client) == told(again)
    with strict.connect() as nobody, login(strict, "ada") as client:
        assert told(nobody) == told(client)[:1]


@pytest.mark.parametrize("groups, distribution, promise", [
    ("local.test", "local", "by the newsgroup"),
    ("talk.x", "world", "by a lesser line"),
    ("talk.x,local.test", "local", "the greatest weight of all newsgroups"),
    ("local.test,local.wide", None, "a line that says none"),
])
def test_distribution_by_the_newsgroups(strict, groups, distribution,
                                        promise):
    with strict.connect() as client:
        one = posted(client, group=groups)
        assert (one["Distribution"] if "Distribution" in one
                else None) == distribution, promise
        assert posted(client, group=groups, fields={"Distribution": "mine"})[
            "Distribution"] == "mine"


def test_a_distribution_that_is_not_for_here(strict):
    with strict.connect() as client:
        reply = client.takethis("<dist@x.example>", article(
            message_id="<dist@x.example>", fields={"Distribution": "secret"}))
        assert reply.startswith("439 ") and "Distribution secret" in reply
        assert client.post(post(fields={"Distribution": "secret"})
                           ).startswith("441 Distribution secret")
        relayed(client, "<dist2@x.example>",
                fields={"Distribution": "secret, local"})


def test_a_name_in_path_that_is_not_wanted(strict):
    with strict.connect() as client:
        reply = client.takethis("<spam@x.example>", article(
            message_id="<spam@x.example>",
            path="a.example!Spam.Example!not-for-mail"))
        assert reply.startswith("439 ") and "spam.example" in reply


@pytest.mark.parametrize("path, wanted, promise", [
    ("peer.example!x", "cluster.example!news.example!alias.example!!"
     "peer.example!x", "the peer by its name"),
    ("other.example!x", "cluster.example!news.example!alias.example!!"
     "other.example!x", "by another of its names"),
    ("liar.example!x", "cluster.example!news.example!alias.example!"
     ".MISMATCH.127.0.0.1!liar.example!x", "by a name that is not its"),
    ("cluster.example!x", "news.example!alias.example!.MISMATCH.127.0.0.1!"
     "cluster.example!x", "the cluster stands there already"),
    ("peer.example!Alias.Example!x", "cluster.example!news.example!!"
     "peer.example!Alias.Example!x", "the alias is in there already"),
])
def test_path_of_a_relayed_article(strict, path, wanted, promise):
    name = f"<{promise.replace(' ', '-')}@x.example>"
    with strict.connect() as client:
        assert relayed(client, name, path=path)["Path"] == wanted, promise


def test_an_article_of_unknown_newsgroups_goes_into_junk(strict):
    with strict.connect() as client:
        one = relayed(client, "<junk@x.example>", group="none.such,nor.this")
        assert one["Xref"].split()[1].startswith("junk:")
        # A poster learns that his newsgroup is not there.
        assert client.post(post(group="none.such")).startswith("441 ")


def test_seen_says_that_nobody_knows(start_server):
    server = start_server("--group", "local.test", "--name", "news.example",
                          "--user", "feed:pw:peer",
                          conf=["pathdiagnostics = true"])
    with login(server, "feed") as client:
        assert relayed(client, "<seen@x.example>", path="p.example!x")[
            "Path"] == "news.example!.SEEN.127.0.0.1!p.example!x"


def test_verifygroups(start_server):
    server = start_server("--group", "local.test", "--peer", "127.0.0.1",
                          conf=["verifygroups = true"])
    with server.connect() as client:
        reply = client.takethis("<v@x.example>", article(
            "local.test,none.such", message_id="<v@x.example>"))
        assert reply.startswith("439 ")
        assert "There is no newsgroup none.such here" in reply
        assert client.post(post("local.test,none.such")).startswith(
            "441 There is no newsgroup none.such")
        assert client.post(post("local.test")).startswith("240 ")
