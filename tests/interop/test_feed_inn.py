"""The corpus from Renews to Renews to a real INN, and back by innfeed and by
innxmit."""
import os
import signal
import threading

import pytest

from support.feed import peer_conf, stored, unchanged, wait_idle
from support.inn import Inn
from support.nntp import Client, Parsed
from support.server import Server
from support.wait import wait_until

CONF = ["artcutoff = 0"]


@pytest.fixture(scope="module")
def groups_file(corpus, tmp_path_factory):
    """The groups of the corpus, as newsimport makes them."""
    server = Server("--name", "groups.example", conf=CONF)
    try:
        server.start()
        done = server.newsimport("--create", "--old", corpus)
        assert done.returncode == 0, done.stdout + done.stderr
        with server.connect() as client:
            names = [line.split()[0].decode() for line in
                     client.long("LIST ACTIVE")[1]]
    finally:
        server.remove()
    path = tmp_path_factory.mktemp("groups") / "groups"
    path.write_text("".join(name + "\n" for name in names))
    os.chmod(path.parent, 0o755)
    return str(path)


def names_of(server, groups):
    found = set()
    with server.connect(timeout=60) as client:
        for group in groups:
            if not client.command(f"GROUP {group}").startswith("211"):
                continue
            found.update(line.split()[1].decode() for line in
                         client.long("XHDR Message-ID 1-")[1])
    return found


def articles_of(client, names):
    """{name: (head but for Path and Xref, body, Path)} by message-ID."""
    found = {}
    names = list(names)
    sender = threading.Thread(target=client.send, args=(b"".join(
        f"ARTICLE {name}\r\n".encode() for name in names),))
    sender.start()
    for name in names:
        assert client.reply().startswith("220 "), name
        parsed = Parsed(client.block())
        found[name] = (unchanged(parsed.head), parsed.body, parsed["Path"])
    sender.join()
    return found


@pytest.fixture(scope="module")
def chain(corpus, groups_file):
    """one -> two -> INN -> three by innxmit, which logs in, and INN -> four by
    innfeed; the feeder of the first and the workers of the last are killed 20
    times on the way."""
    three = Server("--name", "three.example", "--groups-file", groups_file,
                   "--user", "inn:geheim:peer", conf=CONF)
    four = Server("--name", "four.example", "--groups-file", groups_file,
                  "--peer", "127.0.0.1", conf=CONF)
    made = [three, four]
    try:
        three.start()
        four.start()
        inn = Inn("--groups-file", groups_file, "--batch", "--feed",
                  f"127.0.0.1:{four.port}")
        made.append(inn)
        inn.start()
        two = Server("--name", "two.example", "--groups-file", groups_file,
                     "--peer", "127.0.0.1",
                     conf=CONF + [peer_conf("inn.example.net", inn.port)])
        made.append(two)
        two.start()
        one = Server("--name", "one.example", "--groups-file", groups_file,
                     conf=CONF + [peer_conf("two.example", two.port)])
        made.append(one)
        one.start()
        killers = [threading.Thread(target=kill, args=words) for words in (
            (one, "feeder", 20), (four, "nnrpd", 20))]
        for killer in killers:
            killer.start()
        done = one.newsimport("--old", corpus)
        assert done.returncode == 0, done.stdout + done.stderr
        for killer in killers:
            killer.join(120)
            assert not killer.is_alive()
        yield one, two, inn, three, four
    finally:
        for server in reversed(made):
            server.remove()


def kill(server, word, times):
    for _ in range(times):
        pid = wait_until(lambda: server.children(word), 20)[0]
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: pid not in server.children(word), 20)


@pytest.fixture(scope="module")
def groups(groups_file):
    with open(groups_file) as file:
        return file.read().split()


def inn_refuses(inn, names):
    """Those that INN does not have and does not want: CHECK is answered 438
    for an ID that it cannot read."""
    with inn.connect(timeout=60) as client:
        client.send(b"".join(f"STAT {name}\r\n".encode()
                             for name in names))
        missing = {name for name in names
                   if not client.reply().startswith("223 ")}
    with Client(inn.port) as client:
        for name in missing:
            assert client.command(f"CHECK {name}").startswith("438 "), name
    return missing


def test_renews_to_renews_to_inn(chain, groups):
    one, two, inn, _, _ = chain
    names = names_of(one, groups)
    assert len(names) == 1992
    wait_idle(one, "two.example", 60)
    assert names_of(two, groups) == names
    info = wait_idle(two, "inn.example.net", 60)
    odd = inn_refuses(inn, names)
    # INN is stricter about message-IDs than the articles of 1993.
    assert len(odd) < 5 and info["refused"] >= len(odd)
    assert info["accepted"] == len(names) - len(odd), info
    names -= odd
    with one.connect(timeout=60) as client:
        first = articles_of(client, names)
    with two.connect(timeout=60) as client:
        second = articles_of(client, names)
    with inn.connect(timeout=60) as client:
        there = articles_of(client, names)
    for name in names:
        head, body, path = first[name]
        assert second[name] == (head, body, f"two.example!{path}")
        assert there[name][:2] == (head, body)
        assert there[name][2].replace("!!", "!").startswith(
            "inn.example.net!two.example!one.example!"), there[name][2]


def test_each_is_in_each_group_once(chain, groups):
    one, two, _, _, _ = chain
    wait_idle(one, "two.example", 60)
    for group in groups:
        here, there = stored(one, group), stored(two, group)
        assert sorted(here) == sorted(there), group
        assert len(set(there)) == len(there), group


def is_fed_by_inn(one, server, name, names):
    """All of them are there, as they were, by way of INN."""
    with one.connect(timeout=60) as client:
        first = articles_of(client, names)
    with server.connect(timeout=60) as client:
        last = articles_of(client, names)
    for id_, (head, body, path) in first.items():
        assert last[id_][:2] == (head, body)
        assert last[id_][2].startswith(f"{name}!inn.example.net!")
        assert last[id_][2].endswith(path)


def count_in_groups(server):
    with server.connect(timeout=60) as client:
        return {line.split()[0]: int(line.split()[3])
                for line in client.long("LIST COUNTS")[1]}


def test_inn_to_renews_by_innfeed(chain, groups):
    one, _, inn, three, four = chain
    names = names_of(one, groups)
    names -= inn_refuses(inn, names)
    wait_until(lambda: names_of(four, groups) == names, 60, "innfeed's end")
    is_fed_by_inn(one, four, "four.example", names)
    # Each group has an article once.
    for group, count in count_in_groups(four).items():
        there = stored(four, group.decode())
        assert len(there) == len(set(there)) == count


def test_inn_to_renews_by_innxmit(chain, groups):
    one, _, inn, three, _ = chain
    names = names_of(one, groups)
    names -= inn_refuses(inn, names)
    # It renames the file that it was told, and goes on with a new one.
    batch = os.path.join(inn.dir, "spool", "outgoing", "batch")
    os.rename(batch, batch + ".work")
    assert inn.run("ctlinnd", "-t", "60", "flush", "batch").returncode == 0
    with open(os.path.join(inn.dir, "etc", "passwd.nntp"), "w") as file:
        file.write("127.0.0.1:inn:geheim\n")
    done = inn.run("innxmit", "-v", "-P", str(three.port), "127.0.0.1",
                   batch + ".work")
    assert done.returncode == 0, done.stdout + done.stderr
    assert names_of(three, groups) == names
    is_fed_by_inn(one, three, "three.example", names)
