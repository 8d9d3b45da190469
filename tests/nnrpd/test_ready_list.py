"""Lists that are kept ready say what is true when they are asked for."""
from pathlib import Path

import pytest

from support.nntp import article
from support.server import Server
from support.wait import wait_until

GROUPS = [f"many.group.{number}" for number in range(1, 131)]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    names = tmp_path_factory.mktemp("names") / "groups"
    names.write_text("".join(f"{name}\n" for name in GROUPS))
    # One worker: what one client has read is kept for the next.
    one = Server("--groups-file", str(names), "--peer", "127.0.0.1",
                 conf=["workers = 1"])
    try:
        one.start()
        yield one
    finally:
        one.remove()


@pytest.fixture(params=["plain", "compressed"])
def reader(request, server):
    with server.connect() as client:
        if request.param == "compressed":
            client.compress()
        yield client


def listed(client, keyword="ACTIVE"):
    first, lines = client.long(f"LIST {keyword}")
    assert first.startswith("215 ")
    words = [line.decode().split() for line in lines]
    assert len({word[0] for word in words}) == len(words)
    return {word[0]: word[1:] for word in words}


def feed(server, group, name):
    with server.connect() as peer:
        assert peer.takethis(name, article(
            group=group, message_id=name)).startswith("239")


def test_it_is_the_same_with_a_wildmat_and_without(reader):
    for keyword in ("ACTIVE", "COUNTS", "ACTIVE.TIMES"):
        whole = listed(reader, keyword)
        assert set(whole) == set(GROUPS)
        assert whole == listed(reader, keyword + " *")


def test_marks_that_move_are_in_the_next_list(request, server, reader):
    kind = request.node.callspec.id
    for group in (GROUPS[0], GROUPS[70], GROUPS[129]):
        before = int(listed(reader)[group][0])
        feed(server, group, f"<{group}-{kind}@example.com>")
        after = listed(reader)
        assert int(after[group][0]) == before + 1
        assert int(listed(reader, "COUNTS")[group][0]) == before + 1
        assert after == listed(reader, "ACTIVE *")


def test_a_cancelled_article_is_counted_no_more(request, server, reader):
    name = f"<cancelled-{request.node.callspec.id}@example.com>"
    feed(server, GROUPS[5], name)
    before = int(listed(reader, "COUNTS")[GROUPS[5]][2])
    assert server.ctlinnd("cancel", name).returncode == 0
    assert int(listed(reader, "COUNTS")[GROUPS[5]][2]) == before - 1


def test_a_group_is_made_changed_and_removed(request, server, reader):
    name = f"new.{request.node.callspec.id}"
    assert name not in listed(reader)
    assert server.ctlinnd("newgroup", name, "y", "me",
                          "A new one").returncode == 0
    assert listed(reader)[name] == ["0000000000", "0000000001", "y"]
    assert listed(reader, "NEWSGROUPS")[name] == ["A", "new", "one"]
    assert server.ctlinnd("changegroup", name, "m").returncode == 0
    assert listed(reader)[name][2] == "m"
    assert server.ctlinnd("newgroup", name, "m", "me",
                          "Another text").returncode == 0
    assert listed(reader, "NEWSGROUPS")[name] == ["Another", "text"]
    assert server.ctlinnd("rmgroup", name).returncode == 0
    assert set(listed(reader)) == set(GROUPS)
    assert listed(reader, "NEWSGROUPS") == {}


def test_a_reload_that_hides_groups_hides_them_from_the_next_list(server):
    hidden = {"many.group.1", "many.group.99"}
    path = Path(server.conf)
    conf = path.read_text()
    rule = ",!".join(["*", *sorted(hidden)])
    with server.connect() as client:
        assert set(listed(client)) == set(GROUPS)
        for text, wanted in (
                (conf + f'access "all" {{ readable = "{rule}" }}\n',
                 set(GROUPS) - hidden), (conf, set(GROUPS))):
            path.write_text(text)
            assert server.ctlinnd("reload").returncode == 0
            wait_until(lambda: set(listed(client)) == wanted)
