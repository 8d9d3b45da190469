"""Cancel and Supersedes of one's own articles (RFC 8315; RFC 5537, 5.3 and
5.4)."""
import os
import re
import shutil
import signal

import pytest

from support.nntp import Parsed, article, post, wire
from support.place import open_directory
from support.server import Server
from support.wait import wait_until

USER = "a secret of more than thirty-two octets"
ADMIN = "another secret of more than thirty-two octets"


def secret_write(path, text, mode=0o640):
    """For the server's user, and for nobody else."""
    path.write_text(f"{text}\n")
    if os.geteuid() == 0:
        shutil.chown(path, "news")
    os.chmod(path, mode)


@pytest.fixture(scope="module")
def secrets():
    with open_directory() as directory:
        for name, text in (("user", USER), ("admin", ADMIN)):
            secret_write(directory / name, text)
        yield directory


@pytest.fixture(scope="module")
def server(secrets):
    one = Server("--group", "local.test", "--group", "control.cancel",
                 "--user", "ada:pw", "--user", "bob:pw", "--peer", "127.0.0.1",
                 conf=[f'canlockuserfile = "{secrets / "user"}"',
                       f'canlockadminfile = "{secrets / "admin"}"'])
    try:
        yield one.start()
    finally:
        one.remove()


def login(server, name):
    client = server.connect()
    assert client.command(f"AUTHINFO USER {name}").startswith("381 ")
    assert client.command("AUTHINFO PASS pw").startswith("281 ")
    return client


@pytest.fixture
def ada(server):
    with login(server, "ada") as client:
        yield client


def posted(client, **options):
    reply = client.post(post(**options))
    assert reply.startswith("240 "), reply
    return re.search(r"<[^>]+>", reply).group()


def cancel(client, name, **fields):
    return posted(client, subject=f"cmsg cancel {name}",
                  fields={"Control": f"cancel {name}", **fields})


def is_there(client, name):
    return client.command(f"STAT {name}").startswith("223 ")


def head(client, name):
    return Parsed(client.long(f"HEAD {name}")[1] + [b""])


def test_a_post_gets_locks_of_the_admin_and_of_its_poster(server, ada):
    parsed = head(ada, posted(ada))
    assert len(re.findall(r"sha256:\S{44}", parsed["Cancel-Lock"])) == 2
    with server.connect() as client:
        parsed = head(client, posted(client))
        assert len(re.findall(r"sha256:\S{44}", parsed["Cancel-Lock"])) == 1
    # Nothing says what it would take to cancel it.
    assert "Cancel-Key" not in parsed


def test_the_poster_may_cancel_it_from_any_session(server, ada):
    name = posted(ada)
    with login(server, "ada") as later:
        message = cancel(later, name)
        assert not is_there(later, name)
        # The cancel itself is an article, filed in control.cancel.
        parsed = head(later, message)
        assert parsed["Control"] == f"cancel {name}"
        assert "sha256:" in parsed["Cancel-Key"]
        assert parsed["Xref"].split()[1].startswith("control.cancel:")
        assert "local.test" not in parsed["Xref"]
        # Nor does it come back.
        assert later.takethis(name, article(message_id=name)).startswith(
            "439 ")


def test_another_may_not(server, ada):
    name = posted(ada)
    with login(server, "bob") as bob:
        cancel(bob, name)
        assert is_there(bob, name)
        posted(bob, fields={"Supersedes": name})
        assert is_there(bob, name)
    with server.connect() as nobody:
        cancel(nobody, name)
        assert is_there(nobody, name)


def test_supersedes_replaces_it(ada):
    name = posted(ada)
    new = posted(ada, fields={"Supersedes": name})
    assert not is_there(ada, name)
    assert is_there(ada, new)
    assert head(ada, new)["Xref"].split()[1].startswith("local.test:")


def test_the_posters_own_lock_counts_as_well(server, ada):
    """A newsreader with a secret of its own (RFC 8315, 4)."""
    # The lock is the hash of the key, as text: RFC 8315, 5.
    name = posted(ada, fields={
        "Cancel-Lock": "sha256:s/pmK/3grrz++29ce2/mQydzJuc7iqHn1nqcJiQTPMc="})
    with server.connect() as nobody:
        cancel(nobody, name, **{
            "Cancel-Key": "sha256:qv1VXHYiCGjkX/N1nhfYKcAeUn8bCVhrWhoKuBSnpMA="
        })
        assert not is_there(nobody, name)


def test_the_admins_key_cancels_it(server, ada):
    name = posted(ada)
    done = server.ctlinnd("gencancel", name, "local.test")
    assert done.returncode == 0
    with server.connect() as client:
        assert client.post(wire(done.stdout.encode())).startswith("240 ")
        assert not is_there(client, name)
    assert server.ctlinnd("gencancel", "nonsense").returncode == 1


def feed(client, message_id, **fields):
    return client.takethis(message_id, article(
        message_id=message_id, fields=fields))


LOCK = "sha256:s/pmK/3grrz++29ce2/mQydzJuc7iqHn1nqcJiQTPMc="
KEY = "sha256:qv1VXHYiCGjkX/N1nhfYKcAeUn8bCVhrWhoKuBSnpMA="


def test_a_cancel_from_a_feed_needs_the_key_too(client):
    assert feed(client, "<fed-1@x.example>",
                **{"Cancel-Lock": LOCK}).startswith("239 ")
    assert feed(client, "<fed-c1@x.example>",
                Control="cancel <fed-1@x.example>").startswith("239 ")
    assert is_there(client, "<fed-1@x.example>")
    assert feed(client, "<fed-c2@x.example>", **{
        "Control": "cancel <fed-1@x.example>", "Cancel-Key": KEY}
        ).startswith("239 ")
    assert not is_there(client, "<fed-1@x.example>")


def test_a_cancel_that_comes_first_keeps_the_article_away(server, client):
    assert feed(client, "<early-c@x.example>", **{
        "Control": "cancel <early@x.example>", "Cancel-Key": KEY}
        ).startswith("239 ")
    # Whatever becomes of the writer meanwhile.
    writer = server.writer()
    os.kill(writer, signal.SIGKILL)
    wait_until(lambda: server.writer() != writer, 10, "another writer")
    assert feed(client, "<early@x.example>", **{"Cancel-Lock": LOCK}
                ).startswith("439 ")
    # The history knows soon; until then it is on its way (431).
    wait_until(lambda: client.command("CHECK <early@x.example>"
                                      ).startswith("438 "), 10, "438")


def test_other_control_messages_are_filed_and_not_obeyed(server, client):
    assert feed(client, "<ng@x.example>", Control="newgroup local.new",
                Approved="a@b.example").startswith("239 ")
    assert feed(client, "<rg@x.example>", Control="rmgroup local.test",
                Approved="a@b.example").startswith("239 ")
    assert client.command("GROUP local.new").startswith("411 ")
    assert client.command("GROUP local.test").startswith("211 ")


@pytest.mark.parametrize("text, mode, expected", [
    ("short", 0o640, "found a secret of 5 octets, expected 32 at least"),
    (USER, 0o644, "found a secret that everybody on this machine may read")])
def test_a_secret_that_is_none_is_refused(secrets, text, mode, expected):
    path = secrets / "none"
    secret_write(path, text, mode)
    server = Server(conf=[f'canlockuserfile = "{path}"'])
    try:
        done = server.serve("start", "--port", str(server.port),
                            *server.options, check=False)
        assert done.returncode == 78
        assert expected in done.stderr
        assert text not in done.stderr
    finally:
        server.remove()
