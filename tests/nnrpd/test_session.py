"""The greeting, and the commands about the session itself (RFC 3977, 5, 7)."""
import re
import time
from datetime import datetime, timezone

import pytest

SERVER_OPTIONS = ["--group", "local.test", "--name", "news.example.net"]


def test_greeting_says_that_posting_is_allowed(client):
    assert client.greeting == ("200 news.example.net Renews news server ready "
                               "(posting allowed)")


def test_both_addresses_are_served(server):
    with server.connect(host="::1") as client:
        assert client.greeting.startswith("200 ")


def test_mode_reader_answers_as_the_greeting(client):
    assert client.command("MODE READER") == client.greeting


def test_mode_reader_in_lower_case(client):
    # lynx and suck send it so.
    assert client.command("mode reader").startswith("200 ")


def test_mode_alone_is_a_syntax_error(client):
    assert client.command("MODE").startswith("501 ")
    assert client.command("MODE FISHING").startswith("501 ")


def test_date_is_now_in_utc(client):
    reply = client.command("DATE")
    assert re.fullmatch(r"111 \d{14}", reply)
    told = datetime.strptime(reply[4:], "%Y%m%d%H%M%S").replace(
        tzinfo=timezone.utc)
    assert abs(told.timestamp() - time.time()) < 5


def test_help_lists_the_commands(client):
    first, lines = client.long("HELP")
    assert first.startswith("100 ")
    text = b"\n".join(lines).upper()
    for command in (b"ARTICLE", b"GROUP", b"LIST", b"OVER", b"POST", b"QUIT"):
        assert command in text


def test_quit_answers_205_and_closes(client):
    assert client.command("QUIT") == "205 Bye"
    assert client.at_end()


def test_what_follows_quit_is_not_answered(client):
    client.send(b"QUIT\r\nDATE\r\n")
    assert client.reply() == "205 Bye"
    assert client.at_end()
    assert client.buffer == b""


@pytest.mark.parametrize("command", ["QUIT now", "DATE today", "HELP me"])
def test_too_many_arguments_are_501(client, command):
    assert client.command(command).startswith("501 ")
