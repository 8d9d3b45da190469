"""NEWGROUPS and NEWNEWS (RFC 3977, 7.3 and 7.4)."""
import time

import pytest

from support.nntp import article

SERVER_OPTIONS = ["--group", "local.test", "--group", "local.other",
                  "--peer", "127.0.0.1"]


def stamp(seconds):
    return time.strftime("%Y%m%d %H%M%S", time.gmtime(time.time() + seconds))


@pytest.fixture(scope="module", autouse=True)
def articles(server):
    with server.connect() as client:
        for number, group in ((1, "local.test"), (2, "local.other"),
                              (3, "local.test,local.other")):
            name = f"<new-{number}@example.com>"
            assert client.takethis(name, article(
                group, name)).startswith("239")


def test_newgroups_since_a_minute_ago(client):
    first, lines = client.long(f"NEWGROUPS {stamp(-60)} GMT")
    assert first.startswith("231 ")
    assert {line.split()[0] for line in lines} == {b"local.test",
                                                   b"local.other"}


def test_newgroups_of_the_future_are_none(client):
    assert client.long(f"NEWGROUPS {stamp(3600)}") == (
        client.long(f"NEWGROUPS {stamp(3600)}")[0], [])


@pytest.mark.parametrize("wildmat, numbers", [
    ("*", [1, 2, 3]), ("local.test", [1, 3]), ("local.*,!local.test", [2, 3]),
    ("none", [])])
def test_newnews_lists_each_article_once(client, wildmat, numbers):
    first, lines = client.long(f"NEWNEWS {wildmat} {stamp(-60)} GMT")
    assert first.startswith("230 ")
    assert sorted(lines) == [f"<new-{number}@example.com>".encode()
                             for number in numbers]


def test_newnews_with_a_two_digit_year(client):
    when = time.strftime("%y%m%d %H%M%S", time.gmtime(time.time() - 60))
    assert len(client.long(f"NEWNEWS * {when}")[1]) == 3


@pytest.mark.parametrize("command", [
    "NEWNEWS * 20000101", "NEWNEWS * 20001301 000000",
    "NEWNEWS * 20000101 250000", "NEWNEWS * x y", "NEWGROUPS 20000101",
    "NEWGROUPS 20000132 000000", "NEWGROUPS 20000101 000000 EST x"])
def test_bad_dates_are_501(client, command):
    assert client.command(command).startswith("501 ")
