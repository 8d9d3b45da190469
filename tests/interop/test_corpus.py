"""2,000 real articles of 1993, end to end: in by newsimport and by TAKETHIS,
out by message-ID and by number."""
import re
import threading

import pytest

from support.corpus import corpus_articles
from support.nntp import Parsed, wire

CONF = ["artcutoff = 0"]
FILES, NAMES = 2000, 1992


@pytest.fixture(scope="module")
def articles(corpus):
    found = corpus_articles(corpus)
    assert len(found) == FILES
    assert len({one.message_id for one in found}) == NAMES
    return found


@pytest.fixture(scope="module")
def imported(corpus, articles):
    """A server that got them by newsimport."""
    from support.server import Server
    server = Server("--name", "one.example", conf=CONF)
    try:
        server.start()
        done = server.newsimport("--create", "--old", corpus)
        yield server, done
    finally:
        server.remove()


@pytest.fixture(scope="module")
def fed(imported, articles, tmp_path_factory):
    """A server that got them by TAKETHIS over four connections, with the same
    newsgroups."""
    from support.server import Server
    with imported[0].connect() as client:
        _, lines = client.long("LIST ACTIVE")
    groups = tmp_path_factory.mktemp("groups") / "groups"
    groups.write_bytes(b"".join(line.split()[0] + b"\n" for line in lines))
    server = Server("--name", "two.example", "--peer", "127.0.0.1",
                    "--groups-file", str(groups), conf=CONF)
    try:
        server.start()
        yield server, feed(server, articles)
    finally:
        server.remove()


def feed(server, articles):
    """(article, reply) of each, by four pipelining connections at once."""
    replies = []

    def run(share):
        with server.connect(timeout=60) as client:
            assert client.command("MODE STREAM").startswith("203")
            sender = threading.Thread(target=client.send, args=(b"".join(
                f"TAKETHIS {one.message_id}\r\n".encode() + wire(one.octets)
                for one in share),))
            sender.start()
            replies.extend([(one, client.reply()) for one in share])
            sender.join()

    threads = [threading.Thread(target=run, args=(articles[start::4],))
               for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return replies


def test_newsimport_takes_all_and_refuses_the_duplicates(imported):
    done = imported[1]
    assert done.returncode == 0, done.stdout + done.stderr
    for word, count in (("read", FILES), ("stored", NAMES),
                        ("duplicate", FILES - NAMES), ("refused", 0),
                        ("unreadable", 0)):
        assert re.search(rf"^{word} +{count}\b", done.stdout, re.M), (
            word, done.stdout)


def test_takethis_takes_all_and_refuses_the_duplicates(fed):
    replies = fed[1]
    assert len(replies) == FILES
    codes = [reply[:3] for _, reply in replies]
    assert (codes.count("239"), codes.count("439")) == (NAMES, FILES - NAMES)
    for one, reply in replies:
        assert reply.split()[1] == one.message_id
    taken = {one.message_id for one, reply in replies
             if reply.startswith("239")}
    assert len(taken) == NAMES


@pytest.fixture(params=["imported", "fed"])
def filled(request):
    server = request.getfixturevalue(request.param)[0]
    return server, "one.example" if request.param == "imported" \
        else "two.example"


def unchanged_head(head):
    """The header lines but for Path and Xref, folded ones too."""
    kept, keeping = [], True
    for line in head:
        if line[:1] not in b" \t":
            keeping = not line.lower().startswith((b"path:", b"xref:"))
        if keeping:
            kept.append(line)
    return kept


def is_the_same(parsed, one, name):
    return (parsed.body == one.body.split(b"\n")[:-1]
            and unchanged_head(parsed.head) == unchanged_head(one.head)
            and parsed["Path"] == f"{name}!{one.field('Path')}")


def test_each_comes_out_by_message_id_as_it_went_in(filled, articles):
    server, name = filled
    by_id = {}
    for one in articles:
        by_id.setdefault(one.message_id, []).append(one)
    with server.connect(timeout=60) as client:
        sender = threading.Thread(target=client.send, args=(b"".join(
            f"ARTICLE {id_}\r\n".encode() for id_ in by_id),))
        sender.start()
        for id_, candidates in by_id.items():
            assert client.reply() == f"220 0 {id_}"
            octets = [line[1:] if line.startswith(b"..") else line
                      for line in client.block()]
            parsed = Parsed(octets)
            assert any(is_the_same(parsed, one, name)
                       for one in candidates), id_
        sender.join()


def xref_of(client, id_):
    parsed = Parsed(client.long(f"HEAD {id_}")[1] + [b""])
    return dict(word.rsplit(":", 1) for word in parsed["Xref"].split()[1:])


def test_counts_marks_over_and_listgroup_agree(filled, articles):
    server, name = filled
    expected = {}
    for one in articles:
        for group in set(one.groups):
            expected.setdefault(group, set()).add(one.message_id)
    with server.connect(timeout=60) as client:
        active = {line.split()[0].decode(): line.split()
                  for line in client.long("LIST ACTIVE")[1]}
        counts = {line.split()[0].decode(): line.split()
                  for line in client.long("LIST COUNTS")[1]}
        assert set(active) == set(counts) and len(active) > 390
        total = 0
        for group, words in active.items():
            marks = client.command(f"GROUP {group}").split()
            assert marks[0] == "211" and marks[4] == group
            count, low, high = map(int, marks[1:4])
            assert (int(words[2]), int(words[1])) == (low, high)
            assert tuple(map(int, counts[group][1:4])) == (high, low, count)
            first, lines = client.long(f"LISTGROUP {group}")
            assert first.split()[1:5] == marks[1:5]
            numbers = [int(line) for line in lines]
            _, lines = client.long(f"OVER {low}-{high}")
            over = {int(line.split(b"\t")[0]): line.split(b"\t")[4].decode()
                    for line in lines}
            assert numbers == list(over) == list(range(low, high + 1))
            assert count == len(numbers) and low == 1
            # Whichever copy of a duplicate came first, its groups count.
            assert set(over.values()) <= expected[group]
            total += count
            # By number: the article that OVER names.
            client.send(b"".join(b"STAT %d\r\n" % number
                                 for number in numbers))
            for number in numbers:
                assert client.reply() == f"223 {number} {over[number]}"
        xrefs = 0
        for id_ in {one.message_id for one in articles}:
            xref = xref_of(client, id_)
            xrefs += len(xref)
        assert xrefs == total


def test_each_comes_out_by_number_as_by_message_id(filled, articles):
    server, name = filled
    with server.connect(timeout=60) as client:
        for id_ in sorted({one.message_id for one in articles})[::7]:
            _, by_id = client.long(f"ARTICLE {id_}")
            for group, number in xref_of(client, id_).items():
                assert client.command(f"GROUP {group}").startswith("211")
                first, by_number = client.long(f"ARTICLE {number}")
                assert first == f"220 {number} {id_}"
                assert by_number == by_id


def test_offered_again_all_are_duplicates(filled, articles):
    server, _ = filled
    if server.options[1] == "one.example":
        return
    with server.connect(timeout=60) as client:
        ids = [one.message_id for one in articles]
        client.send(b"".join(f"CHECK {id_}\r\n".encode() for id_ in ids))
        for id_ in ids:
            assert client.reply().startswith(f"438 {id_}")
