"""Accounts that change while they are in use, and what a moderator may."""
import pytest

from support.nntp import article, post
from support.server import Server

OPTIONS = ["--group", "local.test", "--moderated", "mod.a",
           "--moderated", "mod.b", "--anonymous", "none"]
USERS = ["--user", "alice:geheim", "--user", "mona:mod:moderator",
         "--user", "feed:feed:peer"]


def login(client, name, password):
    assert client.command(f"AUTHINFO USER {name}").startswith("381 ")
    return client.command(f"AUTHINFO PASS {password}")


@pytest.fixture
def server(start_server):
    return start_server(*OPTIONS, *USERS)


def changed(server, *words):
    done = server.ctlinnd(*words)
    assert (done.returncode, done.stdout) == (0, "Ok\n"), done.stderr


@pytest.mark.parametrize("words", [
    ("userdel", "alice"), ("usermod", "alice", "disabled", "yes")])
def test_a_session_loses_its_rights_at_its_next_command(server, words):
    with server.connect() as client, server.connect() as other:
        assert login(client, "alice", "geheim").startswith("281 ")
        assert login(other, "mona", "mod").startswith("281 ")
        assert client.command("GROUP local.test").startswith("211 ")
        changed(server, *words)
        assert client.command("POST").startswith("480 ")
        assert client.command("STAT 1").startswith("480 ")
        assert client.command("DATE").startswith("111 ")
        assert other.command("GROUP local.test").startswith("211 ")
        # Nor can it log in again; what was remembered is worth nothing.
        assert login(client, "alice", "geheim").startswith("481 ")
    assert "user=alice: the account is no more, or disabled" in server.log()


def test_a_command_that_came_before_is_answered_as_it_was(server):
    """Article and change cross: the answer is that of the rights it began
    with, or 480; nothing in between."""
    with server.connect() as client:
        assert login(client, "alice", "geheim").startswith("281 ")
        assert client.command("POST").startswith("340 ")
        changed(server, "userdel", "alice")
        client.send(post())
        assert client.reply().startswith("240 ")
        assert client.command("POST").startswith("480 ")


def test_an_enabled_account_is_one_again(server):
    changed(server, "usermod", "alice", "disabled", "yes")
    with server.connect() as client:
        assert login(client, "alice", "geheim").startswith("481 ")
        changed(server, "usermod", "alice", "disabled", "no")
        assert login(client, "alice", "geheim").startswith("281 ")


def test_another_role_is_in_force_at_the_next_command(server):
    with server.connect() as client:
        assert login(client, "alice", "geheim").startswith("281 ")
        assert client.command("GROUP local.test").startswith("211 ")
        changed(server, "usermod", "alice", "role", "reader")
        assert client.command("POST").startswith("440 ")
        # What it may still read stays selected.
        assert client.long("LISTGROUP")[0].startswith("211 ")
        changed(server, "usermod", "alice", "role", "peer")
        assert client.command("MODE STREAM").startswith("203 ")


def test_a_peer_that_streams_is_stopped_between_two_articles(server):
    with server.connect() as client:
        assert login(client, "feed", "feed").startswith("281 ")
        one, two = "<one@example.com>", "<two@example.com>"
        assert client.takethis(one, article(message_id=one)).startswith("239")
        changed(server, "userdel", "feed")
        assert client.takethis(two, article(message_id=two)).startswith("480")
        assert client.command("CHECK <x@example.com>").startswith("480 ")


def test_pipelined_commands_keep_their_order_over_a_change(server):
    with server.connect() as client:
        assert login(client, "feed", "feed").startswith("281 ")
        names = [f"<burst-{number}@example.com>" for number in range(50)]
        client.send(b"".join(f"CHECK {name}\r\n".encode() for name in names))
        changed(server, "userdel", "feed")
        client.send(b"".join(f"CHECK {name}\r\n".encode() for name in names))
        codes = [client.reply()[:3] for _ in range(100)]
        assert codes == sorted(codes)
        assert codes[0] == "238" and codes[-1] == "480"


def test_a_moderator_approves_in_his_groups_alone(server):
    changed(server, "usermod", "mona", "moderates", "mod.*,!mod.b")
    with server.connect() as client:
        assert login(client, "mona", "mod").startswith("281 ")
        approved = {"Approved": "mona@example.com"}
        assert client.post(post("mod.a", fields=approved)).startswith("240 ")
        for groups in ("mod.b", "mod.a,mod.b"):
            assert client.post(post(groups, fields=approved)) == (
                "441 You may not approve articles in mod.b")
        changed(server, "usermod", "mona", "moderates", "mod.b")
        assert client.post(post("mod.b", fields=approved)).startswith("240 ")
        assert client.post(post("mod.a", fields=approved)).startswith("441 ")


def test_a_section_lets_approve(start_server):
    server = start_server(*OPTIONS, conf=[
        'access "robot" { addresses = {127.0.0.1} approvable = "mod.a" }'])
    with server.connect() as client:
        approved = {"Approved": "robot@example.com"}
        assert client.post(post("mod.a", fields=approved)).startswith("240 ")
        assert client.post(post("mod.b", fields=approved)).startswith("441 ")


def test_a_new_auth_process_finds_everybody_still_there(server):
    import os
    import signal
    from support.wait import wait_until
    with server.connect() as client:
        assert login(client, "alice", "geheim").startswith("281 ")
        before = server.children("auth")[0]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: server.children("auth") not in ([], [before]), 20,
                   "another auth process")
        assert client.command("GROUP local.test").startswith("211 ")
